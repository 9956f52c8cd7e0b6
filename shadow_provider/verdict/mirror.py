"""Whether the mirror and the captures can be trusted. Where they cannot, no gate means anything."""

from shadow_provider.plan.policy import Policy
from shadow_provider.statistics.proportion import share_p_value
from shadow_provider.verdict.evidence import Evidence, Frozen

IMPOSSIBLE = 1e-6
"""A p-value under which a deviation of the mirrored share is no chance."""


class MirrorFinding(Frozen):
    """What the mirror's figures say.

    Attributes:
        configured_share: share of the requests that should be mirrored.
        observed_share: share that was, None if it could not be measured.
        share_p_value: p-value of the observed share, failures of the shadow's that capture may have left out set aside.
        join_rate: share of the smaller side's captures that found their partner, None if it has none.
        faults: why the mirror cannot be trusted; none if it can.
    """

    configured_share: float
    observed_share: float | None
    share_p_value: float | None
    join_rate: float | None
    faults: tuple[str, ...] = ()


def examine_mirror(policy: Policy, evidence: Evidence) -> MirrorFinding:
    """Judge the mirror by its share, its join rate, its ids and the end of its captures."""
    mirror = evidence.mirror
    p_value = _share_p_value(policy, evidence)
    faults = [
        fault
        for fault in (
            _share_fault(evidence, p_value),
            _id_fault(evidence),
            _join_fault(policy, evidence),
            _tail_fault(policy, evidence),
        )
        if fault
    ]
    return MirrorFinding(
        configured_share=mirror.configured_share,
        observed_share=mirror.mirrored / mirror.requests if mirror.requests and mirror.mirrored is not None else None,
        share_p_value=p_value,
        join_rate=mirror.joined / mirror.joinable if mirror.joinable else None,
        faults=tuple(faults),
    )


def _share_p_value(policy: Policy, evidence: Evidence) -> float | None:
    mirror = evidence.mirror
    if not mirror.requests or mirror.mirrored is None:
        return None
    low = mirror.configured_share * (1 - policy.share_tolerance)
    high = min(1.0, mirror.configured_share * (1 + policy.share_tolerance))
    mirrored = mirror.mirrored
    if mirror.share_source == "captures":
        # It is not documented whether a failed answer is captured. A failure is the error gate's matter, so it is not
        # held against the mirror as well.
        expected = round(mirror.requests * mirror.configured_share)
        mirrored = max(mirrored, min(mirrored + _shadow_errors(evidence), expected))
    elif mirror.requests < mirrored <= mirror.requests * (1 + policy.share_tolerance):
        # Around a full minute a request may count before it on the one side and after it on the other.
        mirrored = mirror.requests
    if mirrored > mirror.requests:
        return 0.0
    return float(f"{share_p_value(mirrored, mirror.requests, low, high):.10g}")


def _shadow_errors(evidence: Evidence) -> int:
    return evidence.metrics.shadow.errors or 0


def _share_fault(evidence: Evidence, p_value: float | None) -> str | None:
    mirror = evidence.mirror
    if p_value is None or p_value >= IMPOSSIBLE or not mirror.requests or mirror.mirrored is None:
        return None
    return (
        f"{mirror.mirrored:,} of {mirror.requests:,} requests were mirrored ({mirror.mirrored / mirror.requests:.1%}), "
        f"{mirror.configured_share:.1%} are configured (p = {p_value:.1g})"
    )


def _id_fault(evidence: Evidence) -> str | None:
    sides = (evidence.census.production, evidence.census.shadow)
    if evidence.mirror.joinable or not all(side.fates.get("no_inference_id") for side in sides):
        return None
    return "the captures carry no inferenceId, so no answers can be paired: callers must send InferenceId"


def _join_fault(policy: Policy, evidence: Evidence) -> str | None:
    mirror = evidence.mirror
    # With partial capture it is not documented whether both sides capture the same requests; if not, this remains.
    minimum = policy.minimum_join_rate * mirror.captured_share
    if not mirror.joinable or mirror.joined >= minimum * mirror.joinable:
        return None
    return (
        f"{mirror.joined:,} of {mirror.joinable:,} captures found their partner "
        f"({mirror.joined / mirror.joinable:.1%}), at least {minimum:.1%} are needed"
    )


def _tail_fault(policy: Policy, evidence: Evidence) -> str | None:
    production, shadow = evidence.census.production, evidence.census.shadow
    if production.last is None or shadow.last is None:
        return None
    lag = (production.last - shadow.last).total_seconds()
    if abs(lag) <= policy.maximum_capture_lag_seconds:
        return None
    if lag < 0:
        tail = evidence.mirror.shadow_tail
        return (
            f"production's captures stop {-lag:.0f} s before the shadow's, {tail:,} answers are alone" if tail else None
        )
    missing = evidence.mirror.production_tail - _shadow_errors(evidence)
    share = evidence.mirror.configured_share * (1 - policy.share_tolerance)
    if missing <= 0 or (1 - share) ** missing >= IMPOSSIBLE:
        return None
    return (
        f"the shadow's captures stop {lag:.0f} s before production's, {evidence.mirror.production_tail:,} requests on"
    )
