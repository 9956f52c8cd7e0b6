"""Class labels in a form in which equal means equal, and what kind of text an answer is."""

import math
import re
from decimal import Context, Decimal

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
