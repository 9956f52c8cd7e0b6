"""Lines of one shape as records in memory: compact columns, which no longer need the bytes that they were read from."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shadow_provider.comparators.arrow import column, repeated
from shadow_provider.evidence.engine import compiled
from shadow_provider.evidence.engine.gather import BACKSLASH, Bytes, Places, gathered
from shadow_provider.evidence.engine.shape import ANSWER, EVENT, GIVEN, INFERENCE
from shadow_provider.evidence.engine.uniform import Uniform

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_INLINE = 12
_DIGESTED = {INFERENCE: "inference", EVENT: "event", GIVEN: "input"}
_ESCAPES = {'\\"': '"', "\\n": "\n", "\\r": "\r", "\\t": "\t"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What records must have besides.

    Attributes:
        exact_sizes: the size of an input without its escapes; else they count as they stand in the line.
        attributes: custom attributes.
        events: the digest of the eventId.
    """

    exact_sizes: bool = False
    attributes: bool = False
    events: bool = True


@dataclass(frozen=True, slots=True)
class Origin:
    """Where lines come from, one each.

    Attributes:
        sides: 0 production, 1 shadow.
        objects: numbers of the objects.
        lines: numbers in their objects.
    """

    sides: NDArray[np.int8]
    objects: NDArray[np.int32]
    lines: NDArray[np.int32]


def schema() -> "pa.Schema":
    """Of records: what the table `certain` has."""
    import pyarrow as pa

    return pa.schema(
        [
            ("side", pa.int8()),
            ("object", pa.int32()),
            ("line", pa.int32()),
            ("time", pa.int64()),
            ("inference", pa.uint64()),
            ("event", pa.uint64()),
            ("input", pa.uint64()),
            ("text", pa.large_string()),
            ("media", pa.string()),
            ("size", pa.int32()),
            ("attributes", pa.string()),
        ]
    )


def nothing() -> "pa.Table":
    """No records."""
    import pyarrow as pa

    return pa.Table.from_batches([], schema())


def records(
    cursor: "duckdb.DuckDBPyConnection", content: Bytes, read: Uniform, origin: Origin, asked: Asked
) -> "pa.Table":
    """The records of some lines. Digests are the database's own, so that those of other readers are the same.

    Args:
        cursor: to the database, which no other thread uses.
        content: what was read.
        read: where everything stands in it.
        origin: of the lines.
        asked: what they must have besides.
    """
    import pyarrow as pa

    found = digests(cursor, content, read, [GIVEN, INFERENCE, *([EVENT] if asked.events else [])])
    unknown = pa.nulls(read.count, pa.uint64())
    return pa.Table.from_arrays(
        [
            *(column(each) for each in (origin.sides, origin.objects, origin.lines, read.times)),
            *(found.get(name, unknown) for name in _DIGESTED),
            answers(content, read),
            repeated(read.media, read.count),
            _sizes(content, read, exact=asked.exact_sizes),
            repeated(read.attributes if asked.attributes else None, read.count),
        ],
        schema=schema(),
    )


def digests(
    cursor: "duckdb.DuckDBPyConnection", content: Bytes, read: Uniform, names: list[str]
) -> "dict[str, pa.Array]":
    """Of the strings with their quotation marks, as they stand in the lines: ids have no escapes."""
    import pyarrow as pa

    names = [name for name in names if name in read.starts]
    if not names:
        return {}
    if compiled.AVAILABLE and compiled.digests_agree(cursor):
        return {name: column(compiled.digests(content, read.starts[name] - 1, read.ends[name] + 1)) for name in names}
    columns = [_views(content, read.starts[name] - 1, read.ends[name] + 1) for name in names]
    cursor.register("strings", pa.Table.from_arrays([column(np.arange(read.count)), *columns], ["row", *names]))
    found = cursor.execute(f"SELECT row, {', '.join(f'hash({name}) AS {name}' for name in names)} FROM strings")  # noqa: S608
    arrays = found.fetchnumpy()
    cursor.unregister("strings")
    # No order is promised for what a query gives.
    order = np.empty(read.count, dtype=np.int64)
    order[arrays["row"]] = np.arange(read.count)
    return {name: column(np.asarray(arrays[name], dtype=np.uint64)[order]) for name in names}


def answers(content: Bytes, read: Uniform) -> "pa.Array":
    """The answers' texts without their escapes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if ANSWER not in read.starts:
        return pa.nulls(read.count, pa.large_string())
    if compiled.AVAILABLE:
        return compiled.texts(content, read.starts[ANSWER], read.ends[ANSWER], escaped=bool(read.escapes))
    # Every other string between these edges is an answer.
    edges = np.stack((read.starts[ANSWER], read.ends[ANSWER]), axis=1)
    buffers = [None, pa.py_buffer(np.ascontiguousarray(edges)), pa.py_buffer(content)]
    between = pa.Array.from_buffers(pa.large_string(), 2 * read.count - 1, buffers, null_count=0)
    found = between.take(column(np.arange(0, 2 * read.count, 2)))
    for escape, meant in _ESCAPES.items():
        # No escape stands for a backslash, so one after the other gives the same as all at once.
        if ord(escape[1]) in read.escapes:
            found = pc.replace_substring(found, escape, meant)
    return found


def _sizes(content: Bytes, read: Uniform, *, exact: bool) -> "pa.Array":
    """Bytes of the inputs."""
    import pyarrow as pa

    if GIVEN not in read.starts:
        return pa.nulls(read.count, pa.int32())
    starts, ends = read.starts[GIVEN], read.ends[GIVEN]
    sizes = ends - starts
    if exact:
        # Each escape stands for one byte: a line of one shape has no others.
        escapes = np.flatnonzero(content == BACKSLASH)
        sizes = sizes - (np.searchsorted(escapes, ends) - np.searchsorted(escapes, starts))
    return column(sizes.astype(np.int32))


def _views(content: Bytes, starts: Places, ends: Places) -> "pa.Array":
    """Parts of the content as texts, without a copy but for the short ones."""
    import pyarrow as pa

    lengths = (ends - starts).astype(np.int32)
    views = np.zeros((len(starts), 4), dtype=np.int32)
    views[:, 0] = lengths
    last = len(content) - _INLINE
    heads = gathered(content, np.minimum(starts, last), _INLINE)
    short = lengths <= _INLINE
    for row in np.flatnonzero(starts > last).tolist():
        heads[row] = np.frombuffer(content[starts[row] : ends[row]].tobytes().ljust(_INLINE, b"\0"), dtype=np.uint8)
    if short.any():
        heads[short[:, None] & (np.arange(_INLINE) >= lengths[:, None])] = 0
    views[:, 1:] = heads.view(np.int32)
    long = ~short
    views[long, 2] = 0
    views[long, 3] = starts[long]
    return pa.Array.from_buffers(
        pa.string_view(), len(starts), [None, pa.py_buffer(views), pa.py_buffer(content)], null_count=0
    )
