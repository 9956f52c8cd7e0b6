"""Confidence sequences for a mean per unit over blocks of time: valid at every look, for series that hang together.

A block has a weight (pairs, requests; one for a series of log-ratios) and a sum. The mean is the sum of the sums over
the sum of the weights. Which margin it keeps is asked through residuals: sum - margin * weight per block has mean zero
if the true mean is the margin, whatever the load of the block.

The sequence is asymptotic: it holds as blocks add up, under any weak dependence between them (Waudby-Smith, Arbour,
Sinha, Kennedy and Ramdas 2024, Annals of Statistics 52, "Time-uniform central limit theory"). For few blocks each score
is first taken from Student's t to the normal distribution, and below 12 effective blocks nothing is claimed.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from shadow_provider.statistics.long_run import MINIMUM_EFFECTIVE, LongRunVariance, long_run_variance
from shadow_provider.statistics.mixture import log_mixture
from shadow_provider.statistics.proportion import Interval, check_alpha

DEFAULT_PRECISION = 20.0
"""Of the mixture, in effective blocks: tightest after 100 to 200 of them."""

_LARGEST_SCORE = 37.0  # beyond it the normal distribution function is one in double precision


@dataclass(frozen=True)
class BlockMean:
    """A mean over blocks, ready to be asked; what all its answers need is found once, so the arrays must not change.

    Attributes:
        weights: Of each block, oldest first; not negative.
        sums: Of each block.
        precision: Of the mixture, in effective blocks; must not depend on the data.
    """

    weights: npt.NDArray[np.float64]
    sums: npt.NDArray[np.float64]
    precision: float = DEFAULT_PRECISION

    @classmethod
    def of_series(cls, values: npt.NDArray[np.float64], precision: float = DEFAULT_PRECISION) -> "BlockMean":
        """The mean of a series in which every block counts the same, such as log-ratios of latencies."""
        return cls(np.ones(len(values)), values, precision)

    @cached_property
    def estimate(self) -> float | None:
        """The mean; None without any weight."""
        total = float(self.weights.sum())
        return float(self.sums.sum()) / total if total > 0 else None

    @property
    def over_time(self) -> "BlockMean":
        """Itself: what other measures have beside their counts."""
        return self

    @property
    def effective(self) -> float:
        """How many independent blocks it is worth."""
        spread = self.spread
        return 0.0 if spread is None else spread.effective

    @cached_property
    def spread(self) -> LongRunVariance | None:
        """Long-run variance of the residuals about the estimate, in units of a block's sum; None for too few blocks."""
        estimate = self.estimate
        if estimate is None or len(self.weights) < 2:
            return None
        return long_run_variance(self.sums - estimate * self.weights)

    def evidence_below(self, margin: float) -> float:
        """Log evidence that the true mean is below the margin; minus infinity while there are too few blocks."""
        return self._evidence(margin, -1.0)

    def evidence_above(self, margin: float) -> float:
        """Log evidence that the true mean is above the margin; minus infinity while there are too few blocks."""
        return self._evidence(margin, 1.0)

    def bounds(self, lower_alpha: float, upper_alpha: float) -> Interval:
        """Lower and upper confidence bound that hold at all looks together, each with its own error probability.

        Infinite while there are too few blocks.

        Raises:
            ValueError: An alpha is outside of (0, 0.5).
        """
        return self._bound(lower_alpha, -1.0), self._bound(upper_alpha, 1.0)

    def _evidence(self, margin: float, sign: float) -> float:
        spread, estimate = self.spread, self.estimate
        if spread is None or estimate is None or spread.effective < MINIMUM_EFFECTIVE:
            return -math.inf
        distance = sign * (estimate - margin) * float(self.weights.sum()) / len(self.weights)
        if spread.variance == 0:
            score = 0.0 if distance == 0 else math.copysign(_LARGEST_SCORE, distance)
        else:
            score = distance * math.sqrt(len(self.weights) / spread.variance)
        normal = _as_normal(score, spread.freedom)
        return log_mixture(normal * math.sqrt(spread.effective), spread.effective, self.precision)

    def _bound(self, alpha: float, sign: float) -> float:
        check_alpha(alpha)
        spread, estimate = self.spread, self.estimate
        if spread is None or estimate is None or spread.effective < MINIMUM_EFFECTIVE:
            return sign * math.inf
        score = _needed_t(spread, self.precision, alpha)
        per_unit = float(self.weights.sum()) / len(self.weights)
        return estimate + sign * score * math.sqrt(spread.variance / len(self.weights)) / per_unit


def _as_normal(score: float, freedom: float) -> float:
    """The normal score with the same tail probability as a t score."""
    from scipy.special import ndtri, stdtr

    # The lower tail has the digits; the upper one is its mirror image.
    tail = float(stdtr(freedom, -abs(score)))
    size = -float(ndtri(tail)) if tail > 0 else _LARGEST_SCORE
    return math.copysign(min(size, _LARGEST_SCORE), score)


def _needed_t(spread: LongRunVariance, precision: float, alpha: float) -> float:
    from scipy.special import ndtr, stdtrit

    from shadow_provider.statistics.mixture import needed_score

    normal = needed_score(spread.effective, precision, alpha)
    return -float(stdtrit(spread.freedom, float(ndtr(-normal))))
