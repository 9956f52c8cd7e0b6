"""Rows of numbers out of answers: embeddings, probabilities of classes."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shadow_provider.comparators.answers import csv_rows, documents, finite, read_answers, select
from shadow_provider.comparators.arrow import column, filled, repeated
from shadow_provider.comparators.json_shape import is_steady, like_first
from shadow_provider.comparators.label import ROW_KEYS, UnreadableAnswerError
from shadow_provider.comparators.numbers import NUMBER, number, only_kind, short
from shadow_provider.comparators.paired import Bools, Floats
from shadow_provider.comparators.spec import VectorSelector

if TYPE_CHECKING:
    import pyarrow as pa

VECTOR_KEYS = ("embedding", "embeddings", "vector", "vectors", "probabilities", "scores")
LONGEST_QUICK = 1_000_000
_JSON_NUMBER = r"^[ \t\r\n]*-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?[ \t\r\n]*$"
_CSV_NUMBER = rf"^[ \t]*{NUMBER}[ \t]*$"

Named = tuple[str, ...] | None
"""Names of a row's values, sorted; None for a list without names."""
Row = tuple[Named, Floats]


@dataclass(frozen=True)
class Vectors:
    """Rows of values, some for each answer.

    Attributes:
        values: of all rows, one after the other.
        offsets: where each row begins, and at last where the last one ends.
        owner: for each row, the answer it belongs to.
        names: for each row, a number that equal names share; 0 for a list.
        readable: for each answer, whether it could be read.
        causes: why not, with counts.
    """

    values: Floats
    offsets: NDArray[np.int64]
    owner: NDArray[np.int64]
    names: NDArray[np.int64]
    readable: Bools
    causes: Counter[str]

    @property
    def rows_of(self) -> NDArray[np.int64]:
        """How many rows each answer has."""
        return np.bincount(self.owner, minlength=len(self.readable))


def read_vectors(batch: "pa.RecordBatch", selector: VectorSelector, names: dict[Named, int]) -> Vectors:
    """The rows of values of each answer.

    Args:
        batch: the answers.
        selector: where the values stand.
        names: gives equal names equal numbers, and remembers them; both sides must share it.
    """
    names.setdefault(None, 0)
    lists, quick = _quick(batch, selector)
    slow = read_answers(batch.filter(column(~quick)), partial(_rows, selector=selector))
    rows: list[Row] = []
    owner: list[int] = []
    for answer, place in zip(np.flatnonzero(~quick).tolist(), slow.which.tolist(), strict=True):
        found = slow.distinct[place] or []
        rows += found
        owner += [answer] * len(found)
    readable = quick.copy()
    readable[~quick] = slow.readable
    owners = np.concatenate((np.flatnonzero(quick), np.array(owner, dtype=np.int64)))
    quick_values, quick_sizes = lists
    sizes = np.concatenate((quick_sizes, np.array([len(row) for _, row in rows], dtype=np.int64)))
    values = np.concatenate([quick_values, *(row for _, row in rows)])
    codes = np.array([0] * len(quick_sizes) + [names.setdefault(name, len(names)) for name, _ in rows], dtype=np.int64)
    return _in_order(values, sizes, owners, codes, readable, slow.causes)


def _in_order(
    values: Floats,
    sizes: NDArray[np.int64],
    owners: NDArray[np.int64],
    codes: NDArray[np.int64],
    readable: Bools,
    causes: Counter[str],
) -> Vectors:
    starts = np.concatenate(([0], np.cumsum(sizes)))
    order = np.argsort(owners, kind="stable")
    if not np.array_equal(order, np.arange(len(order))):
        values = values[_places(starts[:-1][order], sizes[order])]
        sizes, owners, codes = sizes[order], owners[order], codes[order]
    return Vectors(values, np.concatenate(([0], np.cumsum(sizes))), owners, codes, readable, causes)


def _places(starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    ends = np.cumsum(sizes)
    places: NDArray[np.int64] = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - sizes), sizes)
    return places


@dataclass(frozen=True)
class RowPairs:
    """Rows of both sides that stand against each other.

    Attributes:
        owner: for each, the pair it belongs to.
        same: whether both have equally many values and equal names.
        production: number of the row on production's side.
        shadow: on the candidate's.
        comparable: for each pair, whether it is readable and has equally many rows.
    """

    owner: NDArray[np.int64]
    same: Bools
    production: NDArray[np.int64]
    shadow: NDArray[np.int64]
    comparable: Bools


def row_pairs(left: Vectors, right: Vectors) -> RowPairs:
    """Put the rows of both sides against each other."""
    comparable = left.readable & right.readable & (left.rows_of == right.rows_of)
    one, other = np.flatnonzero(comparable[left.owner]), np.flatnonzero(comparable[right.owner])
    lengths = np.diff(left.offsets)[one], np.diff(right.offsets)[other]
    same = (lengths[0] == lengths[1]) & (left.names[one] == right.names[other])
    return RowPairs(left.owner[one], same, one, other, comparable)


def matrices(vectors: Vectors, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Rows of equal length together, as a matrix: places in `rows`, and their values."""
    sizes = np.diff(vectors.offsets)[rows]
    for size in np.unique(sizes).tolist():
        places = np.flatnonzero(sizes == size)
        starts = vectors.offsets[:-1][rows[places]]
        yield places, vectors.values[starts[:, None] + np.arange(size)]


def _quick(batch: "pa.RecordBatch", selector: VectorSelector) -> tuple[tuple[Floats, NDArray[np.int64]], Bools]:
    """One list per answer where that can be had from whole columns: values and lengths, and for which answers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text, kind = short(batch.column("text"), LONGEST_QUICK), only_kind(batch)
    nothing = (np.zeros(0), np.zeros(0, dtype=np.int64)), np.zeros(batch.num_rows, dtype=np.bool_)
    if kind == "csv":
        found = pc.struct_field(pc.extract_regex(text, r'^(?P<x>[^"\r\n]*)(?:\r?\n)?$'), [0])
        pattern = _CSV_NUMBER
    elif kind == "json" and selector.path is not None and is_steady(selector.path):
        found = like_first(text, partial(select, path=selector.path), want="numbers")
        pattern = _JSON_NUMBER
    else:
        return nothing
    if found is None:
        return nothing
    lists = pc.split_pattern(pc.coalesce(found, repeated("", len(found)).cast(found.type)), ",")
    sizes = filled(pc.list_value_length(lists), 0).astype(np.int64)
    cells = pc.list_flatten(lists)
    if kind == "csv":
        place = np.arange(len(cells)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        last = np.inf if selector.last_column is None else selector.last_column
        wanted = (place >= selector.first_column) & (place <= last)
        owner = np.repeat(np.arange(len(sizes)), sizes)[wanted]
        cells, sizes = cells.filter(column(wanted)), np.bincount(owner, minlength=len(sizes))
        enough = np.inf if selector.last_column is None else selector.last_column - selector.first_column + 1
        complete = (sizes == enough) if np.isfinite(enough) else sizes > 0
    else:
        complete = sizes > 0
    fits = pc.match_substring_regex(cells, pattern)
    plain = pc.ascii_trim(pc.if_else(fits, cells, pa.nulls(len(cells), cells.type)), " \t\r\n")
    values = filled(pc.cast(plain, pa.float64()), np.nan)
    bad = np.bincount(np.repeat(np.arange(len(sizes)), sizes), ~np.isfinite(values), minlength=len(sizes)) > 0
    good = complete & ~bad
    return (values[np.repeat(good, sizes)], sizes[good]), good


def _rows(text: str, media: str | None, selector: VectorSelector) -> list[Row]:
    values = documents(text, media)
    if values is None:
        return [(None, _numbers(cells_of(row, selector), is_text=True)) for row in csv_rows(text)]
    found: list[Row] = []
    for value in values:
        found += _json_rows(select(value, selector.path) if selector.path is not None else usual_list(value))
    if not found:
        raise UnreadableAnswerError("no rows")
    return found


def cells_of(row: list[str], selector: VectorSelector) -> list[str]:
    """The wanted cells of a row of a CSV.

    Raises:
        UnreadableAnswerError: the row is too short.
    """
    end = None if selector.last_column is None else selector.last_column + 1
    if len(row) <= selector.first_column or (end is not None and len(row) < end):
        raise UnreadableAnswerError("a row has too few columns")
    return row[selector.first_column : end]


def usual_list(value: Any, keys: tuple[str, ...] = VECTOR_KEYS) -> Any:
    """The list, or the lists, in a JSON answer of a common shape; an object with none of the keys is itself."""
    if isinstance(value, Mapping):
        key = next((key for key in (*keys, *ROW_KEYS) if isinstance(value.get(key), list | Mapping)), None)
        return value if key is None else usual_list(value[key], keys)
    if isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
        return [usual_list(each, keys) for each in value]
    return value


def _json_rows(value: Any) -> list[Row]:
    if isinstance(value, Mapping):
        names = tuple(sorted(value))
        return [(names, _numbers([value[name] for name in names]))]
    if isinstance(value, list) and value and all(isinstance(each, list | Mapping) for each in value):
        return [row for each in value for row in _json_rows(each)]
    return [(None, _numbers(value if isinstance(value, list) else [value]))]


def _numbers(values: list[Any], *, is_text: bool = False) -> Floats:
    if not values:
        raise UnreadableAnswerError("an empty list of numbers")
    take = number if is_text else finite
    return np.array([take(value) for value in values], dtype=np.float64)
