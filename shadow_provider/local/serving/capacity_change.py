"""UpdateEndpointWeightsAndCapacities: instances come or go and weights change, on the fleets that serve."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from shadow_provider.local.faults import EndpointFault
from shadow_provider.local.serving.deployment import Deployment, DeploymentError
from shadow_provider.local.serving.endpoint import Endpoint, EndpointStatus
from shadow_provider.local.serving.machinery import Machinery
from shadow_provider.local.serving.rollout import SERVICE_FAILED
from shadow_provider.local.serving.variant import Stage, Variant

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Desired:
    """What is asked for a variant; None leaves it as it is."""

    variant: str
    weight: float | None
    count: int | None


class CapacityChange:
    """One change of weights and instance counts.

    Args:
        endpoint: The endpoint, which has a live deployment with all these variants.
        desired: What is asked for.
        machinery: What is shared.
        fault: How it is to end, if not well.
    """

    def __init__(
        self, endpoint: Endpoint, desired: Sequence[Desired], machinery: Machinery, fault: EndpointFault | None
    ) -> None:
        assert endpoint.live is not None
        self._endpoint = endpoint
        self._live: Deployment = endpoint.live
        self._machinery = machinery
        self._fault = fault
        self._before = {v.name: (v.desired_weight, v.desired_count) for v in self._live.variants}
        self._changed: list[Variant] = []
        for wish in desired:
            variant = self._live.variant(wish.variant)
            assert variant is not None
            if wish.weight is not None:
                variant.desired_weight = wish.weight
            if wish.count is not None and wish.count != variant.desired_count:
                said = "out" if wish.count > variant.count else "in"
                message = f"Scaling {said} desired instance count to {wish.count}."
                variant.desired_count, variant.stage = wish.count, Stage("Updating", message)
            self._changed.append(variant)

    async def run(self) -> None:
        """Changes all of it, or nothing; only a cancellation leaves the endpoint in between."""
        endpoint = self._endpoint
        try:
            await self._grow()
        except Exception as error:
            self._roll_back()
            await self._undo()
            endpoint.settle(EndpointStatus.IN_SERVICE, self._reason(error))
            logger.warning("%s keeps its capacity: %s", endpoint.name, endpoint.failure_reason)
        else:
            for variant in self._changed:
                self._live.set_weight(variant, variant.desired_weight)
            await self._shrink()
            endpoint.settle(EndpointStatus.IN_SERVICE, None)

    async def _grow(self) -> None:
        settings = self._machinery.settings
        counts = {variant.name: max(0, variant.desired_count - variant.count) for variant in self._changed}
        if self._fault is not None:
            await asyncio.sleep(settings.real(settings.provisioning_seconds))
            raise DeploymentError(self._fault.failure_reason or "")
        if any(counts.values()):
            await self._live.launch(counts, self._roll_back)

    def _roll_back(self) -> None:
        self._endpoint.status = EndpointStatus.ROLLING_BACK

    async def _undo(self) -> None:
        for variant in self._changed:
            variant.desired_weight, variant.desired_count = self._before[variant.name]
        await self._shrink()

    async def _shrink(self) -> None:
        try:
            await self._live.shrink({variant.name: variant.desired_count for variant in self._changed})
        except Exception:
            logger.exception("%s: stopping instances failed", self._endpoint.name)
        for variant in self._changed:
            variant.stage = None

    def _reason(self, error: Exception) -> str | None:
        if isinstance(error, DeploymentError):
            return str(error) or None
        logger.error("%s: the change failed unexpectedly", self._endpoint.name, exc_info=error)
        return SERVICE_FAILED
