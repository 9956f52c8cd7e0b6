"""Numbers out of answers, many at a time.

A number has the same form everywhere: ASCII digits, one point, an exponent. No underscores, no other digits, no
hexadecimal; white space around it is allowed; NaN and infinity are not finite and so unreadable.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from shadow_provider.comparators.answers import NOT_FINITE, Reader, cells, finite, read_answers, select, usual
from shadow_provider.comparators.arrow import column, filled, only
from shadow_provider.comparators.json_shape import is_steady, like_first
from shadow_provider.comparators.label import UnreadableAnswerError, media_kind
from shadow_provider.comparators.shared_reading import read_once
from shadow_provider.comparators.spec import Selector

if TYPE_CHECKING:
    import pyarrow as pa

NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
FARTHEST_COLUMN = 50
LONGEST_QUICK = 10_000
_NUMBER = re.compile(NUMBER)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
NUMBER_KEYS = ("score", "prediction", "predicted_value", "value", "probability")


@dataclass(frozen=True)
class Ragged:
    """Lists of numbers, one a row of the batch; unreadable ones are empty.

    Attributes:
        values: of all lists, one after the other.
        offsets: where each begins, and at last where the last one ends.
        readable: which could be read.
        causes: why not, with counts.
    """

    values: NDArray[np.float64]
    offsets: NDArray[np.int64]
    readable: NDArray[np.bool_]
    causes: Counter[str]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How long each list is."""
        return np.diff(self.offsets)

    def rows(self, keep: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The values of some of the lists, one after the other."""
        return self.values if keep.all() else self.values[np.repeat(keep, self.lengths)]

    @classmethod
    def of(cls, lists: Sequence[NDArray[np.float64] | None], which: NDArray[np.int64], causes: Counter[str]) -> Self:
        """Spread lists that were read once over the rows that have them."""
        sizes = np.array([0 if each is None else len(each) for each in lists], dtype=np.int64)
        known = np.array([each is not None for each in lists], dtype=np.bool_)
        starts = np.concatenate(([0], np.cumsum(sizes)))
        pool = np.concatenate([np.zeros(0), *(each for each in lists if each is not None)])
        lengths = sizes[which] if len(which) else np.zeros(0, dtype=np.int64)
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        begin = starts[which] if len(which) else np.zeros(0, dtype=np.int64)
        places = np.arange(offsets[-1]) + np.repeat(begin - offsets[:-1], lengths)
        readable = known[which] if len(which) else np.zeros(0, dtype=np.bool_)
        return cls(pool[places], offsets, readable, causes)


def number(cell: str) -> float:
    """A cell of a CSV as a finite double.

    Raises:
        UnreadableAnswerError: it is none.
    """
    text = cell.strip(" \t\r\n")
    if not _NUMBER.fullmatch(text):
        raise UnreadableAnswerError(NOT_FINITE if _NOT_FINITE.fullmatch(text) else "no number where one is expected")
    return finite(float(text))


def _reader(selector: Selector) -> Reader[NDArray[np.float64]]:
    def read(text: str, media: str | None) -> NDArray[np.float64]:
        found = cells(text, media, selector.column, selector.path, NUMBER_KEYS)
        take = number if media_kind(media) == "csv" else finite
        return np.array([take(value) for value in found], dtype=np.float64)

    return read


def read_numbers(batch: "pa.RecordBatch", selector: Selector) -> Ragged:
    """The numbers of each answer, one a row of it.

    Answers of one line of plain CSV, and JSON answers that differ from the first in their scalars only, are read by
    regular expressions on whole columns; all others one by one, with the same result.
    """
    single, quick = _quick(batch, selector)
    slow = read_answers(batch.filter(column(~quick)), _reader(selector))
    return with_single(single, quick, Ragged.of(slow.distinct, slow.which, slow.causes))


def with_single(single: NDArray[np.float64], quick: NDArray[np.bool_], rest: Ragged) -> Ragged:
    """The lists of a batch: one number where `quick` holds, the lists of `rest` elsewhere."""
    count = len(quick)
    if quick.all() and count:
        return Ragged(single, np.arange(count + 1), quick, rest.causes)
    if not quick.any():
        return rest
    lengths = np.ones(count, dtype=np.int64)
    lengths[~quick] = rest.lengths
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    values = np.empty(offsets[-1])
    values[offsets[:-1][quick]] = single[quick]
    values[np.repeat(~quick, lengths)] = rest.values
    readable = quick.copy()
    readable[~quick] = rest.readable
    return Ragged(values, offsets, readable, rest.causes)


def _quick(batch: "pa.RecordBatch", selector: Selector) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """One number per answer where that can be had from whole columns, and for which rows it was."""
    text, kind = batch.column("text"), only_kind(batch)
    values = read_once(text, ("number", kind, selector.column, selector.path), lambda: _column(text, kind, selector))
    if values is None:
        return np.zeros(0), np.zeros(batch.num_rows, dtype=np.bool_)
    return values, np.isfinite(values)


def _column(text: "pa.Array", kind: str | None, selector: Selector) -> NDArray[np.float64] | None:
    """One number per answer, NaN where it must be read otherwise; None if all must."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = None
    if kind == "csv" and selector.column == 0:
        found = _bare_numbers(text)
    if found is None and kind == "csv" and selector.column <= FARTHEST_COLUMN:
        found = csv_cell(text, selector.column, rf"[ \t]*(?P<x>{NUMBER})[ \t]*")
    elif kind == "json" and (selector.path is None or is_steady(selector.path)):
        found = like_first(short(text), partial(find_one, path=selector.path, keys=NUMBER_KEYS), want="number")
    if found is None:
        return None
    values: NDArray[np.float64] = filled(pc.cast(found, pa.float64()), np.nan)
    return values


def _bare_numbers(texts: "pa.Array") -> "pa.Array | None":
    """Answers that are one number and no more, if all are: what Arrow takes for a finite one is one here, too."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return pc.cast(pc.utf8_rtrim(short(texts), characters="\n"), pa.float64())
    except pa.ArrowInvalid:
        return None


def csv_cell(texts: "pa.Array", column: int, cell: str) -> "pa.Array":
    """A cell of plain CSV answers of one row, by a regular expression whose group `x` is wanted; null elsewhere."""
    import pyarrow.compute as pc

    before = rf'(?:[^,"\r\n]*,){{{column}}}' if column else ""
    return pc.struct_field(pc.extract_regex(short(texts), rf'^{before}{cell}(?:,[^"\r\n]*)?(?:\r?\n)?$'), [0])


def find_one(value: Any, path: str | None, keys: tuple[str, ...]) -> Any:
    """What a path finds, or one of the usual keys without a path."""
    return usual(value, keys) if path is None else select(value, path)


def only_kind(batch: "pa.RecordBatch") -> str | None:
    """`csv` or `json` if all answers of a batch are that; None otherwise."""
    import pyarrow.compute as pc

    kinds = {media_kind(media) for media in pc.unique(batch.column("media")).to_pylist()}
    return kinds.pop() if len(kinds) == 1 else None


def short(texts: "pa.Array", longest: int = LONGEST_QUICK) -> "pa.Array":
    """The texts, null where they are long."""
    import pyarrow.compute as pc

    return only(texts, filled(pc.binary_length(texts), 0) <= longest)
