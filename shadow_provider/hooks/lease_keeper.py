"""Takes, keeps and releases the lease of an endpoint, over any store of its generations."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from shadow_provider.plan.deployment import Deployment
from shadow_provider.plan.errors import LeaseContestedError, LeaseHeldError, LeaseLostError
from shadow_provider.plan.lease import (
    CLAIM_TIME,
    Lease,
    LeaseState,
    Move,
    Standing,
    next_move,
    standing,
    superfluous,
)

log = logging.getLogger(__name__)

# A claim, a confirmation, and a few lost races with others who claim at the same moment.
_MOVES = 10


class LeaseStore(Protocol):
    """The generations of one endpoint's lease. What was written is read by everybody at once."""

    def generations(self) -> list[int]:
        """Return every number in use."""

    def read(self, generation: int) -> Lease | None:
        """Read a generation; None if there is none of that number."""

    def create(self, lease: Lease) -> bool:
        """Write a generation unless its number is in use; return whether this very document stands there now."""

    def write(self, lease: Lease) -> None:
        """Write a generation anew."""

    def remove(self, generation: int) -> None:
        """Remove a generation; it is fine if it is gone."""


def _now() -> datetime:
    return datetime.now(tz=UTC)


class LeaseKeeper:
    """One deployment's hand on the lease of its endpoint. Each verb may be killed at any point and called again.

    Args:
        store: the lease's generations.
        deployment: who takes, keeps and releases it.
        objection: says why the endpoint itself does not allow to take it, None if it does. It gets the lease that ran
            out, or None where nothing is taken from anybody.
        clock: the present time.
    """

    def __init__(
        self,
        store: LeaseStore,
        deployment: Deployment,
        objection: Callable[[Lease | None], str | None],
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._store = store
        self._deployment = deployment
        self._objection = objection
        self._clock = clock

    def take(self, until: datetime) -> Lease:
        """Take the lease, or renew it where this deployment has it.

        Args:
            until: the lease's end, unless it is renewed before.

        Raises:
            LeaseHeldError: another deployment has it, or the endpoint does not allow to take it.
            LeaseLostError: another deployment took it at this very moment.
            LeaseContestedError: another deployment is about to take it; may pass.
        """
        for _ in range(_MOVES):
            now = self._clock()
            found = self.look()
            move = next_move(found, self._deployment.deployment_id, now)
            log.debug("Lease of endpoint %s: %s -> %s", self._deployment.endpoint_name, found.lease, move.value)
            if move is Move.WAIT:
                raise self._held(found)
            if move is Move.CLAIM:
                self._claim(found, now)
            elif move is Move.WITHDRAW:
                self._write(found, LeaseState.WITHDRAWN, until)
            else:
                return self._hold(found, move, until)
        raise LeaseContestedError(
            f"Others take the lease of endpoint {self._deployment.endpoint_name} at this very moment: {_MOVES} moves "
            "did not settle it; try again."
        )

    def keep(self, until: datetime) -> Lease:
        """Make sure, before an act, that this deployment has the lease, and renew it.

        A lease that this deployment released, or that others released since, is taken again.

        Raises:
            LeaseLostError: another deployment has it: nothing may be changed any more.
            LeaseContestedError: another deployment is about to take it; may pass.
        """
        try:
            return self.take(until)
        except LeaseHeldError as error:
            names = self._deployment.names
            raise LeaseLostError(
                f"This deployment has lost endpoint {self._deployment.endpoint_name}: {error} Nothing more is changed "
                f"by this deployment. Should the endpoint still run its config {names.shadow_config}, a person must "
                "decide: let the other deployment end, or update the endpoint to the config that stands in that "
                "config's tag shadow-provider:baseline-config."
            ) from error

    def release(self) -> bool:
        """Give the lease back; return whether this deployment had it until now."""
        found = self.look()
        lease = found.lease
        if lease is None or lease.owner != self._deployment.deployment_id or lease.state is LeaseState.RELEASED:
            return False
        self._write(found, LeaseState.RELEASED, self._clock())
        return self._above(lease) is None

    def look(self) -> Standing:
        """Say who stands where, now."""
        generations = self._store.generations()
        documents = (self._store.read(number) for number in sorted(generations, reverse=True))
        return standing(generations, (lease for lease in documents if lease is not None), self._clock())

    def _claim(self, found: Standing, now: datetime) -> None:
        taken_from = found.lease if found.lease and found.lease.state is not LeaseState.RELEASED else None
        reason = self._objection(taken_from)
        if reason:
            raise LeaseHeldError(f"{reason[0].upper()}{reason[1:]}.")
        claim = Lease(
            endpoint=self._deployment.endpoint_name,
            owner=self._deployment.deployment_id,
            dag=self._deployment.dag,
            run=self._deployment.run,
            generation=found.highest + 1,
            state=LeaseState.CLAIMED,
            acquired=now,
            renewed=now,
            expires=now + CLAIM_TIME,
        )
        self._store.create(claim)

    def _hold(self, found: Standing, move: Move, until: datetime) -> Lease:
        lease = self._write(found, LeaseState.HELD, until)
        above = self._above(lease)
        if above is not None:
            if above.state is LeaseState.CLAIMED:
                raise LeaseContestedError(f"{above.holder} is about to take endpoint {lease.endpoint}; try again.")
            raise LeaseLostError(f"Endpoint {lease.endpoint} was taken over by {above.holder}. Nothing was changed.")
        if move is Move.CONFIRM:
            log.info("Deployment %s holds endpoint %s until %s (generation %d)", lease.owner, lease.endpoint,
                     until.isoformat(timespec="seconds"), lease.generation)  # fmt: skip
            for number in superfluous(self._store.generations(), lease.generation):
                self._store.remove(number)
        return lease

    def _write(self, found: Standing, state: LeaseState, expires: datetime) -> Lease:
        assert found.lease is not None  # only what stands there is written anew
        lease = found.lease.written(state, now=self._clock(), expires=expires)
        self._store.write(lease)
        return lease

    def _above(self, lease: Lease) -> Lease | None:
        found = self.look().lease
        return found if found is not None and found.generation > lease.generation else None

    def _held(self, found: Standing) -> Exception:
        assert found.lease is not None  # somebody has it
        lease, endpoint = found.lease, self._deployment.endpoint_name
        if lease.state is LeaseState.CLAIMED:
            return LeaseContestedError(f"{lease.holder} is about to take endpoint {endpoint}; try again.")
        return LeaseHeldError(
            f"Endpoint {endpoint} is held by {lease.holder}, until {lease.expires.isoformat(timespec='seconds')} "
            f"unless it renews its lease (generation {lease.generation})."
        )
