"""Lines of capture objects, good ones and bad ones of every kind, each with the fate that it must have."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from tests.unit.evidence.fakes import START, capture, line


class Window(NamedTuple):
    """A span of time: start inclusive, end exclusive."""

    start: datetime
    end: datetime


WINDOW = Window(START, START + timedelta(hours=1))


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
