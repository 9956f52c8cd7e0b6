"""Waiting for an endpoint, on a worker or in the triggerer, and judging the end by what AWS says at that moment."""

from __future__ import annotations

import abc
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException, conf
from airflow.sdk import Context

from shadow_provider.hooks.autoscaling import EndpointAutoscaling
from shadow_provider.operators.base import (
    DeploymentArguments,
    DeploymentOperator,
    final_errors,
    is_templated,
    seconds,
)
from shadow_provider.plan.endpoint_state import EndpointState, Outcome, Progress, outcome_of
from shadow_provider.plan.errors import EndpointFailedError, EndpointTimeoutError, WaitCancelledError
from shadow_provider.triggers.endpoint import SageMakerShadowEndpointTrigger

DEFAULT_DEFERRABLE: bool = conf.getboolean("operators", "default_deferrable", fallback=False)
# A creation that fails its ping checks was seen to take 25 minutes, other failures an hour.
DEFAULT_TIMEOUT = timedelta(hours=2)
DEFAULT_POLL_SECONDS = 30.0
_NAP_SECONDS = 1.0


class EndpointWait(DeploymentArguments):
    """Mixin of operators and sensors that wait for an endpoint."""

    log: Any
    defer: Callable[..., Any]
    poll_interval: float
    timeout: float

    def look(self, config_name: str, not_before: datetime | None) -> tuple[bool, EndpointState | None]:
        """Ask AWS once.

        Args:
            config_name: the config that the endpoint is to serve.
            not_before: see ``outcome_of``.

        Returns:
            Whether that is so, and the endpoint's state.

        Raises:
            EndpointFailedError: the change ended otherwise.
        """
        state = self.hook.endpoint_state(self.endpoint_name)
        self.log.info("Endpoint %s: %s", self.endpoint_name, state.summary() if state else "does not exist")
        outcome = outcome_of(state, config_name, not_before=not_before)
        _raise_if_failed(self.endpoint_name, outcome)
        return outcome.progress is Progress.REACHED, state

    def defer_wait(
        self, config_name: str | None, not_before: datetime | None, deadline: datetime, **resume: Any
    ) -> None:
        """Go on waiting in the triggerer, the lease renewed for as long; ``resume`` comes back with the event."""
        self.keep_lease(deadline)
        asked = not_before.isoformat() if not_before else None
        self.defer(
            trigger=SageMakerShadowEndpointTrigger(
                endpoint_name=self.endpoint_name,
                endpoint_config_name=config_name,
                not_before=asked,
                deadline=deadline.isoformat(),
                poll_interval=seconds("poll_interval", self.poll_interval),
                resume={**resume, "config_name": config_name, "not_before": asked},
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
            ),
            method_name="execute_complete",
        )

    def look_after(self, event: Mapping[str, Any] | None) -> EndpointState | None:
        """Judge the endpoint anew after the trigger fired; the event itself proves nothing.

        Raises:
            EndpointFailedError: the change ended otherwise than asked.
            EndpointTimeoutError: the deadline passed.
            AirflowException: the wait was lost; a retry of the task takes it up again.
        """
        event = event or {}
        resume = event.get("resume") or {}
        if "config_name" in resume:
            config_name, not_before = resume["config_name"], resume["not_before"]
            done, state = self.look(config_name, datetime.fromisoformat(not_before) if not_before else None)
            if done:
                return state
            if event.get("status") == "timeout":
                raise self.timed_out(config_name, state)
        raise AirflowException(
            f"The wait for endpoint {self.endpoint_name} ended before the change did: "
            f"{event.get('reason') or dict(event)}. Running the task again goes on waiting."
        )

    def timed_out(self, config_name: str, state: EndpointState | None) -> EndpointTimeoutError:
        """Return the error of a wait that took too long."""
        return EndpointTimeoutError(
            f"Endpoint {self.endpoint_name} did not serve {config_name} within timeout={self.timeout:.0f} s; it is "
            f"{state.summary() if state else 'gone'}. The change itself may still be under way: run the task again to "
            "go on waiting, or raise timeout."
        )


def _raise_if_failed(endpoint_name: str, outcome: Outcome) -> None:
    if outcome.progress is Progress.FAILED:
        raise EndpointFailedError(f"Endpoint {endpoint_name}: {outcome.reason}")


class EndpointChangeOperator(EndpointWait, DeploymentOperator):
    """Base of operators that change the endpoint and wait until the change is verified.

    Args:
        deferrable: wait in the triggerer instead of on a worker slot.
        timeout: how long to wait at most, as timedelta or in seconds.
        poll_interval: seconds between two looks.
        kwargs: see ``DeploymentOperator``.
    """

    template_fields = tuple(sorted({*DeploymentOperator.template_fields, "poll_interval"}))

    def __init__(
        self,
        *,
        deferrable: bool = DEFAULT_DEFERRABLE,
        timeout: timedelta | float = DEFAULT_TIMEOUT,
        poll_interval: float = DEFAULT_POLL_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable
        self.timeout = seconds("timeout", timeout)
        self.poll_interval = poll_interval
        if not is_templated(poll_interval):
            self.poll_interval = seconds("poll_interval", poll_interval)

    @property
    def autoscaling(self) -> EndpointAutoscaling:
        """How the endpoint scales, and what of it AWS wants taken away for an update."""
        return EndpointAutoscaling(self.hook, self.deployment)

    def scaled(self, state: EndpointState, config_name: str) -> bool:
        """Whether production has another number of instances now than the config begins with.

        Numbers of instances of different types say nothing about each other: then the config's own holds.
        """
        now = {item.name: item.desired_instances for item in state.production}
        variant, active = self._production_of(config_name), self._production_of(state.active_config)
        count = now.get(variant.get("VariantName", ""))
        same_type = active.get("InstanceType") in (None, variant.get("InstanceType"))
        return same_type and count is not None and count != variant.get("InitialInstanceCount")

    def _production_of(self, config_name: str | None) -> Mapping[str, Any]:
        config = self.hook.endpoint_config(config_name) if config_name else None
        return config["ProductionVariants"][0] if config else {}


class ConfigChangeOperator(EndpointChangeOperator):
    """Base of operators that change the endpoint to one certain config.

    Args:
        wait_for_completion: wait until the endpoint verifiably serves that config.
        cancel_on_kill: what a kill that Airflow or the machine announces (SIGTERM) means to a task that waits on a
            worker. False: nothing, the task is tried again and goes on. True: it fails for good, so that the rollback
            that comes after it begins. The change itself cannot be cancelled: SageMaker takes no update while one is
            under way. A task that waits in the triggerer has no process and is not reached.
        kwargs: see ``EndpointChangeOperator``.
    """

    def __init__(self, *, wait_for_completion: bool = True, cancel_on_kill: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        self.cancel_on_kill = cancel_on_kill
        self._killed = False

    def on_kill(self) -> None:
        """Only remember it: nothing in AWS is changed because a process is to end, and this must take no time."""
        self._killed = True

    def wait_then_finish(
        self,
        context: Context,
        config_name: str,
        *,
        not_before: datetime | None = None,
        patience: float = 0.0,
    ) -> Any:
        """Wait until the endpoint serves ``config_name``, then return ``finish``'s result.

        Args:
            context: Airflow's.
            config_name: the config that the endpoint is changing to.
            not_before: see ``outcome_of``.
            patience: seconds to wait beyond the timeout: those for which the change was asked to take its time.

        Raises:
            EndpointFailedError: the change ended otherwise than asked.
            EndpointTimeoutError: it did not end in time.
            WaitCancelledError: the process is to end, and ``cancel_on_kill`` says that the wait is over then.
            TaskDeferred: the wait goes on in the triggerer.
        """
        deadline = datetime.now(tz=UTC) + timedelta(seconds=self.timeout + patience)
        pause = seconds("poll_interval", self.poll_interval)
        while True:
            done, state = self.look(config_name, not_before)
            if done:
                return self.finish(context, state)
            remaining = (deadline - datetime.now(tz=UTC)).total_seconds()
            if remaining <= 0:
                raise self.timed_out(config_name, state)
            if self._cancelled:
                raise self._wait_cancelled(config_name, state)
            if self.deferrable:
                self.defer_wait(config_name, not_before, deadline)
            self.keep_lease()
            self._rest(min(pause, remaining))

    @property
    def _cancelled(self) -> bool:
        return self._killed and self.cancel_on_kill

    def _rest(self, pause: float) -> None:
        # In short naps: the process may be gone five seconds after it was told to end.
        end = time.monotonic() + pause
        while not self._cancelled and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _NAP_SECONDS))

    def _wait_cancelled(self, config_name: str, state: EndpointState | None) -> WaitCancelledError:
        return WaitCancelledError(
            f"Endpoint {self.endpoint_name}: the task was killed while it waited for {config_name}, and "
            f"cancel_on_kill=True: it is not tried again. The endpoint is {state.summary() if state else 'gone'}; "
            "SageMaker cannot cancel an update. SageMakerShadowRollbackOperator waits for it and brings the baseline "
            "back."
        )

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> Any:
        """Take the task up again after the trigger fired."""
        with final_errors():
            state = self.look_after(event)
            self.keep_lease()
            return self.finish(context, state)

    @abc.abstractmethod
    def finish(self, context: Context, state: EndpointState | None) -> Any:
        """Return the task's result once the endpoint's change is verified, or go on with the next change."""
