"""Which percentiles must be asked for before a latency gate can be judged, and the bounds they give.

Collecting and judging must agree on the ranks, so both take them from here.
"""

from shadow_provider.plan.policy import ModelLatency, Policy
from shadow_provider.statistics.quantile import bound_percentiles, minimum_samples
from shadow_provider.verdict.evidence import VariantMetrics

DESCRIPTIVE = ("p50", "p90", "p99")
"""Reported of every window, whatever the policy."""


def wanted_percentiles(policy: Policy, samples: int | None) -> tuple[str, ...]:
    """The statistics of ModelLatency to ask for, of a variant with that many samples."""
    wanted = list(DESCRIPTIVE)
    for gate in policy.gates:
        if isinstance(gate, ModelLatency) and samples:
            for alpha in (policy.alpha, policy.reject_alpha):
                wanted += bound_percentiles(samples, _fraction(gate), alpha / 2) or ()
    return tuple(dict.fromkeys(wanted))


def needed_samples(gate: ModelLatency, policy: Policy) -> int:
    """Latency samples that each side needs before the gate can be judged."""
    return max(gate.minimum_invocations, minimum_samples(_fraction(gate), policy.alpha / 2))


def quantile_bounds(gate: ModelLatency, metrics: VariantMetrics, alpha: float) -> tuple[float, float] | None:
    """Bounds in microseconds of one variant's percentile, each with error probability alpha; None if there are none."""
    names = bound_percentiles(metrics.latency_samples or 0, _fraction(gate), alpha)
    if names is None:
        return None
    lower, upper = (metrics.latency.get(name) for name in names)
    return None if lower is None or upper is None else (lower, upper)


def ratio_bounds(
    gate: ModelLatency, production: VariantMetrics, shadow: VariantMetrics, alpha: float
) -> tuple[float, float] | None:
    """Bounds of shadow / production - 1, each with error probability alpha, of which each variant's bound gets half."""
    of_production = quantile_bounds(gate, production, alpha / 2)
    of_shadow = quantile_bounds(gate, shadow, alpha / 2)
    if of_production is None or of_shadow is None or of_production[0] <= 0:
        return None
    return of_shadow[0] / of_production[1] - 1, of_shadow[1] / of_production[0] - 1


def _fraction(gate: ModelLatency) -> float:
    return int(gate.percentile[1:]) / 100
