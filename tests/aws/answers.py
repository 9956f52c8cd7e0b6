"""Whether an answer has the shape that botocore's model gives it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from botocore.model import OperationModel, Shape

from shadow_provider.local.validation import matches

# AWS's own example of a described version has none, though the model calls it required.
_LEFT_OUT_BY_AWS = {("DescribeModelPackageOutput", "ModelPackageName"): "ModelPackageVersion"}


def deviations(shape: Shape, value: Any, path: str = "") -> Iterator[str]:
    """All that a parsed answer has other than its shape: members, types, enums, lengths, ranges, patterns."""
    match shape.type_name:
        case "structure":
            yield from _structure(shape, value, path)
        case "list":
            if not isinstance(value, list):
                yield f"{path}: {value!r} is no list"
                return
            yield from _bounds(shape, len(value), path)
            for number, item in enumerate(value):
                yield from deviations(shape.member, item, f"{path}[{number}]")
        case "map":
            yield from _bounds(shape, len(value), path)
            for key, item in value.items():
                yield from deviations(shape.key, key, f"{path}.{key}")
                yield from deviations(shape.value, item, f"{path}.{key}")
        case "string":
            yield from _string(shape, value, path)
        case "boolean":
            if not isinstance(value, bool):
                yield f"{path}: {value!r} is no boolean"
        case kind:
            whole = kind in ("integer", "long")
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                yield f"{path}: {value!r} is no {kind}"
            else:
                yield from _bounds(shape, value, path)


def _string(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{path}: {value!r} is no string"
        return
    yield from _bounds(shape, len(value), path)
    if shape.enum and value not in shape.enum:
        yield f"{path}: {value!r} is none of {shape.enum}"
    pattern = shape.metadata.get("pattern")
    if pattern is not None and not matches(pattern, value):
        yield f"{path}: {value!r} does not match {pattern}"


def _structure(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no structure"
        return
    for name in shape.required_members:
        if name not in value and _LEFT_OUT_BY_AWS.get((shape.name, name)) not in value:
            yield f"{path}.{name} is missing"
    for name, item in value.items():
        if name not in shape.members:
            yield f"{path}.{name} is unknown"
        else:
            yield from deviations(shape.members[name], item, f"{path}.{name}")


def _bounds(shape: Shape, size: float, path: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and size < low) or (high is not None and size > high):
        yield f"{path}: {size} is not within {low} and {high}"


def check_answers(client: Any) -> set[str]:
    """Makes every successful call of a JSON client fail whose answer does not have its shape.

    Returns:
        The operations that have answered so far; grows.
    """
    answered: set[str] = set()

    def check(http_response: Any, model: OperationModel, **_: Any) -> None:
        if http_response.status_code != 200:
            return
        answered.add(model.name)
        content = json.loads(http_response.content)
        if model.output_shape is None:
            assert content == {}, f"{model.name} has no answer, but got {content}"
        else:
            found = list(deviations(model.output_shape, content, model.name))
            assert not found, "\n".join(found)

    client.meta.events.register(f"after-call.{client.meta.service_model.service_id.hyphenize()}", check)
    return answered
