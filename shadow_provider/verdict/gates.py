"""One gate against the evidence: an estimate, its bounds, and what they say about the margin.

Two one-sided questions each: is harm surely below the margin (PASS), is it surely above (FAIL)? The bound that passes
has error probability alpha; the one that fails has alpha divided by the number of deciding gates.
"""

from enum import StrEnum

from shadow_provider.plan.policy import (
    Accuracy,
    Gate,
    InvocationErrorRate,
    LabelAgreement,
    ModelLatency,
    PairedErrorRate,
    Policy,
)
from shadow_provider.statistics.paired import mcnemar_mid_p, paired_difference
from shadow_provider.statistics.proportion import clopper_pearson, independent_difference
from shadow_provider.verdict.evidence import Evidence, Frozen, VariantMetrics
from shadow_provider.verdict.latency import needed_samples, ratio_bounds

MINIMUM_READABLE_SHARE = 0.5
"""Share of the pairs in which some answer must be readable before anything is said of answers."""


class GateState(StrEnum):
    """What the evidence says about one gate."""

    PASS = "PASS"  # noqa: S105 - not a password
    FAIL = "FAIL"
    UNDECIDED = "UNDECIDED"
    NO_DATA = "NO_DATA"


class Unit(StrEnum):
    """How a gate's numbers are meant; all are fractions."""

    RATE_DIFFERENCE = "rate difference"
    SHARE = "share"
    RELATIVE_CHANGE = "relative change"


class GateResult(Frozen):
    """A gate after judging.

    Attributes:
        metric: the gate's metric.
        state: what the evidence says.
        estimate: what was observed, candidate minus production (for accuracy: production minus candidate, so that more
            is always worse, except for a share of agreement).
        lower: lower bound; the one that fails a gate has the rejection's alpha, the one that passes alpha.
        upper: upper bound, likewise.
        margin: what the policy accepts.
        n: pairs, or invocations of the smaller side.
        unit: how the numbers are meant.
        report_only: shown, but not deciding.
        blocking: whether a PROMOTE has to wait for this gate.
        reason: why this state, in words.
    """

    metric: str
    state: GateState
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    margin: float
    n: int = 0
    unit: Unit
    report_only: bool = False
    blocking: bool = True
    reason: str


def judge_gate(gate: Gate, policy: Policy, evidence: Evidence) -> GateResult:
    """Judge one gate; never raises for what the evidence holds."""
    if isinstance(gate, InvocationErrorRate):
        return _invocation_errors(gate, policy, evidence)
    if isinstance(gate, PairedErrorRate):
        return _paired_errors(gate, policy, evidence)
    if isinstance(gate, LabelAgreement):
        return _agreement(gate, policy, evidence)
    if isinstance(gate, Accuracy):
        return _accuracy(gate, policy, evidence)
    return _latency(gate, policy, evidence)


def _invocation_errors(gate: InvocationErrorRate, policy: Policy, evidence: Evidence) -> GateResult:
    production = _error_counts(evidence.metrics.production)
    shadow = _error_counts(evidence.metrics.shadow)
    if production is None or shadow is None:
        side = "production" if production is None else "the shadow"
        return _no_data(gate, Unit.RATE_DIFFERENCE, f"CloudWatch has no consistent counts of {side}'s invocations")
    counts = (*shadow, *production)
    return _harm(
        gate,
        Unit.RATE_DIFFERENCE,
        n=min(shadow[1], production[1]),
        estimate=shadow[0] / shadow[1] - production[0] / production[1],
        lower=independent_difference(*counts, policy.reject_alpha)[0],
        upper=independent_difference(*counts, policy.alpha)[1],
        what=f"errors {shadow[0]:,}/{shadow[1]:,} against {production[0]:,}/{production[1]:,}",
    )


def _error_counts(metrics: VariantMetrics) -> tuple[int, int] | None:
    errors, invocations = metrics.errors, metrics.invocations
    if errors is None or not invocations or errors > invocations:
        return None
    return errors, invocations


def _paired_errors(gate: PairedErrorRate, policy: Policy, evidence: Evidence) -> GateResult:
    table = evidence.answers
    missing = _unreadable(evidence)
    if missing:
        return _no_data(gate, Unit.RATE_DIFFERENCE, missing, n=table.pairs)
    return _paired_harm(
        gate,
        policy,
        worse=table.shadow_only,
        better=table.production_only,
        pairs=table.pairs,
        what=f"bad answers: {table.shadow_only:,} the shadow's alone, {table.production_only:,} production's alone",
    )


def _unreadable(evidence: Evidence) -> str | None:
    table = evidence.answers
    if table.pairs == 0:
        return "there are no pairs"
    if table.pairs - table.both < MINIMUM_READABLE_SHARE * table.pairs:
        return f"in {table.both:,} of {table.pairs:,} pairs no answer could be read: check the comparator"
    return None


def _agreement(gate: LabelAgreement, policy: Policy, evidence: Evidence) -> GateResult:
    labels = evidence.labels
    missing = _unreadable(evidence) or (None if labels.pairs else "there are no labels")
    if missing:
        return _no_data(gate, Unit.SHARE, missing, n=labels.pairs)
    lower = clopper_pearson(labels.agreeing, labels.pairs, policy.alpha)[0]
    upper = clopper_pearson(labels.agreeing, labels.pairs, policy.reject_alpha)[1]
    state = _state(passes=lower > gate.minimum, fails=upper < gate.minimum)
    return GateResult(
        metric=gate.metric,
        state=state,
        estimate=_rounded(labels.agreeing / labels.pairs),
        lower=_rounded(lower),
        upper=_rounded(upper),
        margin=gate.minimum,
        n=labels.pairs,
        unit=Unit.SHARE,
        report_only=gate.report_only,
        blocking=gate.blocking,
        reason=f"{labels.agreeing:,} of {labels.pairs:,} pairs agree; {_said(state)} the minimum",
    )


def _accuracy(gate: Accuracy, policy: Policy, evidence: Evidence) -> GateResult:
    labelled = evidence.truth.correct.pairs if evidence.truth else 0
    if labelled == 0 or labelled < gate.minimum_coverage * evidence.pairs:
        reason = (
            f"{labelled:,} of {evidence.pairs:,} pairs have a true label, {gate.minimum_coverage:.0%} are needed"
            if evidence.truth
            else "no ground truth was given"
        )
        return _no_data(gate, Unit.RATE_DIFFERENCE, reason, n=labelled, blocking=gate.blocking and gate.required)
    assert evidence.truth is not None
    table = evidence.truth.correct
    return _paired_harm(
        gate,
        policy,
        worse=table.production_only,
        better=table.shadow_only,
        pairs=table.pairs,
        what=f"right: {table.production_only:,} production's alone, {table.shadow_only:,} the shadow's alone",
    )


def _latency(gate: ModelLatency, policy: Policy, evidence: Evidence) -> GateResult:
    production, shadow = evidence.metrics.production, evidence.metrics.shadow
    if not production.latency_samples or not shadow.latency_samples:
        return _no_data(gate, Unit.RELATIVE_CHANGE, "CloudWatch has no latency samples of both variants")
    n = min(production.latency_samples, shadow.latency_samples)
    needed = needed_samples(gate, policy)
    if n < needed:
        reason = f"{n:,} latency samples on the smaller side, {needed:,} are needed"
        return _no_data(gate, Unit.RELATIVE_CHANGE, reason, n=n)
    passing = ratio_bounds(gate, production, shadow, policy.alpha)
    base, candidate = production.latency.get(gate.percentile), shadow.latency.get(gate.percentile)
    if passing is None or not base or candidate is None:
        reason = "CloudWatch did not give the percentiles that bound it"
        return _no_data(gate, Unit.RELATIVE_CHANGE, reason, n=n)
    failing = ratio_bounds(gate, production, shadow, policy.reject_alpha)
    return _harm(
        gate,
        Unit.RELATIVE_CHANGE,
        n=n,
        estimate=candidate / base - 1,
        # A sample that is too small for the stricter bound cannot fail the gate: -1 is the least possible change.
        lower=failing[0] if failing else -1.0,
        upper=passing[1],
        what=f"{gate.percentile} {candidate / 1000:.2f} ms against {base / 1000:.2f} ms",
    )


def _paired_harm(
    gate: PairedErrorRate | Accuracy, policy: Policy, *, worse: int, better: int, pairs: int, what: str
) -> GateResult:
    return _harm(
        gate,
        Unit.RATE_DIFFERENCE,
        n=pairs,
        estimate=(worse - better) / pairs,
        lower=paired_difference(worse, better, pairs, policy.reject_alpha)[0],
        upper=paired_difference(worse, better, pairs, policy.alpha)[1],
        what=f"{what} (McNemar mid-p {mcnemar_mid_p(worse, better):.2g})",
    )


def _harm(
    gate: InvocationErrorRate | PairedErrorRate | Accuracy | ModelLatency,
    unit: Unit,
    *,
    n: int,
    estimate: float,
    lower: float,
    upper: float,
    what: str,
) -> GateResult:
    state = _state(passes=upper < gate.margin, fails=lower > gate.margin)
    return GateResult(
        metric=gate.metric,
        state=state,
        estimate=_rounded(estimate),
        lower=_rounded(lower),
        upper=_rounded(upper),
        margin=gate.margin,
        n=n,
        unit=unit,
        report_only=gate.report_only,
        blocking=gate.blocking,
        reason=f"{what}; {_said(state)} the margin",
    )


def _no_data(gate: Gate, unit: Unit, reason: str, *, n: int = 0, blocking: bool | None = None) -> GateResult:
    return GateResult(
        metric=gate.metric,
        state=GateState.NO_DATA,
        margin=gate.minimum if isinstance(gate, LabelAgreement) else gate.margin,
        n=n,
        unit=unit,
        report_only=gate.report_only,
        blocking=gate.blocking if blocking is None else blocking,
        reason=reason,
    )


def _state(*, passes: bool, fails: bool) -> GateState:
    if passes:
        return GateState.PASS
    return GateState.FAIL if fails else GateState.UNDECIDED


def _said(state: GateState) -> str:
    return {
        GateState.PASS: "surely on the good side of",
        GateState.FAIL: "surely on the bad side of",
    }.get(state, "not surely on either side of")


def _rounded(value: float) -> float:
    """Ten significant digits: what is left is the same on every machine and with every build of scipy."""
    return float(f"{value:.10g}")
