from __future__ import annotations

import datetime as dt
import time
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

MINUTE = dt.timedelta(minutes=1)


def this_minute() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(second=0, microsecond=0)


def query(stat: str, metric: dict[str, Any], period: int = 60, query_id: str = "q", **others: Any) -> dict[str, Any]:
    return {"Id": query_id, "MetricStat": {"Metric": metric, "Stat": stat, "Period": period, **others}}


@pytest.fixture
def metric(unique: Any) -> dict[str, Any]:
    dimensions = [{"Name": "EndpointName", "Value": "e"}, {"Name": "VariantName", "Value": "v"}]
    return {"Namespace": unique("Test"), "MetricName": "Latency", "Dimensions": dimensions}


def put(cloud: Any, metric: dict[str, Any], at: dt.datetime, unit: str = "None", **value: Any) -> None:
    datum = {
        "MetricName": metric["MetricName"],
        "Dimensions": metric["Dimensions"],
        "Timestamp": at,
        "Unit": unit,
        **value,
    }
    cloud.cloudwatch.put_metric_data(Namespace=metric["Namespace"], MetricData=[datum])


def test_percentiles_are_numpys(cloud: Any, metric: dict[str, Any]) -> None:
    values = np.random.default_rng(3).lognormal(10, 1, 1000)
    at = this_minute() - MINUTE
    for chunk in np.split(values, 10):
        put(cloud, metric, at, Values=chunk.tolist())
    stats = ["p50", "p99", "p99.9", "p0", "p100", "Average", "Sum", "Minimum", "Maximum", "SampleCount"]
    answer = cloud.cloudwatch.get_metric_data(
        MetricDataQueries=[query(stat, metric, query_id=f"q{n}") for n, stat in enumerate(stats)],
        StartTime=at,
        EndTime=at + MINUTE,
    )
    found = [result["Values"][0] for result in answer["MetricDataResults"]]
    expected = [float(np.percentile(values, p)) for p in (50, 99, 99.9, 0, 100)]
    expected += [float(value) for value in (values.mean(), values.sum(), values.min(), values.max(), 1000)]
    assert found == pytest.approx(expected, rel=1e-12)
    assert [result["Label"] for result in answer["MetricDataResults"]] == ["Latency"] * len(stats)


def test_periods_order_and_edges(cloud: Any, metric: dict[str, Any]) -> None:
    end = this_minute()
    for minutes in (1, 3, 2, 5):
        put(cloud, metric, end - minutes * MINUTE + dt.timedelta(seconds=30), Value=float(minutes))
    put(cloud, metric, end, Value=99.0)
    ask = {"StartTime": end - 5 * MINUTE + dt.timedelta(seconds=20), "EndTime": end}
    data = cloud.cloudwatch.get_metric_data
    (result,) = data(MetricDataQueries=[query("Sum", metric)], **ask)["MetricDataResults"]
    # Newest first; a minute without values has no datapoint; the end is exclusive, the start is rounded down.
    assert result["Values"] == [1, 2, 3, 5]
    assert result["Timestamps"] == [end - minutes * MINUTE for minutes in (1, 2, 3, 5)]
    (result,) = data(MetricDataQueries=[query("Sum", metric)], ScanBy="TimestampAscending", **ask)["MetricDataResults"]
    assert result["Values"] == [5, 3, 2, 1]
    (result,) = data(MetricDataQueries=[query("Average", metric, 300)], **ask)["MetricDataResults"]
    assert result["Values"] == [pytest.approx(11 / 4)]


def test_a_series_is_its_namespace_all_dimensions_and_unit(cloud: Any, metric: dict[str, Any]) -> None:
    at = this_minute()
    put(cloud, metric, at, "Microseconds", Value=1.0)
    others = (
        {**metric, "Namespace": "Other"},
        {**metric, "Dimensions": metric["Dimensions"][:1]},
        {**metric, "Dimensions": []},
        {**metric, "MetricName": "Other"},
    )
    ask = {"StartTime": at, "EndTime": at + MINUTE}

    def values(wanted: dict[str, Any], **unit: Any) -> Any:
        answer = cloud.cloudwatch.get_metric_data(MetricDataQueries=[query("Sum", wanted, **unit)], **ask)
        assert answer["MetricDataResults"][0]["StatusCode"] == "Complete"
        return answer["MetricDataResults"][0]["Values"]

    assert values({**metric, "Dimensions": metric["Dimensions"][::-1]}) == [1.0]
    assert values(metric, Unit="Microseconds") == [1.0]
    assert values(metric, Unit="Seconds") == []
    assert [values(other) for other in others] == [[]] * 4


def test_counts_and_statistic_sets(cloud: Any, metric: dict[str, Any]) -> None:
    at = this_minute()
    put(cloud, metric, at, Values=[1.0, 10.0], Counts=[98, 2])
    ask = {"StartTime": at, "EndTime": at + MINUTE}
    stats = ("SampleCount", "Sum", "p50", "p99")
    queries = [query(stat, metric, query_id=f"q{n}") for n, stat in enumerate(stats)]
    results = cloud.cloudwatch.get_metric_data(MetricDataQueries=queries, **ask)["MetricDataResults"]
    plain = [1.0] * 98 + [10.0] * 2
    expected = [100, 118, np.percentile(plain, 50), np.percentile(plain, 99)]
    assert [result["Values"][0] for result in results] == pytest.approx(expected)
    totals = {"SampleCount": 4, "Sum": 40, "Minimum": 0, "Maximum": 20}
    put(cloud, metric, at, StatisticValues=totals)
    results = cloud.cloudwatch.get_metric_data(MetricDataQueries=queries, **ask)["MetricDataResults"]
    # No percentile can be had from sums, so there is none.
    assert [result["Values"] for result in results] == [[104], [158], [], []]


def test_get_metric_statistics(cloud: Any, metric: dict[str, Any]) -> None:
    end = this_minute()
    for minutes in range(1, 11):
        put(cloud, metric, end - minutes * MINUTE, "Count", Value=float(minutes))
    call = {key: metric[key] for key in ("Namespace", "MetricName", "Dimensions")}
    call |= {"StartTime": end - 10 * MINUTE, "EndTime": end, "Period": 60}
    statistics = cloud.cloudwatch.get_metric_statistics
    points = statistics(Statistics=["Sum", "SampleCount"], **call)["Datapoints"]
    assert {point["Timestamp"]: point["Sum"] for point in points} == {end - n * MINUTE: n for n in range(1, 11)}
    assert {(point["Unit"], point["SampleCount"]) for point in points} == {("Count", 1.0)}
    assert [point["Timestamp"] for point in points] != sorted(point["Timestamp"] for point in points)
    call |= {"Period": 600}
    (point,) = statistics(ExtendedStatistics=["p90"], **call)["Datapoints"]
    assert point["ExtendedStatistics"] == {"p90": pytest.approx(np.percentile(range(1, 11), 90))}
    for wrong, code in (
        ({"Statistics": ["Sum"], "ExtendedStatistics": ["p90"]}, "InvalidParameterCombination"),
        ({}, "MissingParameter"),
        ({"Statistics": ["Sum"], "StartTime": end - dt.timedelta(days=3), "Period": 60}, "InvalidParameterCombination"),
        ({"Statistics": ["Sum"], "Period": 61}, "InvalidParameterValue"),
        ({"ExtendedStatistics": ["tm90"]}, "InvalidParameterValue"),
    ):
        with pytest.raises(ClientError) as caught:
            statistics(**{**call, **wrong})
        assert caught.value.response["Error"]["Code"] == code
    call |= {"Statistics": ["Sum"], "Period": 60}
    assert statistics(**{**call, "StartTime": end - dt.timedelta(days=1)})["Datapoints"]
    with pytest.raises(ClientError) as caught:
        statistics(**{**call, "StartTime": end - dt.timedelta(days=1, minutes=1)})
    assert caught.value.response["Error"]["Message"] == (
        "You have requested up to 1,441 datapoints, which exceeds the limit of 1,440. You may reduce the datapoints "
        "requested by increasing Period, or decreasing the time range."
    )


def test_each_unit_has_datapoints_of_its_own(cloud: Any, metric: dict[str, Any]) -> None:
    at = this_minute()
    for unit, value in (("Seconds", 1.0), ("Count", 2.0)):
        put(cloud, metric, at, unit, Value=value)
    call = {**metric, "StartTime": at, "EndTime": at + MINUTE, "Period": 60, "Statistics": ["Sum"]}
    points = cloud.cloudwatch.get_metric_statistics(**call)["Datapoints"]
    assert {point["Unit"]: point["Sum"] for point in points} == {"Seconds": 1.0, "Count": 2.0}
    (result,) = cloud.cloudwatch.get_metric_data(
        MetricDataQueries=[query("Sum", metric)], StartTime=at, EndTime=at + MINUTE
    )["MetricDataResults"]
    assert result["Values"] == [3.0]


@pytest.mark.parametrize(
    ("datum", "said"),
    [
        ({"Value": 1.0, "Values": [1.0]}, "Exactly one of"),
        ({}, "Exactly one of"),
        ({"Values": [1.0] * 151}, "at most 150"),
        ({"Values": [1.0], "Counts": [1.0, 2.0]}, "must match"),
        ({"Values": [1.0], "Counts": [0.0]}, "above 0"),
        ({"Value": 1.0, "StorageResolution": 30}, "must be 1 or 60"),
        ({"StatisticValues": {"SampleCount": 0, "Sum": 0, "Minimum": 0, "Maximum": 0}}, "SampleCount above 0"),
        ({"Value": 1.0, "Dimensions": [{"Name": "a", "Value": "b"}] * 2}, "must be different"),
        (
            {"Value": 1.0, "Dimensions": [{"Name": f"d{n}", "Value": "b"} for n in range(31)]},
            "less than or equal to 30",
        ),
        ({"Value": 2.0**361}, "is invalid"),
    ],
)
def test_what_cannot_be_put_is_refused(cloud: Any, unique: Any, datum: dict[str, Any], said: str) -> None:
    namespace = unique("Refused")
    good = {"MetricName": "m", "Value": 1.0}
    with pytest.raises(ClientError, match=said):
        cloud.cloudwatch.put_metric_data(Namespace=namespace, MetricData=[good, {"MetricName": "m", **datum}])
    assert cloud.cloudwatch.list_metrics(Namespace=namespace)["Metrics"] == []


def test_a_datum_of_more_than_two_hours_ahead_is_refused(cloud: Any, unique: Any) -> None:
    datum = {"MetricName": "m", "Value": 1.0, "Timestamp": this_minute() + 125 * MINUTE}
    with pytest.raises(ClientError, match="two hours in the future"):
        cloud.cloudwatch.put_metric_data(Namespace=unique("Ahead"), MetricData=[datum])


def test_a_put_has_at_most_a_thousand_metrics(cloud: Any, unique: Any) -> None:
    namespace = unique("Thousand")
    data = [{"MetricName": f"m{n}", "Value": 1.0} for n in range(1001)]
    with pytest.raises(ClientError, match="size greater than 1000"):
        cloud.cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)
    cloud.cloudwatch.put_metric_data(Namespace=namespace, MetricData=data[:1000])


@pytest.mark.parametrize(
    ("queries", "said"),
    [
        ([{"Id": "q", "Expression": "a / b"}], "Error in expression 'q': Undefined id: a"),
        ([{"Id": "q", "Expression": "ANOMALY_DETECTION_BAND(m)"}], "Unsupported function: ANOMALY_DETECTION_BAND"),
        ([{"Id": "q", "Expression": "1 + 2"}], "must be a time series"),
        ([{"Id": "q", "Expression": "1 +"}], "Unexpected end"),
        ([{"Id": "a", "Expression": "b"}, {"Id": "b", "Expression": "a"}], "refer to each other"),
        ([{"Id": "q"}], "must be given"),
        ([{**query("Sum", {"Namespace": "n", "MetricName": "m"}), "Expression": "1"}], "must be given"),
        ([query("TM(101%:)", {"Namespace": "n", "MetricName": "m"})], "is not supported"),
        ([query("PR(:)", {"Namespace": "n", "MetricName": "m"})], "is not supported"),
        ([query("Sum", {"Namespace": "n", "MetricName": "m"}, query_id=f"q{n}") for n in range(501)], "and 500"),
        ([query("p101", {"Namespace": "n", "MetricName": "m"})], "is not supported"),
        ([query("Sum", {"Namespace": "n", "MetricName": "m"}, query_id="Q")], "expected pattern"),
        ([query("Sum", {"Namespace": "n", "MetricName": "m"})] * 2, "not unique"),
        ([query("Sum", {"Namespace": "n", "MetricName": "m"}, 61)], "multiple of 60"),
    ],
)
def test_what_cannot_be_answered_is_refused(cloud: Any, queries: list[dict[str, Any]], said: str) -> None:
    end = this_minute()
    with pytest.raises(ClientError) as caught:
        cloud.cloudwatch.get_metric_data(MetricDataQueries=queries, StartTime=end - MINUTE, EndTime=end)
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    assert said in caught.value.response["Error"]["Message"]


def test_many_datapoints_come_in_pages(cloud: Any, metric: dict[str, Any]) -> None:
    end = this_minute()
    for minutes in range(1, 8):
        put(cloud, metric, end - minutes * MINUTE, Value=float(minutes))
    queries = [query("Sum", metric, query_id="a"), query("Sum", metric, query_id="b")]
    pages = cloud.cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, StartTime=end - 7 * MINUTE, EndTime=end, MaxDatapoints=4
    )
    found: dict[str, list[float]] = {"a": [], "b": []}
    sizes = []
    for page in pages:
        sizes.append(sum(len(result["Values"]) for result in page["MetricDataResults"]))
        for result in page["MetricDataResults"]:
            found[result["Id"]] += result["Values"]
    assert sizes == [4, 4, 4, 2]
    assert found == {"a": [1, 2, 3, 4, 5, 6, 7], "b": [1, 2, 3, 4, 5, 6, 7]}


def test_list_metrics(cloud: Any, metric: dict[str, Any]) -> None:
    now = this_minute()
    endpoint, variant = metric["Dimensions"]
    other = {**metric, "MetricName": "Other", "Dimensions": [{"Name": "EndpointName", "Value": "f"}]}
    plain = {**metric, "MetricName": "Plain", "Dimensions": []}
    put(cloud, metric, now, "Count", Value=1.0)
    put(cloud, metric, now, "Seconds", Value=1.0)
    put(cloud, other, now - dt.timedelta(hours=4), Value=1.0)
    put(cloud, plain, now, StatisticValues={"SampleCount": 1, "Sum": 1, "Minimum": 1, "Maximum": 1})

    def names(**filters: Any) -> list[str]:
        answer = cloud.cloudwatch.list_metrics(Namespace=metric["Namespace"], **filters)
        assert all(item["Namespace"] == metric["Namespace"] for item in answer["Metrics"])
        return sorted(item["MetricName"] for item in answer["Metrics"])

    # One metric, whatever its units.
    assert names() == ["Latency", "Other", "Plain"]
    assert names(MetricName="Other") == ["Other"]
    assert names(Dimensions=[{"Name": "EndpointName"}]) == ["Latency", "Other"]
    assert names(Dimensions=[{"Name": "EndpointName"}, variant]) == ["Latency"]
    assert names(Dimensions=[{**endpoint, "Value": "f"}]) == ["Other"]
    assert names(Dimensions=[{"Name": "VariantName", "Value": "x"}]) == []
    assert names(RecentlyActive="PT3H") == ["Latency", "Plain"]
    (found,) = cloud.cloudwatch.list_metrics(Namespace=metric["Namespace"], MetricName="Latency")["Metrics"]
    assert sorted(found["Dimensions"], key=lambda item: item["Name"]) == metric["Dimensions"]
    with pytest.raises(ClientError) as caught:
        cloud.cloudwatch.list_metrics(NextToken="no token")
    assert caught.value.response["Error"]["Code"] == "InvalidNextToken"


def test_list_metrics_in_pages_of_500(cloud: Any, unique: Any) -> None:
    namespace = unique("Many")
    for start in range(0, 1200, 200):
        data = [{"MetricName": f"m{n}", "Value": 1.0} for n in range(start, start + 200)]
        cloud.cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)
    pages = list(cloud.cloudwatch.get_paginator("list_metrics").paginate(Namespace=namespace))
    assert [len(page["Metrics"]) for page in pages] == [500, 500, 200]
    assert {item["MetricName"] for page in pages for item in page["Metrics"]} == {f"m{n}" for n in range(1200)}


def test_a_refused_put_stores_nothing(cloud: Any, metric: dict[str, Any]) -> None:
    at = this_minute()
    common = {"MetricName": metric["MetricName"], "Dimensions": metric["Dimensions"]}
    with pytest.raises(ClientError, match="no more than two weeks in the past"):
        cloud.cloudwatch.put_metric_data(
            Namespace=metric["Namespace"],
            MetricData=[{**common, "Value": 1.0}, {**common, "Value": 1.0, "Timestamp": at - dt.timedelta(days=15)}],
        )
    answer = cloud.cloudwatch.get_metric_data(
        MetricDataQueries=[query("Sum", metric)], StartTime=at - MINUTE, EndTime=at + 5 * MINUTE
    )
    assert answer["MetricDataResults"][0]["Values"] == []


def test_the_query_protocol_of_older_sdks(local_aws: Any, metric: dict[str, Any]) -> None:
    def call(**form: str) -> ET.Element:
        request = urllib.request.Request(
            local_aws.endpoint_url,
            data=urllib.parse.urlencode({"Version": "2010-08-01", **form}).encode(),
            headers={"Authorization": "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/monitoring/aws4_request, x"},
        )
        try:
            return ET.fromstring(urllib.request.urlopen(request).read())
        except urllib.error.HTTPError as error:
            return ET.fromstring(error.read())

    at, name = this_minute(), {"q": "{http://monitoring.amazonaws.com/doc/2010-08-01/}"}["q"]
    dimensions = {
        f"Dimensions.member.{n}.{part}": item[part]
        for n, item in enumerate(metric["Dimensions"], start=1)
        for part in ("Name", "Value")
    }
    datum = {f"MetricData.member.1.{key}": value for key, value in dimensions.items()}
    datum |= {"MetricData.member.1.MetricName": "Latency", "MetricData.member.1.Value": "2.5"}
    call(Action="PutMetricData", Namespace=metric["Namespace"], **datum)
    span = {"StartTime": at.isoformat(), "EndTime": (at + 2 * MINUTE).isoformat()}
    root = call(
        Action="GetMetricStatistics",
        Namespace=metric["Namespace"],
        MetricName="Latency",
        Period="60",
        **{"Statistics.member.1": "Maximum"},
        **dimensions,
        **span,
    )
    assert root.tag == f"{name}GetMetricStatisticsResponse"
    assert [float(item.text or "") for item in root.iter(f"{name}Maximum")] == [2.5]
    root = call(Action="GetMetricStatistics", Namespace=metric["Namespace"])
    assert [item.text for item in root.iter(f"{name}Code")] == ["ValidationError"]
    root = call(Action="Invented")
    assert [item.text for item in root.iter(f"{name}Code")] == ["UnknownOperationException"]


def test_endpoint_metrics_of_both_variants(cloud: Any, status: Any, wait_until: Any) -> None:
    moody = (
        "class E(Exception): status_code = 400\n"
        "import time\ndef model_fn(d): return 1\n"
        "def transform_fn(m, b, c, a):\n"
        "    time.sleep(0.02)\n"
        "    if b == '4': raise E()\n"
        "    if b == '5': raise ValueError()\n"
        "    return b, c"
    )
    config = cloud.config(
        [cloud.variant("p", cloud.model(), InitialInstanceCount=2)], [cloud.variant("s", cloud.model(moody))]
    )
    name = cloud.endpoint(config)
    start = time.time()

    def values(variant: str, metric: str, stat: str) -> Any:
        dimensions = [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": variant}]
        wanted = {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": dimensions}
        answer = cloud.cloudwatch.get_metric_data(
            MetricDataQueries=[query(stat, wanted, 3600)], StartTime=start - 60, EndTime=start + 600
        )
        return answer["MetricDataResults"][0]["Values"]

    # No traffic is no datapoint, not a zero.
    assert values("p", "Invocations", "Sum") == values("p", "Invocation5XXErrors", "Sum") == []
    for body in (b"ok", b"4", b"5", b"5", b"ok"):
        cloud.invoke(name, body)
    wait_until(lambda: status(name)["counters"]["s"]["requests"] == 5)

    def totals(variant: str) -> list[float]:
        names = ["Invocations", "InvocationsPerInstance"]
        names += ["Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors"]
        return [values(variant, metric, "Sum")[0] for metric in names]

    assert totals("p") == [5, 2.5, 0, 0, 0]
    assert totals("s") == [5, 5, 1, 2, 3]
    assert values("s", "Invocation5XXErrors", "Average") == [pytest.approx(0.4)]
    # Microseconds, and exactly one value per invocation.
    assert 20_000 <= values("s", "ModelLatency", "Minimum")[0] < 1_000_000
    assert values("p", "ModelLatency", "p50")[0] < values("s", "ModelLatency", "p50")[0]
    assert values("p", "OverheadLatency", "SampleCount") == [5]


def test_a_large_put_arrives_although_boto3_packs_it(cloud: Any, unique: Any) -> None:
    name = unique("Packed")
    moment = this_minute()
    data = [
        {
            "MetricName": name,
            "Timestamp": moment,
            "Value": float(value),
            "Dimensions": [{"Name": "N", "Value": "x" * 200}],
        }
        for value in range(100)
    ]
    cloud.cloudwatch.put_metric_data(Namespace="Test/Packed", MetricData=data)
    found = cloud.cloudwatch.get_metric_statistics(
        Namespace="Test/Packed",
        MetricName=name,
        Dimensions=[{"Name": "N", "Value": "x" * 200}],
        StartTime=moment,
        EndTime=moment + MINUTE,
        Period=60,
        Statistics=["Sum", "SampleCount"],
    )["Datapoints"]
    assert [(point["Sum"], point["SampleCount"]) for point in found] == [(4950.0, 100.0)]
