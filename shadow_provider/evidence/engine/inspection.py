"""What must hold for each byte of lines before they are read by their shape."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shadow_provider.evidence.engine.gather import BACKSLASH, QUOTE, Bytes, Places

_WINDOW = 1 << 17
"""Bytes that are looked at a time: they stay in a processor's cache from one question to the next."""

_LINE_FEED, _LEAST_PRINTABLE = 10, 32
_ESCAPES = b"nrt"
"""That may follow a backslash besides a quotation mark: of these a string has but one way to be written."""

_SPARSE = 100


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of text in which nothing but line feeds, printable characters and the usual escapes stands.

    Attributes:
        ends: where their line feeds are; of the last one, where the content ends if it has none.
        quotes: quotation marks that are not escaped.
        escapes: the letters that follow a backslash anywhere.
    """

    ends: Places
    quotes: int
    escapes: bytes

    @property
    def begins(self) -> Places:
        """Where they begin."""
        return np.concatenate((np.zeros(1, dtype=np.int64), self.ends[:-1] + 1))


def lines_of(content: Bytes) -> Lines | None:
    """The lines of some content that is not empty.

    None if there are control characters, escapes of other kinds or something that is not UTF-8.
    """
    ends: list[Places] = []
    quotes = 0
    escapes: set[int] = set()
    ascii_only = True
    for at in range(0, len(content), _WINDOW):
        here = content[at : at + _WINDOW]
        # What is not ASCII has the highest bit, and is less than all in a signed byte.
        controls = np.flatnonzero(here.view(np.int8) < _LEAST_PRINTABLE)
        found = here[controls]
        if not (found == _LINE_FEED).all():
            ascii_only = False
            controls = controls[found < _LEAST_PRINTABLE]
            if not (here[controls] == _LINE_FEED).all():
                return None
        ends.append(controls + at)
        marks = content[at : at + _WINDOW + 1] == QUOTE
        quotes += int(np.count_nonzero(marks[: len(here)]))
        backslashes = here == BACKSLASH
        count = int(np.count_nonzero(backslashes))
        if count:
            counts = _escaped(content, backslashes, marks, at, count)
            quotes -= counts.get(QUOTE, 0)
            escapes |= counts.keys()
            if sum(counts.values()) != count:
                return None
    if content[-1] == BACKSLASH or not (ascii_only or is_utf8(content)):
        return None
    if content[-1] != _LINE_FEED:
        ends.append(np.array([len(content)]))
    return Lines(np.concatenate(ends), quotes, bytes(sorted(escapes)))


def _escaped(
    content: Bytes, backslashes: NDArray[np.bool_], marks: NDArray[np.bool_], at: int, count: int
) -> dict[int, int]:
    """How many of a window's backslashes are before which of the letters that may follow one."""
    if count * _SPARSE < len(backslashes):
        following = content[np.minimum(np.flatnonzero(backslashes) + at + 1, len(content) - 1)]
        counts = {letter: int(np.count_nonzero(following == letter)) for letter in (QUOTE, *_ESCAPES)}
    else:
        before = backslashes[: len(marks) - 1]
        counts = {QUOTE: int(np.count_nonzero(before & marks[1:]))}
        following = content[at + 1 : at + 1 + len(before)]
        for letter in _ESCAPES:
            if sum(counts.values()) == count:
                break
            counts[letter] = int(np.count_nonzero(before & (following == letter)))
    return {letter: found for letter, found in counts.items() if found}


def is_utf8(content: Bytes) -> bool:
    """Whether it is text."""
    try:
        str(content.data, "utf-8")
    except UnicodeDecodeError:
        return False
    return True
