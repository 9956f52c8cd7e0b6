"""The functions of CloudWatch's metric math."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

import numpy as np

from shadow_provider.local.cloudwatch.math_values import MathError, TimeSeries, Value

# Text among the arguments is one of FILL's words.
Argument = Value | str
FILL_WORDS = frozenset({"REPEAT", "LINEAR"})


def _aggregate(name: str, function: Callable[[list[float]], float]) -> Callable[[Sequence[Argument]], Value]:
    """A number from one series; from an array, a series of what its members have at each timestamp."""

    def aggregated(arguments: Sequence[Argument]) -> Value:
        (value,) = _exactly(name, arguments, 1)
        if isinstance(value, TimeSeries):
            return function(list(value.points.values())) if value.points else math.nan
        if not isinstance(value, list):
            raise _invalid(name)
        if not value:
            return []
        found: dict[float, list[float]] = {}
        for series in value:
            for at, item in series.points.items():
                found.setdefault(at, []).append(item)
        widest = max(value, key=lambda series: series.period)
        return replace(widest.with_points({at: function(items) for at, items in found.items()}), label="")

    return aggregated


def _each(name: str, function: Callable[[TimeSeries], TimeSeries]) -> Callable[[Sequence[Argument]], Value]:
    """Series to series, and arrays member by member."""

    def mapped(arguments: Sequence[Argument]) -> Value:
        (value,) = _exactly(name, arguments, 1)
        if isinstance(value, list):
            return [function(series) for series in value]
        if isinstance(value, TimeSeries):
            return function(value)
        raise _invalid(name)

    return mapped


def _pointwise(name: str, function: Callable[[float], float]) -> Callable[[Sequence[Argument]], Value]:
    """Each value by itself; a number gives a number."""
    of_series = _each(name, lambda series: series.mapped(function))
    return lambda arguments: (
        function(arguments[0])
        if len(arguments) == 1 and isinstance(arguments[0], float) and math.isfinite(arguments[0])
        else of_series(arguments)
    )


def _fill(arguments: Sequence[Argument]) -> Value:
    value, filling = _exactly("FILL", arguments, 2)
    if isinstance(value, list):
        return [_filled(series, filling) for series in value]
    if not isinstance(value, TimeSeries):
        raise _invalid("FILL")
    return _filled(value, filling)


def _filled(series: TimeSeries, filling: Argument) -> TimeSeries:
    if filling == "REPEAT":
        return series.with_points(_repeated(series))
    if filling == "LINEAR":
        return series.with_points(_interpolated(series))
    if isinstance(filling, TimeSeries):
        return series.with_points({**filling.points, **series.points})
    if not isinstance(filling, float):
        raise _invalid("FILL")
    return series.with_points({at: series.points.get(at, filling) for at in series.periods()})


def _repeated(series: TimeSeries) -> dict[float, float]:
    """Missing values become the last one before them; before the first value nothing can be repeated."""
    found: dict[float, float] = {}
    last: float | None = None
    for at in series.periods():
        last = series.points.get(at, last)
        if last is not None:
            found[at] = last
    return found


def _interpolated(series: TimeSeries) -> dict[float, float]:
    """Missing values between two values lie on the line between them."""
    times = sorted(series.points)
    if not times:
        return {}
    inner = [at for at in series.periods() if times[0] <= at <= times[-1]]
    line = np.interp(inner, times, [series.points[at] for at in times])
    return dict(zip(inner, line.tolist(), strict=True))


def _if(arguments: Sequence[Argument]) -> Value:
    """IF(condition, a, b): chosen at each timestamp of the condition; without b nothing stands for false."""
    if len(arguments) not in (2, 3) or any(isinstance(item, str | list) for item in arguments):
        raise _invalid("IF")
    condition, when_true, when_false = (*arguments, math.nan)[:3]
    assert isinstance(when_true, float | TimeSeries)
    assert isinstance(when_false, float | TimeSeries)
    if isinstance(condition, float):
        if math.isnan(condition):
            return math.nan
        return when_true if condition else when_false
    assert isinstance(condition, TimeSeries)
    points = {at: _at(when_true if true else when_false, at) for at, true in condition.points.items()}
    return condition.with_points(points)


def _at(value: float | TimeSeries, at: float) -> float:
    return value if isinstance(value, float) else value.points.get(at, math.nan)


def _metric_count(arguments: Sequence[Argument]) -> Value:
    (value,) = _exactly("METRIC_COUNT", arguments, 1)
    if not isinstance(value, list):
        raise _invalid("METRIC_COUNT")
    return float(len(value))


def _period(arguments: Sequence[Argument]) -> Value:
    (value,) = _exactly("PERIOD", arguments, 1)
    if not isinstance(value, TimeSeries):
        raise _invalid("PERIOD")
    return float(value.period)


def _rate(series: TimeSeries) -> TimeSeries:
    """Change since the value before, per second of those in which periods are told."""
    return series.with_points(
        {
            at: (series.points[at] - series.points[before]) / ((at - before) * series.clock)
            for before, at in pairwise(sorted(series.points))
        }
    )


def _difference(series: TimeSeries) -> TimeSeries:
    return series.with_points(
        {at: series.points[at] - series.points[before] for before, at in pairwise(sorted(series.points))}
    )


def _running_sum(series: TimeSeries) -> TimeSeries:
    times = sorted(series.points)
    return series.with_points(dict(zip(times, accumulate(series.points[at] for at in times), strict=True)))


def _logarithm(function: Callable[[float], float]) -> Callable[[float], float]:
    return lambda value: function(value) if value > 0 else math.nan


def _exactly(name: str, arguments: Sequence[Argument], count: int) -> Sequence[Argument]:
    if len(arguments) != count:
        raise _invalid(name)
    return arguments


def _invalid(name: str) -> MathError:
    return MathError(f"Invalid arguments of {name}")


FUNCTIONS: dict[str, Callable[[Sequence[Argument]], Value]] = {
    "ABS": _pointwise("ABS", abs),
    "AVG": _aggregate("AVG", lambda values: sum(values) / len(values)),
    "CEIL": _pointwise("CEIL", lambda value: float(math.ceil(value))),
    "DIFF": _each("DIFF", _difference),
    "FILL": _fill,
    "FLOOR": _pointwise("FLOOR", lambda value: float(math.floor(value))),
    "IF": _if,
    "LOG": _pointwise("LOG", _logarithm(math.log)),
    "LOG10": _pointwise("LOG10", _logarithm(math.log10)),
    "MAX": _aggregate("MAX", max),
    "METRIC_COUNT": _metric_count,
    "MIN": _aggregate("MIN", min),
    "PERIOD": _period,
    "RATE": _each("RATE", _rate),
    "RUNNING_SUM": _each("RUNNING_SUM", _running_sum),
    "STDDEV": _aggregate("STDDEV", lambda values: float(np.std(values))),
    "SUM": _aggregate("SUM", lambda values: float(sum(values))),
}
