"""One deployment at a time: the endpoint is held before anything is made, and released at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Context

from shadow_provider.hooks.lease import lease_keeper, lease_place
from shadow_provider.operators.base import DeploymentOperator, final_errors, is_templated, seconds
from shadow_provider.operators.waiting import DEFAULT_DEFERRABLE
from shadow_provider.plan.arguments import given, none_of_jinja
from shadow_provider.plan.errors import (
    EndpointBusyError,
    EndpointFailedError,
    LeaseContestedError,
    LeaseHeldError,
    PlanError,
)
from shadow_provider.plan.lease import SLACK
from shadow_provider.triggers.lease import SageMakerShadowLeaseTrigger

WHEN_HELD = ("wait", "fail")
DEFAULT_HOLD_TIMEOUT = timedelta(hours=24)
DEFAULT_POLL_SECONDS = 60.0


class SageMakerShadowHoldEndpointOperator(DeploymentOperator):
    """Takes the endpoint's lease, or waits until the deployment that has it is done.

    The lease lies in S3 as ``<lease_s3_uri>/shadow-leases/<endpoint>/``; nothing in SageMaker is touched. A lease that
    was not renewed in time is taken over only when the endpoint is InService, nothing is pending and it does not run
    the other deployment's shadow: that one has to be rolled back first, by its own run or by a person.

    Args:
        lease_s3_uri: prefix of the lease, the same for every DAG that deploys to this endpoint. None: the destination
            of the endpoint's own captures, else that of ``data_capture``.
        data_capture: the deployment's capture, which says the place where the endpoint itself captures nothing.
        when_held: what to do while another deployment has the endpoint: ``wait`` or ``fail``.
        timeout: how long to wait at most, as timedelta or in seconds.
        poll_interval: seconds between two looks at the lease.
        deferrable: wait in the triggerer instead of on a worker slot.
        kwargs: see ``DeploymentOperator``.

    Returns:
        The prefix under which the lease lies: the ``lease_s3_uri`` of the tasks that follow.
    """

    template_fields = tuple(
        sorted({*DeploymentOperator.template_fields, "data_capture", "when_held", "timeout", "poll_interval"})
    )
    # It is here that the lease is taken; another holder is a reason to wait, not to give up.
    renews_lease_at_start = False

    def __init__(
        self,
        *,
        data_capture: Mapping[str, Any] | None = None,
        when_held: str = "wait",
        timeout: timedelta | float | str = DEFAULT_HOLD_TIMEOUT,
        poll_interval: float = DEFAULT_POLL_SECONDS,
        deferrable: bool = DEFAULT_DEFERRABLE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data_capture = data_capture
        self.when_held = when_held
        self.timeout = timeout if is_templated(timeout) else seconds("timeout", timeout)
        self.poll_interval = poll_interval if is_templated(poll_interval) else seconds("poll_interval", poll_interval)
        self.deferrable = deferrable
        if not is_templated(when_held):
            self._waits()

    def run_step(self, context: Context) -> str:
        """Take the lease, or wait for it."""
        return self._hold(datetime.now(tz=UTC) + timedelta(seconds=seconds("timeout", self.timeout)))

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> str:
        """Try again after the trigger fired; the event itself proves nothing."""
        until = ((event or {}).get("resume") or {}).get("until")
        if (event or {}).get("reason"):
            self.log.warning("The wait in the triggerer ended early: %s", (event or {})["reason"])
        with final_errors():
            return self._hold(datetime.fromisoformat(until)) if until else self.run_step(context)

    def _waits(self) -> bool:
        choice = none_of_jinja(self.when_held) or WHEN_HELD[0]
        if choice not in WHEN_HELD:
            raise PlanError(f"when_held={choice!r}: must be one of {', '.join(WHEN_HELD)}")
        return bool(choice == "wait")

    def _hold(self, deadline: datetime) -> str:
        place = self.safeguards.lease_s3_uri or lease_place(self.hook, self.endpoint_name, given(self.data_capture))
        keeper = lease_keeper(self.hook, place, self.deployment)
        while True:
            now = datetime.now(tz=UTC)
            try:
                lease = keeper.take(now + SLACK)
            except (LeaseHeldError, LeaseContestedError) as held:
                if not self._waits():
                    raise
                remaining = (deadline - now).total_seconds()
                if remaining <= 0:
                    raise LeaseHeldError(f"{held} It did not come free within timeout={self.timeout} s.") from held
                self.log.info("Waiting: %s", held)
                self._rest(place, deadline, remaining)
            else:
                self.log.info("This deployment has endpoint %s (generation %d, in %s)", self.endpoint_name,
                              lease.generation, place)  # fmt: skip
                return place

    def _rest(self, place: str, deadline: datetime, remaining: float) -> None:
        pause = seconds("poll_interval", self.poll_interval)
        if self.deferrable:
            self.defer(
                trigger=SageMakerShadowLeaseTrigger(
                    lease_s3_uri=place,
                    endpoint_name=self.endpoint_name,
                    deployment_id=self.deployment_id,
                    deadline=deadline.isoformat(),
                    poll_interval=pause,
                    resume={"until": deadline.isoformat()},
                    aws_conn_id=self.aws_conn_id,
                    region_name=self.region_name,
                    verify=self.verify,
                    botocore_config=self.botocore_config,
                ),
                method_name="execute_complete",
            )
        time.sleep(min(pause, remaining))


class SageMakerShadowReleaseEndpointOperator(DeploymentOperator):
    """Gives the endpoint's lease back, unless the endpoint is still in the middle of this deployment.

    Meant to run whatever happened before (``trigger_rule="all_done"``). An endpoint that is still changing, or that
    runs this deployment's shadow, stays held, and the task fails and says why: the next deployment must not begin
    there. The lease is then given back when the task is cleared after the rollback, or runs out.

    Args:
        kwargs: see ``DeploymentOperator``. Without ``lease_s3_uri`` there is nothing to release.

    Returns:
        ``{"released", "reason"}``.
    """

    renews_lease_at_start = False

    def run_step(self, context: Context) -> dict[str, Any]:
        """Look at the endpoint, then release."""
        place = self.safeguards.lease_s3_uri
        if place is None:
            return self._result(False, "this deployment holds no lease")
        state = self.hook.endpoint_state(self.endpoint_name)
        if state is not None:
            shadow = self.deployment.names.shadow_config
            if shadow in (state.active_config, state.pending_config):
                raise EndpointFailedError(
                    f"Endpoint {self.endpoint_name} stays held by this deployment, for it still runs its shadow: "
                    f"{state.summary()}. Clear the task rollback and what follows, or update the endpoint to its "
                    "baseline config and clear this task."
                )
            if state.in_progress:
                raise EndpointBusyError(
                    f"Endpoint {self.endpoint_name} stays held by this deployment, for it is still changing: "
                    f"{state.summary()}. Run this task again when it is settled."
                )
        if lease_keeper(self.hook, place, self.deployment).release():
            return self._result(True, f"the endpoint is {state.summary() if state else 'gone'}")
        self.log.warning("There is no lease of this deployment to release: it was released before, or ran out and was "
                         "taken over")  # fmt: skip
        return self._result(False, "the lease is not this deployment's any more")

    def _result(self, released: bool, reason: str) -> dict[str, Any]:
        self.log.info("Endpoint %s %s: %s", self.endpoint_name, "released" if released else "not released", reason)
        return {"released": released, "reason": reason}
