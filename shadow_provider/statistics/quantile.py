"""Distribution-free bounds of a quantile, as ranks of the sorted sample.

The number of observations below the true q-quantile is binomial (n, q), whatever the distribution. So an order
statistic far enough out bounds the quantile. CloudWatch keeps the sample for us and gives any percentile of it: asking
for the percentile at that rank is asking for the bound.
"""

import math

from shadow_provider.statistics.proportion import check_alpha

_HUNDREDTH = 100 * 100
"""CloudWatch takes percentiles with two decimals; ranks are rounded outwards to them."""


def _check(samples: int, quantile: float, alpha: float) -> None:
    if samples < 0:
        raise ValueError(f"samples must be at least 0, got {samples}")
    if not 0 < quantile < 1:
        raise ValueError(f"quantile must lie within (0, 1), got {quantile}")
    check_alpha(alpha)


def upper_rank(samples: int, quantile: float, alpha: float) -> int | None:
    """The least rank r (from 1) with P(X_(r) < true quantile) <= alpha; None where even the maximum is not enough.

    P(X_(r) < xi) = P(Bin(n, q) >= r). Assumes independent, identically distributed samples; exact for continuous
    distributions, conservative with ties. David and Nagaraja (2003), Order Statistics, section 7.1.

    Raises:
        ValueError: an argument is out of range.
    """
    from scipy.special import bdtrc, bdtrik

    _check(samples, quantile, alpha)
    if samples == 0 or quantile**samples > alpha:
        return None
    rank = max(1, math.ceil(float(bdtrik(1 - alpha, samples, quantile))))
    while rank > 1 and bdtrc(rank - 2, samples, quantile) <= alpha:
        rank -= 1
    while bdtrc(rank - 1, samples, quantile) > alpha:
        rank += 1
    return rank


def lower_rank(samples: int, quantile: float, alpha: float) -> int | None:
    """The greatest rank r with P(X_(r) > true quantile) <= alpha; None where even the minimum is not enough.

    The mirror image of `upper_rank`, with the same assumptions.

    Raises:
        ValueError: an argument is out of range.
    """
    rank = upper_rank(samples, 1 - quantile, alpha)
    return None if rank is None else samples + 1 - rank


def minimum_samples(quantile: float, alpha: float) -> int:
    """The least sample with both one-sided bounds: 368 for the 0.99 quantile at alpha 0.025.

    Raises:
        ValueError: an argument is out of range.
    """
    _check(1, quantile, alpha)
    return math.ceil(math.log(alpha) / math.log(max(quantile, 1 - quantile)))


def bound_percentiles(samples: int, quantile: float, alpha: float) -> tuple[str, str] | None:
    """CloudWatch statistics, such as ("p88.21", "p91.64"), that bound a quantile from below and above.

    Each bound has error probability of at most alpha. The lower one is taken at (r - 1) / n and the upper at r / n,
    then rounded outwards to hundredths of a percent, so that both usual definitions of a sample percentile (the nearest
    rank and the linear interpolation) stay on the safe side.

    Returns:
        The two statistics, or None where the sample is too small for one of the bounds.

    Raises:
        ValueError: an argument is out of range.
    """
    low, high = lower_rank(samples, quantile, alpha), upper_rank(samples, quantile, alpha)
    if low is None or high is None:
        return None
    lowest = (low - 1) * _HUNDREDTH // samples
    highest = min(_HUNDREDTH, -(-high * _HUNDREDTH // samples))
    return percentile_name(lowest / 100), percentile_name(highest / 100)


def percentile_name(percent: float) -> str:
    """The statistic's name without needless zeros: p90, p99.5, p88.21."""
    return "p" + (f"{percent:.2f}".rstrip("0").rstrip("."))
