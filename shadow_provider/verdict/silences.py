"""Gaps in the captures: one side goes on and the other is silent for longer than chance or lag can explain."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from shadow_provider.policy.policy import Policy
from shadow_provider.verdict.evidence import Evidence
from shadow_provider.verdict.mirror_blocks import Counts, shadow_errors

IMPOSSIBLE = 1e-6
"""Under this probability a silence is no chance."""

_LONGEST_START = 3600
"""Seconds that an endpoint may take, from the making of its config on, until the shadow serves."""


@dataclass(frozen=True)
class _Silence:
    """A run of blocks without the one side's captures.

    Attributes:
        begin: first block of it.
        end: the block after the last one in which the other side has any.
        open: whether the silent side has not come back.
        missing: captures of the other side in it.
    """

    begin: int
    end: int
    open: bool
    missing: int


def gap_faults(policy: Policy, evidence: Evidence) -> list[str]:
    """What is wrong with the captures' course, for each side at most one sentence on its worst silence.

    Before a side's first capture it was not there yet; a side that never came has been silent since it should have.
    """
    mirror = evidence.mirror
    production, shadow = (np.array(column, dtype=np.int64) for column in (mirror.production, mirror.shadow))
    if not production.any() and not shadow.any():
        return []
    kept = mirror.captured_share * (1 - policy.share_tolerance)
    nothing = np.zeros_like(production)
    sides = (
        ("the shadow", production, shadow, kept * mirror.configured_share, shadow_errors(evidence)),
        ("production", shadow, production, kept, nothing),
    )
    faults = []
    for name, there, silent, share, excused in sides:
        first = _first(evidence, name, there, silent)
        found = [
            silence
            for silence in _silences(there, silent, excused, first)
            if _is_gap(silence, policy, evidence.blocks.seconds, share)
        ]
        if found:
            worst = max(found, key=lambda silence: silence.missing)
            start = evidence.blocks.start + timedelta(seconds=worst.begin * evidence.blocks.seconds)
            faults.append(
                f"the captures of {name} have a gap of {(worst.end - worst.begin) * evidence.blocks.seconds:,} s from "
                f"{start:%Y-%m-%d %H:%M:%S} UTC on, in which the other side has {worst.missing:,}"
            )
    return faults


def _is_gap(silence: _Silence, policy: Policy, seconds: int, share: float) -> bool:
    if silence.open and (silence.end - silence.begin) * seconds <= policy.maximum_capture_lag_seconds:
        return False
    return silence.missing > 0 and (share >= 1 or silence.missing * math.log1p(-share) < math.log(IMPOSSIBLE))


def _first(evidence: Evidence, name: str, there: Counts, silent: Counts) -> int:
    """The block from which on a side's silence counts."""
    came = np.flatnonzero(silent)
    if len(came):
        return int(came[0])
    invocations = evidence.metrics.invocations
    counted = invocations.shadow if name == "the shadow" else invocations.production
    served = [at for at, value in enumerate(counted) if value]
    late = int(np.flatnonzero(there)[0]) + math.ceil(_LONGEST_START / evidence.blocks.seconds)
    return min([late, *served])


def _silences(there: Counts, silent: Counts, excused: Counts, first: int) -> Iterator[_Silence]:
    heard = np.flatnonzero(silent).tolist()
    # Between two blocks that were heard, and after the last.
    for before, after in zip([first - 1, *heard], [*heard, len(silent)], strict=True):
        begin = max(before + 1, first)
        others = np.flatnonzero(there[begin:after])
        if len(others):
            end = begin + int(others[-1]) + 1
            missing = max(0, int(there[begin:end].sum()) - int(excused[begin:end].sum()))
            yield _Silence(begin, end, after == len(silent), missing)
