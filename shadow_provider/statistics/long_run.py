"""How much a mean over time really varies, when neighbours in time resemble each other."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MINIMUM_BATCHES = 12
"""Batches from which a variance is estimated at least; also the effective blocks below which nothing is decided."""

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

    The largest of: the plain variance; the variance of batch means times their length, for batches of 2, 4, 8, ...
    observations, as long as there are 12 (Flegal and Jones 2010, Annals of Statistics 38, on batch means); and that of
    a first-order autoregression, (1 + r) / (1 - r) times the variance, where r is the lag-one autocorrelation,
    corrected for its bias by (1 + 3 r) / n (Kendall 1954) and raised by one standard error. Batches see slow swings
    such as a daily cycle, which an autoregression does not; the autoregression sees what batches are too few to show.

    Args:
        series: Equally spaced observations, oldest first; at least two.

    Raises:
        ValueError: Fewer than two observations.
    """
    count = len(series)
    if count < 2:
        raise ValueError(f"a variance needs two observations at least, got {count}")
    centred = series - series.mean()
    squares = float(centred @ centred)
    plain = squares / (count - 1)
    if plain <= 0:
        return LongRunVariance(0.0, float(count), float(count - 1))
    largest, batches = plain, count
    length = 2
    while count // length >= MINIMUM_BATCHES:
        number = count // length
        # The newest observations are all in a batch; what does not fill one is the oldest.
        means = centred[count - number * length :].reshape(number, length).mean(axis=1)
        variance = length * float(means.var(ddof=1))
        if variance > largest:
            largest, batches = variance, number
        length *= 2
    autoregressive = plain * _inflation(centred, squares)
    variance = max(largest, autoregressive)
    effective = count * min(1.0, plain / variance)
    return LongRunVariance(variance, effective, max(1.0, min(batches, effective) - 1))


def _inflation(centred: npt.NDArray[np.float64], squares: float) -> float:
    count = len(centred)
    lag_one = float(centred[1:] @ centred[:-1]) / squares
    corrected = lag_one + (1 + 3 * lag_one) / count
    raised = corrected + math.sqrt(max(0.0, 1 - corrected * corrected) / count)
    bounded = min(max(raised, 0.0), _LARGEST_AUTOCORRELATION)
    return float((1 + bounded) / (1 - bounded))
