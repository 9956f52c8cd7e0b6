"""Checks of requests against botocore's own shapes, in AWS's words.

botocore checks types, required members and minima before it sends; AWS also checks patterns, maxima and enums. This
walks the same service model as the server would, so a request that AWS refuses is refused here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, cast

import botocore.session
import regex
from botocore.model import ServiceModel, Shape

from shadow_provider.local.errors import AwsError, ValidationException

_NUMBERS: dict[str, tuple[tuple[type, ...], str]] = {
    "integer": ((int,), "an Integer"),
    "long": ((int,), "a Long"),
    "float": ((int, float), "a Float"),
    "double": ((int, float), "a Double"),
    "timestamp": ((int, float), "a Date"),
}


@cache
def service_model(service: str) -> ServiceModel:
    """The model of a service as the installed botocore has it."""
    return botocore.session.get_session().get_service_model(service)


def validate(shape: Shape, value: Any) -> None:
    """Checks a request as parsed from JSON.

    Args:
        shape: The operation's input shape.
        value: The request.

    Raises:
        ValidationException: With AWS's count and list of the constraints that are not met.
        AwsError: SerializationException where a value has the wrong type.
    """
    errors = list(violations(shape, value, ""))
    if errors:
        count = "1 validation error" if len(errors) == 1 else f"{len(errors)} validation errors"
        raise ValidationException(f"{count} detected: {'; '.join(errors)}")


def violations(shape: Shape, value: Any, path: str) -> Iterator[str]:
    """All constraints that a value does not meet, in AWS's words."""
    match shape.type_name:
        case "structure":
            yield from _structure(shape, value, path)
        case "list":
            yield from _list(shape, value, path)
        case "map":
            yield from _map(shape, value, path)
        case "string" | "character":
            if not isinstance(value, str):
                raise _wrong_type(value, "a String")
            yield from _string(shape, value, path)
        case "boolean":
            if not isinstance(value, bool):
                raise _wrong_type(value, "a Boolean")
        case kind if kind in _NUMBERS:
            accepted, wanted = _NUMBERS[kind]
            if isinstance(value, bool) or not isinstance(value, accepted):
                raise _wrong_type(value, wanted)
            yield from _range(shape, cast(float, value), path)


def _structure(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        raise _unexpected(value)
    for name in shape.required_members:
        if value.get(name) is None:
            yield _violation("null", _join(path, name), "Member must not be null")
    for name, member in shape.members.items():
        # Members that are not in the model are ignored, as AWS ignores them; null is the same as absent.
        if value.get(name) is not None:
            yield from violations(member, value[name], _join(path, name))


def _list(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        raise AwsError("SerializationException", "Expected list or null")
    yield from _length(shape, value, len(value), path)
    for number, item in enumerate(value, start=1):
        yield from violations(shape.member, item, f"{path}.{number}.member")


def _map(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        raise _unexpected(value)
    yield from _length(shape, value, len(value), path)
    for key, item in value.items():
        yield from violations(shape.key, key, f"{path}.{key}.key")
        yield from violations(shape.value, item, f"{path}.{key}.member")


def _string(shape: Shape, value: str, path: str) -> Iterator[str]:
    if shape.enum and value not in shape.enum:
        options = ", ".join(shape.enum)
        yield _violation(f"'{value}'", path, f"Member must satisfy enum value set: [{options}]")
        return
    yield from _length(shape, value, len(value), path)
    pattern = shape.metadata.get("pattern")
    if pattern is not None and not matches(pattern, value):
        yield _violation(f"'{value}'", path, f"Member must satisfy regular expression pattern: {pattern}")


def _length(shape: Shape, value: Any, length: int, path: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and length < low:
        yield _violation(f"'{value}'", path, f"Member must have length greater than or equal to {low}")
    if high is not None and length > high:
        yield _violation(f"'{value}'", path, f"Member must have length less than or equal to {high}")


def _range(shape: Shape, value: float, path: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and value < low:
        yield _violation(f"'{value}'", path, f"Member must have value greater than or equal to {low}")
    if high is not None and value > high:
        yield _violation(f"'{value}'", path, f"Member must have value less than or equal to {high}")


def matches(pattern: str, value: str) -> bool:
    r"""Whether a value satisfies a pattern of the service model; patterns that do not compile are let pass.

    Most of the patterns are Java's: `\p{L}` and its like need the regex package, `\p{Print}` and `\z` another spelling.
    """
    compiled = _compiled(pattern)
    return compiled is None or compiled.fullmatch(value) is not None


@cache
def _compiled(pattern: str) -> regex.Pattern[str] | None:
    spelled = pattern.replace("\\p{Print}", "\\x20-\\x7e" if "[\\p{Print}]" in pattern else "[\\x20-\\x7e]")
    try:
        return regex.compile(spelled.replace("\\z", "\\Z"))
    except regex.error:
        return None


def _violation(value: str, path: str, constraint: str) -> str:
    return f"Value {value} at '{path}' failed to satisfy constraint: {constraint}"


def _join(path: str, name: str) -> str:
    lowered = name[:1].lower() + name[1:]
    return f"{path}.{lowered}" if path else lowered


def _wrong_type(value: Any, wanted: str) -> AwsError:
    if isinstance(value, list | dict):
        return _unexpected(value)
    kind = {bool: "TRUE_VALUE" if value is True else "FALSE_VALUE", str: "STRING_VALUE"}.get(
        type(value), "NUMBER_VALUE"
    )
    return AwsError("SerializationException", f"{kind} can not be converted to {wanted}")


def _unexpected(value: Any) -> AwsError:
    if isinstance(value, list):
        return AwsError(
            "SerializationException", "Unrecognized collection type; start of list found where not expected"
        )
    if isinstance(value, dict):
        return AwsError("SerializationException", "Start of structure or map found where not expected.")
    return AwsError("SerializationException", "Unexpected field type")
