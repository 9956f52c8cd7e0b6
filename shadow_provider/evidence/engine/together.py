"""Objects are read ahead by threads, several at a time: lines of one shape are taken by whole columns at once."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import RawIOBase
from queue import SimpleQueue
from threading import Semaphore
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from shadow_provider.evidence.engine.ahead import ahead
from shadow_provider.evidence.engine.gather import Bytes
from shadow_provider.evidence.engine.parts import PART_BYTES, Oversize, numbered
from shadow_provider.evidence.engine.store import ReadableStore, StoredObject
from shadow_provider.evidence.engine.uniform import Shapes, Uniform

if TYPE_CHECKING:
    import duckdb

_THREADS = 4
_AT_ONCE = min(_THREADS, os.cpu_count() or 1)
"""Threads that look into what was read, while the others wait for the store: more would only wait for each other."""
_AHEAD = 8 * _THREADS
"""Runs of objects that are read while others are used."""

_LINE_FEED = 10
_MOST_OBJECTS = 64
_LARGEST = 2 * PART_BYTES


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of one shape, of one or more objects.

    Attributes:
        content: their bytes, which are there until the taker returns.
        read: where everything stands in it.
        objects: numbers of the objects.
        firsts: of each object the number of its first line that is there, from 1.
        counts: of each object how many lines are there.
    """

    content: Bytes
    read: Uniform
    objects: NDArray[np.int64]
    firsts: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Of each line, in its object."""
        before = np.cumsum(self.counts) - self.counts
        numbers: NDArray[np.int64] = np.arange(self.read.count) + np.repeat(self.firsts - before, self.counts)
        return numbers


class Taker(Protocol):
    """Takes what a run of objects holds, object by object in their order, each from its first line to its last."""

    def take(self, lines: Lines, cursor: "duckdb.DuckDBPyConnection") -> None:
        """Lines of one shape; no other thread uses the cursor."""

    def take_other(self, number: int, first_line: int, content: bytes) -> None:
        """Whole lines of an object that have not one shape."""

    def take_oversize(self, number: int, line: int) -> None:
        """A line of an object that is too long to be kept."""


T = TypeVar("T", bound=Taker)


@dataclass(frozen=True, slots=True)
class _Held:
    """An object in a thread's buffer, where it begins and ends, and where the next one may begin."""

    number: int
    start: int
    end: int
    after: int


@dataclass(frozen=True, slots=True)
class _Desk:
    """What a thread works with."""

    buffer: Bytes
    cursor: "duckdb.DuckDBPyConnection"


class Together(Generic[T]):
    """Reads objects.

    Args:
        store: where they lie.
        shapes: that lines may have.
        run_bytes: that are read together, about.
        taker: makes what takes a run, of how many objects it has. Threads call it.
    """

    def __init__(self, store: ReadableStore, shapes: Shapes, run_bytes: int, taker: Callable[[int], T]) -> None:
        self._store = store
        self._shapes = shapes
        self._run_bytes = min(run_bytes, PART_BYTES)
        self._taker = taker
        self._desks: SimpleQueue[_Desk] = SimpleQueue()
        self._at_once = Semaphore(_AT_ONCE)

    def read(self, connection: "duckdb.DuckDBPyConnection", objects: Sequence[StoredObject]) -> Iterator[T]:
        """The takers of the runs, in the order of the objects, which they know by their place in it.

        Errors of the store pass through.
        """
        with ExitStack() as cursors:
            for _ in range(_THREADS):
                buffer = np.empty(_LARGEST + 1, dtype=np.uint8)
                self._desks.put(_Desk(buffer, cursors.enter_context(connection.cursor())))
            yield from ahead(self._run, self._runs(objects), threads=_THREADS, most=_AHEAD)

    def _runs(self, objects: Sequence[StoredObject]) -> Iterator[tuple[int, Sequence[StoredObject]]]:
        """Objects that are read together, by their sizes, and the number of the first."""
        first = size = 0
        for at, stored in enumerate(objects):
            if at > first and (size + stored.size > self._run_bytes or at - first == _MOST_OBJECTS):
                yield first, objects[first:at]
                first, size = at, 0
            size += stored.size
        if objects:
            yield first, objects[first:]

    def _run(self, numbered_run: tuple[int, Sequence[StoredObject]]) -> T:
        """What took a run of objects."""
        first, run = numbered_run
        taker = self._taker(len(run))
        desk = self._desks.get()
        try:
            self._read_run(desk, first, run, taker)
        finally:
            self._desks.put(desk)
        return taker

    def _read_run(self, desk: _Desk, first: int, run: Sequence[StoredObject], taker: T) -> None:
        held: list[_Held] = []
        for number, stored in enumerate(run, start=first):
            each = self._held(desk, number, stored, held[-1].after if held else 0)
            if each is None and held:
                with self._at_once:
                    self._read_held(desk, held, taker)
                held = []
                each = self._held(desk, number, stored, 0)
            if each is None:
                self._read_pieces(desk, number, stored, taker)
            elif each.end > each.start:
                held.append(each)
        if held:
            with self._at_once:
                self._read_held(desk, held, taker)

    def _held(self, desk: _Desk, number: int, stored: StoredObject, start: int) -> _Held | None:
        """Read an object into the buffer; None if there is no room for it."""
        # The last byte is kept for a line feed.
        room = desk.buffer.data[start:-1]
        with self._store.opened(stored.key) as body:
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
        return _Held(number, start, end, after)

    def _read_held(self, desk: _Desk, held: Sequence[_Held], taker: T) -> None:
        """The objects of a buffer, together if all their lines have one shape."""
        content = desk.buffer[held[0].start : held[-1].after]
        read = self._shapes.read(content)
        if read is not None:
            begins = np.searchsorted(read.begins, [each.start - held[0].start for each in held])
            counts = np.diff(begins, append=read.count)
            numbers = np.array([each.number for each in held])
            taker.take(Lines(content, read, numbers, np.ones_like(numbers), counts), desk.cursor)
        elif len(held) > 1:
            for each in held:
                self._read_held(desk, [each], taker)
        else:
            (each,) = held
            taker.take_other(each.number, 1, desk.buffer[each.start : each.end].tobytes())

    def _read_pieces(self, desk: _Desk, number: int, stored: StoredObject, taker: T) -> None:
        """An object that is too large for the buffer."""
        for each in numbered(self._store, stored.key):
            if isinstance(each, Oversize):
                taker.take_oversize(number, each.line)
                continue
            with self._at_once:
                self._read_piece(desk, number, *each, taker)

    def _read_piece(self, desk: _Desk, number: int, first_line: int, whole: bytes, taker: T) -> None:
        content = np.frombuffer(whole, dtype=np.uint8)
        read = self._shapes.read(content) if len(content) <= _LARGEST else None
        if read is None:
            taker.take_other(number, first_line, whole)
        else:
            of_one = (np.array([value]) for value in (number, first_line, read.count))
            taker.take(Lines(content, read, *of_one), desk.cursor)
