"""Where a function crosses zero. SciPy's search would do as well, but importing it takes longer than a judgement."""

import math
import sys
from collections.abc import Callable

_EPSILON = sys.float_info.epsilon


def crossing(function: Callable[[float], float], low: float, high: float, *, within: float) -> float:
    """A zero of a continuous function that has other signs at the two ends.

    Chandrupatla (1997), Advances in Engineering Software 28, 145-149: inverse quadratic interpolation where the last
    three points let it be trusted, else bisection. Values may be infinite.

    Args:
        function: of one number.
        low: one end.
        high: the other end.
        within: how far from a zero the result may be, besides the rounding of its own size.

    Raises:
        ValueError: the function has the same sign at both ends, or is not a number somewhere.
    """
    newest, other = high, low
    value, opposite = function(newest), function(other)
    if not (value <= 0 <= opposite or opposite <= 0 <= value):
        raise ValueError(f"no change of sign between {low} ({opposite}) and {high} ({value})")
    step = 0.5
    while value != 0 and opposite != 0:
        best = newest if abs(value) < abs(opposite) else other
        least_step = (within / 2 + 2 * _EPSILON * abs(best)) / abs(other - newest)
        if least_step >= 0.5:
            return best
        at = newest + min(max(step, least_step), 1 - least_step) * (other - newest)
        found = function(at)
        if math.isnan(found):
            raise ValueError(f"not a number at {at}")
        if (found > 0) == (value > 0):
            third, third_value = newest, value
        else:
            third, third_value, other, opposite = other, opposite, newest, value
        newest, value = at, found
        step = _interpolated(newest, value, other, opposite, third, third_value)
    return newest if value == 0 else other


def _interpolated(a: float, fa: float, b: float, fb: float, c: float, fc: float) -> float:
    """The next step from a to b as a share of the way: a half where a parabola through the three would mislead."""
    if fc in (fa, fb) or not all(map(math.isfinite, (fa, fb, fc))):
        return 0.5
    place, height = (a - b) / (c - b), (fa - fb) / (fc - fb)
    if not (height * height < place and (1 - height) ** 2 < 1 - place):
        return 0.5
    return fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
