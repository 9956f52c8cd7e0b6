"""Lines of one shape, read by whole columns straight from their bytes.

Nearly all lines of an object differ in a few strings only. That this is so is checked for each byte, which is much
cheaper than parsing: the bytes around the holes are those of a line that was read strictly; there are no more
quotation marks than these have; nothing in the holes but the inside of JSON strings. An object of which any line is
otherwise is not read here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shadow_provider.evidence.engine.instants import instants
from shadow_provider.evidence.engine.shape import ANSWER, EVENT, GIVEN, INFERENCE, TIME, Shape, learned

if TYPE_CHECKING:
    import pyarrow as pa

Places = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]

_WINDOW = 1 << 17
_QUOTE, _BACKSLASH, _LINE_FEED, _LEAST_PRINTABLE = 34, 92, 10, 32
_ESCAPES = b"nrt"
"""That may follow a backslash besides a quotation mark: of these a string has but one way to be written."""

_INLINE = 12
_SEARCHED = 1 << 14
_GATHERED = 1 << 22
_LONGEST_ID = 1 << 8
_KNOWN = 8
_SPARSE = 100
_KEPT = (INFERENCE, EVENT, GIVEN, ANSWER)
TIME_WIDTH = 20


@dataclass(frozen=True, slots=True)
class Uniform:
    """The lines of an object.

    Attributes:
        times: of the lines, in microseconds.
        starts: where the fillings of the holes begin, by name, with the quotation mark before.
        ends: where they end, with the quotation mark after.
        media: of the answers.
        attributes: the custom attributes of all of them.
    """

    times: Places
    starts: dict[str, Places]
    ends: dict[str, Places]
    media: str | None
    attributes: str | None

    @property
    def count(self) -> int:
        """Lines."""
        return len(self.times)

    def columns(
        self, content: bytes, first_line: int, *, exact_sizes: bool = False, attributes: bool = False
    ) -> "list[pa.Array]":
        """Those of `uniform_fields`.

        Args:
            content: what was read; the strings are parts of it, not copies.
            first_line: the number of its first line.
            exact_sizes: whether the size of an input is that without its escapes.
            attributes: whether custom attributes are given.
        """
        import pyarrow as pa

        columns = [
            pa.array(np.arange(first_line, first_line + self.count, dtype=np.int32)),
            pa.array(self.times),
            pa.repeat(pa.scalar(self.media, pa.string()), self.count),
            self._sizes(content, exact=exact_sizes),
            pa.repeat(pa.scalar(self.attributes if attributes else None, pa.string()), self.count),
        ]
        for name in _KEPT:
            if name not in self.starts:
                columns.append(pa.nulls(self.count, pa.string_view()))
                continue
            inner = 1 if name == ANSWER else 0
            columns.append(_views(content, self.starts[name] + inner, self.ends[name] - inner))
        return columns

    def _sizes(self, content: bytes, *, exact: bool) -> "pa.Array":
        """Bytes of the inputs."""
        import pyarrow as pa

        if GIVEN not in self.starts:
            return pa.nulls(self.count, pa.int32())
        starts, ends = self.starts[GIVEN], self.ends[GIVEN]
        sizes = ends - starts - 2
        if exact:
            # Each escape stands for one byte: a line of one shape has no others.
            escapes = np.flatnonzero(np.frombuffer(content, dtype=np.uint8) == _BACKSLASH)
            sizes = sizes - (np.searchsorted(escapes, ends) - np.searchsorted(escapes, starts))
        return pa.array(sizes.astype(np.int32))


def uniform_fields() -> "list[pa.Field]":
    """Line, time, media type, size, attributes; raw ids and raw input with their quotation marks, the answer."""
    import pyarrow as pa

    numbers = [pa.field("line", pa.int32()), pa.field("time", pa.int64()), pa.field("media", pa.string())]
    numbers += [pa.field("size", pa.int32()), pa.field("attributes", pa.string())]
    return [*numbers, *(pa.field(name, pa.string_view()) for name in _KEPT)]


class Shapes:
    """The shapes met so far, which the next content may well have. Threads may share them."""

    def __init__(self) -> None:
        self._known: tuple[Shape, ...] = ()

    def read(self, content: bytes) -> Uniform | None:
        """The lines of some content; None if they have not one shape."""
        found = _inspected(content) if content else None
        if found is None:
            return None
        lines, quotes, escaped = found
        for shape in self._known:
            read = _fitted(content, lines, quotes, shape, escaped=escaped)
            if read is not None:
                return read
        shape_learned = learned(content[: int(lines[0])])
        if shape_learned is None:
            return None
        read = _fitted(content, lines, quotes, shape_learned, escaped=escaped)
        if read is not None:
            self._known = (shape_learned, *self._known)[:_KNOWN]
        return read


def _inspected(content: bytes) -> tuple[Places, int, bool] | None:
    """Ends of the lines, unescaped quotation marks, and whether anything is escaped.

    None if there are control characters, escapes of other kinds or something that is not UTF-8.
    """
    values = np.frombuffer(content, dtype=np.uint8)
    ends: list[Places] = []
    quotes = escapes = 0
    for at in range(0, len(values), _WINDOW):
        here = values[at : at + _WINDOW]
        controls = np.flatnonzero(here < _LEAST_PRINTABLE)
        if (here[controls] != _LINE_FEED).any():
            return None
        ends.append(controls + at)
        marks = values[at : at + _WINDOW + 1] == _QUOTE
        quotes += int(np.count_nonzero(marks[: len(here)]))
        backslashes = here == _BACKSLASH
        count = int(np.count_nonzero(backslashes))
        if count:
            escapes += count
            marked, good = _escapes(values, backslashes, marks, at, count)
            quotes -= marked
            if not good:
                return None
    if content.endswith(b"\\") or not _is_utf8(content):
        return None
    if not content.endswith(b"\n"):
        ends.append(np.array([len(content)]))
    return np.concatenate(ends), quotes, escapes > 0


def _escapes(values: Bytes, backslashes: Bools, marks: Bools, at: int, count: int) -> tuple[int, bool]:
    """How many backslashes of a window are before quotation marks, and whether all others are before other letters."""
    if count * _SPARSE < len(backslashes):
        following = values[np.minimum(np.flatnonzero(backslashes) + at + 1, len(values) - 1)]
        marked = int(np.count_nonzero(following == _QUOTE))
        return marked, marked + sum(int(np.count_nonzero(following == letter)) for letter in _ESCAPES) == count
    before = backslashes[: len(marks) - 1]
    marked = found = int(np.count_nonzero(before & marks[1:]))
    following = values[at + 1 : at + 1 + len(before)]
    for letter in _ESCAPES:
        if found == count:
            break
        found += int(np.count_nonzero(before & (following == letter)))
    return marked, found == count


def _is_utf8(content: bytes) -> bool:
    if content.isascii():
        return True
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _fitted(content: bytes, lines: Places, quotes: int, shape: Shape, *, escaped: bool) -> Uniform | None:
    """The holes of all lines, from the last one to the first."""
    if quotes != shape.quotes * len(lines):
        return None
    begins = np.concatenate(([0], lines[:-1] + 1))
    at = lines - len(shape.constants[-1])
    starts: dict[str, Places] = {}
    ends: dict[str, Places] = {}
    if not _equal(content, at, shape.constants[-1]):
        return None
    for number in range(len(shape.holes) - 1, -1, -1):
        name, constant = shape.holes[number], shape.constants[number]
        end = at
        if number:
            begin = end - shape.widths[number]
            if not _equal(content, begin - len(constant), constant):
                found = None if name == TIME else _opening(content, end, shape.widths[number])
                if found is None or not _equal(content, found - len(constant), constant):
                    return None
                begin = found
        else:
            begin = begins + len(constant)
            if not _equal(content, begins, constant):
                return None
        if (begin > end).any() or _follow_backslash(content, end):
            return None
        starts[name], ends[name] = begin - 1, end + 1
        at = begin - len(constant)
    ids = [name for name in (EVENT, INFERENCE) if name in starts]
    if not _usable(starts, ends, ids) or (
        escaped and not all(_no_escapes(content, starts[name], ends[name]) for name in ids)
    ):
        return None
    times = instants(_gathered(content, starts.pop(TIME) + 1, TIME_WIDTH))
    ends.pop(TIME)
    return None if times is None else Uniform(times, starts, ends, shape.media, shape.attributes)


def _usable(starts: dict[str, Places], ends: dict[str, Places], ids: Sequence[str]) -> bool:
    """Whether times have their usual width and no id is empty."""
    return bool((ends[TIME] - starts[TIME] == TIME_WIDTH + 2).all()) and all(
        bool((ends[name] - starts[name] > 2).all()) for name in ids
    )


def _no_escapes(content: bytes, starts: Places, ends: Places) -> bool:
    """Whether ids have none; false also of ids that are very long."""
    width = int((ends - starts).max())
    if width > _LONGEST_ID:
        return False
    rows = _gathered(content, np.minimum(starts, len(content) - width), width)
    before_end = np.arange(width) < (ends - starts)[:, None]
    last = any(b"\\" in content[starts[row] : ends[row]] for row in np.flatnonzero(starts > len(content) - width))
    return not last and not ((rows == _BACKSLASH) & before_end).any()


def _follow_backslash(content: bytes, places: Places) -> bool:
    values = np.frombuffer(content, dtype=np.uint8)
    return bool((values[places - 1] == _BACKSLASH).any())


def _windows(content: bytes, width: int) -> NDArray[np.void]:
    """All runs of that many bytes, by where they begin."""
    return np.ndarray((len(content) - width + 1,), f"V{width}", content, 0, (1,))


def _gathered(content: bytes, starts: Places, width: int) -> Bytes:
    """A row of so many bytes from each start."""
    return _windows(content, width)[starts].view(np.uint8).reshape(-1, width)


def _equal(content: bytes, starts: Places, constant: bytes) -> bool:
    """Whether the constant stands at every place."""
    width = len(constant)
    if int(starts.min()) < 0 or int(starts.max()) + width > len(content):
        return False
    wanted = np.frombuffer(constant, dtype=np.uint8)
    step = max(1, _GATHERED // width)
    return all(
        bool((_gathered(content, starts[at : at + step], width) == wanted).all()) for at in range(0, len(starts), step)
    )


def _opening(content: bytes, ends: Places, width: int) -> Places | None:
    """Behind the last unescaped quotation mark before each end; None if it is too far away anywhere."""
    found = np.full(len(ends), -1, dtype=np.int64)
    missing = np.arange(len(ends))
    reach = min(width + width // 4 + 32, _SEARCHED)
    while True:
        step = max(1, _GATHERED // reach)
        for at in range(0, len(missing), step):
            rows = missing[at : at + step]
            found[rows] = _opening_within(content, ends[rows], reach)
        missing = np.flatnonzero(found < 0)
        if not len(missing):
            return found
        if reach == _SEARCHED:
            return None
        reach = min(reach * 8, _SEARCHED)


def _opening_within(content: bytes, ends: Places, reach: int) -> Places:
    if int(ends.min()) < reach or len(content) < reach:
        # Near the beginning of the content there is less to look at.
        return np.array([_opening_one(content, int(end), reach) for end in ends], dtype=np.int64)
    rows = _gathered(content, ends - reach, reach)
    marks = rows[:, 1:] == _QUOTE
    marks &= rows[:, :-1] != _BACKSLASH
    last = np.argmax(marks[:, ::-1], axis=1)
    return np.where(marks.any(axis=1), ends - last, -1)


def _opening_one(content: bytes, end: int, reach: int) -> int:
    at = content.rfind(b'"', max(0, end - reach), end)
    while at > 0 and content[at - 1] == _BACKSLASH:
        at = content.rfind(b'"', max(0, end - reach), at)
    return at + 1 if at >= 0 else -1


def _views(content: bytes, starts: Places, ends: Places) -> "pa.Array":
    """Parts of the content as texts, without a copy but for the short ones."""
    import pyarrow as pa

    lengths = (ends - starts).astype(np.int32)
    views = np.zeros((len(starts), 4), dtype=np.int32)
    views[:, 0] = lengths
    last = len(content) - _INLINE
    heads = _gathered(content, np.minimum(starts, last), _INLINE)
    short = lengths <= _INLINE
    for row in np.flatnonzero(starts > last).tolist():
        heads[row] = np.frombuffer(content[starts[row] : ends[row]].ljust(_INLINE, b"\0"), dtype=np.uint8)
    heads[short[:, None] & (np.arange(_INLINE) >= lengths[:, None])] = 0
    views[:, 1:] = heads.view(np.int32)
    long = ~short
    views[long, 2] = 0
    views[long, 3] = starts[long]
    return pa.Array.from_buffers(
        pa.string_view(), len(starts), [None, pa.py_buffer(views), pa.py_buffer(content)], null_count=0
    )
