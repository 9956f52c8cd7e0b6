"""A user's own function, by its dotted path."""

import importlib
from collections.abc import Callable
from typing import Any

from shadow_provider.comparators.spec_reading import ComparatorError


def imported(path: str) -> Callable[..., Any]:
    """The function that stands at a dotted path.

    Raises:
        ComparatorError: there is none, it cannot be called, or its module cannot be imported.
    """
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # A user's module may raise anything while it is imported.
        raise ComparatorError(f"comparator: {path} cannot be imported: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise ComparatorError(f"comparator: {path} is no function but {type(found).__name__}")
    return found  # type: ignore[no-any-return]
