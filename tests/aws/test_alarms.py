"""Alarms as boto3 and older SDKs see them; how they evaluate is in tests/unit/local/test_alarms.py."""

from __future__ import annotations

import datetime as dt
import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.session import get_session

from shadow_provider.local import LocalAWS

MINUTE = dt.timedelta(minutes=1)
# Changes that make room for Metrics.
NO_METRIC: dict[str, Any] = dict.fromkeys(("Namespace", "MetricName", "Statistic", "Period"))


class Alarms:
    """The alarms of one test, all named after it."""

    def __init__(self, cloudwatch: Any, prefix: str) -> None:
        self.client = cloudwatch
        self.prefix = prefix
        self.metric = {"Namespace": prefix, "MetricName": "Errors"}

    def request(self, name: str = "a", **changes: Any) -> dict[str, Any]:
        wanted = {
            "AlarmName": f"{self.prefix}-{name}",
            **self.metric,
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 5.0,
            "ComparisonOperator": "GreaterThanThreshold",
            **changes,
        }
        return {key: value for key, value in wanted.items() if value is not None}

    def put(self, name: str = "a", **changes: Any) -> str:
        request = self.request(name, **changes)
        self.client.put_metric_alarm(**request)
        return str(request["AlarmName"])

    def measure(self, value: float) -> None:
        """One value in the minute that has just ended, or will have ended when an alarm looks."""
        at = dt.datetime.now(dt.UTC) - MINUTE
        self.client.put_metric_data(
            Namespace=self.prefix, MetricData=[{"MetricName": "Errors", "Value": value, "Timestamp": at}]
        )

    def shown(self, name: str) -> Any:
        (alarm,) = self.client.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return alarm

    def names(self, **filters: Any) -> list[str]:
        pages = self.client.get_paginator("describe_alarms").paginate(AlarmNamePrefix=self.prefix, **filters)
        return [alarm["AlarmName"].removeprefix(f"{self.prefix}-") for page in pages for alarm in page["MetricAlarms"]]


@pytest.fixture
def alarms(cloud: Any, unique: Any) -> Iterator[Alarms]:
    made = Alarms(cloud.cloudwatch, unique("Alarms"))
    yield made
    made.client.delete_alarms(AlarmNames=[f"{made.prefix}-{name}" for name in made.names()])


def code(caught: Any) -> str:
    return str(caught.value.response["Error"]["Code"])


def test_an_alarm_goes_off_and_calms_down(alarms: Alarms, wait_until: Any) -> None:
    name = alarms.put(Dimensions=[], TreatMissingData="notBreaching", AlarmActions=["arn:aws:sns:us-east-1:1:topic"])
    wait_until(lambda: alarms.shown(name)["StateValue"] == "OK")
    assert alarms.shown(name)["StateReason"].endswith("1 missing datapoint was treated as [NonBreaching].")
    alarms.measure(7.0)
    wait_until(lambda: alarms.shown(name)["StateValue"] == "ALARM")
    shown = alarms.shown(name)
    assert shown["StateReason"].startswith("Threshold Crossed: 1 out of the last 1 datapoints [7.0 (")
    assert shown["AlarmArn"] == f"arn:aws:cloudwatch:us-east-1:123456789012:alarm:{name}"
    assert (shown["ActionsEnabled"], shown["OKActions"], len(shown["AlarmActions"])) == (True, [], 1)
    expected = alarms.request(Dimensions=[], TreatMissingData="notBreaching")
    assert {key: shown[key] for key in expected} == expected
    history = alarms.client.describe_alarm_history(AlarmName=name, HistoryItemType="StateUpdate")["AlarmHistoryItems"]
    # Newest first.
    assert [item["HistorySummary"] for item in history] == [
        "Alarm updated from OK to ALARM",
        "Alarm updated from INSUFFICIENT_DATA to OK",
    ]


def test_a_state_that_was_set_does_not_last(alarms: Alarms, wait_until: Any) -> None:
    name = alarms.put()
    with pytest.raises(ClientError) as caught:
        alarms.client.set_alarm_state(AlarmName=f"{name}x", StateValue="OK", StateReason="r")
    assert code(caught) == "ResourceNotFound"
    with pytest.raises(ClientError) as caught:
        alarms.client.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="r", StateReasonData="no JSON")
    assert code(caught) == "InvalidFormat"
    alarms.client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a drill")
    wait_until(lambda: alarms.shown(name)["StateReason"] == "Insufficient Data: 1 datapoint was unknown.")
    items = alarms.client.describe_alarm_history(AlarmName=name, ScanBy="TimestampAscending")["AlarmHistoryItems"]
    summaries = [item["HistorySummary"] for item in items]
    assert summaries[-2:] == [
        "Alarm updated from INSUFFICIENT_DATA to ALARM",
        "Alarm updated from ALARM to INSUFFICIENT_DATA",
    ]


def test_an_alarms_tags_are_those_it_was_made_with(alarms: Alarms) -> None:
    tags = [{"Key": "team", "Value": "fraud"}]
    name = alarms.put(Tags=tags)
    alarms.put(Tags=[{"Key": "team", "Value": "churn"}])
    shown = alarms.shown(name)
    assert "Tags" not in shown
    assert alarms.client.list_tags_for_resource(ResourceARN=shown["AlarmArn"])["Tags"] == tags
    for arn in (f"{shown['AlarmArn']}x", "arn:aws:sns:us-east-1:1:topic"):
        with pytest.raises(alarms.client.exceptions.ResourceNotFoundException):
            alarms.client.list_tags_for_resource(ResourceARN=arn)


def test_describing_by_name_prefix_state_and_page(alarms: Alarms) -> None:
    for number in range(5):
        alarms.put(f"n{number}", AlarmActions=[f"arn:aws:sns:us-east-1:1:t{number}"])
    assert alarms.names() == alarms.names(PaginationConfig={"PageSize": 2}) == ["n0", "n1", "n2", "n3", "n4"]
    page = alarms.client.describe_alarms(AlarmNamePrefix=alarms.prefix, MaxRecords=2)
    assert [len(page["MetricAlarms"]), page["CompositeAlarms"]] == [2, []]
    assert "NextToken" in page
    assert alarms.names(StateValue="INSUFFICIENT_DATA") == alarms.names()
    assert alarms.names(StateValue="ALARM") == alarms.names(AlarmTypes=["CompositeAlarm"]) == []
    assert alarms.names(ActionPrefix="arn:aws:sns:us-east-1:1:t3") == ["n3"]
    found = alarms.client.describe_alarms(AlarmNames=[f"{alarms.prefix}-n4", f"{alarms.prefix}-n1", "none"])
    assert [alarm["AlarmName"][-2:] for alarm in found["MetricAlarms"]] == ["n1", "n4"]
    with pytest.raises(ClientError) as caught:
        alarms.client.describe_alarms(AlarmNames=["a"], AlarmNamePrefix="a")
    assert code(caught) == "ValidationError"
    with pytest.raises(ClientError) as caught:
        alarms.client.describe_alarms(NextToken="none")
    assert code(caught) == "InvalidNextToken"


def test_all_alarms_are_deleted_or_none(alarms: Alarms) -> None:
    first, second = alarms.put("1"), alarms.put("2")
    with pytest.raises(ClientError) as caught:
        alarms.client.delete_alarms(AlarmNames=[first, "none"])
    assert code(caught) == "ResourceNotFound"
    assert alarms.names() == ["1", "2"]
    alarms.client.delete_alarms(AlarmNames=[first])
    assert alarms.names() == ["2"]
    history = alarms.client.describe_alarm_history(AlarmName=first)["AlarmHistoryItems"]
    assert history[0]["HistorySummary"] == f'Alarm "{first}" deleted'
    alarms.client.delete_alarms(AlarmNames=[second])


def stat(name: str, period: int = 60, **others: Any) -> dict[str, Any]:
    metric = {"Namespace": "n", "MetricName": name}
    return {"Id": name, "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}, **others}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ComparisonOperator": "Greater"}, "Member must satisfy enum value set"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "does not support GreaterThanUpperThreshold"),
        # The words depend on whether the service model of that botocore requires them already.
        ({"ComparisonOperator": None}, "omparisonOperator"),
        ({"EvaluationPeriods": None}, "valuationPeriods"),
        ({"Threshold": None}, "parameter Threshold is required"),
        ({"MetricName": None}, "parameter MetricName is required"),
        ({"Period": None}, "parameter Period is required"),
        ({"Statistic": None}, "Exactly one of Statistic"),
        ({"ExtendedStatistic": "p90"}, "Exactly one of Statistic"),
        ({"Statistic": None, "ExtendedStatistic": "p101"}, "is not supported"),
        ({"Period": 90}, "10, 20, 30 or a multiple of 60"),
        ({"Period": 60, "EvaluationPeriods": 1441}, "must be <= 86400"),
        ({"Period": 3600, "EvaluationPeriods": 169}, "or <= 604800"),
        ({"EvaluationPeriods": 2, "DatapointsToAlarm": 3}, "DatapointsToAlarm"),
        ({"TreatMissingData": "bad"}, "TreatMissingData must be one of"),
        ({"EvaluateLowSampleCountPercentile": "bad"}, "EvaluateLowSampleCountPercentile must be"),
        ({"ThresholdMetricId": "t"}, "does not support ThresholdMetricId"),
        ({"Metrics": [stat("m")]}, "together with Metrics"),
    ],
)
def test_what_is_no_alarm_is_refused(alarms: Alarms, local_aws: LocalAWS, changes: dict[str, Any], said: str) -> None:
    # Older botocore would refuse some of these by itself, and we want to hear the server.
    alarms.client = local_aws.boto3_client("cloudwatch", config=Config(parameter_validation=False))
    with pytest.raises(ClientError) as caught:
        alarms.put(**changes)
    assert said in str(caught.value)
    assert code(caught) in ("ValidationError", "MissingParameter")
    assert alarms.names() == []


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ([stat("a"), stat("b")], "Exactly one element"),
        ([{"Id": "e", "Expression": "1 + 1"}], "from 1 to 10 metrics"),
        ([{"Id": "e", "Expression": "SUM(a)"}, stat("a", ReturnData=False)], "single time series"),
        ([{"Id": "e", "Expression": "METRICS()"}, stat("a", ReturnData=False)], "single time series"),
        ([{"Id": "e", "Expression": "x"}, stat("a", ReturnData=False)], "Undefined id: x"),
        ([stat("a"), stat("b", 120, ReturnData=False)], "same period"),
        ([stat("a", 45)], "multiple of 60"),
    ],
)
def test_what_is_no_alarm_on_expressions_is_refused(alarms: Alarms, metrics: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ClientError) as caught:
        alarms.put(Metrics=metrics, **NO_METRIC)
    assert said in str(caught.value)
    assert code(caught) == "ValidationError"


def test_the_query_protocol_of_older_sdks(local_aws: Any, alarms: Alarms) -> None:
    model = get_session().get_service_model("cloudwatch")

    def call(operation: str, **request: Any) -> Any:
        """With botocore's own query protocol, on both sides."""
        shape = model.operation_model(operation)
        form = create_serializer("query").serialize_to_request(request, shape)["body"]
        sent = urllib.request.Request(
            local_aws.endpoint_url,
            data=urllib.parse.urlencode(form).encode(),
            headers={"Authorization": "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/monitoring/aws4_request, x"},
        )
        with urllib.request.urlopen(sent) as answer:
            received = {"body": answer.read(), "headers": dict(answer.headers), "status_code": answer.status}
        return create_parser("query").parse(received, shape.output_shape)

    metrics = [{"Id": "e", "Expression": "m * 2 > 1"}, stat("m", ReturnData=False)]
    request = alarms.request(Metrics=metrics, ActionsEnabled=False, AlarmDescription="<&>", **NO_METRIC)
    call("PutMetricAlarm", **request)
    call("SetAlarmState", AlarmName=request["AlarmName"], StateValue="OK", StateReason="a < b")
    (shown,) = call("DescribeAlarms", AlarmNames=[request["AlarmName"]])["MetricAlarms"]
    assert {key: shown[key] for key in request} == request
    assert abs(shown["StateUpdatedTimestamp"] - dt.datetime.now(dt.UTC)) < 5 * MINUTE
    (item, *_) = call("DescribeAlarmHistory", AlarmName=request["AlarmName"], ScanBy="TimestampAscending")[
        "AlarmHistoryItems"
    ]
    assert json.loads(item["HistoryData"])["type"] == "Create"
    alarms.measure(1.0)
    listed = call("ListMetrics", Namespace=alarms.prefix)["Metrics"]
    assert listed == [{**alarms.metric, "Dimensions": []}]
