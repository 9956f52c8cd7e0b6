"""The difference of two rates that were counted on the same pairs, block by block, at every look.

Two claims must agree. Betting on the counts, divided by their dispersion, holds however rare events are. The mean over
blocks sees swings and drifts, but needs enough events for the normal distribution. What both say is wrong with at most
alpha where either holds.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shadow_provider.statistics.betting import pairs_bounds, pairs_evidence_above, pairs_evidence_below
from shadow_provider.statistics.blocks import DEFAULT_PRECISION, BlockMean
from shadow_provider.statistics.dispersion import dispersion
from shadow_provider.statistics.proportion import Interval

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PairedBlocks:
    """Counts of pairs by block of time, oldest first.

    Attributes:
        worse: Pairs in which the candidate alone did harm.
        better: Pairs in which production alone did.
        pairs: All pairs.
        precision: Of the mixture over blocks, in effective blocks.
    """

    worse: Counts
    better: Counts
    pairs: Counts
    precision: float = DEFAULT_PRECISION

    @property
    def estimate(self) -> float | None:
        """The difference that was observed; None without any trial."""
        return self.over_time.estimate

    @property
    def over_time(self) -> BlockMean:
        """The difference as a mean over blocks."""
        return BlockMean(self.pairs.astype(np.float64), (self.worse - self.better).astype(np.float64), self.precision)

    @property
    def clusters(self) -> tuple[float, float, float]:
        """Worse, better and pairs over all blocks, in clusters: independent ones count as one each."""
        worse, better, pairs = float(self.worse.sum()), float(self.better.sum()), float(self.pairs.sum())
        if not pairs:
            return 0.0, 0.0, 0.0
        difference = (worse - better) / pairs
        residuals = self.worse - self.better - difference * self.pairs
        size = dispersion(residuals, worse + better - pairs * difference**2)
        return worse / size, better / size, pairs / size

    def evidence_below(self, margin: float) -> float:
        """Log evidence that P(worse) - P(better) is below the margin."""
        return min(pairs_evidence_below(margin, *self.clusters), self.over_time.evidence_below(margin))

    def evidence_above(self, margin: float) -> float:
        """Log evidence that P(worse) - P(better) is above the margin."""
        return min(pairs_evidence_above(margin, *self.clusters), self.over_time.evidence_above(margin))

    def bounds(self, lower_alpha: float, upper_alpha: float) -> Interval:
        """Bounds of P(worse) - P(better) that hold at all looks together, each with its own error probability.

        Raises:
            ValueError: An alpha is outside of (0, 0.5).
        """
        counted = pairs_bounds(*self.clusters, lower_alpha, upper_alpha)
        over_time = self.over_time.bounds(lower_alpha, upper_alpha)
        return max(-1.0, min(counted[0], over_time[0])), min(1.0, max(counted[1], over_time[1]))
