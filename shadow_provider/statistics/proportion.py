"""Intervals for one proportion and for the difference of two independent ones.

All bounds are one-sided unless said otherwise: `alpha` is the error probability of each single bound, so an interval of
two such bounds covers with 1 - 2 alpha. Proportions are fractions, not percent.
"""

import math
from typing import Literal

LimitMethod = Literal["wilson", "exact"]
Interval = tuple[float, float]


def check_counts(successes: int, trials: int) -> None:
    """Refuse counts of which no proportion can be made.

    Raises:
        ValueError: trials below 1, or successes not within 0..trials.
    """
    if trials < 1:
        raise ValueError(f"trials must be at least 1, got {trials}")
    if not 0 <= successes <= trials:
        raise ValueError(f"successes must lie within 0..{trials}, got {successes}")


def check_alpha(alpha: float) -> None:
    """Refuse an error probability outside of (0, 0.5).

    Raises:
        ValueError: alpha is outside.
    """
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha must lie within (0, 0.5), got {alpha}")


def normal_quantile(alpha: float) -> float:
    """The upper alpha point of the standard normal distribution, such as 1.645 for 0.05."""
    from scipy.special import ndtri

    check_alpha(alpha)
    return float(-ndtri(alpha))


def clopper_pearson(successes: int, trials: int, alpha: float) -> Interval:
    """Exact lower and upper bound of one proportion, each with error probability of at most alpha.

    Lower: the alpha quantile of Beta(x, n - x + 1); upper: the 1 - alpha quantile of Beta(x + 1, n - x). The two-sided
    interval of level 1 - alpha is this one at alpha / 2. Assumes independent trials. Clopper and Pearson (1934),
    Biometrika 26.

    Raises:
        ValueError: counts or alpha out of range.
    """
    from scipy.special import betaincinv

    check_counts(successes, trials)
    check_alpha(alpha)
    failures = trials - successes
    lower = 0.0 if successes == 0 else float(betaincinv(successes, failures + 1, alpha))
    upper = 1.0 if failures == 0 else float(betaincinv(successes + 1, failures, 1 - alpha))
    return lower, upper


def wilson(successes: int, trials: int, alpha: float) -> Interval:
    """Score bounds of one proportion: the p at which the score test of level alpha turns.

    (x + z²/2 ± z sqrt(x (n - x) / n + z²/4)) / (n + z²). Approximate: with very few successes the upper bound is a
    little too low (z²/n against the exact 3.0/n at none and alpha 0.05). Assumes independent trials.
    Wilson (1927), JASA 22.

    Raises:
        ValueError: counts or alpha out of range.
    """
    check_counts(successes, trials)
    z = normal_quantile(alpha)
    middle = successes + z * z / 2
    half = z * math.sqrt(successes * (trials - successes) / trials + z * z / 4)
    lower = 0.0 if successes == 0 else max(0.0, (middle - half) / (trials + z * z))
    upper = 1.0 if successes == trials else min(1.0, (middle + half) / (trials + z * z))
    return lower, upper


def single_limits(successes: int, trials: int, alpha: float, limits: LimitMethod) -> Interval:
    """Bounds of one proportion by the named method."""
    return wilson(successes, trials, alpha) if limits == "wilson" else clopper_pearson(successes, trials, alpha)


def newcombe_difference(
    successes: int,
    trials: int,
    reference_successes: int,
    reference_trials: int,
    alpha: float,
    *,
    limits: LimitMethod = "wilson",
) -> Interval:
    """Bounds of p - p_reference for two independent samples, by squaring and adding single bounds.

    Lower: d - sqrt((p - l)² + (u_ref - p_ref)²); upper: d + sqrt((u - p)² + (p_ref - l_ref)²). With Wilson's limits
    this is method 10 of Newcombe (1998), Statistics in Medicine 17, 873-890; with exact limits it is the same
    construction (Zou and Donner 2008, Statistics in Medicine 27), which keeps its level when events are rare.

    Raises:
        ValueError: counts or alpha out of range.
    """
    lower, upper = single_limits(successes, trials, alpha, limits)
    reference_lower, reference_upper = single_limits(reference_successes, reference_trials, alpha, limits)
    rate, reference = successes / trials, reference_successes / reference_trials
    difference = rate - reference
    return (
        max(-1.0, difference - math.hypot(rate - lower, reference_upper - reference)),
        min(1.0, difference + math.hypot(upper - rate, reference - reference_lower)),
    )


def independent_difference(
    successes: int, trials: int, reference_successes: int, reference_trials: int, alpha: float
) -> Interval:
    """Bounds of p - p_reference that the gates use: the wider of the Wilson and the exact construction on each side.

    Wilson's limits alone pass too often when errors are very rare, which is where a healthy service lives.

    Raises:
        ValueError: counts or alpha out of range.
    """
    counts = (successes, trials, reference_successes, reference_trials)
    score = newcombe_difference(*counts, alpha)
    exact = newcombe_difference(*counts, alpha, limits="exact")
    return min(score[0], exact[0]), max(score[1], exact[1])


def share_p_value(successes: int, trials: int, low: float, high: float) -> float:
    """Two-sided p-value of the hypothesis that the success probability lies within [low, high].

    Twice the smaller of P(X <= x | low) and P(X >= x | high), at most 1: exact binomial tails, conservative.

    Raises:
        ValueError: counts out of range, or not 0 <= low <= high <= 1.
    """
    from scipy.special import bdtr, bdtrc

    check_counts(successes, trials)
    if not 0 <= low <= high <= 1:
        raise ValueError(f"low and high must satisfy 0 <= low <= high <= 1, got {low} and {high}")
    too_few = float(bdtr(successes, trials, low))
    too_many = 1.0 if successes == 0 else float(bdtrc(successes - 1, trials, high))
    return min(1.0, 2 * min(too_few, too_many))
