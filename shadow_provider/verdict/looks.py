"""A gate at one look: an estimate, bounds that hold at all looks together, and what they say about the margin.

Two one-sided questions each: is the harm surely below the margin (PASS), is it surely above (FAIL)? The evidence that
passes has error probability alpha; the one that fails has alpha divided by the number of deciding gates, since one
failing gate is enough to reject. A critical gate fails as soon as there is surely any harm.
"""

import math
from collections.abc import Mapping
from enum import StrEnum

from shadow_provider.comparators.outcomes import disagreement, outcomes_of
from shadow_provider.plan.frozen import Frozen
from shadow_provider.policy.gates import (
    Accuracy,
    Agreement,
    ComparatorOutcome,
    Gate,
    GroundTruthLoss,
    InvocationErrorRate,
    ModelLatency,
)
from shadow_provider.policy.policy import Policy, is_on_answers, is_on_pairs
from shadow_provider.statistics.long_run import MINIMUM_EFFECTIVE
from shadow_provider.verdict.evidence import Evidence
from shadow_provider.verdict.measures import Measure
from shadow_provider.verdict.outlook import blocks_to_decision
from shadow_provider.verdict.units import Unit

MINIMUM_READABLE_SHARE = 0.5
"""Share of the pairs in which some answer must be readable before anything is said of answers."""


class GateState(StrEnum):
    """What the evidence says about one gate."""

    PASS = "PASS"  # noqa: S105 - not a password
    FAIL = "FAIL"
    UNDECIDED = "UNDECIDED"
    NO_DATA = "NO_DATA"


class GateLook(Frozen):
    """A gate at one look.

    Attributes:
        name: the gate's name.
        metric: the gate's metric.
        measure: what it was judged by.
        segment: the part of the traffic, such as `size=<1024`; None for all of it.
        state: what the evidence says.
        estimate: what was observed, in the gate's unit.
        lower: lower bound, with the rejection's alpha on the harmful side and alpha on the other.
        upper: upper bound, likewise.
        margin: what the policy accepts.
        unit: how the numbers are meant.
        n: pairs, requests of the smaller side, or blocks.
        effective_blocks: how many independent blocks the series is worth.
        progress: evidence gathered of what passing needs, 0 to 1; what is not yet evidence is 0.
        detectable: the least margin that a candidate as good as production would pass by now (for a share: how far
            the bound lies below the estimate); None while there is no bound.
        hours_to_decision: how much longer, if all goes on as it was; None where no time is long enough or it is known.
        blocking: whether a promotion has to wait for this gate.
        critical: whether it fails at any harm.
        reason: why this state, in words.
    """

    name: str
    metric: str
    measure: str
    segment: str | None = None
    state: GateState
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    margin: float
    unit: Unit
    n: int = 0
    effective_blocks: float = 0.0
    progress: float = 0.0
    detectable: float | None = None
    hours_to_decision: float | None = None
    blocking: bool = True
    critical: bool = False
    reason: str

    @property
    def provable(self) -> float | None:
        """The tightest limit, in the gate's own terms, that a candidate as good as production would pass by now."""
        if self.detectable is None:
            return None
        return max(0.0, 1 - self.detectable) if self.unit is Unit.SHARE else self.detectable

    @property
    def shown_name(self) -> str:
        """The name, with the segment if it is of one."""
        return f"{self.name} [{self.segment}]" if self.segment else self.name


def measure_of(gate: Gate, policy: Policy) -> str:
    """The name of the measure by which a gate is judged."""
    if isinstance(gate, ModelLatency):
        return f"model_latency_{gate.percentile}"
    if isinstance(gate, Agreement):
        return disagreement(policy.comparator) or ""
    if isinstance(gate, ComparatorOutcome):
        return gate.outcome
    if isinstance(gate, Accuracy | GroundTruthLoss):
        return f"truth_{gate.outcome}"
    return "invocation_errors" if isinstance(gate, InvocationErrorRate) else "unreadable"


def look_at(gate: Gate, policy: Policy, evidence: Evidence) -> GateLook:
    """Looks at one gate over all the traffic; never raises for what the evidence holds."""
    missing = _unreadable(gate, policy, evidence.measures)
    aside = False
    if isinstance(gate, Accuracy | GroundTruthLoss):
        uncovered = _uncovered(gate, evidence)
        missing, aside = missing or uncovered, bool(uncovered) and not gate.required
    return _look(gate, policy, evidence.measures, evidence.blocks.seconds, missing=missing, aside=aside)


def look_at_segments(policy: Policy, evidence: Evidence) -> tuple[GateLook, ...]:
    """Looks at the gates on answers in each part of the traffic; only the values of declared segments decide."""
    declared = {(segment.name, value) for segment in policy.declared_segments for value in segment.values}
    gates = [gate for gate in policy.gates if is_on_answers(gate)]
    return tuple(
        _look(
            gate,
            policy,
            each.measures,
            evidence.blocks.seconds,
            missing=_unreadable(gate, policy, each.measures),
            aside=(each.segment, each.value) not in declared,
            segment=f"{each.segment}={each.value}",
        )
        for each in evidence.segments
        for gate in gates
    )


def _unreadable(gate: Gate, policy: Policy, measures: Mapping[str, Measure]) -> str | None:
    """Why nothing can be said of answers, if so: hardly any could be read."""
    if not is_on_pairs(gate):
        return None
    pairs = measures.get("unreadable")
    names = [outcome.name for outcome in outcomes_of(policy.comparator)]
    compared = max((measures[name].n for name in names if name in measures), default=0)
    if pairs is not None and pairs.n and compared < MINIMUM_READABLE_SHARE * pairs.n:
        return f"of {pairs.n:,} pairs only {compared:,} could be compared: check the comparator"
    return None


def _uncovered(gate: Accuracy | GroundTruthLoss, evidence: Evidence) -> str | None:
    if evidence.truth is None:
        return "no ground truth was given"
    labelled = sum(evidence.truth.labelled)
    if labelled and labelled >= gate.minimum_coverage * evidence.pairs:
        return None
    return f"{labelled:,} of {evidence.pairs:,} pairs have a true label, {gate.minimum_coverage:.0%} are needed"


def _look(
    gate: Gate,
    policy: Policy,
    measures: Mapping[str, Measure],
    block_seconds: int,
    *,
    missing: str | None,
    aside: bool,
    segment: str | None = None,
) -> GateLook:
    name, harm, unit = measure_of(gate, policy), harm_margin(gate), unit_of(gate, policy)
    measure = measures.get(name)
    sequential = None if measure is None or not measure.n else measure.sequential(policy.precision)
    known = {
        "name": gate.name,
        "metric": gate.metric,
        "measure": name,
        "segment": segment,
        "margin": shown_margin(gate),
        "unit": unit,
        "blocking": gate.blocking and not aside,
        "critical": gate.critical,
        "n": 0 if measure is None else measure.n,
    }
    if missing or measure is None or sequential is None or sequential.estimate is None:
        reason = missing or f"has no figure of {name}"
        return GateLook.model_validate(known | {"state": GateState.NO_DATA, "reason": reason})
    passing, failing = math.log(1 / policy.alpha), math.log(1 / policy.reject_alpha)
    below = sequential.evidence_below(harm)
    above = sequential.evidence_above(0.0 if gate.critical else harm)
    # A critical gate may have surely some harm and surely less than the margin; it was made critical to fail then.
    state = GateState.FAIL if above >= failing else GateState.PASS if below >= passing else GateState.UNDECIDED
    effective = sequential.over_time.effective
    bounds = sequential.bounds(policy.reject_alpha, policy.alpha)
    lower, upper = in_gate_unit(gate, bounds)
    (estimate,) = in_gate_unit(gate, (sequential.estimate,))
    more = None if state is not GateState.UNDECIDED else blocks_to_decision(sequential, harm, policy)
    reach = _shown_reach(gate, bounds[1] - sequential.estimate)
    return GateLook.model_validate(
        known
        | {
            "state": state,
            "estimate": _finite(estimate),
            "lower": _finite(lower),
            "upper": _finite(upper),
            "effective_blocks": float(f"{effective:.4g}"),
            "progress": float(f"{min(1.0, max(0.0, below / passing)):.4g}"),
            "detectable": _finite(reach),
            "hours_to_decision": None if more is None else float(f"{more * block_seconds / 3600:.3g}"),
            "reason": _reason(state, effective, critical=gate.critical),
        }
    )


def harm_margin(gate: Gate) -> float:
    """The margin in the measure's own unit, in which more is worse."""
    return math.log1p(gate.margin) if isinstance(gate, ModelLatency) else gate.margin


def shown_margin(gate: Gate) -> float:
    """The margin as a person reads it: for agreement the least share."""
    return gate.minimum if isinstance(gate, Agreement) else gate.margin


def unit_of(gate: Gate, policy: Policy) -> Unit:
    """How a gate's numbers are meant."""
    if isinstance(gate, Agreement):
        return Unit.SHARE
    if isinstance(gate, ModelLatency):
        return Unit.RELATIVE_CHANGE
    if isinstance(gate, ComparatorOutcome | GroundTruthLoss):
        return Unit.RATE_DIFFERENCE if policy.is_binary(gate) else Unit.SCORE
    return Unit.RATE_DIFFERENCE


def in_gate_unit(gate: Gate, harms: tuple[float, ...]) -> tuple[float, ...]:
    """Harms in the gate's unit, the lesser number first."""
    if isinstance(gate, Agreement):
        return tuple(min(1.0, max(0.0, 1 - harm)) for harm in reversed(harms))
    if isinstance(gate, ModelLatency):
        return tuple(math.expm1(harm) if harm < math.inf else math.inf for harm in harms)
    return harms


def _shown_reach(gate: Gate, distance: float) -> float:
    return math.expm1(distance) if isinstance(gate, ModelLatency) and distance < math.inf else distance


def _reason(state: GateState, effective: float, *, critical: bool) -> str:
    if state is GateState.PASS:
        return "surely on the good side of the margin"
    if state is GateState.FAIL:
        return "surely harm, and the gate is critical" if critical else "surely on the bad side of the margin"
    if effective < MINIMUM_EFFECTIVE:
        return f"is worth {effective:.1f} independent blocks so far, {MINIMUM_EFFECTIVE} are needed"
    return "not surely on either side of the margin"


def _finite(value: float) -> float | None:
    """Ten significant digits: what is left is the same on every machine; None where there is no bound yet."""
    return float(f"{value:.10g}") if math.isfinite(value) else None
