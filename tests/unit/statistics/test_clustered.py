"""Means over pairs that come several to a user: against statsmodels, and what clusters do to the other methods."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import statsmodels.api as sm

from shadow_provider.statistics.blocks import BlockMean
from shadow_provider.statistics.clustered import cluster_bounds, cluster_totals
from shadow_provider.statistics.score_blocks import ScoreBlocks

Series = npt.NDArray[np.float64]


def users(rng: np.random.Generator, count: int, mean: float = 0.0) -> tuple[Series, npt.NDArray[np.int64]]:
    """Differences of pairs and their users; a user has 1 to 20 pairs, which share half of their variance."""
    names = np.repeat(np.arange(count), rng.integers(1, 21, count))
    shared = rng.normal(0, 0.2, count)
    return mean + shared[names] + rng.normal(0, 0.2, len(names)), names


@pytest.mark.parametrize("count", [3, 40, 500])
@pytest.mark.parametrize("alpha", [0.05, 0.005])
def test_the_interval_is_that_of_a_regression_with_clustered_errors(count: int, alpha: float) -> None:
    differences, names = users(np.random.default_rng(count), count, mean=0.1)
    fit = sm.OLS(differences, np.ones(len(differences))).fit(cov_type="cluster", cov_kwds={"groups": names}, use_t=True)
    expected = tuple(fit.conf_int(2 * alpha)[0])
    assert cluster_bounds(*cluster_totals(differences, names), alpha) == pytest.approx(expected, rel=1e-10)


def test_a_pair_to_a_cluster_is_students_interval() -> None:
    from scipy.stats import ttest_1samp

    differences = np.random.default_rng(1).standard_normal(50)
    expected = ttest_1samp(differences, 0).confidence_interval(0.9)
    assert cluster_bounds(differences, np.ones(50), 0.05) == pytest.approx((expected.low, expected.high), rel=1e-10)


def test_pairs_of_a_cluster_need_not_stand_together_nor_be_numbered() -> None:
    differences, names = users(np.random.default_rng(2), 30)
    order = np.random.default_rng(3).permutation(len(names))
    words = np.array([f"user-{name:03d}" for name in names])
    totals, pairs = cluster_totals(differences, names)
    again, counted = cluster_totals(differences[order], words[order])
    assert again == pytest.approx(totals)
    assert (counted == pairs).all()


def test_it_covers_where_pairs_taken_as_independent_do_not() -> None:
    rng = np.random.default_rng(4)
    runs, missed, naive = 400, 0, 0
    for _ in range(runs):
        differences, names = users(rng, 80)
        lower, upper = cluster_bounds(*cluster_totals(differences, names), 0.025)
        missed += not lower <= 0 <= upper
        naive += bool(abs(differences.mean()) > 1.96 * differences.std() / math.sqrt(len(differences)))
    # 400 runs at 5 %: more than 33 are found once in a hundred times.
    assert missed <= 33
    assert naive >= 100


def test_complete_clusters_may_be_asked_at_every_look_as_a_mean_over_blocks() -> None:
    rng = np.random.default_rng(5)
    runs, passed = 100, 0
    for _ in range(runs):
        totals, pairs = cluster_totals(*users(rng, 400, mean=0.05))
        looks = (BlockMean(pairs[:end], totals[:end]).evidence_below(0.05) for end in range(20, 401, 10))
        passed += any(evidence >= math.log(20) for evidence in looks)
    assert passed <= 9  # of 100 at the promised 5 %: more than that happen once in 35
    mean = BlockMean(pairs, totals)
    assert mean.estimate == pytest.approx(float(totals.sum() / pairs.sum()))
    assert mean.evidence_below(0.15) > math.log(20)


def test_sessions_within_a_few_blocks_are_counted_as_clusters_by_scores_over_time() -> None:
    rng = np.random.default_rng(6)
    blocks, size = 600, 8
    shared = rng.choice(np.array([-0.3, 0.3]), (blocks, 5))
    together = np.repeat(shared, size, axis=1)
    apart = rng.choice(np.array([-0.3, 0.3]), together.shape)
    counts = np.full(blocks, 5 * size)
    found = [
        ScoreBlocks(counts, scores.sum(axis=1), (scores**2).sum(axis=1), -1.0, 1.0).clusters.count
        for scores in (together, apart)
    ]
    # Eight pairs count as one; the dispersion errs on the high side.
    assert blocks * 5 * 0.6 <= found[0] <= blocks * 5 * 1.05
    assert found[1] >= blocks * 5 * size * 0.6


def test_too_few_clusters_bound_nothing_and_empty_ones_are_refused() -> None:
    assert cluster_bounds(np.array([1.0]), np.array([3.0]), 0.05) == (-math.inf, math.inf)
    with pytest.raises(ValueError, match="a pair at least"):
        cluster_bounds(np.zeros(2), np.array([1.0, 0.0]), 0.05)
    with pytest.raises(ValueError, match="cannot belong"):
        cluster_totals(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="alpha"):
        cluster_bounds(np.zeros(2), np.ones(2), 0.5)
