"""CloudWatch's figures of an endpoint, read completely or not at all.

A figure that CloudWatch does not give is None: no traffic and no answer look alike, and neither is a zero.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shadow_provider.evidence.clients import CloudWatchClient
from shadow_provider.evidence.window import period_grain, rounded_down, rounded_up

NAMESPACE = "AWS/SageMaker"
INSTANCES_NAMESPACE = "/aws/sagemaker/Endpoints"
_QUERIES_A_CALL = 500


@dataclass(frozen=True, slots=True)
class Series:
    """One statistic of one metric of one variant."""

    variant: str
    metric: str
    stat: str
    namespace: str = NAMESPACE


@dataclass(frozen=True, slots=True)
class Span:
    """A time range that CloudWatch takes as it is, with its period in seconds."""

    start: datetime
    end: datetime
    period: int


Points = dict[datetime, float]


def whole_span(start: datetime, end: datetime, now: datetime) -> Span:
    """The range around the times that is one single period: start rounded down, end up, by the age of the start."""
    grain = period_grain(start, now)
    first, last = rounded_down(start, grain), rounded_up(end, grain)
    return Span(first, last, int((last - first).total_seconds()))


class MetricReader:
    """GetMetricData for one endpoint, in batches and page by page.

    Attributes:
        notes: what CloudWatch did not answer completely, in words.
    """

    def __init__(self, cloudwatch: CloudWatchClient, endpoint_name: str) -> None:
        self._cloudwatch = cloudwatch
        self._endpoint_name = endpoint_name
        self.notes: list[str] = []

    def totals(self, wanted: Sequence[Series], span: Span) -> dict[Series, float | None]:
        """One figure for each series; None where there is none.

        Sums of several datapoints are added. Percentiles of several datapoints are not put together: they are None.
        """
        return {series: self._total(series, points) for series, points in self.points(wanted, span).items()}

    def points(self, wanted: Sequence[Series], span: Span) -> dict[Series, Points | None]:
        """The datapoints of each series by time; None where CloudWatch could not give them completely."""
        found: dict[Series, Points | None] = {}
        unique = list(dict.fromkeys(wanted))
        for first in range(0, len(unique), _QUERIES_A_CALL):
            found |= self._batch(unique[first : first + _QUERIES_A_CALL], span)
        return found

    def _total(self, series: Series, points: Points | None) -> float | None:
        if not points:
            return None
        if len(points) == 1 or series.stat in ("Sum", "SampleCount"):
            return sum(points.values())
        self.notes.append(f"{series.variant} {series.metric} {series.stat}: {len(points)} periods instead of one")
        return None

    def _batch(self, batch: Sequence[Series], span: Span) -> dict[Series, Points | None]:
        points: list[Points] = [{} for _ in batch]
        status: list[str] = ["missing"] * len(batch)
        for page in self._pages(batch, span):
            self.notes += [f"{message.get('Code')}: {message.get('Value')}" for message in page.get("Messages", ())]
            for result in page["MetricDataResults"]:
                index = int(result["Id"][1:])
                points[index].update(zip(result["Timestamps"], result["Values"], strict=True))
                # The last page that mentions a series has the last word; PartialData on the way means that more comes.
                status[index] = result.get("StatusCode", "Complete")
        return {series: self._settled(series, points[i], status[i]) for i, series in enumerate(batch)}

    def _settled(self, series: Series, points: Points, status: str) -> Points | None:
        if status == "Complete":
            return points
        self.notes.append(f"{series.variant} {series.metric} {series.stat}: {status}")
        return None

    def _pages(self, batch: Sequence[Series], span: Span) -> Iterator[Any]:
        request: dict[str, Any] = {
            "MetricDataQueries": [self._query(index, series, span.period) for index, series in enumerate(batch)],
            "StartTime": span.start,
            "EndTime": span.end,
            "ScanBy": "TimestampAscending",
        }
        while True:
            page = self._cloudwatch.get_metric_data(**request)
            yield page
            if not page.get("NextToken"):
                return
            request["NextToken"] = page["NextToken"]

    def _query(self, index: int, series: Series, period: int) -> dict[str, Any]:
        return {
            "Id": f"q{index}",
            "MetricStat": {
                "Metric": {
                    "Namespace": series.namespace,
                    "MetricName": series.metric,
                    "Dimensions": [
                        {"Name": "EndpointName", "Value": self._endpoint_name},
                        {"Name": "VariantName", "Value": series.variant},
                    ],
                },
                "Period": period,
                "Stat": series.stat,
            },
            "ReturnData": True,
        }
