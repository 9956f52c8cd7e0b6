"""Who holds an endpoint: one deployment at a time, by documents in S3 that are made with If-None-Match.

Each taking of the lease is a generation, a document of its own. The highest generation that counts says who holds the
endpoint. Whoever takes it writes the next generation as a *claim*, looks at the one before once more, and only then
holds it; whoever holds it writes its own generation anew before each act, and looks for a higher one. Each side writes
first and reads then, so of two at once at least one sees the other (Dekker's rule; S3 is strongly consistent).

No lease can stop a process that slept between its last look and its act; that is what compare-and-set is for.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, PositiveInt

from shadow_provider.plan.endpoint_state import EndpointState

# How long the next step of a deployment may be late: a busy scheduler, retries, a person who clears a task. It also has
# to cover what the clocks of two workers differ by, of which AWS lets 15 minutes pass (S3: RequestTimeTooSkewed).
SLACK = timedelta(hours=1)
# How long a claim may stay one. Between claim and hold there are three calls, each repeated for a minute at most.
CLAIM_TIME = timedelta(minutes=10)
# Old generations that are kept for people to read.
KEPT_GENERATIONS = 5


class LeaseState(enum.StrEnum):
    """What a generation says: claimed (not held yet), held, released, or withdrawn (a claim that was given back)."""

    CLAIMED = "claimed"
    HELD = "held"
    RELEASED = "released"
    WITHDRAWN = "withdrawn"


class Lease(BaseModel):
    """One generation of the lease of an endpoint. Only its owner ever writes it.

    Attributes:
        endpoint: the endpoint.
        owner: the id of the deployment.
        dag: its DAG; None outside of Airflow.
        run: the run of that DAG.
        generation: counts the takings of this endpoint's lease, from 1.
        state: what this generation says.
        acquired: when it was made.
        renewed: when it was last written.
        expires: from then on another deployment may take it, if the endpoint allows.
    """

    # What a newer version adds must not keep an older one from seeing who holds the endpoint.
    model_config = ConfigDict(frozen=True, extra="ignore")

    endpoint: str
    owner: str
    dag: str | None = None
    run: str | None = None
    generation: PositiveInt
    state: LeaseState
    acquired: AwareDatetime
    renewed: AwareDatetime
    expires: AwareDatetime

    def counts(self, now: datetime) -> bool:
        """Whether this generation says who holds the endpoint; a withdrawn one and a claim left lying do not."""
        if self.state is LeaseState.CLAIMED:
            return now < self.expires
        return self.state is not LeaseState.WITHDRAWN

    def is_free(self, now: datetime) -> bool:
        """Whether another deployment may take it: released, or not renewed in time."""
        return self.state is LeaseState.RELEASED or self.expires <= now

    def written(self, state: LeaseState, *, now: datetime, expires: datetime) -> Lease:
        """Return this generation as its owner writes it anew."""
        return self.model_copy(update={"state": state, "renewed": now, "expires": expires})

    @property
    def holder(self) -> str:
        """Name the owner for people."""
        return described(self.owner, self.dag, self.run)


def described(deployment_id: str, dag: str | None, run: str | None) -> str:
    """Name a deployment for people, with its DAG and run where they are known."""
    where = ", ".join(f"{kind} {name}" for kind, name in (("DAG", dag), ("run", run)) if name)
    return f"deployment {deployment_id!r}" + (f" ({where})" if where else "")


@dataclass(frozen=True)
class Standing:
    """What the generations say at one moment.

    Attributes:
        highest: the highest number in use, 0 if there is none.
        lease: the highest generation that counts; None if nobody ever held the endpoint.
        before: where that is a claim, the next lower one that counts.
    """

    highest: int
    lease: Lease | None
    before: Lease | None


def standing(generations: Sequence[int], newest_first: Iterable[Lease], now: datetime) -> Standing:
    """Say who stands where.

    Args:
        generations: every number in use.
        newest_first: their documents from the highest on; read only as far as needed.
        now: the present time.
    """
    counting = (lease for lease in newest_first if lease.counts(now))
    lease = next(counting, None)
    before = next(counting, None) if lease and lease.state is LeaseState.CLAIMED else None
    return Standing(max(generations, default=0), lease, before)


class Move(enum.Enum):
    """What a deployment that wants the lease does next."""

    CLAIM = "claim"
    CONFIRM = "confirm"
    RENEW = "renew"
    WITHDRAW = "withdraw"
    WAIT = "wait"


def next_move(found: Standing, owner: str, now: datetime) -> Move:
    """Say what brings ``owner`` to the lease, or that another one holds it.

    A retried or cleared task finds its own generation and goes on with it, unless it was released.
    """
    lease, before = found.lease, found.before
    if lease is None:
        return Move.CLAIM
    if lease.owner != owner:
        return Move.CLAIM if lease.is_free(now) else Move.WAIT
    if lease.state is LeaseState.HELD:
        return Move.RENEW
    if lease.state is LeaseState.RELEASED:
        return Move.CLAIM
    if before is None or before.owner == owner or before.is_free(now):
        return Move.CONFIRM
    return Move.WITHDRAW


def objection(state: EndpointState | None, taken_from: Lease | None) -> str | None:
    """Say why the endpoint itself does not allow to take a lease that ran out; None if it does.

    Args:
        state: the endpoint.
        taken_from: the lease that ran out; None where nothing is taken from anybody.
    """
    if state is None or taken_from is None:
        return None
    dead = f"the lease of {taken_from.holder} ran out at {taken_from.expires.isoformat(timespec='seconds')}"
    if state.in_progress:
        return f"{dead}, but endpoint {state.name} is still changing: {state.summary()}"
    if state.status != "InService":
        return f"{dead}, and endpoint {state.name} does not serve: {state.summary()}. A person must mend it first"
    return None


def left_shadow(endpoint: str, config: str, whose: str, baseline: str | None) -> str:
    """Say that an endpoint runs the shadow of another deployment, and what is to be done about it."""
    return (
        f"endpoint {endpoint} runs {config}, the shadow of {whose}. If that deployment is dead, clear its task "
        f"rollback and what follows, or update the endpoint to {baseline or 'its baseline config'} by hand"
    )


def superfluous(generations: Sequence[int], held: int) -> list[int]:
    """Return the old generations that the holder of ``held`` may remove."""
    return sorted(number for number in generations if number < held)[:-KEPT_GENERATIONS]
