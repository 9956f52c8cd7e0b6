"""The rules that are compared: each looks at a history up to a minute and has an opinion of the candidate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from benchmarks.calibration.scenarios import (
    History,
    LatencyHistory,
    PairHistory,
    RateHistory,
    ScoreHistory,
    Series,
)
from shadow_provider.statistics.blocks import BlockMean
from shadow_provider.statistics.paired import tango_interval
from shadow_provider.statistics.paired_blocks import PairedBlocks
from shadow_provider.statistics.proportion import Interval, newcombe_difference
from shadow_provider.statistics.rate_blocks import RateBlocks
from shadow_provider.statistics.score_blocks import ScoreBlocks

Measure = PairedBlocks | RateBlocks | ScoreBlocks | BlockMean


class Opinion(Protocol):
    """What a rule says at one look."""

    def promotes(self, margin: float) -> bool:
        """Whether it holds the candidate's harm for less than the margin."""

    def rejects(self, harm: float) -> bool:
        """Whether it holds the candidate's harm for more than this."""


class Rule(Protocol):
    """Looks at the first `end` minutes."""

    def look(self, history: History, end: int) -> Opinion:
        """The opinion by then."""


@dataclass(frozen=True)
class Evidence:
    """An opinion from evidence, which is called when it reaches `needed`."""

    measure: Measure
    needed: float

    def promotes(self, margin: float) -> bool:
        """Evidence of less harm than the margin."""
        return self.measure.evidence_below(margin) >= self.needed

    def rejects(self, harm: float) -> bool:
        """Evidence of more harm; at zero, what a critical gate rejects by."""
        return self.measure.evidence_above(harm) >= self.needed


@dataclass(frozen=True)
class Bounded:
    """An opinion from an interval."""

    bounds: Interval

    def promotes(self, margin: float) -> bool:
        """Its upper bound is below the margin."""
        return self.bounds[1] < margin

    def rejects(self, harm: float) -> bool:
        """Its lower bound is above the harm."""
        return self.bounds[0] > harm


@dataclass(frozen=True)
class Judgement:
    """Kayenta's opinion, which knows no margin."""

    high: bool

    def promotes(self, margin: float) -> bool:
        """It does not find the candidate high."""
        return not self.high

    def rejects(self, harm: float) -> bool:
        """It finds the candidate high."""
        return self.high


class Ours:
    """Evidence that is valid at every look.

    Args:
        alpha: Error probability of each of the two claims.
    """

    def __init__(self, alpha: float) -> None:
        self._needed = -math.log(alpha)

    def look(self, history: History, end: int) -> Evidence:
        """The evidence by then."""
        return Evidence(_measure(history, end), self._needed)


def _measure(history: History, end: int) -> Measure:
    match history:
        case PairHistory(worse, better, pairs):
            return PairedBlocks(worse[:end], better[:end], pairs[:end])
        case RateHistory(events, trials, reference_events, reference_trials):
            return RateBlocks(events[:end], trials[:end], reference_events[:end], reference_trials[:end])
        case ScoreHistory(counts, totals, squares):
            return ScoreBlocks(counts[:end], totals[:end], squares[:end], -1.0, 1.0)
        case LatencyHistory():
            return BlockMean.of_series(_log_ratios(history, end))


def _log_ratios(history: LatencyHistory, end: int) -> Series:
    ratios: Series = np.log(history.candidate[:end] / history.production[:end])
    return ratios


class FixedSample:
    """The usual interval, as if there were one look and everything were independent.

    Tango's for pairs, Newcombe's for rates that were counted apart, Student's t for scores and for log-ratios.
    """

    def __init__(self, alpha: float) -> None:
        self._alpha = alpha

    def look(self, history: History, end: int) -> Bounded:
        """The interval by then."""
        match history:
            case PairHistory(worse, better, pairs):
                bounds = tango_interval(_sum(worse, end), _sum(better, end), _sum(pairs, end), self._alpha)
            case RateHistory(events, trials, reference_events, reference_trials):
                own, other = (
                    (_sum(events, end), _sum(trials, end)),
                    (_sum(reference_events, end), _sum(reference_trials, end)),
                )
                bounds = newcombe_difference(*own, *other, self._alpha)
            case ScoreHistory(counts, totals, squares):
                bounds = self._student(_sum(counts, end), float(totals[:end].sum()), float(squares[:end].sum()))
            case LatencyHistory():
                ratios = _log_ratios(history, end)
                bounds = self._student(end, float(ratios.sum()), float(ratios @ ratios))
        return Bounded(bounds)

    def _student(self, count: int, total: float, squares: float) -> Interval:
        from scipy.special import stdtrit

        mean = total / count
        deviation = math.sqrt(max(0.0, squares - count * mean * mean) / (count - 1))
        reach = float(stdtrit(count - 1, 1 - self._alpha)) * deviation / math.sqrt(count)
        return mean - reach, mean + reach


def _sum(column: np.ndarray[tuple[int], np.dtype[np.int64]], end: int) -> int:
    return int(column[:end].sum())


class Kayenta:
    """The judge NetflixACAJudge-v1.0, re-expressed from its published description.

    A Mann-Whitney interval of confidence 0.98 for the shift between the two series of minutes; "High" if its lower end
    is above a quarter of the estimate. It knows no margin: what is not High passes. Scores of pairs, which it does not
    know, are given to it as each minute's mean against none.
    """

    def look(self, history: History, end: int) -> Judgement:
        """The judgement of the minutes until then."""
        candidate, production = _as_series(history, end)
        estimate, lower = _shift(candidate, production)
        return Judgement(estimate > 0 and lower > 0.25 * abs(estimate))


def _as_series(history: History, end: int) -> tuple[Series, Series]:
    match history:
        case PairHistory(worse, better, pairs):
            some = np.maximum(pairs[:end], 1)
            return worse[:end] / some, better[:end] / some
        case RateHistory(events, trials, reference_events, reference_trials):
            return (
                events[:end] / np.maximum(trials[:end], 1),
                reference_events[:end] / np.maximum(reference_trials[:end], 1),
            )
        case ScoreHistory(counts, totals, _):
            means = totals[:end] / np.maximum(counts[:end], 1)
            return means / 2, -means / 2
        case LatencyHistory(candidate, production):
            return candidate[:end], production[:end]


def _shift(candidate: Series, production: Series) -> tuple[float, float]:
    """Hodges and Lehmann's shift and the lower end of its rank interval (Hollander and Wolfe 1999, section 4.3)."""
    from scipy.special import ndtri

    differences = np.subtract.outer(candidate, production).ravel()
    count, other = len(candidate), len(production)
    spread = math.sqrt(count * other * (count + other + 1) / 12)
    rank = max(0, math.floor(count * other / 2 - float(ndtri(0.99)) * spread))
    middle = len(differences) // 2
    ordered = np.partition(differences, [rank, middle])
    return float(ordered[middle]), float(ordered[rank])
