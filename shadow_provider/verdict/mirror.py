"""Whether the mirror and the captures can be trusted. Where they cannot, no gate means anything.

All tests are sequential: each may be asked at every look, and a whole mirror is called broken with a probability of at
most a thousandth over all looks together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
from pydantic import AwareDatetime

from shadow_provider.policy.policy import Policy
from shadow_provider.statistics.sample_ratio import share_evidence
from shadow_provider.verdict.evidence import Evidence
from shadow_provider.verdict.measures import Frozen, RateMeasure

ALPHA = 1e-3
"""Probability of calling a whole mirror broken, for each kind of test."""

IMPOSSIBLE = 1e-6
"""Under this probability a silence is no chance."""

MOST_FAULTS = 5

Counts = npt.NDArray[np.int64]


class HourOfMirror(Frozen):
    """The mirror in one hour.

    Attributes:
        start: of the hour.
        requests: production's captures.
        mirrored: requests that the shadow got.
        joinable: captures of the side that has fewer.
        joined: of which so many found their partner.
    """

    start: AwareDatetime
    requests: int
    mirrored: int
    joinable: int
    joined: int


class MirrorFinding(Frozen):
    """What the mirror's figures say.

    Attributes:
        configured_share: share of the requests that should be mirrored.
        observed_share: share that was, None if it could not be measured.
        share_evidence: log evidence that the observed share is not the configured one; from 6.9 on it is broken.
        join_rate: share of the smaller side's captures that found their partner, None if it has none.
        measured_by: where requests and mirrored come from: the captures, or CloudWatch where not all are captured.
        hours: the same by hour.
        faults: why the mirror cannot be trusted; none if it can.
    """

    configured_share: float
    observed_share: float | None
    share_evidence: float | None
    join_rate: float | None
    measured_by: str
    hours: tuple[HourOfMirror, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def measured(self) -> bool:
        """Whether anything is known of it."""
        return self.observed_share is not None and self.join_rate is not None


@dataclass(frozen=True)
class _Columns:
    """Counts by block, in the blocks that count for the mirror; zero in all others."""

    starts: tuple[datetime, ...]
    requests: Counts
    mirrored: Counts
    joinable: Counts
    joined: Counts


def examine_mirror(policy: Policy, evidence: Evidence) -> MirrorFinding:
    """Judge the mirror by its share, its join rate, its ids and the gaps in its captures."""
    mirror = evidence.mirror
    columns = _columns(evidence)
    requests, mirrored = int(columns.requests.sum()), int(columns.mirrored.sum())
    joinable, joined = int(columns.joinable.sum()), int(columns.joined.sum())
    hours = _by_hour(columns)
    share = _share(policy, evidence, requests, mirrored) if requests else None
    faults = [
        *_share_faults(policy, evidence, requests, mirrored, share, hours),
        *_join_faults(policy, evidence, joinable, joined, hours),
        *_id_faults(evidence, joinable),
        *_gap_faults(policy, evidence),
    ]
    return MirrorFinding(
        configured_share=mirror.configured_share,
        observed_share=float(f"{mirrored / requests:.10g}") if requests else None,
        share_evidence=None if share is None else float(f"{min(share, 1e6):.6g}"),
        join_rate=float(f"{joined / joinable:.10g}") if joinable else None,
        measured_by=_measured_by(evidence),
        hours=hours,
        faults=tuple(faults[:MOST_FAULTS]),
    )


def _measured_by(evidence: Evidence) -> str:
    return "captures" if evidence.mirror.captured_share == 1 else "CloudWatch"


def _columns(evidence: Evidence) -> _Columns:
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
    starts = evidence.blocks.starts()
    joinable = np.minimum(production, shadow) * inner
    # Both sides' records of a request stand in the same block, so partners are never split.
    joined = np.minimum(paired, joinable)
    if _measured_by(evidence) == "captures":
        return _Columns(starts, production * inner, (paired + mismatched) * inner, joinable, joined)
    counted = [
        np.array([-1 if value is None else round(value) for value in side], dtype=np.int64)
        for side in (evidence.metrics.invocations.production, evidence.metrics.invocations.shadow)
    ]
    known = (counted[0] >= 0) & (counted[1] >= 0)
    inner = _inner(np.maximum(counted[0], 0), np.maximum(counted[1], 0)) & known
    return _Columns(starts, counted[0] * inner, counted[1] * inner, joinable, joined)


def _inner(production: Counts, shadow: Counts) -> npt.NDArray[np.bool_]:
    chosen = np.zeros(len(production), dtype=np.bool_)
    one, other = np.flatnonzero(production), np.flatnonzero(shadow)
    if len(one) and len(other):
        chosen[max(one[0], other[0]) + 1 : min(one[-1], other[-1])] = True
    return chosen


def _by_hour(columns: _Columns) -> tuple[HourOfMirror, ...]:
    hours: dict[datetime, list[int]] = {}
    figures = (columns.requests, columns.mirrored, columns.joinable, columns.joined)
    for start, *counts in zip(columns.starts, *(column.tolist() for column in figures), strict=True):
        if any(counts):
            hour = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
            hours[hour] = [have + more for have, more in zip(hours.get(hour, [0] * 4), counts, strict=True)]
    return tuple(
        HourOfMirror(start=hour, requests=counts[0], mirrored=counts[1], joinable=counts[2], joined=counts[3])
        for hour, counts in sorted(hours.items())
    )


def _share(policy: Policy, evidence: Evidence, requests: int, mirrored: int) -> float:
    low, high = _accepted(policy, evidence)
    if evidence.mirror.captured_share == 1:
        # It is not documented whether a failed answer is captured. A failure is the error gate's matter, so it is not
        # held against the mirror as well.
        expected = round(requests * evidence.mirror.configured_share)
        mirrored = max(mirrored, min(mirrored + _shadow_errors(evidence), expected))
    elif requests < mirrored <= requests * (1 + policy.share_tolerance):
        # Around a full minute a request may count before it on the one side and after it on the other.
        mirrored = requests
    return math.inf if mirrored > requests else share_evidence(mirrored, requests, low, high)


def _accepted(policy: Policy, evidence: Evidence) -> tuple[float, float]:
    share = evidence.mirror.configured_share
    return share * (1 - policy.share_tolerance), min(1.0, share * (1 + policy.share_tolerance))


def _shadow_errors(evidence: Evidence) -> int:
    errors = evidence.measures.get("invocation_errors")
    return sum(errors.events) if isinstance(errors, RateMeasure) else 0


def _share_faults(
    policy: Policy,
    evidence: Evidence,
    requests: int,
    mirrored: int,
    share: float | None,
    hours: Sequence[HourOfMirror],
) -> list[str]:
    configured = evidence.mirror.configured_share
    if share is not None and share >= -math.log(ALPHA):
        return [
            f"{mirrored:,} of {requests:,} requests were mirrored ({mirrored / requests:.1%}), "
            f"{configured:.1%} are configured"
        ]
    broken = [
        hour
        for number, hour in enumerate(hours, start=1)
        if hour.requests and _share(policy, evidence, hour.requests, hour.mirrored) >= _threshold(number)
    ]
    return [
        f"from {hour.start:%Y-%m-%d %H:%M} UTC on, {hour.mirrored:,} of an hour's {hour.requests:,} requests were "
        f"mirrored, {configured:.1%} are configured"
        for hour in broken[:1]
    ]


def _threshold(number: int) -> float:
    """Log evidence that the so manieth of endlessly many tests needs: their error probabilities add up to alpha."""
    return math.log(number * (number + 1)) - math.log(ALPHA)


def _join_faults(
    policy: Policy, evidence: Evidence, joinable: int, joined: int, hours: Sequence[HourOfMirror]
) -> list[str]:
    # With partial capture it is not documented whether both sides capture the same requests; if not, this remains.
    minimum = policy.minimum_join_rate * evidence.mirror.captured_share

    def broken(found: int, of: int, number: int) -> bool:
        return of > 0 and found < minimum * of and share_evidence(found, of, minimum, 1.0) >= _threshold(number)

    if broken(joined, joinable, 1):
        return [
            f"{joined:,} of {joinable:,} captures found their partner ({joined / joinable:.1%}), "
            f"at least {minimum:.1%} are needed"
        ]
    for number, hour in enumerate(hours, start=2):
        if broken(hour.joined, hour.joinable, number):
            return [
                f"from {hour.start:%Y-%m-%d %H:%M} UTC on, {hour.joined:,} of an hour's {hour.joinable:,} captures "
                f"found their partner, at least {minimum:.1%} are needed"
            ]
    for number, size in enumerate(evidence.mirror.sizes, start=2):
        of = min(size.production, size.shadow) if evidence.mirror.configured_share < 1 else size.production
        if broken(size.paired, of, number):
            return [
                f"of the requests from {size.at_least:,} bytes on, {size.paired:,} of {of:,} captures found their "
                f"partner, at least {minimum:.1%} are needed"
            ]
    return []


def _id_faults(evidence: Evidence, joinable: int) -> list[str]:
    sides = (evidence.captures.production, evidence.captures.shadow)
    if joinable or not all(side.fates.get("no_inference_id") for side in sides):
        return []
    return ["the captures carry no inferenceId, so no answers can be paired: callers must send InferenceId"]


def _gap_faults(policy: Policy, evidence: Evidence) -> list[str]:
    """Runs of blocks in which one side goes on and the other is silent, and sides that have stopped."""
    mirror = evidence.mirror
    production, shadow = (np.array(column, dtype=np.int64) for column in (mirror.production, mirror.shadow))
    begins = [int(np.flatnonzero(side)[0]) for side in (production, shadow) if side.any()]
    if not begins:
        return []
    # A side that never came has been silent since the other began.
    first = max(begins)
    low, _ = _accepted(policy, evidence)
    faults = []
    for name, there, silent, share in (
        ("the shadow", production, shadow, low),
        ("production", shadow, production, 1.0),
    ):
        begin, length, missing = _longest_silence(there[first:], silent[first:])
        seconds = length * evidence.blocks.seconds
        at_end = first + begin + length == evidence.blocks.count
        if at_end and seconds <= policy.maximum_capture_lag_seconds:
            continue
        missing -= _shadow_errors(evidence) if name == "the shadow" else 0
        if missing > 0 and (share >= 1 or missing * math.log1p(-share) < math.log(IMPOSSIBLE)):
            start = evidence.blocks.start + timedelta(seconds=(first + begin) * evidence.blocks.seconds)
            faults.append(
                f"the captures of {name} have a gap of {seconds:,} s from {start:%Y-%m-%d %H:%M:%S} UTC on, "
                f"in which the other side has {int(missing):,}"
            )
    return faults


def _longest_silence(there: Counts, silent: Counts) -> tuple[int, int, int]:
    """First block, blocks and the other side's captures of the silence in which the other side has most."""
    best, begin = (0, 0, 0), 0
    missing = 0
    for at, (other, own) in enumerate(zip(there.tolist(), silent.tolist(), strict=True)):
        if own:
            begin, missing = at + 1, 0
            continue
        missing += other
        if missing > best[2]:
            best = (begin, at + 1 - begin, missing)
    return best
