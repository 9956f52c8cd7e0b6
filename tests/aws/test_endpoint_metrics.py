"""The metrics that endpoints publish by themselves, on a local AWS whose clock makes a minute half a second."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shadow_provider.local import LocalAWS, LocalSettings
from tests.aws.conftest import Cloud, cloud_of

CLOCK = 120.0
INVOCATIONS, UTILIZATION = "AWS/SageMaker", "/aws/sagemaker/Endpoints"
BURNING = """
import threading, time

def burn():
    while True:
        sum(range(1000))

def model_fn(model_dir):
    threading.Thread(target=burn, daemon=True).start()
    return bytearray(64 * 2**20)

def transform_fn(model, body, content_type, accept):
    return body, content_type
"""
# The burning is a child's, which counts too.
BURNING_CHILD = """
import subprocess, sys

def model_fn(model_dir):
    return subprocess.Popen([sys.executable, "-c", "while True: pass"])

def transform_fn(model, body, content_type, accept):
    return body, content_type
"""
SLOW = """
import time

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    time.sleep(0.3)
    return body, content_type
"""


@pytest.fixture(scope="module")
def cloud(unique: Callable[[str], str]) -> Iterator[Cloud]:
    with LocalAWS(LocalSettings(seed=7, clock=CLOCK, drain_timeout=5, idle_metrics="zero")) as running:
        yield cloud_of(running, unique)


class Metrics:
    """What CloudWatch has of one endpoint."""

    def __init__(self, cloudwatch: Any, endpoint: str) -> None:
        self.cloudwatch = cloudwatch
        self.endpoint = endpoint

    def sets(self, name: str, namespace: str = INVOCATIONS, variant: str = "p") -> list[dict[str, str]]:
        """The sets of dimensions of a metric, without the endpoint's and the variant's names."""
        own = {"EndpointName": self.endpoint, "VariantName": variant}
        listed = self.cloudwatch.list_metrics(
            Namespace=namespace,
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in own.items()],
        )["Metrics"]
        all_sets = [{item["Name"]: item["Value"] for item in metric["Dimensions"]} for metric in listed]
        assert all(own.items() <= found.items() for found in all_sets)
        return sorted(
            ({key: value for key, value in found.items() if key not in own} for found in all_sets), key=sorted
        )

    def points(
        self, name: str, stat: str, namespace: str = INVOCATIONS, variant: str = "p", period: int = 3600, **others: str
    ) -> list[float]:
        """One statistic of each period, newest first."""
        dimensions = {"EndpointName": self.endpoint, "VariantName": variant, **others}
        metric = {
            "Namespace": namespace,
            "MetricName": name,
            "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
        }
        queries = [{"Id": "q", "MetricStat": {"Metric": metric, "Stat": stat, "Period": period}}]
        # The whole of this hour and the one before lie inside.
        now = time.time()
        answer = self.cloudwatch.get_metric_data(MetricDataQueries=queries, StartTime=now - 3600, EndTime=now + 3600)
        values: list[float] = answer["MetricDataResults"][0]["Values"]
        return values

    def total(self, name: str, **others: Any) -> float:
        return sum(self.points(name, "Sum", **others))

    def number(self, name: str, **others: Any) -> float:
        return sum(self.points(name, "SampleCount", **others))


@pytest.fixture(scope="module")
def metrics(cloud: Cloud) -> Callable[[str], Metrics]:
    return lambda endpoint: Metrics(cloud.cloudwatch, endpoint)


def test_an_updates_fleet_has_metrics_of_its_own(cloud: Cloud, metrics: Any) -> None:
    first = cloud.config([cloud.variant("p", cloud.model())])
    name = cloud.endpoint(first)
    found = metrics(name)
    for _ in range(3):
        cloud.invoke(name)
    assert found.sets("ModelLatency") == [{}]
    second = cloud.config([cloud.variant("p", cloud.model())], [cloud.variant("s", cloud.model())])
    cloud.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=second)
    assert cloud.settled(name)["EndpointConfigName"] == second
    assert found.sets("ModelLatency") == [{}]  # no traffic yet
    for _ in range(2):
        cloud.invoke(name)
    assert found.sets("ModelLatency") == [{}, {"EndpointConfigName": second}]
    assert (found.total("Invocations"), found.total("Invocations", EndpointConfigName=second)) == (5, 2)
    assert found.total("Invocations", EndpointConfigName=first) == 0
    assert found.number("OverheadLatency", EndpointConfigName=second) == 2


def test_concurrency_is_what_an_instance_has_under_way(cloud: Cloud, metrics: Any) -> None:
    environment = {"SAGEMAKER_MODEL_SERVER_WORKERS": "4"}
    name = cloud.endpoint(cloud.config([cloud.variant("p", cloud.model(SLOW, Environment=environment))]))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: cloud.invoke(name), range(4)))
    found = metrics(name)
    assert found.points("ConcurrentRequestsPerModel", "Maximum") == [4]
    assert found.points("ConcurrentRequestsPerModel", "Minimum") == [1]


@pytest.mark.parametrize("source", [BURNING, BURNING_CHILD])
def test_utilization_is_that_of_the_processes_and_their_children(
    cloud: Cloud, metrics: Any, wait_until: Any, source: str
) -> None:
    config = cloud.config([cloud.variant("p", cloud.model(source))], [cloud.variant("s", cloud.model())])
    found = metrics(cloud.endpoint(config))
    wait_until(lambda: found.number("CPUUtilization", namespace=UTILIZATION) >= 4)
    busy, idle = (found.points("CPUUtilization", "Maximum", UTILIZATION, variant)[0] for variant in ("p", "s"))
    # Other work on this machine may leave it little, but never more than there is.
    assert 10 < busy <= 110 * (os.cpu_count() or 1)
    assert idle < busy
    memory = found.points("MemoryUtilization", "Average", UTILIZATION)[0]
    assert 0 < memory < 100
    if source is BURNING:
        assert memory > found.points("MemoryUtilization", "Average", UTILIZATION, "s")[0]
    assert 0 < found.points("DiskUtilization", "Average", UTILIZATION)[0] <= 100
    assert found.sets("GPUUtilization", UTILIZATION) == []


def test_enhanced_metrics_tell_the_instances_apart(cloud: Cloud, metrics: Any, wait_until: Any) -> None:
    wanted = {"EnableEnhancedMetrics": True, "MetricPublishFrequencyInSeconds": 30}
    variant = cloud.variant("p", cloud.model(), InitialInstanceCount=2)
    name = cloud.endpoint(cloud.config([variant], MetricsConfig=wanted))
    assert cloud.describe(name)["MetricsConfig"] == wanted
    for _ in range(10):
        cloud.invoke(name)
    found = metrics(name)
    plain, *instances = found.sets("Invocations")
    assert (plain, len(instances)) == ({}, 2)
    assert [list(item) for item in instances] == [["InstanceId"], ["InstanceId"]]
    assert [found.total("Invocations", **item) for item in instances] == [5, 5]
    assert [found.number("ModelLatency", **item) for item in instances] == [5, 5]
    assert (found.total("Invocations"), found.total("InvocationsPerInstance")) == (10, 5)
    # Of one instance it would say nothing.
    assert found.sets("InvocationsPerInstance") == [{}]
    wait_until(lambda: len(found.sets("CPUUtilization", UTILIZATION)) == 3)
    assert found.sets("CPUUtilization", UTILIZATION) == [plain, *instances]
    wait_until(lambda: found.number("MemoryUtilization", namespace=UTILIZATION) >= 4)


def test_the_publish_frequency_is_that_of_utilization(cloud: Cloud, metrics: Any, wait_until: Any) -> None:
    """Of two endpoints side by side, one publishes five times as often as the other."""
    names = {
        frequency: cloud.endpoint(
            cloud.config(
                [cloud.variant("p", cloud.model())], MetricsConfig={"MetricPublishFrequencyInSeconds": frequency}
            )
        )
        for frequency in (300, 60)
    }
    seldom, often = (metrics(names[frequency]) for frequency in (300, 60))
    wait_until(lambda: seldom.number("CPUUtilization", namespace=UTILIZATION) >= 1)
    first = seldom.number("CPUUtilization", namespace=UTILIZATION)
    start = often.number("CPUUtilization", namespace=UTILIZATION)
    wait_until(lambda: seldom.number("CPUUtilization", namespace=UTILIZATION) >= first + 2)
    counts = often.number("CPUUtilization", namespace=UTILIZATION) - start
    # Two intervals of 300 s are ten of 60 s, if this machine keeps up.
    assert 6 <= counts <= 12


def test_a_frequency_that_there_is_not_is_refused(cloud: Cloud) -> None:
    with pytest.raises(ClientError, match=r"must be one of \[10, 30, 60, 120, 180, 240, 300\]"):
        cloud.config([cloud.variant("p", cloud.model())], MetricsConfig={"MetricPublishFrequencyInSeconds": 20})


def test_idle_minutes_can_have_zeros(cloud: Cloud, metrics: Any, wait_until: Any) -> None:
    name = cloud.endpoint(cloud.config([cloud.variant("p", cloud.model())]))
    found = metrics(name)
    wait_until(lambda: found.number("Invocations") >= 2)
    assert found.points("Invocations", "Maximum") == [0]
    assert found.number("Invocation5XXErrors") >= 2
    assert found.sets("ModelLatency") == []
    cloud.invoke(name)
    assert found.total("Invocations") == 1


def test_an_alarm_goes_by_the_clocks_minutes_though_nobody_looks(cloud: Cloud, metrics: Any, wait_until: Any) -> None:
    broken = "def model_fn(d): return 1\ndef transform_fn(m, b, c, a): raise ValueError()"
    name = cloud.endpoint(cloud.config([cloud.variant("p", cloud.model(), InitialInstanceCount=1)]))
    cloud.cloudwatch.put_metric_alarm(
        AlarmName=f"errors-{name}",
        Namespace=INVOCATIONS,
        MetricName="Invocation5XXErrors",
        Dimensions=[{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "p"}],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=2,
        DatapointsToAlarm=1,
        Threshold=0.5,
        ComparisonOperator="GreaterThanThreshold",
    )

    def state() -> str:
        (alarm,) = cloud.cloudwatch.describe_alarms(AlarmNames=[f"errors-{name}"])["MetricAlarms"]
        return str(alarm["StateValue"])

    wait_until(lambda: state() == "OK", 10)
    cloud.sagemaker.update_endpoint(
        EndpointName=name, EndpointConfigName=cloud.config([cloud.variant("p", cloud.model(broken))])
    )
    cloud.settled(name)
    with pytest.raises(cloud.runtime.exceptions.ModelError):
        cloud.invoke(name)
    # A minute is half a second here. Nobody looks at the alarm until some of them have passed.
    found = metrics(name)
    wait_until(lambda: found.total("Invocation5XXErrors") == 1)
    seen = found.number("Invocations")
    wait_until(lambda: found.number("Invocations") >= seen + 6)
    history = cloud.cloudwatch.describe_alarm_history(
        AlarmName=f"errors-{name}", HistoryItemType="StateUpdate", ScanBy="TimestampAscending"
    )["AlarmHistoryItems"]
    summaries = [item["HistorySummary"].removeprefix("Alarm updated from ") for item in history]
    assert summaries[-2:] == ["OK to ALARM", "ALARM to OK"]
    held = history[-1]["Timestamp"] - history[-2]["Timestamp"]
    assert 0.4 < held.total_seconds() < 3
