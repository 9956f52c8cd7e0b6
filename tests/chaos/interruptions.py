"""Ends a process at a certain AWS call: the local AWS holds the call, and the process dies there."""

from __future__ import annotations

import http.client
import json
import re
import signal
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, Literal
from urllib.parse import urlsplit

from shadow_provider.local.control.calls import Call
from shadow_provider.local.faults import ApiFault
from tests.chaos.cloud import Cloud
from tests.chaos.processes import Process

_HELD_SECONDS = 600
_EQUAL_READS = 3
_READS = ("Describe", "Get", "Head", "List")
# What differs from run to run in the names of S3's objects.
_MOMENTS = re.compile(r"\d{8}T\d{6}Z|\d{4}/\d{2}/\d{2}/\d{2}|evidence-\d{12}|\d{6}-[0-9a-f]{8}")


@dataclass(frozen=True, order=True)
class KillPoint:
    """Just before or just after a call takes effect.

    Attributes:
        process: ``task.plan``, ``trigger.evaluate``: whose call.
        operation: AWS's operation.
        resource: what it is about, as a pattern.
        nth: the how-many-eth such call of the process, from 1.
        when: which side of its effect.
    """

    process: str
    operation: str
    resource: str
    nth: int
    when: Literal["before", "after"]

    def __str__(self) -> str:
        """In words."""
        return f"{self.when} {self.process}'s {self.operation} {self.resource} #{self.nth}"

    @property
    def changes(self) -> bool:
        """Whether the call changes something in AWS."""
        return not self.operation.startswith(_READS)

    @property
    def fault(self) -> ApiFault:
        """What holds the process there."""
        return ApiFault(
            kind="hold_before" if self.when == "before" else "hold_after",
            principal=self.process,
            operation=self.operation,
            resource=self.resource,
            nth=self.nth,
        )


def kill_points(calls: Iterable[Call]) -> list[KillPoint]:
    """Both sides of each call of an undisturbed run, in their order; of a process's equal reads, which poll, three."""
    seen: Counter[tuple[str, str, str]] = Counter()
    found: list[KillPoint] = []
    for call in calls:
        resource = _MOMENTS.sub("*", call.resources[-1]) if call.resources else "*"
        key = (call.principal, call.operation, resource)
        seen[key] += 1
        if seen[key] <= _EQUAL_READS or not call.operation.startswith(_READS):
            found += [KillPoint(*key, seen[key], "before"), KillPoint(*key, seen[key], "after")]
    return found


class Kill:
    """Kills the process (SIGKILL) that makes a certain call, while the call is held.

    Args:
        cloud: the local AWS.
        point: which call.
    """

    state: str | None = None

    def __init__(self, cloud: Cloud, point: KillPoint) -> None:
        self.point = point
        self.struck = False
        self._fault = cloud.aws.faults.add(point.fault)
        address = urlsplit(cloud.aws.endpoint_url)
        self._line = http.client.HTTPConnection(str(address.hostname), address.port)
        self._line.request("GET", f"/_local/faults/{self._fault.id}/held?calls=1&seconds={_HELD_SECONDS}")
        self.signals: Sequence[Any] = (self._line.sock,)

    def strike(self, process: Process) -> str | None:
        """Kill the process, and wait until the local AWS has seen that it is gone."""
        held = json.loads(self._line.getresponse().read())["held"]
        assert held == 1, "nothing was held for a long time"
        self.end()
        self.struck = True
        self._end(process)
        self._fault.wait_held(0)
        self._fault.remove()
        return self.state

    def _end(self, process: Process) -> None:
        process.end(signal.SIGKILL)

    def end(self) -> None:
        """Wait for nothing any more."""
        self.signals = ()
        self._line.close()


class Kills:
    """Kills several processes of one run, each at a call of its own.

    Args:
        cloud: the local AWS.
        points: which calls; not two of one process, whose calls count anew once it was killed.
    """

    def __init__(self, cloud: Cloud, points: Iterable[KillPoint]) -> None:
        self._kills = [Kill(cloud, point) for point in points]

    @property
    def signals(self) -> Sequence[Any]:
        """Of all that are yet to come."""
        return [signal for kill in self._kills for signal in kill.signals]

    @property
    def missed(self) -> list[KillPoint]:
        """The points that no process came to yet."""
        return [kill.point for kill in self._kills if not kill.struck]

    def strike(self, process: Process) -> None:
        """Kill the process, by whichever call of it is held."""
        (first, *_) = connection.wait(self.signals, timeout=0)
        next(kill for kill in self._kills if first in kill.signals).strike(process)

    def end(self) -> None:
        """Wait for nothing any more."""
        for kill in self._kills:
            kill.end()


class MarkFailed(Kill):
    """A person marks the task failed while it makes that call: SIGTERM, then SIGKILL, and no retry."""

    state = "failed"

    def _end(self, process: Process) -> None:
        process.end(signal.SIGTERM, signal.SIGKILL)
