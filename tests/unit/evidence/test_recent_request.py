import json
from datetime import timedelta
from typing import Any

from shadow_provider.evidence.engine.store import S3Store
from shadow_provider.evidence.recent_request import CapturedRequest, recent_request
from tests.unit.evidence.fakes import BUCKET, ENDPOINT, PRODUCTION, START, FakeS3, capture, line


def found(s3: FakeS3, **changes: Any) -> CapturedRequest | None:
    span = {"since": START, "until": START + timedelta(hours=2), **changes}
    return recent_request(S3Store(s3, BUCKET), prefix="captures", endpoint=ENDPOINT, variant=PRODUCTION, **span)


def key(hour: int, name: str, variant: str = PRODUCTION) -> str:
    return f"captures/{ENDPOINT}/{variant}/2026/03/01/{hour:02}/{name}.jsonl"


def test_the_newest_request_with_an_answer_is_taken() -> None:
    s3 = FakeS3()
    s3.put(key(10, "00-00"), line(capture(given="1", answer="a")))
    s3.put(key(11, "00-00"), line(capture(given="2", answer="b")), line(capture(given="3", answer="c")))
    s3.put(
        key(11, "30-00"),
        line(capture(given="4", answer="d", media="application/json; charset=utf-8")),
        line(capture(given="5", answer=None)),  # not answered
        line(capture(given=None, answer="e")),  # not captured
        b'{"captureData": {"endpointInput": {"mode": ',
    )
    s3.put(key(11, "59-00", "shadow"), line(capture(given="6", answer="f")))
    assert found(s3) == CapturedRequest(
        b"4", "text/csv", "application/json; charset=utf-8", "", key(11, "30-00") + ":1"
    )
    assert found(s3, until=START + timedelta(minutes=59)) == CapturedRequest(
        b"1", "text/csv", "text/csv", "", key(10, "00-00") + ":1"
    )
    assert found(s3, since=START + timedelta(hours=2)) is None


def test_what_came_later_is_not_taken() -> None:
    s3 = FakeS3()
    s3.put(
        key(11, "00-00"),
        line(capture(given="before", time=START + timedelta(hours=1))),
        line(capture(given="after", time=START + timedelta(hours=1, seconds=1))),
    )
    request = found(s3, until=START + timedelta(hours=1))
    assert request is not None
    assert request.body == b"before"


def test_custom_attributes_come_out_as_the_header_that_was_sent() -> None:
    for attributes, header in ((["tenant=a", "tier=gold"], "tenant=a,tier=gold"), (["x"], "x"), ([1], ""), ("x", "")):
        s3, record = FakeS3(), capture()
        record["eventMetadata"]["customAttributes"] = attributes
        s3.put(key(12, "00-00"), line(record))
        request = found(s3)
        assert request is not None
        assert request.attributes == header


def test_bytes_come_out_as_they_were_sent() -> None:
    s3 = FakeS3()
    record = capture(answer="x")
    record["captureData"]["endpointInput"] = {
        "observedContentType": "application/x-image",
        "mode": "INPUT",
        "data": "AP8=",
        "encoding": "BASE64",
    }
    s3.put(key(12, "00-00"), json.dumps(record).encode())
    request = found(s3)
    assert request is not None
    assert (request.body, request.media) == (b"\x00\xff", "application/x-image")


def test_without_captures_there_is_none_and_the_search_ends() -> None:
    s3 = FakeS3(page_size=1000)
    assert found(s3) is None
    for number in range(30):
        s3.put(key(12, f"{number:02}-00"), line(capture(answer=None)))
    s3.put(key(11, "00-00"), line(capture()))
    assert found(s3) is None  # twenty objects without an answer are enough
