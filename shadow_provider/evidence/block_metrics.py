"""CloudWatch metrics of both variants by block, in as few GetMetricData calls as its limits allow.

Percentiles of parts cannot be put together again, so each is asked for in a period that is as long as the block, and
those of the whole window in one that is as long as the window. What is missing is None and never 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, NamedTuple, TypeVar

from shadow_provider.evidence.block_figures import SIDES, Column, Figures, KeptMetrics, Question, Reading
from shadow_provider.evidence.block_measures import (
    ERRORS,
    INVOCATIONS,
    SAMPLES,
    block_measures,
    columns_of,
)
from shadow_provider.evidence.clients import CloudWatchClient
from shadow_provider.evidence.metric_reader import (
    UTILISATION_METRICS,
    MetricReader,
    Series,
    Span,
    whole_span,
)
from shadow_provider.evidence.window import is_period, kept_for
from shadow_provider.statistics.percentiles import fraction
from shadow_provider.verdict.measures import Blocks, RateMeasure, RatioMeasure

CHARTED = ("p50", "p90", "p99")
"""Percentiles that are read by block even if no gate is on them."""

CURVE = ("p1", "p5", "p10", "p20", "p30", "p40", "p50", "p60", "p70", "p80", "p90", "p95", "p99", "p99.5", "p99.9")
"""Percentiles that are read over the whole window."""

UTILISATION = ("CPUUtilization", "MemoryUtilization", "GPUUtilization", "GPUMemoryUtilization")


T = TypeVar("T")


class OfBoth(NamedTuple, Generic[T]):
    """The same of production and of the shadow."""

    production: T
    shadow: T


@dataclass(frozen=True)
class CurveFigure:
    """A percentile of both variants' ModelLatency over the whole window, in microseconds."""

    percentile: str
    production: float | None
    shadow: float | None


@dataclass(frozen=True)
class BlockMetrics:
    """What CloudWatch says of both variants.

    Attributes:
        blocks: the blocks; all columns are as long.
        measures: `invocation_errors`, and `model_latency_<percentile>` for each that was wanted.
        invocations: by block; None where CloudWatch has no figure, which is no traffic or no data.
        errors: failed invocations by kind (`4xx`, `5xx`, `model`) over all blocks; None without any figure.
        latency: percentiles of ModelLatency in microseconds by block, of blocks with few samples too.
        latency_curve: percentiles over the whole window, ascending; None where no sample is expected beyond it. The
            window is rounded outwards to what CloudWatch takes: a minute, five or an hour, by its age.
        utilisation: averages over the window by metric, in percent (of one core or GPU: 400 is four busy cores).
        thin_blocks: by percentile, blocks with too few latency samples to count (see `needed_samples`).
        gaps: blocks left out of a measure, by what they are without (see `BlockMeasures`).
        notes: what CloudWatch did not answer completely, and how late errors were counted, in words.
        calls: calls of GetMetricData, pages included.
        kept: for the next look; None if nothing was read completely.
    """

    blocks: Blocks
    measures: dict[str, RateMeasure | RatioMeasure]
    invocations: OfBoth[tuple[int | None, ...]]
    errors: dict[str, OfBoth[int | None]]
    latency: dict[str, OfBoth[tuple[float | None, ...]]]
    latency_curve: tuple[CurveFigure, ...]
    utilisation: dict[str, OfBoth[float | None]]
    thin_blocks: dict[str, int]
    gaps: dict[str, int]
    notes: tuple[str, ...]
    calls: int
    kept: KeptMetrics | None


def read_block_metrics(
    cloudwatch: CloudWatchClient,
    *,
    endpoint_name: str,
    production_variant: str,
    shadow_variant: str,
    blocks: Blocks,
    percentiles: Sequence[str],
    kept: KeptMetrics | None,
    now: datetime,
) -> BlockMetrics:
    """One look at the metrics of both variants.

    Reading in many looks gives the same figures as reading in one, as long as CloudWatch adds nothing to a block more
    than `SETTLED_AFTER` after its end, and the blocks are asked for before it forgets them.

    Args:
        cloudwatch: a boto3 client.
        endpoint_name: the endpoint.
        production_variant: its production variant.
        shadow_variant: its shadow variant.
        blocks: all from the deployment's first one on, each old enough that CloudWatch should have its figures; the
            start is a multiple of their length since 1970.
        percentiles: of ModelLatency, such as `p50` or `p99.9`, that measures are wanted of.
        kept: what the look before left. That of another endpoint, other variants, other blocks or without one of the
            percentiles is not used, and everything is read anew.
        now: the time of this look, by which CloudWatch's retention is reckoned.

    Raises:
        ValueError: blocks that CloudWatch has no such periods for, or what is no percentile.
    """
    _check_blocks(blocks)
    charted = tuple(sorted({*percentiles, *CHARTED}, key=fraction))
    question = Question(endpoint_name, production_variant, shadow_variant, blocks.start.astimezone(UTC), blocks.seconds)
    reading = Reading.after(question, blocks, columns_of(charted), kept, now)
    window = whole_span(blocks.start, blocks.end, now)
    whole = _whole_window(question)
    wanted: dict[Span, list[Series]] = {}
    if reading.span is not None:
        wanted[reading.span] = list(reading.series)
    if blocks.count:
        wanted[window] = wanted.get(window, []) + list(whole)
    reader = MetricReader(cloudwatch, endpoint_name)
    answers = reader.read(wanted)
    figures = reading.figures(answers)
    found = block_measures(figures, percentiles, blocks.count)
    totals = {column: reader.total(series, answers.get((window, series))) for series, column in whole.items()}
    return BlockMetrics(
        blocks=blocks,
        measures=found.measures,
        invocations=OfBoth(*(_counts(figures, Column(side, *INVOCATIONS)) for side in SIDES)),
        errors={
            kind: OfBoth(*(_sum(_counts(figures, Column(side, *what))) for side in SIDES))
            for kind, what in ERRORS.items()
        },
        latency={
            each: OfBoth(*(figures.columns[Column(side, "ModelLatency", each)] for side in SIDES)) for each in charted
        },
        latency_curve=tuple(_curve_figure(each, totals) for each in CURVE),
        utilisation=_utilisation(totals),
        thin_blocks=found.thin_blocks,
        gaps=found.gaps,
        notes=(*reader.notes, *_expiry(figures, blocks), *found.notes),
        calls=reader.calls,
        kept=reading.to_keep(figures, not reader.messages and not figures.unanswered, now),
    )


def _check_blocks(blocks: Blocks) -> None:
    if not is_period(blocks.seconds):
        raise ValueError(f"CloudWatch has no periods of {blocks.seconds} s: 1, 5, 10, 20, 30 or whole minutes")
    if (blocks.start - datetime.fromtimestamp(0, UTC)) % timedelta(seconds=blocks.seconds):
        raise ValueError(f"blocks of {blocks.seconds} s cannot begin at {blocks.start}: no multiple since 1970")


def _whole_window(question: Question) -> dict[Series, Column]:
    """What is asked for in one period over the whole window."""
    found = {}
    for side, variant in zip(SIDES, (question.production, question.shadow), strict=True):
        for stat in (SAMPLES[1], *CURVE):
            found[Series(variant, "ModelLatency", stat)] = Column(side, "ModelLatency", stat)
        for metric in UTILISATION:
            found[Series(variant, metric, "Average", UTILISATION_METRICS)] = Column(side, metric, "Average")
    return found


def _curve_figure(percentile: str, totals: Mapping[Column, float | None]) -> CurveFigure:
    share = fraction(percentile)
    figures = [
        totals[Column(side, "ModelLatency", percentile)]
        if (totals[Column(side, *SAMPLES)] or 0) * min(share, 1 - share) >= 1
        else None
        for side in SIDES
    ]
    return CurveFigure(percentile, *figures)


def _utilisation(totals: Mapping[Column, float | None]) -> dict[str, OfBoth[float | None]]:
    found = {metric: OfBoth(*(totals[Column(side, metric, "Average")] for side in SIDES)) for metric in UTILISATION}
    return {metric: both for metric, both in found.items() if both != (None, None)}


def _counts(figures: Figures, column: Column) -> tuple[int | None, ...]:
    return tuple(None if figure is None else round(figure) for figure in figures.columns[column])


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _expiry(figures: Figures, blocks: Blocks) -> list[str]:
    if not figures.expired:
        return []
    days = kept_for(blocks.seconds) / timedelta(days=1)
    return [
        f"{len(figures.expired)} blocks of {blocks.seconds} s are missing: CloudWatch keeps such periods {days:g} days"
    ]
