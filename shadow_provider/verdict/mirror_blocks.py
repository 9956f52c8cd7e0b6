"""The mirror by block: what was asked of production, what came to the shadow, and what found its partner."""

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from shadow_provider.plan.frozen import Frozen
from shadow_provider.verdict.evidence import Evidence
from shadow_provider.verdict.measures import RateMeasure, UtcTime

Counts = npt.NDArray[np.int64]


class HourOfMirror(Frozen):
    """The mirror in one hour.

    Attributes:
        start: of the hour.
        requests: production's captures.
        mirrored: requests that the shadow got.
        excused: failed invocations of the shadow, whose captures may be missing for that reason.
        joinable: captures of the side that has fewer.
        joined: of which so many found their partner.
    """

    start: UtcTime
    requests: int
    mirrored: int
    excused: int = 0
    joinable: int
    joined: int


@dataclass(frozen=True)
class MirrorBlocks:
    """Counts by block, in the blocks that count for the mirror; zero in all others. Members as in `HourOfMirror`."""

    requests: Counts
    mirrored: Counts
    excused: Counts
    joinable: Counts
    joined: Counts

    def before(self, count: int) -> "MirrorBlocks":
        """Only what is counted in the first blocks."""
        old = np.arange(len(self.requests)) < count
        return replace(self, **{each.name: getattr(self, each.name) * old for each in fields(self)})

    def totals(self) -> dict[str, int]:
        """Over all blocks."""
        return {each.name: int(getattr(self, each.name).sum()) for each in fields(self)}


def mirror_blocks(evidence: Evidence) -> MirrorBlocks:
    """The blocks between the first and the last that both sides cover, without these two.

    A request may be captured on one side of a block's edge and its copy on the other, and where captures are still on
    their way the newest blocks have one side only.
    """
    mirror = evidence.mirror
    production, shadow, paired, mismatched = (
        np.array(column, dtype=np.int64)
        for column in (mirror.production, mirror.shadow, mirror.paired, mirror.mismatched)
    )
    inner = _inner(production, shadow)
    joinable = np.minimum(production, shadow) * inner
    # Both sides' records of a request stand in the same block, so partners are never split.
    joined = np.minimum(paired, joinable)
    if measured_by(evidence) == "captures":
        # It is not documented whether a failed answer is captured. A failure is the error gate's matter, so it is not
        # held against the mirror as well.
        excused = shadow_errors(evidence) * inner
        return MirrorBlocks(production * inner, (paired + mismatched) * inner, excused, joinable, joined)
    requests, mirrored = (
        np.array([-1 if value is None else round(value) for value in side], dtype=np.int64)
        for side in (evidence.metrics.invocations.production, evidence.metrics.invocations.shadow)
    )
    known = (requests >= 0) & (mirrored >= 0)
    inner = _inner(np.maximum(requests, 0), np.maximum(mirrored, 0)) & known
    return MirrorBlocks(requests * inner, mirrored * inner, np.zeros_like(requests), joinable, joined)


def measured_by(evidence: Evidence) -> str:
    """Where requests and mirrored come from: the captures, or CloudWatch where not all are captured."""
    return "captures" if evidence.mirror.captured_share == 1 else "CloudWatch"


def shadow_errors(evidence: Evidence) -> Counts:
    """The shadow's failed invocations by block; zero where nothing is known of them."""
    errors = evidence.measures.get("invocation_errors")
    if not isinstance(errors, RateMeasure):
        return np.zeros(evidence.blocks.count, dtype=np.int64)
    return np.array(errors.events, dtype=np.int64)


def by_hour(evidence: Evidence, blocks: MirrorBlocks) -> tuple[HourOfMirror, ...]:
    """The same by hour in UTC; hours in which nothing counts are left out."""
    starts = int(evidence.blocks.start.timestamp()) + evidence.blocks.seconds * np.arange(evidence.blocks.count)
    hours, where = np.unique(starts // 3600, return_inverse=True)
    sums = {each.name: np.zeros(len(hours), dtype=np.int64) for each in fields(blocks)}
    for name, column in sums.items():
        np.add.at(column, where, getattr(blocks, name))
    rows = ({name: int(column[at]) for name, column in sums.items()} for at in range(len(hours)))
    return tuple(
        HourOfMirror(start=datetime.fromtimestamp(int(hour) * 3600, UTC), **row)
        for hour, row in zip(hours, rows, strict=True)
        if any(row.values())
    )


def _inner(production: Counts, shadow: Counts) -> npt.NDArray[np.bool_]:
    chosen = np.zeros(len(production), dtype=np.bool_)
    one, other = np.flatnonzero(production), np.flatnonzero(shadow)
    if len(one) and len(other):
        chosen[max(one[0], other[0]) + 1 : min(one[-1], other[-1])] = True
    return chosen
