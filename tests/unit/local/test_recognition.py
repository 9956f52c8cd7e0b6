from __future__ import annotations

import json

import pytest

from shadow_provider.local.control.calls import CallLog
from shadow_provider.local.recognition import Asked, names_in_body, recognise


def headers(service: str, **more: str) -> dict[str, str]:
    scope = f"AWS4-HMAC-SHA256 Credential=AKIA1/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host"
    return {"authorization": scope, **{name.replace("_", "-"): value for name, value in more.items()}}


@pytest.mark.parametrize(
    ("method", "path", "query", "operation"),
    [
        ("GET", "/", "", "ListBuckets"),
        ("GET", "/b", "list-type=2&prefix=x", "ListObjectsV2"),
        ("GET", "/b/", "", "ListObjects"),
        ("GET", "/b", "versions", "ListObjectVersions"),
        ("PUT", "/b", "", "CreateBucket"),
        ("PUT", "/b", "versioning", "PutBucketVersioning"),
        ("DELETE", "/b", "policy", "DeleteBucketPolicy"),
        ("POST", "/b", "delete", "DeleteObjects"),
        ("GET", "/b/k", "tagging", "GetObjectTagging"),
        ("PUT", "/b/k", "partNumber=1&uploadId=u", "UploadPart"),
        ("POST", "/b/k", "uploads", "CreateMultipartUpload"),
        ("POST", "/b/k", "uploadId=u", "CompleteMultipartUpload"),
        ("GET", "/b/k", "uploadId=u", "ListParts"),
        ("OPTIONS", "/b/k", "", "OPTIONS"),
    ],
)
def test_s3_operations(method: str, path: str, query: str, operation: str) -> None:
    assert recognise(method, path, query, headers("s3"), b"").operation == operation


def test_keys_are_unquoted_and_may_look_like_paths() -> None:
    asked = recognise("GET", "/b/a%2Fb//c%20d", "", headers("s3"), b"")
    assert asked == Asked("s3", "GetObject", "AKIA1", ("b", "b/a/b//c d"), "s3")


def test_an_endpoints_name_in_the_path() -> None:
    asked = recognise("POST", "/endpoints/my-endpoint/invocations", "", headers("sagemaker"), b"1,2")
    assert asked == Asked("sagemaker-runtime", "InvokeEndpoint", "AKIA1", ("my-endpoint",), "json")


def test_the_runtimes_other_operations_and_a_bucket_that_looks_like_them() -> None:
    path = "/endpoints/my%20endpoint/invocations-response-stream"
    asked = recognise("POST", path, "", headers("sagemaker"), b"")
    operation = "InvokeEndpointWithResponseStream"
    assert asked == Asked("sagemaker-runtime", operation, "AKIA1", ("my endpoint",), "json")
    assert recognise("POST", path, "uploads", headers("s3"), b"").operation == "CreateMultipartUpload"


@pytest.mark.parametrize("body", [b"", b"no json", b"[1]", b'{"EndpointName": 3}', b"\xff"])
def test_a_body_that_says_nothing(body: bytes) -> None:
    sent = headers("sagemaker", x_amz_target="SageMaker.DescribeEndpoint")
    assert recognise("POST", "/", "", sent, body) == Asked("sagemaker", "DescribeEndpoint", "AKIA1", (), "json")


def test_names_in_a_json_body() -> None:
    sent = headers("monitoring", x_amz_target="GraniteServiceVersion20100801.DescribeAlarms")
    body = json.dumps({"AlarmNames": ["a", "b"], "MaxRecords": 3}).encode()
    assert recognise("POST", "/", "", sent, body).resources == ("a", "b")
    tags = headers("monitoring", x_amz_target="GraniteServiceVersion20100801.ListTagsForResource")
    assert recognise("POST", "/", "", tags, b'{"ResourceARN": "arn:a"}').resources == ("arn:a",)
    large = json.dumps({"Namespace": "n", "MetricData": ["x" * 70_000]}).encode()
    assert recognise("POST", "/", "", sent, large).resources == ()


def test_the_query_protocol_in_body_and_url() -> None:
    sent = headers("sts", content_type="application/x-www-form-urlencoded; charset=utf-8")
    assert names_in_body(sent)
    expected = Asked("sts", "AssumeRole", "AKIA1", ("arn:r",), "query")
    assert recognise("POST", "/", "", sent, b"Action=AssumeRole&RoleArn=arn%3Ar") == expected
    assert recognise("GET", "/", "Action=AssumeRole&RoleArn=arn%3Ar", headers("sts"), b"") == expected


def test_an_object_that_looks_like_a_form_is_an_object() -> None:
    sent = headers("s3", content_type="application/x-www-form-urlencoded")
    assert recognise("PUT", "/b/k", "", sent, b"Action=AssumeRole").operation == "PutObject"


def test_the_log_forgets_the_oldest() -> None:
    log = CallLog(2)
    for name in ("a", "b", "c"):
        log.add(Asked("s3", "PutObject", "", (name,), "s3"), 1.0, 200, None, effect=True)
    assert [(call.sequence, call.resources) for call in log.select()] == [(2, ("b",)), (3, ("c",))]
    assert [call.sequence for call in log.select(resource="c")] == [3]
    assert log.select(since=3) == []
    log.clear()
    assert (log.select(), log.last) == ([], 3)
