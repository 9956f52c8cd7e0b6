"""The compiled readers keep to their buffers, and are not used where they would be wrong; see also `test_uniform`."""

import re

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_provider.evidence.engine import compiled
from shadow_provider.evidence.engine.records import digests
from shadow_provider.evidence.engine.shape import EVENT
from shadow_provider.evidence.engine.uniform import Shapes
from tests.unit.evidence.fakes import capture, line

Arrays = list[np.ndarray]


native = pytest.importorskip("shadow_provider.evidence.engine._uniform", reason="installed without a C compiler")


@pytest.mark.parametrize("length", [*range(26), 31, 32, 33, 100, 1000])
def test_digests_are_the_databases_own(length: int) -> None:
    random = np.random.default_rng(length)
    words = [random.integers(32, 127, length + more).astype(np.uint8).tobytes() for more in (0, 0, 1, 9, 0, 3)]
    ends = np.cumsum([len(each) for each in words])
    starts = ends - [len(each) for each in words]
    found = compiled.digests(np.frombuffer(b"".join(words), dtype=np.uint8), starts, ends)
    assert found.tolist() == [
        duckdb.execute("SELECT hash(?::VARCHAR)", [each.decode()]).fetchall()[0][0] for each in words
    ]


def test_a_database_with_other_hashes_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_agreements", {})
    values = np.frombuffer(line(capture("one")), dtype=np.uint8)
    read = Shapes().read(values)
    assert read is not None
    with duckdb.connect() as connection:
        assert compiled.digests_agree(connection)
        expected = digests(connection, values, read, [EVENT])[EVENT]
        right = compiled.digests
        monkeypatch.setattr(compiled, "_agreements", {})
        monkeypatch.setattr(compiled, "digests", lambda *parts: right(*parts) + np.uint64(1))
        assert not compiled.digests_agree(connection)
        assert digests(connection, values, read, [EVENT])[EVENT] == expected


@pytest.mark.parametrize(
    ("starts", "ends"),
    [([-1], [2]), ([0], [11]), ([5], [4]), ([0, 9], [1, 11]), ([0], [1, 2]), ([2**62], [2**62 + 1])],
)
def test_nothing_beyond_the_content_is_read(starts: list[int], ends: list[int]) -> None:
    content = np.zeros(10, dtype=np.uint8)
    parts = np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64)
    found = np.zeros(len(starts), dtype=np.uint64)
    with pytest.raises(ValueError, match="not within the content"):
        native.digests(content, *parts, found)
    with pytest.raises(ValueError, match="not within the content"):
        native.texts(content, *parts, np.zeros(len(starts) + 1, dtype=np.int64), np.zeros(100), False)


def test_nothing_beyond_the_room_is_written() -> None:
    content = np.frombuffer(b"abcdef", dtype=np.uint8)
    parts = np.array([0, 2], dtype=np.int64), np.array([2, 6], dtype=np.int64)
    for offsets, room in ((2, 6), (4, 6), (3, 5)):
        with pytest.raises(ValueError, match="no room"):
            native.texts(content, *parts, np.zeros(offsets, dtype=np.int64), np.zeros(room, dtype=np.uint8), False)


def _room(lines: int, holes: int = 1) -> Arrays:
    return [np.full(size, -7, dtype=np.int64) for size in (lines, lines, 2 * holes * lines)]


def test_more_lines_than_there_is_room_for_are_not_read() -> None:
    content = b'"a"\n"b"\n"c"'
    sizes = _sizes(1, 1)
    assert native.scan(content, b'""', sizes, b"p", *_room(2)) == (-1, 0)
    begins, times, edges = _room(3)
    assert native.scan(content, b'""', sizes, b"p", begins, times, edges) == (3, 0)
    assert begins.tolist() == [0, 4, 8]
    assert edges.tolist() == [1, 5, 9, 2, 6, 10]


@pytest.mark.parametrize(
    ("constants", "sizes", "kinds", "room"),
    [
        (b'""', [1], b"p", _room(2)),
        (b'""', [1, 2], b"p", _room(2)),
        (b'""', [3, -1], b"p", _room(2)),
        (b'""', [2, 0], b"p", _room(2)),
        (b'""', [1, 1], b"pp", _room(2)),
        (b'""', [1, 1], b"p", [*_room(2)[:2], _room(1)[2]]),
        (b'""', [1, 1], b"p", [_room(2)[0], _room(1)[1], _room(2)[2]]),
    ],
)
def test_sizes_that_do_not_belong_together_are_refused(
    constants: bytes, sizes: list[int], kinds: bytes, room: Arrays
) -> None:
    with pytest.raises(ValueError, match="do not belong together"):
        native.scan(b'"a"\n"b"', constants, _sizes(*sizes), kinds, *room)


_STRING = re.compile(rb'"(?:[^"\\\x00-\x1f]|\\["nrt])*"')


def _ends_as_it_should(content: bytes) -> None:
    # Behind it stands what would end it, but is not part of the content.
    for behind in (b"", b'"' * 20, b'n"' * 20):
        room = _room(1)
        lines, _ = native.scan(memoryview(content + behind)[: len(content)], b'""', _sizes(1, 1), b"p", *room)
        assert (lines == 1) == (_STRING.fullmatch(content) is not None)
        assert lines != 1 or room[2].tolist() == [1, len(content) - 1]


@given(st.lists(st.sampled_from([b"x" * 5, b"x", b"\\", b'"', b"n", b"r", b"t", b"\x1f", b"\xc3\xa9"]), max_size=40))
def test_a_string_ends_where_it_ends_whatever_is_in_it(pieces: list[bytes]) -> None:
    _ends_as_it_should(b'"' + b"".join(pieces) + b'"')


@pytest.mark.parametrize("width", range(40))
@pytest.mark.parametrize("end", [b"", b"\\", b"\\n", b'\\"', b'\\""', b'\\n\\""', b'\\"xx"'])
def test_a_string_ends_where_it_ends_wherever_that_is(width: int, end: bytes) -> None:
    _ends_as_it_should(b'"' + b"x" * width + end)


@pytest.mark.parametrize("width", range(40))
def test_a_line_that_breaks_off_is_not_read(width: int) -> None:
    whole = b'{"a":"' + b"x" * width + b'"}'
    for length in range(1, len(whole)):
        found = native.scan(memoryview(whole)[:length], b'{"a":""}', _sizes(6, 2), b"p", *_room(9))
        assert found == (-1, 0)


def _sizes(*sizes: int) -> np.ndarray:
    return np.array(sizes, dtype=np.int32)
