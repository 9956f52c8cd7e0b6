"""One variant's requests, errors and latency by block, from CloudWatch."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from shadow_provider.evidence.block_measures import ERRORS, FAILED, INVOCATIONS, SAMPLES
from shadow_provider.evidence.clients import CloudWatchClient
from shadow_provider.evidence.metric_reader import MetricReader, Points, Series, Span
from shadow_provider.evidence.window import kept_since, rounded_down, rounded_up
from shadow_provider.plan.serving_figures import ServingFigures
from shadow_provider.statistics.percentiles import needed_samples

LONGEST = timedelta(hours=24)
"""How far back from its end a span is looked at."""


def serving_figures(
    cloudwatch: CloudWatchClient,
    *,
    endpoint_name: str,
    variant: str,
    start: datetime,
    end: datetime,
    seconds: int,
    percentiles: Sequence[str],
    now: datetime,
) -> ServingFigures:
    """Read a variant's figures in the blocks that a span touches, of the last 24 hours before its end.

    Args:
        cloudwatch: a boto3 client.
        endpoint_name: the endpoint.
        variant: the variant, whichever config runs it.
        start: of the span; rounded down to a block.
        end: of the span; rounded up to a block.
        seconds: length of a block, a period that CloudWatch has.
        percentiles: of ModelLatency.
        now: by which CloudWatch's retention is reckoned.

    Raises:
        ValueError: what is no percentile.
    """
    enough = {percentile: needed_samples(percentile) for percentile in percentiles}
    last = rounded_up(end, seconds)
    first = max(rounded_down(max(start, end - LONGEST), seconds), rounded_up(kept_since(seconds, now), seconds))
    if first >= last:
        return ServingFigures(None, None, {}, (f"no block between {start:%F %T} and {end:%F %T}",))
    span = Span(first, last, seconds)
    invocations, *errors = (Series(variant, *what) for what in (INVOCATIONS, *(ERRORS[kind] for kind in FAILED)))
    samples = Series(variant, *SAMPLES)
    latency = {percentile: Series(variant, "ModelLatency", percentile) for percentile in percentiles}
    reader = MetricReader(cloudwatch, endpoint_name)
    points = reader.points([invocations, *errors, samples, *latency.values()], span)
    failed = [_sum(points[each]) for each in errors]
    return ServingFigures(
        invocations=_sum(points[invocations]),
        errors=None if None in failed else sum(each for each in failed if each is not None),
        latency={
            percentile: _of_full_blocks(points[series], points[samples], enough[percentile])
            for percentile, series in latency.items()
        },
        notes=tuple(reader.notes),
        thin_latency={
            percentile: _of_full_blocks(points[series], points[samples], 1) for percentile, series in latency.items()
        },
    )


def _sum(points: Points | None) -> int | None:
    return round(sum(points.values())) if points else None


def _of_full_blocks(latency: Points | None, samples: Points | None, enough: int) -> tuple[float, ...]:
    sizes = samples or {}
    return tuple(figure for start, figure in sorted((latency or {}).items()) if sizes.get(start, 0) >= enough)
