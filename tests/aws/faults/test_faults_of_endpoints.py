from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from scipy import stats

from shadow_provider.local import LocalAWS
from shadow_provider.local.faults import EndpointFault, VariantFault
from shadow_provider.local.faults.models import CAPACITY_REASON
from tests.aws.conftest import Cloud, poll


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
        poll(lambda: status(plain)["variants"][0]["in_flight"] == 1)
        assert state_of(pid) == "T"
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


def test_a_wrong_content_type(running: LocalAWS, cloud: Cloud, plain: str) -> None:
    with running.fault(VariantFault(endpoint=plain, kind="content_type", times=1)):
        assert [cloud.invoke(plain)["ContentType"] for _ in range(2)] == ["text/html", "text/csv"]


def children(parent: int) -> set[str]:
    rows = subprocess.run(["ps", "-A", "-o", "ppid=,pid="], capture_output=True, text=True).stdout.splitlines()
    return {row.split()[1] for row in rows if row.split()[0] == str(parent)}


@pytest.mark.parametrize("reason", [None, "Request to service failed. Something is wrong."])
def test_an_update_rolls_back(running: LocalAWS, cloud: Cloud, model: str, plain: str, reason: str | None) -> None:
    old, new = cloud.describe(plain)["EndpointConfigName"], cloud.config([cloud.variant("v", model)])
    fault = running.faults.add(EndpointFault(endpoint=plain, kind="rollback", reason=reason))
    before = children(running.pid)
    cloud.sagemaker.update_endpoint(EndpointName=plain, EndpointConfigName=new)
    described = cloud.settled(plain)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", old)
    assert described.get("FailureReason") == reason
    assert answers(cloud, plain)
    assert fault.fired == 1
    assert children(running.pid) == before  # the fleet that was given up has gone
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
