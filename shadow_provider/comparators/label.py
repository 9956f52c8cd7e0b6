"""Class labels out of captured answers: what each row of an answer says, in a form in which equal means equal.

An answer may hold many rows. Two answers agree if they have the same number of rows and the same label in each.
"""

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from typing import Any

from shadow_provider.comparators.json_text import JsonTextError, loads
from shadow_provider.plan.policy import LabelSelector

Labels = tuple[str, ...]
"""One label a row."""

LABEL_KEYS = ("label", "predicted_label", "prediction", "predicted_class", "class")
"""Where a JSON object has its label, in this order, if no path is given."""

ROW_KEYS = ("predictions", "labels", "instances", "outputs", "results")
"""Where a JSON object has its rows, in this order, if no path is given."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_NO_NUMBER = frozenset({"nan", "inf", "infinity"})
_EXACT = Context(prec=800)
_LONGEST_PLAIN_EXPONENT = 20


class UnreadableAnswerError(ValueError):
    """An answer of which no label can be had; the message says why, without the payload."""


def read_labels(text: str, content_type: str | None, selector: LabelSelector) -> Labels:
    """The labels of an answer, one a row.

    Args:
        text: the answer.
        content_type: its media type; parameters such as a charset are ignored.
        selector: where the label stands.

    Raises:
        UnreadableAnswerError: the answer is empty, of no known type, malformed, has no label where one is expected, or
            the label is empty, null, NaN or infinite.
    """
    if not text.strip():
        raise UnreadableAnswerError("empty answer")
    kind = media_kind(content_type)
    if kind == "csv":
        return _from_csv(text, selector.column)
    if kind == "lines":
        return _from_json_lines(text, selector.path)
    if kind == "json":
        return _from_json(text, selector.path)
    raise UnreadableAnswerError("neither CSV nor JSON")


def media_kind(content_type: str | None) -> str | None:
    """`csv`, `json`, `lines` (a JSON value a line), or None for any other media type."""
    media = (content_type or "").split(";")[0].strip().lower()
    subtype = media.rpartition("/")[2]
    if any(word in subtype for word in ("jsonlines", "jsonl", "ndjson")):
        return "lines"
    if subtype == "json" or subtype.endswith("+json"):
        return "json"
    return "csv" if subtype == "csv" else None


def normalise(value: object) -> str:
    """One label as text: numbers of equal value give equal text (1, 1.0, "1.0", "1e0"), other text is stripped.

    Raises:
        UnreadableAnswerError: null, empty, NaN, infinite or beyond a double, or not a scalar.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise UnreadableAnswerError("no scalar where a label is expected" if value is not None else "the label is null")
    text = str(value).strip() if isinstance(value, str) else repr(value)
    if not text:
        raise UnreadableAnswerError("the label is empty")
    if text.lstrip("+-").lower() in _NO_NUMBER:
        raise UnreadableAnswerError("the label is NaN or infinite")
    return _number(text) if _NUMBER.fullmatch(text) else text


def _number(text: str) -> str:
    if not math.isfinite(float(text)):
        raise UnreadableAnswerError("the label is a number beyond a double")
    number = Decimal(text)
    if number.is_zero():
        return "0"
    number = number.normalize(_EXACT)
    return f"{number:f}" if abs(number.adjusted()) <= _LONGEST_PLAIN_EXPONENT else str(number)


def _from_csv(text: str, column: int) -> Labels:
    try:
        rows = [row for row in csv.reader(io.StringIO(text), strict=True) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UnreadableAnswerError(f"malformed CSV: {error}") from error
    if any(len(row) <= column for row in rows):
        raise UnreadableAnswerError(f"a row has no column {column}")
    return _labels([row[column] for row in rows])


def _from_json(text: str, path: str | None) -> Labels:
    return _from_value(_json(text), path)


def _from_json_lines(text: str, path: str | None) -> Labels:
    rows = [_from_value(_json(line), path) for line in text.splitlines() if line.strip()]
    return tuple(label for row in rows for label in row)


def _json(text: str) -> Any:
    try:
        return loads(text)
    except JsonTextError as error:
        raise UnreadableAnswerError(f"malformed JSON ({error.cause})") from error


def _from_value(value: Any, path: str | None) -> Labels:
    if path is None:
        return _labels(_rows(value))
    found = follow(value, path.split("."))
    return _labels(found if isinstance(found, list) else [found])


def follow(value: Any, steps: Sequence[str]) -> Any:
    """Walk down a JSON value: a key, an index from 0, or `*` for each element of a list.

    Raises:
        UnreadableAnswerError: a step leads nowhere.
    """
    for index, step in enumerate(steps):
        if step == "*" and isinstance(value, list):
            return [follow(element, steps[index + 1 :]) for element in value]
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isascii() and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            raise UnreadableAnswerError("the path leads nowhere")
    return value


def _rows(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [_row_label(row) for row in value]
    if isinstance(value, Mapping):
        for key in (*LABEL_KEYS, *ROW_KEYS):
            if isinstance(value.get(key), list):
                return [_row_label(row) for row in value[key]]
    return [_row_label(value)]


def _row_label(row: Any) -> Any:
    if isinstance(row, list) and len(row) == 1:
        return row[0]
    if isinstance(row, Mapping):
        for key in LABEL_KEYS:
            if key in row:
                return row[key]
        raise UnreadableAnswerError("an object without a known label key; give a path")
    return row


def _labels(values: Sequence[object]) -> Labels:
    if not values:
        raise UnreadableAnswerError("no rows")
    return tuple(normalise(value) for value in values)
