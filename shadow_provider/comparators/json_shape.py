"""One number out of many JSON answers at once, where they differ from the first in their scalars only.

Most models answer with one fixed shape. Its regular expression finds the number in whole Arrow columns; what does not
fit is null and must be read one by one. What fits is sure to be valid JSON with the keys of the first answer, none
twice, so both ways give the same.
"""

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import jmespath

from shadow_provider.comparators.json_text import JsonTextError, loads
from shadow_provider.comparators.label import UnreadableAnswerError

if TYPE_CHECKING:
    import pyarrow as pa

Want = Literal["number", "numbers", "scalar"]
MOST_SCALARS = 40
LONGEST_SHAPE = 4000
_BLANK = r"[ \t\r\n]*"
_NUMBER = r"-?(?:0|[1-9][0-9]{0,30})(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?"
"""A JSON number that is sure to be a finite double."""
_NUMBERS = r"[-+0-9.eE, \t\r\n]+"
_STRING = r'"[^"\\\x00-\x1f]*"'
_STEADY = frozenset(
    {"field", "subexpression", "index", "index_expression", "identity", "current", "projection", "flatten"}
)
"""Kinds of JMESPath nodes that pick by place, whatever the values are."""


class _NoShapeError(ValueError):
    pass


class _Mark:
    """Stands for a scalar; only its identity matters."""

    def __init__(self, value: Any) -> None:
        self.value = value


def like_first(texts: "pa.LargeStringArray", find: Callable[[Any], Any], *, want: Want) -> "pa.Array | None":
    """The text of one number, or of one list of numbers without its brackets, in each answer of the first one's shape.

    Args:
        texts: the answers.
        find: where it stands in a JSON value; it must choose by place, as a path with `is_steady` does.
        want: what is wanted: one `number`, a list of `numbers` (its elements are still to be checked), or any `scalar`
            as its JSON text.

    Returns:
        A column that is null where an answer has another shape; None if the first answer allows no such shortcut.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    valid = texts.drop_null()
    if not len(valid):
        return None
    try:
        pattern, head = _patterns(valid[0].as_py(), find, want=want)
    except (_NoShapeError, UnreadableAnswerError):
        return None
    # Matching alone is twice as fast as finding a group, and once the whole matches, its head matches in one way only:
    # what follows a scalar is never a part of one.
    found = pc.struct_field(pc.extract_regex(texts, head), [0])
    return pc.if_else(pc.match_substring_regex(texts, pattern), found, pa.nulls(len(found), found.type))


def is_steady(path: str) -> bool:
    """Whether a JMESPath picks by place alone, so that answers of one shape have the value at the same place."""
    return _steady(jmespath.compile(path).parsed)


def _steady(node: dict[str, Any]) -> bool:
    return node["type"] in _STEADY and all(_steady(child) for child in node["children"])


def _patterns(text: str, find: Callable[[Any], Any], *, want: Want) -> tuple[str, str]:
    """Of a whole answer, and of its head up to what is wanted, which is the group `x`."""
    if len(text) > LONGEST_SHAPE and want != "numbers":
        raise _NoShapeError
    try:
        value = loads(text)
    except JsonTextError as error:
        raise _NoShapeError from error
    marked = _marked(value, [], want=want)
    found = find(marked)
    while isinstance(found, list) and len(found) == 1:
        found = found[0]
    if not isinstance(found, _Mark) or isinstance(found.value, list) != (want == "numbers"):
        raise _NoShapeError
    if want != "scalar" and not _is_number(found.value):
        raise _NoShapeError
    before, group, after = _expression(marked, found).partition(_group(found))
    head = f"^{_BLANK}{before}{group}"
    return f"{head}{after}{_BLANK}$", head


def _is_number(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_number(each) and not isinstance(each, list) for each in value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _marked(value: Any, seen: list[_Mark], *, want: Want) -> Any:
    if isinstance(value, dict):
        return {key: _marked(each, seen, want=want) for key, each in value.items()}
    if isinstance(value, list) and not (want == "numbers" and _is_number(value)):
        return [_marked(each, seen, want=want) for each in value]
    seen.append(_Mark(value))
    if len(seen) > MOST_SCALARS:
        raise _NoShapeError
    return seen[-1]


def _expression(value: Any, wanted: _Mark) -> str:
    if isinstance(value, dict):
        members = (f"{_key(key)}{_BLANK}:{_BLANK}{_expression(each, wanted)}" for key, each in value.items())
        return rf"\{{{_BLANK}{f'{_BLANK},{_BLANK}'.join(members)}{_BLANK}\}}"
    if isinstance(value, list):
        elements = (_expression(each, wanted) for each in value)
        return rf"\[{_BLANK}{f'{_BLANK},{_BLANK}'.join(elements)}{_BLANK}\]"
    assert isinstance(value, _Mark)
    if isinstance(value.value, list):
        if value is not wanted:
            raise _NoShapeError
        return rf"\[{_group(value)}\]"
    return _group(value) if value is wanted else _scalar(value)


def _group(wanted: _Mark) -> str:
    return f"(?P<x>{_NUMBERS if isinstance(wanted.value, list) else _scalar(wanted)})"


def _scalar(mark: _Mark) -> str:
    if isinstance(mark.value, str):
        return _STRING
    return "(?:true|false|null)" if isinstance(mark.value, bool) or mark.value is None else _NUMBER


def _key(key: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_ \-]+", key):
        raise _NoShapeError
    return json.dumps(key)
