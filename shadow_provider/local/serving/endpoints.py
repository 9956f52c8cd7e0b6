"""Endpoints as a state machine: Creating, InService, Updating, Failed, Deleting, with blue/green updates."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shadow_provider.local.errors import ValidationException, already_exists, in_progress, not_found
from shadow_provider.local.faults import EndpointFault
from shadow_provider.local.serving.deployment import Deployment, DeploymentError, Machinery, VariantPlan
from shadow_provider.local.serving.variant import Variant, VariantCounters

logger = logging.getLogger(__name__)


class EndpointStatus(StrEnum):
    """The states an endpoint can have here; AWS has more. The last two come about by faults only."""

    CREATING = "Creating"
    IN_SERVICE = "InService"
    UPDATING = "Updating"
    FAILED = "Failed"
    DELETING = "Deleting"
    UPDATE_ROLLBACK_FAILED = "UpdateRollbackFailed"
    OUT_OF_SERVICE = "OutOfService"


# Any change is refused meanwhile.
IN_PROGRESS = frozenset({EndpointStatus.CREATING, EndpointStatus.UPDATING, EndpointStatus.DELETING})
# AWS's remedy for a failed rollback is another update.
_CHANGEABLE = frozenset({EndpointStatus.IN_SERVICE, EndpointStatus.UPDATE_ROLLBACK_FAILED})


@dataclass
class Endpoint:
    """One endpoint.

    Attributes:
        live: What answers now; None before the first deployment is up and after a failed one.
        pending: What is being started.
        config_name: The active configuration's name; during an update still the old one.
        pending_since: When the pending deployment began, epoch seconds.
        counters: By variant name, over all deployments.
    """

    name: str
    arn: str
    config_name: str
    status: EndpointStatus = EndpointStatus.CREATING
    failure_reason: str | None = None
    created: float = field(default_factory=time.time)
    modified: float = field(default_factory=time.time)
    live: Deployment | None = None
    pending: Deployment | None = None
    pending_since: float = 0.0
    counters: dict[str, VariantCounters] = field(default_factory=dict)

    def counters_of(self, variant: str) -> VariantCounters:
        """The counters of a variant name."""
        return self.counters.setdefault(variant, VariantCounters())

    def current(self, variant: str) -> Variant | None:
        """The serving variant of a name, shadow or production."""
        found = [] if self.live is None else [item for item in self.live.variants if item.name == variant]
        return found[0] if found else None


class Endpoints:
    """All endpoints and the changes under way.

    Args:
        machinery: What deployments share.
    """

    def __init__(self, machinery: Machinery) -> None:
        self._machinery = machinery
        self._endpoints: dict[str, Endpoint] = {}
        self._changes: set[asyncio.Task[None]] = set()
        settings = machinery.settings
        self._arn_prefix = f"arn:aws:sagemaker:{settings.region}:{settings.account_id}:endpoint/"

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

    def create(
        self, name: str, config: dict[str, Any], production: list[VariantPlan], shadows: list[VariantPlan]
    ) -> Endpoint:
        """Begins to create an endpoint."""
        endpoint = Endpoint(name, self.arn(name), config["EndpointConfigName"])
        self._endpoints[name] = endpoint
        self._begin(endpoint, config, production, shadows)
        return endpoint

    def update(
        self,
        endpoint: Endpoint,
        config: dict[str, Any],
        production: list[VariantPlan],
        shadows: list[VariantPlan],
    ) -> None:
        """Begins a blue/green update: the new fleet comes up beside the old one, which serves until then."""
        endpoint.status = EndpointStatus.UPDATING
        self._begin(endpoint, config, production, shadows)

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
        self._run(self._delete(endpoint))

    async def close(self) -> None:
        """Stops every process at once."""
        for change in self._changes:
            change.cancel()
        await asyncio.gather(*self._changes, return_exceptions=True)
        live = [endpoint.live for endpoint in self if endpoint.live is not None]
        await asyncio.gather(*(deployment.stop() for deployment in live))

    def _begin(
        self,
        endpoint: Endpoint,
        config: dict[str, Any],
        production: list[VariantPlan],
        shadows: list[VariantPlan],
    ) -> None:
        endpoint.modified = endpoint.pending_since = time.time()
        endpoint.pending = Deployment(endpoint.name, config, production, shadows, endpoint.counters_of, self._machinery)
        board = self._machinery.faults
        fault = board.for_change(endpoint.name, update=endpoint.live is not None) if board.endpoint else None
        self._run(self._deploy(endpoint, endpoint.pending, fault))

    async def _deploy(self, endpoint: Endpoint, new: Deployment, fault: EndpointFault | None) -> None:
        try:
            if fault is not None and fault.kind == "capacity":
                settings = self._machinery.settings
                await asyncio.sleep(settings.real(settings.provisioning_seconds))
            else:
                await new.start()
            if fault is not None:
                await new.stop()
                await self._end_faulty(endpoint, fault)
                return
        except Exception as error:
            if not isinstance(error, DeploymentError):
                logger.exception("%s: the deployment failed unexpectedly", endpoint.name)
            known = isinstance(error, DeploymentError)
            endpoint.failure_reason = str(error) if known else "Request to service failed. Please try again later."
            # Nothing was switched: an update that fails leaves the old fleet and the old configuration in service.
            endpoint.status = EndpointStatus.FAILED if endpoint.live is None else EndpointStatus.IN_SERVICE
            logger.warning("%s is %s: %s", endpoint.name, endpoint.status, endpoint.failure_reason)
        else:
            # From here on every new request goes to the new fleet; those under way finish in the old one.
            old, endpoint.live = endpoint.live, new
            if old is not None:
                await self._retire(endpoint, old)
            endpoint.config_name = new.config["EndpointConfigName"]
            endpoint.failure_reason, endpoint.status = None, EndpointStatus.IN_SERVICE
            logger.info("%s is InService with %s", endpoint.name, endpoint.config_name)
        endpoint.pending, endpoint.modified = None, time.time()

    async def _end_faulty(self, endpoint: Endpoint, fault: EndpointFault) -> None:
        status = EndpointStatus.FAILED if endpoint.live is None else EndpointStatus.IN_SERVICE
        if fault.kind == "rollback_failed":
            status = EndpointStatus.UPDATE_ROLLBACK_FAILED
        elif fault.kind == "out_of_service":
            status = EndpointStatus.OUT_OF_SERVICE
            live, endpoint.live = endpoint.live, None
            if live is not None:
                await self._retire(endpoint, live)
        endpoint.failure_reason, endpoint.status = fault.failure_reason, status
        endpoint.pending, endpoint.modified = None, time.time()
        logger.warning("%s is %s by a fault: %s", endpoint.name, status, fault.failure_reason or "no reason given")

    async def _delete(self, endpoint: Endpoint) -> None:
        live, endpoint.live = endpoint.live, None
        if live is not None:
            await self._retire(endpoint, live)
        del self._endpoints[endpoint.name]

    async def _retire(self, endpoint: Endpoint, old: Deployment) -> None:
        try:
            await old.retire()
        except Exception:
            # The new fleet serves: what went wrong with the old one must not leave the endpoint in Updating for ever.
            logger.exception("%s: stopping the old fleet failed", endpoint.name)

    def _run(self, change: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
