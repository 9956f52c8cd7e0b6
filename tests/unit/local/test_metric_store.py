from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_provider.local.cloudwatch.metric_store import MetricStore, Series, SeriesKey
from shadow_provider.local.cloudwatch.service import CloudWatch
from shadow_provider.local.errors import AwsError

values = st.floats(-1e9, 1e9)


@given(st.lists(st.tuples(values, st.integers(1, 5)), min_size=1, max_size=40), st.floats(0, 100))
def test_weighted_percentiles_are_those_of_the_repeated_values(pairs: list[tuple[float, int]], percent: float) -> None:
    series = Series()
    for value, count in pairs:
        series.add(0.0, value, float(count))
    series.counts = series.counts or None
    repeated = np.repeat([value for value, _ in pairs], [count for _, count in pairs])
    found = series.between(0, 1).statistic(f"p{percent:f}")
    assert found == pytest.approx(float(np.percentile(repeated, float(f"{percent:f}"))), rel=1e-9, abs=1e-6)


@given(st.lists(st.tuples(st.integers(0, 600), values), min_size=1, max_size=60))
def test_buckets_hold_each_value_once_whatever_the_order(points: list[tuple[int, float]]) -> None:
    series = Series()
    for at, value in points:
        series.add(float(at), value)
    found = series.between(60, 540).buckets(60, 120)
    expected: dict[float, list[float]] = {}
    for at, value in points:
        if 60 <= at < 540:
            expected.setdefault(60 + (at - 60) // 120 * 120, []).append(value)
    assert {at: sorted(sample.values.tolist()) for at, sample in found.items()} == {
        at: sorted(inside) for at, inside in expected.items()
    }


def test_the_first_weighted_value_leaves_earlier_ones_as_they_were() -> None:
    series = Series()
    series.add(0.0, 1.0)
    series.add(0.0, 5.0, 3.0)
    sample = series.between(0, 1)
    assert (sample.statistic("SampleCount"), sample.statistic("Sum")) == (4.0, 16.0)


def test_a_series_can_grow_while_a_sample_of_it_is_used() -> None:
    series = Series()
    series.add(0.0, 1.0)
    sample = series.between(0, 10)
    series.add(1.0, 2.0)
    assert sample.values.tolist() == [1.0]


def test_series_are_found_by_unit_or_by_any() -> None:
    store = MetricStore()
    dimensions = (("a", "b"),)
    for unit in ("None", "Seconds"):
        store.series(SeriesKey("n", "m", dimensions, unit)).add(0.0, 1.0)
    assert len(store.find("n", "m", dimensions, None)) == 2
    assert len(store.find("n", "m", dimensions, "Seconds")) == 1
    assert store.find("n", "m", (), None) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -(2.0**361)])
def test_special_values_are_refused(value: float) -> None:
    cloudwatch = CloudWatch(MetricStore())
    totals = {"SampleCount": 1, "Sum": 1, "Minimum": value, "Maximum": 1}
    for datum in ({"Value": value}, {"Values": [1, value]}, {"StatisticValues": totals}):
        with pytest.raises(AwsError, match="is invalid") as caught:
            cloudwatch.call("PutMetricData", {"Namespace": "n", "MetricData": [{"MetricName": "m", **datum}]})
        assert caught.value.code == "InvalidParameterValue"
    assert cloudwatch.call("ListMetrics", {})["Metrics"] == []
