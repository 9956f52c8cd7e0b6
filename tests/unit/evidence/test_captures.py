import io
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.evidence.captures import SideCaptures, read_captures
from shadow_provider.evidence.objects import join_key, read_lines, source, split_uri
from shadow_provider.evidence.pairing import pair_up
from shadow_provider.plan.policy import LabelSelector
from shadow_provider.verdict.evidence import EvidenceWindow
from tests.unit.evidence.fakes import ENDPOINT, PRODUCTION, SHADOW, START, FakeS3, capture, capture_key, line

WINDOW = EvidenceWindow(start=START, end=START + timedelta(hours=1))


def read(s3: FakeS3, variant: str = PRODUCTION, uri: str = "s3://bucket/capture") -> SideCaptures:
    return read_captures(
        s3, capture_s3_uri=uri, endpoint_name=ENDPOINT, variant=variant, window=WINDOW, selector=LabelSelector()
    )


def changed(**changes: Any) -> bytes:
    """A good line with another member somewhere: `eventMetadata__inferenceTime=3`; None takes it away."""
    document = capture()
    for path, value in changes.items():
        *steps, last = path.split("__")
        place = document
        for step in steps:
            place = place[step]
        place[last] = value
        if value is None:
            del place[last]
    return line(document)


GOOD = line(capture())
BAD_LINES: list[tuple[str, bytes, str]] = [
    ("truncated", GOOD[:-20], "not_json"),
    ("empty", b"", "empty"),
    ("blank", b"  \t", "empty"),
    ("only a carriage return", b"\r", "empty"),
    ("invalid UTF-8", GOOD.replace(b"id-1", b"\xff\xfe"), "not_utf8"),
    ("NUL", GOOD.replace(b"id-1", b"id\x00"), "not_json"),
    ("NULs only", b"\x00\x00", "not_json"),
    ("two objects", GOOD + GOOD, "not_json"),
    ("two objects with a space", GOOD + b" " + GOOD, "not_json"),
    ("trailing garbage", GOOD + b"]", "not_json"),
    ("array", b"[" + GOOD + b"]", "wrong_shape"),
    ("number", b"7", "wrong_shape"),
    ("null", b"null", "wrong_shape"),
    ("duplicate keys", GOOD.replace(b'"inferenceId"', b'"inferenceId": "x", "inferenceId"'), "duplicate_keys"),
    ("NaN", GOOD.replace(b'"0"', b"NaN"), "not_json"),
    ("Infinity", GOOD.replace(b'"0"', b"-Infinity"), "not_json"),
    ("1e400", GOOD.replace(b'"0"', b"1e400"), "not_json"),
    ("unicode digits", GOOD.replace(b'"0"', "\u0661".encode()), "not_json"),
    ("deeply nested", b'{"a":' * 100_000, "not_json"),
    ("an endless integer", b'{"a":' + b"9" * 10_000 + b"}", "not_json"),
    ("no metadata", changed(eventMetadata=None), "wrong_shape"),
    ("metadata of a wrong type", changed(eventMetadata=[]), "wrong_shape"),
    ("no data", changed(captureData=None), "wrong_shape"),
    ("an id that is a number", changed(eventMetadata__inferenceId=7), "wrong_shape"),
    ("output of a wrong type", changed(captureData__endpointOutput="x"), "wrong_shape"),
    ("data of a wrong type", changed(captureData__endpointOutput__data=[1]), "wrong_shape"),
    ("media type of a wrong type", changed(captureData__endpointOutput__observedContentType=1), "wrong_shape"),
    ("no time", changed(eventMetadata__inferenceTime=None), "bad_time"),
    ("a time of numbers", changed(eventMetadata__inferenceTime=1772359200), "bad_time"),
    ("a time without a zone", changed(eventMetadata__inferenceTime="2026-03-01T10:00:00"), "bad_time"),
    ("an impossible time", changed(eventMetadata__inferenceTime="2026-02-31T10:00:00Z"), "bad_time"),
    ("a time before the calendar", changed(eventMetadata__inferenceTime="0001-01-01T00:00:00+14:00"), "bad_time"),
    ("unicode digits in the time", changed(eventMetadata__inferenceTime="\u0662026-03-01T10:00:00Z"), "bad_time"),
    ("unknown encoding", changed(captureData__endpointOutput__encoding="XML"), "unknown_encoding"),
    ("no encoding", changed(captureData__endpointInput__encoding=None), "unknown_encoding"),
    ("encoding of a wrong type", changed(captureData__endpointInput__encoding=["CSV"]), "unknown_encoding"),
    ("bad base64", changed(captureData__endpointOutput__encoding="BASE64"), "bad_base64"),
    (
        "base64 with a stray sign",
        changed(captureData__endpointInput={"data": "M!Q==", "encoding": "BASE64"}),
        "bad_base64",
    ),
    ("base64 of no ASCII", changed(captureData__endpointInput={"data": "é", "encoding": "BASE64"}), "bad_base64"),
    ("out of the window", line(capture(time=START - timedelta(seconds=1))), "out_of_window"),
    ("at the window's end", line(capture(time=WINDOW.end)), "out_of_window"),
    ("no id", line(capture(None)), "no_inference_id"),
    ("an empty id", line(capture("")), "no_inference_id"),
]
GOOD_LINES: list[tuple[str, bytes]] = [
    ("plain", GOOD),
    ("carriage return", GOOD + b"\r"),
    ("byte order mark", b"\xef\xbb\xbf" + GOOD),
    ("unknown keys", changed(invocationSource="x", eventMetadata__more={"a": 1})),
    ("a time with an offset", line(capture(time="2026-03-01T11:30:00+01:00"))),
    ("6 MB of input", line(capture(given="1," * 3_000_000))),
]


@pytest.mark.parametrize(("content", "fate"), [each[1:] for each in BAD_LINES], ids=[each[0] for each in BAD_LINES])
def test_every_bad_line_has_its_fate_and_place(content: bytes, fate: str) -> None:
    s3 = FakeS3()
    key = capture_key(PRODUCTION)
    s3.put(key, line(capture("before")), content, line(capture("after")))
    side = read(s3)
    assert side.lines == 3
    assert side.fates.counts() == {fate: 1}
    assert side.by_id.keys() == {"before", "after"}
    if fate != "out_of_window":
        assert side.fates.examples() == {fate: (f"{key}:2",)}


@pytest.mark.parametrize("content", [each[1] for each in GOOD_LINES], ids=[each[0] for each in GOOD_LINES])
def test_odd_but_good_lines_are_read(content: bytes) -> None:
    s3 = FakeS3()
    s3.put(capture_key(PRODUCTION), content)
    side = read(s3)
    assert side.fates.counts() == {}
    assert side.by_id["id-1"].labels == ("1",)


@pytest.mark.parametrize(
    ("document", "labels"),
    [
        (capture(answer="1.0"), ("1",)),
        (capture(answer='{"predictions": [3]}', encoding="JSON", media="application/json"), ("3",)),
        (capture(answer="7", encoding="BASE64", media="text/csv"), ("7",)),
        (capture(answer="7", encoding="BASE64", media="image/png"), None),
        (capture(answer="oops", encoding="JSON", media="application/json"), None),
        (capture(answer="NaN"), None),
        (capture(answer=""), None),
        (capture(answer=None), None),
        (json.loads(changed(captureData__endpointOutput__data=None)), None),
        (capture() | {"captureData": {"endpointInput": None, "endpointOutput": None}}, None),
        (json.loads(changed(captureData__endpointOutput__observedContentType=None)), ("1",)),
    ],
)
def test_an_answer_is_read_or_counts_against_its_side(document: Any, labels: tuple[str, ...] | None) -> None:
    s3 = FakeS3()
    s3.put(capture_key(PRODUCTION), line(document))
    side = read(s3)
    assert side.by_id["id-1"].labels == labels


def test_a_lone_surrogate_does_not_stop_the_reading() -> None:
    s3 = FakeS3()
    s3.put(capture_key(PRODUCTION), line(capture(given="\ud800", answer="\ud800")))
    assert read(s3).by_id["id-1"].labels is None


def test_the_hours_around_the_window_are_listed_and_no_slash_is_doubled() -> None:
    s3 = FakeS3()
    s3.put(capture_key(PRODUCTION, START - timedelta(hours=1)), line(capture("early object")))
    s3.put(capture_key(PRODUCTION, START + timedelta(hours=2)), line(capture("late object")))
    s3.put(capture_key(PRODUCTION).replace(".jsonl", ".tmp"), b"not ours")
    s3.put(f"capture/{ENDPOINT}/{PRODUCTION}-2/2026/03/01/10/x.jsonl", line(capture("another variant")))
    side = read(s3, uri="s3://bucket/capture/")
    assert side.by_id.keys() == {"early object", "late object"}
    assert [prefix[-3:-1] for prefix in s3.listed] == ["09", "10", "11", "12"]
    assert not any("//" in prefix for prefix in s3.listed)


def test_of_duplicates_the_first_by_time_object_and_line_stays() -> None:
    s3 = FakeS3()
    later, first = line(capture(answer="2", time=START + timedelta(seconds=9))), line(capture(answer="1"))
    s3.put(capture_key(PRODUCTION, name="a"), later, later)
    s3.put(capture_key(PRODUCTION, name="b"), first)
    side = read(s3)
    assert side.by_id["id-1"].labels == ("1",)
    assert side.fates.counts() == {"duplicate": 2}
    assert side.fates.examples()["duplicate"] == (
        f"{capture_key(PRODUCTION, name='a')}:2",
        f"{capture_key(PRODUCTION, name='a')}:1",
    )


def test_pages_and_etags_are_complete() -> None:
    s3 = FakeS3(page_size=1)
    for number in range(5):
        s3.put(capture_key(PRODUCTION, name=f"{number}"), line(capture(f"id-{number}")))
    side = read(s3)
    assert len(side.by_id) == len(side.etags) == 5
    assert not any('"' in etag for etag in side.etags.values())


def test_a_broken_read_is_not_taken_for_the_end() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError("connection reset")

    class Half(FakeS3):
        def get_object(self, **kwargs: Any) -> dict[str, Any]:
            return {"Body": Broken(), "ETag": "x"}

    s3 = Half()
    s3.put(capture_key(PRODUCTION), GOOD)
    with pytest.raises(OSError, match="reset"):
        read(s3)


@settings(derandomize=True, deadline=None)
@given(st.binary(max_size=60), st.integers(1, 8))
def test_lines_are_those_of_a_split_at_line_feeds(content: bytes, chunk: int) -> None:
    class Small(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(chunk)

    class Chunked(FakeS3):
        def get_object(self, **kwargs: Any) -> dict[str, Any]:
            return {"Body": Small(content), "ETag": "x"}

    expected = content.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert list(read_lines(Chunked(), "bucket", "key", {})) == list(enumerate(expected, start=1))


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.data())
def test_fates_add_up_to_the_lines_read(data: st.DataObject) -> None:
    """Whatever is in the objects, and wherever they are cut off."""
    ids = [line(capture(f"id-{i}", time=START + timedelta(seconds=i * 7), given=f"{i}")) for i in range(8)]
    other_inputs = [line(capture(f"id-{i}", time=START + timedelta(seconds=i * 7), given="x")) for i in range(8)]
    lines = st.sampled_from([*ids, *ids, *other_inputs, *(each[1] for each in BAD_LINES)]) | st.binary(max_size=20)
    s3 = FakeS3()
    for variant in (PRODUCTION, SHADOW):
        for name in "ab":
            content = b"\n".join(data.draw(st.lists(lines, max_size=8)))
            s3.objects[capture_key(variant, name=name)] = content[: data.draw(st.integers(0, len(content)))]
    sides = [read(s3, variant) for variant in (PRODUCTION, SHADOW)]
    pairing = pair_up(*sides)
    for census in (pairing.census.production, pairing.census.shadow):
        assert sum(census.fates.values()) == census.lines
        assert census.fates.get("paired", 0) == len(pairing.pairs)
        assert all(len(places) <= 5 for places in census.examples.values())
    assert pairing.census.production.fates.get("input_mismatch") == pairing.census.shadow.fates.get("input_mismatch")


def test_uris_and_sources() -> None:
    assert split_uri("s3://b/x/y/") == ("b", "x/y")
    assert split_uri("s3://b") == ("b", "")
    assert join_key("", "e", "v") == "e/v/"
    for wrong in ("b/x", "https://b/x", "s3://", "s3:///x"):
        with pytest.raises(ValueError, match="s3://bucket/prefix"):
            split_uri(wrong)
    few = source("captures", "s3://b", {"k": "1", "a": "2"})
    assert few.etags == {"k": "1", "a": "2"}
    many = source("captures", "s3://b", {str(n): "1" for n in range(201)})
    assert many.etags is None
    assert many.objects == 201
    assert few.digest == source("captures", "s3://b", {"a": "2", "k": "1"}).digest != many.digest
