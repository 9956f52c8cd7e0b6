"""A plain read is answered as moto's own server answers it, and nothing else is taken for one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from shadow_provider.local.moto_bridge import MotoBridge

BUCKET, OTHER, KEY = "plain-reads", "other-reads", "a/b=1/c.d-e_f.jsonl"
SIGNED = {
    "host": "127.0.0.1:4566",
    "authorization": "AWS4-HMAC-SHA256 Credential=local/20261123/us-east-1/s3/aws4_request, SignedHeaders=host, ...",
    "x-amz-checksum-mode": "ENABLED",
    "user-agent": "Boto3",
}
IDS = {"x-amzn-requestid", "x-amz-request-id"}


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoBridge]:
    made = MotoBridge("123456789012", Path(tmp_path_factory.mktemp("objects")))
    yield made
    made.close()


@pytest.fixture
def backend(bridge: MotoBridge) -> Any:
    made: Any = bridge.s3._backend
    for name in (BUCKET, OTHER):
        if name not in made.buckets:
            made.create_bucket(name, "us-east-1")
            made.put_object(name, KEY, b"content" * 1000)
    return made


def asked(method: str = "GET", path: str = f"/{BUCKET}/{KEY}", query: str = "", **headers: str) -> dict[str, Any]:
    given = SIGNED | {name.replace("_", "-"): value for name, value in headers.items()}
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 4566),
        "client": ("127.0.0.1", 1),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in given.items() if value],
    }


def answer(bridge: MotoBridge, scope: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(bridge(scope, receive, send))
    headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    assert "x-amz-request-id" in headers
    return (
        sent[0]["status"],
        {name: value for name, value in headers.items() if name not in IDS},
        b"".join(each.get("body", b"") for each in sent),
    )


def both(bridge: MotoBridge, scope: dict[str, Any]) -> tuple[Any, Any]:
    assert bridge.s3.plain_read(scope) is not None
    ours = answer(bridge, {**scope})
    with patch.object(bridge.s3, "plain_read", return_value=None):
        return ours, answer(bridge, {**scope})


def test_an_object_is_answered_as_by_moto(bridge: MotoBridge, backend: Any) -> None:
    ours, theirs = both(bridge, asked())
    assert ours == theirs
    assert ours[2] == b"content" * 1000


def test_so_is_one_with_metadata_a_checksum_a_version_and_tags(bridge: MotoBridge, backend: Any) -> None:
    backend.put_bucket_versioning(OTHER, "Enabled")
    made = backend.put_object(OTHER, KEY, b"other", encryption="aws:kms", kms_key_id="key")
    made.checksum_algorithm, made.checksum_value, made.checksum_type = "CRC32", "abc=", "FULL_OBJECT"
    made.set_metadata({"x-amz-meta-kind": "one", "content-type": "text/csv"})
    backend.put_object_tagging(made, {"a": "b"})
    ours, theirs = both(bridge, asked(path=f"/{OTHER}/{KEY}"))
    assert ours == theirs
    assert {"x-amz-meta-kind", "x-amz-version-id", "x-amz-checksum-crc32", "x-amz-tagging-count"} <= ours[1].keys()


@pytest.mark.parametrize(
    "scope",
    [
        asked("HEAD"),
        asked(path=f"/{BUCKET}/nothing"),
        asked(path=f"/nowhere/{KEY}"),
        asked(path=f"/{BUCKET}/"),
        asked(path=f"/{BUCKET}/a/../{KEY}"),
        asked(path=f"/{BUCKET}/a%2Fb"),
        asked(query="tagging"),
        asked(query="versionId=1"),
        asked(range="bytes=0-3"),
        asked(if_none_match="x"),
        asked(origin="http://elsewhere"),
        asked(host=f"{BUCKET}.s3.amazonaws.com"),
        asked(authorization=""),
        asked(authorization=SIGNED["authorization"].replace("/s3/", "/sts/")),
        asked(authorization=SIGNED["authorization"].replace("us-east-1", "cn-north-1")),
    ],
)
def test_anything_else_is_left_to_moto(scope: dict[str, Any], bridge: MotoBridge, backend: Any) -> None:
    assert bridge.s3.plain_read(scope) is None


def test_so_is_a_bucket_with_rules_and_an_object_that_is_archived_or_deleted(bridge: MotoBridge, backend: Any) -> None:
    made = backend.put_object(OTHER, "archived", b"1", storage="GLACIER")
    assert made is not None
    assert bridge.s3.plain_read(asked(path=f"/{OTHER}/archived")) is None
    backend.put_bucket_versioning(OTHER, "Enabled")
    backend.delete_object(OTHER, KEY)
    assert bridge.s3.plain_read(asked(path=f"/{OTHER}/{KEY}")) is None
    backend.put_object(OTHER, KEY, b"1")
    assert bridge.s3.plain_read(asked(path=f"/{OTHER}/{KEY}")) is not None
    backend.get_bucket(OTHER).policy = b"{}"
    assert bridge.s3.plain_read(asked(path=f"/{OTHER}/{KEY}")) is None
