from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from scipy import stats

from shadow_provider.local import LocalAWS, LocalSettings
from shadow_provider.local.control.client import ControlError
from shadow_provider.local.faults import ApiFault

BUCKET = "faulty"


@pytest.fixture(scope="module")
def running() -> Iterator[LocalAWS]:
    with LocalAWS(LocalSettings(seed=11)) as made:
        made.boto3_client("s3").create_bucket(Bucket=BUCKET)
        yield made


@pytest.fixture
def faulty(running: LocalAWS) -> Iterator[LocalAWS]:
    running.clear_calls()
    yield running
    running.faults.clear()


@pytest.fixture
def client(running: LocalAWS) -> Callable[[str], Any]:
    """Clients that never retry."""
    return lambda service: running.boto3_client(service, config=Config(retries={"total_max_attempts": 1}))


@pytest.fixture
def put(client: Callable[[str], Any]) -> Callable[[str], Any]:
    s3 = client("s3")
    return lambda key: s3.put_object(Bucket=BUCKET, Key=key, Body=b"x" * 200_000)


def keys(client: Callable[[str], Any], prefix: str) -> list[str]:
    listed = client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return [item["Key"] for item in listed]


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(("kind", "effect"), [("reset_before", False), ("reset_after", True)])
def test_a_reset_connection_and_its_effect(
    faulty: LocalAWS, client: Callable[[str], Any], put: Callable[[str], Any], kind: Any, effect: bool
) -> None:
    with faulty.fault(ApiFault(operation="PutObject", kind=kind, times=1)) as fault:
        with pytest.raises(ConnectionClosedError):
            put(kind)
        assert keys(client, kind) == ([kind] if effect else [])
        (call,) = faulty.calls("PutObject")
        assert (call.status, call.error_code, call.effect, call.faults) == (None, None, effect, (fault.id,))
        assert fault.fired == 1
        put(kind)  # `times` is used up
        assert keys(client, kind) == [kind]


@pytest.mark.parametrize(("kind", "effect"), [("reset_before", False), ("reset_after", True)])
def test_a_reset_of_the_control_plane(faulty: LocalAWS, client: Callable[[str], Any], kind: Any, effect: bool) -> None:
    role = "arn:aws:iam::123456789012:role/execution"
    sagemaker, name = client("sagemaker"), f"model-{kind.replace('_', '-')}"
    make = {"ModelName": name, "ExecutionRoleArn": role, "PrimaryContainer": {"Image": "image"}}
    with faulty.fault(ApiFault(operation="CreateModel", resource=name, kind=kind)):
        sagemaker.create_model(**{**make, "ModelName": f"other-{name}"})
        with pytest.raises(ConnectionClosedError):
            sagemaker.create_model(**make)
    assert bool(sagemaker.list_models(NameContains=name)["Models"][1:]) is effect
    if effect:
        with pytest.raises(ClientError, match="Cannot create already existing model"):
            sagemaker.create_model(**make)
    else:
        sagemaker.create_model(**make)


def test_a_refused_operation_has_no_effect_even_before_a_reset(faulty: LocalAWS, client: Callable[[str], Any]) -> None:
    with faulty.fault(ApiFault(kind="reset_after")), pytest.raises(ConnectionClosedError):
        client("sagemaker").delete_model(ModelName="none")
    (call,) = faulty.calls()
    assert (call.status, call.error_code, call.effect) == (None, "ValidationException", False)


def test_boto3_gets_over_a_reset_by_itself(faulty: LocalAWS) -> None:
    patient = faulty.boto3_client("s3", config=Config(retries={"total_max_attempts": 3}))
    faulty.faults.add(ApiFault(operation="PutObject", kind="reset_after", nth=1))
    patient.put_object(Bucket=BUCKET, Key="retried", Body=b"x")
    assert [(call.status, call.effect) for call in faulty.calls("PutObject")] == [(None, True), (200, True)]


@pytest.mark.parametrize("kind", ["reset_before", "reset_after"])
def test_a_reset_is_no_orderly_end(faulty: LocalAWS, kind: Any) -> None:
    address = urlsplit(faulty.endpoint_url)
    head = b"GET /?x-id=ListBuckets HTTP/1.1\r\nHost: local\r\n\r\n"
    with (
        faulty.fault(ApiFault(operation="ListBuckets", kind=kind)),
        socket.create_connection((address.hostname, address.port), timeout=20) as connection,
    ):
        connection.sendall(head)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


REFUSALS: list[tuple[dict[str, Any], tuple[str, int], tuple[str, int], tuple[str, int]]] = [
    ({"kind": "throttle"}, ("ThrottlingException", 400), ("Throttling", 400), ("SlowDown", 503)),
    ({"kind": "server_error"}, ("InternalFailure", 500), ("InternalFailure", 500), ("InternalError", 500)),
    (
        {"kind": "server_error", "status": 503},
        ("ServiceUnavailable", 503),
        ("ServiceUnavailable", 503),
        ("ServiceUnavailable", 503),
    ),
    (
        {"kind": "expired_token"},
        ("ExpiredTokenException", 400),
        ("ExpiredToken", 403),
        ("ExpiredToken", 400),
    ),
]


def _speaks_query(client: Any) -> bool:
    """Whether this botocore talks to the service by the query protocol, as those before JSON did to CloudWatch."""
    model = client.meta.service_model
    return bool(model.resolved_protocol == "query")


@pytest.mark.parametrize(("how", "json_code", "query_code", "s3_code"), REFUSALS)
def test_refusals_in_the_words_of_each_protocol(
    faulty: LocalAWS,
    client: Callable[[str], Any],
    put: Callable[[str], Any],
    how: dict[str, Any],
    json_code: tuple[str, int],
    query_code: tuple[str, int],
    s3_code: tuple[str, int],
) -> None:
    runtime, cloudwatch = client("sagemaker-runtime"), client("cloudwatch")
    calls: list[tuple[Callable[[], Any], tuple[str, int]]] = [
        (lambda: client("sagemaker").list_models(), json_code),
        (lambda: runtime.invoke_endpoint(EndpointName="e", Body=b"x"), json_code),
        (
            lambda: cloudwatch.put_metric_data(Namespace="Own", MetricData=[{"MetricName": "m", "Value": 1}]),
            query_code if _speaks_query(cloudwatch) else json_code,
        ),
        (lambda: client("sts").get_caller_identity(), query_code),
        (lambda: put("refused"), s3_code),
    ]
    with faulty.fault(ApiFault(**how)) as fault:
        for call, expected in calls:
            with pytest.raises(ClientError) as caught:
                call()
            assert code_of(caught) == expected
        assert fault.fired == len(calls)
        assert all(call.faults == (fault.id,) and not call.effect for call in faulty.calls())
        assert [call.error_code for call in faulty.calls()] == [code for _, (code, _) in calls]
    assert keys(client, "refused") == []
    # Removed, nothing goes wrong any more.
    client("sts").get_caller_identity()
    put("accepted")
    assert faulty.faults.list() == []


def test_a_connection_is_good_after_a_refusal(faulty: LocalAWS, client: Callable[[str], Any]) -> None:
    s3 = client("s3")
    faulty.faults.add(ApiFault(operation="PutObject", kind="throttle", nth=2))
    seen = []
    for number in range(4):
        try:
            s3.put_object(Bucket=BUCKET, Key=f"row/{number}", Body=bytes(3_000_000))
            seen.append(True)
        except ClientError:
            seen.append(False)
    assert seen == [True, False, True, True]
    assert keys(client, "row/") == ["row/0", "row/2", "row/3"]


def test_a_delay(faulty: LocalAWS, client: Callable[[str], Any]) -> None:
    sagemaker = client("sagemaker")
    faulty.faults.add(ApiFault(operation="ListModels", kind="delay", seconds=0.4, nth=2))
    faulty.faults.add(ApiFault(operation="ListModels", kind="throttle", nth=2))
    sagemaker.list_models()
    started = time.monotonic()
    with pytest.raises(ClientError, match="Rate exceeded"):  # late, and refused then
        sagemaker.list_models()
    assert time.monotonic() - started >= 0.4
    started = time.monotonic()
    sagemaker.list_endpoints()
    assert time.monotonic() - started < 0.4


def test_faults_are_chosen_by_service_and_principal(faulty: LocalAWS, client: Callable[[str], Any]) -> None:
    faulty.faults.add(ApiFault(service="sts", kind="expired_token"))
    faulty.faults.add(ApiFault(service="s3", principal="someone-else", kind="throttle"))
    client("s3").list_buckets()
    client("sagemaker").list_models()
    with pytest.raises(ClientError, match="expired"):
        client("sts").get_caller_identity()
    assert [(state.seen, state.fired) for state in faulty.faults.list()] == [(1, 1), (0, 0)]


def test_a_probability(faulty: LocalAWS, client: Callable[[str], Any]) -> None:
    fault = faulty.faults.add(ApiFault(operation="ListModels", kind="throttle", probability=0.3))
    sagemaker, count, refused = client("sagemaker"), 300, 0
    for _ in range(count):
        try:
            sagemaker.list_models()
        except ClientError:
            refused += 1
    low, high = stats.binom.interval(0.9999, count, 0.3)
    assert low <= refused <= high
    assert (fault.state.seen, fault.fired) == (count, refused)


def post(aws: LocalAWS, body: str, kind: str = "application/json", method: str = "POST", path: str = "") -> Any:
    url = f"{aws.endpoint_url}/_local/faults{path}"
    request = urllib.request.Request(url, body.encode(), {"Content-Type": kind}, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_the_control_api(faulty: LocalAWS, client: Callable[[str], Any]) -> None:
    status, made = post(faulty, '{"on": "api", "operation": "ListModels", "kind": "throttle", "times": 2}')
    assert status == 201
    assert (made["fault"]["times"], made["seen"], made["fired"]) == (2, 0, 0)
    for _ in range(2):
        with pytest.raises(ClientError):
            client("sagemaker").list_models()
    client("sagemaker").list_models()
    with urllib.request.urlopen(f"{faulty.endpoint_url}/_local/faults") as answer:
        (listed,) = json.load(answer)["faults"]
    assert (listed["id"], listed["seen"], listed["fired"]) == (made["id"], 3, 2)
    assert post(faulty, "", method="DELETE", path=f"/{made['id']}") == (200, {"removed": 1})
    assert post(faulty, "", method="DELETE", path=f"/{made['id']}")[0] == 404
    assert post(faulty, "", method="DELETE") == (200, {"removed": 0})
    assert post(faulty, "", method="PUT")[0] == 405


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"on": "api", "kind": "trottle"}', "kind: Input should be 'throttle'"),
        ('{"on": "api", "kind": "throttle", "operatoin": "x"}', "operatoin: Extra inputs are not permitted"),
        ('{"on": "api", "kind": "delay"}', "kind delay needs seconds"),
        ('{"on": "api", "kind": "throttle", "seconds": 1}', "seconds has no meaning for kind throttle"),
        ('{"on": "api", "kind": "throttle", "nth": 1, "times": 2}', "nth excludes times and probability"),
        ('{"on": "everything"}', "'api', 'variant', 'endpoint', 'capture', 'metrics'"),
        ('{"on": "endpoint", "kind": "capacity", "reason": "x"}', "whose words are AWS's"),
        ("no json", "Invalid JSON"),
    ],
)
def test_what_is_no_fault_is_refused_with_the_reason(faulty: LocalAWS, body: str, said: str) -> None:
    status, answer = post(faulty, body)
    assert status == 400
    assert said in answer["error"]
    assert faulty.faults.list() == []


def test_faults_come_as_json_only(faulty: LocalAWS) -> None:
    assert post(faulty, '{"on": "api", "kind": "throttle"}', "text/plain")[0] == 415
    fault = faulty.faults.add(ApiFault(kind="throttle", operation="None"))
    fault.remove()
    fault.remove()
    with pytest.raises(ControlError, match=f"There is no fault {fault.id}"):
        _ = fault.state


def in_background(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """A call that may be held; what came of it."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(call())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, found


@pytest.mark.parametrize(("kind", "effect"), [("hold_before", False), ("hold_after", True)])
def test_a_call_is_held_until_the_fault_is_removed(
    faulty: LocalAWS, client: Callable[[str], Any], put: Callable[[str], Any], kind: Any, effect: bool
) -> None:
    fault = faulty.faults.add(ApiFault(operation="PutObject", kind=kind, nth=2))
    put("first")
    caller, found = in_background(lambda: put(kind))
    assert fault.wait_held().held == 1
    put("third")  # others are not held
    assert keys(client, kind) == ([kind] if effect else [])
    assert (caller.is_alive(), len(faulty.calls("PutObject"))) == (True, 2)
    fault.remove()
    caller.join(20)
    assert found[0]["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert keys(client, kind) == [kind]
    call = faulty.calls("PutObject")[-1]
    assert (call.status, call.effect, call.faults) == (200, True, (fault.id,))


@pytest.mark.parametrize(("kind", "effect"), [("hold_before", False), ("hold_after", True)])
def test_a_held_call_of_a_killed_process_took_effect_or_never_will(
    faulty: LocalAWS, client: Callable[[str], Any], kind: Any, effect: bool
) -> None:
    name = f"killed-{kind.replace('_', '-')}"
    fault = faulty.faults.add(ApiFault(operation="CreateModel", principal="worker", kind=kind))
    source = (
        "import boto3; boto3.client('sagemaker').create_model(ModelName='" + name + "', "
        "ExecutionRoleArn='arn:aws:iam::123456789012:role/execution', PrimaryContainer={'Image': 'image'})"
    )
    environment = os.environ | faulty.address.environment | {"AWS_ACCESS_KEY_ID": "worker"}
    with subprocess.Popen([sys.executable, "-c", source], env=environment) as worker:
        fault.wait_held()
        worker.kill()
    assert fault.wait_held(0).fired == 1
    (call,) = faulty.calls("CreateModel")
    assert (call.principal, call.status, call.effect, call.faults) == ("worker", None, effect, (fault.id,))
    fault.remove()
    assert bool(client("sagemaker").list_models(NameContains=name)["Models"]) is effect


def test_a_refusal_that_is_held_comes_later_and_is_the_same(faulty: LocalAWS, client: Callable[[str], Any]) -> None:
    fault = faulty.faults.add(ApiFault(operation="DescribeModel", kind="hold_after"))
    caller, found = in_background(lambda: client("sagemaker").describe_model(ModelName="none"))
    fault.wait_held()
    fault.remove()
    caller.join(20)
    assert isinstance(found[0], ClientError)
    (call,) = faulty.calls("DescribeModel")
    assert (call.status, call.error_code, call.effect) == (400, "ValidationException", False)


def test_several_held_calls_are_waited_for_and_released_together(
    faulty: LocalAWS, put: Callable[[str], Any], client: Callable[[str], Any]
) -> None:
    fault = faulty.faults.add(ApiFault(operation="PutObject", kind="hold_before", times=2))
    callers = [in_background(partial(put, f"several/{number}")) for number in range(2)]
    assert fault.wait_held(2).held == 2
    with pytest.raises(TimeoutError, match="holds 2 calls"):
        fault.wait_held(3, seconds=0.05)
    faulty.faults.clear()
    for caller, _ in callers:
        caller.join(20)
    assert keys(client, "several/") == ["several/0", "several/1"]
    with pytest.raises(ControlError, match="There is no fault"):
        fault.wait_held(0)


@pytest.mark.parametrize("query", ["calls=-1", "calls=x", "seconds=-1", "nth=1"])
def test_what_cannot_be_waited_for_is_refused(faulty: LocalAWS, query: str) -> None:
    fault = faulty.faults.add(ApiFault(operation="None", kind="hold_before"))
    with pytest.raises(ControlError, match=query.partition("=")[0]):
        fault.client.send("GET", f"faults/{fault.id}/held?{query}")
