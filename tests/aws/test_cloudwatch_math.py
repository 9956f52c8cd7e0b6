"""Metric math, percentile rank and trimmed statistics through GetMetricData."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.aws.test_cloudwatch import MINUTE, put, query, this_minute


@pytest.fixture
def metric(unique: Any) -> dict[str, Any]:
    return {"Namespace": unique("Math"), "MetricName": "Latency", "Dimensions": []}


def expression(text: str, query_id: str = "e", **others: Any) -> dict[str, Any]:
    return {"Id": query_id, "Expression": text, **others}


@pytest.fixture
def two_series(cloud: Any, metric: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Queries m1 and m2, and the four minutes they are about: m1 is 1, 2, -, 4, m2 is 10, -, 0, 40."""
    end = this_minute()
    other = {**metric, "MetricName": "Other"}
    for minutes, first, second in ((4, 1.0, 10.0), (3, 2.0, None), (2, None, 0.0), (1, 4.0, 40.0)):
        for wanted, value in ((metric, first), (other, second)):
            if value is not None:
                put(cloud, wanted, end - minutes * MINUTE, Value=value)
    queries = [query("Sum", metric, query_id="m1"), query("Sum", other, query_id="m2")]
    span = {"StartTime": end - 4 * MINUTE, "EndTime": end, "ScanBy": "TimestampAscending"}
    return [{**item, "ReturnData": False} for item in queries], span


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A minute that either series lacks is not in the result.
        ("m1 + m2", {4: 11, 1: 44}),
        ("m2 / m1 - 1", {4: 9, 1: 9}),
        ("-m1 * (2 + 3)", {4: -5, 3: -10, 1: -20}),
        # Nothing can be divided by zero: that minute is missing.
        ("100 / m2", {4: 10, 1: 2.5}),
        ("FILL(m1, 0)", {4: 1, 3: 2, 2: 0, 1: 4}),
        ("FILL(m1, REPEAT)", {4: 1, 3: 2, 2: 2, 1: 4}),
        ("FILL(m1, LINEAR)", {4: 1, 3: 2, 2: 3, 1: 4}),
        ("IF(m1 > 1, m1, 0)", {4: 0, 3: 2, 1: 4}),
        ("IF(m1 >= 2 AND m1 < 4, m1)", {3: 2}),
        # Over an array a function is taken at each timestamp, of the series that have a value there.
        ("SUM(METRICS())", {4: 11, 3: 2, 2: 0, 1: 44}),
        ("MAX([m1, m2])", {4: 10, 3: 2, 2: 0, 1: 40}),
        ('AVG(METRICS("m1"))', {4: 1, 3: 2, 1: 4}),
        # Of one series it is a number.
        ("m1 - MIN(m1)", {4: 0, 3: 1, 1: 3}),
        ("m1 / PERIOD(m1)", {4: 1 / 60, 3: 2 / 60, 1: 4 / 60}),
    ],
)
def test_metric_math(cloud: Any, two_series: Any, text: str, expected: dict[int, float]) -> None:
    queries, span = two_series
    answer = cloud.cloudwatch.get_metric_data(MetricDataQueries=[expression(text), *queries], **span)
    # ReturnData=False hides what the expression is made of.
    (result,) = answer["MetricDataResults"]
    found = dict(zip(result["Timestamps"], result["Values"], strict=True))
    assert found == pytest.approx({span["EndTime"] - minutes * MINUTE: value for minutes, value in expected.items()})
    assert list(found) == sorted(found)
    assert (result["Id"], result["Label"], result["StatusCode"]) == ("e", "e", "Complete")


def test_expressions_may_refer_to_expressions_and_give_arrays(cloud: Any, two_series: Any) -> None:
    queries, span = two_series
    asked = [expression("e1 * 2", "e2"), expression("m1 + 1", "e1", ReturnData=False, Label="one more")]
    asked += [expression("METRICS() * 2", "all", Label="twice"), *queries]
    results = cloud.cloudwatch.get_metric_data(MetricDataQueries=asked, **span)["MetricDataResults"]
    assert [(result["Id"], result["Values"]) for result in results] == [
        ("e2", [4, 6, 10]),
        ("all", [2, 4, 8]),
        ("all", [20, 0, 80]),
    ]
    assert [result["Label"] for result in results] == ["e2", "twice Latency", "twice Other"]


def test_expressions_come_in_pages_too(cloud: Any, two_series: Any) -> None:
    queries, span = two_series
    pages = cloud.cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=[expression("FILL(m1, 9)"), expression("m2 + 0", "f"), *queries], MaxDatapoints=3, **span
    )
    found = [[(item["Id"], item["Values"], item["StatusCode"]) for item in page["MetricDataResults"]] for page in pages]
    assert found == [
        [("e", [1, 2, 9], "PartialData"), ("f", [], "PartialData")],
        [("e", [4], "Complete"), ("f", [10, 0], "PartialData")],
        [("f", [40], "Complete")],
    ]


def test_percentile_rank_and_trimmed_statistics_are_numpys(cloud: Any, metric: dict[str, Any]) -> None:
    values = np.random.default_rng(4).lognormal(3, 1, 500)
    at = this_minute() - MINUTE
    for chunk in np.split(values, 5):
        put(cloud, metric, at, Values=chunk.tolist())
    low, high = np.percentile(values, [10, 90])
    middle = values[(values > low) & (values <= high)]
    expected = {
        "PR(:20)": 100 * np.mean(values <= 20),
        "PR(10:20)": 100 * np.mean((values > 10) & (values <= 20)),
        "PR(10:)": 100 * np.mean(values > 10),
        "TM(10%:90%)": middle.mean(),
        "tm90": values[values <= high].mean(),
        "TM(10:20)": values[(values > 10) & (values <= 20)].mean(),
        "TC(10%:90%)": len(middle),
        "TS(:90%)": values[values <= high].sum(),
    }
    queries = [query(stat, metric, query_id=f"q{n}") for n, stat in enumerate(expected)]
    answer = cloud.cloudwatch.get_metric_data(MetricDataQueries=queries, StartTime=at, EndTime=at + MINUTE)
    found = [result["Values"][0] for result in answer["MetricDataResults"]]
    assert found == pytest.approx([float(value) for value in expected.values()], rel=1e-12)


def test_the_lower_bound_is_exclusive_and_the_upper_one_inclusive(cloud: Any, metric: dict[str, Any]) -> None:
    at = this_minute() - MINUTE
    put(cloud, metric, at, Values=[1.0, 2.0, 3.0, 4.0, 5.0], Counts=[1, 1, 2, 1, 5])
    expected = {"PR(2:4)": 30, "PR(:4)": 50, "TM(2:4)": 10 / 3, "TC(2:4)": 3, "TS(2:)": 35, "TC(8:9)": 0}
    queries = [query(stat, metric, query_id=f"q{n}") for n, stat in enumerate([*expected, "TM(8:9)"])]
    answer = cloud.cloudwatch.get_metric_data(MetricDataQueries=queries, StartTime=at, EndTime=at + MINUTE)
    found = [result["Values"] for result in answer["MetricDataResults"]]
    # There is no mean of nothing.
    assert found == [*([pytest.approx(value)] for value in expected.values()), []]


def test_filling_ends_where_values_can_be(cloud: Any, metric: dict[str, Any]) -> None:
    put(cloud, metric, this_minute(), Value=1.0)
    queries = [expression("FILL(m, 0)"), {**query("Sum", metric, 3600, "m"), "ReturnData": False}]
    answer = cloud.cloudwatch.get_metric_data(
        MetricDataQueries=queries, StartTime="1700-01-01T00:00:00Z", EndTime="9999-01-01T00:00:00Z"
    )
    # 455 days back, as long as CloudWatch keeps hours, and two hours ahead.
    (result,) = answer["MetricDataResults"]
    assert 455 * 24 + 2 <= len(result["Values"]) <= 455 * 24 + 4
    assert sum(result["Values"]) == 1
