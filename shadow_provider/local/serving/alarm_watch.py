"""The alarms of a deployment's AutoRollbackConfiguration."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shadow_provider.local.settings import LocalSettings

_INTERVAL = 10.0  # AWS seconds
_SHORTEST, _LONGEST = 0.02, 1.0


class AlarmWatch:
    """Asks for the states of some alarms, from the beginning of a deployment on.

    Args:
        names: The alarms; one that has been deleted counts as quiet.
        state_of: The state of an alarm, None if there is no such alarm.
        settings: Whether an alarm counts that was in ALARM at the beginning.
    """

    def __init__(self, names: Sequence[str], state_of: Callable[[str], str | None], settings: LocalSettings) -> None:
        self._names = names
        self._state_of = state_of
        ignored = names if settings.alarm_at_start == "ignore" else ()
        self._ignored = {name for name in ignored if state_of(name) == "ALARM"}
        # Seconds between two looks.
        self.interval = max(_SHORTEST, min(_LONGEST, settings.real(_INTERVAL))) if names else float("inf")

    def tripped(self) -> list[str]:
        """The alarms that are in ALARM now."""
        alarming = {name for name in self._names if self._state_of(name) == "ALARM"}
        self._ignored &= alarming
        return sorted(alarming - self._ignored)
