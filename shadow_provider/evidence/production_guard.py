"""Production's figures since the shadow was added and before, read from CloudWatch for the guard."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta

from shadow_provider.evidence.block_figures import Column, Figures, Side
from shadow_provider.evidence.block_measures import INVOCATIONS, block_measures, columns_of
from shadow_provider.evidence.clients import CloudWatchClient
from shadow_provider.evidence.metric_reader import MetricReader, Points, Series, Span
from shadow_provider.evidence.window import kept_since, rounded_down, rounded_up
from shadow_provider.policy.policy import Policy
from shadow_provider.policy.production_guard import ProductionGuard
from shadow_provider.verdict.measures import RateMeasure, RatioMeasure
from shadow_provider.verdict.production_guard import GuardFinding, Period, guard_finding

DAY = timedelta(days=1)
LEAST_HISTORY = timedelta(hours=1)
"""Production's figures before the shadow must reach back so far; less is no picture of production."""

# The measures know two sides: what came after stands on the shadow's, what was before on production's.
_SINCE: Side = "shadow"
_BEFORE: Side = "production"


def look_at_production(
    cloudwatch: CloudWatchClient,
    *,
    endpoint_name: str,
    variant: str,
    since: datetime,
    until: datetime,
    now: datetime,
    policy: Policy,
    guard: ProductionGuard,
) -> GuardFinding:
    """Compare production since the shadow was added with production before.

    Args:
        cloudwatch: a boto3 client.
        endpoint_name: the endpoint.
        variant: its production variant.
        since: when the shadow config was made: before it, there was no shadow.
        until: blocks that end later are too young to have all their figures.
        now: the time of this look, by which CloudWatch's retention is reckoned.
        policy: for the length of blocks, the deadline, the warm-up.
        guard: the margins.
    """
    seconds = policy.effective_block_seconds
    block = timedelta(seconds=seconds)
    edge = rounded_down(since, seconds)
    first = rounded_up(since + timedelta(seconds=policy.warm_up_seconds), seconds)
    last = rounded_down(until, seconds)
    if last <= first:
        return GuardFinding((), notes=("no block has ended since the shadow was added",))
    begin = max(edge - DAY, rounded_up(kept_since(seconds, now), seconds))
    series = {Series(variant, column.metric, column.stat): column for column in columns_of((guard.percentile,))
              if column.side == _SINCE}  # fmt: skip
    before, after = Span(begin, edge, seconds), Span(max(first, begin), last, seconds)
    reader = MetricReader(cloudwatch, endpoint_name)
    answers = reader.read({span: list(series) for span in (before, after) if span.start < span.end})
    known = answers.get((before, Series(variant, *INVOCATIONS))) or {}
    if not known or edge - min(known) < LEAST_HISTORY:
        minutes = (edge - min(known)) / timedelta(minutes=1) if known else 0
        return GuardFinding((), notes=(
            f"CloudWatch has {minutes:.0f} minutes of production before the shadow, and the guard needs an hour",
            *reader.notes,
        ))  # fmt: skip
    # Figures in the first hour of the day before stand for the whole day; a younger production has a shorter period.
    length = DAY if min(known) < edge - DAY + LEAST_HISTORY else edge - min(known)
    per_period = length // block
    sides = {
        side: {column: answers.get((span, each)) for each, column in series.items()}
        for side, span in ((_BEFORE, before), (_SINCE, after))
    }
    starts: dict[int, list[datetime]] = {}
    for number in range((last - first) // block):
        moment = first + number * block
        starts.setdefault((moment - edge) // block // per_period, []).append(moment)
    periods = [_period(sides, moments, (number + 1) * per_period * block, guard) for number, moments in starts.items()]
    deadline = timedelta(hours=policy.deadline_hours)
    notes = list(reader.notes)
    if length != DAY:
        notes.append(f"production has figures of {length / timedelta(hours=1):.1f} hours before the shadow only, so "
                     "other times of day are compared")  # fmt: skip
    return guard_finding(
        guard,
        periods,
        all_periods=math.ceil(deadline / (per_period * block)),
        precision=policy.precision,
        notes=notes,
    )


def _period(
    sides: Mapping[Side, Mapping[Column, Points | None]],
    moments: list[datetime],
    back: timedelta,
    guard: ProductionGuard,
) -> Period:
    columns: dict[Column, tuple[float | None, ...]] = {}
    unanswered = set()
    for side, found in sides.items():
        shift = back if side == _BEFORE else timedelta(0)
        for column, points in found.items():
            own = Column(side, column.metric, column.stat)
            if points is None:
                unanswered.add(own)
            columns[own] = tuple((points or {}).get(moment - shift) for moment in moments)
    measures = block_measures(
        Figures(columns, unanswered=frozenset(unanswered)), (guard.percentile,), len(moments)
    ).measures
    errors, latency = measures["invocation_errors"], measures[f"model_latency_{guard.percentile}"]
    assert isinstance(errors, RateMeasure)
    assert isinstance(latency, RatioMeasure)
    return Period(errors, latency)
