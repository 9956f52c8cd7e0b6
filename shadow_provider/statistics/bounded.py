"""Evidence on the mean of bounded scores, valid at every look, from their number, sum and sum of squares.

For a score x in [0, 1] with mean u, any centre c in [0, 1] and any l in [0, 1), the number
exp(l (u - x) - p(l) (x - c)²) with p(l) = -log(1 - l) - l is at most one in expectation: an e-value whose price is the
score's variance about c instead of its whole range. Fan, Grama and Liu (2015), Electronic Journal of Probability 20,
inequality (5.4); Howard, Ramdas, McAuliffe and Sekhon (2021), Annals of Statistics 49, theorem 4. It is averaged over
fixed l and c. So it is exact for scores of any distribution and needs only sums, in whatever order or grouping they
came.

The price falls when a score comes nearer to c from below, which is more harm. So that this never outweighs the harm,
the bets on c end at 1 / (1 + c): then -l + 2 p(l) c <= 0, since p(l) <= l² / (2 (1 - l)), and the evidence that the
mean is below a margin falls with every single score that rises.
"""

import math
from dataclasses import dataclass

import numpy as np

from shadow_provider.statistics.proportion import Interval, check_alpha
from shadow_provider.statistics.roots import crossing

_STEPS = np.array([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5])
# A difference of two scores that mostly agree is near the middle of its range: there the centres are dense.
_CENTRES = np.concatenate([[0.5], 0.5 - _STEPS, 0.5 + _STEPS])
_BETS = np.geomspace(1e-4, np.minimum(0.95, 1 / (1 + _CENTRES)), 33)
"""By boldness and centre."""
_PRICES = -np.log1p(-_BETS) - _BETS
_FUNDS = np.concatenate([[0.3], np.full(len(_STEPS) * 2, 0.7 / (len(_STEPS) * 2))])


@dataclass(frozen=True)
class BoundedScores:
    """Scores between `least` and `most`, as sums.

    Attributes:
        count: How many.
        total: Their sum.
        squares: The sum of their squares.
        least: The least possible score.
        most: The greatest possible one.
    """

    count: float
    total: float
    squares: float
    least: float
    most: float

    def __post_init__(self) -> None:
        if not self.least < self.most:
            raise ValueError(f"least must be below most, got {self.least} and {self.most}")
        if self.count < 0:
            raise ValueError(f"count must be at least 0, got {self.count}")

    @property
    def mean(self) -> float | None:
        """Their mean; None if there are none."""
        return self.total / self.count if self.count else None

    def evidence_below(self, margin: float) -> float:
        """Log evidence that the mean is below the margin."""
        span = self.most - self.least
        unit_sum = (self.total - self.least * self.count) / span
        unit_squares = (self.squares - 2 * self.least * self.total + self.least**2 * self.count) / span**2
        bound = (margin - self.least) / span
        return _evidence(self.count, unit_sum, unit_squares, bound)

    def evidence_above(self, margin: float) -> float:
        """Log evidence that the mean is above the margin."""
        return self._mirrored.evidence_below(-margin)

    def bounds(self, lower_alpha: float, upper_alpha: float) -> Interval:
        """Bounds of the mean that hold at all looks together, each with its own error probability.

        Raises:
            ValueError: An alpha is outside of (0, 0.5).
        """
        return -self._mirrored._upper(lower_alpha), self._upper(upper_alpha)

    @property
    def _mirrored(self) -> "BoundedScores":
        return BoundedScores(self.count, -self.total, self.squares, -self.most, -self.least)

    def _upper(self, alpha: float) -> float:
        check_alpha(alpha)
        needed = -math.log(alpha)
        if self.evidence_below(self.most) < needed:
            return self.most
        mean = self.mean
        assert mean is not None  # without scores there is no evidence
        return crossing(lambda margin: self.evidence_below(margin) - needed, mean, self.most, within=1e-12)


def _evidence(count: float, total: float, squares: float, bound: float) -> float:
    about = squares - 2 * _CENTRES * total + count * _CENTRES**2
    wealth = _BETS * (count * bound - total) - _PRICES * about
    largest = float(wealth.max())
    return largest + math.log(float((np.exp(wealth - largest) @ _FUNDS).mean()))
