"""The mean of bounded scores, block by block, at every look; as for counts, two claims must agree."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shadow_provider.statistics.blocks import DEFAULT_PRECISION, BlockMean
from shadow_provider.statistics.bounded import BoundedScores
from shadow_provider.statistics.dispersion import dispersion
from shadow_provider.statistics.proportion import Interval


@dataclass(frozen=True)
class ScoreBlocks:
    """Sums of scores by block of time, oldest first.

    Attributes:
        counts: Scores.
        totals: Their sums.
        squares: The sums of their squares.
        least: The least possible score.
        most: The greatest possible one.
        precision: Of the mixture over blocks, in effective blocks.
    """

    counts: npt.NDArray[np.int64]
    totals: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]
    least: float
    most: float
    precision: float = DEFAULT_PRECISION

    @property
    def estimate(self) -> float | None:
        """The mean; None without scores."""
        return self.over_time.estimate

    @property
    def over_time(self) -> BlockMean:
        """The mean as one over blocks."""
        return BlockMean(self.counts.astype(np.float64), self.totals, self.precision)

    @property
    def clusters(self) -> BoundedScores:
        """All scores, in clusters: independent ones count as one each."""
        count, total, squares = float(self.counts.sum()), float(self.totals.sum()), float(self.squares.sum())
        if not count:
            return BoundedScores(0.0, 0.0, 0.0, self.least, self.most)
        mean = total / count
        size = dispersion(self.totals - mean * self.counts, squares - count * mean**2)
        return BoundedScores(count / size, total / size, squares / size, self.least, self.most)

    def evidence_below(self, margin: float) -> float:
        """Log evidence that the mean is below the margin."""
        return min(self.clusters.evidence_below(margin), self.over_time.evidence_below(margin))

    def evidence_above(self, margin: float) -> float:
        """Log evidence that the mean is above the margin."""
        return min(self.clusters.evidence_above(margin), self.over_time.evidence_above(margin))

    def bounds(self, lower_alpha: float, upper_alpha: float) -> Interval:
        """Bounds of the mean that hold at all looks together, each with its own error probability.

        Raises:
            ValueError: An alpha is outside of (0, 0.5).
        """
        counted = self.clusters.bounds(lower_alpha, upper_alpha)
        over_time = self.over_time.bounds(lower_alpha, upper_alpha)
        return max(self.least, min(counted[0], over_time[0])), min(self.most, max(counted[1], over_time[1]))
