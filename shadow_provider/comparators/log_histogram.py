"""Quantiles of many values by a histogram with logarithmic bins: small, and merged exactly."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

ACCURACY = 0.01
_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GAMMA = math.log(_GAMMA)
SMALLEST = 1e-12
LARGEST = 1e15


@dataclass(frozen=True)
class LogHistogram:
    """Counts of values by sign and size.

    Bin i holds sizes in (g^(i-1), g^i] with g = 1.01/0.99, and stands for 2 g^i/(1 + g): the quantile of a rank is
    off by at most 1 % of itself (the rule of DDSketch: Masson, Rim, Lee, VLDB 2019). Below 10^-12 all is 0, beyond
    10^15 all is 10^15: at most 6,250 bins. The counts are whole numbers, so merging is exact in any order.

    Attributes:
        bins: counts by sign times (bin number + offset); 0 is the bin of zero.
    """

    bins: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Self:
        """Count values; NaN is left out."""
        known = values[~np.isnan(values)]
        sizes = np.clip(np.abs(known), SMALLEST, LARGEST)
        number = np.ceil(np.log(sizes) / _LOG_GAMMA).astype(np.int64) - _FIRST + 1
        keys = np.where(np.abs(known) < SMALLEST, 0, np.sign(known).astype(np.int64) * number)
        unique, counts = np.unique(keys, return_counts=True)
        return cls(dict(zip(unique.tolist(), counts.tolist(), strict=True)))

    @property
    def count(self) -> int:
        """Values."""
        return sum(self.bins.values())

    def merge(self, other: Self) -> Self:
        """The counts of both."""
        bins = dict(self.bins)
        for key, count in other.bins.items():
            bins[key] = bins.get(key, 0) + count
        return type(self)(dict(sorted(bins.items())))

    def quantile(self, probability: float) -> float | None:
        """The value of rank ceil(probability · n), to 1 %; None without values."""
        if not self.bins:
            return None
        rank = max(1, math.ceil(probability * self.count - 1e-9))
        for key in sorted(self.bins):
            rank -= self.bins[key]
            if rank <= 0:
                return _value(key)
        raise AssertionError("a rank beyond the count")

    def quantiles(self) -> dict[str, float | None]:
        """Those that a report shows."""
        return {f"p{100 * each:g}": self.quantile(each) for each in (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)}

    def to_state(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {"bins": {str(key): count for key, count in self.bins.items()}}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """What `to_state` wrote."""
        return cls({int(key): count for key, count in state["bins"].items()})


_FIRST = math.ceil(math.log(SMALLEST) / _LOG_GAMMA)


def _value(key: int) -> float:
    if key == 0:
        return 0.0
    return math.copysign(2 * _GAMMA ** (abs(key) - 1 + _FIRST) / (1 + _GAMMA), key)
