from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from shadow_provider.triggers import moment
from shadow_provider.triggers.moment import SageMakerShadowMomentTrigger


async def first_event(trigger: SageMakerShadowMomentTrigger) -> Any:
    async for event in trigger.run():
        return event.payload
    raise AssertionError("the trigger ended without an event")


def at(seconds: float) -> str:
    return (datetime.now(tz=UTC) + timedelta(seconds=seconds)).isoformat()


def test_it_fires_at_its_moment_with_what_the_task_remembers(monkeypatch: Any) -> None:
    monkeypatch.setattr(moment, "_LONGEST_SLEEP", 0.05)
    began = time.monotonic()
    trigger = SageMakerShadowMomentTrigger(moment=at(0.2), resume={"look": 2})
    assert asyncio.run(asyncio.wait_for(first_event(trigger), 10)) == {"status": "ended", "resume": {"look": 2}}
    assert time.monotonic() - began >= 0.19


def test_a_moment_that_has_passed_is_not_waited_for() -> None:
    found = asyncio.run(asyncio.wait_for(first_event(SageMakerShadowMomentTrigger(moment=at(-3600))), 1))
    assert found == {"status": "ended", "resume": {}}


def test_it_survives_the_database_and_arguments_of_a_newer_version() -> None:
    trigger = SageMakerShadowMomentTrigger(moment="2026-01-01T00:00:00+00:00", resume={"smoke": {"sent": True}})
    path, arguments = trigger.serialize()
    assert path == "shadow_provider.triggers.moment.SageMakerShadowMomentTrigger"
    again = SageMakerShadowMomentTrigger(**json.loads(json.dumps(arguments)), newer=1)
    assert again.serialize() == (path, arguments)
