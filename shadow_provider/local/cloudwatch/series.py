"""The values of one series: for each timestamp the distinct values and how often each occurred."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from shadow_provider.local.cloudwatch.periods import KEPT, MINUTE, TOLERANCE, grain_at, period_start

# Values that wait to be sorted in among the others: some thousand, or a share of what is there, so that sorting them in
# costs each value little however many there are.
_FRESH = 2048
_FRESH_SHARE = 4
# Significant digits that rounded series keep once their values are older than AWS keeps anything finer than a minute.
_OLD_DIGITS = 3

Floats = npt.NDArray[np.float64]
_NOTHING: Floats = np.empty(0)


@dataclass(frozen=True, slots=True)
class StatisticSet:
    """Values that were put already summed up; percentiles cannot be had from them."""

    count: float
    total: float
    minimum: float
    maximum: float

    def plus(self, other: StatisticSet) -> StatisticSet:
        """Both together."""
        least, most = min(self.minimum, other.minimum), max(self.maximum, other.maximum)
        return StatisticSet(self.count + other.count, self.total + other.total, least, most)


class Slot:
    """What was put with one timestamp.

    Attributes:
        grain: Length in seconds of the period that it was rolled up to; 0 if it is as it was put.
        sets: All that was put as statistic sets, None if nothing was.
    """

    __slots__ = ("_counts", "_digits", "_values", "fresh", "fresh_counts", "grain", "limit", "sets")

    def __init__(self, digits: int | None) -> None:
        self.grain = 0
        self.sets: StatisticSet | None = None
        # Read by Series.add, which is called for every metric of every request.
        self.fresh: array[float] = array("d")
        self.fresh_counts: array[float] | None = None
        self.limit = _FRESH
        self._digits = digits
        self._values = _NOTHING
        self._counts: Floats | None = None

    def weigh(self, count: float) -> None:
        """Notes how often the value that was last appended to `fresh` occurred."""
        if self.fresh_counts is None:
            self.fresh_counts = array("d", [1.0]) * (len(self.fresh) - 1)
        self.fresh_counts.append(count)

    def settled(self) -> tuple[Floats, Floats | None]:
        """The distinct values in ascending order, and how often each occurred; None if each occurred once."""
        if self.fresh:
            values = np.frombuffer(self.fresh, dtype=np.float64)
            counts = None if self.fresh_counts is None else np.frombuffer(self.fresh_counts, dtype=np.float64)
            new = _distinct(values if self._digits is None else rounded(values, self._digits), counts)
            self._values, self._counts = _joined([(self._values, self._counts), new])
            self.fresh, self.fresh_counts = array("d"), None
            self.limit = max(_FRESH, len(self._values) // _FRESH_SHARE)
        return self._values, self._counts

    def absorb(self, older: Slot, digits: int | None) -> None:
        """Takes what another slot has, rounded to `digits` if given, together with its own."""
        values, counts = older.settled()
        if digits is not None:
            values, counts = _distinct(rounded(values, digits), counts)
        self._values, self._counts = _joined([self.settled(), (values, counts)])
        if older.sets is not None:
            self.sets = older.sets if self.sets is None else self.sets.plus(older.sets)


class Series:
    """One series. Timestamps are epoch seconds, rounded down to the resolution by whoever adds.

    Args:
        resolution: Seconds from one timestamp to the next.
        digits: Significant digits to which values are rounded, so that a minute has a bounded number of different ones
            however many values it has; None keeps them as they are.
    """

    def __init__(self, resolution: float = MINUTE, digits: int | None = None) -> None:
        self.resolution = resolution
        self._digits = digits
        self._slots: dict[float, Slot] = {}
        self._times: list[float] | None = []

    def __contains__(self, timestamp: float) -> bool:
        return timestamp in self._slots

    def add(self, timestamp: float, value: float, count: float = 1.0) -> None:
        """Adds a value that occurred `count` times."""
        slot = self._slots.get(timestamp) or self._open(timestamp)
        slot.fresh.append(value)
        if count != 1.0 or slot.fresh_counts is not None:
            slot.weigh(count)
        if len(slot.fresh) >= slot.limit:
            slot.settled()

    def add_set(self, timestamp: float, added: StatisticSet) -> None:
        """Adds values that are summed up already.

        AWS: percentiles can be had where minimum and maximum are equal and the sum is that value times the count.
        """
        if added.minimum == added.maximum and added.total == added.minimum * added.count:
            self.add(timestamp, added.minimum, added.count)
            return
        slot = self._slots.get(timestamp) or self._open(timestamp)
        slot.sets = added if slot.sets is None else slot.sets.plus(added)

    @property
    def latest(self) -> float:
        """The newest timestamp, epoch seconds; minus infinity if nothing was put yet."""
        return self._sorted_times()[-1] if self._slots else -math.inf

    def slots(self, start: float, end: float, period: float) -> Iterator[tuple[int, Slot]]:
        """What was put from `start` (inclusive) to `end` (exclusive), each with the number of its period.

        Periods of `period` seconds are counted from `start`, beginning with 0.
        """
        times = self._sorted_times()
        low, high = bisect_left(times, start - TOLERANCE), bisect_left(times, end - TOLERANCE)
        for at in times[low:high]:
            yield math.floor((at - start + TOLERANCE) / period), self._slots[at]

    def sample(self, start: float, end: float) -> Sample:
        """All that was put from `start` (inclusive) to `end` (exclusive)."""
        return Sample([slot for _, slot in self.slots(start, end, max(end - start, TOLERANCE))])

    def roll_up(self, now: float) -> None:
        """Merges what is older than AWS keeps it, into the periods that AWS still keeps then, or forgets it."""
        times, self._times = self._sorted_times(), None
        for at in times:
            grain = grain_at(now - at)
            if grain < MINUTE:  # so young that it stays as it is, and so do all that follow
                break
            slot = self._slots[at]
            if now - at > KEPT:
                del self._slots[at]
            elif slot.grain < grain:
                del self._slots[at]
                start = period_start(at, grain)
                kept = self._slots.get(start) or self._open(start)
                kept.grain = max(grain, kept.grain)
                kept.absorb(slot, None if self._digits is None else _OLD_DIGITS)

    def _open(self, timestamp: float) -> Slot:
        times = self._times
        if times:
            self._slots[times[-1]].settled()  # it is not likely to get more: its waiting values need less room sorted
        if times is not None and (not times or timestamp > times[-1]):
            times.append(timestamp)
        else:
            self._times = None
        slot = self._slots[timestamp] = Slot(self._digits)
        return slot

    def _sorted_times(self) -> list[float]:
        if self._times is None:
            self._times = sorted(self._slots)
        return self._times


class Sample:
    """Values of one span of time.

    Args:
        slots: Where they are.
    """

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._parts = [part for part in (slot.settled() for slot in slots) if len(part[0])]
        self.sets = [slot.sets for slot in slots if slot.sets is not None]

    @property
    def empty(self) -> bool:
        """Whether nothing was put."""
        return not self._parts and not self.sets

    @cached_property
    def distinct(self) -> tuple[Floats, Floats | None]:
        """The distinct values in ascending order, and how often each occurred; None if each occurred once."""
        return _joined(self._parts)

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
                return min([*(float(values[0]) for values, _ in self._parts), *(item.minimum for item in self.sets)])
            case "Maximum":
                return max([*(float(values[-1]) for values, _ in self._parts), *(item.maximum for item in self.sets)])
        return None if self.sets else self._percentile(float(name[1:]))

    def expanded(self) -> tuple[Floats, Floats] | None:
        """Values and how often each occurred; None where statistic sets hide them."""
        if self.sets:
            return None
        values, counts = self.distinct
        return values, np.ones(len(values)) if counts is None else counts

    def _count(self) -> float:
        own = sum(float(len(values)) if counts is None else float(counts.sum()) for values, counts in self._parts)
        return own + sum(item.count for item in self.sets)

    def _sum(self) -> float:
        own = sum(float(values.sum() if counts is None else values @ counts) for values, counts in self._parts)
        return own + sum(item.total for item in self.sets)

    def _percentile(self, percent: float) -> float:
        """As if each value stood there as often as it occurred."""
        if len(self._parts) > 1 and all(counts is None for _, counts in self._parts):
            # Finding a place among values takes less than sorting them.
            position = percent / 100 * (sum(len(values) for values, _ in self._parts) - 1)
            ranks = math.floor(position), math.ceil(position)
            values = np.partition(np.concatenate([values for values, _ in self._parts]), ranks)
            low, high = float(values[ranks[0]]), float(values[ranks[1]])
        else:
            values, counts = self.distinct
            upto = None if counts is None else np.cumsum(counts)
            position = percent / 100 * ((len(values) if upto is None else float(upto[-1])) - 1)
            low, high = (_at(values, upto, rank) for rank in (math.floor(position), math.ceil(position)))
        return low + (high - low) * (position - math.floor(position))


def rounded(values: Floats, digits: int) -> Floats:
    """The values with so many significant digits: the relative error is at most 5 / 10 ** digits."""
    size = np.abs(values)
    powers = np.floor(np.log10(np.where(size > 0, size, 1.0))) - (digits - 1)
    # Multiplied and divided by whole powers of ten only, which a float has exactly.
    up, down = 10.0 ** np.maximum(-powers, 0), 10.0 ** np.maximum(powers, 0)
    return np.asarray(np.rint(values * up / down) / up * down)


def _at(values: Floats, upto: Floats | None, rank: int) -> float:
    place = rank if upto is None else int(np.searchsorted(upto, rank, side="right"))
    return float(values[min(max(place, 0), len(values) - 1)])


def _distinct(values: Floats, counts: Floats | None) -> tuple[Floats, Floats | None]:
    if counts is None:
        found, times = np.unique(values, return_counts=True)
        return found, None if len(found) == len(values) else times.astype(np.float64)
    found, places = np.unique(values, return_inverse=True)
    return found, np.bincount(places, counts).astype(np.float64, copy=False)


def _joined(parts: Sequence[tuple[Floats, Floats | None]]) -> tuple[Floats, Floats | None]:
    """Several lists of distinct values in ascending order as one."""
    parts = [part for part in parts if len(part[0])]
    if len(parts) <= 1:
        return parts[0] if parts else (_NOTHING, None)
    values = np.concatenate([values for values, _ in parts])
    # A stable sort merges parts that are in order already.
    order = np.argsort(values, kind="stable")
    values = values[order]
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    if len(starts) == len(values) and all(counts is None for _, counts in parts):
        return values, None
    weights = np.concatenate([np.ones(len(own)) if counts is None else counts for own, counts in parts])
    return values[starts], np.add.reduceat(weights[order], starts)
