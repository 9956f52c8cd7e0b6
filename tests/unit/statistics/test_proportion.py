import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from shadow_provider.statistics.proportion import (
    clopper_pearson,
    independent_difference,
    newcombe_difference,
    share_p_value,
    wilson,
)

COUNTS = [(0, 1), (1, 1), (0, 30), (1, 30), (15, 30), (29, 30), (30, 30), (3, 10_000), (81, 263)]


@pytest.mark.parametrize(("successes", "trials"), COUNTS)
@pytest.mark.parametrize("alpha", [0.001, 0.0125, 0.05])
def test_clopper_pearson_is_the_one_of_statsmodels_and_scipy(successes: int, trials: int, alpha: float) -> None:
    ours = clopper_pearson(successes, trials, alpha)
    assert ours == pytest.approx(proportion_confint(successes, trials, alpha=2 * alpha, method="beta"), abs=1e-12)
    theirs = binomtest(successes, trials).proportion_ci(1 - 2 * alpha, method="exact")
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@pytest.mark.parametrize(("successes", "trials"), COUNTS)
def test_wilson_is_the_one_of_statsmodels(successes: int, trials: int) -> None:
    theirs = proportion_confint(successes, trials, alpha=0.05, method="wilson")
    assert wilson(successes, trials, 0.025) == pytest.approx(theirs, abs=1e-12)


def test_wilson_as_published_by_newcombe() -> None:
    # Newcombe (1998), Statistics in Medicine 17, 857-872, table I: 81/263, 15/148, 0/20, 1/29.
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for counts, bounds in published.items():
        assert wilson(*counts, 0.025) == pytest.approx(bounds, abs=5e-5)


def test_rule_of_three() -> None:
    assert clopper_pearson(0, 3000, 0.05)[1] == pytest.approx(3 / 3000, rel=0.002)


@pytest.mark.parametrize(
    ("a", "b"), [((56, 70), (48, 80)), ((9, 10), (3, 10)), ((10, 10), (0, 20)), ((0, 10), (0, 20))]
)
def test_newcombe_is_the_one_of_statsmodels(a: tuple[int, int], b: tuple[int, int]) -> None:
    theirs = confint_proportions_2indep(*a, *b, method="newcomb", compare="diff", alpha=0.05)
    assert newcombe_difference(*a, *b, 0.025) == pytest.approx(theirs, abs=1e-9)


def test_newcombe_as_published() -> None:
    # Newcombe (1998), Statistics in Medicine 17, 873-890, table II, method 10: 56/70 - 48/80 and 9/10 - 3/10.
    assert newcombe_difference(56, 70, 48, 80, 0.025) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert newcombe_difference(9, 10, 3, 10, 0.025) == pytest.approx((0.1705, 0.8090), abs=5e-5)


@st.composite
def two_samples(draw: st.DrawFn) -> tuple[int, int, int, int]:
    n, m = draw(st.integers(1, 5000)), draw(st.integers(1, 5000))
    return draw(st.integers(0, n)), n, draw(st.integers(0, m)), m


@settings(derandomize=True, deadline=None)
@given(two_samples(), st.floats(0.001, 0.2))
def test_a_difference_swaps_its_sign_with_its_samples(counts: tuple[int, int, int, int], alpha: float) -> None:
    x, n, y, m = counts
    lower, upper = independent_difference(x, n, y, m, alpha)
    assert independent_difference(y, m, x, n, alpha) == pytest.approx((-upper, -lower), abs=1e-12)
    assert -1 <= lower <= x / n - y / m + 1e-12
    assert x / n - y / m - 1e-12 <= upper <= 1


@settings(derandomize=True, deadline=None)
@given(two_samples(), st.floats(0.001, 0.2))
def test_one_more_error_never_lowers_a_bound(counts: tuple[int, int, int, int], alpha: float) -> None:
    x, n, y, m = counts
    if x == n:
        return
    before, after = independent_difference(x, n, y, m, alpha), independent_difference(x + 1, n, y, m, alpha)
    assert after[0] >= before[0] - 1e-12
    assert after[1] >= before[1] - 1e-12


@settings(derandomize=True, deadline=None)
@given(two_samples(), st.floats(0.001, 0.1))
def test_less_alpha_is_never_narrower(counts: tuple[int, int, int, int], alpha: float) -> None:
    narrow, wide = independent_difference(*counts, 2 * alpha), independent_difference(*counts, alpha)
    assert wide[0] <= narrow[0] + 1e-12
    assert wide[1] >= narrow[1] - 1e-12


@pytest.mark.parametrize("base_rate", [0.0, 0.001, 0.01, 0.1])
@pytest.mark.parametrize("margin", [0.005, 0.02])
@pytest.mark.parametrize("n", [600, 1000, 3000])
def test_a_candidate_as_bad_as_the_margin_passes_with_at_most_alpha(base_rate: float, margin: float, n: int) -> None:
    """Not simulated: the probability is summed over all outcomes that matter."""
    alpha = 0.05
    assert _false_promotion(base_rate, margin, n, alpha) <= alpha


def _false_promotion(base_rate: float, margin: float, n: int, alpha: float) -> float:
    total = 0.0
    for y in _likely(base_rate, n):
        # The bound grows with the candidate's errors: find the last count that still passes.
        low, high = -1, n
        while high - low > 1:
            middle = (low + high) // 2
            passes = independent_difference(middle, n, y, n, alpha)[1] < margin
            low, high = (middle, high) if passes else (low, middle)
        if low >= 0:
            total += float(binom.pmf(y, n, base_rate) * binom.cdf(low, n, base_rate + margin))
    return total


def _likely(rate: float, n: int) -> range:
    return range(int(binom.ppf(1e-7, n, rate)) if rate else 0, int(binom.isf(1e-7, n, rate)) + 1 if rate else 1)


def test_share_p_value_is_twice_the_exact_tail() -> None:
    theirs = binom.cdf(40, 100, 0.5)
    assert share_p_value(40, 100, 0.5, 0.5) == pytest.approx(2 * theirs)
    assert share_p_value(60, 100, 0.5, 0.5) == pytest.approx(2 * theirs)
    assert share_p_value(50, 100, 0.5, 0.5) == 1
    assert share_p_value(45, 100, 0.4, 0.5) == 1
    assert share_p_value(99, 100, 1.0, 1.0) == 0
    assert share_p_value(100, 100, 0.99, 1.0) == 1
    assert share_p_value(0, 100, 0.99, 1.0) < 1e-100


@pytest.mark.parametrize(
    ("successes", "trials", "alpha"), [(0, 0, 0.05), (-1, 3, 0.05), (4, 3, 0.05), (1, 3, 0.0), (1, 3, 0.5)]
)
def test_impossible_arguments_are_refused(successes: int, trials: int, alpha: float) -> None:
    for interval in (clopper_pearson, wilson):
        with pytest.raises(ValueError, match="must"):
            interval(successes, trials, alpha)


def test_bounds_are_finite_at_the_corners() -> None:
    for n in (1, 2, 10**7):
        for x in (0, n):
            assert all(map(math.isfinite, independent_difference(x, n, n - x, n, 0.05)))
