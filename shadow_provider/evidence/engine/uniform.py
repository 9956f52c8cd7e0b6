"""Lines of one shape, read by whole columns straight from their bytes.

Nearly all lines of an object differ in a few strings only. That this is so is checked for each byte, which is much
cheaper than parsing: the bytes around the holes are those of a line that was read strictly; there are no more
quotation marks than these have; nothing in the holes but the inside of JSON strings. Content of which any line is
otherwise is not read here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from shadow_provider.evidence.engine import compiled
from shadow_provider.evidence.engine.gather import (
    BACKSLASH,
    Bytes,
    Places,
    equal,
    follow_backslash,
    gathered,
    opening,
    rows_at_a_time,
    within,
)
from shadow_provider.evidence.engine.inspection import Lines, lines_of
from shadow_provider.evidence.engine.instants import instants
from shadow_provider.evidence.engine.shape import EVENT, INFERENCE, LONGEST, TIME, Run, Shape, learned

TIME_WIDTH = 20
_LONGEST_ID = 1 << 8
_KNOWN = 8

Edges = tuple[dict[str, Places], dict[str, Places]]
"""Where the fillings of holes begin and end, by name."""


@dataclass(frozen=True, slots=True)
class Uniform:
    """The lines of some content.

    Attributes:
        begins: of the lines.
        times: of the lines, in microseconds; none if the shape has no times.
        starts: where the fillings of the holes begin, by name.
        ends: where they end.
        media: of the answers.
        attributes: the custom attributes of all of them.
        escapes: the letters that follow a backslash anywhere.
    """

    begins: Places
    times: Places
    starts: dict[str, Places]
    ends: dict[str, Places]
    media: str | None
    attributes: str | None
    escapes: bytes

    @property
    def count(self) -> int:
        """Lines."""
        return len(self.begins)


class Shapes:
    """The shapes met so far, which the next content may well have. Threads may share them.

    Args:
        learn: makes a shape of a line; None if the line is not one that is read by its shape.
    """

    def __init__(self, learn: Callable[[bytes], Shape | None] = learned) -> None:
        self._learn = learn
        self._known: tuple[Shape, ...] = ()

    def read(self, content: Bytes) -> Uniform | None:
        """The lines of some content; None if they have not one shape."""
        fitted = _reader(content) if len(content) else None
        if fitted is None:
            return None
        for shape in self._known:
            read = fitted(shape)
            if read is not None:
                return read
        first_line, *_ = content[: LONGEST + 1].tobytes().partition(b"\n")
        shape_learned = self._learn(first_line)
        if shape_learned is None:
            return None
        read = fitted(shape_learned)
        if read is not None:
            self._known = (shape_learned, *self._known)[:_KNOWN]
        return read


def _reader(content: Bytes) -> Callable[[Shape], Uniform | None] | None:
    """What reads the lines of some content by a shape; None if nothing can."""
    if compiled.AVAILABLE:
        return partial(_scanned, content)
    lines = lines_of(content)
    return None if lines is None else partial(_fitted, content, lines)


def _scanned(content: Bytes, shape: Shape) -> Uniform | None:
    found = compiled.scanned(content, shape)
    if found is None:
        return None
    return Uniform(found.begins, found.times, found.starts, found.ends, shape.media, shape.attributes, found.escapes)


def _fitted(content: Bytes, lines: Lines, shape: Shape) -> Uniform | None:
    """The holes of all lines: at once where only payloads differ in their widths, else one by one."""
    if lines.quotes != shape.quotes * len(lines.ends):
        return None
    edges = _by_runs(content, lines, shape)
    if edges is None:
        edges = _one_by_one(content, lines, shape)
        if edges is None or not _usable(content, edges, escaped=bool(lines.escapes)):
            return None
    starts, ends = edges
    times: Places | None = np.empty(0, dtype=np.int64)
    if TIME in starts:
        times = _times(content, starts.pop(TIME))
        ends.pop(TIME)
    if times is None:
        return None
    return Uniform(lines.begins, times, starts, ends, shape.media, shape.attributes, lines.escapes)


def _by_runs(content: Bytes, lines: Lines, shape: Shape) -> Edges | None:
    """The holes of all lines, from the last payload to the first."""
    first, *others = shape.runs
    starts: dict[str, Places] = {}
    ends: dict[str, Places] = {}
    begins, end = lines.begins, lines.ends
    for run, number in zip(reversed(others), reversed(shape.payloads), strict=True):
        at = end - run.width
        if not _fits(content, at, run, starts, ends, escaped=bool(lines.escapes)) or follow_backslash(content, at):
            return None
        name, end = shape.holes[number], at
        found = opening(content, at, shape.widths[number]) if number != shape.payloads[0] else begins + first.width
        if found is None or (found > at).any():
            return None
        starts[name], ends[name], end = found, at, found
    if not others and (begins + first.width != end).any():
        return None
    return (starts, ends) if _fits(content, begins, first, starts, ends, escaped=bool(lines.escapes)) else None


def _fits(
    content: Bytes, at: Places, run: Run, starts: dict[str, Places], ends: dict[str, Places], *, escaped: bool
) -> bool:
    """Whether the run stands at all places, with usable fillings of its holes, which are added."""
    if not within(content, at, run.width):
        return False
    for name, offset, width in run.holes:
        if width != TIME_WIDTH if name == TIME else not 0 < width <= _LONGEST_ID:
            return False
        starts[name] = at + offset
        ends[name] = starts[name] + width
    step = rows_at_a_time(run.width)
    for number in range(0, len(at), step):
        rows = gathered(content, at[number : number + step], run.width)
        if escaped:
            for _, offset, width in run.holes:
                if (rows[:, offset : offset + width] == BACKSLASH).any():
                    return False
        rows ^= run.pattern
        rows &= run.fixed
        if rows.any():
            return False
    return True


def _one_by_one(content: Bytes, lines: Lines, shape: Shape) -> Edges | None:
    """The holes of all lines, from the last one to the first."""
    at = lines.ends - len(shape.constants[-1])
    starts: dict[str, Places] = {}
    ends: dict[str, Places] = {}
    if not equal(content, at, shape.constants[-1]):
        return None
    for number in range(len(shape.holes) - 1, -1, -1):
        name, constant = shape.holes[number], shape.constants[number]
        end = at
        if number:
            begin = end - shape.widths[number]
            if not equal(content, begin - len(constant), constant):
                found = None if name == TIME else opening(content, end, shape.widths[number])
                if found is None or not equal(content, found - len(constant), constant):
                    return None
                begin = found
        else:
            begin = lines.begins + len(constant)
            if not equal(content, lines.begins, constant):
                return None
        if (begin > end).any() or follow_backslash(content, end):
            return None
        starts[name], ends[name] = begin, end
        at = begin - len(constant)
    return starts, ends


def _usable(content: Bytes, edges: Edges, *, escaped: bool) -> bool:
    """Whether times have their usual width, and ids are not empty and without escapes."""
    starts, ends = edges
    ids = [name for name in (EVENT, INFERENCE) if name in starts]
    return (
        (TIME not in starts or bool((ends[TIME] - starts[TIME] == TIME_WIDTH).all()))
        and all(bool((ends[name] > starts[name]).all()) for name in ids)
        and not (escaped and _escapes_in(content, edges, ids))
    )


def _escapes_in(content: Bytes, edges: Edges, names: Sequence[str]) -> bool:
    """Whether any of the fillings has one; also true of fillings that are very long."""
    starts, ends = edges
    for name in names:
        width = int((ends[name] - starts[name]).max())
        if width > _LONGEST_ID:
            return True
        # The end of the content is too near for a row of full width behind some of them: all are taken from before.
        rows = gathered(content, np.maximum(ends[name] - width, 0), width)
        after_start = np.arange(width) >= width - (ends[name] - starts[name])[:, None]
        if ((rows == BACKSLASH) & after_start).any():
            return True
    return False


def _times(content: Bytes, starts: Places) -> Places | None:
    """The times that begin there; one that equals the time before it is read with that."""
    rows = gathered(content, starts, TIME_WIDTH)
    changes = np.ones(len(rows), dtype=np.bool_)
    changes[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    read = instants(rows[changes])
    return None if read is None else read[np.cumsum(changes) - 1]
