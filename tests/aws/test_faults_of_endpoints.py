from __future__ import annotations

import itertools
import json
import math
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from scipy import stats

from shadow_provider.local import LocalAWS, LocalSettings
from shadow_provider.local.faults import CAPACITY_REASON, CaptureFault, EndpointFault, MetricsFault, VariantFault
from tests.aws.conftest import BUCKET, Cloud, archive, poll

FLUSH = 0.3
STARTUP_TIMEOUT = 4


@pytest.fixture(scope="module")
def running() -> Iterator[LocalAWS]:
    settings = LocalSettings(seed=3, startup_timeout=STARTUP_TIMEOUT, capture_flush_seconds=FLUSH, drain_timeout=5)
    with LocalAWS(settings) as made:
        made.boto3_client("s3").create_bucket(Bucket=BUCKET)
        yield made


@pytest.fixture(scope="module")
def cloud(running: LocalAWS) -> Cloud:
    """The endpoints live as long as the module: each test names its own."""

    @cache
    def client(service: str) -> Any:
        return running.boto3_client(service, config=Config(retries={"total_max_attempts": 1}, read_timeout=30))

    def upload(name: str, source: str) -> str:
        key = f"models/{name}/model.tar.gz"
        client("s3").put_object(Bucket=BUCKET, Key=key, Body=archive({"code/inference.py": source}))
        return f"s3://{BUCKET}/{key}"

    numbers = itertools.count(1)
    return Cloud(client, upload, lambda prefix: f"{prefix}-{next(numbers)}")


@pytest.fixture(scope="module")
def model(cloud: Cloud) -> str:
    return cloud.model()


@pytest.fixture(autouse=True)
def _no_faults_left(running: LocalAWS) -> Iterator[None]:
    yield
    running.faults.clear()


@pytest.fixture
def plain(cloud: Cloud, model: str) -> str:
    """An endpoint with one variant v."""
    return cloud.endpoint(cloud.config([cloud.variant("v", model)]))


@pytest.fixture
def status(running: LocalAWS) -> Callable[[str], Any]:
    return lambda name: next(item for item in running.status()["endpoints"] if item["name"] == name)


def error_of(cloud: Cloud, name: str) -> Any:
    with pytest.raises(ClientError) as caught:
        cloud.invoke(name)
    return caught.value.response


def test_failing_pings_delay_a_start(running: LocalAWS, cloud: Cloud, model: str) -> None:
    with running.fault(VariantFault(variant="slowly", kind="fail_pings", times=3)) as fault:
        name = cloud.endpoint(cloud.config([cloud.variant("slowly", model)]))
        assert fault.fired == 3
    assert cloud.invoke(name)["Body"].read() == b"1,2\n"


def test_failing_pings_fail_a_start(running: LocalAWS, cloud: Cloud, model: str) -> None:
    with running.fault(VariantFault(variant="never", kind="fail_pings")):
        name = cloud.endpoint(cloud.config([cloud.variant("never", model)]), wait=False)
        described = cloud.settled(name)
    assert described["EndpointStatus"] == "Failed"
    assert "variant never did not pass the ping health check" in described["FailureReason"]


def test_a_process_dies_at_the_nth_request_and_comes_back(
    running: LocalAWS, cloud: Cloud, plain: str, status: Callable[[str], Any]
) -> None:
    (before,) = status(plain)["variants"][0]["pids"]
    with running.fault(VariantFault(endpoint=plain, kind="die", nth=3)) as fault:
        cloud.invoke(plain)
        cloud.invoke(plain)
        response = error_of(cloud, plain)
        assert (response["Error"]["Code"], response["OriginalStatusCode"], fault.fired) == ("ModelError", 0, 1)
        poll(lambda: status(plain)["variants"][0]["pids"] not in ([before], [None]))
    poll(lambda: answers(cloud, plain))
    assert status(plain)["variants"][0]["restarts"] == 1


def answers(cloud: Cloud, name: str) -> bool:
    try:
        return bool(cloud.invoke(name)["Body"].read() == b"1,2\n")
    except ClientError:
        return False


def state_of(pid: int) -> str:
    return subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True).stdout[:1]


def test_a_process_hangs_until_the_fault_goes(
    running: LocalAWS, cloud: Cloud, plain: str, status: Callable[[str], Any]
) -> None:
    (pid,) = status(plain)["variants"][0]["pids"]
    fault = running.faults.add(VariantFault(endpoint=plain, kind="hang"))
    assert state_of(pid) != "T"
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(cloud.invoke, plain)
        poll(lambda: state_of(pid) == "T")
        assert status(plain)["variants"][0]["in_flight"] == 1
        assert not waiting.done()
        fault.remove()
        assert waiting.result(20)["Body"].read() == b"1,2\n"
    assert state_of(pid) != "T"


def test_an_endpoint_with_a_hanging_process_can_be_deleted(
    running: LocalAWS, cloud: Cloud, model: str, status: Callable[[str], Any]
) -> None:
    shadow = cloud.variant("s", model)
    name = cloud.endpoint(cloud.config([cloud.variant("v", model)], [shadow]))
    pid = status(name)["variants"][1]["pids"][0]
    with running.fault(VariantFault(endpoint=name, variant="s", kind="hang")):
        cloud.invoke(name)  # the caller does not notice what its shadow does
        poll(lambda: state_of(pid) == "T")
        cloud.sagemaker.delete_endpoint(EndpointName=name)
        poll(lambda: cloud.gone(name))
    assert state_of(pid) == ""


def test_a_share_of_errors(running: LocalAWS, cloud: Cloud, plain: str) -> None:
    count, statuses = 300, []
    with running.fault(VariantFault(endpoint=plain, kind="error", probability=0.2, status=503)) as fault:
        for _ in range(count):
            try:
                cloud.invoke(plain)
            except ClientError as error:
                statuses.append(error.response["OriginalStatusCode"])
        assert fault.fired == len(statuses)
    low, high = stats.binom.interval(0.9999, count, 0.2)
    assert low <= len(statuses) <= high
    assert set(statuses) == {503}
    assert answers(cloud, plain)


def test_errors_of_a_shadow_are_its_own(
    running: LocalAWS, cloud: Cloud, model: str, status: Callable[[str], Any]
) -> None:
    name = cloud.endpoint(cloud.config([cloud.variant("v", model)], [cloud.variant("s", model)]))
    with running.fault(VariantFault(endpoint=name, variant="s", kind="error")):
        for _ in range(5):
            cloud.invoke(name)
        poll(lambda: status(name)["counters"]["s"]["requests"] == 5)
    counters = status(name)["counters"]
    assert (counters["v"]["errors"], counters["s"]["errors"]) == (0, 5)


def latencies(cloud: Cloud, name: str, variant: str, statistic: str) -> Any:
    dimensions = [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": variant}]
    key = "Statistics" if statistic in ("Minimum", "Maximum", "SampleCount") else "ExtendedStatistics"
    found = cloud.cloudwatch.get_metric_statistics(
        **{key: [statistic]},
        Namespace="AWS/SageMaker",
        MetricName="ModelLatency",
        Dimensions=dimensions,
        StartTime=time.time() - 3600,
        EndTime=time.time() + 60,
        Period=7200,
    )["Datapoints"]
    values = [point.get(statistic, point.get("ExtendedStatistics", {}).get(statistic)) for point in found]
    return values[0] if values else None


def test_a_fixed_latency_is_the_models(running: LocalAWS, cloud: Cloud, plain: str) -> None:
    with running.fault(VariantFault(endpoint=plain, kind="latency", seconds=0.2)):
        cloud.invoke(plain)
    cloud.invoke(plain)
    poll(lambda: latencies(cloud, plain, "v", "SampleCount") == 2)
    assert latencies(cloud, plain, "v", "Maximum") >= 200_000 > latencies(cloud, plain, "v", "Minimum")


def test_a_lognormal_latency(running: LocalAWS, cloud: Cloud, plain: str) -> None:
    median, sigma, count = 0.05, 0.5, 200
    with (
        running.fault(VariantFault(endpoint=plain, kind="latency", seconds=median, sigma=sigma)),
        ThreadPoolExecutor(4) as pool,
    ):
        list(pool.map(lambda _: cloud.invoke(plain), range(count)))
    poll(lambda: latencies(cloud, plain, "v", "SampleCount") == count)
    # The sample's median is lognormal too, to the order of 1/sqrt(n); the model adds to it and never takes away.
    error = 4 * sigma * math.sqrt(math.pi / 2 / count)
    lowest = median * math.exp(-error)
    assert lowest * 1e6 <= latencies(cloud, plain, "v", "p50") <= (median * math.exp(error) + 0.05) * 1e6
    assert latencies(cloud, plain, "v", "p95") > 1.5 * lowest * 1e6


def test_a_wrong_content_type(running: LocalAWS, cloud: Cloud, plain: str) -> None:
    with running.fault(VariantFault(endpoint=plain, kind="content_type", times=1)):
        assert [cloud.invoke(plain)["ContentType"] for _ in range(2)] == ["text/html", "text/csv"]


@pytest.mark.parametrize("reason", [None, "Request to service failed. Something is wrong."])
def test_an_update_rolls_back(running: LocalAWS, cloud: Cloud, model: str, plain: str, reason: str | None) -> None:
    old, new = cloud.describe(plain)["EndpointConfigName"], cloud.config([cloud.variant("v", model)])
    fault = running.faults.add(EndpointFault(endpoint=plain, kind="rollback", reason=reason))
    cloud.sagemaker.update_endpoint(EndpointName=plain, EndpointConfigName=new)
    described = cloud.settled(plain)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", old)
    assert described.get("FailureReason") == reason
    assert answers(cloud, plain)
    assert fault.fired == 1
    # The next update succeeds, though the fault is still set, and takes the reason away.
    cloud.sagemaker.update_endpoint(EndpointName=plain, EndpointConfigName=new)
    described = cloud.settled(plain)
    assert (described["EndpointConfigName"], described.get("FailureReason")) == (new, None)


def test_a_rollback_that_fails_is_mended_by_an_update(
    running: LocalAWS, cloud: Cloud, model: str, plain: str, status: Callable[[str], Any]
) -> None:
    new = cloud.config([cloud.variant("v", model)])
    running.faults.add(EndpointFault(endpoint=plain, kind="rollback_failed", reason="No way back."))
    cloud.sagemaker.update_endpoint(EndpointName=plain, EndpointConfigName=new)
    described = cloud.settled(plain)
    assert (described["EndpointStatus"], described["FailureReason"]) == ("UpdateRollbackFailed", "No way back.")
    assert answers(cloud, plain)
    assert status(plain)["status"] == "UpdateRollbackFailed"
    cloud.sagemaker.update_endpoint(EndpointName=plain, EndpointConfigName=new)
    described = cloud.settled(plain)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", new)


def test_no_capacity(running: LocalAWS, cloud: Cloud, model: str, plain: str) -> None:
    config = cloud.config([cloud.variant("v", model)])
    running.faults.add(EndpointFault(kind="capacity", times=2))
    cloud.sagemaker.update_endpoint(EndpointName=plain, EndpointConfigName=config)
    described = cloud.settled(plain)
    assert (described["EndpointStatus"], described["FailureReason"]) == ("InService", CAPACITY_REASON)
    assert described["EndpointConfigName"] != config
    made = cloud.settled(cloud.endpoint(config, wait=False))
    assert (made["EndpointStatus"], made["FailureReason"]) == ("Failed", CAPACITY_REASON)


def test_out_of_service(running: LocalAWS, cloud: Cloud, model: str, plain: str) -> None:
    config = cloud.config([cloud.variant("v", model)])
    running.faults.add(EndpointFault(endpoint=plain, kind="out_of_service", reason="Gone."))
    cloud.sagemaker.update_endpoint(EndpointName=plain, EndpointConfigName=config)
    described = cloud.settled(plain)
    assert (described["EndpointStatus"], described["FailureReason"]) == ("OutOfService", "Gone.")
    assert error_of(cloud, plain)["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError, match="can only be deleted"):
        cloud.sagemaker.update_endpoint(EndpointName=plain, EndpointConfigName=config)
    cloud.delete(plain)


def test_a_rollback_waits_for_an_update(running: LocalAWS, cloud: Cloud, model: str) -> None:
    fault = running.faults.add(EndpointFault(kind="rollback"))
    cloud.endpoint(cloud.config([cloud.variant("v", model)]))
    assert fault.state.seen == 0


def capturing(cloud: Cloud, model: str, prefix: str) -> str:
    config = cloud.config([cloud.variant("v", model)], DataCaptureConfig=cloud.capture_config(prefix))
    return cloud.endpoint(config)


def lines(cloud: Cloud, prefix: str) -> list[str]:
    return [line for content in cloud.objects(prefix).values() for line in content.decode().split("\n") if line]


def ids(found: list[str]) -> list[str]:
    return sorted(json.loads(line)["eventMetadata"]["inferenceId"] for line in found)


def test_captures_missing_and_duplicated(running: LocalAWS, cloud: Cloud, model: str) -> None:
    name = capturing(cloud, model, "doubtful")
    running.faults.add(CaptureFault(endpoint=name, variant="v", kind="missing", nth=2))
    running.faults.add(CaptureFault(endpoint=name, variant="v", kind="duplicated", nth=3))
    for number in range(4):
        cloud.invoke(name, InferenceId=str(number))
    poll(lambda: len(lines(cloud, "doubtful")) >= 4)
    found = lines(cloud, "doubtful")
    assert ids(found) == ["0", "2", "2", "3"]
    events = [json.loads(line)["eventMetadata"]["eventId"] for line in found]
    assert len(set(events)) == 3  # the same record twice, not another of the same request


def test_a_truncated_capture(running: LocalAWS, cloud: Cloud, model: str) -> None:
    name = capturing(cloud, model, "truncated")
    with running.fault(CaptureFault(endpoint=name, kind="truncated", times=1)) as fault:
        for number in range(3):
            cloud.invoke(name, InferenceId=str(number))
        poll(lambda: fault.fired == 1)
        (content, *_) = poll(lambda: list(cloud.objects("truncated").values()))
    assert not content.endswith(b"\n")
    *whole, last = content.decode().split("\n")
    assert ids(whole) == [str(number) for number in range(len(whole))]
    with pytest.raises(json.JSONDecodeError):
        json.loads(last)


def test_a_late_capture(running: LocalAWS, cloud: Cloud, model: str) -> None:
    late = 1.5
    name = capturing(cloud, model, "late")
    with running.fault(CaptureFault(endpoint=name, kind="late", seconds=late)) as fault:
        started = time.monotonic()
        cloud.invoke(name, InferenceId="x")
        poll(lambda: fault.fired == 1)
        assert lines(cloud, "late") == []
    poll(lambda: lines(cloud, "late"))
    assert time.monotonic() - started >= late
    assert ids(lines(cloud, "late")) == ["x"]


def test_missing_metrics(running: LocalAWS, cloud: Cloud, plain: str) -> None:
    with running.fault(MetricsFault(endpoint=plain, metric="ModelLatency", kind="missing", nth=2)) as fault:
        for _ in range(3):
            cloud.invoke(plain)
        poll(lambda: fault.state.seen == 3)
        assert latencies(cloud, plain, "v", "SampleCount") == 2


def test_delayed_metrics(running: LocalAWS, cloud: Cloud, plain: str) -> None:
    late = 1.5
    with running.fault(MetricsFault(endpoint=plain, kind="delayed", seconds=late)) as fault:
        started = time.monotonic()
        cloud.invoke(plain)
        poll(lambda: fault.fired > 0)
        assert latencies(cloud, plain, "v", "SampleCount") is None
    poll(lambda: latencies(cloud, plain, "v", "SampleCount") == 1)
    assert time.monotonic() - started >= late
