"""All metrics of the local CloudWatch, and the time it goes by."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from shadow_provider.local.cloudwatch.periods import MINUTE, TOLERANCE
from shadow_provider.local.cloudwatch.series import Sample, Series

Dimensions = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """What tells one series from another; dimensions are sorted."""

    namespace: str
    name: str
    dimensions: Dimensions
    unit: str


class MetricStore:
    """All series.

    Args:
        now: The time of day, epoch seconds. Everything in the local CloudWatch that asks for the time asks here, so
            that it can be set.
        lag: How many seconds after the end of its period a value can be seen; with 0 it can be seen at once.
    """

    def __init__(self, now: Callable[[], float] = time.time, lag: float = 0.0) -> None:
        self.now = now
        self.lag = lag
        self._all: list[Series] = []
        self._own: dict[SeriesKey, Series] = {}
        self._units: dict[tuple[str, str, Dimensions], dict[str, list[Series]]] = {}

    def series(self, key: SeriesKey, resolution: float = MINUTE) -> Series:
        """The series of a key, made when first asked for; its resolution is the finest that was ever asked for."""
        found = self._own.get(key)
        if found is None:
            found = self._own[key] = self.shared([key], resolution)
        found.resolution = min(found.resolution, resolution)
        return found

    def shared(self, keys: Sequence[SeriesKey], resolution: float = MINUTE, digits: int | None = None) -> Series:
        """A new series whose values count under several keys but are kept once.

        Args:
            keys: Whose values it adds to.
            resolution: As of Series.
            digits: As of Series.
        """
        made = Series(resolution, digits)
        self._all.append(made)
        for key in keys:
            units = self._units.setdefault((key.namespace, key.name, key.dimensions), {})
            units.setdefault(key.unit, []).append(made)
        return made

    def find(self, namespace: str, name: str, dimensions: Dimensions, unit: str | None) -> dict[str, list[Series]]:
        """By unit, the series that a query means: the dimensions must be the full set; without a unit, any unit."""
        units = self._units.get((namespace, name, dimensions), {})
        return {own: series for own, series in units.items() if unit in (None, own)}

    def sample(self, key: SeriesKey, since: float) -> Sample:
        """All that counts under a key and has a timestamp from `since` (epoch seconds) on."""
        units = self._units.get((key.namespace, key.name, key.dimensions), {})
        return Sample([slot for one in units.get(key.unit, []) for _, slot in one.slots(since, math.inf, 1.0)])

    def metrics(self, since: float) -> Iterator[tuple[str, str, Dimensions]]:
        """Namespace, name and dimensions of every metric with a value at or after `since` (epoch seconds)."""
        for metric, units in self._units.items():
            if any(series.latest >= since for listed in units.values() for series in listed):
                yield metric

    def visible_until(self, series: Series) -> float:
        """Before which timestamps of a series can be seen, epoch seconds."""
        return self.now() - self.lag - series.resolution + 2 * TOLERANCE if self.lag else math.inf

    def roll_up(self) -> None:
        """Merges and forgets what is older than CloudWatch keeps it."""
        now = self.now()
        for series in self._all:
            series.roll_up(now)
