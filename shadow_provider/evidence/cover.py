"""A cheap count of how much evidence there may be, before any capture is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shadow_provider.evidence.clients import CloudWatchClient
from shadow_provider.evidence.window import period_grain, rounded_down


def mirrored_requests(
    cloudwatch: CloudWatchClient, *, endpoint_name: str, shadow_variant: str, since: datetime, until: datetime
) -> int | None:
    """Count the requests that the shadow variant answered, by CloudWatch's ``Invocations``.

    Args:
        cloudwatch: boto3 client.
        endpoint_name: the endpoint.
        shadow_variant: the shadow variant's name; SageMaker has no metric of its own for shadows.
        since: start; rounded down to the period, as CloudWatch does.
        until: end; the period that it lies in counts.

    Returns:
        The sum, or None where CloudWatch has no datapoint at all or not all of them, which is not the same as zero.
    """
    # Sensors and triggers import this module at DAG parse, and the reader brings the statistics with it.
    from shadow_provider.evidence.metric_reader import MetricReader, Series, Span

    grain = period_grain(since, datetime.now(tz=UTC))
    span = Span(rounded_down(since, grain), rounded_down(until, grain) + timedelta(seconds=grain), grain)
    invocations = Series(shadow_variant, "Invocations", "Sum")
    total = MetricReader(cloudwatch, endpoint_name).totals([invocations], span)[invocations]
    return None if total is None else round(total)
