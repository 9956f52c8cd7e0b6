"""Metric values as they were put: arrays per series, exact statistics, exact percentiles."""

from __future__ import annotations

import math
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Dimensions = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """What tells one series from another; dimensions are sorted."""

    namespace: str
    name: str
    dimensions: Dimensions
    unit: str


@dataclass(slots=True)
class StatisticSet:
    """Values that were put already summed up; percentiles cannot be had from them."""

    timestamp: float
    count: float
    total: float
    minimum: float
    maximum: float


@dataclass(slots=True)
class Series:
    """One series. Timestamps are epoch seconds, rounded down to the resolution by whoever adds."""

    timestamps: array[float] = field(default_factory=lambda: array("d"))
    values: array[float] = field(default_factory=lambda: array("d"))
    counts: array[float] | None = None
    sets: list[StatisticSet] = field(default_factory=list)
    _sorted: bool = True

    def add(self, timestamp: float, value: float, count: float = 1.0) -> None:
        """Adds a value that occurred `count` times."""
        if count != 1.0 and self.counts is None:
            self.counts = array("d", [1.0]) * len(self.values)
        if self.counts is not None:
            self.counts.append(count)
        if self._sorted and self.timestamps and timestamp < self.timestamps[-1]:
            self._sorted = False
        self.timestamps.append(timestamp)
        self.values.append(value)

    def between(self, start: float, end: float) -> Sample:
        """What was put from `start` (inclusive) to `end` (exclusive)."""
        if not self._sorted:
            self._sort()
        low, high = bisect_left(self.timestamps, start), bisect_left(self.timestamps, end)
        values = np.frombuffer(self.values[low:high], dtype=np.float64)
        counts = None if self.counts is None else np.frombuffer(self.counts[low:high], dtype=np.float64)
        sets = [item for item in self.sets if start <= item.timestamp < end]
        return Sample(np.frombuffer(self.timestamps[low:high], dtype=np.float64), values, counts, sets)

    @property
    def latest(self) -> float:
        """The newest timestamp, epoch seconds; minus infinity if nothing was put yet."""
        own = max(self.timestamps[-1:] if self._sorted else self.timestamps, default=-math.inf)
        return max(own, max((item.timestamp for item in self.sets), default=-math.inf))

    def _sort(self) -> None:
        order = np.argsort(np.array(self.timestamps), kind="stable")
        self.timestamps = array("d", np.array(self.timestamps)[order].tobytes())
        self.values = array("d", np.array(self.values)[order].tobytes())
        if self.counts is not None:
            self.counts = array("d", np.array(self.counts)[order].tobytes())
        self._sorted = True


@dataclass(slots=True)
class Sample:
    """Values of one span of time."""

    timestamps: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    counts: npt.NDArray[np.float64] | None
    sets: list[StatisticSet]

    @property
    def empty(self) -> bool:
        """Whether nothing was put."""
        return not len(self.values) and not self.sets

    def buckets(self, start: float, period: int) -> dict[float, Sample]:
        """Splits into periods counted from `start`; periods without values are absent."""
        found: dict[float, Sample] = {}
        if len(self.values):
            numbers = ((self.timestamps - start) // period).astype(np.int64)
            edges = np.flatnonzero(np.diff(numbers)) + 1
            for low, high in zip([0, *edges], [*edges, len(numbers)], strict=True):
                counts = None if self.counts is None else self.counts[low:high]
                span = Sample(self.timestamps[low:high], self.values[low:high], counts, [])
                found[start + int(numbers[low]) * period] = span
        for item in self.sets:
            at = start + (item.timestamp - start) // period * period
            nothing = np.empty(0)
            found.setdefault(at, Sample(nothing, nothing, None, [])).sets.append(item)
        return found

    def statistic(self, name: str) -> float | None:
        """Average, Sum, Minimum, Maximum, SampleCount, or pNN(.N).

        Percentiles interpolate linearly between the two nearest values. They are None where some values were put as
        statistic sets of more than one distinct value, as CloudWatch gives none then.
        """
        match name:
            case "SampleCount":
                return self._count()
            case "Sum":
                return self._sum()
            case "Average":
                return self._sum() / self._count()
            case "Minimum":
                return float(min([*self._extreme(np.min), *(item.minimum for item in self.sets)]))
            case "Maximum":
                return float(max([*self._extreme(np.max), *(item.maximum for item in self.sets)]))
        return self._percentile(float(name[1:]))

    def _count(self) -> float:
        own = float(len(self.values)) if self.counts is None else float(self.counts.sum())
        return own + sum(item.count for item in self.sets)

    def _sum(self) -> float:
        own = float(self.values.sum()) if self.counts is None else float((self.values * self.counts).sum())
        return own + sum(item.total for item in self.sets)

    def _extreme(self, function: Callable[[npt.NDArray[np.float64]], np.float64]) -> list[float]:
        return [float(function(self.values))] if len(self.values) else []

    def expanded(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
        """Values and how often each occurred; None where statistic sets hide them."""
        if any(item.minimum != item.maximum for item in self.sets):
            return None
        counts = np.ones(len(self.values)) if self.counts is None else self.counts
        values = np.append(self.values, [item.minimum for item in self.sets])
        return values, np.append(counts, [item.count for item in self.sets])

    def _percentile(self, percent: float) -> float | None:
        if self.counts is None and not self.sets:
            return float(np.percentile(self.values, percent))
        known = self.expanded()
        return None if known is None else _weighted_percentile(*known, percent)


def _weighted_percentile(values: npt.NDArray[np.float64], counts: npt.NDArray[np.float64], percent: float) -> float:
    """As if each value stood there as often as its count says."""
    order = np.argsort(values, kind="stable")
    values, upto = values[order], np.cumsum(counts[order])
    position = percent / 100 * (upto[-1] - 1)
    last = len(values) - 1
    low = values[min(int(np.searchsorted(upto, np.floor(position), side="right")), last)]
    high = values[min(int(np.searchsorted(upto, np.ceil(position), side="right")), last)]
    return float(low + (high - low) * (position - np.floor(position)))


class MetricStore:
    """All series of the local CloudWatch, and the time it goes by.

    Args:
        now: The time of day, epoch seconds. Everything in the local CloudWatch that asks for the time asks here, so
            that it can be set.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.now = now
        self._series: dict[SeriesKey, Series] = {}
        self._units: dict[tuple[str, str, Dimensions], list[SeriesKey]] = {}

    def series(self, key: SeriesKey) -> Series:
        """The series of a key, made when first asked for."""
        found = self._series.get(key)
        if found is None:
            found = self._series[key] = Series()
            self._units.setdefault((key.namespace, key.name, key.dimensions), []).append(key)
        return found

    def find(
        self, namespace: str, name: str, dimensions: Dimensions, unit: str | None
    ) -> list[tuple[SeriesKey, Series]]:
        """The series that a query means: the dimensions must be the full set; without a unit, any unit."""
        keys = self._units.get((namespace, name, dimensions), [])
        return [(key, self._series[key]) for key in keys if unit is None or key.unit == unit]

    def metrics(self, since: float) -> Iterator[tuple[str, str, Dimensions]]:
        """Namespace, name and dimensions of every metric with a value at or after `since` (epoch seconds)."""
        for metric, keys in self._units.items():
            if any(self._series[key].latest >= since for key in keys):
                yield metric
