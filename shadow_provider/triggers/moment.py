"""Waits for a moment, and gives back what the task wants to remember."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

# So often the clock is asked again: a machine that was asleep, or whose clock was set, does not wait on.
_LONGEST_SLEEP = 30.0


class SageMakerShadowMomentTrigger(BaseTrigger):
    """Fires at a moment. It asks AWS nothing.

    Args:
        moment: ISO 8601 with offset. Absolute, so that a restart does not begin to wait anew.
        resume: JSON that the event gives back under the same name; see ``PollingTrigger``.
    """

    def __init__(self, *, moment: str, resume: dict[str, Any] | None = None, **_unknown: Any) -> None:
        # Unknown arguments come from rows that a newer version wrote; refusing them would lose the wait.
        super().__init__()  # type: ignore[no-untyped-call]
        self.moment = moment
        self.resume = resume or {}

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and every argument, as the triggerer wants them."""
        cls = type(self)
        return f"{cls.__module__}.{cls.__qualname__}", {"moment": self.moment, "resume": self.resume}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: ``{"status": "ended", "resume": …}``."""
        moment = datetime.fromisoformat(self.moment).timestamp()
        while True:
            remaining = moment - time.time()
            if remaining <= 0:
                yield TriggerEvent({"status": "ended", "resume": self.resume})
                return
            await asyncio.sleep(min(remaining, _LONGEST_SLEEP))
