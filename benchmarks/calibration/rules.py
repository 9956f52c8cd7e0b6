"""The rules that are compared: each looks at a history up to a minute and may promote or reject."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from benchmarks.calibration.scenarios import LatencyHistory, PairHistory, Series
from shadow_provider.statistics.blocks import BlockMean
from shadow_provider.statistics.paired import tango_interval
from shadow_provider.statistics.paired_blocks import PairedBlocks

History = PairHistory | LatencyHistory


class Rule(Protocol):
    """What a rule says of the first `end` minutes."""

    def promotes(self, history: History, end: int, margin: float) -> bool:
        """Whether it holds the candidate for no worse than the margin."""

    def rejects(self, history: History, end: int) -> bool:
        """Whether it holds the candidate for worse than production."""


class Ours:
    """Evidence that is valid at every look.

    Args:
        alpha: Error probability of each of the two claims.
    """

    def __init__(self, alpha: float) -> None:
        self._needed = -math.log(alpha)

    def promotes(self, history: History, end: int, margin: float) -> bool:
        """Evidence of less harm than the margin."""
        return _evidence(history, end).evidence_below(margin) >= self._needed

    def rejects(self, history: History, end: int) -> bool:
        """Evidence of some harm: what a critical gate rejects by."""
        return _evidence(history, end).evidence_above(0.0) >= self._needed


def _evidence(history: History, end: int) -> PairedBlocks | BlockMean:
    if isinstance(history, PairHistory):
        return PairedBlocks(history.worse[:end], history.better[:end], history.pairs[:end])
    return BlockMean.of_series(_log_ratios(history, end))


def _log_ratios(history: LatencyHistory, end: int) -> Series:
    ratios: Series = np.log(history.candidate[:end] / history.production[:end])
    return ratios


class FixedSample:
    """The usual paired interval, as if there were one look: Tango's for pairs, Student's t for log-ratios."""

    def __init__(self, alpha: float) -> None:
        self._alpha = alpha

    def promotes(self, history: History, end: int, margin: float) -> bool:
        """Its upper bound is below the margin."""
        return self._bounds(history, end)[1] < margin

    def rejects(self, history: History, end: int) -> bool:
        """Its lower bound is above zero."""
        return self._bounds(history, end)[0] > 0

    def _bounds(self, history: History, end: int) -> tuple[float, float]:
        if isinstance(history, PairHistory):
            worse, better, pairs = (int(part[:end].sum()) for part in (history.worse, history.better, history.pairs))
            return tango_interval(worse, better, pairs, self._alpha)
        from scipy.special import stdtrit

        ratios = _log_ratios(history, end)
        reach = float(stdtrit(end - 1, 1 - self._alpha)) * float(ratios.std(ddof=1)) / math.sqrt(end)
        return float(ratios.mean()) - reach, float(ratios.mean()) + reach


class Kayenta:
    """The judge NetflixACAJudge-v1.0, re-expressed from its published description.

    A Mann-Whitney interval of confidence 0.98 for the shift between the two series of minutes; "High" if its lower end
    is above a quarter of the estimate. It knows no margin: what is not High passes.
    """

    def promotes(self, history: History, end: int, margin: float) -> bool:
        """It does not find the candidate high."""
        return not self.rejects(history, end)

    def rejects(self, history: History, end: int) -> bool:
        """It finds the candidate high."""
        candidate, production = _as_series(history, end)
        estimate, lower = _shift(candidate, production)
        return estimate > 0 and lower > 0.25 * abs(estimate)


def _as_series(history: History, end: int) -> tuple[Series, Series]:
    if isinstance(history, PairHistory):
        pairs = np.maximum(history.pairs[:end], 1)
        return history.worse[:end] / pairs, history.better[:end] / pairs
    return history.candidate[:end], history.production[:end]


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
