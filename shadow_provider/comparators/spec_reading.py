"""Specifications as a person gives them: frozen models, and errors of one line."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from shadow_provider.plan.errors import PlanError
from shadow_provider.plan.frozen import Frozen


class ComparatorError(PlanError):
    """A comparator that cannot be used; the message is one line that names field, value and rule."""


class Spec(Frozen):
    """Base of all specifications of comparators."""

    @property
    def identity(self) -> str:
        """All of its fields as JSON text, equal for equal models."""
        return self.model_dump_json()


def read_spec(value: Any, kinds: Mapping[str, type[Spec]], adapter: TypeAdapter[Any], what: str) -> Any:
    """A model, a mapping or JSON text as one of some kinds of models.

    Args:
        value: what a person gave.
        kinds: the models by their kind.
        adapter: of their union.
        what: the word that an error begins with.

    Raises:
        ComparatorError: it is none of them; one line names the field, the value and the rule.
    """
    if isinstance(value, tuple(kinds.values())):
        return value
    try:
        read = json.loads(value) if isinstance(value, str) else value
        if not isinstance(read, Mapping):
            raise TypeError(f"but {type(read).__name__}")
        # Read as JSON, so that lists may stand for tuples and types are strict all the same.
        return adapter.validate_json(json.dumps(dict(read), allow_nan=False), strict=True)
    except ValidationError as error:
        raise ComparatorError(f"{what}: {_one_line(error, kinds)}") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise ComparatorError(f"{what}: not a JSON object: {' '.join(str(error).split())}") from error


def _one_line(error: ValidationError, kinds: Mapping[str, type[Spec]]) -> str:
    details = error.errors(include_url=False, include_context=False)
    first = details[0]
    location = first["loc"]
    where, text, value = _path(location), first["msg"].removeprefix("Value error, "), first["input"]
    if first["type"] == "extra_forbidden":
        text = f"there is no such field{_allowed(location, kinds)}"
    elif first["type"] == "union_tag_invalid":
        where, value = "kind", value.get("kind") if isinstance(value, Mapping) else value
        text = f"there is no such kind; allowed: {', '.join(kinds)}"
    elif first["type"] == "union_tag_not_found":
        where, text = "kind", f"the field kind is missing; allowed: {', '.join(kinds)}"
    shown = " ".join(repr(value).split())
    shown = "" if first["type"] == "missing" else f" = {shown if len(shown) <= 80 else shown[:77] + '...'}"
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return f"{where}{shown}: {text}{more}"


def _path(location: Sequence[int | str]) -> str:
    """`rules[1].path`; the location begins with the kind."""
    parts: list[str] = []
    for part in location[1:]:
        if isinstance(part, int):
            parts[-1] += f"[{part}]"
        else:
            parts.append(part)
    return ".".join(parts) or (str(location[0]) if location else "all of it")


def _allowed(location: Sequence[int | str], kinds: Mapping[str, type[Spec]]) -> str:
    return f"; allowed: {', '.join(kinds[str(location[0])].model_fields)}" if len(location) == 2 else ""
