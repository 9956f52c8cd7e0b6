"""Whatever comes in, an answer of AWS's form goes out, nothing half is done, and the server lives on without a leak."""

from __future__ import annotations

import gzip
import http.client
import itertools
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shadow_provider.local import LocalAWS, LocalSettings
from shadow_provider.local.validation import service_model
from tests.aws.wire import (
    CLOUDWATCH,
    SAGEMAKER,
    Answer,
    ask,
    connect,
    first,
    head,
    implemented,
    parsed,
    received,
    whole,
)

MIB = 1024 * 1024
DESCRIBE, LIST = f"{SAGEMAKER}DescribeEndpoint", f"{SAGEMAKER}ListModels"
PAYLOAD = 2 * MIB
# Few seconds, and the same requests each time.
PROFILE = settings(
    max_examples=600, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[LocalAWS]:
    with LocalAWS(LocalSettings(seed=7, capture_flush_seconds=0.5, max_payload_bytes=PAYLOAD)) as running:
        running.boto3_client("s3").create_bucket(Bucket="fuzzed")
        yield running


@pytest.fixture(autouse=True)
def _lives_on(fuzzed: LocalAWS) -> Iterator[None]:
    yield
    answer = ask(fuzzed.endpoint_url, whole(LIST, b"{}"))
    assert answer.status == 200, answer


def signed(service: str) -> str:
    return f"AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/{service}/aws4_request"


def form(service: str, **members: str) -> bytes:
    body = urlencode(members).encode()
    kind = {"Content_Type": "application/x-www-form-urlencoded"}
    return head(length=len(body), Authorization=signed(service), **kind) + body


BODIES: dict[str, tuple[bytes, str]] = {
    "deep": (b'{"EndpointName":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "SerializationException"),
    "deep, never closed": (b'{"X":' + b"[" * 100_000, "SerializationException"),
    "deep where it is ignored": (b'{"EndpointName":"a","X":' + b"[" * 700 + b"]" * 700 + b"}", "ValidationException"),
    "huge": (b'{"EndpointName":"' + b"a" * (2 * MIB) + b'"}', "ValidationException"),
    "duplicate keys: the last one counts": (b'{"EndpointName":1,"EndpointName":"b"}', "ValidationException"),
    "no JSON": (b"EndpointName=a", "SerializationException"),
    "no UTF-8": (b'{"EndpointName":"\xff\xfe"}', "SerializationException"),
    "half a surrogate pair": (b'{"EndpointName":"\\ud800"}', "SerializationException"),
    "not a number": (b'{"EndpointName":NaN}', "SerializationException"),
    "many digits": (b'{"EndpointName":' + b"9" * 5000 + b"}", "SerializationException"),
    "a null": (b"null", "SerializationException"),
    "unknown members": (b'{"EndpointName":"a","X":{"Y":[null]}}', "ValidationException"),
    "a zero byte": (b'{"EndpointName":"\\u0000"}', "ValidationException"),
    "nothing": (b"", "ValidationException"),
}


@pytest.mark.parametrize("name", BODIES)
def test_odd_json_is_refused(fuzzed: LocalAWS, name: str) -> None:
    body, code = BODIES[name]
    answer = ask(fuzzed.endpoint_url, whole(DESCRIBE, body)).check()
    assert (answer.status, answer.code) == (400, code)


def test_numbers_that_are_out_of_range(fuzzed: LocalAWS) -> None:
    for member in (b'"MaxResults":2147483648', b'"CreationTimeAfter":1e999', b'"CreationTimeAfter":Infinity'):
        answer = ask(fuzzed.endpoint_url, whole(LIST, b"{" + member + b"}")).check()
        assert answer.code == "SerializationException"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (gzip.compress(b"{}" * 1000)[:-10], "SerializationException"),
        (gzip.compress(b" " * 64 * MIB), "SerializationException"),
        (b"{}", "SerializationException"),
    ],
)
def test_packed_bodies(fuzzed: LocalAWS, body: bytes, code: str) -> None:
    answer = ask(fuzzed.endpoint_url, whole(DESCRIBE, body, Content_Encoding="gzip")).check()
    assert (answer.status, answer.code) == (400, code)


@pytest.mark.parametrize(
    "target", ["", ".", "SageMaker.", "SageMaker.__class__", "SageMaker.D\xe9", "No.Such", "x" * 9000]
)
def test_odd_targets(fuzzed: LocalAWS, target: str) -> None:
    answer = ask(fuzzed.endpoint_url, whole(target, b"{}")).check()
    assert (answer.status, answer.code) == (400, "UnknownOperationException")


@pytest.mark.parametrize("service", [None, "sagemaker"])
@pytest.mark.parametrize(
    "end", ["async-invocations", "invocations-response-stream", "invocations-bidirectional-stream"]
)
def test_what_the_runtime_does_not_implement(fuzzed: LocalAWS, end: str, service: str | None) -> None:
    authorization = {} if service is None else {"Authorization": signed(service)}
    request = head(length=3, path=f"/endpoints/prices/{end}", **authorization) + b"1,2"
    answer = ask(fuzzed.endpoint_url, request).check()
    assert (answer.status, answer.code) == (400, "UnknownOperationException")
    assert answer.headers["content-type"] == "application/json"
    assert fuzzed.calls()[-1].resources == ("prices",)


@pytest.mark.parametrize(("method", "query"), [("POST", "delete"), ("PUT", "tagging"), ("PUT", "cors")])
@pytest.mark.parametrize("body", [b"<Tagging><", b"no XML", b"<a></b>"])
def test_malformed_xml(fuzzed: LocalAWS, method: str, query: str, body: bytes) -> None:
    request = head(length=len(body), method=method, path=f"/fuzzed?{query}", Authorization=signed("s3")) + body
    answer = ask(fuzzed.endpoint_url, request).check()
    assert (answer.status, answer.code) == (400, "MalformedXML")


PATHS = [
    "/%00",
    "/../../etc/passwd",
    "//a//b",
    "/" + "a" * 60_000,
    "/%zz%ff",
    "/\xe9",
    "*",
    "/b?%00=%ff",
    "/b?\xff=\xff",
]
PATHS += [
    "/static/x",
    "/moto-api/reset",
    "/endpoints//invocations",
    "/endpoints/%00/invocations",
    "/endpoints/" + "a" * 9000,
]
METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "PROPFIND", "BREW", "TRACE"]


@pytest.mark.parametrize("method", METHODS)
def test_odd_methods_and_paths(fuzzed: LocalAWS, method: str) -> None:
    for path in PATHS:
        answer = ask(fuzzed.endpoint_url, head(length=0, method=method, path=path), method=method)
        answer.check(head=method == "HEAD")


HEADS: dict[str, bytes] = {
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a length below zero": b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bad chunk": head(LIST, Transfer_Encoding="chunked") + b"zz\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than it says": head(LIST, Transfer_Encoding="chunked") + b"1\r\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", HEADS)
def test_what_is_no_http(fuzzed: LocalAWS, name: str) -> None:
    with connect(fuzzed.endpoint_url) as connection:
        connection.sendall(HEADS[name])
        # And the connection ends: what follows on it could not be told from the rest of this.
        answer = parsed(received(connection))[0].check()
    assert (answer.status, answer.code) == (400, "MalformedHttpRequestException")


def test_odd_headers_change_nothing(fuzzed: LocalAWS) -> None:
    odd = [
        {"X_Odd": "a" * 100_000},
        {f"X_{n}": "v" for n in range(2000)},
        {"X_Odd": "\xff\xfe", "X_Empty": ""},
        {"Authorization": "AWS4-HMAC-SHA256 Credential=///"},
        {"Authorization": "\xff"},
        {"Content_Type": "text/html"},
        {"Content_Type": ""},
        {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Key": "x"},
        {"X_Amz_Date": "tomorrow", "X_Amz_Content_SHA256": "x"},
    ]
    for headers in odd:
        answer = ask(fuzzed.endpoint_url, whole(LIST, b"{}", **headers))
        assert (answer.status, answer.body) == (200, b'{"Models": []}'), headers


def test_a_head_without_end_is_given_up(fuzzed: LocalAWS) -> None:
    def send_on() -> None:
        with connect(fuzzed.endpoint_url) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n")
            for _ in range(1000):
                connection.sendall(b"X-Odd: " + b"a" * 65536)

    with pytest.raises(ConnectionError):
        send_on()


def test_chunks_and_slow_senders(fuzzed: LocalAWS) -> None:
    with connect(fuzzed.endpoint_url) as connection:
        connection.sendall(head(LIST, Transfer_Encoding="chunked"))
        for part in (b"1\r\n{\r\n", b"1\r\n}\r\n", b"0\r\n", b"\r\n"):
            time.sleep(0.02)
            connection.sendall(part)
        connection.shutdown(socket.SHUT_WR)
        assert parsed(received(connection))[0].status == 200


def test_requests_in_a_pipeline_are_answered_in_their_order(fuzzed: LocalAWS) -> None:
    bodies = [b'{"EndpointName":"e%d"}' % number if number % 2 else b"[" * 2000 for number in range(20)]
    with connect(fuzzed.endpoint_url) as connection:
        connection.sendall(
            b"".join(whole(DESCRIBE, body) for body in bodies[:-1]) + whole(DESCRIBE, bodies[-1], Connection="close")
        )
        answers = parsed(received(connection), len(bodies))
    for number, answer in enumerate(answers):
        answer.check()
        assert (b"endpoint/e%d" % number in answer.body) == bool(number % 2)


def test_a_connection_is_good_after_an_error(fuzzed: LocalAWS) -> None:
    address = urlsplit(fuzzed.endpoint_url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
    connection.connect()
    first = connection.sock
    for _ in range(3):
        for body, status in ((b"[" * 100_000, 400), (b"{}", 200)):
            connection.request("POST", "/", body, {"X-Amz-Target": LIST})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status
    assert connection.sock is first
    connection.close()


def test_expect_100_continue(fuzzed: LocalAWS) -> None:
    with connect(fuzzed.endpoint_url) as connection:
        connection.sendall(head(LIST, 2, Expect="100-continue"))
        assert connection.recv(64).startswith(b"HTTP/1.1 100")
        connection.sendall(b"{}")
        assert first(connection).status == 200
    # Nobody is told to go on who has announced too much.
    with connect(fuzzed.endpoint_url) as connection:
        connection.sendall(head(LIST, 17 * MIB, Expect="100-continue"))
        assert first(connection).code == "RequestEntityTooLargeException"


@pytest.mark.parametrize("end", ["closed", "half closed", "reset"])
def test_what_was_cut_short_is_not_done(fuzzed: LocalAWS, wait_until: Callable[..., Any], end: str) -> None:
    s3 = fuzzed.boto3_client("s3")
    before = fuzzed.calls()[-1].sequence
    cut = [
        whole(f"{SAGEMAKER}AddTags", b"{}")[:-1],
        whole(f"{CLOUDWATCH}PutMetricData", json.dumps(_datum(f"cut {end}")).encode())[:-1],
        head(length=10, method="PUT", path="/fuzzed/cut", Authorization=signed("s3")) + b"12345",
        head(length=10, path="/endpoints/none/invocations") + b"12345",
        form("monitoring", Action="PutMetricData", Namespace="cut")[:-1],
        head(LIST, Transfer_Encoding="chunked") + b"10\r\n{}",
    ]
    for data in cut:
        with connect(fuzzed.endpoint_url) as connection:
            connection.sendall(data)
            if end == "half closed":
                connection.shutdown(socket.SHUT_WR)
                assert received(connection) == b""
            elif end == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wait_until(lambda: sum(call.status is None for call in fuzzed.calls(since=before)) == len(cut))
    assert "Contents" not in s3.list_objects_v2(Bucket="fuzzed")
    assert fuzzed.boto3_client("cloudwatch").list_metrics(Namespace=f"cut {end}")["Metrics"] == []


def _datum(namespace: str) -> dict[str, Any]:
    return {"Namespace": namespace, "MetricData": [{"MetricName": "m", "Value": 1}]}


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize(
    ("path", "target", "limit", "code", "status"),
    [
        ("/", LIST, 16 * MIB, "RequestEntityTooLargeException", 413),
        ("/", f"{CLOUDWATCH}PutMetricData", 16 * MIB, "RequestEntityTooLargeException", 413),
        ("/endpoints/none/invocations", None, PAYLOAD, "ValidationError", 400),
        ("/_local/faults", None, 16 * MIB, "RequestEntityTooLargeException", 413),
    ],
)
def test_what_is_too_large_is_refused_while_it_comes(
    fuzzed: LocalAWS, path: str, target: str | None, limit: int, code: str, status: int, announced: bool
) -> None:
    before = fuzzed.status()["server"]["rss_bytes"]
    size = limit + 96 * MIB
    part = b" " * MIB
    framing = {} if announced else {"Transfer_Encoding": "chunked"}
    with connect(fuzzed.endpoint_url) as connection:
        connection.sendall(head(target, size if announced else None, path=path, **framing))
        # A client that reads nothing before it has sent all still gets the answer.
        for _ in range(size // MIB):
            connection.sendall(part if announced else b"%x\r\n%b\r\n" % (MIB, part))
        if not announced:
            connection.sendall(b"0\r\n\r\n")
        answer = parsed(received(connection))[0].check()
    assert (answer.status, answer.code, answer.headers["connection"]) == (status, code, "close")
    assert fuzzed.status()["server"]["rss_bytes"] - before < 64 * MIB


QUERIES: list[dict[str, str]] = [
    {},
    {"Action": ""},
    {"Action": "\0"},
    {"Action": "PutMetricData"},
    {
        "Action": "PutMetricData",
        "Namespace": "q\0",
        "MetricData.member.1.MetricName": "\x01",
        "MetricData.member.1.Value": "x",
    },
    {
        "Action": "PutMetricData",
        "Namespace": "q",
        "MetricData.member.1.MetricName": "m",
        "MetricData.member.1.Value": "nan",
    },
    {
        "Action": "PutMetricData",
        "Namespace": "q",
        "MetricData.member.1.MetricName": "m",
        "MetricData.member.1.Value": "1e999",
    },
    {"Action": "PutMetricData", "Namespace": "q", "MetricData.member.x.MetricName": "m"},
    {"Action": "PutMetricData", "Namespace": "q", "MetricData": "m"},
    {"Action": "GetMetricStatistics", "Namespace": "q", "MetricName": "m", "Period": "9" * 5000},
    {"Action": "GetMetricStatistics", "Namespace": "q", "MetricName": "m", "StartTime": "yesterday", "Period": "60"},
    {"Action": "GetMetricData", "StartTime": "1e300", "EndTime": "2", "MetricDataQueries.member.1.Id": "a"},
    {"Action": "DescribeAlarms", "MaxRecords": "-1"},
    {"Action": "DescribeAlarms", "AlarmNames.member.1": "<&>\x00"},
    {"Action": "ListMetrics", "NextToken": "\xff"},
    {"Action": "NoSuch\x00Thing"},
]


@pytest.mark.parametrize("members", QUERIES)
@pytest.mark.parametrize("service", ["monitoring", "sts", "iam"])
def test_garbage_in_the_query_protocol(fuzzed: LocalAWS, service: str, members: dict[str, str]) -> None:
    answer = ask(fuzzed.endpoint_url, form(service, **members)).check()
    assert answer.status >= 400 or members.get("Action") == "DescribeAlarms", answer


INVOCATION_HEADERS: list[dict[str, str]] = [
    {"X_Amzn_SageMaker_Inference_Id": " "},
    {"X_Amzn_SageMaker_Inference_Id": "\xff"},
    {"X_Amzn_SageMaker_Inference_Id": "a" * 65},
    {"X_Amzn_SageMaker_Custom_Attributes": "a" * 1025},
    {"X_Amzn_SageMaker_Target_Variant": "a b"},
    {"X_Amzn_SageMaker_Target_Variant": ""},
    {"X_Amzn_SageMaker_Target_Model": "a.tar.gz"},
    {"Content_Type": "a" * 1025},
    {"Content_Type": "\xff\x80"},
    {"Accept": ""},
    {"Content_Encoding": "gzip"},
]


@pytest.mark.parametrize("headers", INVOCATION_HEADERS)
def test_odd_invocations(fuzzed: LocalAWS, headers: dict[str, str]) -> None:
    answer = ask(fuzzed.endpoint_url, head(length=1, path="/endpoints/none/invocations", **headers) + b"\0").check()
    assert (answer.status, answer.code) == (400, "ValidationError")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "faults", b"[" * 200_000),
        ("POST", "faults", b'{"on":"api","kind":"delay","seconds":1e999}'),
        ("POST", "faults", b'{"on":"api","kind":"delay","seconds":NaN}'),
        ("POST", "faults", b'{"on":"metrics","kind":"delayed","seconds":1e300}'),
        ("POST", "faults", b"\xff\xfe"),
        ("POST", "faults", b""),
        ("GET", "faults/%00", b""),
        ("DELETE", "faults/f999", b""),
        ("GET", "calls?since=" + "9" * 5000, b""),
        ("GET", "calls?since=%C2%B2", b""),
        ("GET", "calls?what=1", b""),
        ("GET", "../status", b""),
        ("BREW", "status", b""),
        ("PATCH", "status", b""),
    ],
)
def test_odd_calls_of_the_control_api(fuzzed: LocalAWS, method: str, path: str, body: bytes) -> None:
    data = head(length=len(body), method=method, path=f"/_local/{path}", Content_Type="application/json") + body
    answer = ask(fuzzed.endpoint_url, data, method=method)
    assert 400 <= answer.status < 500, answer
    assert "x-amzn-requestid" in answer.headers
    said = json.loads(answer.body)
    assert said.get("error") or said["message"]


# -- requests derived from the service models ---------------------------------------------------------------------

_JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(
        ["", "\0", "x" * 5000, "a/b", "arn:aws:sagemaker:us-east-1:123456789012:model/a", "\U0001f600", "\x1b["]
    ),
    st.text(max_size=20),
    st.sampled_from([[], {}, [None], [[]], [{}], {"a": None}, {"": {"": []}}]),
)
_TEXT = st.sampled_from(
    ["a", "name-1", "s3://fuzzed/k", "arn:aws:iam::123456789012:role/r", "text/csv", "p50", "m1", "ml.m5.large"]
)


@st.composite
def _request(draw: st.DrawFn, shape: Any, depth: int = 0) -> Any:
    """Values of a shape, and now and then something else in their place."""
    if depth and draw(st.integers(0, 9)) == 0:
        return draw(_JUNK)
    if shape.type_name == "structure":
        free = sorted(set(shape.members) - set(shape.required_members))
        more = draw(st.lists(st.sampled_from(free), max_size=4, unique=True)) if free and depth < 5 else []
        return {name: draw(_request(shape.members[name], depth + 1)) for name in [*shape.required_members, *more]}
    if shape.type_name == "list":
        return [draw(_request(shape.member, depth + 1)) for _ in range(draw(st.integers(0, 2)))]
    if shape.type_name == "map":
        return {draw(_TEXT): draw(_request(shape.value, depth + 1)) for _ in range(draw(st.integers(0, 2)))}
    return draw(_scalar(shape))


def _scalar(shape: Any) -> st.SearchStrategy[Any]:
    match shape.type_name:
        case "integer" | "long":
            return st.sampled_from([0, 1, 2, 60, 100, 300])
        case "float" | "double":
            return st.sampled_from([0, 0.5, 1, 1e300, -1.0])
        case "timestamp":
            return st.sampled_from([0, 1.5, 1e9, time.time() // 60 * 60, 253_402_300_799])
        case "boolean":
            return st.booleans()
    return st.sampled_from(shape.enum) if getattr(shape, "enum", None) else _TEXT


@pytest.mark.parametrize(("prefix", "service"), [(SAGEMAKER, "sagemaker"), (CLOUDWATCH, "cloudwatch")])
def test_requests_with_anything_anywhere(fuzzed: LocalAWS, prefix: str, service: str) -> None:
    model = service_model(service)
    operations = implemented(fuzzed.endpoint_url, prefix, service)
    assert len(operations) >= 9
    address = urlsplit(fuzzed.endpoint_url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
    requests = st.sampled_from(operations).flatmap(
        lambda name: st.tuples(st.just(name), _request(model.operation_model(name).input_shape))
    )

    @PROFILE
    @given(requests)
    def answers(request: tuple[str, Any]) -> None:
        operation, content = request
        connection.request("POST", "/", json.dumps(content), {"X-Amz-Target": f"{prefix}{operation}"})
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        answer = Answer(response.status, headers, response.read()).check()
        json.loads(answer.body, parse_constant=_no_constant)

    answers()
    connection.close()


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def test_nothing_is_left_of_abuse(fuzzed: LocalAWS, wait_until: Callable[..., Any]) -> None:
    def abuse() -> None:
        for body, _ in BODIES.values():
            ask(fuzzed.endpoint_url, whole(DESCRIBE, body))
        for data in HEADS.values():
            with connect(fuzzed.endpoint_url) as connection:
                connection.sendall(data)
        for path, target in itertools.product(("/", "/endpoints/none/invocations", "/fuzzed/k"), (None, LIST)):
            with connect(fuzzed.endpoint_url) as connection:
                connection.sendall(
                    head(target, 1000, method="PUT" if path == "/fuzzed/k" else "POST", path=path) + b"{"
                )

    def usage() -> Any:
        return fuzzed.status()["server"]

    abuse()
    wait_until(lambda: usage()["tasks"] <= 6)
    before = usage()
    for _ in range(20):
        abuse()

    def as_before() -> bool:
        now = usage()
        return bool(now["open_descriptors"] <= before["open_descriptors"] and now["tasks"] <= before["tasks"])

    wait_until(as_before)
    assert usage()["rss_bytes"] - before["rss_bytes"] < 32 * MIB
