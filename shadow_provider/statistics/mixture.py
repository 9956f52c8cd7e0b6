"""Evidence that may be looked at whenever one likes: the one-sided normal mixture.

An *e-value* is a number whose expectation is at most one while the hypothesis holds; a process of them exceeds 1/alpha
at any time with probability at most alpha (Ville's inequality). So a hypothesis may be given up the first time that its
evidence reaches 1/alpha, however often one looked before. All evidence here is the natural logarithm of an e-value.
"""

import math

from shadow_provider.statistics.proportion import check_alpha
from shadow_provider.statistics.roots import crossing


def log_mixture(total: float, variance_time: float, precision: float) -> float:
    """Log evidence against "the mean is at most zero" from a standardised sum.

    2 sqrt(r / (v + r)) exp(s² / (2 (v + r))) Phi(s / sqrt(v + r)): the likelihood ratio exp(l s - l² v / 2) averaged
    over a half-normal l >= 0 with precision r. Howard, Ramdas, McAuliffe and Sekhon (2021), Annals of Statistics 49,
    1055-1080, section 3.

    Args:
        total: s, the sum of the standardised observations; s / sqrt(v) is a z score.
        variance_time: v, the number of observations, all of variance one.
        precision: r, in observations: the boundary is tightest at about a fifth to a tenth of v.
    """
    from scipy.special import log_ndtr

    width = variance_time + precision
    return (
        math.log(2)
        + 0.5 * math.log(precision / width)
        + total * total / (2 * width)
        + float(log_ndtr(total / math.sqrt(width)))
    )


def needed_score(variance_time: float, precision: float, alpha: float) -> float:
    """The z score at which `log_mixture` reaches log(1 / alpha) after `variance_time` observations.

    Raises:
        ValueError: alpha is outside of (0, 0.5).
    """
    check_alpha(alpha)
    root = math.sqrt(variance_time)
    return crossing(lambda z: log_mixture(z * root, variance_time, precision) + math.log(alpha), 0.0, 1e3, within=1e-9)
