"""The values of a container's environment, kept away from what others see of a task.

Tokens and passwords of a model are given to it by its environment. Airflow stores and shows every rendered argument of
a task, and hides by the *name* of a key only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

HIDDEN = "***"
_KEYS = ("environment", "Environment")
# Settings of SageMaker's own toolkit: names of files, log levels, time limits. Masking them would black out whole logs.
_SETTINGS = "SAGEMAKER_"


def hidden_environment(container: Any) -> tuple[Any, Mapping[str, Any] | None]:
    """Part a container's definition from its environment's values.

    Returns:
        The definition with ``***`` in place of each value, and the environment as it was; None if there is none.
    """
    key = next(
        (key for key in _KEYS if isinstance(container, Mapping) and isinstance(container.get(key), Mapping)), None
    )
    if key is None:
        return container, None
    environment = container[key]
    return {**container, key: dict.fromkeys(environment, HIDDEN)}, environment


def with_environment(container: Any, environment: Mapping[str, Any] | None) -> Any:
    """Put together what ``hidden_environment`` has parted."""
    if environment is None:
        return container
    return {key: environment if key in _KEYS else value for key, value in container.items()}


def values_to_mask(environment: Mapping[str, Any] | None) -> Iterator[str]:
    """The values that must not be read in any log either, as from the words of an error of AWS."""
    for name, value in (environment or {}).items():
        if value and not str(name).startswith(_SETTINGS):
            yield str(value)
