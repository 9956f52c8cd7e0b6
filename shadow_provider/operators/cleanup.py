"""What the deployment made and nobody uses any more is deleted."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Context

from shadow_provider.hooks.alarms import PromotionAlarms
from shadow_provider.operators.base import DeploymentOperator
from shadow_provider.plan.errors import EndpointBusyError


class SageMakerShadowCleanupOperator(DeploymentOperator):
    """Deletes configs, models and alarms that carry this deployment's tags and that the endpoint does not use.

    Nothing else is touched: no resource without the tags, not the config that serves or is pending, not the models in
    it, and not the baseline config or its model while they are the way back from a promotion.

    Args:
        delete_baseline: after a promotion, delete the baseline config and the incumbent model too, where this
            deployment made them. The way back is gone then.
        kwargs: see ``DeploymentOperator``.

    Returns:
        ``{"deleted_configs", "deleted_models", "kept"}``: lists of names.
    """

    def __init__(self, *, delete_baseline: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delete_baseline = delete_baseline

    def run_step(self, context: Context) -> dict[str, Any]:
        """Delete models before configs: the configs tell a second try which models there are."""
        state = self.hook.endpoint_state(self.endpoint_name)
        if state is not None and state.in_progress:
            raise EndpointBusyError(f"Endpoint {self.endpoint_name} is still changing: {state.summary()}")
        PromotionAlarms(self.hook, self.deployment).delete_ours()
        serving = {state.active_config} if state else set()
        baseline = self.hook.way_back(self.deployment)
        if baseline and not self.delete_baseline and state is not None:
            serving.add(baseline)
        models = set(self.deployment.names.models)
        configs = {name: self.hook.endpoint_config(name) for name in self.deployment.names.configs}
        in_use = {model for name in serving if name for model in self._models_of(self.hook.endpoint_config(name))}
        deleted_configs = []
        # The shadow config goes last: its tags are the way back, should this task die half-way.
        for name in sorted(configs, key=lambda name: name == self.deployment.names.shadow_config):
            config = configs[name]
            if config is None or name in serving or not self._is_ours(config["EndpointConfigArn"]):
                continue
            models |= self._models_of(config)
            deleted_configs.append(name)
        deleted_models = [name for name in sorted(models - in_use) if self._delete_model(name)]
        for name in deleted_configs:
            self.hook.delete_endpoint_config(name)
        kept = sorted({name for name in serving if name} | in_use)
        return {"deleted_configs": deleted_configs, "deleted_models": deleted_models, "kept": kept}

    def _is_ours(self, arn: str) -> bool:
        return self.deployment.owns(self.hook.tags(arn))

    @staticmethod
    def _models_of(config: dict[str, Any] | None) -> set[str]:
        config = config or {}
        variants = [*config.get("ProductionVariants", ()), *config.get("ShadowProductionVariants", ())]
        return {variant["ModelName"] for variant in variants if variant.get("ModelName")}

    def _delete_model(self, name: str) -> bool:
        found = self.hook.model(name)
        if found is None or not self._is_ours(found["ModelArn"]):
            return False
        self.hook.delete_model(name)
        return True
