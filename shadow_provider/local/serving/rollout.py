"""Carries a rollout plan out on running fleets, and back when an alarm, a limit or a fleet says so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from shadow_provider.local.faults import EndpointFault
from shadow_provider.local.serving.alarm_watch import AlarmWatch
from shadow_provider.local.serving.deployment import Deployment, DeploymentError
from shadow_provider.local.serving.endpoint import Endpoint, EndpointStatus
from shadow_provider.local.serving.machinery import Machinery
from shadow_provider.local.serving.rollout_plan import Bake, Launch, Retire, RolloutPlan, Shift, plan_rollback
from shadow_provider.local.serving.variant import Stage

logger = logging.getLogger(__name__)

SERVICE_FAILED = "Request to service failed. Please try again later."


class GuardrailError(Exception):
    """An alarm or the time limit ends a deployment; the words are ours."""


class FaultError(Exception):
    """An injected fault ends a deployment."""


class Rollout:
    """One creation or update.

    Args:
        endpoint: The endpoint; what serves it now is its live deployment.
        plan: What is to be done.
        machinery: What is shared.
        fault: How it is to end, if not well.
    """

    def __init__(
        self, endpoint: Endpoint, plan: RolloutPlan, machinery: Machinery, fault: EndpointFault | None
    ) -> None:
        assert endpoint.pending is not None
        self._endpoint = endpoint
        self._new: Deployment = endpoint.pending
        self._plan = plan
        self._machinery = machinery
        self._fault = fault
        self._alarms = AlarmWatch(plan.alarms, machinery.alarm_state, machinery.settings)

    async def run(self) -> None:
        """Deploys, or goes back; only a cancellation leaves the endpoint in between."""
        endpoint = self._endpoint
        try:
            await self._advance()
        except Exception as error:
            reason = self._reason(error)
            try:
                await self._give_up(reason)
            except Exception:
                # Whatever goes wrong on the way back, the endpoint must end in a state that can be changed.
                logger.exception("%s: rolling back failed", endpoint.name)
                await self._keep_old(reason)
            logger.warning("%s is %s: %s", endpoint.name, endpoint.status, reason or "no reason given")
        else:
            await self._complete()
            logger.info("%s is InService with %s", endpoint.name, endpoint.config_name)

    async def _advance(self) -> None:
        settings, plan, new = self._machinery.settings, self._plan, self._new
        deadline = None
        if plan.timeout is not None:
            deadline = asyncio.get_running_loop().time() + settings.real(plan.timeout)
        if self._fault is not None and self._fault.kind == "capacity":
            await asyncio.sleep(settings.real(settings.provisioning_seconds))
            raise FaultError
        for index, step in enumerate(plan.steps):
            limit = asyncio.timeout_at(deadline)
            try:
                async with limit:
                    if isinstance(step, Launch):
                        self._say(new, "Creating", step.counts, "Launching {} instance(s).")
                        await new.launch(step.counts)
                    elif isinstance(step, Bake):
                        await self._bake(step)
            except TimeoutError:
                if not limit.expired():
                    raise
                raise GuardrailError(
                    f"The deployment exceeded MaximumExecutionTimeoutInSeconds ({plan.timeout} seconds)."
                ) from None
            if isinstance(step, Shift):
                self._shift(step)
            elif isinstance(step, Retire) and index < len(plan.steps) - 1:
                await self._retire_batch(step)
            if self._fault is not None and index == plan.fault_point:
                raise FaultError

    def _shift(self, step: Shift) -> None:
        self._say(self._new, "ActivatingTraffic", step.instances, "Activating traffic on {} instance(s).")
        for variant in self._new.production:
            variant.fleet.opened = step.instances[variant.name]
        old = self._endpoint.live
        # A creation has nothing to shift from, and a mixed fleet is replaced as a whole, at the end.
        if old is not None and self._endpoint.mixed is None:
            self._endpoint.traffic.split(old, self._new, step.shares)

    async def _bake(self, step: Bake) -> None:
        opened = {variant.name: variant.fleet.opened or 0 for variant in self._new.production}
        said = f"Baking for {step.seconds} seconds ({step.cause}) with traffic enabled on {step.part} capacity of"
        self._say(self._new, "Baking", opened, said + " {} instance(s).")
        loop = asyncio.get_running_loop()
        end = loop.time() + self._machinery.settings.real(step.seconds)
        while True:
            if tripped := self._alarms.tripped():
                raise GuardrailError(f"CloudWatch alarm(s) {', '.join(tripped)} went into ALARM during the deployment.")
            left = end - loop.time()
            if left <= 0:
                return
            await asyncio.sleep(min(left, self._alarms.interval))

    async def _retire_batch(self, step: Retire) -> None:
        old = self._endpoint.live
        assert old is not None
        self._say(old, "Deleting", step.counts, "Terminating {} instance(s).")
        await old.shrink({name: _count(old, name) - count for name, count in step.counts.items()})
        self._say(old, None)

    async def _complete(self) -> None:
        endpoint, new = self._endpoint, self._new
        old = [item for item in (endpoint.live, endpoint.mixed) if item is not None]
        # From here on every new request goes to the new fleet; those under way finish in the old one.
        endpoint.traffic.only(new)
        for variant in new.production:
            variant.fleet.opened = None
        for deployment in old:
            self._say(deployment, "Deleting", _counts(deployment), "Terminating {} instance(s).")
            await self._retire(deployment)
        self._say(new, None)
        endpoint.live, endpoint.mixed = new, None
        endpoint.config_name = new.config["EndpointConfigName"]
        endpoint.settle(EndpointStatus.IN_SERVICE, None)

    async def _give_up(self, reason: str | None) -> None:
        endpoint, kind = self._endpoint, None if self._fault is None else self._fault.kind
        if kind == "out_of_service":
            endpoint.traffic.only(None)
            # They stay the endpoint's until they have ended: whoever calls this off has to find them.
            for deployment in reversed(endpoint.deployments):
                await self._retire(deployment)
            endpoint.live = endpoint.mixed = None
            endpoint.settle(EndpointStatus.OUT_OF_SERVICE, reason)
        elif endpoint.live is None:
            await self._new.stop()
            endpoint.settle(EndpointStatus.FAILED, reason)
        elif kind == "rollback_failed":
            if self._plan.rolling:
                self._keep_both(endpoint.live, reason)
            else:
                await self._keep_old(reason, EndpointStatus.UPDATE_ROLLBACK_FAILED)
        else:
            await self._go_back(endpoint.live, reason)

    async def _go_back(self, old: Deployment, reason: str | None) -> None:
        if self._machinery.settings.rollback_status == "RollingBack":
            self._endpoint.status = EndpointStatus.ROLLING_BACK
        if self._plan.rolling:
            try:
                await self._restore(old)
            except Exception as error:
                known = isinstance(error, DeploymentError)
                logger.warning("%s: the old fleet does not come up again", self._endpoint.name, exc_info=not known)
                self._keep_both(old, reason or (str(error) if known else SERVICE_FAILED))
                return
        await self._keep_old(reason)

    async def _restore(self, old: Deployment) -> None:
        """Starts again what a rolling deployment has already retired of the old fleet."""
        new = self._new
        (variant,) = new.production
        missing = max(0, old.production[0].desired_count - old.production[0].count)
        share = self._endpoint.traffic.shares.get(variant.name, 0.0)
        for step in plan_rollback(variant.name, variant.count, share, missing, self._plan.rollback_batch):
            if isinstance(step, Launch):
                self._say(old, "Creating", step.counts, "Launching {} instance(s).")
                await old.launch(step.counts)
            elif isinstance(step, Shift):
                self._endpoint.traffic.split(old, new, step.shares)
            elif isinstance(step, Retire):
                self._say(new, "Deleting", step.counts, "Terminating {} instance(s).")
                await new.shrink({name: _count(new, name) - count for name, count in step.counts.items()})

    async def _keep_old(self, reason: str | None, status: EndpointStatus | None = None) -> None:
        endpoint, old = self._endpoint, self._endpoint.live
        if endpoint.mixed is None:
            endpoint.traffic.only(old)
        self._say(self._new, "Deleting", _counts(self._new), "Terminating {} instance(s).")
        await self._retire(self._new)
        if old is not None:
            self._say(old, None)
        if status is None:
            # An update that was to mend a mixed fleet and failed leaves it as it was.
            status = EndpointStatus.IN_SERVICE if endpoint.mixed is None else EndpointStatus.UPDATE_ROLLBACK_FAILED
        endpoint.settle(status if old is not None else EndpointStatus.FAILED, reason)

    def _keep_both(self, old: Deployment, reason: str | None) -> None:
        endpoint, new = self._endpoint, self._new
        (variant,) = new.production
        running = {"old": _count(old, variant.name), "new": variant.count}
        variant.fleet.opened = None
        endpoint.traffic.split(old, new, {variant.name: running["new"] / max(1, sum(running.values()))})
        endpoint.mixed = new
        self._say(old, None)
        self._say(new, None)
        endpoint.settle(EndpointStatus.UPDATE_ROLLBACK_FAILED, reason)

    def _reason(self, error: Exception) -> str | None:
        if isinstance(error, FaultError):
            assert self._fault is not None
            return self._fault.failure_reason
        if isinstance(error, GuardrailError):
            return None if self._machinery.settings.rollback_failure_reason == "empty" else str(error)
        if isinstance(error, DeploymentError):
            return str(error)
        logger.error("%s: the deployment failed unexpectedly", self._endpoint.name, exc_info=error)
        return SERVICE_FAILED

    async def _retire(self, deployment: Deployment) -> None:
        try:
            await deployment.retire()
        except Exception:
            # Another fleet serves: what went wrong with this one must not leave the endpoint in Updating for ever.
            logger.exception("%s: stopping a fleet failed", self._endpoint.name)

    def _say(
        self, deployment: Deployment, status: str | None, counts: Mapping[str, int] | None = None, message: str = ""
    ) -> None:
        """Sets what DescribeEndpoint shows of the deployment's variants."""
        for variant in deployment.variants:
            if status is None:
                variant.stage = None
            elif counts is not None and variant.name in counts:
                variant.stage = Stage(status, message.format(counts[variant.name]))


def _count(deployment: Deployment, name: str) -> int:
    return _counts(deployment)[name]


def _counts(deployment: Deployment) -> dict[str, int]:
    return {variant.name: variant.count for variant in deployment.variants}
