"""Many places of one content at once: each is looked at by whole columns, not one after the other."""

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]
Bytes = NDArray[np.uint8]

QUOTE, BACKSLASH = 34, 92
_SEARCHED = 1 << 14
_GATHERED = 1 << 18
"""Bytes that are gathered at a time: more would not stay in a processor's cache."""


def gathered(content: Bytes, starts: Places, width: int) -> Bytes:
    """A row of so many bytes from each start."""
    windows: NDArray[np.void] = np.ndarray((len(content) - width + 1,), f"V{width}", content, 0, (1,))
    return windows[starts].view(np.uint8).reshape(-1, width)


def within(content: Bytes, starts: Places, width: int) -> bool:
    """Whether so many bytes from each start are in the content."""
    return width <= len(content) and int(starts.min()) >= 0 and int(starts.max()) + width <= len(content)


def rows_at_a_time(width: int) -> int:
    """How many rows of so many bytes are gathered together."""
    return max(1, _GATHERED // max(1, width))


def equal(content: Bytes, starts: Places, constant: bytes) -> bool:
    """Whether the constant stands at every place."""
    width = len(constant)
    if not within(content, starts, width):
        return False
    wanted = np.frombuffer(constant, dtype=np.uint8)
    step = rows_at_a_time(width)
    return all(
        bool((gathered(content, starts[at : at + step], width) == wanted).all()) for at in range(0, len(starts), step)
    )


def follow_backslash(content: Bytes, places: Places) -> bool:
    """Whether a backslash is before any of the places."""
    return bool((content[places - 1] == BACKSLASH).any())


def opening(content: Bytes, ends: Places, width: int) -> Places | None:
    """Behind an unescaped quotation mark before each end; None if there is none near enough anywhere.

    It is the last one, or one about as far away as was guessed.

    Args:
        content: all of it.
        ends: places in it.
        width: a guess how far away it is.
    """
    found = np.full(len(ends), -1, dtype=np.int64)
    missing = np.arange(len(ends))
    about = width // 4 + 32
    near, reach = max(0, width - about), min(width + about, _SEARCHED)
    while near < reach:
        step = rows_at_a_time(reach - near)
        for at in range(0, len(missing), step):
            rows = missing[at : at + step]
            found[rows] = _opening_within(content, ends[rows] - near, reach - near)
        missing = np.flatnonzero(found < 0)
        if not len(missing):
            return found
        if reach == _SEARCHED and not near:
            break
        near, reach = 0, min(reach * 8, _SEARCHED)
    return None


def _opening_within(content: Bytes, ends: Places, reach: int) -> Places:
    if int(ends.min()) < reach or len(content) < reach:
        # Near the beginning of the content there is less to look at.
        return np.array([_opening_one(content, int(end), reach) for end in ends], dtype=np.int64)
    rows = gathered(content, ends - reach, reach)
    marks = rows[:, 1:] == QUOTE
    marks &= rows[:, :-1] != BACKSLASH
    last = np.argmax(marks[:, ::-1], axis=1)
    return np.where(marks.any(axis=1), ends - last, -1)


def _opening_one(content: Bytes, end: int, reach: int) -> int:
    first = max(0, end - reach)
    here = content[first:end].tobytes()
    at = here.rfind(b'"')
    while at > 0 and here[at - 1] == BACKSLASH:
        at = here.rfind(b'"', 0, at)
    return first + at + 1 if at >= 0 else -1
