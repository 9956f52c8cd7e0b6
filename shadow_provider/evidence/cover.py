"""A cheap count of how much evidence there may be, before any capture is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

_MINUTE = 60


def mirrored_requests(
    cloudwatch: Any, *, endpoint_name: str, shadow_variant: str, since: datetime, until: datetime
) -> int | None:
    """Count the requests that the shadow variant answered, by CloudWatch's ``Invocations``.

    Args:
        cloudwatch: boto3 client.
        endpoint_name: the endpoint.
        shadow_variant: the shadow variant's name; SageMaker has no metric of its own for shadows.
        since: start; rounded down to the minute, as CloudWatch does.
        until: end; rounded up to the minute.

    Returns:
        The sum, or None where CloudWatch has no datapoint at all, which is not the same as zero.
    """
    start = since.astimezone(UTC).replace(second=0, microsecond=0)
    end = until.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    request: dict[str, Any] = {
        "MetricDataQueries": [
            {
                "Id": "mirrored",
                "MetricStat": {
                    "Metric": {
                        "Namespace": "AWS/SageMaker",
                        "MetricName": "Invocations",
                        "Dimensions": [
                            {"Name": "EndpointName", "Value": endpoint_name},
                            {"Name": "VariantName", "Value": shadow_variant},
                        ],
                    },
                    "Period": _period(start, datetime.now(tz=UTC)),
                    "Stat": "Sum",
                },
            }
        ],
        "StartTime": start,
        "EndTime": end,
        "ScanBy": "TimestampAscending",
    }
    values: list[float] = []
    while True:
        page = cloudwatch.get_metric_data(**request)
        values += [value for result in page["MetricDataResults"] for value in result["Values"]]
        if not page.get("NextToken"):
            return round(sum(values)) if values else None
        request["NextToken"] = page["NextToken"]


def _period(start: datetime, now: datetime) -> int:
    """Return the shortest period that CloudWatch still keeps for data of that age, in seconds."""
    age = now - start
    if age > timedelta(days=63):
        return 60 * _MINUTE
    return 5 * _MINUTE if age > timedelta(days=15) else _MINUTE
