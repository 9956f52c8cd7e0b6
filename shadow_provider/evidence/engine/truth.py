"""Ground truth: which labels are asked for, and what they say."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import numpy as np

from shadow_provider.comparators.contract import Comparison, Summary
from shadow_provider.comparators.outcomes import Outcome
from shadow_provider.evidence.engine.blocks import BlockTable
from shadow_provider.evidence.engine.store import ReadableStore, StoredObject
from shadow_provider.evidence.lines import FateCounter
from shadow_provider.verdict.measures import PairedMeasure, ScoreMeasure

if TYPE_CHECKING:
    import pyarrow as pa


class TruthComparator(Protocol):
    """Holds both answers against the truth; three batches of equal length as comparators have them."""

    name: str
    identity: str
    outcomes: tuple[Outcome, ...]

    def compare(self, production: "pa.RecordBatch", shadow: "pa.RecordBatch", truth: "pa.RecordBatch") -> Comparison:
        """Compare; a pair without a readable truth has no figure."""


@dataclass(frozen=True)
class Truth:
    """Which labels.

    Attributes:
        store: where they lie.
        prefix: above `yyyy/mm/dd/hh/`, which is the hour in which labels were collected.
        comparator: what is asked of them.
        until: the last hour to look into; that of the look's end if None. Labels come later than captures.
        within: how long an answer and a label wait for each other.
    """

    store: ReadableStore
    prefix: str
    comparator: TruthComparator
    until: datetime | None = None
    within: timedelta = timedelta(days=7)


@dataclass
class TruthStanding:
    """Where the looks have come to with the labels; see `Standing`."""

    table: BlockTable
    summary: Summary | None = None
    fates: FateCounter = field(default_factory=FateCounter)
    objects: list[StoredObject] = field(default_factory=list)
    lines: int = 0


@dataclass(frozen=True)
class TruthResult:
    """What is known of right and wrong.

    Attributes:
        measures: by outcome.
        summary: the comparator's description; None without any label.
        lines: of labels that were read.
        fates: of them; they add up to `lines`.
        examples: places by fate.
        labelled: pairs with a label, by block.
        coverage: share of the settled pairs that have one; None without pairs.
        objects: read so far.
    """

    measures: dict[str, PairedMeasure | ScoreMeasure]
    summary: Summary | None
    lines: int
    fates: dict[str, int]
    examples: dict[str, tuple[str, ...]]
    labelled: tuple[int, ...]
    coverage: float | None
    objects: tuple[StoredObject, ...]


def truth_result(
    standing: TruthStanding, comparator: TruthComparator, waiting: int, pairs: int, count: int
) -> TruthResult:
    """What the looks so far say, of so many settled pairs and blocks; `waiting` labels have no pair yet."""
    fates = standing.fates.counts() | ({"waiting": waiting} if waiting else {})
    labelled = standing.table.column("labelled", count).astype(np.int64)
    return TruthResult(
        measures=standing.table.outcome_measures(comparator.outcomes, count),
        summary=standing.summary,
        lines=standing.lines,
        fates=dict(sorted(fates.items())),
        examples=standing.fates.examples(),
        labelled=tuple(labelled.tolist()),
        coverage=int(labelled.sum()) / pairs if pairs else None,
        objects=tuple(standing.objects),
    )
