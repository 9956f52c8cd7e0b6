"""Whether the mirror and the captures can be trusted. Where they cannot, no gate means anything.

All tests are sequential: each may be asked at every look, and a whole mirror is called broken with a probability of at
most a thousandth over all looks together.
"""

import math
from collections.abc import Sequence

from shadow_provider.plan.frozen import Frozen
from shadow_provider.policy.policy import Policy
from shadow_provider.statistics.sample_ratio import share_evidence
from shadow_provider.verdict.evidence import Evidence
from shadow_provider.verdict.mirror_blocks import HourOfMirror, MirrorBlocks, by_hour, measured_by, mirror_blocks
from shadow_provider.verdict.silences import gap_faults

ALPHA = 1e-3
"""Probability of calling a whole mirror broken, for each kind of test."""

MOST_FAULTS = 5


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
        doubts: what would be a fault if it stays so once the captures of the newest blocks, which may still be on their
            way, are there.
    """

    configured_share: float
    observed_share: float | None
    share_evidence: float | None
    join_rate: float | None
    measured_by: str
    hours: tuple[HourOfMirror, ...] = ()
    faults: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def measured(self) -> bool:
        """Whether anything is known of it."""
        return self.observed_share is not None and self.join_rate is not None


def examine_mirror(policy: Policy, evidence: Evidence) -> MirrorFinding:
    """Judge the mirror by its share, its join rate, its ids and the gaps in its captures."""
    blocks = mirror_blocks(evidence)
    totals = blocks.totals()
    on_their_way = math.ceil(policy.maximum_capture_lag_seconds / evidence.blocks.seconds)
    arrived = blocks.before(evidence.blocks.count - on_their_way)
    faults = [
        *_count_faults(policy, evidence, arrived),
        *_size_faults(policy, evidence),
        *_id_faults(evidence),
        *gap_faults(policy, evidence),
    ]
    doubts = [] if faults else _count_faults(policy, evidence, blocks)
    share = _share(policy, evidence, totals["requests"], totals["mirrored"], totals["excused"])
    return MirrorFinding(
        configured_share=evidence.mirror.configured_share,
        observed_share=_ratio(totals["mirrored"], totals["requests"]),
        share_evidence=None if share is None else float(f"{min(share, 1e6):.6g}"),
        join_rate=_ratio(totals["joined"], totals["joinable"]),
        measured_by=measured_by(evidence),
        hours=by_hour(evidence, blocks),
        faults=tuple(faults[:MOST_FAULTS]),
        doubts=tuple(doubts[:MOST_FAULTS]),
    )


def _ratio(part: int, of: int) -> float | None:
    return float(f"{part / of:.10g}") if of else None


def _count_faults(policy: Policy, evidence: Evidence, blocks: MirrorBlocks) -> list[str]:
    """What is wrong with the counts of these blocks, over all and by hour."""
    hours = by_hour(evidence, blocks)
    return [*_share_faults(policy, evidence, blocks, hours), *_join_faults(policy, evidence, blocks, hours)]


def _share(policy: Policy, evidence: Evidence, requests: int, mirrored: int, excused: int) -> float | None:
    """Log evidence that the mirrored share is not the configured one; None without requests."""
    configured = evidence.mirror.configured_share
    low, high = configured * (1 - policy.share_tolerance), min(1.0, configured * (1 + policy.share_tolerance))
    if not requests:
        return None
    if mirrored > requests:
        # Around a full minute CloudWatch may count a request before it on the one side and after it on the other. Of
        # two counts that know nothing of each other, the shadow's share of both is at most high / (1 + high).
        return share_evidence(mirrored, mirrored + requests, 0.0, high / (1 + high))
    mirrored = max(mirrored, min(mirrored + excused, round(requests * configured)))
    return share_evidence(mirrored, requests, low, high)


def _share_faults(policy: Policy, evidence: Evidence, blocks: MirrorBlocks, hours: Sequence[HourOfMirror]) -> list[str]:
    configured, totals = evidence.mirror.configured_share, blocks.totals()
    requests, mirrored = totals["requests"], totals["mirrored"]
    share = _share(policy, evidence, requests, mirrored, totals["excused"])
    if share is not None and share >= -math.log(ALPHA):
        return [
            f"{mirrored:,} of {requests:,} requests were mirrored ({mirrored / requests:.1%}), "
            f"{configured:.1%} are configured"
        ]
    for number, hour in enumerate(hours, start=1):
        share = _share(policy, evidence, hour.requests, hour.mirrored, hour.excused)
        if share is not None and share >= _threshold(number):
            return [
                f"from {hour.start:%Y-%m-%d %H:%M} UTC on, {hour.mirrored:,} of an hour's {hour.requests:,} requests "
                f"were mirrored, {configured:.1%} are configured"
            ]
    return []


def _threshold(number: int) -> float:
    """Log evidence that the so manieth of endlessly many tests needs: their error probabilities add up to alpha."""
    return math.log(number * (number + 1)) - math.log(ALPHA)


def _is_low(found: int, of: int, minimum: float, number: int) -> bool:
    return of > 0 and found < minimum * of and share_evidence(found, of, minimum, 1.0) >= _threshold(number)


def _join_faults(policy: Policy, evidence: Evidence, blocks: MirrorBlocks, hours: Sequence[HourOfMirror]) -> list[str]:
    # With partial capture it is not documented whether both sides capture the same requests; if not, this remains.
    minimum, totals = policy.minimum_join_rate * evidence.mirror.captured_share, blocks.totals()
    joined, joinable = totals["joined"], totals["joinable"]
    if _is_low(joined, joinable, minimum, 1):
        return [
            f"{joined:,} of {joinable:,} captures found their partner ({joined / joinable:.1%}), "
            f"at least {minimum:.1%} are needed"
        ]
    for number, hour in enumerate(hours, start=2):
        if _is_low(hour.joined, hour.joinable, minimum, number):
            return [
                f"from {hour.start:%Y-%m-%d %H:%M} UTC on, {hour.joined:,} of an hour's {hour.joinable:,} captures "
                f"found their partner, at least {minimum:.1%} are needed"
            ]
    return []


def _size_faults(policy: Policy, evidence: Evidence) -> list[str]:
    """Do requests of one size find their partner as often as all do?

    All sizes share what leaves captures without a partner for good reason: sampling, the time before the shadow's
    start, captures on their way. So each is held against the rate of all, which is nearer to its own than to that of
    the others, and the test errs on the safe side.
    """
    sizes = evidence.mirror.sizes
    captures, pairs = sum(size.production for size in sizes), sum(size.paired for size in sizes)
    if not pairs or not captures:
        return []
    minimum = policy.minimum_join_rate * min(1.0, pairs / captures)
    for number, size in enumerate(sizes, start=1):
        if _is_low(size.paired, size.production, minimum, number):
            return [
                f"of the requests from {size.at_least:,} bytes on, {size.paired:,} of {size.production:,} captures "
                f"found their partner, of all requests {pairs:,} of {captures:,}"
            ]
    return []


def _id_faults(evidence: Evidence) -> list[str]:
    """Captures of both sides, and not one that can be paired."""
    sides = (evidence.captures.production, evidence.captures.shadow)
    keyed = any(evidence.mirror.production) or any(evidence.mirror.shadow) or any(s.fates.get("paired") for s in sides)
    if keyed or not all(side.fates.get("no_inference_id") for side in sides):
        return []
    return ["the captures carry no inferenceId, so no answers can be paired: callers must send InferenceId"]
