"""The compiled readers, where the project was installed with a C compiler.

They read in one pass what `uniform` and `records` read by whole columns, several times as fast. Both say the same, and
leave alone what they cannot settle: without a compiler everything works.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shadow_provider.evidence.engine.gather import Bytes, Places
from shadow_provider.evidence.engine.inspection import is_utf8
from shadow_provider.evidence.engine.shape import ANSWER, EVENT, GIVEN, INFERENCE, TIME, Shape

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

try:
    from shadow_provider.evidence.engine import _uniform
except ImportError:
    AVAILABLE = False
else:
    AVAILABLE = True

_KINDS = {GIVEN: b"p", ANSWER: b"p", EVENT: b"i", INFERENCE: b"i", TIME: b"t"}
_ESCAPES = ((1, b'"'), (2, b"n"), (4, b"r"), (8, b"t"))
_BEYOND_ASCII = 16
_SAMPLE = 'Shadow 0123456789 äß€ \\" and twelve, eight or no bytes more than that'
_agreements: dict[str, bool] = {}
"""By version of the database."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """Lines of a shape.

    Attributes:
        begins: of the lines.
        times: of the lines, in microseconds; none if the shape has no times.
        starts: where the fillings of the holes begin, by name.
        ends: where they end.
        escapes: the letters that follow a backslash anywhere.
    """

    begins: Places
    times: Places
    starts: dict[str, Places]
    ends: dict[str, Places]
    escapes: bytes


def scanned(content: Bytes, shape: Shape) -> Scanned | None:
    """The lines of some content; None if they have not all this shape, or hold what is not read so."""
    constants, sizes, kinds = _asked(shape)
    most = len(content) // (len(constants) + 1) + 1
    begins, times = np.empty(most, dtype=np.int64), np.empty(most, dtype=np.int64)
    edges = np.empty((len(kinds), 2, most), dtype=np.int64)
    count, flags = _uniform.scan(content, constants, sizes, kinds, begins, times, edges)
    if count < 0 or (flags & _BEYOND_ASCII and not is_utf8(content)):
        return None
    holes = [(name, number) for number, name in enumerate(shape.holes) if name != TIME]
    return Scanned(
        begins[:count],
        times[: count if TIME in shape.holes else 0],
        {name: edges[number, 0, :count] for name, number in holes},
        {name: edges[number, 1, :count] for name, number in holes},
        b"".join(letter for flag, letter in _ESCAPES if flags & flag),
    )


@lru_cache(maxsize=64)
def _asked(shape: Shape) -> tuple[bytes, NDArray[np.int32], bytes]:
    sizes = np.array([len(each) for each in shape.constants], dtype=np.int32)
    return b"".join(shape.constants), sizes, b"".join(_KINDS[name] for name in shape.holes)


def digests(content: Bytes, starts: Places, ends: Places) -> NDArray[np.uint64]:
    """The database's hash of parts of the content, if `digests_agree`."""
    found = np.empty(len(starts), dtype=np.uint64)
    _uniform.digests(content, starts, ends, found)
    return found


def digests_agree(cursor: "duckdb.DuckDBPyConnection") -> bool:
    """Whether they are those of the database that is installed, which does not promise how it makes them.

    Args:
        cursor: to the database, which no other thread uses.
    """
    import duckdb

    version = duckdb.__version__
    if version not in _agreements:
        samples = [_SAMPLE[:length] for length in range(len(_SAMPLE) + 1)]
        encoded = [each.encode() for each in samples]
        ends = np.cumsum([len(each) for each in encoded])
        starts = ends - [len(each) for each in encoded]
        wanted = cursor.execute("SELECT list_transform(?::VARCHAR[], lambda x: hash(x))", [samples]).fetchall()[0][0]
        found = digests(np.frombuffer(b"".join(encoded), dtype=np.uint8), starts, ends)
        _agreements[version] = found.tolist() == list(wanted)
    return _agreements[version]


def texts(content: Bytes, starts: Places, ends: Places, *, escaped: bool) -> "pa.Array":
    """Parts of the content, without their escapes."""
    import pyarrow as pa

    found = np.empty(int((ends - starts).sum()), dtype=np.uint8)
    offsets = np.empty(len(starts) + 1, dtype=np.int64)
    size = _uniform.texts(content, starts, ends, offsets, found, escaped)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(found[:size])]
    return pa.Array.from_buffers(pa.large_string(), len(starts), buffers, null_count=0)
