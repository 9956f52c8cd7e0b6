"""Step 2: the endpoint config with production and shadow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Context

from shadow_provider.operators.base import DeploymentOperator, is_templated
from shadow_provider.plan.arguments import given
from shadow_provider.plan.deployment import ShadowPlan
from shadow_provider.plan.endpoint_config import (
    Baseline,
    baseline_of_live_endpoint,
    baseline_of_new_endpoint,
    baseline_request,
    shadow_request,
    with_capture,
)
from shadow_provider.plan.errors import EndpointBusyError, EndpointChangedError, EndpointFailedError, PlanError
from shadow_provider.plan.kept_guardrails import kept_tags
from shadow_provider.plan.tags import BASELINE_CONFIG, check_adoptable, to_aws

_OWN_FIELDS = ("candidate_model_name", "production_model_name", "shadow_variant", "production_variant",
               "sampling_percentage", "data_capture")  # fmt: skip


class SageMakerShadowEndpointConfigOperator(DeploymentOperator):
    """Makes the shadow config: the baseline plus one shadow variant. The endpoint itself is not touched.

    For a live endpoint the baseline is read from it as it runs: variant name, instance type, present instance count,
    capture, KMS key, routing. For a new endpoint (``production_variant`` given) the baseline config is made as well, so
    that there is a way back. The baseline's name stands in the shadow config's tags.

    Args:
        candidate_model_name: the model behind the shadow.
        production_model_name: the model behind production, needed only for a new endpoint.
        shadow_variant: AWS's ``ProductionVariant`` for the shadow, in PascalCase or snake_case: name, instance type,
            instance count. What is left out is as in production.
        sampling_percentage: share of requests that SageMaker copies to the shadow, above 0 and up to 100.
        data_capture: capture while the shadow runs: ``{"destination_s3_uri": …, "sampling_percentage": 100, …}``. None
            keeps the endpoint's own; one of the two must be there.
        production_variant: given only where the endpoint is to be made by this deployment.
        kwargs: see ``DeploymentOperator``.

    Returns:
        ``{"endpoint_config_name", "baseline_config_name", "production_variant_name", "shadow_variant_name",
        "production_model_name", "candidate_model_name", "sampling_percentage", "capture_s3_uri", "created"}``.
    """

    template_fields = tuple(sorted({*DeploymentOperator.template_fields, *_OWN_FIELDS}))

    def __init__(
        self,
        *,
        candidate_model_name: str,
        production_model_name: str | None = None,
        shadow_variant: Mapping[str, Any] | None = None,
        sampling_percentage: float = 100.0,
        data_capture: Mapping[str, Any] | None = None,
        production_variant: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**({"multiple_outputs": True} | kwargs))
        self.candidate_model_name = candidate_model_name
        self.production_model_name = production_model_name
        self.shadow_variant = shadow_variant if shadow_variant is not None else {}
        self.sampling_percentage = sampling_percentage
        self.data_capture = data_capture
        self.production_variant = production_variant
        ShadowPlan.parse_partly("", self._asked(), is_templated)

    def _asked(self) -> dict[str, Any]:
        return {
            "candidate_model_name": self.candidate_model_name,
            "production_model_name": self.production_model_name,
            "shadow_variant": self.shadow_variant,
            "sampling_percentage": self.sampling_percentage,
            "data_capture": self.data_capture,
            "production_variant": self.production_variant,
        }

    def run_step(self, context: Context) -> dict[str, Any]:
        """Make the shadow config, or adopt the one of an earlier try."""
        plan = ShadowPlan.parse("", {name: given(value) for name, value in self._asked().items()})
        name = self.deployment.names.shadow_config
        content = plan.model_dump(mode="json")
        existing = self.hook.endpoint_config(name)
        if existing is not None:
            tags = self.hook.tags(existing["EndpointConfigArn"])
            check_adoptable("endpoint config", name, tags, self.deployment.tags("shadow", content))
            self.log.info("Adopted endpoint config %s, which this deployment made before", name)
            return self._result(existing, tags[BASELINE_CONFIG], plan, created=False)
        baseline = with_capture(self._baseline(plan), plan.data_capture)
        request = shadow_request(
            baseline,
            config_name=name,
            candidate_model=plan.candidate_model_name,
            shadow=plan.shadow_variant,
            sampling_percentage=plan.sampling_percentage,
        )
        tags = self.deployment.tags("shadow", content, baseline_config=baseline.config_name)
        tags |= kept_tags(baseline.deployment_config)
        ensured = self.hook.ensure_endpoint_config({**request, "Tags": to_aws(tags)})
        return self._result(request, baseline.config_name, plan, created=ensured.created)

    def _baseline(self, plan: ShadowPlan) -> Baseline:
        if plan.production_variant is None:
            return self._live_baseline()
        state = self.hook.endpoint_state(self.endpoint_name)
        names = self.deployment.names
        if state is not None and state.active_config not in names.configs:
            raise EndpointChangedError(
                f"endpoint_name={self.endpoint_name!r}: the endpoint exists already ({state.summary()}). Leave "
                "production_variant out to give it a shadow, or choose another name for a new endpoint."
            )
        if not plan.production_model_name:
            raise PlanError("production_model_name=None: a new endpoint (production_variant given) needs it")
        baseline = baseline_of_new_endpoint(
            names.baseline_config, plan.production_variant, plan.production_model_name, plan.data_capture
        )
        with_capture(baseline, plan.data_capture)  # refuse before anything is made
        request = baseline_request(baseline)
        tags = self.deployment.tags("baseline", request)
        self.hook.ensure_endpoint_config({**request, "Tags": to_aws(tags)})
        return baseline

    def _live_baseline(self) -> Baseline:
        state = self.hook.endpoint_state(self.endpoint_name)
        if state is None:
            raise PlanError(
                f"endpoint_name={self.endpoint_name!r}: there is no such endpoint. Give production_variant and the "
                "production model to have it made."
            )
        if state.in_progress or state.active_config is None:
            raise EndpointBusyError(f"Endpoint {self.endpoint_name} is busy: {state.summary()}")
        if state.status != "InService":
            raise EndpointFailedError(f"Endpoint {self.endpoint_name} does not serve: {state.summary()}")
        config = self.hook.endpoint_config(state.active_config)
        if config is None:
            raise EndpointFailedError(
                f"Endpoint {self.endpoint_name} serves endpoint config {state.active_config}, which was deleted: there "
                "would be no way back to it. Update the endpoint to a config that exists, then start again."
            )
        return baseline_of_live_endpoint(state, config)

    def _result(
        self, config: dict[str, Any], baseline_config: str, plan: ShadowPlan, *, created: bool
    ) -> dict[str, Any]:
        production, shadow = config["ProductionVariants"][0], config["ShadowProductionVariants"][0]
        return {
            "endpoint_config_name": config["EndpointConfigName"],
            "baseline_config_name": baseline_config,
            "production_variant_name": production["VariantName"],
            "shadow_variant_name": shadow["VariantName"],
            "production_model_name": production["ModelName"],
            "candidate_model_name": shadow["ModelName"],
            "sampling_percentage": plan.sampling_percentage,
            "capture_s3_uri": config["DataCaptureConfig"]["DestinationS3Uri"],
            "created": created,
        }
