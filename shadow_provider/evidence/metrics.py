"""CloudWatch metrics of both variants over the whole window, each figure from one period.

Percentiles of parts cannot be put together again, so the period is as long as the window. A figure that CloudWatch does
not give is None: no traffic and no answer look alike, and neither is a zero.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shadow_provider.evidence.clients import CloudWatchClient
from shadow_provider.evidence.window import period_grain, rounded_down, rounded_up
from shadow_provider.plan.policy import Policy
from shadow_provider.verdict.evidence import MetricsEvidence, VariantMetrics
from shadow_provider.verdict.latency import wanted_percentiles

_NAMESPACE = "AWS/SageMaker"
_QUERIES_A_CALL = 500
_COUNTS = {
    "invocations": ("Invocations", "Sum"),
    "errors_4xx": ("Invocation4XXErrors", "Sum"),
    "errors_5xx": ("Invocation5XXErrors", "Sum"),
    "model_errors": ("InvocationModelErrors", "Sum"),
    "latency_samples": ("ModelLatency", "SampleCount"),
}


@dataclass(frozen=True, slots=True)
class Series:
    """One statistic of one metric of one variant."""

    variant: str
    metric: str
    stat: str


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
                    "Namespace": _NAMESPACE,
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
