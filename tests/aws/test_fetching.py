"""Small objects are fetched past boto3, as the client would, and never other ones than it would give."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError

from shadow_provider.evidence.engine import fetching
from shadow_provider.evidence.engine.fetching import LARGEST, fetcher
from shadow_provider.evidence.engine.store import S3Store
from shadow_provider.local import LocalAWS, LocalSettings
from shadow_provider.local.faults import ApiFault
from tests.unit.evidence.fakes import FakeS3

BUCKET = "fetched"


@pytest.fixture(scope="module")
def there() -> Iterator[LocalAWS]:
    with LocalAWS(LocalSettings(seed=1)) as running:
        running.boto3_client("s3").create_bucket(Bucket=BUCKET)
        yield running


@dataclass
class Bucket:
    """A store, its client, and the keys that the client itself was asked for."""

    store: S3Store
    client: Any
    by_boto3: list[str]

    def put(self, key: str, content: bytes) -> str:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content)
        return key

    def read(self, key: str) -> bytes:
        with self.store.opened(key) as body:
            return body.read()


@pytest.fixture
def bucket(there: LocalAWS) -> Bucket:
    there.clear_calls()
    client = there.boto3_client("s3", config=Config(retries={"total_max_attempts": 1}))
    by_boto3: list[str] = []
    client.meta.events.register(
        "before-parameter-build.s3.GetObject", lambda params, **_: by_boto3.append(params["Key"])
    )
    return Bucket(S3Store(client, BUCKET), client, by_boto3)


@pytest.mark.parametrize("size", [0, 1, 100_000, LARGEST])
def test_an_object_is_fetched_past_boto3_with_one_call(bucket: Bucket, there: LocalAWS, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    key = bucket.put(f"captures/endpoint/AllTraffic/2026/03/01/10/{size}.jsonl", content)
    assert bucket.read(key) == content
    assert bucket.by_boto3 == []
    (call,) = there.calls("GetObject")
    assert (call.principal, call.status) == ("local", 200)


def test_a_large_object_is_streamed_by_boto3(bucket: Bucket) -> None:
    key = bucket.put("large.jsonl", bytes(LARGEST + 1))
    assert bucket.read(key) == bytes(LARGEST + 1)
    assert bucket.by_boto3 == [key]


@pytest.mark.parametrize(
    "key",
    ["a b.jsonl", "ä.jsonl", "a%2Fb.jsonl", "a+b.jsonl", "a//b.jsonl", "a/../b.jsonl", "../b", ".", "a?b#c"],
)
def test_a_key_that_another_client_might_write_otherwise_is_left_to_boto3(key: str) -> None:
    class Never:
        """Fails if it is used."""

    assert fetching.Fetcher(Never()).opened(key) is None  # type: ignore[arg-type]


def test_such_keys_are_read_all_the_same(bucket: Bucket) -> None:
    for key in ("a b.jsonl", "a%2Fb.jsonl", "a+b.jsonl"):
        assert bucket.read(bucket.put(key, key.encode())) == key.encode()
    assert len(bucket.by_boto3) == 3


def test_a_missing_object_is_boto3s_error(bucket: Bucket) -> None:
    with pytest.raises(ClientError, match="NoSuchKey"):
        bucket.read("none.jsonl")


# Where asking once more may help, obstore does so itself.
@pytest.mark.parametrize(
    ("kind", "times"),
    [("throttle", 2), ("server_error", 2), ("reset_before", 2), ("reset_after", 2), ("expired_token", 1)],
)
def test_what_fails_is_asked_of_boto3(bucket: Bucket, there: LocalAWS, kind: Any, times: int) -> None:
    key = bucket.put(f"{kind}.jsonl", b"good")
    with there.fault(ApiFault(operation="GetObject", kind=kind, times=times)):
        assert bucket.read(key) == b"good"
    assert bucket.by_boto3 == [key]
    assert len(there.calls("GetObject")) == times + 1


def test_an_error_that_stays_is_boto3s_and_the_fast_way_is_given_up(bucket: Bucket, there: LocalAWS) -> None:
    key = bucket.put("never.jsonl", b"good")
    with there.fault(ApiFault(operation="GetObject", kind="server_error")):
        for _ in range(5):
            with pytest.raises(ClientError, match="InternalError"):
                bucket.read(key)
    asked = len(there.calls("GetObject"))
    # Three times obstore asked twice, and boto3 once each of five times.
    assert asked == 3 * 2 + 5
    assert bucket.read(key) == b"good"
    assert bucket.by_boto3 == [key] * 6


def test_one_good_answer_forgets_the_failures(bucket: Bucket, there: LocalAWS) -> None:
    good = bucket.put("good.jsonl", b"good")
    for _ in range(4):
        with pytest.raises(ClientError):
            bucket.read("none.jsonl")
        assert bucket.read(good) == b"good"
    assert bucket.by_boto3 == ["none.jsonl"] * 4


def test_credentials_are_the_clients_not_the_environments(
    bucket: Bucket, there: LocalAWS, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = bucket.put("mine.jsonl", b"mine")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_BUCKET"):
        monkeypatch.setenv(name, "of-the-environment")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert bucket.read(key) == b"mine"
    assert bucket.by_boto3 == []
    assert there.calls("GetObject")[-1].principal == "local"


def test_credentials_that_are_renewed_are_taken_up(
    bucket: Bucket, there: LocalAWS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_ASKED_AGAIN", timedelta(0))
    key = bucket.put("renewed.jsonl", b"x")

    class Renewed:
        """A session, as a role's are: the keys change, the object stays."""

        number = 0

        def get_frozen_credentials(self) -> ReadOnlyCredentials:
            self.number += 1
            return ReadOnlyCredentials(f"session-{self.number}", "secret", f"token-{self.number}")

    monkeypatch.setattr(bucket.client._request_signer, "_credentials", Renewed())
    assert [bucket.read(key) for _ in range(3)] == [b"x"] * 3
    principals = [call.principal for call in there.calls("GetObject")]
    assert len(set(principals)) == 3
    assert all(each.startswith("session-") for each in principals)
    assert bucket.by_boto3 == []


FORKS = """
import os, sys
import boto3
from shadow_provider.evidence.engine.store import S3Store

endpoint_url, bucket, key = sys.argv[1:]
place = {"region_name": "us-east-1", "aws_access_key_id": "local", "aws_secret_access_key": "local"}
client = boto3.client("s3", endpoint_url=endpoint_url, **place)
store = S3Store(client, bucket)
print("parent", type(store.opened(key)).__name__, flush=True)
child = os.fork()
if not child:
    for each in (store, S3Store(client, bucket)):
        body = each.opened(key)
        print("child", type(body).__name__, body.read().decode(), flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_fork_of_a_process_that_has_fetched_asks_boto3(bucket: Bucket, there: LocalAWS) -> None:
    """obstore has no threads there: it would wait for ever."""
    key = bucket.put("forked.jsonl", b"good")
    command = [sys.executable, "-W", "ignore", "-c", FORKS, there.endpoint_url, BUCKET, key]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    assert said[0] == "parent _Content"
    assert len(said) == 3
    assert all(each.startswith("child Streaming") and each.endswith(" good") for each in said[1:])


def client_of(**options: Any) -> Any:
    place = {"region_name": "eu-west-1", "aws_access_key_id": "a", "aws_secret_access_key": "b", "verify": True}
    return boto3.client("s3", **place | options)


def test_a_usual_client_needs_no_more() -> None:
    assert fetcher(client_of(), BUCKET) is not None
    assert fetcher(client_of(config=Config(s3={"addressing_style": "path"})), BUCKET) is not None


@pytest.mark.parametrize(
    "options",
    [
        {"verify": False},
        {"verify": "/etc/ssl/own.pem"},
        {"config": Config(proxies={"https": "http://proxy:3128"})},
        {"config": Config(use_fips_endpoint=True)},
        {"config": Config(use_dualstack_endpoint=True)},
        {"config": Config(s3={"use_accelerate_endpoint": True})},
        {"config": Config(client_cert="/etc/ssl/client.pem")},
        {"config": Config(signature_version=UNSIGNED)},
        {"config": Config(signature_version="s3")},
    ],
)
def test_a_client_with_a_way_of_its_own_is_left_to_itself(options: dict[str, Any]) -> None:
    assert fetcher(client_of(**options), BUCKET) is None


def test_so_is_one_that_is_not_boto3s() -> None:
    assert fetcher(FakeS3(), BUCKET) is None


@pytest.mark.parametrize(
    "bucket_name", ["arn:aws:s3:eu-west-1:123456789012:accesspoint/mine", "Upper", "a_b", "ab", ""]
)
def test_so_is_a_bucket_that_is_none(bucket_name: str) -> None:
    assert fetcher(client_of(), bucket_name) is None
