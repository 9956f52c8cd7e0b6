"""What is read by the shape of its lines is what the strict reader reads, or it is not read so at all."""

import json
import shutil
from datetime import timedelta
from random import Random
from typing import Any

import duckdb
import numpy as np
import pytest

from shadow_provider.evidence.engine import compiled
from shadow_provider.evidence.engine.blocks import moment_of
from shadow_provider.evidence.engine.instants import instants
from shadow_provider.evidence.engine.records import Asked, Origin, records
from shadow_provider.evidence.engine.strict import Row, read_strictly
from shadow_provider.evidence.engine.uniform import Shapes, Uniform
from shadow_provider.evidence.lines import BadLineError, FateCounter, inference_time
from tests.unit.evidence.engine.test_fates import LINES
from tests.unit.evidence.fakes import START, capture, line
from tests.unit.evidence.lines_of_captures import GOOD

Plain = tuple[Any, ...]
READERS = ["python", *(["compiled"] if compiled.AVAILABLE else [])]


@pytest.fixture(autouse=True, params=READERS)
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything holds of both readers."""
    monkeypatch.setattr(compiled, "AVAILABLE", request.param == "compiled")
    return str(request.param)


def uniform(content: bytes, shapes: Shapes | None = None) -> list[Plain] | None:
    """What is read by the shape; it says the same once it has become records."""
    values = np.frombuffer(content, dtype=np.uint8)
    found = (shapes or Shapes()).read(values)
    if found is None:
        return None
    with duckdb.connect() as connection:
        numbers = np.arange(found.count)
        origin = Origin(numbers.astype(np.int8), numbers.astype(np.int32), numbers.astype(np.int32) + 1)
        table = records(connection, values, found, origin, Asked())
        table.validate(full=True)
        rows = table.to_pylist()
        wanted = [
            tuple(f'"{text}"' if text is not None else None for text in (_inside(content, found, name, row)))
            for row in range(found.count)
            for name in [("inference", "event", "given")]
        ]
        for row, raw in zip(rows, wanted, strict=True):
            for name, text in zip(("inference", "event", "input"), raw, strict=True):
                digest = None if text is None else connection.execute("SELECT hash(?)", [text]).fetchall()[0][0]
                assert row[name] == digest
    return [
        (
            *(row["line"], row["time"], row["media"] or None),
            *(text and text[1:-1] for text in raw[:2]),  # They are compared as they stand.
            None if raw[2] is None else json.loads(raw[2]),
            row["text"],
        )
        for row, raw in zip(rows, wanted, strict=True)
    ]


def _inside(content: bytes, found: Uniform, names: tuple[str, ...], row: int) -> list[str | None]:
    return [
        content[found.starts[name][row] : found.ends[name][row]].decode() if name in found.starts else None
        for name in names
    ]


def strict(content: bytes) -> tuple[list[Plain], dict[str, int]]:
    fates = FateCounter()

    def plain(row: Row) -> Plain:
        given = None if row.given is None else row.given.decode()
        return row.line, row.time, row.media, row.inference_id, row.event_id, given, row.text

    return [plain(row) for row in read_strictly(content, 1, "key", fates)], fates.counts()


def agrees(content: bytes) -> bool:
    """Whether content is read by its shape; if it is, then rightly."""
    mine = uniform(content)
    if mine is None:
        return False
    rows, fates = strict(content)
    assert not fates
    assert mine == rows
    return True


def test_there_are_compiled_readers_where_there_is_a_compiler() -> None:
    assert len(READERS) == 2 or shutil.which("cc") is None


def test_lines_of_one_shape_are_read_by_it() -> None:
    random = Random(1)
    lines = [
        line(
            capture(
                "x" * random.randrange(1, 40),
                given="é,1" * random.randrange(5),
                answer=random.choice(["1\n", '{"a": "b\t"}', "0.25", "", "y" * 3000]),
                time=START + timedelta(seconds=number),
            )
        ).replace(b"\\u00e9", "é".encode())
        for number in range(200)
    ]
    assert agrees(b"\n".join(lines))
    assert agrees(b"\n".join(lines) + b"\n")
    assert agrees(json.dumps(capture("a", given="{}"), separators=(",", ":")).encode())


def test_other_orders_of_keys_are_other_shapes() -> None:
    def reversed_keys(value: Any) -> Any:
        return {key: reversed_keys(value[key]) for key in reversed(value)} if isinstance(value, dict) else value

    lines = [json.dumps(reversed_keys(capture(f"id-{i}", given=f"{i}" * i))).encode() for i in range(30)]
    assert agrees(b"\n".join(lines))
    assert not agrees(b"\n".join([*lines, GOOD]))


def test_a_known_shape_is_used_again_and_another_learned() -> None:
    shapes = Shapes()
    first, second = line(capture("a")), json.dumps(capture("b"), separators=(",", ":")).encode()
    for content in (first, second, first + b"\n" + line(capture("longer"))):
        assert uniform(content, shapes) == strict(content)[0]


@pytest.mark.parametrize("name", LINES)
def test_an_odd_line_among_good_ones_is_never_read_wrongly(name: str) -> None:
    agrees(b"\n".join([line(capture("before")), LINES[name], line(capture("after"))]))
    agrees(b"\n".join([LINES[name], line(capture("after"))]))
    agrees(b"\n".join([line(capture("before")), LINES[name]]))


def test_a_quotation_mark_for_another_that_is_escaped_is_noticed() -> None:
    lines = [line(capture(f"id-{i}", given="abcd")) for i in range(3)]
    lines[1] = lines[1].replace(b'"abcd"', b'"a"c\\"')
    assert not agrees(b"\n".join(lines))


INSIDE = [
    b'"',
    b"\\",
    b'\\"',
    b"\\\\",
    b'","x":"',
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b" ",
    b",",
    b"}",
    b"1",
    b"\\n",
    b"\\u0041",
]


@pytest.mark.parametrize("seed", range(20))
def test_damaged_lines_are_never_read_wrongly(seed: int) -> None:
    random = Random(seed)
    lines = [line(capture(f"id-{i}", given='{"a": 1}', answer="0.5\n")) for i in range(3)]
    content = b"\n".join(lines)
    read = 0
    for _ in range(300):
        damaged = content
        for _ in range(random.randrange(1, 4)):
            at = random.randrange(len(damaged))
            taken = random.choice([0, 0, 1, 2])
            damaged = damaged[:at] + random.choice([*INSIDE, b""]) + damaged[at + taken :]
        read += agrees(damaged)
    assert 0 < read < 300


TIMES = [
    "2026-03-01T10:00:00Z",
    "2024-02-29T23:59:59Z",
    "2023-02-29T00:00:00Z",
    "2000-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "0000-01-01T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "2026-04-31T00:00:00Z",
    "2026-04-30T24:00:00Z",
    "2026-04-30T00:60:00Z",
    "2026-04-30T00:00:60Z",
    "2026-04-30 00:00:00Z",
    "2026-04-30T00:00:0/Z",
    "2026-04-30T00:00:0:Z",
]


@pytest.mark.parametrize("text", TIMES)
def test_times_are_those_that_the_strict_reader_knows(text: str) -> None:
    found = instants(np.frombuffer(text.encode(), dtype=np.uint8).reshape(1, -1))
    try:
        expected = inference_time(text)
    except BadLineError:
        assert found is None
    else:
        assert found is not None
        assert moment_of(int(found[0])) == expected


@pytest.mark.parametrize("text", TIMES)
def test_a_line_is_read_if_its_time_is_one(text: str) -> None:
    first, second = line(capture("a", time=START)), line(capture("b", time=START))
    usual = f"{START:%Y-%m-%dT%H:%M:%SZ}".encode()
    assert second.count(usual) == 1
    try:
        inference_time(text)
    except BadLineError:
        assert not agrees(first + b"\n" + second.replace(usual, text.encode()))
    else:
        assert agrees(first + b"\n" + second.replace(usual, text.encode()))


def test_every_width_of_a_payload_is_read_whatever_it_ends_with() -> None:
    for ending in ("", '"', "\n", '\t"', "é"):
        lines = [
            line(capture(f"id-{width}", given="x" * width + ending, answer="y" + ending * width)).replace(
                b"\\u00e9", "é".encode()
            )
            for width in range(70)
        ]
        assert agrees(b"\n".join(lines))
        for width in range(70):
            assert not agrees(b"\n".join([*lines, lines[width].replace(b'"y', b'"\\\\y', 1)]))


def test_both_readers_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"\n".join(line(capture(f"id-{width}", given='"\n' * width, answer="0\t" * width)) for width in range(40))
    values = np.frombuffer(content, dtype=np.uint8)
    found = []
    for each in READERS:
        monkeypatch.setattr(compiled, "AVAILABLE", each == "compiled")
        read = Shapes().read(values)
        assert read is not None
        found.append(
            (
                *(read.begins.tolist(), read.times.tolist(), read.media, read.attributes, read.escapes),
                {name: (read.starts[name].tolist(), read.ends[name].tolist()) for name in sorted(read.starts)},
            )
        )
    assert found == found[:1] * len(READERS)
