"""Number, mean and spread of many values, with sums that are exact and so do not depend on their order.

Rounded sums differ in the last digits by the order of adding, and a record judged again must give the same bytes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

_SCALE = 1074
"""Doubles are whole multiples of 2^-1074."""
_LOW = 26
_CHUNK = 1 << 20


def exact_sum(values: NDArray[np.float64]) -> int:
    """The exact sum of finite doubles, in units of 2^-1074.

    A double is m · 2^(e-53) with a whole m of 53 bits. m is split into halves of 27 and 26 bits, whose sums by exponent
    stay below 2^53 for 2^20 values, and so are exact.
    """
    total = 0
    for start in range(0, len(values), _CHUNK):
        fraction, exponent = np.frexp(values[start : start + _CHUNK])
        mantissa = np.ldexp(fraction, 53)
        high = np.floor(np.ldexp(mantissa, -_LOW))
        low = mantissa - np.ldexp(high, _LOW)
        least = int(exponent.min())
        group = exponent - least
        highs, lows = np.bincount(group, high), np.bincount(group, low)
        for power, (upper, lower) in enumerate(zip(highs.tolist(), lows.tolist(), strict=True), start=least):
            whole = (int(upper) << _LOW) + int(lower)
            shift = _SCALE + power - 53
            total += whole << shift if shift >= 0 else whole >> -shift
    return total


@dataclass(frozen=True)
class Moments:
    """Of the finite values: how many, their sum and that of their squares; of the others how many.

    Squares are rounded to doubles one by one, all else is exact. A square too large for a double counts the value as
    not finite.

    Attributes:
        count: finite values.
        total: their sum in units of 2^-1074.
        squares: the sum of their squares in the same units.
        least: the smallest, None without values.
        most: the largest.
        not_finite: values that are infinite, NaN or beyond 10^154.
    """

    count: int = 0
    total: int = 0
    squares: int = 0
    least: float | None = None
    most: float | None = None
    not_finite: int = 0

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Self:
        """Of some values."""
        usable = np.abs(values) <= 1e154
        finite = values[usable]
        bad = len(values) - len(finite)
        if not len(finite):
            return cls(not_finite=bad)
        extremes = float(finite.min()), float(finite.max())
        return cls(len(finite), exact_sum(finite), exact_sum(finite * finite), *extremes, bad)

    def merge(self, other: Self) -> Self:
        """Of both sets of values."""
        return type(self)(
            self.count + other.count,
            self.total + other.total,
            self.squares + other.squares,
            min((value for value in (self.least, other.least) if value is not None), default=None),
            max((value for value in (self.most, other.most) if value is not None), default=None),
            self.not_finite + other.not_finite,
        )

    @property
    def mean(self) -> float | None:
        """Sum by number."""
        return float(Fraction(self.total, self.count << _SCALE)) if self.count else None

    @property
    def mean_square(self) -> float | None:
        """Mean of the squares."""
        return float(Fraction(self.squares, self.count << _SCALE)) if self.count else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation with n - 1; None for fewer than two values."""
        if self.count < 2:
            return None
        total, squares = Fraction(self.total, 1 << _SCALE), Fraction(self.squares, 1 << _SCALE)
        return math.sqrt(max(0.0, float((squares - total * total / self.count) / (self.count - 1))))

    def to_json(self) -> dict[str, Any]:
        """Figures to read."""
        return {
            "count": self.count,
            "mean": self.mean,
            "standard_deviation": self.deviation,
            "least": self.least,
            "most": self.most,
            "not_finite": self.not_finite,
        }

    def to_state(self) -> dict[str, Any]:
        """All of it as JSON; the exact sums as text in base 16, trailing zeros being most of them."""
        return {**self.__dict__, "total": hex(self.total), "squares": hex(self.squares)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """What `to_state` wrote."""
        return cls(**{**state, "total": int(state["total"], 16), "squares": int(state["squares"], 16)})
