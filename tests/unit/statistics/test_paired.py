import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar

from shadow_provider.statistics.paired import (
    discordant_interval,
    mcnemar_mid_p,
    newcombe_paired,
    paired_difference,
    tango_interval,
    tango_statistic,
)
from shadow_provider.statistics.proportion import clopper_pearson, wilson


@st.composite
def discordances(draw: st.DrawFn) -> tuple[int, int, int]:
    n = draw(st.integers(1, 3000))
    b = draw(st.integers(0, n))
    return b, draw(st.integers(0, n - b)), n


def test_tango_as_published() -> None:
    # Airway data of Bentur and others, 1 and 7 discordant of 21, as tabled by Fagerland, Lydersen and Laake (2014),
    # Statistics in Medicine 33, 2850-2875.
    assert tango_interval(1, 7, 21, 0.025) == pytest.approx((-0.517, -0.026), abs=5e-4)


def test_newcombe_paired_as_published() -> None:
    # The same airway data: 1, 1, 7, 12 by Newcombe's method is -0.507 to -0.026 (Fagerland, Lydersen, Laake 2014).
    assert newcombe_paired(1, 1, 7, 12, 0.025) == pytest.approx((-0.507, -0.026), abs=5e-4)


# Newcombe (1998), Statistics in Medicine 17, 2635-2650, table III, method 10: both, first, second, neither.
NEWCOMBE = {
    (36, 12, 2, 0): (0.0569, 0.3404),
    (20, 12, 2, 16): (0.0562, 0.3292),
    (18, 12, 2, 18): (0.0562, 0.3290),
    (36, 14, 0, 0): (0.1528, 0.4167),
    (35, 14, 0, 1): (0.1461, 0.4175),
    (18, 14, 0, 18): (0.1441, 0.3963),
    (2, 97, 1, 0): (0.8721, 0.9854),
    (1, 97, 1, 1): (0.8736, 0.9850),
    (0, 29, 1, 0): (0.6666, 0.9882),
    (2, 98, 0, 0): (0.9178, 0.9945),
    (1, 98, 0, 1): (0.9171, 0.9916),
    (0, 30, 0, 0): (0.8395, 1.0),
    (54, 0, 0, 0): (-0.0664, 0.0664),
    (53, 0, 0, 1): (-0.0729, 0.0729),
    (30, 0, 0, 24): (-0.0358, 0.0358),
    (29, 0, 0, 25): (-0.0354, 0.0354),
    (28, 0, 0, 26): (-0.0352, 0.0352),
    (27, 0, 0, 27): (-0.0351, 0.0351),
}


@pytest.mark.parametrize("table", NEWCOMBE)
def test_newcombes_own_table(table: tuple[int, int, int, int]) -> None:
    assert newcombe_paired(*table, 0.025) == pytest.approx(NEWCOMBE[table], abs=1e-4)


def test_the_consolidation_therapy_as_published() -> None:
    # Cavo and others (2012), 59, 6, 16 and 80 patients, as in chapter 8 of Fagerland, Lydersen and Laake (2017),
    # Statistical Analysis of Contingency Tables.
    assert tango_interval(6, 16, 161, 0.025) == pytest.approx((-0.1240, -0.0054), abs=5e-5)
    assert newcombe_paired(59, 6, 16, 80, 0.025) == pytest.approx((-0.1186, -0.0046), abs=5e-5)
    assert mcnemar_mid_p(6, 16) == pytest.approx(0.034690, abs=5e-7)


@pytest.mark.parametrize(("b", "c", "n"), [(6, 16, 161), (1, 7, 21), (0, 3, 40), (12, 2, 50), (40, 20, 160)])
@pytest.mark.parametrize("alpha", [0.025, 0.005])
def test_tangos_bounds_are_the_roots_of_the_quartic(b: int, c: int, n: int, alpha: float) -> None:
    """Yang, Sun and Hardin (2013), Statistics in Medicine 32, 1336-1342: without q, what is left is a polynomial."""
    from scipy.stats import norm

    g, d = float(norm.isf(alpha)) ** 2, b - c
    quartic = [
        n**2 * (n / g + 1) ** 2,
        -n * d * (n / g + 1) * (4 * n / g + 1),
        2 * n * d**2 * (3 * n / g + 2) / g - n**2 * ((b + c) / g + 1),
        n * d * (2 * (b + c) / g + 1) - d**3 * (4 * n / g + 1) / g,
        d**2 * (d**2 / g - (b + c)) / g,
    ]
    roots = np.sort([root.real for root in np.roots(quartic) if abs(root.imag) < 1e-7])
    lower, upper = tango_interval(b, c, n, alpha)
    assert [np.abs(roots - bound).min() for bound in (lower, upper)] == pytest.approx([0, 0], abs=1e-7)


@settings(derandomize=True, deadline=None)
@given(discordances(), st.floats(0.001, 0.2))
def test_tangos_bounds_are_where_the_test_turns(counts: tuple[int, int, int], alpha: float) -> None:
    from scipy.stats import norm

    lower, upper = tango_interval(*counts, alpha)
    z = float(norm.isf(alpha))
    if lower > -1 + 1e-9:
        assert tango_statistic(lower, *counts) == pytest.approx(z, abs=1e-4)
    if upper < 1 - 1e-9:
        assert tango_statistic(upper, *counts) == pytest.approx(-z, abs=1e-4)


@pytest.mark.parametrize("n", [50, 1000])
@pytest.mark.parametrize("b", [0, 1, 7])
def test_without_events_on_one_side_it_is_a_single_rate(b: int, n: int) -> None:
    """The constrained estimate is 0 then, and Tango's statistic becomes the score test of one rate: Wilson's bound."""
    assert tango_interval(b, 0, n, 0.05)[1] == pytest.approx(wilson(b, n, 0.05)[1], abs=1e-9)
    assert discordant_interval(0, 0, n, 0.05)[1] == pytest.approx(math.hypot(*[clopper_pearson(0, n, 0.05)[1], 0]))


@settings(derandomize=True, deadline=None)
@given(discordances(), st.floats(0.001, 0.2))
def test_sides_swap_with_the_sign(counts: tuple[int, int, int], alpha: float) -> None:
    b, c, n = counts
    for method in (tango_interval, discordant_interval, paired_difference):
        lower, upper = method(b, c, n, alpha)
        assert method(c, b, n, alpha) == pytest.approx((-upper, -lower), abs=1e-9)
        assert lower - 1e-9 <= (b - c) / n <= upper + 1e-9
    lower, upper = newcombe_paired(0, b, c, n - b - c, alpha)
    assert newcombe_paired(0, c, b, n - b - c, alpha) == pytest.approx((-upper, -lower), abs=1e-9)


@settings(derandomize=True, deadline=None)
@given(discordances(), st.floats(0.001, 0.2))
def test_one_concordant_pair_turned_to_harm_never_lowers_a_bound(counts: tuple[int, int, int], alpha: float) -> None:
    b, c, n = counts
    if b + c == n:
        return
    before, after = paired_difference(b, c, n, alpha), paired_difference(b + 1, c, n, alpha)
    assert after[0] >= before[0] - 1e-9
    assert after[1] >= before[1] - 1e-9


@pytest.mark.parametrize("better", [0.0, 0.0005, 0.005, 0.03])
@pytest.mark.parametrize("margin", [0.005, 0.02])
@pytest.mark.parametrize("n", [550, 600, 1000, 2500])
def test_a_candidate_as_bad_as_the_margin_passes_with_at_most_alpha(better: float, margin: float, n: int) -> None:
    """Not simulated: the probability is summed over all outcomes that matter."""
    assert _false_promotion(better, margin, n, 0.05) <= 0.05


def _false_promotion(better: float, margin: float, n: int, alpha: float) -> float:
    worse, total = better + margin, 0.0
    for c in range(int(binom.isf(1e-7, n, better)) + 1 if better else 1):
        low, high = -1, n - c
        while high - low > 1:
            middle = (low + high) // 2
            passes = paired_difference(middle, c, n, alpha)[1] < margin
            low, high = (middle, high) if passes else (low, middle)
        if low >= 0:
            # Given c of the one kind, the other kind is binomial among the rest.
            total += float(binom.pmf(c, n, better) * binom.cdf(low, n - c, worse / (1 - better)))
    return total


def test_tango_alone_would_pass_too_often() -> None:
    """Why the exact construction stands beside it: 0 of 543 gives 0.00496, although 0.005 makes 0 in 543 in 6.6 %."""
    assert tango_interval(0, 0, 543, 0.05)[1] < 0.005
    assert (1 - 0.005) ** 543 > 0.06
    assert paired_difference(0, 0, 543, 0.05)[1] > 0.005


def test_coverage_in_a_simulation() -> None:
    random = np.random.default_rng(20240611)
    truth = np.array([0.03, 0.02, 0.95])
    misses = np.zeros(2)
    for b, c, rest in random.multinomial(800, truth, size=1500):
        lower, upper = paired_difference(int(b), int(c), int(b + c + rest), 0.05)
        misses += [lower > 0.01, upper < 0.01]
    # Five percent on each side, and three standard errors of 1,500 draws.
    assert (misses / 1500 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1500)).all()
    assert (misses / 1500 >= 0.02).all()


@pytest.mark.parametrize(("b", "c"), [(1, 0), (5, 5), (3, 9), (20, 1), (300, 280)])
def test_mid_p_is_the_exact_p_of_statsmodels_less_half_of_what_is_as_extreme(b: int, c: int) -> None:
    exact = float(mcnemar([[0, b], [c, 0]], exact=True).pvalue)
    as_extreme = float(binom.pmf(b, b + c, 0.5)) * (1 if b == c else 2)
    assert mcnemar_mid_p(b, c) == pytest.approx(exact - as_extreme / 2, rel=1e-12)


def test_without_a_discordant_pair_the_mid_p_is_one() -> None:
    assert mcnemar_mid_p(0, 0) == 1.0


@pytest.mark.parametrize("counts", [(0, 0, 0), (-1, 0, 5), (3, 3, 5)])
def test_impossible_counts_are_refused(counts: tuple[int, int, int]) -> None:
    for method in (tango_interval, discordant_interval, paired_difference):
        with pytest.raises(ValueError, match="must be at least"):
            method(*counts, 0.05)
    with pytest.raises(ValueError, match="at least 0"):
        mcnemar_mid_p(-1, 2)
