"""A policy from what a person gave: a name, YAML or JSON text, a mapping, or the model itself."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from shadow_provider.comparators.spec import KINDS
from shadow_provider.comparators.truth_spec import TRUTH_KINDS
from shadow_provider.policy.errors import PolicyError
from shadow_provider.policy.examples import Examples
from shadow_provider.policy.gates import GATES
from shadow_provider.policy.policy import Policy
from shadow_provider.policy.ready_made import READY_MADE, balanced
from shadow_provider.policy.segments import AttributeSegment, HourSegment, SizeSegment

BASED_ON = "based_on"

_SEGMENTS: dict[str, type[BaseModel]] = {
    "hour_of_day": HourSegment,
    "payload_size": SizeSegment,
    "custom_attribute": AttributeSegment,
}
_UNIONS: dict[str, tuple[str, Mapping[str, type[BaseModel]]]] = {
    "gates": ("metric", GATES),
    "comparator": ("kind", KINDS),
    "ground_truth": ("kind", TRUTH_KINDS),
    "segments": ("by", _SEGMENTS),
}

_PLAIN = {"valid tuple": "list", "Tuple": "List", "valid dictionary or object to extract fields from": "mapping"}
"""Pydantic's words for what people call otherwise."""


def read_policy(value: Policy | Mapping[str, Any] | str | None) -> Policy:
    """Make a policy of what a person gave.

    Args:
        value: a policy; the name of a ready-made one; YAML or JSON text of a mapping, or the mapping, which may name
            under `based_on` the ready-made policy whose fields it replaces; None for the balanced one.

    Raises:
        PolicyError: the value is no usable policy; one line names the field, the value and the rule.
    """
    if value is None:
        return balanced()
    if isinstance(value, Policy):
        return value
    document = _document(value) if isinstance(value, str) else value
    if isinstance(document, Policy):
        return document
    if not isinstance(document, Mapping):
        raise PolicyError(f"policy: must be a mapping, or one of {', '.join(READY_MADE)}; got {_short(document)}")
    # A key that is no text is an unknown field like any other.
    fields = {str(name): member for name, member in document.items()}
    if BASED_ON in fields:
        fields = _ready_made(fields.pop(BASED_ON)).model_dump(mode="json") | fields
    try:
        return Policy.model_validate(fields)
    except ValidationError as error:
        raise PolicyError(_one_line(error)) from error


def read_policy_file(path: Path) -> Policy:
    """The policy in a YAML or JSON file.

    Raises:
        PolicyError: there is no such file, or no usable policy in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"policy: {path} cannot be read: {error}") from error
    return read_policy(text)


def _document(text: str) -> Any:
    if text.strip() in READY_MADE:
        return READY_MADE[text.strip()]()
    try:
        # JSON is YAML as well.
        _refuse_twice(yaml.compose(text, yaml.SafeLoader), set())
        return yaml.safe_load(text)
    except PolicyError:
        raise
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise PolicyError(f"policy: neither YAML nor JSON: {' '.join(str(error).split())[:200]}") from error


def _refuse_twice(node: Any, seen: set[int]) -> None:
    """Refuse a key that stands twice in a mapping: one of its two values would be dropped without a word."""
    if id(node) in seen or not isinstance(node, yaml.CollectionNode):
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise PolicyError(f"policy: {_short(twice)} stands twice in one mapping")
    for child in node.value:
        for part in child if isinstance(child, tuple) else (child,):
            _refuse_twice(part, seen)


def _ready_made(name: Any) -> Policy:
    if not isinstance(name, str) or name not in READY_MADE:
        raise PolicyError(f"policy: {BASED_ON} = {_short(name)}: there is none; allowed: {', '.join(READY_MADE)}")
    return READY_MADE[name]()


def _one_line(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False)
    # A list is called too short as well when one of its elements is wrong.
    details = [
        each
        for each in found
        if each["type"] != "too_short" or not any(other["loc"][:-1] == each["loc"] for other in found)
    ] or found
    # A field with a typing error is missing as well: the name that was written says more.
    first = min(details, key=lambda each: each["type"] != "extra_forbidden")
    location, kind = list(first["loc"]), first["type"]
    text, value = first["msg"].removeprefix("Value error, "), first["input"]
    for words, plain in _PLAIN.items():
        text = text.replace(words, plain)
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    if not location:
        # A rule over several fields; it names them itself.
        return f"policy: {text}{more}"
    union = _UNIONS.get(str(location[0]))
    at = 1 + (len(location) > 1 and isinstance(location[1], int))
    tag = location.pop(at) if union and len(location) > at and location[at] in union[1] else None
    where = _path(location)
    if kind == "extra_forbidden":
        allowed = _allowed(location, union, tag)
        text = "there is no such field" + (f"; allowed: {', '.join(allowed)}" if allowed else "")
    elif kind == "union_tag_invalid" and union:
        where += f".{union[0]}"
        value = value.get(union[0]) if isinstance(value, Mapping) else value
        text = f"there is no such {union[0]}; allowed: {', '.join(union[1])}"
    elif kind == "union_tag_not_found" and union:
        text = f"the field {union[0]} is missing; allowed: {', '.join(union[1])}"
    shown = "" if kind == "missing" else f" = {_short(value)}"
    return f"policy: {where}{shown}: {text}{more}"


def _allowed(
    location: Sequence[int | str], union: tuple[str, Mapping[str, type[BaseModel]]] | None, tag: Any
) -> list[str]:
    """The fields that stand beside an unknown one; of a part of a comparator, none are told."""
    names = [part for part in location if isinstance(part, str)]
    if len(names) == 1:
        return [BASED_ON, *Policy.model_fields]
    if len(names) == 2 and union and tag in union[1]:
        return list(union[1][str(tag)].model_fields)
    return list(Examples.model_fields) if names[0] == "examples" else []


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."


def _path(location: Sequence[int | str]) -> str:
    """`gates[1].margin`."""
    parts: list[str] = []
    for part in location:
        if isinstance(part, int):
            parts[-1] += f"[{part}]"
        else:
            parts.append(part)
    return ".".join(parts)
