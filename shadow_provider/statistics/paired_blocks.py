"""The difference of two rates that were counted on the same pairs, P(worse) - P(better), at every look.

The claim from the counts is that of betting on them, divided by their dispersion.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from shadow_provider.statistics.betting import pairs_bounds, pairs_evidence_above, pairs_evidence_below
from shadow_provider.statistics.blocks import DEFAULT_PRECISION, BlockMean
from shadow_provider.statistics.dispersion import dispersion
from shadow_provider.statistics.proportion import Interval
from shadow_provider.statistics.two_claims import TwoClaims

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PairedBlocks(TwoClaims):
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

    @cached_property
    def over_time(self) -> BlockMean:
        """The difference as a mean over blocks."""
        return BlockMean(self.pairs.astype(np.float64), (self.worse - self.better).astype(np.float64), self.precision)

    @cached_property
    def clusters(self) -> tuple[float, float, float]:
        """Worse, better and pairs over all blocks, in clusters: independent ones count as one each."""
        worse, better, pairs = float(self.worse.sum()), float(self.better.sum()), float(self.pairs.sum())
        if not pairs:
            return 0.0, 0.0, 0.0
        difference = (worse - better) / pairs
        residuals = self.worse - self.better - difference * self.pairs
        size = dispersion(residuals, worse + better - pairs * difference**2)
        return worse / size, better / size, pairs / size

    def _counted_below(self, margin: float) -> float:
        return pairs_evidence_below(margin, *self.clusters)

    def _counted_above(self, margin: float) -> float:
        return pairs_evidence_above(margin, *self.clusters)

    def _counted_bounds(self, lower_alpha: float, upper_alpha: float) -> Interval:
        return pairs_bounds(*self.clusters, lower_alpha, upper_alpha)
