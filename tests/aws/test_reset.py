"""A reset leaves nothing of what was there, and everything works as at the start."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shadow_provider.local import LocalAWS, LocalSettings
from shadow_provider.local.faults import ApiFault, VariantFault
from tests.aws.conftest import ECHO, IMAGE, ROLE, cloud_of, poll


@pytest.fixture(scope="module")
def own() -> Iterator[LocalAWS]:
    with LocalAWS(LocalSettings(seed=5, startup_timeout=15, capture_flush_seconds=0.3)) as running:
        yield running


def fill(aws: LocalAWS) -> list[int]:
    """Something of every kind; the model processes' pids."""
    sagemaker, cloudwatch = aws.boto3_client("sagemaker"), aws.boto3_client("cloudwatch")
    uri = aws.put_model("s3://bucket/m/model.tar.gz", ECHO)
    container = {"Image": IMAGE, "ModelDataUrl": uri}
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=container, Tags=[])
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    arn = sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")["EndpointArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "k", "Value": "v"}])
    aws.boto3_client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")
    poll(lambda: sagemaker.describe_endpoint(EndpointName="e")["EndpointStatus"] == "InService")
    aws.boto3_client("application-autoscaling").register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId="endpoint/e/variant/v",
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        MinCapacity=1,
        MaxCapacity=2,
    )
    cloudwatch.put_metric_data(Namespace="N", MetricData=[{"MetricName": "x", "Value": 1}])
    cloudwatch.put_metric_alarm(
        AlarmName="a", Namespace="N", MetricName="x", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    runtime = aws.boto3_client("sagemaker-runtime")
    assert runtime.invoke_endpoint(EndpointName="e", Body=b"1", ContentType="text/csv")["Body"].read() == b"1"
    (endpoint,) = aws.status()["endpoints"]
    pids: list[int] = endpoint["variants"][0]["pids"]
    return pids


def everything(aws: LocalAWS) -> dict[str, Any]:
    """What is left, by kind; empty lists after a reset."""
    sagemaker, cloudwatch = aws.boto3_client("sagemaker"), aws.boto3_client("cloudwatch")
    now = datetime.now(UTC)
    query = {"Id": "m", "MetricStat": {"Metric": {"Namespace": "N", "MetricName": "x"}, "Period": 60, "Stat": "Sum"}}
    values = cloudwatch.get_metric_data(
        MetricDataQueries=[query], StartTime=now - timedelta(hours=1), EndTime=now + timedelta(minutes=2)
    )
    return {
        "models": sagemaker.list_models()["Models"],
        "configs": sagemaker.list_endpoint_configs()["EndpointConfigs"],
        "endpoints": sagemaker.list_endpoints()["Endpoints"],
        "buckets": aws.boto3_client("s3").list_buckets()["Buckets"],
        "roles": aws.boto3_client("iam").list_roles()["Roles"],
        "targets": aws.boto3_client("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")[
            "ScalableTargets"
        ],
        "metrics": cloudwatch.list_metrics()["Metrics"],
        "values": values["MetricDataResults"][0]["Values"],
        "alarms": cloudwatch.describe_alarms()["MetricAlarms"],
        "history": cloudwatch.describe_alarm_history()["AlarmHistoryItems"],
        "faults": aws.faults.list(),
    }


def running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_nothing_is_left_and_all_of_it_can_be_made_again(own: LocalAWS) -> None:
    for _ in range(2):  # moto forgets which of its services to reset, once it has reset them
        pids = fill(own)
        own.faults.add(VariantFault(kind="latency", seconds=1, times=1))
        assert all(everything(own).values())
        before = own.calls()[-1].sequence
        own.reset()
        assert not any(running(pid) for pid in pids)
        assert own.calls() == []
        assert not any(everything(own).values())
        assert own.calls()[0].sequence > before, "who follows the calls must not miss the new ones"


def test_a_deployment_under_way_is_stopped(own: LocalAWS) -> None:
    sagemaker = own.boto3_client("sagemaker")
    uri = own.put_model(
        "s3://bucket/slow.tar.gz", "import time\ndef model_fn(d): time.sleep(600)\ndef predict_fn(d, m): 0"
    )
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE, "ModelDataUrl": uri})
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    (server,) = [own.pid]
    children = Path(f"/proc/{server}/task/{server}/children")
    idle = set(children.read_text().split())
    poll(lambda: set(children.read_text().split()) - idle or own.status()["endpoints"][0]["status"] != "Creating")
    own.reset()
    assert own.status()["endpoints"] == []
    assert len(children.read_text().split()) == 1, "only the watchdog is left"


def test_a_process_that_a_fault_stopped_is_no_obstacle(own: LocalAWS) -> None:
    (pid,) = fill(own)
    own.faults.add(VariantFault(kind="hang"))
    with pytest.raises(OSError, match="timed out"):
        urllib.request.urlopen(f"{own.endpoint_url}/endpoints/e/invocations", data=b"1", timeout=0.5)
    own.reset()
    assert not running(pid)


def test_chance_begins_anew(own: LocalAWS) -> None:
    def pattern() -> list[bool]:
        own.reset()
        own.faults.add(ApiFault(kind="throttle", probability=0.5, operation="ListBuckets"))
        seen = []
        for _ in range(40):
            try:
                urllib.request.urlopen(own.endpoint_url, timeout=5).close()
                seen.append(False)
            except urllib.error.HTTPError as error:
                error.close()
                seen.append(True)
        return seen

    first = pattern()
    assert first == pattern()
    assert True in first
    assert False in first


def test_a_page_in_a_browser_cannot_reset(own: LocalAWS) -> None:
    own.boto3_client("s3").create_bucket(Bucket="precious")
    request = urllib.request.Request(
        f"{own.endpoint_url}/_local/reset", data=b"", headers={"Content-Type": "text/plain"}, method="POST"
    )
    with pytest.raises(urllib.error.HTTPError, match="415"):
        urllib.request.urlopen(request)
    assert own.boto3_client("s3").list_buckets()["Buckets"][0]["Name"] == "precious"


# Of the processes the third never comes up; a request takes longer than anybody waits for a reset.
STUCK = """
import os, time

def model_fn(model_dir):
    for number in range(9):
        try:
            os.mkdir(os.path.join(os.environ["STARTED"], str(number)))
        except FileExistsError:
            continue
        break
    time.sleep(600 if number == 2 else 0)

def transform_fn(model, body, content_type, accept):
    time.sleep(20)
    return body, content_type
"""


def test_a_reset_waits_for_no_request_of_instances_that_are_added(
    own: LocalAWS, unique: Callable[[str], str], tmp_path: Path
) -> None:
    own.reset()
    cloud = cloud_of(own, unique)
    name = cloud.endpoint(
        cloud.config([cloud.variant("v", cloud.model(STUCK, Environment={"STARTED": str(tmp_path)}))])
    )

    def variant() -> Any:
        return own.status()["endpoints"][0]["variants"][0]

    def call() -> None:
        with pytest.raises(ClientError, match="ModelError"):
            cloud.invoke(name)

    cloud.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name, DesiredWeightsAndCapacities=[{"VariantName": "v", "DesiredInstanceCount": 3}]
    )
    poll(lambda: variant()["healthy"] == 2)
    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    poll(lambda: variant()["in_flight"] == 4)
    begun = time.monotonic()
    own.reset()
    assert time.monotonic() - begun < 10
    for caller in callers:
        caller.join()
