"""Latency: how much slower or faster the candidate is, by percentile and over time."""

import math
from functools import partial

from shadow_provider.report.charts.latency import Shift, block_series, difference_curve
from shadow_provider.report.document import Chart, Part, Section, Sentence, Table, table
from shadow_provider.report.figures import percentile_rank
from shadow_provider.report.limits import Limits
from shadow_provider.report.text import NOTHING, count, figure, plural, short
from shadow_provider.verdict.evidence import CurvePoint
from shadow_provider.verdict.measures import RatioMeasure
from shadow_provider.verdict.record import DecisionRecord
from shadow_provider.verdict.units import Unit, show

MOST_SERIES = 4
MOST_PERCENTILES = 20
_THOUSAND = 1000


def section(record: DecisionRecord, limits: Limits) -> Section | None:
    """Curve, its table, block series, what else CloudWatch says."""
    metrics = record.evidence.metrics
    parts: list[Part] = []
    points = [point for point in metrics.curve if point.production is not None and point.shadow is not None]
    shifts = [_shift(record, point) for point in points][:MOST_PERCENTILES]
    if shifts:
        parts += [_curve(shifts), _table(record, points)]
        if any(shift.upper is not None for shift in shifts):
            parts.append(
                Sentence(
                    "The bands are the bounds of the mean relative change of that percentile from block to block, at "
                    "all looks together, times production's percentile. They are not bounds of the whole window's own "
                    "percentile, for which there are none; a percentile without a measure by block has no band."
                )
            )
    parts += _series(record, limits)
    parts += _cloudwatch(record)
    if not parts:
        return None
    return Section(
        "latency",
        "Latency and CloudWatch",
        "ModelLatency as CloudWatch has it. Percentiles of blocks are never averaged or put together: the curve was "
        "asked for over the whole window.",
        tuple(parts),
    )


def _band(record: DecisionRecord, percentile: str) -> tuple[float, float] | None:
    """Bounds of the relative change, as the gates have them."""
    measure = record.evidence.measures.get(f"model_latency_{percentile}")
    if not isinstance(measure, RatioMeasure) or not measure.n:
        return None
    bounds = measure.sequential(record.policy.precision).bounds(record.policy.reject_alpha, record.policy.alpha)
    if not all(math.isfinite(bound) and bound < 100 for bound in bounds):
        return None
    return math.expm1(bounds[0]), math.expm1(bounds[1])


def _shift(record: DecisionRecord, point: CurvePoint) -> Shift:
    production, candidate = (point.production or 0.0) / _THOUSAND, (point.shadow or 0.0) / _THOUSAND
    band = _band(record, point.percentile)
    return Shift(point.percentile, candidate - production, *(each * production for each in band or ()))


def _curve(shifts: list[Shift]) -> Chart:
    worst = max(shifts, key=lambda shift: shift.milliseconds)
    return Chart(
        "How much slower is the candidate?",
        f"A line over {plural(len(shifts), 'percentile')} of latency, candidate minus production in milliseconds. The "
        f"largest difference is {worst.milliseconds:+.4g} ms at {worst.percentile}.",
        partial(difference_curve, "latency-curve", shifts),
    )


def _table(record: DecisionRecord, points: list[CurvePoint]) -> Table:
    rows = []
    for point in points:
        production, candidate = (point.production or 0.0) / _THOUSAND, (point.shadow or 0.0) / _THOUSAND
        band = _band(record, point.percentile)
        change = show(candidate / production - 1, Unit.RELATIVE_CHANGE) if production else NOTHING
        shown = NOTHING if band is None else " to ".join(show(each, Unit.RELATIVE_CHANGE) for each in band)
        rows.append(
            (point.percentile, figure(production), figure(candidate), f"{candidate - production:+.4g}", change, shown)
        )
    headings = ("percentile", "production, ms", "candidate, ms", "difference, ms", "change", "mean change by block")
    return table("Latency over the whole window", headings, rows, numeric=range(1, 6))


def _series(record: DecisionRecord, limits: Limits) -> list[Part]:
    evidence = record.evidence
    names = sorted(evidence.metrics.latency, key=percentile_rank)
    shown = names[: min(MOST_SERIES, limits.charts)]
    made: list[Part] = []
    for number, name in enumerate(shown):
        both = evidence.metrics.latency[name]
        sides = [
            [None if value is None else value / _THOUSAND for value in side] for side in (both.production, both.shadow)
        ]
        blocks = min(map(len, sides))
        if not any(value is not None for side in sides for value in side):
            continue
        hours = [at * evidence.blocks.seconds / 3600 for at in range(blocks)]
        medians = (figure(_middle(side), "ms") for side in sides)
        described = "Two lines over {}; the middle block has {} for production and {} for the candidate.".format(
            plural(blocks, "block"), *medians
        )
        made.append(
            Chart(
                f"Latency {short(name, 20)} by block",
                described,
                partial(
                    block_series, f"latency-{number}", hours, sides[0][:blocks], sides[1][:blocks], 3 * limits.points
                ),
            )
        )
    if len(names) > len(shown):
        made.append(Sentence(f"{plural(len(names) - len(shown), 'more percentile')} by block are in the record."))
    return made


def _middle(values: list[float | None]) -> float | None:
    known = sorted(value for value in values if value is not None)
    return known[len(known) // 2] if known else None


def _cloudwatch(record: DecisionRecord) -> list[Part]:
    metrics = record.evidence.metrics
    totals = (
        [value for value in side if value is not None]
        for side in (metrics.invocations.production, metrics.invocations.shadow)
    )
    rows = [("invocations", *(figure(math.fsum(side)) if side else NOTHING for side in totals))]
    rows += [(f"{kind} errors", *map(count, both)) for kind, both in sorted(metrics.errors.items())]
    rows += [
        (f"{name}, mean", *(figure(each, "%") for each in both)) for name, both in sorted(metrics.utilisation.items())
    ]
    made: list[Part] = [
        table("What else CloudWatch counts", ("figure", "production", "candidate"), rows, numeric=(1, 2))
    ]
    if metrics.gaps:
        gaps = ((cause, count(blocks)) for cause, blocks in sorted(metrics.gaps.items()))
        made.append(table("Blocks that were left out", ("for want of", "blocks"), gaps, numeric=(1,)))
    if metrics.notes:
        made.append(table("What CloudWatch did not answer", ("note",), ((note,) for note in metrics.notes)))
    return made
