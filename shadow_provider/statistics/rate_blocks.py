"""The difference of two rates that were counted apart, block by block, at every look.

As for paired counts, a claim from the counts and one over blocks must agree. CloudWatch counts each variant's errors by
itself, so which errors belong to the same request is not known, and the two counts may hang together in any way.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from shadow_provider.statistics.betting import pairs_evidence_below, proportion_bounds
from shadow_provider.statistics.blocks import DEFAULT_PRECISION, BlockMean
from shadow_provider.statistics.dispersion import dispersion
from shadow_provider.statistics.paired_blocks import Counts
from shadow_provider.statistics.proportion import Interval
from shadow_provider.statistics.roots import crossing
from shadow_provider.statistics.two_claims import TwoClaims

_NEAR = 1e-12


@dataclass(frozen=True)
class RateBlocks(TwoClaims):
    """Counts of events by block of time, oldest first.

    Attributes:
        events: Of the candidate.
        trials: Of the candidate.
        reference_events: Of production.
        reference_trials: Of production.
        precision: Of the mixture over blocks, in effective blocks.
    """

    events: Counts
    trials: Counts
    reference_events: Counts
    reference_trials: Counts
    precision: float = DEFAULT_PRECISION

    @cached_property
    def over_time(self) -> BlockMean:
        """The difference as a mean over blocks: each block's residuals about the two overall rates, added to it.

        First-order expansion of a difference of two ratios (Cochran 1977, Sampling Techniques, chapter 6); without any
        trials on one side there are no blocks.
        """
        trials, reference_trials = self.trials.sum(), self.reference_trials.sum()
        if not trials or not reference_trials:
            return BlockMean.of_series(np.empty(0), self.precision)
        difference = self.events.sum() / trials - self.reference_events.sum() / reference_trials
        own = _residuals(self.events, self.trials) / trials
        references = _residuals(self.reference_events, self.reference_trials) / reference_trials
        return BlockMean.of_series(difference + (own - references) * len(self.trials), self.precision)

    @cached_property
    def clusters(self) -> tuple[float, float, float, float]:
        """Events and trials of the candidate, then of production, in clusters: independent ones count as one each."""
        return *_clusters(self.events, self.trials), *_clusters(self.reference_events, self.reference_trials)

    def _counted_below(self, margin: float) -> float:
        return _difference_below(margin, *self.clusters)

    def _counted_above(self, margin: float) -> float:
        events, trials, reference_events, reference_trials = self.clusters
        return _difference_below(-margin, reference_events, reference_trials, events, trials)

    def _counted_bounds(self, lower_alpha: float, upper_alpha: float) -> Interval:
        events, trials, reference_events, reference_trials = self.clusters
        lower, upper = proportion_bounds(events, trials, lower_alpha / 2, upper_alpha / 2)
        # Production's upper bound belongs to the lower bound of the difference, and the other way round.
        reference = proportion_bounds(reference_events, reference_trials, upper_alpha / 2, lower_alpha / 2)
        return lower - reference[1], upper - reference[0]


def _residuals(events: Counts, trials: Counts) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = events - events.sum() / trials.sum() * trials
    return found


def _clusters(events: Counts, trials: Counts) -> tuple[float, float]:
    found, tried = float(events.sum()), float(trials.sum())
    if not tried:
        return 0.0, 0.0
    size = dispersion(_residuals(events, trials), found * (1 - found / tried))
    return found / size, tried / size


def _difference_below(
    margin: float, events: float, trials: float, reference_events: float, reference_trials: float
) -> float:
    """Log evidence that p - p_reference is below the margin, whatever hangs the two counts together.

    If it is not, then for q = p_reference both "p is at least q + margin" and "p_reference is at most q" are true. The
    mean of the evidence against the two is an e-value whatever their dependence, and is at least half of the greater
    one; the former grows with q, the latter falls, so the least favourable q is where they meet.
    """

    def candidate(q: float) -> float:
        return pairs_evidence_below(q + margin, events, 0, trials)

    def reference(q: float) -> float:
        # "at most q" of the events is "at least 1 - q" of the others.
        return pairs_evidence_below(1 - q, max(0.0, reference_trials - reference_events), 0, reference_trials)

    low, high = max(0.0, -margin) + _NEAR, min(1.0, 1.0 - margin) - _NEAR
    if low >= high:
        return -math.inf
    if candidate(low) >= reference(low):
        meeting = low
    elif candidate(high) <= reference(high):
        meeting = high
    else:
        meeting = crossing(lambda q: candidate(q) - reference(q), low, high, within=1e-15)
    return max(candidate(meeting), reference(meeting)) - math.log(2)
