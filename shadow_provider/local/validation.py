"""Checks of requests against botocore's own shapes, in AWS's words.

botocore checks types, required members and minima before it sends; AWS also checks patterns, maxima and enums. This
walks the same service model as the server would, so a request that AWS refuses is refused here too.
"""

from __future__ import annotations

from collections.abc import Iterable
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
# What an answer can show: a Date's years have four digits, the other limits are Java's.
_LARGEST = {
    "integer": 2**31 - 1,
    "long": 2**63 - 1,
    "float": 3.4028235e38,
    "double": 1.7976931348623157e308,
    "timestamp": 253_402_300_799,
}


@cache
def service_model(service: str) -> ServiceModel:
    """The model of a service as the installed botocore has it."""
    return botocore.session.get_session().get_service_model(service)


def validate(shape: Shape, value: Any) -> dict[str, Any]:
    """Checks a request as parsed from JSON.

    Args:
        shape: The operation's input shape.
        value: The request.

    Returns:
        The request without members that the model does not know and without nulls, at any depth: AWS ignores the
        former and takes the latter for absent.

    Raises:
        ValidationException: With AWS's count and list of the constraints that are not met.
        AwsError: SerializationException where a value has the wrong type.
    """
    errors: list[str] = []
    try:
        known = cast(dict[str, Any], _checked(shape, value, "", errors))
    except RecursionError:
        raise AwsError("SerializationException", "The request is nested too deeply.") from None
    if errors:
        raise ValidationException(summary(errors))
    return known


def violations(shape: Shape, value: Any, path: str) -> list[str]:
    """All constraints that a value does not meet, in AWS's words."""
    errors: list[str] = []
    _checked(shape, value, path, errors)
    return errors


def summary(errors: list[str]) -> str:
    """AWS's message for the constraints that are not met."""
    count = "1 validation error" if len(errors) == 1 else f"{len(errors)} validation errors"
    return f"{count} detected: {'; '.join(errors)}"


def _checked(shape: Shape, value: Any, path: str, errors: list[str]) -> Any:
    match shape.type_name:
        case "structure":
            return _structure(shape, value, path, errors)
        case "list":
            return _list(shape, value, path, errors)
        case "map":
            return _map(shape, value, path, errors)
    _check_type(shape, value)
    errors += [_violation(_shown(value), path, constraint) for constraint in _broken(shape, value)]
    return value


def _structure(shape: Shape, value: Any, path: str, errors: list[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _unexpected(value)
    errors += [
        _violation("null", _join(path, name), "Member must not be null")
        for name in shape.required_members
        if value.get(name) is None
    ]
    return {
        name: _checked(member, value[name], _join(path, name), errors)
        for name, member in shape.members.items()
        if value.get(name) is not None
    }


def _list(shape: Shape, value: Any, path: str, errors: list[str]) -> list[Any]:
    if not isinstance(value, list):
        raise AwsError("SerializationException", "Expected list or null")
    errors += [_violation(_shown(value), path, constraint) for constraint in _lengths(shape, len(value))]
    if shape.member.type_name in ("structure", "list", "map"):
        return [_element(shape.member, item, f"{path}.{n}.member", errors) for n, item in enumerate(value, start=1)]
    # AWS shows such a list as a whole, with all that its elements must satisfy.
    if any(item is None for item in value):
        errors.append(_violation(_shown(value), path, "Member must satisfy constraint: [Member must not be null]"))
        return value
    _check_types(shape.member, value)
    if any(_broken(shape.member, item) for item in value):
        errors.append(_violation(_shown(value), path, f"Member must satisfy constraint: [{_all_of(shape.member)}]"))
    return value


def _element(shape: Shape, value: Any, path: str, errors: list[str]) -> Any:
    if value is None:
        errors.append(_violation("null", path, "Member must not be null"))
        return None
    return _checked(shape, value, path, errors)


def _map(shape: Shape, value: Any, path: str, errors: list[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _unexpected(value)
    errors += [_violation(_shown(value), path, constraint) for constraint in _lengths(shape, len(value))]
    if any(_broken(shape.key, key) for key in value):
        errors.append(_violation(_shown(value), path, f"Map keys must satisfy constraint: [{_all_of(shape.key)}]"))
    if shape.value.type_name in ("structure", "list", "map"):
        return {key: _element(shape.value, item, f"{path}.{key}.member", errors) for key, item in value.items()}
    if any(item is None for item in value.values()):
        errors.append(_violation(_shown(value), path, "Map value must satisfy constraint: [Member must not be null]"))
        return value
    _check_types(shape.value, value.values())
    if any(_broken(shape.value, item) for item in value.values()):
        errors.append(_violation(_shown(value), path, f"Map value must satisfy constraint: [{_all_of(shape.value)}]"))
    return value


def _check_types(shape: Shape, values: Iterable[Any]) -> None:
    for value in values:
        _check_type(shape, value)


def _check_type(shape: Shape, value: Any) -> None:
    kind = shape.type_name
    if kind in _NUMBERS:
        accepted, wanted = _NUMBERS[kind]
        if isinstance(value, bool) or not isinstance(value, accepted):
            raise _wrong_type(value, wanted)
        # Not ">": NaN must fail too. What CloudWatch says of doubles that are no numbers is its own.
        if not abs(cast(float, value)) <= _LARGEST[kind] and (isinstance(value, int) or kind != "double"):
            raise AwsError("SerializationException", f"The value is out of range of {wanted}")
    elif kind == "boolean":
        if not isinstance(value, bool):
            raise _wrong_type(value, "a Boolean")
    elif not isinstance(value, str):
        raise _wrong_type(value, "a String")


def _broken(shape: Shape, value: Any) -> list[str]:
    """The constraints of a scalar that a value does not meet."""
    if not isinstance(value, str):
        return _range(shape, value) if shape.type_name in _NUMBERS else []
    if shape.enum and value not in shape.enum:
        return [_enum(shape)]
    broken = _lengths(shape, len(value))
    pattern = shape.metadata.get("pattern")
    if pattern is not None and not matches(pattern, value):
        broken.append(_pattern(pattern))
    return broken


def _all_of(shape: Shape) -> str:
    """All constraints of a scalar, met or not."""
    if getattr(shape, "enum", None):
        return _enum(shape)
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    noun = "value" if shape.type_name in _NUMBERS else "length"
    told = [f"Member must have {noun} less than or equal to {high}"] if high is not None else []
    if low is not None:
        told.append(f"Member must have {noun} greater than or equal to {low}")
    if "pattern" in shape.metadata:
        told.append(_pattern(shape.metadata["pattern"]))
    return ", ".join(told)


def _enum(shape: Shape) -> str:
    return f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"


def _pattern(pattern: str) -> str:
    return f"Member must satisfy regular expression pattern: {pattern}"


def _lengths(shape: Shape, length: int) -> list[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    broken = []
    if low is not None and length < low:
        broken.append(f"Member must have length greater than or equal to {low}")
    if high is not None and length > high:
        broken.append(f"Member must have length less than or equal to {high}")
    return broken


def _range(shape: Shape, value: float) -> list[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    broken = []
    if low is not None and value < low:
        broken.append(f"Member must have value greater than or equal to {low}")
    if high is not None and value > high:
        broken.append(f"Member must have value less than or equal to {high}")
    return broken


def _shown(value: Any) -> str:
    return f"'{_java(value)}'"


def _java(value: Any) -> str:
    """A value as Java prints it, which is what AWS's messages show."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_java(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_java, value)) + "]"
    if isinstance(value, bool) or value is None:
        return "null" if value is None else str(value).lower()
    return str(value)


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
