"""Reading by the shape of a line says what the strict reader says, whatever is in the lines."""

import json
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.evidence.engine import labels, parts
from shadow_provider.evidence.engine import together as reading_together
from shadow_provider.evidence.engine.store import S3Store, StoredObject
from tests.unit.evidence.fakes import BUCKET, FakeS3, line, truth

GOOD = line(truth("id-0", "1"))
Write = Callable[[str, str], bytes]


def compact(event_id: str, data: str) -> bytes:
    return json.dumps(truth(event_id, data, "JSON"), separators=(",", ":"), ensure_ascii=False).encode()


def id_first(event_id: str, data: str) -> bytes:
    return line(dict(reversed(truth(event_id, data).items())))


def read(*objects: bytes) -> list[tuple[Any, ...]]:
    """Of each label the digest of its id, itself, its media type and its object; then what is none, and the count."""
    s3 = FakeS3()
    for number, content in enumerate(objects):
        s3.put(f"{number}.jsonl", content, end=b"")
    rows, bad, lines = list[tuple[Any, ...]](), list[tuple[Any, ...]](), 0
    with duckdb.connect() as connection:
        store = S3Store(s3, BUCKET)
        stored = [StoredObject(f"{number}.jsonl", "", len(content)) for number, content in enumerate(objects)]
        for found in labels.read_labels(store, connection, stored):
            for table in found.tables:
                table.validate(full=True)
                rows += [tuple(row.values()) for row in table.to_pylist()]
            for each in found.others:
                digest = connection.execute("SELECT hash(?)", [f'"{each.id}"']).fetchall()[0][0]
                rows.append((digest, each.text, each.media, each.object))
            bad += found.bad
            lines += found.lines
    return [*sorted(rows), *bad, ("lines", lines)]


def together(*lines: bytes) -> list[tuple[Any, ...]]:
    return read(b"\n".join(lines) + b"\n")


def strictly(*lines: bytes) -> list[tuple[Any, ...]]:
    with patch.object(labels, "_learned", return_value=None):
        return together(*lines)


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8) | st.text('"\\/\n\tau{}', max_size=8)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5), st.sampled_from([compact, id_first]))
def test_any_labels_are_read_as_the_strict_reader_reads_them(pairs: list[tuple[str, str]], write: Write) -> None:
    lines = [write(*pair) for pair in pairs]
    assert together(*lines) == strictly(*lines)


@pytest.mark.parametrize("write", [compact, id_first])
def test_lines_of_one_shape_are_not_read_one_by_one(write: Write) -> None:
    texts = ['{"a": 1}', "", "say\tso", "a/b"]
    lines = [write(f"id-{number}", data) for number, data in enumerate(texts)]
    with patch.object(labels.Labels, "take_other") as one_by_one:
        found = together(*lines)
    assert not one_by_one.called
    assert sorted(row[1] for row in found[:4]) == sorted(texts)
    assert found[4:] == [("lines", 4)]


@pytest.mark.parametrize(
    "other",
    [
        b"",
        b"x" + GOOD,
        GOOD + b" ",
        GOOD[:-3],
        GOOD + GOOD,
        GOOD.replace(b"id-0", b""),
        GOOD.replace(b"id-0", b"\\u0069"),
        GOOD.replace(b"id-0", b'i"d'),
        GOOD.replace(b'"1"', b'"\\ud800"'),
        GOOD.replace(b'"1"', b'"\\x"'),
        GOOD.replace(b'"1"', b'"\x01"'),
        GOOD.replace(b'"1"', b'"\xff"'),
        GOOD.replace(b'"1"', b'"\\"'),
        GOOD.replace(b"CSV", b"JSON"),
    ],
)
def test_one_line_of_another_form_is_no_way_around_the_strict_reader(other: bytes) -> None:
    assert together(GOOD, other, GOOD) == strictly(GOOD, other, GOOD)


def test_objects_that_are_read_together_keep_their_labels() -> None:
    objects = [line(truth(f"{number}-{row}", f"{row}")) for number in range(9) for row in range(number)]
    contents = [b"\n".join(objects[number * (number - 1) // 2 :][:number]) for number in range(9)]
    contents[5] += b"\noops"
    found = read(*contents)
    assert sorted(row[1:] for row in found[:36]) == sorted(
        (f"{row}", "text/csv", number) for number in range(9) for row in range(number)
    )
    assert found[36:] == [("not_json", 5, 6), ("lines", 37)]


def test_a_line_that_was_too_long_is_counted_where_it_stood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_together, "_LARGEST", 300)
    monkeypatch.setattr(parts, "PART_BYTES", 200)
    monkeypatch.setattr(parts, "LONGEST_LINE", 400)
    found = together(GOOD, b"x" * 1_000, b"oops", GOOD)
    assert [row[1] for row in found[:2]] == ["1", "1"]
    assert sorted(found[2:4]) == [("not_json", 0, 3), ("oversize", 0, 2)]
    assert found[4:] == [("lines", 4)]


def test_shapes_are_remembered_between_objects() -> None:
    with (
        patch.object(reading_together, "_MOST_OBJECTS", 1),
        patch.object(labels, "_learned", wraps=labels._learned) as learning,
    ):
        read(*[GOOD] * 40)
    # Threads that begin at once may each learn it.
    assert 1 <= learning.call_count <= 8
