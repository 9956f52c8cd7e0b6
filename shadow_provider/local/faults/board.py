"""The faults that are set in a server: which of them match, when they fire, and what removing them undoes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from shadow_provider.local.faults.holding import Holding
from shadow_provider.local.faults.models import (
    AlarmFault,
    ApiFault,
    CaptureFault,
    EndpointFault,
    Fault,
    FaultState,
    MetricsFault,
    VariantFault,
)

if TYPE_CHECKING:
    from shadow_provider.local.recognition import Asked

Change = Literal["creation", "update", "scaling"]
# The kinds of EndpointFault with which a change can end.
_ENDINGS: dict[Change, tuple[str, ...]] = {
    "creation": ("capacity", "out_of_service"),
    "update": ("rollback", "rollback_failed", "capacity", "out_of_service"),
    "scaling": ("rollback", "capacity"),
}

F = TypeVar("F", bound=Fault, covariant=True)


@dataclass
class Armed(Generic[F]):
    """A fault that is set.

    Attributes:
        seen: How often it matched.
        fired: How often it fired.
        undo: What to do when it is removed.
        holding: The calls that it holds.
    """

    id: str
    fault: F
    rng: random.Random
    seen: int = 0
    fired: int = 0
    undo: list[Callable[[], None]] = field(default_factory=list)
    holding: Holding = field(default_factory=Holding)

    def fires(self) -> bool:
        """Called when the fault matches: counts, and tells whether it is to go wrong this time."""
        self.seen += 1
        limit = self.fault.limit
        if limit is not None and self.fired >= limit:
            return False
        if not isinstance(self.fault, EndpointFault | AlarmFault):
            if self.fault.nth is not None and self.seen != self.fault.nth:
                return False
            if self.fault.probability < 1 and self.rng.random() >= self.fault.probability:
                return False
        self.fired += 1
        return True

    @property
    def state(self) -> FaultState:
        """As the control API shows it."""
        return FaultState(id=self.id, fault=self.fault, seen=self.seen, fired=self.fired, held=self.holding.count)


class FaultBoard:
    """All faults that are set, by what they are on. Used in the event loop's thread only.

    Each list is empty while there is no such fault: whoever may have to go wrong asks for that first, and no more.

    Args:
        seed: Seed of the probabilities; None draws a fresh one.

    Attributes:
        on_system_update: Called when a fault was set that puts endpoints into SystemUpdating.
        on_alarm: Called when a fault on alarms was set or removed.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self._numbers = itertools.count(1)
        self.api: list[Armed[ApiFault]] = []
        self.variant: list[Armed[VariantFault]] = []
        self.endpoint: list[Armed[EndpointFault]] = []
        self.capture: list[Armed[CaptureFault]] = []
        self.metrics: list[Armed[MetricsFault]] = []
        self.alarm: list[Armed[AlarmFault]] = []
        self.on_system_update: Callable[[], None] | None = None
        self.on_alarm: Callable[[], None] | None = None

    def __iter__(self) -> Iterator[Armed[Fault]]:
        """All of them, in the order they were set."""
        requests: tuple[Armed[Fault], ...] = (*self.api, *self.variant, *self.endpoint)
        everything: tuple[Armed[Fault], ...] = (*requests, *self.capture, *self.metrics, *self.alarm)
        return iter(sorted(everything, key=lambda armed: int(armed.id[1:])))

    def add(self, fault: Fault) -> Armed[Fault]:
        """Sets a fault."""
        number = next(self._numbers)
        rng = random.Random(None if self._seed is None else f"{self._seed}/fault/{number}")  # noqa: S311 - chance
        armed = Armed(f"f{number}", fault, rng)
        getattr(self, fault.on).append(armed)
        if self.on_system_update is not None and armed in self.system_updates:
            self.on_system_update()
        self._tell_alarms(fault)
        return armed

    def find(self, fault_id: str) -> Armed[Fault] | None:
        """The fault of this id; None if it is not set."""
        return next((armed for armed in self if armed.id == fault_id), None)

    def remove(self, fault_id: str) -> bool:
        """Removes a fault and undoes what lasts of it; False if there is none of this id."""
        found = self.find(fault_id)
        if found is None:
            return False
        getattr(self, found.fault.on).remove(found)
        found.holding.release()
        for undo in found.undo:
            undo()
        self._tell_alarms(found.fault)
        return True

    def _tell_alarms(self, fault: Fault) -> None:
        if self.on_alarm is not None and isinstance(fault, AlarmFault):
            self.on_alarm()

    def clear(self) -> int:
        """Removes all and tells how many there were."""
        return sum(self.remove(armed.id) for armed in list(self))

    def for_call(self, asked: Asked) -> list[Armed[ApiFault]]:
        """What goes wrong with a call: any delays, then at most one other fault, the first that fires."""
        found = []
        for armed in self.api:
            fault = armed.fault
            matches = (
                fnmatchcase(asked.operation, fault.operation)
                and fnmatchcase(asked.service, fault.service)
                and fnmatchcase(asked.principal, fault.principal)
                and mentions(asked.resources, fault.resource)
            )
            if matches and armed.fires():
                found.append(armed)
                if fault.kind != "delay":
                    break
        return found

    def for_request(self, endpoint: str, variant: str) -> list[Armed[VariantFault]]:
        """What goes wrong with a request to a variant; all that fire do."""
        return [
            armed for armed in self.variant if armed.fault.kind != "fail_pings" and _fires(armed, endpoint, variant)
        ]

    def fails_ping(self, endpoint: str, variant: str) -> bool:
        """Whether a /ping of a starting process fails."""
        pings = [armed for armed in self.variant if armed.fault.kind == "fail_pings"]
        return any(_fires(armed, endpoint, variant) for armed in pings)

    def for_change(self, endpoint: str, change: Change) -> EndpointFault | None:
        """How a change that begins now is to end."""
        for armed in self.endpoint:
            applies = armed.fault.kind in _ENDINGS[change]
            if applies and fnmatchcase(endpoint, armed.fault.endpoint) and armed.fires():
                return armed.fault
        return None

    @property
    def system_updates(self) -> list[Armed[EndpointFault]]:
        """The faults that keep endpoints in SystemUpdating."""
        return [armed for armed in self.endpoint if armed.fault.kind == "system_update"]

    def for_capture(self, endpoint: str, variant: str, *kinds: str) -> list[CaptureFault]:
        """What goes wrong with a record or an object; all that fire do."""
        found = [armed for armed in self.capture if armed.fault.kind in kinds and _fires(armed, endpoint, variant)]
        return [armed.fault for armed in found]

    def for_metric(self, endpoint: str, variant: str, metric: str) -> MetricsFault | None:
        """What goes wrong with one value."""
        for armed in self.metrics:
            if fnmatchcase(metric, armed.fault.metric) and _fires(armed, endpoint, variant):
                return armed.fault
        return None

    def alarm_state(self, alarm: str) -> str | None:
        """The state that an alarm is to have, whatever it watches; None leaves it alone."""
        for armed in self.alarm:
            if fnmatchcase(alarm, armed.fault.alarm) and armed.fires():
                return armed.fault.kind
        return None


def mentions(resources: tuple[str, ...], pattern: str) -> bool:
    """Whether one of the names fits the pattern; "*" fits calls without any name too."""
    return pattern == "*" or any(fnmatchcase(resource, pattern) for resource in resources)


def _fires(armed: Armed[VariantFault] | Armed[CaptureFault] | Armed[MetricsFault], endpoint: str, variant: str) -> bool:
    fault = armed.fault
    return fnmatchcase(endpoint, fault.endpoint) and fnmatchcase(variant, fault.variant) and armed.fires()
