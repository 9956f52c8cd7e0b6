"""What is counted by block of time: the few numbers a gate is judged by, however large the traffic was.

Every measure is turned so that more is worse. All blocks of a deployment are equally long and follow each other; a
block without traffic has zeros, one without a figure has None.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Protocol, Self

import numpy as np
from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from shadow_provider.plan.frozen import Frozen
from shadow_provider.statistics.blocks import BlockMean
from shadow_provider.statistics.paired_blocks import PairedBlocks
from shadow_provider.statistics.proportion import Interval
from shadow_provider.statistics.rate_blocks import RateBlocks
from shadow_provider.statistics.score_blocks import ScoreBlocks

Count = Annotated[int, Field(ge=0)]

UtcTime = Annotated[AwareDatetime, AfterValidator(lambda time: time.astimezone(UTC))]
"""A time with a zone, brought to UTC: one moment has one form, and its arithmetic knows no summer time."""


class Sequential(Protocol):
    """A figure with bounds that hold at every look."""

    @property
    def estimate(self) -> float | None:
        """What was observed."""

    @property
    def over_time(self) -> BlockMean:
        """The same as a mean over blocks."""

    def evidence_below(self, margin: float) -> float:
        """Log evidence that the truth is below the margin."""

    def evidence_above(self, margin: float) -> float:
        """Log evidence that the truth is above the margin."""

    def bounds(self, lower_alpha: float, upper_alpha: float) -> Interval:
        """Bounds at all looks together."""


class Blocks(Frozen):
    """The blocks of a deployment.

    Attributes:
        start: of the first block.
        seconds: length of each.
        count: how many.
    """

    start: UtcTime
    seconds: Annotated[int, Field(ge=1)]
    count: Count

    def starts(self) -> tuple[datetime, ...]:
        """The beginning of each block."""
        return tuple(self.start + timedelta(seconds=self.seconds * number) for number in range(self.count))

    @property
    def end(self) -> datetime:
        """The end of the last block."""
        return self.start + timedelta(seconds=self.seconds * self.count)


class _Measure(Frozen):
    """Columns of equal length, one value a block."""

    @property
    def columns(self) -> dict[str, tuple[Any, ...]]:
        """The columns by name."""
        return {name: value for name, value in self if isinstance(value, tuple)}

    @property
    def blocks(self) -> int:
        """How many blocks it covers."""
        return len(next(iter(self.columns.values())))

    @model_validator(mode="after")
    def _equally_long(self) -> Self:
        lengths = {name: len(column) for name, column in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of unequal length: {lengths}")
        return self

    def first(self, count: int) -> Self:
        """The first blocks."""
        return self.model_copy(update={name: column[:count] for name, column in self.columns.items()})

    def of_blocks(self, chosen: Sequence[bool]) -> Self:
        """The figures of some blocks; the others have none."""
        return self.model_copy(
            update={
                name: tuple(value if here else self._nothing for value, here in zip(column, chosen, strict=True))
                for name, column in self.columns.items()
            }
        )

    @property
    def _nothing(self) -> int | None:
        return 0


class PairedMeasure(_Measure):
    """Pairs in which the candidate alone did harm, production alone did, and all."""

    kind: Literal["paired"] = "paired"
    worse: tuple[Count, ...]
    better: tuple[Count, ...]
    pairs: tuple[Count, ...]

    @model_validator(mode="after")
    def _within_pairs(self) -> Self:
        columns = zip(self.worse, self.better, self.pairs, strict=True)
        if any(worse + better > pairs for worse, better, pairs in columns):
            raise ValueError("more discordant pairs than pairs in a block")
        return self

    @property
    def n(self) -> int:
        """Pairs."""
        return sum(self.pairs)

    def sequential(self, precision: float) -> Sequential:
        """Its bounds."""
        return PairedBlocks(_counts(self.worse), _counts(self.better), _counts(self.pairs), precision)


class RateMeasure(_Measure):
    """Events of each variant, counted apart: the candidate's, then production's."""

    kind: Literal["rates"] = "rates"
    events: tuple[Count, ...]
    trials: tuple[Count, ...]
    reference_events: tuple[Count, ...]
    reference_trials: tuple[Count, ...]

    @model_validator(mode="after")
    def _within_trials(self) -> Self:
        for events, trials in ((self.events, self.trials), (self.reference_events, self.reference_trials)):
            if any(event > trial for event, trial in zip(events, trials, strict=True)):
                raise ValueError("more events than trials in a block")
        return self

    @property
    def n(self) -> int:
        """Trials of the side with fewer."""
        return min(sum(self.trials), sum(self.reference_trials))

    def sequential(self, precision: float) -> Sequential:
        """Its bounds."""
        columns = (self.events, self.trials, self.reference_events, self.reference_trials)
        events, trials, reference_events, reference_trials = (_counts(column) for column in columns)
        return RateBlocks(events, trials, reference_events, reference_trials, precision)


class ScoreMeasure(_Measure):
    """Scores of pairs between `least` and `most`: how many, their sum, the sum of their squares."""

    kind: Literal["scores"] = "scores"
    counts: tuple[Count, ...]
    totals: tuple[float, ...]
    squares: tuple[Annotated[float, Field(ge=0)], ...]
    least: float
    most: float

    @property
    def n(self) -> int:
        """Scores."""
        return sum(self.counts)

    def sequential(self, precision: float) -> Sequential:
        """Its bounds."""
        totals, squares = (np.array(column, dtype=np.float64) for column in (self.totals, self.squares))
        return ScoreBlocks(_counts(self.counts), totals, squares, self.least, self.most, precision)


class RatioMeasure(_Measure):
    """A positive figure of each variant by block, such as a percentile of latency; the gate is on their log-ratio.

    Percentiles of blocks are never put together: a percentile of a longer block must be asked for anew.
    """

    kind: Literal["ratios"] = "ratios"
    candidate: tuple[Annotated[float, Field(gt=0)] | None, ...]
    reference: tuple[Annotated[float, Field(gt=0)] | None, ...]

    @property
    def log_ratios(self) -> tuple[float, ...]:
        """Of the blocks that have both figures."""
        both = zip(self.candidate, self.reference, strict=True)
        return tuple(math.log(own / other) for own, other in both if own is not None and other is not None)

    @property
    def n(self) -> int:
        """Blocks with both figures."""
        return len(self.log_ratios)

    def sequential(self, precision: float) -> Sequential:
        """Its bounds, as logarithms."""
        return BlockMean.of_series(np.array(self.log_ratios, dtype=np.float64), precision)

    @property
    def _nothing(self) -> int | None:
        return None


Measure = Annotated[PairedMeasure | RateMeasure | ScoreMeasure | RatioMeasure, Field(discriminator="kind")]


def _counts(column: Sequence[int]) -> "np.typing.NDArray[np.int64]":
    return np.array(column, dtype=np.int64)
