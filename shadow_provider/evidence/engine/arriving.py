"""New objects are read ahead by threads, several at a time: lines of one shape become records there and then."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from io import RawIOBase
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from shadow_provider.evidence.engine.ahead import ahead
from shadow_provider.evidence.engine.gather import Bytes
from shadow_provider.evidence.engine.parts import PART_BYTES, Oversize, numbered, part_of
from shadow_provider.evidence.engine.reading import Piece
from shadow_provider.evidence.engine.records import Asked, Origin, records
from shadow_provider.evidence.engine.store import ReadableStore, StoredObject
from shadow_provider.evidence.engine.uniform import Shapes, Uniform

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_THREADS = 4
_AHEAD = 2 * _THREADS
"""Runs of objects that are read while others are settled."""

_LINE_FEED = 10
_FIRST_RUN = 4
_MOST_OBJECTS = 64
_LARGEST = 2 * PART_BYTES


@dataclass(frozen=True, slots=True, order=True)
class New:
    """An object that no look has read.

    Attributes:
        hour: in its name.
        side: 0 production, 1 shadow.
        stored: where it lies.
    """

    hour: datetime
    side: int
    stored: StoredObject


@dataclass(slots=True)
class Arrived:
    """What a run of objects holds.

    Attributes:
        objects: how many they are.
        size: in bytes.
        lines: by side.
        records: of the lines that have one shape.
        pieces: what must be read otherwise.
        oversize: side, key and number of lines that were not kept.
    """

    objects: int
    size: int = 0
    lines: list[int] = field(default_factory=lambda: [0, 0])
    records: "list[pa.Table]" = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    oversize: list[tuple[int, str, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Held:
    """An object in a thread's buffer, where it begins and ends, and where the next one may begin."""

    number: int
    new: New
    start: int
    end: int
    after: int


@dataclass(frozen=True, slots=True)
class _Desk:
    """What a thread works with."""

    buffer: Bytes
    cursor: "duckdb.DuckDBPyConnection"


class Arrivals:
    """Reads objects.

    Args:
        store: where they lie.
        folder: takes what is spooled.
        first: number of the first one.
        run_bytes: that are read together, about.
        asked: what records must have; it may be set anew.
    """

    def __init__(self, store: ReadableStore, folder: Path, first: int, run_bytes: int, asked: Asked) -> None:
        self.asked = asked
        self._store = store
        self._folder = folder
        self._first = first
        self._run_bytes = min(run_bytes, PART_BYTES)
        self._objects = self._bytes = 0
        self._shapes = Shapes()
        self._desks: SimpleQueue[_Desk] = SimpleQueue()

    def read(self, connection: "duckdb.DuckDBPyConnection", new: Sequence[New]) -> Iterator[Arrived]:
        """What the objects hold, in their order; errors of the store pass through."""
        with ExitStack() as cursors:
            for _ in range(_THREADS):
                buffer = np.empty(_LARGEST + 1, dtype=np.uint8)
                self._desks.put(_Desk(buffer, cursors.enter_context(connection.cursor())))
            for arrived in ahead(self._run, self._runs(new), threads=_THREADS, most=_AHEAD):
                self._objects += arrived.objects
                self._bytes += arrived.size
                yield arrived

    def _runs(self, new: Sequence[New]) -> Iterator[tuple[int, Sequence[New]]]:
        """Objects that are read together, as many as the sizes of those before suggest, and the number of the first."""
        at = 0
        while at < len(new):
            count = self._run_bytes * self._objects // self._bytes if self._bytes else _FIRST_RUN
            run = new[at : at + min(_MOST_OBJECTS, max(1, count))]
            yield self._first + at, run
            at += len(run)

    def _run(self, numbered_run: tuple[int, Sequence[New]]) -> Arrived:
        first, run = numbered_run
        found = Arrived(len(run))
        desk = self._desks.get()
        try:
            self._read_run(desk, first, run, found)
        finally:
            self._desks.put(desk)
        return found

    def _read_run(self, desk: _Desk, first: int, run: Sequence[New], found: Arrived) -> None:
        held: list[_Held] = []
        for number, new in enumerate(run, start=first):
            each = self._held(desk, number, new, held[-1].after if held else 0)
            if each is None and held:
                self._read_held(desk, held, found)
                held = []
                each = self._held(desk, number, new, 0)
            if each is None:
                self._read_pieces(desk, number, new, found)
            elif each.end > each.start:
                held.append(each)
        if held:
            self._read_held(desk, held, found)

    def _held(self, desk: _Desk, number: int, new: New, start: int) -> _Held | None:
        """Read an object into the buffer; None if there is no room for it."""
        # The last byte is kept for a line feed.
        room = desk.buffer.data[start:-1]
        with self._store.opened(new.stored.key) as body:
            while len(room):
                count = cast("RawIOBase", body).readinto(room)
                if not count:
                    break
                room = room[count:]
            else:
                return None
        end = after = len(desk.buffer) - 1 - len(room)
        if end > start and desk.buffer[end - 1] != _LINE_FEED:
            desk.buffer[end] = _LINE_FEED
            after += 1
        return _Held(number, new, start, end, after)

    def _read_held(self, desk: _Desk, held: Sequence[_Held], found: Arrived) -> None:
        """The objects of a buffer, together if all their lines have one shape."""
        content = desk.buffer[held[0].start : held[-1].after]
        read = self._shapes.read(content)
        if read is not None:
            firsts = np.searchsorted(read.begins, [each.start - held[0].start for each in held])
            counts = np.diff(firsts, append=read.count)
            self._add_records(desk, content, read, [(each.number, each.new, 1) for each in held], counts, found)
        elif len(held) > 1:
            for each in held:
                self._read_held(desk, [each], found)
        else:
            (each,) = held
            self._add_piece(each.number, each.new, 1, desk.buffer[each.start : each.end].tobytes(), found)

    def _read_pieces(self, desk: _Desk, number: int, new: New, found: Arrived) -> None:
        """An object that is too large for the buffer."""
        for each in numbered(self._store, new.stored.key):
            if isinstance(each, Oversize):
                found.lines[new.side] += 1
                found.oversize.append((new.side, new.stored.key, each.line))
                continue
            first_line, whole = each
            content = np.frombuffer(whole, dtype=np.uint8)
            read = self._shapes.read(content) if len(content) <= _LARGEST else None
            if read is None:
                self._add_piece(number, new, first_line, whole, found)
            else:
                counts = np.array([read.count])
                self._add_records(desk, content, read, [(number, new, first_line)], counts, found)

    def _add_records(
        self,
        desk: _Desk,
        content: Bytes,
        read: Uniform,
        objects: Sequence[tuple[int, New, int]],
        counts: NDArray[np.int64],
        found: Arrived,
    ) -> None:
        """Lines of one shape; of each object its number, itself, and the number of its first line that is there."""
        numbers, sides, first_lines = (
            np.repeat(np.array(each), counts)
            for each in zip(*((number, new.side, line) for number, new, line in objects), strict=True)
        )
        lines = first_lines + np.arange(read.count) - np.repeat(np.cumsum(counts) - counts, counts)
        origin = Origin(sides.astype(np.int8), numbers.astype(np.int32), lines.astype(np.int32))
        found.records.append(records(desk.cursor, content, read, origin, self.asked))
        found.size += len(content)
        for (_, new, _), count in zip(objects, counts.tolist(), strict=True):
            found.lines[new.side] += count

    def _add_piece(self, number: int, new: New, first_line: int, content: bytes, found: Arrived) -> None:
        path = self._folder / f"{number}-{first_line}.jsonl"
        part = part_of(content, first_line, self._store.local_path(new.stored.key), path)
        found.pieces.append(Piece(part, new.side, number, new.stored.key))
        found.size += part.size
        found.lines[new.side] += part.lines
