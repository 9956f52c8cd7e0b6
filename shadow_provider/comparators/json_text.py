"""JSON as the standard has it, where the standard library is lenient.

Two readers must never see different things in one line, or in one answer, so what is ambiguous is refused.
"""

import json
import math
from typing import Any


class JsonTextError(ValueError):
    """Text that is not one unambiguous JSON value.

    Attributes:
        cause: `not_json`, or `duplicate_keys` where only the ambiguity is wrong.
    """

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


def _constant(name: str) -> Any:
    raise JsonTextError("not_json", f"{name} is no JSON value")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise JsonTextError("not_json", f"{text} is too large for a number")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise JsonTextError("duplicate_keys", "an object has the same key twice")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_finite)


def loads(text: str) -> Any:
    """Read one JSON value.

    Raises:
        JsonTextError: it is no JSON, more than one value, NaN or Infinity, a number beyond a double, nested too deeply,
            or it has an object with the same key twice.
    """
    try:
        return _DECODER.decode(text)
    except JsonTextError:
        raise
    except (ValueError, RecursionError) as error:
        raise JsonTextError("not_json", str(error)) from error
