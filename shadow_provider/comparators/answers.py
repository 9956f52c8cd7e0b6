"""Out of a batch of answers: what each says, read once for each different text.

An answer may have many rows (lines of a CSV, elements of a JSON list, lines of JSON Lines). It can be read as a whole
or not at all.
"""

import csv
import io
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import jmespath
import numpy as np
from jmespath.exceptions import JMESPathError
from numpy.typing import NDArray

from shadow_provider.comparators.arrow import filled
from shadow_provider.comparators.json_text import JsonTextError, loads
from shadow_provider.comparators.label import ROW_KEYS, UnreadableAnswerError, media_kind

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
Reader = Callable[[str, str | None], T]
"""Makes something of a text and its media type, or raises UnreadableAnswerError."""

NOT_CAPTURED = "not captured"
DEEPEST = 200
"""Levels of JSON that are read; beyond them an answer is unreadable."""


@dataclass(frozen=True)
class Read(Generic[T]):
    """Answers of one side, each different one once.

    Attributes:
        distinct: what was read of each different answer, None where it cannot be read.
        which: for each row of the batch, its place in `distinct`.
        readable: for each row of the batch, whether it could be read.
        causes: why not, with counts.
    """

    distinct: list[T | None]
    which: NDArray[np.int64]
    readable: NDArray[np.bool_]
    causes: Counter[str]


def read_answers(batch: "pa.RecordBatch", reader: Reader[T]) -> Read[T]:
    """Read each different answer of a batch once. Nothing in an answer makes it raise."""
    import pyarrow.compute as pc

    texts, media = (pc.dictionary_encode(batch.column(name)) for name in ("text", "media"))
    text_at, media_at = (filled(each.indices, -1) for each in (texts, media))
    kinds = media.dictionary.to_pylist()
    together = text_at.astype(np.int64) * (len(kinds) + 1) + media_at + 1
    unique, first, which = np.unique(together, return_index=True, return_inverse=True)
    distinct: list[T | None] = []
    reasons: list[str | None] = []
    for row in first.tolist():
        value, reason = None, None
        if text_at[row] < 0:
            reason = NOT_CAPTURED
        else:
            media_type = kinds[media_at[row]] if media_at[row] >= 0 else None
            value, reason = _attempt(reader, texts.dictionary[int(text_at[row])].as_py(), media_type)
        distinct.append(value)
        reasons.append(reason)
    causes: Counter[str] = Counter()
    for reason, count in zip(reasons, np.bincount(which, minlength=len(unique)).tolist(), strict=True):
        if reason is not None:
            causes[reason] += count
    good = np.array([reason is None for reason in reasons], dtype=np.bool_)
    return Read(distinct, which, good[which] if len(which) else np.zeros(0, dtype=np.bool_), causes)


def _attempt(reader: Reader[T], text: str, media: str | None) -> tuple[T | None, str | None]:
    try:
        return reader(text, media), None
    except UnreadableAnswerError as error:
        return None, str(error)
    except (ArithmeticError, RecursionError, ValueError) as error:  # What a hostile payload may find in a library.
        return None, f"cannot be read ({type(error).__name__})"


@lru_cache(maxsize=100)
def _compiled(path: str) -> Any:
    return jmespath.compile(path)


def select(value: Any, path: str) -> Any:
    """What a JMESPath finds.

    Raises:
        UnreadableAnswerError: nothing, or the expression does not suit the value.
    """
    try:
        found = _compiled(path).search(value)
    except (JMESPathError, TypeError) as error:
        raise UnreadableAnswerError("the path does not suit the answer") from error
    if found is None:
        raise UnreadableAnswerError("the path leads nowhere")
    return found


def csv_rows(text: str) -> list[list[str]]:
    """Rows of a CSV that are not blank.

    Raises:
        UnreadableAnswerError: malformed, or no rows.
    """
    try:
        rows = [row for row in csv.reader(io.StringIO(text), strict=True) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UnreadableAnswerError("malformed CSV") from error
    if not rows:
        raise UnreadableAnswerError("empty answer")
    return rows


def json_value(text: str) -> Any:
    """One JSON value.

    Raises:
        UnreadableAnswerError: it is none, or too deep.
    """
    try:
        value = loads(text)
    except JsonTextError as error:
        raise UnreadableAnswerError(f"malformed JSON ({error.cause})") from error
    if text.count("[") + text.count("{") > DEEPEST and _deeper(value):
        raise UnreadableAnswerError("JSON nested too deeply")
    return value


def _deeper(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below += each.values()
            elif isinstance(each, list):
                below += each
        if not below:
            return False
        level = below
    return True


def documents(text: str, media: str | None) -> list[Any] | None:
    """The JSON values of an answer: one, or one a line of JSON Lines; None for a CSV.

    Raises:
        UnreadableAnswerError: empty, malformed or of another media type.
    """
    if not text.strip():
        raise UnreadableAnswerError("empty answer")
    kind = media_kind(media)
    if kind == "json":
        return [json_value(text)]
    if kind == "lines":
        return [json_value(line) for line in text.split("\n") if line.strip()]
    if kind == "csv":
        return None
    raise UnreadableAnswerError("neither CSV nor JSON")


def cells(text: str, media: str | None, column: int, path: str | None, keys: tuple[str, ...]) -> list[Any]:
    """One value a row of an answer, of whatever type.

    Args:
        text: the answer.
        media: its media type.
        column: of a CSV.
        path: into each JSON value.
        keys: where an object has its value, in this order, if no path is given.

    Raises:
        UnreadableAnswerError: there is none.
    """
    values = documents(text, media)
    if values is None:
        rows = csv_rows(text)
        if any(len(row) <= column for row in rows):
            raise UnreadableAnswerError(f"a row has no column {column}")
        return [row[column] for row in rows]
    found: list[Any] = []
    for value in values:
        each = select(value, path) if path is not None else usual(value, keys)
        found += each if isinstance(each, list) else [each]
    if not found:
        raise UnreadableAnswerError("no rows")
    return found


def usual(value: Any, keys: tuple[str, ...]) -> Any:
    """The value, or the list of one a row, of a JSON answer of one of the common shapes.

    Raises:
        UnreadableAnswerError: an object has none of the keys.
    """
    if isinstance(value, Mapping):
        key = next((key for key in (*keys, *ROW_KEYS) if key in value), None)
        if key is None:
            raise UnreadableAnswerError("an object without a known key; give a path")
        return usual(value[key], keys) if key in ROW_KEYS else value[key]
    if isinstance(value, list):
        return [_element(each, keys) for each in value]
    return value


def _element(value: Any, keys: tuple[str, ...]) -> Any:
    if isinstance(value, list) and len(value) == 1:
        return value[0]
    if isinstance(value, Mapping):
        key = next((key for key in keys if key in value), None)
        if key is None:
            raise UnreadableAnswerError("an object without a known key; give a path")
        return value[key]
    return value


def finite(value: Any) -> float:
    """A JSON number as a double.

    Raises:
        UnreadableAnswerError: it is no number, or beyond a double.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableAnswerError("no number where one is expected")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise UnreadableAnswerError(NOT_FINITE)
    return number


NOT_FINITE = "not a finite number"
