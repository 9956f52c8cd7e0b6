"""The middle of paired differences and its interval, whatever their distribution: it describes, it never gates.

A Walsh average is the mean of two of the differences, or one of them twice. The estimate of Hodges and Lehmann is the
median of all Walsh averages; the interval lies between two of them, by the ranks at which Wilcoxon's signed-rank test
turns. For log-ratios of latencies it is what a few wild blocks cannot move. One look, independent differences,
symmetric about their centre. Hodges and Lehmann (1963), Annals of Mathematical Statistics 34, 598-611; Hollander and
Wolfe (1999), Nonparametric Statistical Methods, sections 3.2 and 3.3.
"""

import math

import numpy as np
import numpy.typing as npt

from shadow_provider.statistics.proportion import Interval, check_alpha, normal_quantile

MOST_EXACT = 100
"""Differences up to which the signed-rank distribution is exact; the normal one beyond errs by half a rank in 100."""

_RESOLUTION = 1e-15
"""Of an average that was searched for, as a share of the largest difference."""


def hodges_lehmann(differences: npt.NDArray[np.float64]) -> float | None:
    """The median of the Walsh averages, in the unit of the differences; None of none.

    Raises:
        ValueError: A difference is not finite.
    """
    ordered = _ordered(differences)
    averages = _number_of_averages(len(ordered))
    if not averages:
        return None
    lower = _walsh_average(ordered, (averages + 1) // 2)
    return lower if averages % 2 else (lower + _walsh_average(ordered, averages // 2 + 1)) / 2


def signed_rank_bounds(differences: npt.NDArray[np.float64], alpha: float) -> Interval:
    """Bounds of the centre, each with error probability alpha: Tukey's interval from Wilcoxon's signed ranks.

    With k the greatest number for which P(T <= k) <= alpha, T being the signed-rank statistic, the bounds are the
    (k + 1)-th Walsh average from below and from above. With ties the bounds still hold (they are closed). Infinite
    where even the extreme averages are not far enough out: below five differences at alpha 0.05.

    The Walsh averages are never written down: the wanted one is found by halving an interval and counting, in time
    n log n and memory n, so that 100,000 differences take well below a second.

    Raises:
        ValueError: alpha is outside of (0, 0.5), or a difference is not finite.
    """
    check_alpha(alpha)
    ordered = _ordered(differences)
    beyond = _critical_value(len(ordered), alpha)
    if beyond < 0:
        return -math.inf, math.inf
    averages = _number_of_averages(len(ordered))
    return _walsh_average(ordered, beyond + 1), _walsh_average(ordered, averages - beyond)


def _ordered(differences: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if not np.isfinite(differences).all():
        raise ValueError("differences must be finite")
    return np.sort(differences)


def _number_of_averages(count: int) -> int:
    return count * (count + 1) // 2


def _critical_value(count: int, alpha: float) -> int:
    """The greatest k with P(T <= k) <= alpha; -1 if there is none."""
    if count > MOST_EXACT:
        mean = _number_of_averages(count) / 2
        deviation = math.sqrt(mean * (2 * count + 1) / 6)
        # Half a rank for the steps of T: P(T <= k) is about the normal probability of k + 1/2.
        return math.floor(mean - normal_quantile(alpha) * deviation - 0.5)
    chances = np.ones(1)
    for rank in range(1, count + 1):
        # Each rank belongs to a positive difference or to a negative one, with equal probability.
        without, with_rank = np.append(chances, np.zeros(rank)), np.append(np.zeros(rank), chances)
        chances = (without + with_rank) / 2
    return int(np.searchsorted(np.cumsum(chances), alpha * (1 + 1e-12), side="right")) - 1


def _walsh_average(ordered: npt.NDArray[np.float64], rank: int) -> float:
    """The Walsh average of that rank, from 1."""
    low, high = float(ordered[0]), float(ordered[-1])
    if _averages_up_to(ordered, low) >= rank:
        return low
    tolerance = _RESOLUTION * max(abs(low), abs(high))
    while high - low > tolerance:
        middle = low + (high - low) / 2
        if not low < middle < high:
            break
        low, high = (low, middle) if _averages_up_to(ordered, middle) >= rank else (middle, high)
    return high


def _averages_up_to(ordered: npt.NDArray[np.float64], value: float) -> int:
    # All ordered pairs, and the differences with themselves once more: each average is counted twice.
    pairs = int(np.searchsorted(ordered, 2 * value - ordered, side="right").sum())
    return (pairs + int(np.searchsorted(ordered, value, side="right"))) // 2
