"""Each constraint of each operation's request, broken once, is refused in AWS's words at the right place."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from shadow_provider.local import LocalAWS
from shadow_provider.local.validation import matches, service_model
from tests.aws.wire import CLOUDWATCH, SAGEMAKER, implemented

# (what is sent in place of the whole request, what the answer says)
Case = tuple[Any, str]
_SCALARS = ("string", "integer", "long", "float", "double", "timestamp", "boolean")
_NUMBERS = ("integer", "long", "float", "double")
_TEXTS: tuple[str, ...] = (
    "a",
    "a/b",
    "s3://b/k",
    "arn:aws:iam::123456789012:role/role",
    "arn:aws:sagemaker:us-east-1:123456789012:endpoint/e",
)
_TEXTS += ("arn:aws:sns:us-east-1:123456789012:t", "A", "1", "2026-01-01T00:00:00Z", "ml.m5.large", "a" * 20, "sg-1")
# Botocore itself bounds nothing deeper than this in the operations there are.
_DEPTH = 6


def _smallest(shape: Any) -> Any:
    """A value that keeps the shape's constraints."""
    low = shape.metadata.get("min") or 0
    match shape.type_name:
        case "structure":
            return {name: _smallest(shape.members[name]) for name in shape.required_members}
        case "list":
            return [_smallest(shape.member)] * low
        case "map":
            return {}
        case "boolean":
            return True
        case kind if kind in _NUMBERS:
            return max(low, 1) if shape.metadata.get("max", 1) >= 1 else low
        case "timestamp":
            return 1.5
    if shape.enum:
        return shape.enum[0]
    # Where none fits the answer tells of that one too.
    return next((value for value in _TEXTS if _keeps(shape, value)), "a")


def _keeps(shape: Any, value: str) -> bool:
    low, high = shape.metadata.get("min") or 0, shape.metadata.get("max") or 10**9
    return low <= len(value) <= high and matches(shape.metadata.get("pattern", "(?s).*"), value)


def _cases(shape: Any, path: str, put: Callable[[Any], Any], depth: int) -> Iterator[Case]:
    if depth > _DEPTH:
        return
    match shape.type_name:
        case "structure":
            yield from _of_structure(shape, path, put, depth)
        case "list":
            yield from _of_list(shape, path, put, depth)
        case "map":
            yield from _of_map(shape, path, put)
        case _:
            for value, broken in _broken(shape):
                shown = "true" if value is True else str(value)
                yield put(value), f"Value '{shown}' at '{path}' failed to satisfy constraint: {broken}"
            yield put({}), "Start of structure or map found where not expected."
            yield put([]), "Unrecognized collection type; start of list found where not expected"


def _of_structure(shape: Any, path: str, put: Callable[[Any], Any], depth: int) -> Iterator[Case]:
    whole = _smallest(shape)
    for name in shape.required_members:
        missing = {member: value for member, value in whole.items() if member != name}
        said = f"Value null at '{_joined(path, name)}' failed to satisfy constraint: Member must not be null"
        yield put(missing), said
        yield put({**whole, name: None}), said
    for name, member in shape.members.items():
        yield from _cases(member, _joined(path, name), _within(put, whole, name), depth + 1)
    if path:
        yield put([]), "Unrecognized collection type; start of list found where not expected"


def _within(put: Callable[[Any], Any], whole: dict[str, Any], name: str) -> Callable[[Any], Any]:
    return lambda value: put({**whole, name: value})


def _joined(path: str, name: str) -> str:
    lowered = name[0].lower() + name[1:]
    return f"{path}.{lowered}" if path else lowered


def _of_list(shape: Any, path: str, put: Callable[[Any], Any], depth: int) -> Iterator[Case]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low:
        said = f"at '{path}' failed to satisfy constraint: Member must have length greater than or equal to {low}"
        yield put([]), f"Value '[]' {said}"
    if high is not None:
        said = f"at '{path}' failed to satisfy constraint: Member must have length less than or equal to {high}"
        yield put([_smallest(shape.member)] * (high + 1)), said
    yield put({}), "Expected list or null"
    if shape.member.type_name not in _SCALARS:
        yield put([None]), f"Value null at '{path}.1.member' failed to satisfy constraint: Member must not be null"
        first = _smallest(shape.member)
        yield from _cases(shape.member, f"{path}.2.member", lambda value: put([first, value]), depth + 1)
        return
    said = f"at '{path}' failed to satisfy constraint: Member must satisfy constraint: ["
    yield put([None]), f"Value '[null]' {said}Member must not be null]"
    for value, broken in _broken(shape.member):
        yield put([value]), f"Value '[{value}]' {said}"
        yield put([value]), broken


def _of_map(shape: Any, path: str, put: Callable[[Any], Any]) -> Iterator[Case]:
    high, key, value = shape.metadata.get("max"), _smallest(shape.key), _smallest(shape.value)
    if high is not None:
        said = f"at '{path}' failed to satisfy constraint: Member must have length less than or equal to {high}"
        yield put({f"a{number}": value for number in range(high + 1)}), said
    for bad, broken in _broken(shape.key):
        yield put({bad: value}), f"at '{path}' failed to satisfy constraint: Map keys must satisfy constraint: ["
        yield put({bad: value}), broken
    for bad, broken in _broken(shape.value):
        said = f"Value '{{{key}={bad}}}' at '{path}' failed to satisfy constraint: Map value must satisfy constraint: ["
        yield put({key: bad}), said
        yield put({key: bad}), broken
    yield put([]), "Unrecognized collection type; start of list found where not expected"


def _broken(shape: Any) -> Iterator[tuple[Any, str]]:
    """Values that break one constraint of a scalar each, and AWS's words for it."""
    low, high, pattern = (shape.metadata.get(name) for name in ("min", "max", "pattern"))
    if shape.type_name in _NUMBERS:
        if low is not None:
            yield low - 1, f"Member must have value greater than or equal to {low}"
        if high is not None:
            yield high + 1, f"Member must have value less than or equal to {high}"
        return
    if shape.type_name != "string":
        return
    if shape.enum:
        yield "none-of-them", f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
        return
    if low:
        yield "a" * (low - 1), f"Member must have length greater than or equal to {low}"
    if high is not None:
        yield "a" * (high + 1), f"Member must have length less than or equal to {high}"
    if pattern is not None:
        bad = next((text for text in ("!", " ", "\n", "", "\x01") if not matches(pattern, text)), None)
        if bad is not None:
            yield bad, f"Member must satisfy regular expression pattern: {pattern}"


@pytest.mark.parametrize(
    ("prefix", "service", "least"), [(SAGEMAKER, "sagemaker", 1000), (CLOUDWATCH, "cloudwatch", 200)]
)
def test_each_constraint_is_checked(local_aws: LocalAWS, prefix: str, service: str, least: int) -> None:
    address = urlsplit(local_aws.endpoint_url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
    wrong, count = [], 0
    for operation in implemented(local_aws.endpoint_url, prefix, service):
        shape = service_model(service).operation_model(operation).input_shape
        for request, said in _cases(shape, "", lambda value: value, 0):
            count += 1
            connection.request("POST", "/", json.dumps(request), {"X-Amz-Target": f"{prefix}{operation}"})
            answer = connection.getresponse()
            message = json.loads(answer.read()).get("message", "")
            if answer.status != 400 or said not in message:
                wrong.append((operation, str(request)[:300], said, message[:300]))
    connection.close()
    assert wrong == []
    assert count > least
