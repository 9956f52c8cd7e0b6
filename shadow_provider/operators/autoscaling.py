"""Step 4: production scales as before, and the shadow by itself if asked to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Context

from shadow_provider.hooks.autoscaling import EndpointAutoscaling
from shadow_provider.operators.base import DeploymentOperator, is_templated
from shadow_provider.plan.arguments import given
from shadow_provider.plan.autoscaling import ShadowScaling
from shadow_provider.plan.errors import EndpointBusyError, EndpointChangedError


class SageMakerShadowAutoscalingOperator(DeploymentOperator):
    """Verifies that adding the shadow left production's autoscaling as it was, and gives the shadow its own.

    It runs once the endpoint is InService on the shadow config: AWS registers no variant before. What the shadow gets
    is deregistered again before anything removes the shadow.

    Args:
        shadow_autoscaling: ``{"min_capacity", "max_capacity", "invocations_per_instance"}``, or with
            ``target_tracking`` (AWS's ``TargetTrackingScalingPolicyConfiguration``) in place of the last; None leaves
            the shadow at its instance count.
        kwargs: see ``DeploymentOperator``.

    Returns:
        ``{"production_scales", "shadow_scales"}``: whether each variant is registered now.
    """

    template_fields = tuple(sorted({*DeploymentOperator.template_fields, "shadow_autoscaling"}))

    def __init__(self, *, shadow_autoscaling: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shadow_autoscaling = shadow_autoscaling
        if shadow_autoscaling is not None:
            ShadowScaling.parse_partly("shadow_autoscaling", shadow_autoscaling, is_templated)

    def run_step(self, context: Context) -> dict[str, Any]:
        """Restore what is missing, and register the shadow."""
        asked = given(self.shadow_autoscaling)
        wanted = None if asked is None else ShadowScaling.parse("shadow_autoscaling", asked)
        state = self.hook.endpoint_state(self.endpoint_name)
        shadow_config = self.deployment.names.shadow_config
        if state is None or state.active_config != shadow_config:
            raise EndpointChangedError(
                f"Endpoint {self.endpoint_name} should serve the shadow config {shadow_config}; it is "
                f"{state.summary() if state else 'gone'}."
            )
        if not state.serves(shadow_config):
            # Autoscaling itself changes the endpoint for a moment.
            raise EndpointBusyError(f"Endpoint {self.endpoint_name} is busy: {state.summary()}")
        autoscaling = EndpointAutoscaling(self.hook, self.deployment)
        autoscaling.after_update(state)
        (shadow,) = state.shadows
        if wanted is not None:
            autoscaling.give(shadow.name, wanted)
        registered = autoscaling.read(item.name for item in (*state.production, shadow))
        return {
            "production_scales": any(item.name in registered for item in state.production),
            "shadow_scales": shadow.name in registered,
        }
