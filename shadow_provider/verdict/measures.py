"""What is counted by block of time: the few numbers a gate is judged by, however large the traffic was.

Every measure is turned so that more is worse. All blocks of a deployment are equally long and follow each other; a
block without traffic has zeros, one without a figure has None.
"""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Protocol, Self

import numpy as np
from pydantic import AwareDatetime, Field, model_validator

from shadow_provider.statistics.blocks import BlockMean
from shadow_provider.statistics.paired_blocks import PairedBlocks
from shadow_provider.statistics.proportion import Interval
from shadow_provider.statistics.rate_blocks import RateBlocks
from shadow_provider.statistics.score_blocks import ScoreBlocks
from shadow_provider.verdict.evidence import Count, Frozen

MOST_BLOCKS = 2000
"""Blocks that an evidence table holds at most; longer deployments have longer blocks."""

BLOCK_SECONDS = (60, 120, 300, 600, 900, 1800, 3600)


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

    start: AwareDatetime
    seconds: Annotated[int, Field(ge=1)]
    count: Count

    def starts(self) -> tuple[datetime, ...]:
        """The beginning of each block."""
        return tuple(self.start + timedelta(seconds=self.seconds * number) for number in range(self.count))

    @property
    def end(self) -> datetime:
        """The end of the last block."""
        return self.start + timedelta(seconds=self.seconds * self.count)


def block_seconds(span: timedelta, shortest: int = BLOCK_SECONDS[0]) -> int:
    """How long blocks must be so that a span has no more than `MOST_BLOCKS` of them: a rule that no data enters.

    Args:
        span: from the first block's beginning to the end.
        shortest: what a policy asks for; below a minute only for demonstrations.
    """
    lengths = (shortest, *(length for length in BLOCK_SECONDS if length > shortest))
    fitting = (length for length in lengths if span.total_seconds() <= length * MOST_BLOCKS)
    return next(fitting, math.ceil(span.total_seconds() / MOST_BLOCKS / 3600) * 3600)


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

    def coarser(self, factor: int) -> Self:
        """Sums over that many neighbouring blocks; a last group that is not full stays."""
        summed = {name: _summed(column, factor) for name, column in self.columns.items()}
        return self.model_copy(update=summed)

    def followed_by(self, later: Self) -> Self:
        """This measure, and after it the blocks of a later one."""
        joined = {name: column + later.columns[name] for name, column in self.columns.items()}
        return self.model_copy(update=joined)


def _summed(column: Sequence[float], factor: int) -> tuple[float, ...]:
    return tuple(sum(column[at : at + factor]) for at in range(0, len(column), factor))


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

    It cannot be made coarser: a percentile of a longer block must be asked for anew.
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

    def coarser(self, factor: int) -> Self:
        """Refused: percentiles are never averaged.

        Raises:
            TypeError: always, but for a factor of one.
        """
        if factor == 1:
            return self
        raise TypeError("percentiles of longer blocks must be asked for anew")


Measure = Annotated[PairedMeasure | RateMeasure | ScoreMeasure | RatioMeasure, Field(discriminator="kind")]


def _counts(column: Sequence[int]) -> "np.typing.NDArray[np.int64]":
    return np.array(column, dtype=np.int64)
