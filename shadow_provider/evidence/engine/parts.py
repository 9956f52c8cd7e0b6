"""Objects as files of bounded size, each with what its bytes alone say: whether a lenient parser may be trusted.

DuckDB's reader is fast and nearly strict. Where it is not - keys it does not know, keys that come twice, commas before
a closing bracket, odd white space - the bytes show it:

* All quotation marks that delimit strings are counted. The fast reader knows how many the fields that it found have.
  What it skipped, a second key of the same name or one that it does not know, has at least two more, and nothing has
  fewer. So equal sums over a file mean that nothing was skipped in any of its lines.
* No closing bracket comes after a comma, and there is no white space that JSON does not have.

A file in which anything is otherwise is read by the strict reader, line by line.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shadow_provider.evidence.engine.store import ReadableStore

PART_BYTES = 8 << 20
"""Objects that are larger become several files."""

LONGEST_LINE = 32 << 20
"""Of a line, in bytes; a captured payload has at most 6 MB, or 25 MB, and twice as much with its escapes."""

_STRANGE = (b"\0", b"\x0b", b"\x0c")
WINDOW_BYTES = 1 << 16
_QUOTE, _BACKSLASH, _COMMA, _CLOSING = 34, 92, 44, 125  # `}`; `]` is the same without the bit 32
_BLANKS = (9, 13, 32)


@dataclass(frozen=True, slots=True)
class Part:
    """Whole lines of one object.

    Attributes:
        file: its bytes.
        first_line: number in the object of its first line, from 1.
        lines: how many.
        size: in bytes.
        quotes: quotation marks that delimit strings.
        plain: false if it must be read strictly.
        temporary: whether the file was made for this, and goes when it has been read.
    """

    file: Path
    first_line: int
    lines: int
    size: int
    quotes: int = 0
    plain: bool = True
    temporary: bool = False

    @property
    def content(self) -> bytes:
        """Its bytes."""
        return self.file.read_bytes()

    def release(self) -> None:
        """Take the file away again if it was made for this."""
        if self.temporary:
            self.file.unlink()


@dataclass(frozen=True, slots=True)
class Oversize:
    """A line that was not kept, since it is longer than `LONGEST_LINE`."""

    line: int


def part_of(content: bytes, first_line: int, existing: Path | None, path: Path) -> Part:
    """Content in a file: the existing one if it has just this, or one that is written."""
    if existing is not None and existing.stat().st_size == len(content):
        return inspected(content, existing, first_line)
    path.write_bytes(content)
    return inspected(content, path, first_line, temporary=True)


def numbered(store: ReadableStore, key: str) -> Iterator[tuple[int, bytes] | Oversize]:
    """An object's lines, some megabytes at a time, with the number of the first of them."""
    first_line = 1
    for content in _pieces(store, key):
        if content is None:
            yield Oversize(first_line)
            first_line += 1
        else:
            yield first_line, content
            first_line += content.count(b"\n")


def _pieces(store: ReadableStore, key: str) -> Iterator[bytes | None]:
    """Whole lines, some megabytes at a time; None for a line that is too long."""
    rest, dropping = b"", False
    with store.opened(key) as body:
        while chunk := body.read(PART_BYTES):
            if dropping:
                _, found, chunk = chunk.partition(b"\n")
                dropping = not found
                if dropping:
                    continue
            chunk = rest + chunk if rest else chunk
            end = chunk.rfind(b"\n") + 1
            # Most objects are one chunk of whole lines, which is not copied.
            rest = chunk[end:]
            if end:
                yield from _within_length(chunk if not rest else chunk[:end])
            if len(rest) > LONGEST_LINE:
                yield None
                rest, dropping = b"", True
    if rest:
        yield rest


def _within_length(lines: bytes) -> Iterator[bytes | None]:
    """The same; but its first line, which may be the end of a long one, if it is too long."""
    first = lines.find(b"\n") + 1
    if first <= LONGEST_LINE:
        yield lines
        return
    yield None
    if first < len(lines):
        yield lines[first:]


def inspected(content: bytes, path: Path, first_line: int = 1, *, temporary: bool = False) -> Part:
    """What the bytes say."""
    plain = len(content) <= 2 * PART_BYTES and not any(each in content for each in _STRANGE)
    quotes, closes_well = _quotes(content) if plain else (0, True)
    lines = content.count(b"\n") + (not content.endswith(b"\n"))
    return Part(path, first_line, lines, len(content), quotes, plain and closes_well, temporary)


def _quotes(content: bytes) -> tuple[int, bool]:
    """Unescaped quotation marks, and whether no closing bracket comes after a comma."""
    values = np.frombuffer(content, dtype=np.uint8)
    quotes = 0
    for at in range(0, len(values), WINDOW_BYTES):
        here = values[at : at + WINDOW_BYTES]
        before = values[at - 1 : at - 1 + len(here)] if at else np.concatenate((values[:1] * 0, here[:-1]))
        after_backslash = before == _BACKSLASH
        if (after_backslash & (here == _BACKSLASH)).any():
            # Pairs of backslashes go, from the left, as a parser reads them: then a mark after one is an escaped one.
            return _quotes(content.replace(b"\\\\", b""))
        marks = here == _QUOTE
        quotes += int(np.count_nonzero(marks)) - int(np.count_nonzero(marks & after_backslash))
        closing = np.flatnonzero((here | 32) == _CLOSING) + at
        if _after_comma(values, closing):
            return quotes, False
    return quotes, True


def _after_comma(values: np.ndarray, closing: np.ndarray) -> bool:
    places = closing[closing > 0] - 1
    while len(places):
        found = values[places]
        if (found == _COMMA).any():
            return True
        places = places[np.isin(found, _BLANKS) & (places > 0)] - 1
    return False
