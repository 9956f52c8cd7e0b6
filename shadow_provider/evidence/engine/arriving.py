"""What new objects hold: records of the lines that have one shape, pieces to be read otherwise of the others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shadow_provider.evidence.engine.parts import part_of
from shadow_provider.evidence.engine.reading import Piece
from shadow_provider.evidence.engine.records import Asked, Origin, records
from shadow_provider.evidence.engine.store import ReadableStore, StoredObject
from shadow_provider.evidence.engine.together import Lines, Together
from shadow_provider.evidence.engine.uniform import Shapes

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


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
        lines: by side.
        records: of the lines that have one shape.
        pieces: what must be read otherwise.
        oversize: side, key and number of lines that were not kept.
    """

    objects: int
    lines: list[int] = field(default_factory=lambda: [0, 0])
    records: "list[pa.Table]" = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    oversize: list[tuple[int, str, int]] = field(default_factory=list)


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
        self._run_bytes = run_bytes

    def read(self, connection: "duckdb.DuckDBPyConnection", new: Sequence[New]) -> Iterator[Arrived]:
        """What the objects hold, in their order; errors of the store pass through."""
        sides = np.array([each.side for each in new], dtype=np.int8)

        def taker(objects: int) -> _Taker:
            return _Taker(Arrived(objects), self._store, self._folder, new, sides, self._first, self.asked)

        together = Together(self._store, Shapes(), self._run_bytes, taker)
        for each in together.read(connection, [each.stored for each in new]):
            yield each.arrived


@dataclass(frozen=True, slots=True)
class _Taker:
    """Takes what a run of the new objects holds."""

    arrived: Arrived
    store: ReadableStore
    folder: Path
    new: Sequence[New]
    sides: NDArray[np.int8]
    first: int
    asked: Asked

    def take(self, lines: Lines, cursor: "duckdb.DuckDBPyConnection") -> None:
        sides = np.repeat(self.sides[lines.objects], lines.counts)
        numbers = np.repeat(lines.objects + self.first, lines.counts).astype(np.int32)
        origin = Origin(sides, numbers, lines.numbers.astype(np.int32))
        self.arrived.records.append(records(cursor, lines.content, lines.read, origin, self.asked))
        for number, count in zip(lines.objects.tolist(), lines.counts.tolist(), strict=True):
            self.arrived.lines[self.new[number].side] += count

    def take_other(self, number: int, first_line: int, content: bytes) -> None:
        new = self.new[number]
        path = self.folder / f"{self.first + number}-{first_line}.jsonl"
        part = part_of(content, first_line, self.store.local_path(new.stored.key), path)
        self.arrived.pieces.append(Piece(part, new.side, self.first + number, new.stored.key))
        self.arrived.lines[new.side] += part.lines

    def take_oversize(self, number: int, line: int) -> None:
        new = self.new[number]
        self.arrived.lines[new.side] += 1
        self.arrived.oversize.append((new.side, new.stored.key, line))
