import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from shadow_provider.statistics.quantile import (
    bound_percentiles,
    lower_rank,
    minimum_samples,
    percentile_name,
    upper_rank,
)


@settings(derandomize=True, deadline=None)
@given(st.integers(0, 3000), st.floats(0.01, 0.99), st.floats(0.001, 0.2))
def test_the_ranks_are_the_closest_that_keep_alpha(n: int, q: float, alpha: float) -> None:
    high = upper_rank(n, q, alpha)
    if high is None:
        assert n == 0 or q**n > alpha
        return
    assert 1 <= high <= n
    assert binom.sf(high - 1, n, q) <= alpha
    assert high == 1 or binom.sf(high - 2, n, q) > alpha


@settings(derandomize=True, deadline=None)
@given(st.integers(1, 3000), st.sampled_from([0.5, 0.9, 0.99]), st.floats(0.001, 0.2))
def test_lower_and_upper_enclose_the_quantile(n: int, q: float, alpha: float) -> None:
    low = lower_rank(n, q, alpha)
    if low is None:
        assert (1 - q) ** n > alpha - 1e-12
        return
    # P(X_(r) > quantile) is the probability of fewer than r observations below it.
    assert binom.cdf(low - 1, n, q) <= alpha + 1e-12
    assert low == n or binom.cdf(low, n, q) > alpha - 1e-12


def test_p99_needs_368_samples() -> None:
    assert minimum_samples(0.99, 0.025) == 368
    assert bound_percentiles(367, 0.99, 0.025) is None
    assert bound_percentiles(368, 0.99, 0.025) is not None
    assert bound_percentiles(0, 0.99, 0.025) is None


@pytest.mark.parametrize("method", ["linear", "inverted_cdf"])
@pytest.mark.parametrize(("n", "q"), [(100, 0.5), (500, 0.9), (400, 0.99), (5000, 0.99)])
def test_percentiles_are_outside_of_the_order_statistics(method: str, n: int, q: float) -> None:
    sample = np.sort(np.random.default_rng(7).exponential(size=n))
    names = bound_percentiles(n, q, 0.025)
    low, high = lower_rank(n, q, 0.025), upper_rank(n, q, 0.025)
    assert names
    assert low
    assert high
    below, above = (np.percentile(sample, float(name[1:]), method=method) for name in names)  # type: ignore[call-overload]
    assert below <= sample[low - 1]
    assert above >= sample[high - 1]


def test_coverage_in_a_simulation() -> None:
    random = np.random.default_rng(11)
    names = bound_percentiles(600, 0.9, 0.05)
    assert names
    truth = float(np.quantile(random.lognormal(size=2_000_000), 0.9))
    samples = random.lognormal(size=(2000, 600))
    below, above = (np.percentile(samples, float(name[1:]), axis=1) for name in names)
    assert 0.015 < np.mean(above < truth) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)
    assert 0.015 < np.mean(below > truth) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)


def test_names_as_cloudwatch_takes_them() -> None:
    assert [percentile_name(p) for p in (0, 50, 99.5, 88.21, 100)] == ["p0", "p50", "p99.5", "p88.21", "p100"]


@pytest.mark.parametrize(("n", "q", "alpha"), [(-1, 0.5, 0.05), (10, 0.0, 0.05), (10, 1.0, 0.05), (10, 0.5, 0.5)])
def test_impossible_arguments_are_refused(n: int, q: float, alpha: float) -> None:
    with pytest.raises(ValueError, match="must"):
        bound_percentiles(n, q, alpha)
