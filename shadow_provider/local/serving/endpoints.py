"""All endpoints: what may be done with them when, and the changes under way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Coroutine, Sequence
from fnmatch import fnmatchcase
from typing import Any

from shadow_provider.local.errors import ValidationException, already_exists, in_progress, not_found
from shadow_provider.local.faults.board import Change
from shadow_provider.local.serving.capacity_change import CapacityChange, Desired
from shadow_provider.local.serving.deployment import Deployment, VariantPlan
from shadow_provider.local.serving.endpoint import IN_PROGRESS, Endpoint, EndpointStatus
from shadow_provider.local.serving.machinery import Machinery
from shadow_provider.local.serving.rollout import Rollout
from shadow_provider.local.serving.rollout_plan import RolloutPlan
from shadow_provider.local.serving.traffic import Traffic

logger = logging.getLogger(__name__)

# AWS's remedy for a failed rollback is another update.
_CHANGEABLE = frozenset({EndpointStatus.IN_SERVICE, EndpointStatus.UPDATE_ROLLBACK_FAILED})


class Endpoints:
    """All endpoints and the changes under way.

    Args:
        machinery: What deployments share.
    """

    def __init__(self, machinery: Machinery) -> None:
        self._machinery = machinery
        self._endpoints: dict[str, Endpoint] = {}
        self._changes: set[asyncio.Task[None]] = set()
        self._closing = False
        settings = machinery.settings
        self._arn_prefix = f"arn:aws:sagemaker:{settings.region}:{settings.account_id}:endpoint/"
        machinery.faults.on_system_update = self._maintain_all

    def __iter__(self) -> Any:
        return iter(list(self._endpoints.values()))

    def arn(self, name: str) -> str:
        """The ARN an endpoint of this name has; SageMaker writes names in lower case there."""
        return self._arn_prefix + name.lower()

    def find(self, name: str) -> Endpoint | None:
        """The endpoint of exactly this name."""
        return self._endpoints.get(name)

    def get(self, name: str) -> Endpoint:
        """The endpoint of exactly this name.

        Raises:
            ValidationException: There is none.
        """
        found = self.find(name)
        if found is None:
            raise not_found("endpoint", self.arn(name))
        return found

    def by_arn(self, arn: str) -> Endpoint | None:
        """The endpoint of an ARN."""
        return next((endpoint for endpoint in self if endpoint.arn == arn), None)

    def check_free(self, name: str) -> None:
        """Names are unique whatever their case.

        Raises:
            ValidationException: The name is taken, in whatever state its endpoint is.
        """
        if any(taken.lower() == name.lower() for taken in self._endpoints):
            raise already_exists("endpoint", self.arn(name))

    def check_changeable(self, endpoint: Endpoint) -> None:
        """Whether an update may begin.

        Raises:
            ValidationException: Another change is under way, or the endpoint has failed.
        """
        if endpoint.status in IN_PROGRESS:
            raise in_progress(endpoint.arn)
        if endpoint.status not in _CHANGEABLE:
            raise ValidationException(
                f'Cannot update endpoint "{endpoint.arn}" in status {endpoint.status}; it can only be deleted.'
            )

    def check_scalable(self, endpoint: Endpoint) -> None:
        """Whether weights and capacities may be changed.

        Raises:
            ValidationException: Another change is under way, or the endpoint is not InService.
        """
        if endpoint.status in IN_PROGRESS:
            raise in_progress(endpoint.arn)
        if endpoint.status is not EndpointStatus.IN_SERVICE:
            raise ValidationException(
                f'Cannot update weights and capacities of endpoint "{endpoint.arn}" in status {endpoint.status}.'
            )

    def create(
        self,
        name: str,
        config: dict[str, Any],
        production: list[VariantPlan],
        shadows: list[VariantPlan],
        plan: RolloutPlan,
    ) -> Endpoint:
        """Begins to create an endpoint."""
        seed = self._machinery.settings.seed
        rng = random.Random(None if seed is None else f"{seed}/{name}/traffic")  # noqa: S311 - sampling, not secrecy
        endpoint = Endpoint(name, self.arn(name), config["EndpointConfigName"], Traffic(rng))
        self._endpoints[name] = endpoint
        self._begin(endpoint, config, production, shadows, plan)
        return endpoint

    def update(
        self,
        endpoint: Endpoint,
        config: dict[str, Any],
        production: list[VariantPlan],
        shadows: list[VariantPlan],
        plan: RolloutPlan,
    ) -> None:
        """Begins an update: the new fleet comes up beside the old one and takes over as the plan says."""
        endpoint.status = EndpointStatus.UPDATING
        self._begin(endpoint, config, production, shadows, plan)

    def change_capacity(self, endpoint: Endpoint, desired: Sequence[Desired]) -> None:
        """Begins to change weights and instance counts."""
        board = self._machinery.faults
        fault = board.for_change(endpoint.name, "scaling") if board.endpoint else None
        endpoint.status, endpoint.modified = EndpointStatus.UPDATING, time.time()
        self._run(endpoint, CapacityChange(endpoint, desired, self._machinery, fault).run())

    def check_deletable(self, endpoint: Endpoint) -> None:
        """Whether a deletion may begin.

        Raises:
            ValidationException: Another change is under way.
        """
        if endpoint.status in IN_PROGRESS:
            raise in_progress(endpoint.arn)

    def delete(self, endpoint: Endpoint) -> None:
        """Begins to delete an endpoint.

        Raises:
            ValidationException: Another change is under way.
        """
        self.check_deletable(endpoint)
        endpoint.status, endpoint.modified = EndpointStatus.DELETING, time.time()
        self._run(endpoint, self._delete(endpoint))

    async def close(self) -> None:
        """Stops every process at once."""
        self._closing = True
        for change in self._changes:
            change.cancel()
        called_off = asyncio.gather(*self._changes, return_exceptions=True)
        # What a change waits for on its way out are requests, which end with the processes that have them.
        await self._stop_all()
        await called_off
        await self._stop_all()

    async def _stop_all(self) -> None:
        left = [deployment for endpoint in self for deployment in endpoint.deployments]
        await asyncio.gather(*(deployment.stop() for deployment in left))

    def _begin(
        self,
        endpoint: Endpoint,
        config: dict[str, Any],
        production: list[VariantPlan],
        shadows: list[VariantPlan],
        plan: RolloutPlan,
    ) -> None:
        endpoint.modified = endpoint.pending_since = time.time()
        endpoint.pending = Deployment(
            endpoint.name,
            config,
            production,
            shadows,
            endpoint.counters_of,
            self._machinery,
            by_update=endpoint.status == EndpointStatus.UPDATING,
        )
        board = self._machinery.faults
        change: Change = "creation" if endpoint.live is None else "update"
        fault = board.for_change(endpoint.name, change) if board.endpoint else None
        self._run(endpoint, Rollout(endpoint, plan, self._machinery, fault).run())

    async def _delete(self, endpoint: Endpoint) -> None:
        endpoint.traffic.only(None)
        for deployment in endpoint.deployments:
            try:
                await deployment.retire()
            except Exception:
                logger.exception("%s: stopping a fleet failed", endpoint.name)
        endpoint.live = endpoint.mixed = None
        del self._endpoints[endpoint.name]

    def _maintain_all(self) -> None:
        for endpoint in self:
            self._maintain(endpoint)

    def _maintain(self, endpoint: Endpoint) -> None:
        """Begins AWS's maintenance of an endpoint that is InService, if a fault asks for it."""
        for armed in self._machinery.faults.system_updates:
            matches = endpoint.status is EndpointStatus.IN_SERVICE and fnmatchcase(endpoint.name, armed.fault.endpoint)
            if matches and not self._closing and armed.fires():
                endpoint.status, endpoint.modified = EndpointStatus.SYSTEM_UPDATING, time.time()
                over = asyncio.Event()
                armed.undo.append(over.set)
                self._run(endpoint, self._update_system(endpoint, over, armed.fault.seconds or 0.0))

    async def _update_system(self, endpoint: Endpoint, over: asyncio.Event, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), self._machinery.settings.real(seconds))
        endpoint.status, endpoint.modified = EndpointStatus.IN_SERVICE, time.time()

    def _run(self, endpoint: Endpoint, change: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(change)
        self._changes.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._changes.discard(task)
            self._maintain(endpoint)

        task.add_done_callback(done)
