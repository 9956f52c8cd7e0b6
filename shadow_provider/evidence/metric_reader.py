"""GetMetricData for one endpoint: any number of series and periods in as few calls as AWS allows."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shadow_provider.evidence.clients import CloudWatchClient
from shadow_provider.evidence.window import period_grain, rounded_down, rounded_up

INVOCATION_METRICS = "AWS/SageMaker"
UTILISATION_METRICS = "/aws/sagemaker/Endpoints"
_QUERIES_A_CALL = 500


@dataclass(frozen=True, slots=True)
class Series:
    """One statistic of one metric of one variant."""

    variant: str
    metric: str
    stat: str
    namespace: str = INVOCATION_METRICS

    def __str__(self) -> str:
        return f"{self.variant} {self.metric} {self.stat}"


@dataclass(frozen=True, slots=True)
class Span:
    """A time range that CloudWatch takes as it is, with its period in seconds."""

    start: datetime
    end: datetime
    period: int


Points = dict[datetime, float]
"""Datapoints by the beginning of their period."""

Asked = tuple[Span, Series]


def whole_span(start: datetime, end: datetime, now: datetime) -> Span:
    """The range around the times that is one single period: start rounded down, end up, by the age of the start."""
    grain = period_grain(start, now)
    first, last = rounded_down(start, grain), rounded_up(end, grain)
    return Span(first, last, int((last - first).total_seconds()))


class MetricReader:
    """GetMetricData for one endpoint, in batches and page by page.

    Attributes:
        calls: how many were made, pages included.
        messages: what CloudWatch said of a whole call, such as that it asked for too much; a figure may be missing
            for that reason although its own status is Complete.
        notes: everything that CloudWatch did not answer completely, in words.
    """

    def __init__(self, cloudwatch: CloudWatchClient, endpoint_name: str) -> None:
        self._cloudwatch = cloudwatch
        self._endpoint_name = endpoint_name
        self.calls = 0
        self.messages: list[str] = []
        self._incomplete: list[str] = []

    @property
    def notes(self) -> list[str]:
        """Messages, and the series that were not answered completely."""
        return list(dict.fromkeys([*self.messages, *self._incomplete]))

    def totals(self, wanted: Sequence[Series], span: Span) -> dict[Series, float | None]:
        """One figure for each series; None where there is none.

        Sums of several datapoints are added. Percentiles of several datapoints are not put together: they are None.
        """
        return {series: self.total(series, points) for series, points in self.points(wanted, span).items()}

    def total(self, series: Series, points: Points | None) -> float | None:
        """The one figure of a series that was asked for in a single period."""
        if not points:
            return None
        if len(points) == 1 or series.stat in ("Sum", "SampleCount"):
            return sum(points.values())
        self._incomplete.append(f"{series}: {len(points)} periods instead of one")
        return None

    def points(self, wanted: Sequence[Series], span: Span) -> dict[Series, Points | None]:
        """The datapoints of each series by time; None where CloudWatch could not give them completely."""
        return {series: points for (_, series), points in self.read({span: wanted}).items()}

    def read(self, wanted: Mapping[Span, Sequence[Series]]) -> dict[Asked, Points | None]:
        """The same for several spans: those that begin and end together share a call, whatever their periods."""
        together: dict[tuple[datetime, datetime], dict[Asked, None]] = defaultdict(dict)
        for span, listed in wanted.items():
            together[span.start, span.end] |= dict.fromkeys((span, series) for series in listed)
        found: dict[Asked, Points | None] = {}
        for asked in together.values():
            unique = list(asked)
            for first in range(0, len(unique), _QUERIES_A_CALL):
                found |= self._batch(unique[first : first + _QUERIES_A_CALL])
        return found

    def _batch(self, batch: Sequence[Asked]) -> dict[Asked, Points | None]:
        points: list[Points] = [{} for _ in batch]
        status: list[str] = ["missing"] * len(batch)
        for page in self._pages(batch):
            self.messages += [f"{message.get('Code')}: {message.get('Value')}" for message in page.get("Messages", ())]
            for result in page["MetricDataResults"]:
                index = int(result["Id"][1:])
                points[index].update(zip(result["Timestamps"], result["Values"], strict=True))
                # The last page that mentions a series has the last word; PartialData on the way means that more comes.
                status[index] = result.get("StatusCode", "Complete")
        return {asked: self._settled(asked[1], points[i], status[i]) for i, asked in enumerate(batch)}

    def _settled(self, series: Series, points: Points, status: str) -> Points | None:
        if status == "Complete":
            return points
        self._incomplete.append(f"{series}: {status}")
        return None

    def _pages(self, batch: Sequence[Asked]) -> Iterator[Any]:
        span = batch[0][0]
        request: dict[str, Any] = {
            "MetricDataQueries": [self._query(index, *asked) for index, asked in enumerate(batch)],
            "StartTime": span.start,
            "EndTime": span.end,
            "ScanBy": "TimestampAscending",
        }
        while True:
            self.calls += 1
            page = self._cloudwatch.get_metric_data(**request)
            yield page
            if not page.get("NextToken"):
                return
            request["NextToken"] = page["NextToken"]

    def _query(self, index: int, span: Span, series: Series) -> dict[str, Any]:
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
                "Period": span.period,
                "Stat": series.stat,
            },
            "ReturnData": True,
        }
