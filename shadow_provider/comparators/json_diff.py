"""Two JSON values against each other, path by path and typed."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from shadow_provider.comparators.spec import FieldRule, path_steps

Path = tuple[str, ...]
"""Keys, and "[]" for the elements of a list."""

CHANGED, TYPE, MISSING, ADDED, LENGTH, TOLERATED = (
    "changed", "type_changed", "missing", "added", "length_changed", "tolerated",
)  # fmt: skip
MOST_TRIED = 200
"""Elements without an equal that are tried against each other where any order will do."""
NO_RULE = FieldRule(path="**")


class Rules:
    """Which rule holds at which path: the first that fits.

    Args:
        rules: in the order in which they were given.
    """

    def __init__(self, rules: Sequence[FieldRule]) -> None:
        self._rules = [(path_steps(rule.path), rule) for rule in rules]
        self._at = lru_cache(maxsize=10_000)(self._first)

    def at(self, path: Path) -> FieldRule:
        """The rule for a path; one without effect if none fits."""
        return self._at(path) if self._rules else NO_RULE

    def _first(self, path: Path) -> FieldRule:
        return next((rule for steps, rule in self._rules if fits(steps, path)), NO_RULE)


def fits(pattern: Sequence[str], path: Sequence[str]) -> bool:
    """Whether a pattern fits a path: `*` is any key, `**` any number of steps, all else itself."""
    places = {0}
    for step in (*path, None):
        for at in sorted(places):
            while at < len(pattern) and pattern[at] == "**":
                at += 1
                places.add(at)
        if step is None:
            return len(pattern) in places
        places = {
            at if pattern[at] == "**" else at + 1 for at in places if at < len(pattern) and _is(pattern[at], step)
        }
    raise AssertionError("unreachable")


def _is(pattern: str, step: str) -> bool:
    return pattern in ("**", step) or (pattern == "*" and step != "[]")


def type_of(value: Any) -> str:
    """The JSON type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def shown_path(path: Path) -> str:
    """A path as one reads it: `a.b[].c`."""
    return ".".join(path).replace(".[]", "[]") or "$"


Finding = tuple[Path, str, Any, Any]
"""Path, what happened there, and both values."""


def differences(p: Any, s: Any, rules: Rules, path: Path = ()) -> Iterator[Finding]:
    """What happened where the two are not equal: at the leaves, and where the shapes part.

    Args:
        p: production's value.
        s: the candidate's.
        rules: what does not matter.
        path: where the two stand.
    """
    rule = rules.at(path)
    if rule.ignore:
        return
    kinds = type_of(p), type_of(s)
    if kinds[0] != kinds[1]:
        yield path, TYPE, p, s
    elif kinds[0] == "object":
        yield from _objects(p, s, rules, path)
    elif kinds[0] == "array":
        yield from _arrays(p, s, rules, path, rule)
    elif p != s:
        yield path, TOLERATED if tolerable(p, s, rule) else CHANGED, p, s


def _objects(p: dict[str, Any], s: dict[str, Any], rules: Rules, path: Path) -> Iterator[Finding]:
    for key, value in p.items():
        below = (*path, key)
        if key in s:
            yield from differences(value, s[key], rules, below)
        elif not rules.at(below).ignore:
            yield below, MISSING, value, None
    for key, value in s.items():
        if key not in p and not rules.at((*path, key)).ignore:
            yield (*path, key), ADDED, None, value


def _arrays(p: list[Any], s: list[Any], rules: Rules, path: Path, rule: FieldRule) -> Iterator[Finding]:
    if rule.any_order:
        if not (len(p) == len(s) and _same_multiset(p, s, rules, (*path, "[]"))):
            yield path, CHANGED, p, s
        return
    if len(p) != len(s):
        yield path, LENGTH, p, s
    for one, other in zip(p, s, strict=False):
        yield from differences(one, other, rules, (*path, "[]"))


def _same_multiset(p: list[Any], s: list[Any], rules: Rules, path: Path) -> bool:
    """Whether the elements can be paired off: exactly equal ones first, then in order the first that fits."""
    left, right = Counter(map(_frozen, p)), Counter(map(_frozen, s))
    if left == right:
        return True
    rest = list((right - left).elements())
    if len(rest) > MOST_TRIED:
        return False
    for value in (left - right).elements():
        one = _thawed(value)
        at = next((index for index, other in enumerate(rest) if _equal(one, _thawed(other), rules, path)), None)
        if at is None:
            return False
        del rest[at]
    return not rest


def _equal(p: Any, s: Any, rules: Rules, path: Path) -> bool:
    return all(what == TOLERATED for _, what, _, _ in differences(p, s, rules, path))


def tolerable(p: Any, s: Any, rule: FieldRule) -> bool:
    """Whether a rule lets two unequal scalars of one type pass; numbers as in `math.isclose`."""
    if isinstance(p, str):
        return rule.ignore_case and p.casefold() == s.casefold()
    if isinstance(p, bool) or not (rule.absolute_tolerance or rule.relative_tolerance):
        return False
    try:
        return math.isclose(p, s, rel_tol=min(rule.relative_tolerance, 1.0), abs_tol=rule.absolute_tolerance)
    except OverflowError:
        return False


def _frozen(value: Any) -> Any:
    """Something that can be hashed, equal for equal values of equal types."""
    if isinstance(value, dict):
        return "object", frozenset((key, _frozen(each)) for key, each in value.items())
    if isinstance(value, list):
        return "array", tuple(map(_frozen, value))
    return type_of(value), value


def _thawed(value: Any) -> Any:
    kind, content = value
    if kind == "object":
        return {key: _thawed(each) for key, each in content}
    return list(map(_thawed, content)) if kind == "array" else content
