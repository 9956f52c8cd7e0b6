"""Values from the command line for the fields of a pydantic model."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError


class WrongValueError(ValueError):
    """A name or a value that cannot be taken; the text says which and why."""


def split(pair: str) -> tuple[str, str]:
    """Name and value of NAME=VALUE.

    Raises:
        WrongValueError: It is not of that form.
    """
    name, equals, value = pair.partition("=")
    if not equals or not name:
        raise WrongValueError(f"not of the form NAME=VALUE: {pair}")
    return name, value


def typed(model: type[BaseModel], name: str, text: str) -> Any:
    """A text as the field wants it: itself where the field takes text, else what it says in JSON if it says anything.

    Raises:
        WrongValueError: The model has no such field.
    """
    from pydantic import TypeAdapter, ValidationError

    field = model.model_fields.get(name)
    if field is None:
        near = difflib.get_close_matches(name, model.model_fields, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(model.model_fields)}"
        raise WrongValueError(f"there is no {name}; {hint}")
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(field.annotation or str)
        return adapter.validate_python(text, strict=True)
    except ValidationError:
        pass
    try:
        return json.loads(text)
    except ValueError:
        return text


def in_one_line(error: ValidationError, labels: Mapping[str, str], *, skip: int = 0) -> str:
    """What is wrong, said of the first value that is.

    Args:
        error: Of the model.
        labels: What people call a field, where that is not its name.
        skip: How many of the first steps to the field are none of its name.
    """
    first = error.errors(include_url=False)[0]
    place = [str(step) for step in first["loc"][skip:]]
    label = labels.get(place[0], place[0]) if place else ""
    inner = f" ({'.'.join(place[1:])})" if place[1:] else ""
    message = first["msg"].removeprefix("Value error, ")
    given = f", not {first['input']}" if isinstance(first["input"], str | int | float) and place else ""
    return f"{label}{inner}: {message}{given}" if label else message
