"""Counts and sums by block of time, which add up exactly: in any order, over any split into looks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shadow_provider.comparators.outcomes import Outcome
from shadow_provider.verdict.measures import Blocks, PairedMeasure, ScoreMeasure

UNREADABLE = Outcome("unreadable", "binary", -1, 1, signed=True)
"""Of every comparator: +1 where the candidate's answer alone could not be read."""

_GRID_BITS = 30
"""Scores are rounded to 2^-30 of their range's power of two: then sums of up to 2^23 of them in a block are exact."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Index = NDArray[np.int64]


def microseconds(moment: datetime) -> int:
    """Since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(count: int) -> datetime:
    """The time so many microseconds after 1970 began."""
    return _EPOCH + count * _MICROSECOND


@dataclass
class BlockTable:
    """Columns over blocks, made as they are needed.

    Attributes:
        start: of block 0.
        seconds: length of a block.
        columns: by name, equally long or shorter; what is not there is zero.
    """

    start: datetime
    seconds: int
    columns: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def empty(self) -> Self:
        """A table of the same blocks with nothing in it."""
        return type(self)(self.start, self.seconds)

    def index(self, times: Index) -> Index:
        """The block of each time in microseconds."""
        return (times - microseconds(self.start)) // (self.seconds * 1_000_000)

    def add(self, name: str, blocks: Index, weights: NDArray[np.float64] | None = None) -> None:
        """Add ones or weights to a column."""
        self._add_column(name, np.bincount(blocks, weights).astype(np.float64))

    def _add_column(self, name: str, more: NDArray[np.float64]) -> None:
        have = self.columns.get(name)
        if have is None:
            have = np.zeros(0)
        if len(have) < len(more):
            have = np.concatenate((have, np.zeros(len(more) - len(have))))
        have[: len(more)] += more
        self.columns[name] = have

    def add_outcome(self, outcome: Outcome, blocks: Index, values: NDArray[np.float64]) -> None:
        """Add one figure per pair; NaN is none.

        Raises:
            ValueError: a figure lies outside of what the outcome says.
        """
        there = ~np.isnan(values)
        blocks, values = blocks[there], values[there]
        if len(values) and not (outcome.least <= values.min() and values.max() <= outcome.most):
            raise ValueError(f"{outcome.name}: a value outside of [{outcome.least}, {outcome.most}]")
        self.add(f"{outcome.name}/pairs", blocks)
        if outcome.kind == "binary":
            self.add(f"{outcome.name}/worse", blocks[values > 0])
            self.add(f"{outcome.name}/better", blocks[values < 0])
        elif outcome.bounded:
            on_grid = rounded(outcome, values)
            self.add(f"{outcome.name}/totals", blocks, on_grid)
            squared = _unit(outcome) ** 2 * 2**_GRID_BITS
            self.add(f"{outcome.name}/squares", blocks, np.round(on_grid * on_grid / squared) * squared)

    def merged(self, other: Self) -> Self:
        """Both tables together."""
        both = type(self)(self.start, self.seconds, {name: column.copy() for name, column in self.columns.items()})
        for name, column in other.columns.items():
            both._add_column(name, column)
        return both

    def column(self, name: str, count: int) -> NDArray[np.float64]:
        """A column of that many blocks."""
        values = np.zeros(count)
        have = self.columns.get(name, values)[:count]
        values[: len(have)] = have
        return values

    @property
    def count(self) -> int:
        """Blocks up to the last one with anything in it."""
        return max((len(column) for column in self.columns.values()), default=0)

    def blocks(self, count: int) -> Blocks:
        """The first blocks."""
        return Blocks(start=self.start, seconds=self.seconds, count=count)

    def measures(self, outcomes: Sequence[Outcome], count: int) -> dict[str, PairedMeasure | ScoreMeasure]:
        """What gates are judged by, with `unreadable`."""
        return self.outcome_measures((UNREADABLE, *outcomes), count)

    def outcome_measures(self, outcomes: Sequence[Outcome], count: int) -> dict[str, PairedMeasure | ScoreMeasure]:
        """One measure an outcome. One without bounds is a description and makes none."""
        return {each.name: self._measure(each, count) for each in outcomes if each.bounded}

    def _measure(self, outcome: Outcome, count: int) -> PairedMeasure | ScoreMeasure:
        def counts(name: str) -> tuple[int, ...]:
            return tuple(self.column(f"{outcome.name}/{name}", count).astype(np.int64).tolist())

        def sums(name: str) -> tuple[float, ...]:
            return tuple(self.column(f"{outcome.name}/{name}", count).tolist())

        if outcome.kind == "binary":
            return PairedMeasure(worse=counts("worse"), better=counts("better"), pairs=counts("pairs"))
        return ScoreMeasure(
            counts=counts("pairs"),
            totals=sums("totals"),
            squares=sums("squares"),
            least=outcome.least,
            most=outcome.most,
        )

    def to_state(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {name: column.tolist() for name, column in sorted(self.columns.items())}

    def restored(self, state: Mapping[str, Sequence[float]]) -> Self:
        """The table with these columns."""
        columns = {name: np.array(column, dtype=np.float64) for name, column in state.items()}
        return type(self)(self.start, self.seconds, columns)


def rounded(outcome: Outcome, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of an outcome with bounds, on the grid on which their sums are exact."""
    unit = _unit(outcome)
    return np.round(values / unit) * unit


def _unit(outcome: Outcome) -> float:
    largest = max(abs(outcome.least), abs(outcome.most))
    return 2.0 ** (math.ceil(math.log2(largest)) - _GRID_BITS) if largest else 1.0
