"""What metric math computes with: numbers, time series, arrays of time series."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from shadow_provider.local.cloudwatch.periods import TOLERANCE


class MathError(Exception):
    """An expression that CloudWatch refuses; the text says why."""


@dataclass(frozen=True, slots=True)
class TimeSeries:
    """Values by start of period (epoch seconds); a period without a value is absent.

    Attributes:
        points: The values.
        start: Start of the first period that was asked for, epoch seconds.
        end: End of what was asked for, exclusive, epoch seconds.
        period: Seconds, as asked for.
        label: As shown with the result.
        clock: How many of the period's seconds pass in a real one: 1, but in alarms under a fast clock.
    """

    points: dict[float, float]
    start: float
    end: float
    period: int
    label: str = ""
    clock: float = 1.0

    @property
    def step(self) -> float:
        """Real seconds from one period to the next."""
        return self.period / self.clock

    def periods(self) -> Iterator[float]:
        """The starts of all periods, with or without a value."""
        for number in range(math.ceil((self.end - self.start - TOLERANCE) / self.step)):
            yield self.start + number * self.step

    def with_points(self, points: dict[float, float]) -> TimeSeries:
        """The same span with other values; what is no finite number becomes a missing value."""
        return replace(self, points={at: value for at, value in points.items() if math.isfinite(value)})

    def mapped(self, function: Callable[[float], float]) -> TimeSeries:
        """A function of each value."""
        return self.with_points({at: function(value) for at, value in self.points.items()})


Value = float | TimeSeries | list[TimeSeries]


def combine(sign: str, left: Value, right: Value) -> Value:
    """An operator between two values.

    Two time series are matched by timestamp: where one of them has no value, neither has the result. An array takes
    part series by series.

    Raises:
        MathError: Two arrays of different lengths.
    """
    function = _OPERATORS[sign]
    if isinstance(left, list) or isinstance(right, list):
        return [_pair(function, *pair) for pair in _aligned(left, right)]
    if isinstance(left, float) and isinstance(right, float):
        return function(left, right)
    return _pair(function, left, right)


def negate(value: Value) -> Value:
    """The value with the opposite sign."""
    if isinstance(value, float):
        return -value
    return [item.mapped(operator.neg) for item in value] if isinstance(value, list) else value.mapped(operator.neg)


def _aligned(left: Value, right: Value) -> list[tuple[float | TimeSeries, float | TimeSeries]]:
    if isinstance(left, list) and isinstance(right, list):
        if len(left) != len(right):
            raise MathError("Arrays of different lengths cannot be combined")
        return list(zip(left, right, strict=True))
    if isinstance(left, list):
        assert not isinstance(right, list)
        return [(item, right) for item in left]
    assert isinstance(right, list)
    return [(left, item) for item in right]


def _pair(function: Callable[[float, float], float], left: float | TimeSeries, right: float | TimeSeries) -> TimeSeries:
    if isinstance(left, TimeSeries) and isinstance(right, TimeSeries):
        points = {at: function(value, right.points[at]) for at, value in left.points.items() if at in right.points}
        coarser = left if left.period >= right.period else right
        return replace(coarser.with_points(points), label=left.label)
    if isinstance(left, TimeSeries):
        assert isinstance(right, float)
        return left.with_points({at: function(value, right) for at, value in left.points.items()})
    assert isinstance(right, TimeSeries)
    return right.with_points({at: function(left, value) for at, value in right.points.items()})


def _divide(left: float, right: float) -> float:
    return left / right if right else math.nan


def _power(base: float, exponent: float) -> float:
    try:
        # math.pow has no complex results; multiplied by zero so that nan to the power of 0 is not 1.
        return math.pow(base, exponent) + 0 * (base + exponent)
    except (ValueError, OverflowError):
        return math.nan


def _truth(function: Callable[[float, float], bool]) -> Callable[[float, float], float]:
    """1 or 0; what is compared with an undefined number is undefined too."""
    return lambda left, right: math.nan if math.isnan(left) or math.isnan(right) else float(function(left, right))


_OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "^": _power,
    "<": _truth(operator.lt),
    ">": _truth(operator.gt),
    "<=": _truth(operator.le),
    ">=": _truth(operator.ge),
    "==": _truth(operator.eq),
    "!=": _truth(operator.ne),
    "&&": _truth(lambda left, right: bool(left) and bool(right)),
    "||": _truth(lambda left, right: bool(left) or bool(right)),
}
