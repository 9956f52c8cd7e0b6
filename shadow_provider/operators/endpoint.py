"""Step 3: the endpoint gets its shadow."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Context

from shadow_provider.operators.waiting import ConfigChangeOperator
from shadow_provider.plan import tags as tagging
from shadow_provider.plan.endpoint_state import EndpointState
from shadow_provider.plan.errors import EndpointBusyError, EndpointChangedError, PlanError


class SageMakerShadowEndpointOperator(ConfigChangeOperator):
    """Creates the endpoint with the shadow config, or updates a live endpoint to it.

    The update is by compare-and-set: the endpoint must be on the baseline config that stands in the shadow config's
    tags. An endpoint that is on the shadow config already, or on its way to it, is left to it; any other is refused.
    An update that SageMaker rolled back is not asked for again by a retry: whoever waits for it tells what became of
    it.

    Args:
        kwargs: see ``ConfigChangeOperator``.

    Returns:
        ``{"endpoint_name", "endpoint_config_name", "verified"}``: ``verified`` is true only if this task waited and
        AWS showed the endpoint InService on the shadow config with nothing pending.
    """

    def run_step(self, context: Context) -> Any:
        """Begin the change and, if asked to, wait for it."""
        names = self.deployment.names
        run = self.hook.shadow_run(self.deployment)
        baseline = self.hook.way_back(self.deployment)
        if baseline is None:
            raise PlanError(
                f"deployment_id={self.deployment_id!r}: the tags of its shadow config {run.config_name} do not name "
                "the baseline config, so there would be no way back."
            )
        state = self.hook.endpoint_state(self.endpoint_name)
        if state is not None and names.promoted_config in (state.active_config, state.pending_config):
            raise EndpointChangedError(
                f"Endpoint {self.endpoint_name} is past this step: this deployment promoted its candidate "
                f"({state.summary()}). To compare again, start a new deployment."
            )
        if state is None:
            if baseline != names.baseline_config:
                raise EndpointChangedError(
                    f"Endpoint {self.endpoint_name}, which served {baseline} when this deployment began, is gone."
                )
            tags = self.deployment.tags("endpoint", {"endpoint_name": self.endpoint_name})
            self.hook.create_endpoint(self.endpoint_name, names.shadow_config, tags)
        else:
            self._update(state, baseline)
        if not self.wait_for_completion:
            return self._result(verified=False)
        return self.wait_then_finish(context, names.shadow_config, not_before=run.since)

    def _update(self, state: EndpointState, baseline: str) -> None:
        """Begin the change of an endpoint that is there."""
        name = self.deployment.names.shadow_config
        config = self.hook.endpoint_config(name)
        if config is None:
            raise EndpointBusyError(f"AWS does not show the endpoint config {name} now, which it showed before")
        arn = config["EndpointConfigArn"]
        asked_since = tagging.asked_since(self.hook.tags(arn))
        if state.serves(baseline) and asked_since is not None and state.last_modified > asked_since:
            self.log.warning("The update to %s was asked for before, and the endpoint is %s: it is not asked for again",
                             name, state.summary())  # fmt: skip
            return

        def just_before(now: EndpointState) -> None:
            self.autoscaling.before_update(now, name)
            self.hook.remember_update(arn, now)

        self.hook.update_endpoint(
            self.endpoint_name,
            name,
            expected=frozenset({baseline}),
            # Autoscaling may have moved production since the config was made.
            keep_instance_counts=self.scaled(state, name),
            prepare=just_before,
        )

    def finish(self, context: Context, state: EndpointState | None) -> dict[str, Any]:
        """Return the result of a verified change."""
        if state is not None:
            self.autoscaling.after_update(state)
        return self._result(verified=True)

    def _result(self, *, verified: bool) -> dict[str, Any]:
        return {
            "endpoint_name": self.endpoint_name,
            "endpoint_config_name": self.deployment.names.shadow_config,
            "verified": verified,
        }
