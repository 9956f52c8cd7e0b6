"""The mean of bounded scores, block by block, at every look; as for counts, two claims must agree."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from shadow_provider.statistics.blocks import DEFAULT_PRECISION, BlockMean
from shadow_provider.statistics.bounded import BoundedScores
from shadow_provider.statistics.dispersion import dispersion
from shadow_provider.statistics.proportion import Interval
from shadow_provider.statistics.two_claims import TwoClaims


@dataclass(frozen=True)
class ScoreBlocks(TwoClaims):
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

    @cached_property
    def over_time(self) -> BlockMean:
        """The mean as one over blocks."""
        return BlockMean(self.counts.astype(np.float64), self.totals, self.precision)

    @cached_property
    def clusters(self) -> BoundedScores:
        """All scores, in clusters: independent ones count as one each."""
        count, total, squares = float(self.counts.sum()), float(self.totals.sum()), float(self.squares.sum())
        if not count:
            return BoundedScores(0.0, 0.0, 0.0, self.least, self.most)
        mean = total / count
        size = dispersion(self.totals - mean * self.counts, squares - count * mean**2)
        return BoundedScores(count / size, total / size, squares / size, self.least, self.most)

    def _range(self) -> Interval:
        return self.least, self.most

    def _counted_below(self, margin: float) -> float:
        return self.clusters.evidence_below(margin)

    def _counted_above(self, margin: float) -> float:
        return self.clusters.evidence_above(margin)

    def _counted_bounds(self, lower_alpha: float, upper_alpha: float) -> Interval:
        return self.clusters.bounds(lower_alpha, upper_alpha)
