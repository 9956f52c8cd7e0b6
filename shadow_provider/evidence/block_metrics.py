"""CloudWatch by block of time: errors and latencies of both variants, in one request as long as it fits.

The period is the block's length, so every percentile is that of its block: percentiles are asked for, never put
together. All blocks are asked for at each look: 2,000 blocks of 20 series are 40,000 datapoints, and one request may
give 100,800. What CloudWatch adds late is so not missed.

A percentile of a small sample depends on the sample's size: the p99 of 20 requests is about their maximum, that of 200
is not. Where the shadow gets a part of the traffic only, comparing them would favour it. So a block counts for a
percentile p only where both variants have `fewest_samples(p)` requests in it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shadow_provider.evidence.clients import CloudWatchClient
from shadow_provider.evidence.metrics import (
    INSTANCES_NAMESPACE,
    MetricReader,
    Points,
    Series,
    Span,
    whole_span,
)
from shadow_provider.evidence.window import period_grain
from shadow_provider.verdict.evidence import CurvePoint, MetricsEvidence, TwoSeries
from shadow_provider.verdict.measures import Blocks, Measure, RateMeasure, RatioMeasure

DESCRIPTIVE = ("p50", "p90", "p99")
CURVE = ("p1", "p5", "p10", "p20", "p30", "p40", "p50", "p60", "p70", "p80", "p90", "p95", "p98", "p99", "p99.9")
_IN_TAIL = 5
_ERRORS = {"4xx": "Invocation4XXErrors", "5xx": "Invocation5XXErrors", "model": "InvocationModelErrors"}
_UTILISATION = ("CPUUtilization", "MemoryUtilization", "GPUUtilization", "GPUMemoryUtilization")

NO_TRAFFIC = "invocations of both variants"
NO_ERRORS = "an error count beside invocations"


def fewest_samples(percentile: str) -> int:
    """Requests of each variant that a block needs for a percentile: so many that five lie beyond it."""
    return math.ceil(round(_IN_TAIL / (1 - float(percentile[1:]) / 100), 6))


@dataclass(frozen=True)
class BlockMetrics:
    """What CloudWatch says.

    Attributes:
        measures: `invocation_errors`, and `model_latency_<percentile>` of each wanted one.
        evidence: the rest, which is shown.
    """

    measures: dict[str, Measure]
    evidence: MetricsEvidence


def read_block_metrics(
    cloudwatch: CloudWatchClient,
    *,
    endpoint_name: str,
    production_variant: str,
    shadow_variant: str,
    blocks: Blocks,
    percentiles: Sequence[str],
    now: datetime,
) -> BlockMetrics:
    """Read the blocks.

    Args:
        cloudwatch: a boto3 client.
        endpoint_name: the endpoint.
        production_variant: its production variant.
        shadow_variant: its shadow variant.
        blocks: which; their start must be a multiple of their length since 1970, as CloudWatch's periods are.
        percentiles: that gates ask for, such as `p90`.
        now: by which CloudWatch's retention is reckoned.

    Raises:
        ValueError: blocks that do not begin where CloudWatch's periods do. Errors of the client pass through.
    """
    if blocks.start.timestamp() % blocks.seconds:
        raise ValueError(f"blocks of {blocks.seconds} s must begin at a multiple of it, not at {blocks.start}")
    reader = MetricReader(cloudwatch, endpoint_name)
    sides = (production_variant, shadow_variant)
    shown = tuple(dict.fromkeys((*percentiles, *DESCRIPTIVE)))
    table = _Table(reader, sides, blocks, shown)
    notes = list(reader.notes)
    kept_for = period_grain(blocks.start, now)
    if blocks.count and blocks.seconds < 60 <= kept_for and not table.any_traffic:
        notes.append(f"no figures with a period of {blocks.seconds} s: this endpoint's metrics are by the minute")
    if blocks.seconds < kept_for and blocks.seconds >= 60:
        notes.append(f"blocks of {blocks.seconds} s are older than CloudWatch keeps figures of less than {kept_for} s")
    errors = table.errors()
    measures: dict[str, Measure] = {"invocation_errors": errors}
    measures |= {f"model_latency_{each}": table.ratio(each) for each in percentiles}
    curve_reader = MetricReader(cloudwatch, endpoint_name)
    curve = _curve(curve_reader, sides, blocks, now) if blocks.count else ()
    return BlockMetrics(
        measures=measures,
        evidence=MetricsEvidence(
            invocations=table.both("Invocations", "Sum"),
            errors={kind: (table.total(0, metric), table.total(1, metric)) for kind, metric in _ERRORS.items()},
            latency={each: table.both("ModelLatency", each) for each in DESCRIPTIVE},
            curve=curve,
            utilisation=table.utilisation(),
            gaps=table.gaps(percentiles),
            notes=(*notes, *curve_reader.notes),
        ),
    )


class _Table:
    """Figures by block of both variants; production is 0, the shadow 1."""

    def __init__(
        self, reader: MetricReader, sides: tuple[str, str], blocks: Blocks, percentiles: Sequence[str]
    ) -> None:
        self._sides, self._blocks = sides, blocks
        self._starts = blocks.starts()
        stats = [("Invocations", "Sum"), ("ModelLatency", "SampleCount"), *((name, "Sum") for name in _ERRORS.values())]
        stats += [("ModelLatency", each) for each in percentiles]
        wanted = [Series(side, metric, stat) for side in sides for metric, stat in stats]
        wanted += [Series(side, metric, "Average", INSTANCES_NAMESPACE) for side in sides for metric in _UTILISATION]
        span = Span(blocks.start, max(blocks.end, blocks.start + timedelta(seconds=blocks.seconds)), blocks.seconds)
        self._points: dict[Series, Points | None] = reader.points(wanted, span) if blocks.count else {}

    def _column(self, side: int, metric: str, stat: str) -> tuple[float | None, ...]:
        points = self._points.get(Series(self._sides[side], metric, stat)) or {}
        return tuple(points.get(start) for start in self._starts)

    def both(self, metric: str, stat: str) -> TwoSeries:
        """A figure of both variants."""
        return TwoSeries(production=self._column(0, metric, stat), shadow=self._column(1, metric, stat))

    @property
    def any_traffic(self) -> bool:
        """Whether there is any count of requests."""
        return any(value for side in (0, 1) for value in self._column(side, "Invocations", "Sum"))

    def total(self, side: int, metric: str) -> int | None:
        """Over all blocks; None where no block has a figure."""
        found = [value for value in self._column(side, metric, "Sum") if value is not None]
        return round(sum(found)) if found else None

    def _failures(self, side: int) -> tuple[int | None, ...]:
        """Failed requests by block: None where one of the two counts is missing."""
        kinds = (self._column(side, _ERRORS[kind], "Sum") for kind in ("4xx", "5xx"))
        return tuple(
            None if four is None or five is None else round(four + five) for four, five in zip(*kinds, strict=True)
        )

    def errors(self) -> RateMeasure:
        """Failed requests and requests; zero on both sides of a block in which one side's errors are unknown.

        A request that fails at a period's edge may count as an error in the one and as an invocation in the other, so
        no more errors count than invocations.
        """
        trials = [[round(value or 0) for value in self._column(side, "Invocations", "Sum")] for side in (0, 1)]
        failures = [self._failures(side) for side in (0, 1)]
        for at in range(self._blocks.count):
            if self._unknown(at, trials, failures):
                trials[0][at] = trials[1][at] = 0
        events = [
            tuple(min(failed or 0, tried) for failed, tried in zip(failures[side], trials[side], strict=True))
            for side in (0, 1)
        ]
        return RateMeasure(
            events=events[1],
            trials=tuple(trials[1]),
            reference_events=events[0],
            reference_trials=tuple(trials[0]),
        )

    @staticmethod
    def _unknown(at: int, trials: Sequence[Sequence[int]], failures: Sequence[Sequence[int | None]]) -> bool:
        return any(trials[side][at] and failures[side][at] is None for side in (0, 1))

    def ratio(self, percentile: str) -> RatioMeasure:
        """The percentile in the blocks in which both variants have requests enough."""
        enough = self._enough(percentile)
        columns = [
            tuple(
                value if fits and value is not None and value > 0 else None
                for value, fits in zip(self._column(side, "ModelLatency", percentile), enough, strict=True)
            )
            for side in (0, 1)
        ]
        return RatioMeasure(candidate=columns[1], reference=columns[0])

    def _enough(self, percentile: str) -> tuple[bool, ...]:
        needed = fewest_samples(percentile)
        samples = (self._column(side, "ModelLatency", "SampleCount") for side in (0, 1))
        return tuple((one or 0) >= needed and (other or 0) >= needed for one, other in zip(*samples, strict=True))

    def utilisation(self) -> dict[str, tuple[float | None, float | None]]:
        """Mean of the blocks' averages, in percent (CPU: of one core); only what an endpoint has."""
        found = {}
        for metric in _UTILISATION:
            means = []
            for side in (0, 1):
                points = self._points.get(Series(self._sides[side], metric, "Average", INSTANCES_NAMESPACE)) or {}
                means.append(float(f"{sum(points.values()) / len(points):.6g}") if points else None)
            if any(mean is not None for mean in means):
                found[metric] = (means[0], means[1])
        return found

    def gaps(self, percentiles: Sequence[str]) -> dict[str, int]:
        """Blocks that say nothing, by what they lack; those without any traffic are not among them."""
        trials = [[round(value or 0) for value in self._column(side, "Invocations", "Sum")] for side in (0, 1)]
        failures = [self._failures(side) for side in (0, 1)]
        busy = [at for at in range(self._blocks.count) if trials[0][at] or trials[1][at]]
        found = {
            NO_TRAFFIC: sum(not (trials[0][at] and trials[1][at]) for at in busy),
            NO_ERRORS: sum(self._unknown(at, trials, failures) for at in busy),
        }
        for percentile in percentiles:
            enough = self._enough(percentile)
            lacking = sum(not enough[at] for at in busy)
            found[f"{fewest_samples(percentile):,} latencies of both variants, for {percentile}"] = lacking
        return {cause: count for cause, count in found.items() if count}


def _curve(reader: MetricReader, sides: tuple[str, str], blocks: Blocks, now: datetime) -> tuple[CurvePoint, ...]:
    """Percentiles over all blocks, each from one period: that of the whole minutes or hours which have the blocks."""
    span = whole_span(blocks.start, blocks.end, now)
    found = reader.totals([Series(side, "ModelLatency", each) for side in sides for each in CURVE], span)
    return tuple(
        CurvePoint(
            percentile=each,
            production=found[Series(sides[0], "ModelLatency", each)],
            shadow=found[Series(sides[1], "ModelLatency", each)],
        )
        for each in CURVE
    )
