"""The parts of summaries: exact, bounded, and the same in any order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.comparators.log_histogram import LogHistogram
from shadow_provider.comparators.moments import Moments, exact_sum
from shadow_provider.comparators.tally import LONGEST_KEY, Tally

CALM = settings(derandomize=True, deadline=None, max_examples=200)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(values=st.lists(FINITE, max_size=30))
@CALM
def test_sums_are_exact(values: list[float]) -> None:
    whole = exact_sum(np.array(values, dtype=np.float64))
    assert whole == sum(
        int(value.as_integer_ratio()[0] * (1 << 1074) // value.as_integer_ratio()[1]) for value in values
    )


def test_a_million_values_are_summed_without_an_error() -> None:
    values = np.random.default_rng(1).normal(0, 1e3, 1_500_000)
    moments = Moments.of(values)
    assert moments.mean == math.fsum(values) / len(values)
    assert moments.deviation == pytest.approx(values.std(ddof=1), rel=1e-12)


def test_what_is_not_finite_poisons_nothing() -> None:
    moments = Moments.of(np.array([1.0, np.nan, np.inf, -np.inf, 1e200, 3.0]))
    assert (moments.mean, moments.count, moments.not_finite) == (2, 2, 4)


@given(values=st.lists(st.floats(-1e14, 1e14), min_size=1, max_size=60), probability=st.floats(0, 1))
@CALM
def test_quantiles_are_within_one_percent(values: list[float], probability: float) -> None:
    exact = np.quantile(values, probability, method="inverted_cdf")
    assert LogHistogram.of(np.array(values)).quantile(probability) == pytest.approx(exact, rel=0.010001, abs=1.1e-12)


def test_sizes_without_end_have_a_last_bin() -> None:
    histogram = LogHistogram.of(np.array([np.inf, -np.inf, 1e300, np.nan]))
    assert histogram.count == 3
    assert histogram.quantile(1) == pytest.approx(1e15, rel=0.02)
    assert LogHistogram().quantile(0.5) is None


@given(keys=st.lists(st.sampled_from("abcdefghijkl"), max_size=40), cut=st.integers(0, 40))
@CALM
def test_too_many_keys_are_dropped_the_same_way_in_any_order(keys: list[str], cut: int) -> None:
    def tally(some: list[str]) -> Tally:
        return Tally.of(((key, 1) for key in some), limit=5)

    whole = tally(keys)
    assert tally(keys[cut:]).merge(tally(keys[:cut])) == whole
    assert whole.total == len(keys)
    assert len(whole.counts) == min(5, len(set(keys)))
    assert whole.complete == (len(set(keys)) <= 5)
    assert all(count == keys.count(key) for key, count in whole.counts.items())


def test_keys_are_short_and_can_be_written() -> None:
    tally = Tally.of([("x" * 1_000_000, 1), ("x" * 1_000_001, 1), ("\ud800", 1)])
    assert len(tally.counts) == 3
    assert all(len(key) <= LONGEST_KEY and key.encode() for key in tally.counts)
