"""Hodges and Lehmann's estimate and Tukey's interval: a published example, scipy's tests, all averages written down."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from shadow_provider.statistics.hodges_lehmann import MOST_EXACT, hodges_lehmann, signed_rank_bounds

Series = npt.NDArray[np.float64]

VALUES = st.lists(st.floats(-1000, 1000, allow_subnormal=False), min_size=1, max_size=40)


def averages(values: Series) -> Series:
    """All Walsh averages, in order."""
    rows, columns = np.triu_indices(len(values))
    return np.sort((values[rows] + values[columns]) / 2)


def test_the_tranquilizer_data_as_published() -> None:
    # Hollander and Wolfe (1999), table 3.1, and examples 3.3 and 3.4.
    before = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
    after = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])
    assert hodges_lehmann(after - before) == pytest.approx(-0.46, abs=1e-12)
    assert signed_rank_bounds(after - before, 0.025) == pytest.approx((-0.786, -0.010), abs=1e-12)


@given(VALUES)
@settings(derandomize=True, deadline=None)
def test_the_estimate_is_the_median_of_all_averages(values: list[float]) -> None:
    series = np.array(values)
    assert hodges_lehmann(series) == pytest.approx(float(np.median(averages(series))), rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("count", [5, 6, 12, 25])
@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.005])
def test_the_bounds_are_where_the_exact_test_of_scipy_turns(count: int, alpha: float) -> None:
    series = np.random.default_rng(count).standard_normal(count) + 0.3
    lower, upper = signed_rank_bounds(series, alpha)
    if lower == -math.inf:
        assert wilcoxon(series - series.min() + 1, alternative="greater", method="exact").pvalue > alpha
        return
    step = 1e-9
    greater = [
        wilcoxon(series - at, alternative="greater", method="exact").pvalue for at in (lower - step, lower + step)
    ]
    less = [wilcoxon(series - at, alternative="less", method="exact").pvalue for at in (upper + step, upper - step)]
    assert greater[0] <= alpha < greater[1]
    assert less[0] <= alpha < less[1]


@pytest.mark.parametrize("count", [MOST_EXACT + 1, 500])
def test_beyond_the_exact_distribution_the_bounds_are_where_the_normal_test_of_scipy_turns(count: int) -> None:
    series = np.random.default_rng(count).standard_normal(count)
    lower, upper = signed_rank_bounds(series, 0.05)
    ranks = averages(series)
    where = int(np.searchsorted(ranks, lower)), int(np.searchsorted(ranks, upper))
    for at, side in ((where[0], "greater"), (where[1], "less")):
        # One average further in, the test no longer says so; one further out, it does.
        outside, inside = (at - 2, at + 2) if side == "greater" else (at + 2, at - 2)
        found = [
            wilcoxon(series - ranks[i] - 1e-10, alternative=side, correction=True, method="approx").pvalue
            for i in (outside, inside)
        ]
        assert found[0] <= 0.05 < found[1]


def test_the_normal_ranks_are_near_the_exact_ones_where_they_take_over() -> None:
    series = np.random.default_rng(1).standard_normal(MOST_EXACT)
    exact = signed_rank_bounds(series, 0.025)
    normal = signed_rank_bounds(np.append(series, hodges_lehmann(series) or 0.0), 0.025)
    assert normal == pytest.approx(exact, abs=0.01)


@given(VALUES, st.sampled_from([0.01, 0.05]))
@settings(derandomize=True, deadline=None)
def test_the_interval_holds_the_estimate_and_mirrors(values: list[float], alpha: float) -> None:
    series = np.array(values)
    estimate, (lower, upper) = hodges_lehmann(series), signed_rank_bounds(series, alpha)
    assert estimate is not None
    assert lower - 1e-9 <= estimate <= upper + 1e-9
    assert signed_rank_bounds(-series, alpha) == pytest.approx((-upper, -lower), rel=1e-12, abs=1e-9)


def test_a_wild_block_moves_it_less_than_the_mean() -> None:
    series = np.random.default_rng(2).normal(0.0, 0.1, 200)
    wild = np.append(series, 50.0)
    estimate = hodges_lehmann(wild)
    assert estimate is not None
    assert abs(estimate) < 0.03 < wild.mean()


def test_many_blocks_need_no_more_memory_than_themselves() -> None:
    # Written down, the averages of 40,000 differences would take 6.4 GB.
    series = np.random.default_rng(3).standard_normal(40_000)
    lower, upper = signed_rank_bounds(series, 0.025)
    assert upper - lower == pytest.approx(2 * 1.96 * math.sqrt(math.pi / 3 / 40_000), rel=0.05)


def test_too_few_differences_bound_nothing() -> None:
    assert hodges_lehmann(np.empty(0)) is None
    assert signed_rank_bounds(np.empty(0), 0.05) == (-math.inf, math.inf)
    assert signed_rank_bounds(np.arange(4.0), 0.05) == (-math.inf, math.inf)
    assert signed_rank_bounds(np.arange(5.0), 0.05) == (0.0, 4.0)


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        hodges_lehmann(np.array([1.0, math.nan]))
    with pytest.raises(ValueError, match="alpha"):
        signed_rank_bounds(np.array([1.0]), 0.5)
