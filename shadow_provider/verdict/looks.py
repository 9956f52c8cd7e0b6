"""A gate at one look: an estimate, bounds that hold at all looks together, and what they say about the margin.

Two one-sided questions each: is the harm surely below the margin (PASS), is it surely above (FAIL)? The evidence that
passes has error probability alpha; the one that fails has alpha divided by the number of deciding gates, since one
failing gate is enough to reject.
"""

import math
from collections.abc import Mapping

from shadow_provider.plan.policy import Accuracy, Gate, LabelAgreement, ModelLatency, Policy
from shadow_provider.statistics.blocks import DEFAULT_PRECISION
from shadow_provider.statistics.long_run import MINIMUM_EFFECTIVE
from shadow_provider.verdict.evidence import Frozen
from shadow_provider.verdict.gates import GateState, Unit
from shadow_provider.verdict.measures import Measure, Sequential


class GateLook(Frozen):
    """A gate at one look.

    Attributes:
        metric: the gate's metric.
        measure: what it was judged by.
        state: what the evidence says.
        estimate: what was observed, in the gate's unit.
        lower: lower bound, with the rejection's alpha on the harmful side and alpha on the other.
        upper: upper bound, likewise.
        margin: what the policy accepts.
        unit: how the numbers are meant.
        n: pairs, requests of the smaller side, or blocks.
        effective_blocks: how many independent blocks the series is worth.
        progress: evidence gathered of what passing needs, 0 to 1; what is not yet evidence is 0.
        blocking: whether a promotion has to wait for this gate.
        reason: why this state, in words.
    """

    metric: str
    measure: str
    state: GateState
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    margin: float
    unit: Unit
    n: int = 0
    effective_blocks: float = 0.0
    progress: float = 0.0
    blocking: bool = True
    reason: str


def measure_of(gate: Gate) -> str:
    """The name of the measure by which a gate is judged."""
    if isinstance(gate, ModelLatency):
        return f"model_latency_{gate.percentile}"
    return {
        "invocation_error_rate": "invocation_errors",
        "paired_error_rate": "unreadable",
        "label_agreement": "disagrees",
        "accuracy": "incorrect",
    }[gate.metric]


def look_at(
    gate: Gate, policy: Policy, measures: Mapping[str, Measure], *, precision: float = DEFAULT_PRECISION
) -> GateLook:
    """Looks at one gate; never raises for what the measures hold.

    Args:
        gate: the gate.
        policy: its alpha.
        measures: by name; one that is missing, or has nothing in it, is no data, which never passes.
        precision: of the mixture, in effective blocks; part of the policy, never of the data.
    """
    name, harm, unit = measure_of(gate), _harm_margin(gate), _unit(gate)
    measure = measures.get(name)
    sequential = None if measure is None or not measure.n else measure.sequential(precision)
    if measure is None or sequential is None or sequential.estimate is None:
        return GateLook(
            metric=gate.metric,
            measure=name,
            state=GateState.NO_DATA,
            margin=_shown_margin(gate),
            unit=unit,
            blocking=gate.blocking and not (isinstance(gate, Accuracy) and not gate.required),
            reason=f"there is no figure of {name}",
        )
    passing, failing = math.log(1 / policy.alpha), math.log(1 / policy.reject_alpha)
    below, above = sequential.evidence_below(harm), sequential.evidence_above(harm)
    state = GateState.PASS if below >= passing else GateState.FAIL if above >= failing else GateState.UNDECIDED
    effective = sequential.over_time.effective
    lower, upper = _shown(gate, sequential.bounds(policy.reject_alpha, policy.alpha))
    (estimate,) = _shown(gate, (sequential.estimate,))
    return GateLook(
        metric=gate.metric,
        measure=name,
        state=state,
        estimate=_finite(estimate),
        lower=_finite(lower),
        upper=_finite(upper),
        margin=_shown_margin(gate),
        unit=unit,
        n=measure.n,
        effective_blocks=float(f"{effective:.4g}"),
        progress=float(f"{min(1.0, max(0.0, below / passing)):.4g}"),
        blocking=gate.blocking,
        reason=_reason(state, effective, sequential),
    )


def _harm_margin(gate: Gate) -> float:
    """The margin in the measure's own unit, in which more is worse."""
    if isinstance(gate, LabelAgreement):
        return 1 - gate.minimum
    return math.log1p(gate.margin) if isinstance(gate, ModelLatency) else gate.margin


def _shown_margin(gate: Gate) -> float:
    return gate.minimum if isinstance(gate, LabelAgreement) else gate.margin


def _unit(gate: Gate) -> Unit:
    if isinstance(gate, LabelAgreement):
        return Unit.SHARE
    return Unit.RELATIVE_CHANGE if isinstance(gate, ModelLatency) else Unit.RATE_DIFFERENCE


def _shown(gate: Gate, harms: tuple[float, ...]) -> tuple[float, ...]:
    """Harms in the gate's unit, the lesser number first."""
    if isinstance(gate, LabelAgreement):
        return tuple(1 - harm for harm in reversed(harms))
    if isinstance(gate, ModelLatency):
        return tuple(math.expm1(harm) if harm < math.inf else math.inf for harm in harms)
    return harms


def _reason(state: GateState, effective: float, sequential: Sequential) -> str:
    if state is GateState.PASS:
        return "surely on the good side of the margin"
    if state is GateState.FAIL:
        return "surely on the bad side of the margin"
    if effective < MINIMUM_EFFECTIVE:
        blocks = len(sequential.over_time.weights)
        return f"{blocks:,} blocks are worth {effective:.1f} independent ones, {MINIMUM_EFFECTIVE} are needed"
    return "not surely on either side of the margin"


def _finite(value: float) -> float | None:
    """Ten significant digits: what is left is the same on every machine; None where there is no bound yet."""
    return float(f"{value:.10g}") if math.isfinite(value) else None
