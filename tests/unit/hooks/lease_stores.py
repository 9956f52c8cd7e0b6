"""A lease's generations in memory, and deployments that use them at once, one step at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from greenlet import greenlet  # type: ignore[import-untyped]

from shadow_provider.hooks.lease_keeper import LeaseKeeper
from shadow_provider.plan.deployment import Deployment
from shadow_provider.plan.errors import ShadowError
from shadow_provider.plan.lease import Lease

START = datetime(2026, 3, 1, 10, tzinfo=UTC)
ENDPOINT = "churn"


class MemoryLeases:
    """What S3 is to a lease: a strongly consistent store with If-None-Match."""

    def __init__(self) -> None:
        self.documents: dict[int, Lease] = {}
        self.before_each: Callable[[], None] = lambda: None

    def generations(self) -> list[int]:
        self.before_each()
        return list(self.documents)

    def read(self, generation: int) -> Lease | None:
        self.before_each()
        return self.documents.get(generation)

    def create(self, lease: Lease) -> bool:
        self.before_each()
        return self.documents.setdefault(lease.generation, lease) == lease

    def write(self, lease: Lease) -> None:
        self.before_each()
        self.documents[lease.generation] = lease

    def remove(self, generation: int) -> None:
        self.before_each()
        self.documents.pop(generation, None)


@dataclass
class World:
    """The time, the store, and who may rely on the lease at this moment."""

    now: datetime = START
    leases: MemoryLeases = field(default_factory=MemoryLeases)
    objection: str | None = None
    entitled: dict[str, datetime] = field(default_factory=dict)

    def keeper(self, owner: str) -> LeaseKeeper:
        deployment = Deployment(endpoint_name=ENDPOINT, deployment_id=owner, dag=f"dag-{owner}", run="run")
        return LeaseKeeper(self.leases, deployment, lambda _: self.objection, lambda: self.now)

    def until(self, hours: float = 1) -> datetime:
        return self.now + timedelta(hours=hours)


class Killed(BaseException):
    """The process is gone in the middle of a verb."""


@dataclass
class Actor:
    """One deployment with what it is going to do; it stops before each step until it is let go on."""

    world: World
    owner: str
    verbs: Sequence[str]
    kill_at: int | None = None
    steps: int = 0
    at_boundary: bool = True
    sleeping: bool = False
    done: bool = False
    conflicts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._steps = greenlet(self._run)

    def start(self) -> None:
        """Come to the first stop."""
        self._steps.switch()

    def step(self) -> None:
        """Go on up to the next stop."""
        self.world.leases.before_each = self._stop
        self._steps.switch()

    def _stop(self) -> None:
        self._steps.parent.switch()
        self.steps += 1
        if self.kill_at == self.steps:
            raise Killed

    def _run(self) -> None:
        for verb in self.verbs:
            self.at_boundary, self.sleeping = True, verb == "sleep"
            with contextlib.suppress(ShadowError, Killed):
                self._stop()
                self.at_boundary = False
                self._do(verb)
        self.done = True

    def _do(self, verb: str) -> None:
        world, keeper = self.world, self.world.keeper(self.owner)
        world.entitled.pop(self.owner, None)
        if verb == "sleep":
            world.now += timedelta(hours=2)
        elif verb == "release":
            keeper.release()
        else:
            until = world.until()
            getattr(keeper, verb)(until)
            # From here on it may change the endpoint.
            self.conflicts += [other for other, end in world.entitled.items() if world.now < end]
            world.entitled[self.owner] = until


def every_order(prepare: Callable[[World], Sequence[Actor]]) -> Iterator[tuple[World, Sequence[Actor]]]:
    """Run two actors in every order that their steps can have; gives each world as it is at the end."""
    order: list[int] | None = []
    while order is not None:
        world = World()
        actors = prepare(world)
        for actor in actors:
            actor.start()
        taken: list[tuple[int, int]] = []
        while running := [actor for actor in actors if not actor.done]:
            choice = order[len(taken)] if len(taken) < len(order) else 0
            taken.append((choice, len(running)))
            running[choice].step()
        world.leases.before_each = lambda: None
        yield world, actors
        # The last step that could have gone to another one goes to it next time.
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        order = [choice for choice, _ in taken[:-1]] + [taken[-1][0] + 1] if taken else None


def interleave(world: World, actors: Sequence[Actor], choices: Sequence[int]) -> None:
    """Run the actors step by step as the choices say, then to their ends.

    A long sleep passes only while the others are between two verbs: between the steps of a verb no lease can let hours
    pass. Each choice also says how many seconds pass.
    """
    for actor in actors:
        actor.start()
    turns = iter(choices)
    while running := [actor for actor in actors if not actor.done]:
        choice = next(turns, 0)
        may = [
            actor
            for actor in running
            if not actor.sleeping or all(other.at_boundary for other in running if other is not actor)
        ]
        world.now += timedelta(seconds=choice % 3)
        may[(choice // 3) % len(may)].step()
    world.leases.before_each = lambda: None
