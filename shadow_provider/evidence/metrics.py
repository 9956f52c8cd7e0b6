"""CloudWatch metrics of both variants over the whole window, each figure from one period.

Percentiles of parts cannot be put together again, so the period is as long as the window. A figure that CloudWatch does
not give is None: no traffic and no answer look alike, and neither is a zero.
"""

from datetime import datetime, timedelta

from shadow_provider.evidence.clients import CloudWatchClient
from shadow_provider.evidence.metric_reader import MetricReader, Series, Span, whole_span
from shadow_provider.evidence.window import period_grain, rounded_down, rounded_up
from shadow_provider.plan.policy import Policy
from shadow_provider.verdict.evidence import MetricsEvidence, VariantMetrics
from shadow_provider.verdict.latency import wanted_percentiles

_COUNTS = {
    "invocations": ("Invocations", "Sum"),
    "errors_4xx": ("Invocation4XXErrors", "Sum"),
    "errors_5xx": ("Invocation5XXErrors", "Sum"),
    "model_errors": ("InvocationModelErrors", "Sum"),
    "latency_samples": ("ModelLatency", "SampleCount"),
}


def read_metrics(
    cloudwatch: CloudWatchClient,
    *,
    endpoint_name: str,
    production_variant: str,
    shadow_variant: str,
    policy: Policy,
    start: datetime,
    end: datetime,
    now: datetime,
) -> MetricsEvidence:
    """Read the counts first, then the latency percentiles whose ranks follow from the counts.

    Args:
        cloudwatch: a boto3 client.
        endpoint_name: the endpoint.
        production_variant: its production variant.
        shadow_variant: its shadow variant.
        policy: says which percentiles are needed.
        start: start of the time that both variants cover.
        end: its end.
        now: by which CloudWatch's retention is reckoned.
    """
    span = whole_span(start, end, now)
    reader = MetricReader(cloudwatch, endpoint_name)
    variants = (production_variant, shadow_variant)
    counts = reader.totals([Series(variant, *what) for variant in variants for what in _COUNTS.values()], span)
    samples = {variant: counts[Series(variant, *_COUNTS["latency_samples"])] for variant in variants}
    percentiles = reader.totals(
        [
            Series(variant, "ModelLatency", stat)
            for variant in variants
            for stat in wanted_percentiles(policy, _whole(samples[variant]))
        ],
        span,
    )
    figures = counts | percentiles
    return MetricsEvidence(
        start=span.start,
        end=span.end,
        period_seconds=span.period,
        production=_variant(production_variant, figures),
        shadow=_variant(shadow_variant, figures),
        notes=tuple(reader.notes),
    )


def _variant(variant: str, figures: dict[Series, float | None]) -> VariantMetrics:
    return VariantMetrics(
        **{name: _whole(figures[Series(variant, *what)]) for name, what in _COUNTS.items()},
        latency={
            series.stat: value
            for series, value in sorted(figures.items(), key=lambda item: item[0].stat)
            if series.variant == variant and series.stat.startswith("p")
        },
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def mirrored_share(
    cloudwatch: CloudWatchClient,
    *,
    endpoint_name: str,
    production_variant: str,
    shadow_variant: str,
    overlap: tuple[datetime, datetime] | None,
    now: datetime,
) -> tuple[int, int] | None:
    """Production's and the shadow's invocations in the whole periods in which both were up and both have reported.

    None without a single such period. The last period that only one side has reported is left out: it is late.
    """
    if overlap is None:
        return None
    grain = period_grain(overlap[0], now)
    start, end = rounded_up(overlap[0], grain), rounded_down(overlap[1], grain)
    if end <= start:
        return None
    both = (Series(production_variant, "Invocations", "Sum"), Series(shadow_variant, "Invocations", "Sum"))
    found = MetricReader(cloudwatch, endpoint_name).points(both, Span(start, end, grain))
    production, shadow = found[both[0]], found[both[1]]
    if not production or not shadow:
        return None
    settled = min(max(production), max(shadow)) + timedelta(seconds=grain)
    of_production, of_shadow = (
        round(sum(value for moment, value in points.items() if moment < settled)) for points in (production, shadow)
    )
    return of_production, of_shadow
