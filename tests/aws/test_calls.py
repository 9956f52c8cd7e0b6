from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from shadow_provider.local import LocalAWS, LocalSettings
from shadow_provider.local.control.client import ControlClient, ControlError

BUCKET = "call-log"
SIZE = 40


@pytest.fixture(scope="module")
def logged() -> Iterator[LocalAWS]:
    with LocalAWS(LocalSettings(seed=1, call_log_size=SIZE)) as running:
        running.boto3_client("s3").create_bucket(Bucket=BUCKET)
        yield running


@pytest.fixture
def client(logged: LocalAWS) -> Iterator[Any]:
    logged.clear_calls()
    yield lambda service: logged.boto3_client(service, config=Config(retries={"total_max_attempts": 1}))
    logged.clear_calls()


def test_a_refused_call_has_its_code_and_its_names(logged: LocalAWS, client: Any) -> None:
    before = time.time()
    with pytest.raises(ClientError):
        client("sagemaker").update_endpoint(EndpointName="none", EndpointConfigName="neither")
    (call,) = logged.calls()
    assert (call.service, call.operation, call.principal) == ("sagemaker", "UpdateEndpoint", "local")
    assert call.resources == ("none", "neither")
    assert (call.status, call.error_code, call.effect, call.faults) == (400, "ValidationException", False, ())
    assert before <= call.time <= time.time()


def test_an_invocation_names_its_endpoint(logged: LocalAWS, client: Any) -> None:
    with pytest.raises(ClientError):
        client("sagemaker-runtime").invoke_endpoint(EndpointName="none", Body=b"1")
    (call,) = logged.calls("InvokeEndpoint")
    assert (call.service, call.resources, call.error_code) == ("sagemaker-runtime", ("none",), "ValidationError")


def test_s3_operations_are_named(logged: LocalAWS, client: Any) -> None:
    s3 = client("s3")
    s3.put_object(Bucket=BUCKET, Key="a b/ü", Body=b"x")
    s3.get_object(Bucket=BUCKET, Key="a b/ü")
    s3.head_object(Bucket=BUCKET, Key="a b/ü")
    s3.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": "a b/ü"})
    s3.list_objects_v2(Bucket=BUCKET)
    s3.list_objects(Bucket=BUCKET)
    s3.list_buckets()
    s3.head_bucket(Bucket=BUCKET)
    s3.get_bucket_location(Bucket=BUCKET)
    s3.put_object_tagging(Bucket=BUCKET, Key="copy", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    s3.upload_part(Bucket=BUCKET, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")
    s3.abort_multipart_upload(Bucket=BUCKET, Key="parts", UploadId=upload)
    s3.delete_object(Bucket=BUCKET, Key="copy")
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "copy"}]})
    found = logged.calls()
    assert {call.service for call in found} == {"s3"}
    assert all(call.effect and call.principal == "local" for call in found)
    assert [call.operation for call in found] == [
        *("PutObject", "GetObject", "HeadObject", "CopyObject", "ListObjectsV2", "ListObjects", "ListBuckets"),
        *("HeadBucket", "GetBucketLocation", "PutObjectTagging", "CreateMultipartUpload", "UploadPart"),
        *("AbortMultipartUpload", "DeleteObject", "DeleteObjects"),
    ]
    assert found[0].resources == (BUCKET, f"{BUCKET}/a b/ü")


def test_codes_of_s3_errors_come_from_their_bodies(logged: LocalAWS, client: Any) -> None:
    for operation in ("get_object", "head_object"):
        with pytest.raises(ClientError):
            getattr(client("s3"), operation)(Bucket=BUCKET, Key="none")
    got, headed = logged.calls()
    assert (got.status, got.error_code, got.effect) == (404, "NoSuchKey", False)
    assert (headed.status, headed.error_code, headed.effect) == (404, None, False)


def test_the_query_protocol_and_cloudwatch(logged: LocalAWS, client: Any) -> None:
    role = "arn:aws:iam::123456789012:role/airflow"
    session = client("sts").assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    client("cloudwatch").put_metric_data(Namespace="Own", MetricData=[{"MetricName": "m", "Value": 1}])
    assumed, put = logged.calls()
    assert (assumed.service, assumed.operation, assumed.resources) == ("sts", "AssumeRole", (role,))
    assert (put.service, put.operation, put.resources) == ("monitoring", "PutMetricData", ("Own",))
    # Another principal's calls can be told from ours.
    key, secret = session["AccessKeyId"], session["SecretAccessKey"]
    other = boto3.session.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-east-1")
    other.client("s3", endpoint_url=logged.endpoint_url).list_buckets()
    assert logged.calls(since=put.sequence)[0].principal == key


def test_filters(logged: LocalAWS, client: Any) -> None:
    s3 = client("s3")
    for key in ("x/1", "x/2", "y/1"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"")
    s3.get_object(Bucket=BUCKET, Key="x/1")
    everything = logged.calls()
    assert [call.resources[1] for call in logged.calls("PutObject", f"{BUCKET}/x/*")] == [
        f"{BUCKET}/x/1",
        f"{BUCKET}/x/2",
    ]
    assert logged.calls("*Object", since=everything[2].sequence) == everything[3:]
    assert [call.sequence for call in everything] == list(range(everything[0].sequence, everything[0].sequence + 4))
    for path, said in (("calls?since=x", "since is the number"), ("calls?operatoin=x", "not by operatoin")):
        with pytest.raises(ControlError, match=said):
            ControlClient(logged.endpoint_url).send("GET", path)


def test_only_the_latest_calls_are_kept_and_none_of_our_own(logged: LocalAWS, client: Any) -> None:
    s3 = client("s3")
    for number in range(SIZE + 5):
        s3.head_bucket(Bucket=BUCKET)
        if number == 0:
            first = logged.calls()[0].sequence
    found = logged.calls()
    assert len(found) == SIZE
    assert found[-1].sequence == first + SIZE + 4
    logged.clear_calls()
    logged.status()
    assert logged.calls() == []
    # Numbers are never used again, so `since` stays good.
    s3.head_bucket(Bucket=BUCKET)
    assert logged.calls()[0].sequence == first + SIZE + 5


def test_an_unsigned_call_has_no_principal(logged: LocalAWS, client: Any) -> None:
    client("s3").put_object(Bucket=BUCKET, Key="open", Body=b"x", ACL="public-read")
    urllib.request.urlopen(f"{logged.endpoint_url}/{BUCKET}/open").close()
    assert [(call.operation, call.principal) for call in logged.calls()][-1] == ("GetObject", "")


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_a_presigned_url_has_its_signers_principal(logged: LocalAWS, client: Any, version: str) -> None:
    client("s3").put_object(Bucket=BUCKET, Key="presigned", Body=b"x")
    signer = logged.boto3_client("s3", config=Config(signature_version=version))
    url = signer.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "presigned"})
    urllib.request.urlopen(url).close()
    (call,) = logged.calls("GetObject")
    assert (call.service, call.principal, call.status) == ("s3", "local", 200)
