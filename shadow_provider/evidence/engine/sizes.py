"""Captures by the size of their request: a mirror may lose large requests and no others."""

import numpy as np
from numpy.typing import NDArray

from shadow_provider.comparators.arrow import filled
from shadow_provider.evidence.engine.blocks import BlockTable, Index
from shadow_provider.evidence.engine.settling import SIDES, Groups
from shadow_provider.verdict.evidence import SizeClass

AT_LEAST = (0, 1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22)
"""Bytes at which a class begins: none, 1 KiB, 4 KiB and so on to 4 MiB, near the largest payload of an endpoint."""

_KINDS = ("paired", "mismatched", *(f"alone/{side}" for side in SIDES))


def sizes_of(some: Groups) -> NDArray[np.int64]:
    """Bytes of each group's request, -1 where the request was not captured."""
    return filled(some.batch.column("size"), -1).astype(np.int64)


def add_sizes(table: BlockTable, some: Groups, blocks: Index) -> None:
    """Count groups by class, block, and by who is there. A request whose size is not known is in no class."""
    if not len(blocks):
        return
    classes = np.searchsorted(AT_LEAST, sizes_of(some), side="right") - 1
    kinds = np.where(some.production, np.where(some.shadow, np.where(some.same_input, 0, 1), 2), 3)
    # Most traffic has one or two of all the combinations: only these are gone through.
    combined = np.where(classes < 0, -1, classes * len(_KINDS) + kinds)
    for number in np.flatnonzero(np.bincount(combined[combined >= 0])).tolist():
        at_least, kind = AT_LEAST[number // len(_KINDS)], _KINDS[number % len(_KINDS)]
        table.add(_column(at_least, kind), blocks[combined == number])


def size_classes(settled: BlockTable, provisional: BlockTable, overlap: slice, count: int) -> tuple[SizeClass, ...]:
    """All classes, none if no size is known: of the blocks in which partners should have been captured on both sides.

    A capture that still waits for its partner is not counted, since it is not missed yet.
    """
    both = settled.merged(provisional)

    def total(table: BlockTable, at_least: int, kind: str) -> int:
        return int(table.column(_column(at_least, kind), count)[overlap].sum())

    classes = []
    for at_least in AT_LEAST:
        paired, mismatched = (total(both, at_least, kind) for kind in _KINDS[:2])
        production, shadow = (paired + mismatched + total(settled, at_least, kind) for kind in _KINDS[2:])
        classes.append(SizeClass(at_least=at_least, production=production, shadow=shadow, paired=paired))
    return tuple(classes) if any(each.production or each.shadow for each in classes) else ()


def _column(at_least: int, kind: str) -> str:
    return f"size/{at_least}/{kind}"
