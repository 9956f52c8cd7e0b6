"""How much a mean over time really varies, when neighbours in time resemble each other."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MINIMUM_EFFECTIVE = 12
"""Independent observations that a series must be worth before anything is claimed of its mean."""

_MINIMUM_BATCHES = 24
_LARGEST_AUTOCORRELATION = 0.99


@dataclass(frozen=True)
class LongRunVariance:
    """The variance of a series as it counts for its mean.

    Attributes:
        variance: Of one observation, plus twice the sum of its covariances with all later ones: the variance of the
            mean of n observations is about variance / n.
        effective: How many independent observations the series is worth, at most their number.
        freedom: Degrees of freedom of the estimate.
    """

    variance: float
    effective: float
    freedom: float


def long_run_variance(series: npt.NDArray[np.float64]) -> LongRunVariance:
    """Estimates the long-run variance so that it errs on the high side.

    The observations are averaged in batches of 1, 2, 4, 8, ... as long as there are 24 batches. At each length L the
    estimate is L times the variance of the batch means times (1 + r) / (1 - r), what a first-order autoregression with
    their lag-one autocorrelation r has; r is corrected for its bias by (1 + 3 r) / n (Kendall 1954), and for single
    observations raised by one standard error. The largest counts. Short batches see what long ones are too few to
    show; long ones see what noise hides from the short, and swings that are no autoregression, such as a daily cycle.
    On batch means: Flegal and Jones (2010), Annals of Statistics 38.

    No estimate sees what has not happened yet: a series must be longer than its slowest swing by far.

    Args:
        series: Equally spaced observations, oldest first; at least two.

    Raises:
        ValueError: Fewer than two observations.
    """
    count = len(series)
    if count < 2:
        raise ValueError(f"a variance needs two observations at least, got {count}")
    centred = series - series.mean()
    plain = _variance(centred)
    if plain <= 0:
        return LongRunVariance(0.0, float(count), float(count - 1))
    largest, batches = plain * _inflation(centred, errors=1.0), count
    length = 2
    while count // length >= _MINIMUM_BATCHES:
        number = count // length
        # The newest observations are all in a batch; what does not fill one is the oldest.
        means = centred[count - number * length :].reshape(number, length).mean(axis=1)
        means -= means.mean()
        variance = length * _variance(means) * _inflation(means, errors=0.0)
        if variance > largest:
            largest, batches = variance, number
        length *= 2
    effective = count * min(1.0, plain / largest)
    return LongRunVariance(largest, effective, max(1.0, min(batches, effective) - 1))


def _variance(centred: npt.NDArray[np.float64]) -> float:
    return float(centred @ centred) / (len(centred) - 1)


def _inflation(centred: npt.NDArray[np.float64], errors: float) -> float:
    """(1 + r) / (1 - r), with r raised by that many standard errors."""
    count, squares = len(centred), float(centred @ centred)
    if squares <= 0:
        return 1.0
    lag_one = float(centred[1:] @ centred[:-1]) / squares
    corrected = lag_one + (1 + 3 * lag_one) / count
    raised = corrected + errors * math.sqrt(max(0.0, 1 - corrected * corrected) / count)
    bounded = min(max(raised, 0.0), _LARGEST_AUTOCORRELATION)
    return (1 + bounded) / (1 - bounded)
