"""Lines of ground truth: `groundTruthData` with `data` and `encoding`, and `eventMetadata.eventId`.

Nearly all lines of one writer differ in the id and the label alone, and are read by their shape, as captures are.
Content of which any line is otherwise is read strictly, line by line.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from shadow_provider.comparators.arrow import column, repeated
from shadow_provider.evidence.engine.parts import PART_BYTES
from shadow_provider.evidence.engine.records import answers, digests
from shadow_provider.evidence.engine.shape import ANSWER, EVENT, LONGEST, Shape, shape_of
from shadow_provider.evidence.engine.store import ReadableStore, StoredObject
from shadow_provider.evidence.engine.together import Lines, Together
from shadow_provider.evidence.engine.uniform import Shapes
from shadow_provider.evidence.lines import BadLineError, member, parse_object

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_MEDIA = {"CSV": "text/csv", "JSON": "application/json"}
_PLACES = {EVENT: ("eventMetadata", "eventId"), ANSWER: ("groundTruthData", "data")}


@dataclass(frozen=True, slots=True)
class Label:
    """A label that was read strictly.

    Attributes:
        id: the event id.
        text: the label.
        media: its media type.
        object: number of its object.
    """

    id: str
    text: str
    media: str
    object: int


@dataclass(slots=True)
class Labels:
    """What a run of objects says.

    Attributes:
        tables: of labels that were read by their shape, the digest of the event `id`, their `text` and `media`, and
            the number of their `object`.
        others: the other labels.
        bad: fate, number of the object and number of the line of those that are none.
        lines: all of them.
    """

    tables: "list[pa.Table]" = field(default_factory=list)
    others: list[Label] = field(default_factory=list)
    bad: list[tuple[str, int, int]] = field(default_factory=list)
    lines: int = 0

    @property
    def size(self) -> int:
        """Bytes that they take, about."""
        return sum(len(each.id) + len(each.text) for each in self.others) + sum(
            int(each.nbytes) for each in self.tables
        )

    def take(self, lines: Lines, cursor: "duckdb.DuckDBPyConnection") -> None:
        """Labels of one shape. Their digests are the database's own, as those of the captures are."""
        import pyarrow as pa

        count = lines.read.count
        ids = digests(cursor, lines.content, lines.read, [EVENT])[EVENT]
        media = repeated(lines.read.media, count)
        objects = column(np.repeat(lines.objects, lines.counts))
        columns = [ids, answers(lines.content, lines.read), media, objects]
        self.tables.append(pa.table(columns, names=["id", "text", "media", "object"]))
        self.lines += count

    def take_other(self, number: int, first_line: int, content: bytes) -> None:
        """Lines that are read one by one."""
        for at, line in enumerate(_lines(content), start=first_line):
            self.lines += 1
            try:
                self.others.append(Label(*_label(parse_object(line)), number))
            except BadLineError as error:
                self.bad.append((error.cause, number, at))

    def take_oversize(self, number: int, line: int) -> None:
        """A line that was not kept."""
        self.lines += 1
        self.bad.append(("oversize", number, line))


def read_labels(
    store: ReadableStore, connection: "duckdb.DuckDBPyConnection", objects: Sequence[StoredObject]
) -> Iterator[Labels]:
    """The labels of some objects, in their order, run by run; errors of the store pass through."""
    return Together(store, Shapes(_learned), PART_BYTES, lambda _: Labels()).read(connection, objects)


def _learned(line: bytes) -> Shape | None:
    """The shape of a line; None if it is no label, or one that cannot be told from its surroundings."""
    if len(line) > LONGEST:
        return None
    try:
        record = parse_object(line)
        _, _, media = _label(record)
    except BadLineError:
        return None
    return shape_of(line, record, _PLACES, media=media)


def _lines(content: bytes) -> Iterator[bytes]:
    lines = content.split(b"\n")
    yield from lines[:-1] if content.endswith(b"\n") else lines


def _label(record: dict[str, Any]) -> tuple[str, str, str]:
    """Id, label and media type; without lone surrogates, which no other reader would take.

    Raises:
        BadLineError: `wrong_shape` or `unknown_encoding`.
    """
    event_id = member(record, "eventMetadata").get("eventId")
    label = member(record, "groundTruthData")
    data, encoding = label.get("data"), label.get("encoding")
    if not isinstance(event_id, str) or not event_id or not isinstance(data, str):
        raise BadLineError("wrong_shape")
    if not isinstance(encoding, str) or encoding not in _MEDIA:
        raise BadLineError("unknown_encoding")
    writable = (each.encode(errors="backslashreplace").decode() for each in (event_id, data))
    return next(writable), next(writable), _MEDIA[encoding]
