"""Which disturbances share a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Generic, Protocol, TypeVar

from tests.chaos.end_state import Findings
from tests.chaos.journal import Result


class Shareable(Protocol):
    """Something that is done to a process of a run."""

    @property
    def process(self) -> str:
        """To which."""

    @property
    def changes(self) -> bool:
        """Whether the world may be another one for it."""


Disturbing = TypeVar("Disturbing", bound=Shareable)


@dataclass(frozen=True)
class Disturbed(Generic[Disturbing]):
    """A run that was disturbed.

    Attributes:
        missed: what should have happened to it, and did not.
        findings: what is wrong at its end.
    """

    missed: Sequence[Disturbing]
    findings: Findings


def runs_of(disturbances: Sequence[Disturbing]) -> list[tuple[Disturbing, ...]]:
    """Which of them are done in one run.

    What may change the world has a run of its own: a kill around a call that changes something, a fault of such a call.
    A read leaves nothing behind: whatever goes wrong with it, the world is one that a disturbance around some change
    leaves, too. These are done as many to a run as there are processes, one to each.
    """
    alone = [(each,) for each in disturbances if each.changes]
    shared = [each for each in disturbances if not each.changes]
    processes = dict.fromkeys(each.process for each in shared)
    columns = [[each for each in shared if each.process == process] for process in processes]
    return [*alone, *(tuple(each for each in row if each is not None) for row in zip_longest(*columns))]


def share(disturbances: Sequence[Disturbing], run: Callable[[Sequence[Disturbing]], Disturbed[Disturbing]]) -> Result:
    """Do them all in one run; then each that was missed beside the others, in a run of its own."""
    first = run(disturbances)
    reached, findings = len(disturbances) - len(first.missed), first.findings
    for each in first.missed if len(disturbances) > 1 else ():
        alone = run([each])
        reached += not alone.missed
        findings += alone.findings
    return Result(len(disturbances), reached, findings)
