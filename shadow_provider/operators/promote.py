"""The candidate becomes production."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.sdk import Context

from shadow_provider.operators.base import is_templated
from shadow_provider.operators.waiting import ConfigChangeOperator
from shadow_provider.plan.endpoint_config import baseline_of_live_endpoint, promoted_request
from shadow_provider.plan.endpoint_state import EndpointState
from shadow_provider.plan.errors import EndpointChangedError, ForeignResourceError, PlanError
from shadow_provider.plan.infrastructure import infrastructure, promoted_variant
from shadow_provider.plan.tags import to_aws

PROMOTE = "PROMOTE"


class SageMakerShadowPromoteOperator(ConfigChangeOperator):
    """Promotes the candidate if, and only if, the verdict is ``PROMOTE``; otherwise the task is skipped.

    The promoted config is the baseline with the candidate's model, under the same production variant name, with
    production's present instance count and without the shadow. The endpoint must be on the shadow config.

    Args:
        verdict: the verdict, as the evaluate operator returns it. There is no default: nothing is promoted by accident.
        promote_infrastructure: ``production`` keeps production's instance type, present count, timeouts and the like;
            ``shadow`` takes the shadow's under production's variant name, allowed only where the shadow had all
            requests. Where the instance type changes, production's autoscaling is deregistered and restored.
        kwargs: see ``ConfigChangeOperator``.

    Returns:
        ``{"promoted": true, "endpoint_config_name", "model_name"}``, and only once AWS shows it.
    """

    template_fields = tuple(sorted({*ConfigChangeOperator.template_fields, "verdict", "promote_infrastructure"}))

    def __init__(self, *, verdict: str, promote_infrastructure: str = "production", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.verdict = verdict
        self.promote_infrastructure = promote_infrastructure
        if not is_templated(promote_infrastructure):
            infrastructure(promote_infrastructure)

    def run_step(self, context: Context) -> Any:
        """Make the promoted config, update the endpoint to it and wait."""
        if self.verdict != PROMOTE:
            raise AirflowSkipException(f"The verdict is {self.verdict}, not {PROMOTE}: the candidate stays a candidate")
        names = self.deployment.names
        state = self.hook.endpoint_state(self.endpoint_name)
        if state is None:
            raise EndpointChangedError(f"Endpoint {self.endpoint_name} is gone")
        promoted = self.hook.endpoint_config(names.promoted_config)
        if promoted is None:
            self._make_config(state)
            promoted = self.hook.endpoint_config(names.promoted_config) or {}
        elif not self.deployment.owns(self.hook.tags(promoted["EndpointConfigArn"])):
            raise ForeignResourceError(
                f"endpoint config {names.promoted_config!r} exists already, and its tags do not say that this "
                "deployment made it. It is not deployed."
            )
        self.hook.update_endpoint(
            self.endpoint_name,
            names.promoted_config,
            expected=frozenset({names.shadow_config}),
            # Autoscaling may have moved production since the config was made, by an earlier try.
            keep_instance_counts=self.scaled(state, names.promoted_config),
            prepare=lambda now: self.autoscaling.before_update(now, names.promoted_config),
        )
        if not self.wait_for_completion:
            return {"promoted": False, "endpoint_config_name": names.promoted_config, "model_name": None}
        return self.wait_then_finish(context, names.promoted_config, not_before=promoted.get("CreationTime"))

    def _make_config(self, state: EndpointState) -> None:
        names = self.deployment.names
        shadow = self.hook.endpoint_config(names.shadow_config)
        baseline_name = self.hook.way_back(self.deployment)
        config = self.hook.endpoint_config(baseline_name) if baseline_name else None
        if shadow is None or baseline_name is None or config is None:
            raise PlanError(
                f"deployment_id={self.deployment_id!r}: its shadow config {names.shadow_config} or the baseline config "
                f"{baseline_name} is gone, so there is nothing to promote from."
            )
        baseline = baseline_of_live_endpoint(state, config)
        candidate = shadow["ShadowProductionVariants"][0]["ModelName"]
        chosen = infrastructure(self.promote_infrastructure)
        variant = promoted_variant(baseline, shadow, state, chosen)
        content = {"baseline": baseline_name, "model": candidate, "infrastructure": chosen}
        tags = self.deployment.tags("promoted", content, baseline_config=baseline_name)
        request = promoted_request(
            baseline, config_name=names.promoted_config, candidate_model=candidate, variant=variant
        )
        self.hook.ensure_endpoint_config({**request, "Tags": to_aws(tags)})

    def finish(self, context: Context, state: EndpointState | None) -> dict[str, Any]:
        """Return the result of a verified promotion."""
        if state is not None:
            self.autoscaling.after_update(state)
        name = self.deployment.names.promoted_config
        config = self.hook.endpoint_config(name) or {}
        variants = config.get("ProductionVariants") or [{}]
        return {"promoted": True, "endpoint_config_name": name, "model_name": variants[0].get("ModelName")}
