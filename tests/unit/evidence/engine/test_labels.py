"""Reading by the form of a line says what the strict reader says, whatever is in the lines."""

import json
from collections.abc import Callable
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.evidence.engine import labels
from shadow_provider.evidence.engine.labels import LabelReader, Labels
from tests.unit.evidence.fakes import line, truth

GOOD = line(truth("id-0", "1"))
Write = Callable[[str, str], bytes]


def compact(event_id: str, data: str) -> bytes:
    return json.dumps(truth(event_id, data, "JSON"), separators=(",", ":"), ensure_ascii=False).encode()


def id_first(event_id: str, data: str) -> bytes:
    return line(dict(reversed(truth(event_id, data).items())))


def read(*lines: bytes | None) -> Labels:
    return LabelReader().read([None if each is None else each + b"\n" for each in lines])


def together(*lines: bytes) -> Labels:
    return LabelReader().read([b"\n".join(lines) + b"\n"])


def strictly(*lines: bytes) -> Labels:
    with patch.object(labels, "_learned", return_value=None):
        return together(*lines)


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8) | st.text('"\\/\n\tau{}', max_size=8)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5), st.sampled_from([compact, id_first]))
def test_any_labels_are_read_as_the_strict_reader_reads_them(pairs: list[tuple[str, str]], write: Write) -> None:
    lines = [write(*pair) for pair in pairs]
    assert together(*lines) == strictly(*lines)


@pytest.mark.parametrize("write", [compact, id_first])
def test_lines_of_one_form_are_not_read_one_by_one(write: Write) -> None:
    lines = [write(f"id-{number}", data) for number, data in enumerate(['{"a": 1}', "", "say\tso", "a/b"])]
    with patch.object(labels, "_read_strictly") as one_by_one:
        found = together(*lines)
    assert not one_by_one.called
    assert found.ids == [f"id-{number}" for number in range(4)]
    assert found.texts == ['{"a": 1}', "", "say\tso", "a/b"]


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


def test_a_line_that_was_too_long_is_counted_where_it_stood() -> None:
    found = read(GOOD, None, b"oops", GOOD)
    assert (found.lines, found.ids) == (4, ["id-0", "id-0"])
    assert found.bad == [("oversize", 2), ("not_json", 3)]


def test_forms_are_remembered_between_objects() -> None:
    reader = LabelReader()
    reader.read([GOOD + b"\n"])
    with patch.object(labels, "_learned") as learning:
        assert reader.read([line(truth("other", "2"))]).texts == ["2"]
    assert not learning.called
