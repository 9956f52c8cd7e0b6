"""Two claims on the same blocks must agree: one from what was counted in all, one from the mean over blocks.

The first holds however rare events are, but has to be told which of them come together. The second sees swings and
drifts, but needs enough events for the normal distribution. What both say is wrong with at most alpha where either
holds.
"""

from abc import ABC, abstractmethod

from shadow_provider.statistics.blocks import BlockMean
from shadow_provider.statistics.proportion import Interval


class TwoClaims(ABC):
    """A figure by block of time, of which nothing is claimed that one of the two does not claim."""

    @property
    @abstractmethod
    def over_time(self) -> BlockMean:
        """The figure as a mean over blocks."""

    @property
    def estimate(self) -> float | None:
        """What was observed; None if nothing was."""
        return self.over_time.estimate

    def evidence_below(self, margin: float) -> float:
        """Log evidence that the truth is below the margin."""
        return min(self._counted_below(margin), self.over_time.evidence_below(margin))

    def evidence_above(self, margin: float) -> float:
        """Log evidence that the truth is above the margin."""
        return min(self._counted_above(margin), self.over_time.evidence_above(margin))

    def bounds(self, lower_alpha: float, upper_alpha: float) -> Interval:
        """Bounds of the truth that hold at all looks together, each with its own error probability.

        Raises:
            ValueError: An alpha is outside of (0, 0.5).
        """
        least, most = self._range()
        counted = self._counted_bounds(lower_alpha, upper_alpha)
        over_time = self.over_time.bounds(lower_alpha, upper_alpha)
        return max(least, min(counted[0], over_time[0])), min(most, max(counted[1], over_time[1]))

    def _range(self) -> Interval:
        """The least and the greatest value that the truth can have: those of a difference of rates."""
        return -1.0, 1.0

    @abstractmethod
    def _counted_below(self, margin: float) -> float: ...

    @abstractmethod
    def _counted_above(self, margin: float) -> float: ...

    @abstractmethod
    def _counted_bounds(self, lower_alpha: float, upper_alpha: float) -> Interval: ...
