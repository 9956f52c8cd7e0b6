"""From numpy to Arrow and back, for what would import pandas otherwise.

`pa.array`, `pa.scalar` and functions that are given a Python value import it wherever it is installed, which takes a
quarter of a second of each process and 60 MB.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa


def column(values: NDArray[Any], *, missing: NDArray[np.bool_] | None = None) -> "pa.Array":
    """Numbers, or whether something holds, without a copy of the numbers.

    Args:
        values: whole numbers, doubles or booleans.
        missing: where there is none; everywhere there is one if None.
    """
    import pyarrow as pa

    there = None if missing is None else _bits(~missing)
    if values.dtype == np.bool_:
        return pa.Array.from_buffers(pa.bool_(), len(values), [there, _bits(values)])
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [there, pa.py_buffer(np.ascontiguousarray(values))])


def repeated(text: str | None, count: int) -> "pa.StringArray":
    """The same text so many times."""
    import pyarrow as pa

    if text is None:
        return pa.nulls(count, pa.string())
    encoded = text.encode()
    offsets = np.arange(count + 1, dtype=np.int32) * len(encoded)
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(encoded * count)])


def filled(values: "pa.Array | pa.ChunkedArray", nothing: float) -> NDArray[Any]:
    """Numbers, and `nothing` where there is none."""
    chunks = [_filled(each, nothing) for each in _chunks(values)]
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)


def holds(values: "pa.BooleanArray") -> NDArray[np.bool_]:
    """Where it does; where that is not known it does not."""
    return _unpacked(values, 1) & _valid(values)


def valid(values: "pa.Array | pa.ChunkedArray") -> NDArray[np.bool_]:
    """Where there is one."""
    return np.concatenate([_valid(each) for each in _chunks(values)])


def only(texts: "pa.Array", chosen: NDArray[np.bool_]) -> "pa.Array":
    """Some of the texts, null elsewhere."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return texts if chosen.all() else pc.if_else(column(chosen), texts, pa.nulls(len(texts), texts.type))


def _chunks(values: "pa.Array | pa.ChunkedArray") -> "list[pa.Array]":
    import pyarrow as pa

    if not isinstance(values, pa.ChunkedArray):
        return [values]
    chunks: list[pa.Array] = values.chunks
    return chunks or [pa.nulls(0, values.type)]


def _filled(values: "pa.Array", nothing: float) -> NDArray[Any]:
    kind = values.type.to_pandas_dtype()
    if values.null_count == len(values):
        return np.full(len(values), nothing, dtype=kind)
    found = np.frombuffer(values.buffers()[1], dtype=kind)[values.offset : values.offset + len(values)]
    return found if not values.null_count else np.where(_valid(values), found, found.dtype.type(nothing))


def _valid(values: "pa.Array") -> NDArray[np.bool_]:
    if values.null_count in (0, len(values)):
        return np.full(len(values), not values.null_count)
    return _unpacked(values, 0)


def _unpacked(values: "pa.Array", buffer: int) -> NDArray[np.bool_]:
    bits = np.frombuffer(values.buffers()[buffer], dtype=np.uint8)
    every = np.unpackbits(bits, count=values.offset + len(values), bitorder="little")
    return every[values.offset :].astype(np.bool_)


def _bits(values: NDArray[np.bool_]) -> "pa.Buffer":
    import pyarrow as pa

    return pa.py_buffer(np.packbits(values, bitorder="little"))
