from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.local.cloudwatch.metric_store import MetricStore, SeriesKey
from shadow_provider.local.cloudwatch.periods import DAY, period_start
from shadow_provider.local.cloudwatch.series import Sample, Series, Slot, StatisticSet, rounded
from shadow_provider.local.cloudwatch.service import CloudWatch
from shadow_provider.local.errors import AwsError

values = st.floats(-1e9, 1e9) | st.integers(0, 3).map(float)
points = st.lists(st.tuples(st.integers(0, 600), values, st.integers(1, 5)), min_size=1, max_size=60)
STATISTICS = ("Average", "Sum", "Minimum", "Maximum", "SampleCount", "p0", "p12.5", "p50", "p99", "p100")


def repeated(listed: list[tuple[int, float, int]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.repeat([value for _, value, _ in listed], [count for _, _, count in listed])


def expected(plain: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[float]:
    simple = [plain.mean(), plain.sum(), plain.min(), plain.max(), len(plain)]
    return [float(value) for value in [*simple, *(np.percentile(plain, p) for p in (0, 12.5, 50, 99, 100))]]


@given(listed=points, read_at=st.sets(st.integers(0, 59)))
@settings(derandomize=True, deadline=None)
def test_statistics_are_those_of_a_list_of_all_values(listed: list[tuple[int, float, int]], read_at: set[int]) -> None:
    series = Series()
    for number, (at, value, count) in enumerate(listed):
        series.add(float(at // 60 * 60), value, float(count))
        if number in read_at:  # a look in between changes nothing
            series.sample(0, 600).statistic("p50")
    sample = series.sample(0, 660)
    found = [sample.statistic(name) for name in STATISTICS]
    assert found == pytest.approx(expected(repeated(listed)), rel=1e-9, abs=1e-5)


@given(listed=points, start=st.integers(0, 300), length=st.integers(1, 300), period=st.sampled_from([1, 7, 60, 120]))
@settings(derandomize=True, deadline=None)
def test_periods_hold_each_value_once_whatever_the_order(
    listed: list[tuple[int, float, int]], start: int, length: int, period: int
) -> None:
    series, wanted = Series(), dict[int, Counter[float]]()
    for at, value, count in listed:
        series.add(float(at), value, float(count))
        if start <= at < start + length:
            wanted.setdefault((at - start) // period, Counter())[value] += count
    slots: dict[int, list[Slot]] = {}
    for number, slot in series.slots(start, start + length, period):
        slots.setdefault(number, []).append(slot)
    assert {number: dict(zip(*both, strict=True)) for number, both in ((n, found(s)) for n, s in slots.items())} == {
        number: dict(inside) for number, inside in wanted.items()
    }


def found(slots: list[Slot]) -> tuple[list[float], list[float]]:
    both = Sample(slots).expanded()
    assert both is not None
    return both[0].tolist(), both[1].tolist()


def test_many_values_are_numpys_and_are_kept_in_order() -> None:
    drawn = np.random.default_rng(1).lognormal(10, 1, 50_000)
    series = Series()
    for number, value in enumerate(drawn.tolist()):
        series.add(60.0 * (number % 3), value)
    sample = series.sample(0, 180)
    assert [sample.statistic(name) for name in STATISTICS] == pytest.approx(expected(drawn), rel=1e-12)
    assert np.all(np.diff(sample.distinct[0]) > 0)


def test_equal_values_are_kept_once_with_their_number() -> None:
    series = Series()
    for number in range(100_000):
        series.add(0.0, float(number % 2))
    ((_, slot),) = series.slots(0, 60, 60)
    assert [part.tolist() for part in slot.settled() if part is not None] == [[0.0, 1.0], [50_000.0, 50_000.0]]
    assert len(slot.fresh) == 0


def test_the_first_weighted_value_leaves_earlier_ones_as_they_were() -> None:
    series = Series()
    series.add(0.0, 1.0)
    series.add(0.0, 5.0, 3.0)
    sample = series.sample(0, 1)
    assert (sample.statistic("SampleCount"), sample.statistic("Sum")) == (4.0, 16.0)


def test_a_series_can_grow_while_a_sample_of_it_is_used() -> None:
    series = Series()
    series.add(0.0, 1.0)
    sample = series.sample(0, 10)
    series.add(0.0, 2.0)
    series.add(1.0, 2.0)
    assert sample.distinct[0].tolist() == [1.0]


def test_percentiles_of_statistic_sets() -> None:
    series = Series()
    # AWS: only sets that cannot hide anything have percentiles.
    series.add_set(0.0, StatisticSet(4, 20.0, 5.0, 5.0))
    series.add(0.0, 9.0)
    assert series.sample(0, 60).statistic("p100") == 9.0
    assert series.sample(0, 60).statistic("p50") == 5.0
    for hiding in (StatisticSet(2, 6.0, 1.0, 5.0), StatisticSet(2, 7.0, 3.0, 3.0)):
        series = Series()
        series.add_set(0.0, hiding)
        series.add_set(0.0, StatisticSet(1, 8.0, 8.0, 8.0))
        sample = series.sample(0, 60)
        assert sample.statistic("p50") is None
        assert sample.expanded() is None
        assert [sample.statistic(name) for name in ("SampleCount", "Maximum")] == [3.0, 8.0]


@given(st.lists(st.floats(1e-3, 1e12) | st.just(0.0), min_size=1), st.integers(1, 6))
@settings(derandomize=True, deadline=None)
def test_rounded_values_are_as_near_as_their_digits_allow(drawn: list[float], digits: int) -> None:
    result = rounded(np.array(drawn), digits).tolist()
    for value, near in zip(drawn, result, strict=True):
        assert abs(near - value) <= 5.000001 / 10**digits * value
        assert near == pytest.approx(float(f"{near:.{digits - 1}e}"), rel=1e-15)


def test_a_rounded_series_has_a_bounded_number_of_values() -> None:
    drawn = np.random.default_rng(2).uniform(1000, 10_000, 200_000)
    series = Series(digits=3)
    for value in drawn.tolist():
        series.add(0.0, value)
    sample = series.sample(0, 60)
    assert len(sample.distinct[0]) <= 901
    assert sample.statistic("SampleCount") == 200_000
    assert sample.statistic("p99") == pytest.approx(float(np.percentile(drawn, 99)), rel=5e-3)
    assert sample.statistic("p99.9") == pytest.approx(float(np.percentile(drawn, 99.9)), rel=5e-3)


NOW = 1_800_000_000.0


def test_old_values_move_into_the_periods_that_are_still_kept() -> None:
    series = Series()
    ages = {"young": 3 * 3600 - 61, "hours": 3 * 3600 + 7, "weeks": 16 * DAY + 61, "months": 64 * DAY + 301}
    for age in (*ages.values(), 456 * DAY):
        series.add(NOW - age, float(age))
        series.add(NOW - age + 0.25, float(age))
    series.roll_up(NOW)
    series.roll_up(NOW)
    kept = sorted({number for number, _ in series.slots(0, NOW, 0.25)})
    young = NOW - ages["young"]
    starts = [
        period_start(NOW - ages[name], grain) for name, grain in (("months", 3600), ("weeks", 300), ("hours", 60))
    ]
    assert [number / 4 for number in kept] == [*starts, young, young + 0.25]
    # Nothing is lost, but for what is older than anything is kept.
    assert series.sample(0, NOW).statistic("SampleCount") == 8
    assert series.sample(0, NOW).statistic("Sum") == 2 * sum(ages.values())


@given(
    ages=st.lists(st.integers(0, 70 * DAY), min_size=1, max_size=30),
    steps=st.lists(st.integers(0, 20 * DAY), max_size=4),
)
@settings(derandomize=True, deadline=None)
def test_rolling_up_keeps_every_hour_what_it_was(ages: list[int], steps: list[int]) -> None:
    series = Series()
    for age in ages:
        series.add(NOW - age, float(age % 7))
    now = NOW
    for step in steps:
        now += step
        series.roll_up(now)
    first = period_start(NOW - 71 * DAY, 3600)
    wanted = Counter[int]()
    for age in ages:
        wanted[int((NOW - age - first) // 3600)] += 1
    held = Counter[int]()
    for number, slot in series.slots(first, NOW + 1, 3600):
        held[number] += int(Sample([slot]).statistic("SampleCount") or 0)
    assert held == wanted


def test_values_can_be_added_to_a_minute_that_was_rolled_up() -> None:
    series, old = Series(digits=4), period_start(NOW - DAY, 60)
    series.add(old + 10, 1234.4)
    series.roll_up(NOW)
    series.add(old, 1234.4)
    series.add(old + 20, 1111.4)
    series.roll_up(NOW + 1)
    # After three hours fewer digits stay, without which a busy server would fill its memory in some days.
    assert series.sample(old, old + 60).distinct[0].tolist() == [1110.0, 1230.0, 1234.0]


def test_series_are_found_by_unit_or_by_any() -> None:
    store = MetricStore()
    dimensions = (("a", "b"),)
    for unit in ("None", "Seconds"):
        store.series(SeriesKey("n", "m", dimensions, unit)).add(0.0, 1.0)
    assert set(store.find("n", "m", dimensions, None)) == {"None", "Seconds"}
    assert set(store.find("n", "m", dimensions, "Seconds")) == {"Seconds"}
    assert store.find("n", "m", (), None) == {}


def test_a_shared_series_counts_under_each_of_its_keys_beside_others() -> None:
    store = MetricStore(lambda: NOW)
    both, one = (SeriesKey("n", "m", dimensions, "None") for dimensions in ((), (("a", "b"),)))
    for keys in ([both, one], [both]):
        store.shared(keys).add(NOW, 1.0)
    store.series(one).add(NOW, 1.0)

    def count(key: SeriesKey) -> float:
        request = {"Namespace": "n", "MetricName": "m", "Period": 60, "Statistics": ["SampleCount"]}
        dimensions = [{"Name": name, "Value": value} for name, value in key.dimensions]
        span = {"StartTime": NOW - 60, "EndTime": NOW + 60, "Dimensions": dimensions}
        (point,) = CloudWatch(store).call("GetMetricStatistics", {**request, **span})["Datapoints"]
        return float(point["SampleCount"])

    assert (count(both), count(one)) == (2.0, 2.0)
    assert len(list(store.metrics(0))) == 2


def test_values_can_be_seen_after_the_lag() -> None:
    clock = [NOW]
    store = MetricStore(lambda: clock[0], lag=30.0)
    key = SeriesKey("n", "m", (), "None")
    store.series(key).add(NOW, 1.0)
    ask = {"Namespace": "n", "MetricName": "m", "Period": 60, "Statistics": ["Sum"]}
    ask |= {"StartTime": NOW - 60, "EndTime": NOW + 600}
    cloudwatch = CloudWatch(store)
    seen = []
    for clock[0] in (NOW, NOW + 89.9, NOW + 90):
        seen.append(len(cloudwatch.call("GetMetricStatistics", ask)["Datapoints"]))
    assert seen == [0, 0, 1]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -(2.0**361)])
def test_special_values_are_refused(value: float) -> None:
    cloudwatch = CloudWatch(MetricStore())
    totals = {"SampleCount": 1, "Sum": 1, "Minimum": value, "Maximum": 1}
    for datum in ({"Value": value}, {"Values": [1, value]}, {"StatisticValues": totals}):
        with pytest.raises(AwsError, match="is invalid") as caught:
            cloudwatch.call("PutMetricData", {"Namespace": "n", "MetricData": [{"MetricName": "m", **datum}]})
        assert caught.value.code == "InvalidParameterValue"
    assert cloudwatch.call("ListMetrics", {})["Metrics"] == []


@pytest.mark.parametrize(
    ("days", "period", "seen"),
    [
        (0.1, 10, [0.1]),
        (0.2, 10, []),
        (14, 60, [14]),
        (16, 60, []),
        (16, 300, [16]),
        (62, 300, [62]),
        (64, 300, []),
        (64, 900, []),
        (64, 3600, [64]),
        (454, 7200, [454]),
    ],
)
@pytest.mark.parametrize("rolled_up", [False, True])
def test_old_values_are_seen_in_long_periods_only(days: float, period: int, seen: list[float], rolled_up: bool) -> None:
    store = MetricStore(lambda: NOW)
    store.series(SeriesKey("n", "m", (), "None")).add(period_start(NOW - days * DAY, 60), days)
    if rolled_up:
        store.roll_up()
    metric = {"Metric": {"Namespace": "n", "MetricName": "m"}, "Period": period, "Stat": "Average"}
    ask = {"MetricDataQueries": [{"Id": "q", "MetricStat": metric}], "StartTime": 0, "EndTime": NOW}
    (result,) = CloudWatch(store).call("GetMetricData", ask)["MetricDataResults"]
    assert (result["Values"], result["StatusCode"]) == (seen, "Complete")


@pytest.mark.parametrize(
    ("days", "period", "rounded_to"), [(1, 60, 60), (16, 300, 300), (16, 3600, 300), (64, 3600, 3600), (0.01, 10, 10)]
)
def test_a_start_is_rounded_down_by_its_age(days: float, period: int, rounded_to: int) -> None:
    store = MetricStore(lambda: NOW)
    start = NOW - days * DAY + 7
    store.series(SeriesKey("n", "m", (), "None")).add(start, 1.0)
    ask = {"Namespace": "n", "MetricName": "m", "Period": period, "Statistics": ["Sum"]}
    span = {"StartTime": start, "EndTime": start + period}
    (point,) = CloudWatch(store).call("GetMetricStatistics", {**ask, **span})["Datapoints"]
    assert point["Timestamp"] == start - start % rounded_to
