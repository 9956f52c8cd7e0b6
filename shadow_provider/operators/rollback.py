"""Production alone again, on the baseline config."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.sdk import Context

from shadow_provider.operators.base import final_errors, seconds
from shadow_provider.operators.waiting import EndpointChangeOperator
from shadow_provider.plan.arguments import for_template, none_of_jinja
from shadow_provider.plan.endpoint_state import EndpointState
from shadow_provider.plan.errors import EndpointFailedError
from shadow_provider.plan.guardrails import Guardrails
from shadow_provider.plan.rollback import NextStep, RollbackStep, Tried, next_step


class SageMakerShadowRollbackOperator(EndpointChangeOperator):
    """Brings the endpoint back to its baseline config from wherever the deployment left it, and verifies that.

    The name of the baseline comes from AWS's tags, never from XCom. Where the deployment never touched the endpoint,
    nothing is done. An endpoint on a foreign config is left alone, and the task fails. An endpoint that this deployment
    made and that never came into service is deleted, because AWS takes no update of it.

    Args:
        unless_promoted: the watch operator's result, or the promote operator's where nothing is watched; if it says
            ``promoted``, the task is skipped.
        guardrails: the promotion's. AWS takes no change while a guarded update is under way, so as long as that may
            take is waited for on top of the timeout.
        kwargs: see ``EndpointChangeOperator``.

    Returns:
        ``{"endpoint_config_name", "changed", "reason"}``.
    """

    template_fields = tuple(sorted({*EndpointChangeOperator.template_fields, "unless_promoted", "guardrails"}))
    # Where nothing is to be done, it does not matter who has the endpoint.
    renews_lease_at_start = False

    def __init__(
        self,
        *,
        unless_promoted: Any = None,
        guardrails: Guardrails | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.unless_promoted = unless_promoted
        self.guardrails = for_template(guardrails)

    def run_step(self, context: Context) -> dict[str, Any]:
        """Go step by step until the endpoint serves its baseline."""
        promotion = none_of_jinja(self.unless_promoted)
        if isinstance(promotion, Mapping) and promotion.get("promoted"):
            raise AirflowSkipException("The candidate was promoted, and AWS shows it: nothing to roll back")
        guardrails = Guardrails.of(self.guardrails)
        patience = guardrails.longest_seconds if guardrails else 0
        return self._go_back(datetime.now(tz=UTC) + timedelta(seconds=self.timeout + patience), None)

    def _go_back(self, deadline: datetime, tried: Tried | None) -> dict[str, Any]:
        baseline = self.hook.way_back(self.deployment)
        pause = seconds("poll_interval", self.poll_interval)
        while True:
            state = self.hook.endpoint_state(self.endpoint_name)
            step = self._next_step(state, baseline, tried)
            self.log.info("Rollback of endpoint %s: %s (%s)", self.endpoint_name, step.step.value, step.reason)
            if step.step is RollbackStep.STOP:
                raise EndpointFailedError(f"Endpoint {self.endpoint_name} was not rolled back: {step.reason}")
            if step.step is RollbackStep.DONE:
                if state is not None and baseline is not None:
                    self.autoscaling.after_update(state)
                active = state.active_config if state else None
                return {"endpoint_config_name": active, "changed": tried is not None, "reason": step.reason}
            if step.step is RollbackStep.WAIT:
                remaining = (deadline - datetime.now(tz=UTC)).total_seconds()
                if remaining <= 0:
                    assert baseline is not None  # without one there is nothing to wait for
                    raise self.timed_out(baseline, state)
                if self.deferrable:
                    known = {"tried_on": tried.on.isoformat(), "tried_times": tried.times} if tried else {}
                    self.defer_wait(step.waits_for, None, deadline, until=deadline.isoformat(), **known)
                self.keep_lease()
                time.sleep(min(pause, remaining))
                continue
            assert state is not None  # there is nothing to act on otherwise
            self._act(step, state, baseline)
            tried = Tried(state.last_modified, tried.times + 1 if tried else 1)

    def _next_step(self, state: EndpointState | None, baseline: str | None, tried: Tried | None) -> NextStep:
        # Asked only where it matters: an endpoint that is being deleted may be gone before its tags are read.
        made_by_us = state is not None and state.status == "Failed" and self.deployment.owns(self.hook.tags(state.arn))
        names = self.deployment.names
        return next_step(state, baseline=baseline, names=names, made_by_us=made_by_us, tried=tried)

    def _act(self, step: NextStep, state: EndpointState, baseline: str | None) -> None:
        self.keep_lease()
        if step.step is RollbackStep.DELETE_FAILED_ENDPOINT:
            self.hook.delete_endpoint(self.endpoint_name)
            return
        assert baseline is not None  # a step that acts has somewhere to go back to
        names = self.deployment.names
        self.hook.update_endpoint(
            self.endpoint_name,
            baseline,
            expected=frozenset({names.shadow_config, names.promoted_config}),
            keep_instance_counts=self.scaled(state, baseline),
            prepare=lambda now: self.autoscaling.before_update(now, baseline),
        )

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Take the next step after the trigger fired."""
        resume = (event or {}).get("resume") or {}
        if (event or {}).get("reason"):
            self.log.warning("The wait in the triggerer ended early: %s", (event or {})["reason"])
        with final_errors():
            if "until" not in resume:
                return self.run_step(context)  # an event that is not our trigger's: begin anew, it is all idempotent
            on = resume.get("tried_on")
            tried = Tried(datetime.fromisoformat(on), resume["tried_times"]) if on else None
            return self._go_back(datetime.fromisoformat(resume["until"]), tried)
