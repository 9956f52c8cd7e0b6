"""The engine against the slow, strict reader: every line has the same fate."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from shadow_provider.evidence.engine.parts import LONGEST_LINE, WINDOW_BYTES, Oversize, inspected, numbered, part_of
from shadow_provider.evidence.engine.store import S3Store
from tests.unit.evidence.engine.answers import look
from tests.unit.evidence.fakes import BUCKET, ENDPOINT, PRODUCTION, SHADOW, START, FakeS3, capture, capture_key, line
from tests.unit.evidence.lines_of_captures import BAD_LINES, GOOD, GOOD_LINES, WINDOW, changed
from tests.unit.evidence.slow_reader import Side, pair_up, read_side


def strict(s3: FakeS3, variant: str) -> Side:
    return read_side(s3, f"capture/{ENDPOINT}/{variant}/", WINDOW.start, WINDOW.end)


def strict_fates(s3: FakeS3) -> dict[str, dict[str, int]]:
    production, shadow = strict(s3, PRODUCTION), strict(s3, SHADOW)
    pair_up(production, shadow)
    return {"production": dict(+production.fates), "shadow": dict(+shadow.fates)}


def comparable(fates: dict[str, int]) -> dict[str, int]:
    """Where a record without a partner stands is the engine's matter alone."""
    alone = fates.pop("outside_overlap", 0) + fates.pop("unpaired", 0)
    return fates | ({"alone": alone} if alone else {})


def engine_fates(s3: FakeS3) -> dict[str, dict[str, int]]:
    found = look(s3)
    for side in ("production", "shadow"):
        assert sum(found.fates[side].values()) == found.lines[side]
    return {side: comparable(fates) for side, fates in found.fates.items()}


LAX_LINES: list[tuple[str, bytes]] = [
    ("a comma before a brace", GOOD[:-1] + b",}"),
    ("a comma and blanks before a brace", GOOD[:-1] + b", \t }"),
    ("a comma before a bracket", changed(eventMetadata__customAttributes=["a"]).replace(b'["a"]', b'["a",]')),
    ("a vertical tab after it", GOOD + b"\x0b"),
    ("a form feed before it", b"\x0c" + GOOD),
    ("a form feed within", GOOD.replace(b": ", b":\x0c", 1)),
    ("a data that is a number", changed(captureData__endpointOutput__data=1)),
    ("a data that is a number, and an unknown key", changed(captureData__endpointOutput__data=1, more=1)),
    ("a data that is an object", changed(captureData__endpointInput__data={"a": "b"})),
    ("a data that is true", changed(captureData__endpointInput__data=True)),
    ("a null id", GOOD.replace(b'"id-1"', b"null")),
    ("a null id before the id", GOOD.replace(b'"inferenceId"', b'"inferenceId": null, "inferenceId"')),
    ("metadata twice", GOOD[:-1] + b', "eventMetadata": {}}'),
    ("data twice", GOOD.replace(b'"mode": "INPUT"', b'"mode": "INPUT", "data": "1,2,3"')),
    ("an unknown object with a key twice", GOOD[:-1] + b', "x": {"a": 1, "a": 1}}'),
    ("an escaped key twice", GOOD[:-1] + b', "event\\u0056ersion": "0"}'),
    ("a NaN beside", GOOD[:-1] + b', "x": NaN}'),
    ("a NaN among the attributes", GOOD.replace(b'"eventId"', b'"customAttributes": [NaN], "eventId"')),
    ("attributes", changed(eventMetadata__customAttributes=["k=v", 'quote " and backslash \\'])),
    ("attributes that are no list", changed(eventMetadata__customAttributes={"a": "b"})),
    ("an event id that is a number", changed(eventMetadata__eventId=1)),
    ("a version that is a number", changed(eventVersion=0)),
    ("an escaped id", GOOD.replace(b"id-1", b"i\\u0064-1")),
    ("an id with a lone surrogate", GOOD.replace(b"id-1", b"id-\\ud800")),
    ("an id with a backslash at its end", changed(eventMetadata__inferenceId="id-1\\")),
    ("input that is a list", changed(captureData__endpointInput=[1])),
    ("null for captures", changed(captureData={"endpointInput": None, "endpointOutput": None})),
    ("captures that are empty", changed(captureData={})),
    ("a lenient time", changed(eventMetadata__inferenceTime="2026-03-01T10:00:0Z")),
    ("a time with three digits", changed(eventMetadata__inferenceTime="2026-03-1T10:00:000Z")),
    ("a leap second", changed(eventMetadata__inferenceTime="2026-03-01T10:00:60Z")),
    ("a time with blanks", changed(eventMetadata__inferenceTime=" 026-03-01T10:00:00Z")),
    ("a time with blanks within", changed(eventMetadata__inferenceTime="2026-03-01T10: 1:00Z")),
    ("a time with a sign", changed(eventMetadata__inferenceTime="2026-03-01T10:+1:00Z")),
    ("a fraction", changed(eventMetadata__inferenceTime="2026-03-01T10:00:00.25Z")),
    ("a lower-case encoding", changed(captureData__endpointOutput__encoding="csv")),
    ("a missing media type", changed(captureData__endpointOutput__observedContentType=None)),
    ("base64 without its end", changed(captureData__endpointInput={"data": "QQ=", "encoding": "BASE64"})),
    ("base64 of no text", changed(captureData__endpointInput={"data": "/w==", "encoding": "BASE64"})),
    ("base64 with bits left", changed(captureData__endpointInput={"data": "QR==", "encoding": "BASE64"})),
    ("empty base64", changed(captureData__endpointInput={"data": "", "encoding": "BASE64"})),
    ("data that ends in a backslash", changed(captureData__endpointInput__data="1\\")),
    ("data with quotes", changed(captureData__endpointInput__data='{"a\\"": ["\\\\", ",}"]}')),
    ("a null character in data", changed(captureData__endpointInput__data="\0")),
    ("a no-break space before it", b"\xc2\xa0" + GOOD),
    ("text of other alphabets", changed(captureData__endpointInput__data="é漢😀")),
    ("the same, not escaped", json.dumps(capture(given="é漢😀"), ensure_ascii=False).encode()),
    ("a BOM within", GOOD[:1] + b"\xef\xbb\xbf" + GOOD[1:]),
    ("a carriage return within", GOOD.replace(b": ", b":\r", 1)),
    ("no blanks", json.dumps(capture(), separators=(",", ":")).encode()),
]
LINES: dict[str, bytes] = {name: content for name, content, _ in BAD_LINES} | dict(GOOD_LINES + LAX_LINES)


@pytest.mark.parametrize("name", LINES)
def test_every_line_has_the_fate_that_the_strict_reader_gives_it(name: str) -> None:
    s3 = FakeS3()
    s3.put(capture_key(PRODUCTION), line(capture("before")), LINES[name], line(capture("after")))
    s3.put(capture_key(SHADOW), line(capture("before")), GOOD, line(capture("after")))
    assert engine_fates(s3) == strict_fates(s3)


@pytest.mark.parametrize(
    "name", ["truncated", "blank", "two objects", "trailing garbage", "NUL", "plain", "byte order mark"]
)
def test_at_the_end_of_an_object_without_a_line_feed(name: str) -> None:
    s3 = FakeS3()
    s3.put(capture_key(PRODUCTION), line(capture("before")), LINES[name], end=b"")
    s3.put(capture_key(SHADOW), line(capture("before")), GOOD)
    assert engine_fates(s3) == strict_fates(s3)


def damage(random: Random, content: bytes) -> bytes:
    """One random change to a line."""
    at = random.randrange(len(content) + 1)
    end = at + random.randrange(1, 4)
    changes: list[Callable[[], bytes]] = [
        lambda: content[:at],
        lambda: content[:at] + content[end:],
        lambda: (
            content[:at]
            + random.choice([b'"', b",", b"}", b"]", b"\\", b" ", b"\t", b"\0", b"\xff", b":"])
            + content[at:]
        ),
        lambda: content[:at] + content[at:end] + content[at:],
        lambda: content.replace(
            *random.choice([(b'"CSV"', b"null"), (b'"1"', b"1e400"), (b"Z", b""), (b'"0"', b"[NaN]")])
        ),
        lambda: random.choice(list(LINES.values())),
        lambda: content + content,
        lambda: content,
    ]
    return random.choice(changes)()


@pytest.mark.parametrize("seed", range(12))
def test_randomly_damaged_captures_have_the_strict_readers_fates(seed: int) -> None:
    random = Random(seed)
    s3 = FakeS3(page_size=100)
    short = [content for content in LINES.values() if len(content) < 10_000]
    for number in range(6):
        for variant in (PRODUCTION, SHADOW):
            lines = []
            for _ in range(40):
                moment = START + timedelta(seconds=random.randrange(-60, 3700))
                given = str(random.randrange(3)) if random.random() < 0.05 else "1"
                good = line(capture(f"id-{random.randrange(400)}", given=given, time=moment))
                damaged = damage(random, random.choice([good, random.choice(short)])) if random.random() < 0.1 else good
                lines.append(damaged if len(damaged) < 10_000 else good)
            s3.put(capture_key(variant, name=f"{number}"), *lines, end=random.choice([b"\n", b""]))
    production, shadow = strict_fates(s3).values()
    mine = engine_fates(s3)
    # Which of two copies of one second in one object stays is told by its line there, and by its content here: a pair
    # whose inputs differ may be none. Nothing else may differ.
    for side, theirs in zip(mine.values(), (production, shadow), strict=True):
        ours_paired, theirs_paired = (
            sum(fates.pop(name, 0) for name in ("paired", "input_mismatch")) for fates in (side, theirs)
        )
        assert ours_paired == theirs_paired
        assert side == theirs


def test_what_cannot_be_read_has_a_place() -> None:
    s3 = FakeS3()
    s3.put(capture_key(PRODUCTION), GOOD, b"oops", line(capture("b")))
    found = look(s3)
    assert found.places["production"] == {"not_json": (f"{capture_key(PRODUCTION)}:2",)}
    assert found.strict_lines == 3


def test_ordinary_captures_need_no_strict_reader() -> None:
    s3 = FakeS3()
    for variant in (PRODUCTION, SHADOW):
        s3.put(
            capture_key(variant),
            GOOD,
            changed(eventMetadata__customAttributes=["k=v", "l=w"], eventMetadata__inferenceId="id-2"),
            line(
                capture("id-3", answer='{"a": ["b\\\\", {}]}', encoding="JSON", media="application/json; charset=utf-8")
            ),
            line(capture("id-4", answer="7", encoding="BASE64", media="text/csv")),
            json.dumps(capture("id-é", given="é\\"), ensure_ascii=False).encode(),
        )
    found = look(s3)
    assert found.strict_lines == 0
    assert found.fates["production"] == {"paired": 5}


def test_a_line_that_is_too_long_is_counted_and_not_kept() -> None:
    s3 = FakeS3()
    s3.put("x.jsonl", GOOD, b"x" * (LONGEST_LINE + (9 << 20)), GOOD, b"y" * (LONGEST_LINE + 1))
    found = list(numbered(S3Store(s3, BUCKET), "x.jsonl"))
    assert [each.line if isinstance(each, Oversize) else (each[0], each[1].count(b"\n")) for each in found] == [
        (1, 1),
        2,
        (3, 1),
        4,
    ]


def test_large_objects_become_parts_with_their_line_numbers(tmp_path: Path) -> None:
    s3 = FakeS3()
    lines = [line(capture(f"id-{number}", given="1," * 100_000)) for number in range(100)]
    s3.put("x.jsonl", *lines)
    found = [
        part_of(each[1], each[0], None, tmp_path / f"{each[0]}")
        for each in numbered(S3Store(s3, BUCKET), "x.jsonl")
        if not isinstance(each, Oversize)
    ]
    assert len(found) > 2
    assert b"".join(each.content for each in found) == s3.objects["x.jsonl"]
    starts = [each.first_line for each in found]
    assert starts == [1 + sum(each.lines for each in found[:number]) for number in range(len(found))]
    assert all(each.plain for each in found)


@pytest.mark.parametrize("at", range(WINDOW_BYTES - 4, WINDOW_BYTES + 4))
def test_quotes_are_counted_across_the_edge_of_a_window(at: int) -> None:
    content = b'"' + b"x" * at + b'\\""  , ' + b'"\\\\"'
    assert inspected(content, Path()).quotes == 4
    assert inspected(content, Path()).plain
    assert not inspected(b" " * at + b",    }", Path()).plain
