"""Whether a share is what it was set to: a test that may be looked at as often as one likes."""

import math

from shadow_provider.statistics.proportion import check_counts

_CONCENTRATION = 50.0
"""Of the alternative about the expected share, in trials: fits deviations that a few hundred requests can show."""


def share_evidence(successes: int, trials: int, low: float, high: float) -> float:
    """Log evidence that the probability of success is not within [low, high].

    The beta-binomial likelihood of the counts over the greatest binomial one within the interval; at most one in
    expectation for every probability in it, so at 1/alpha the share may be called broken at any look. The sequential
    test of a sample ratio by Lindon and Malek (2022), NeurIPS 35, "Anytime-valid inference for multinomial count data",
    for two outcomes and an interval.

    Raises:
        ValueError: Counts that cannot be, or not 0 <= low <= high <= 1.
    """
    from scipy.special import betaln, xlog1py, xlogy

    if not 0 <= low <= high <= 1:
        raise ValueError(f"low and high must satisfy 0 <= low <= high <= 1, got {low} and {high}")
    check_counts(successes, max(trials, 1))
    failures = trials - successes
    expected = min(max((low + high) / 2, 0.01), 0.99)
    a, b = _CONCENTRATION * expected, _CONCENTRATION * (1 - expected)
    marginal = float(betaln(a + successes, b + failures) - betaln(a, b))
    best = min(max(successes / trials, low), high) if trials else low
    likeliest = float(xlogy(successes, best) + xlog1py(failures, -best))
    return math.inf if likeliest == -math.inf else marginal - likeliest
