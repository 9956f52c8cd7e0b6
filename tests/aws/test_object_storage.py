from __future__ import annotations

import json
import random
import resource
from pathlib import Path
from typing import Any

import psutil
import pytest

from shadow_provider.local import LocalAWS, LocalSettings

MIB = 2**20


@pytest.fixture
def bucket(cloud: Any, unique: Any) -> str:
    name = str(unique("objects-bucket"))
    cloud.s3.create_bucket(Bucket=name)
    return name


def content(number: int, size: int = 50_000) -> bytes:
    return random.Random(number).randbytes(size)


def test_objects_are_overwritten_copied_read_in_part_and_deleted(cloud: Any, bucket: str) -> None:
    s3 = cloud.s3
    first = s3.put_object(Bucket=bucket, Key="a", Body=content(1), Metadata={"kind": "one"})
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == content(1)
    assert s3.head_object(Bucket=bucket, Key="a")["ETag"] == first["ETag"]
    s3.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "a"})
    s3.put_object(Bucket=bucket, Key="a", Body=content(2, 60_000))
    assert (
        s3.get_object(Bucket=bucket, Key="a", Range="bytes=1000-1999")["Body"].read() == content(2, 60_000)[1000:2000]
    )
    s3.delete_object(Bucket=bucket, Key="a")
    copied = s3.get_object(Bucket=bucket, Key="b")
    assert (copied["Body"].read(), copied["ETag"], copied["Metadata"]) == (content(1), first["ETag"], {"kind": "one"})
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=bucket, Key="a")
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    assert s3.get_object(Bucket=bucket, Key="empty")["Body"].read() == b""


def test_an_object_in_parts_is_put_together_or_given_up(cloud: Any, bucket: str) -> None:
    s3 = cloud.s3
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    s3.put_object(Bucket=bucket, Key="source", Body=content(9, 5 * MIB))
    made = [
        s3.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=1, Body=content(3, 5 * MIB)),
        s3.upload_part_copy(Bucket=bucket, Key="big", UploadId=upload, PartNumber=2, CopySource=f"{bucket}/source")[
            "CopyPartResult"
        ],
        s3.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=3, Body=b"end"),
    ]
    parts = [{"PartNumber": number, "ETag": part["ETag"]} for number, part in enumerate(made, start=1)]
    s3.complete_multipart_upload(Bucket=bucket, Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
    got = s3.get_object(Bucket=bucket, Key="big")
    assert got["Body"].read() == content(3, 5 * MIB) + content(9, 5 * MIB) + b"end"
    assert got["ETag"].endswith('-3"')
    given_up = s3.create_multipart_upload(Bucket=bucket, Key="never")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="never", UploadId=given_up, PartNumber=1, Body=content(4))
    s3.abort_multipart_upload(Bucket=bucket, Key="never", UploadId=given_up)
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["big", "source"]


def test_versions_are_listed_and_read(cloud: Any, bucket: str) -> None:
    s3 = cloud.s3
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    versions = [s3.put_object(Bucket=bucket, Key="v", Body=content(number))["VersionId"] for number in range(3)]
    s3.delete_object(Bucket=bucket, Key="v")
    listed = s3.list_object_versions(Bucket=bucket)
    assert {item["VersionId"] for item in listed["Versions"]} == set(versions)
    assert len(listed["DeleteMarkers"]) == 1
    got = [s3.get_object(Bucket=bucket, Key="v", VersionId=version)["Body"].read() for version in versions]
    assert got == [content(number) for number in range(3)]


def test_objects_take_neither_memory_nor_descriptors(cloud: Any, bucket: str, local_aws: LocalAWS) -> None:
    server = psutil.Process(local_aws.pid)
    cloud.s3.put_object(Bucket=bucket, Key="first", Body=content(0, MIB))
    rss, descriptors = server.memory_info().rss, server.num_fds()
    for number in range(150):
        cloud.s3.put_object(Bucket=bucket, Key=f"k{number}", Body=content(number, MIB))
    assert server.memory_info().rss - rss < 50 * MIB
    assert server.num_fds() <= descriptors + 5
    assert cloud.s3.get_object(Bucket=bucket, Key="k77")["Body"].read() == content(77, MIB)


def test_more_objects_than_descriptors_and_nothing_left_on_the_disk_after_a_kill(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))  # the server inherits it
    try:
        aws = LocalAWS(LocalSettings(work_dir=tmp_path))
        aws.start()
        s3 = aws.boto3_client("s3")
        s3.create_bucket(Bucket="many")
        for number in range(400):
            s3.put_object(Bucket="many", Key=str(number), Body=content(number, 2000))
        assert s3.get_object(Bucket="many", Key="399")["Body"].read() == content(399, 2000)
        psutil.Process(aws.pid).kill()
        aws.stop()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 100_000


def test_captures_name_the_key_that_they_are_encrypted_with(cloud: Any) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    capture = {**cloud.capture_config("encrypted/"), "KmsKeyId": key}
    name = cloud.endpoint(cloud.config([cloud.variant("v", cloud.model())], DataCaptureConfig=capture))
    cloud.invoke(name, CustomAttributes="trace=1", InferenceId="i-1")
    cloud.delete(name)
    ((path, lines),) = cloud.objects(f"encrypted/{name}/").items()
    head = cloud.s3.head_object(Bucket=cloud.bucket, Key=path)
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)
    metadata = json.loads(lines)["eventMetadata"]
    assert (metadata["customAttributes"], metadata["inferenceId"]) == (["trace=1"], "i-1")
