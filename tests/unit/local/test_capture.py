from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from typing import Any, Literal, cast
from uuid import UUID

import pytest

from shadow_provider.local.moto_bridge import LocalS3, S3MissingError
from shadow_provider.local.serving.capture import CapturePlan, CaptureWriter
from shadow_provider.local.serving.http_client import ContainerResponse
from shadow_provider.local.serving.invocation import Invocation, Outcome
from shadow_provider.local.settings import LocalSettings

CONFIG: dict[str, Any] = {
    "InitialSamplingPercentage": 50,
    "DestinationS3Uri": "s3://bucket/some/prefix/",
    "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
    "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/jsonlines"]},
}


class FakeS3:
    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.missing = False

    def write(self, bucket: str, key: str, content: bytes, kms_key_id: str | None) -> None:
        if self.missing:
            raise S3MissingError(bucket)
        self.objects[f"{bucket}/{key}"] = content


def writer(s3: FakeS3, variant: str, settings: LocalSettings, **changes: Any) -> CaptureWriter:
    plan = CapturePlan.of({**CONFIG, **changes})
    assert plan is not None
    return CaptureWriter(plan, "e", variant, cast(LocalS3, s3), settings, random.Random(variant))


def invocation(number: int = 0) -> Invocation:
    return Invocation({"content-type": "text/csv"}, b"1", 1e9, random.Random(number).random())


OK = Outcome(ContainerResponse(200, {"content-type": "text/csv"}, b"2"), "", 0.1)
FAILED = Outcome(None, "gone", 0.1)


def records(s3: FakeS3) -> list[Any]:
    return [json.loads(line) for content in s3.objects.values() for line in content.splitlines()]


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("text/csv", b"1,2", ("1,2", "CSV")),
        ("Text/CSV; charset=utf-8", b"1,2", ("1,2", "CSV")),
        ("application/jsonlines", b"{}\n{}", ("{}\n{}", "JSON")),
        ("application/json", b"{}", ("e30=", "BASE64")),
        (None, b"x", ("eA==", "BASE64")),
        ("text/csv", b"\xff", ("/w==", "BASE64")),
    ],
)
def test_the_content_type_decides_the_encoding(
    content_type: str | None, body: bytes, expected: tuple[str, str]
) -> None:
    plan = CapturePlan.of(CONFIG)
    assert plan is not None
    assert plan.encode(content_type, body) == expected


def test_capture_that_is_switched_off_is_none() -> None:
    assert CapturePlan.of(None) is None
    assert CapturePlan.of({**CONFIG, "EnableCapture": False}) is None


@pytest.mark.parametrize(("setting", "same"), [("independent", False), ("per_request", True)])
def test_sampling_is_per_variant_or_per_request(setting: Literal["independent", "per_request"], same: bool) -> None:
    sides = []
    for variant in ("p", "s"):
        s3 = FakeS3()
        side = writer(s3, variant, LocalSettings(capture_sampling=setting))
        for number in range(200):
            asked = invocation(number)
            asked.headers["x-amzn-sagemaker-inference-id"] = str(number)
            side.record(asked, OK)
        side.flush()
        sides.append({record["eventMetadata"]["inferenceId"] for record in records(s3)})
    assert (sides[0] == sides[1]) is same
    assert all(60 < len(side) < 140 for side in sides)


@pytest.mark.parametrize(("setting", "same"), [("independent", False), ("shared", True)])
def test_event_ids_are_own_or_shared(setting: Literal["independent", "shared"], same: bool) -> None:
    s3, asked = FakeS3(), invocation()
    for variant in ("p", "s"):
        side = writer(s3, variant, LocalSettings(capture_event_id=setting), InitialSamplingPercentage=100)
        side.record(asked, OK)
        side.flush()
    one, other = (record["eventMetadata"]["eventId"] for record in records(s3))
    assert (one == other) is same


@pytest.mark.parametrize(("setting", "count"), [("input", 1), ("none", 0)])
def test_failed_invocations_follow_the_setting(setting: Literal["input", "none"], count: int) -> None:
    s3 = FakeS3()
    side = writer(s3, "p", LocalSettings(capture_failed_invocations=setting), InitialSamplingPercentage=100)
    side.record(invocation(), FAILED)
    side.flush()
    assert [list(record["captureData"]) for record in records(s3)] == [["endpointInput"]] * count


def test_only_what_the_options_name_is_captured() -> None:
    s3 = FakeS3()
    options = {"CaptureOptions": [{"CaptureMode": "Output"}], "InitialSamplingPercentage": 100}
    side = writer(s3, "p", LocalSettings(), **options)
    side.record(invocation(), OK)
    side.record(invocation(), FAILED)
    side.flush()
    assert [list(record["captureData"]) for record in records(s3)] == [["endpointOutput"]]


def test_an_hour_has_its_own_object(monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = FakeS3()
    side = writer(s3, "p", LocalSettings(), InitialSamplingPercentage=100)
    for now in (1_700_002_799.25, 1_700_002_800.5):  # 22:59:59.250 and 23:00:00.500 UTC
        monkeypatch.setattr("shadow_provider.local.serving.capture.time.time", lambda now=now: now)
        side.record(invocation(), OK)
    side.flush()
    folders = [re.sub(r"-[0-9a-f-]{36}\.jsonl$", "", key) for key in s3.objects]
    assert folders == [
        "bucket/some/prefix/e/p/2023/11/14/22/59-59-250",
        "bucket/some/prefix/e/p/2023/11/14/23/00-00-500",
    ]


def test_records_wait_for_the_interval_and_losses_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = FakeS3()
    side = writer(s3, "p", LocalSettings(), InitialSamplingPercentage=100)
    side.record(invocation(), OK)
    side.flush(only_older_than=60)
    assert not s3.objects
    s3.missing = True
    side.flush()
    assert (side.captured, side.lost) == (1, 1)


def test_an_object_that_is_large_enough_is_closed() -> None:
    s3 = FakeS3()
    side = writer(s3, "p", LocalSettings(capture_object_bytes=1000), InitialSamplingPercentage=100)
    for _ in range(20):
        side.record(invocation(), OK)
    sizes = [len(content) for content in s3.objects.values()]
    assert len(sizes) >= 4
    assert all(1000 <= size < 1400 for size in sizes)
    side.flush()
    assert len(records(s3)) == 20


def test_each_instance_has_its_own_objects() -> None:
    s3 = FakeS3()
    side = writer(s3, "p", LocalSettings(), InitialSamplingPercentage=100)
    for number in range(6):
        asked = invocation()
        asked.headers["x-amzn-sagemaker-inference-id"] = str(number)
        side.record(asked, replace(OK, instance=number % 2))
    side.flush()
    ids = [
        {json.loads(line)["eventMetadata"]["inferenceId"] for line in content.splitlines()}
        for content in s3.objects.values()
    ]
    assert ids == [{"0", "2", "4"}, {"1", "3", "5"}]


def test_a_record_says_what_the_caller_sent() -> None:
    s3, asked = FakeS3(), invocation()
    asked.headers["x-amzn-sagemaker-custom-attributes"] = "trace=1,\u00fc"
    asked.headers["x-amzn-sagemaker-inference-id"] = "row 17"
    side = writer(s3, "p", LocalSettings(), InitialSamplingPercentage=100)
    side.record(asked, OK)
    side.record(invocation(), OK)
    side.flush()
    full, bare = records(s3)
    event_id = full["eventMetadata"].pop("eventId")
    assert str(UUID(event_id, version=4)) == event_id
    assert full == {
        "captureData": {
            "endpointInput": {"observedContentType": "text/csv", "mode": "INPUT", "data": "1", "encoding": "CSV"},
            "endpointOutput": {"observedContentType": "text/csv", "mode": "OUTPUT", "data": "2", "encoding": "CSV"},
        },
        "eventMetadata": {
            "inferenceId": "row 17",
            "customAttributes": ["trace=1,\u00fc"],
            "inferenceTime": "2001-09-09T01:46:40Z",
        },
        "eventVersion": "0",
    }
    assert set(bare["eventMetadata"]) == {"eventId", "inferenceTime"}
