"""Step 1: the models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from airflow.sdk import Context
from airflow.sdk.log import mask_secret

from shadow_provider.operators.base import DeploymentOperator, is_templated
from shadow_provider.plan.arguments import given
from shadow_provider.plan.container_secrets import hidden_environment, values_to_mask, with_environment
from shadow_provider.plan.endpoint_config import baseline_of_live_endpoint
from shadow_provider.plan.errors import PlanError
from shadow_provider.plan.model import ModelName, ModelPlan, refuse_unless_shadowable

Side = Literal["production", "shadow"]


class SageMakerShadowModelOperator(DeploymentOperator):
    """Sees to it that the model of one variant exists.

    Three ways to give it:

    * ``container`` and ``execution_role_arn``: the model is made, with the deployment's tags. A model that an earlier
      try of the same deployment made is adopted; any other model of that name is refused.
    * ``model_name`` alone: a model that exists; it is only looked up, and never deleted by this deployment.
    * neither, for the production side: the model that the live endpoint serves now.

    Args:
        side: ``production`` or ``shadow``.
        container: AWS's ``ContainerDefinition``, in PascalCase or snake_case: image and model data, or a model package.
            The values of its environment are in no log, rendered field or XCom; but what stands in the DAG's own source
            is anybody's who sees the DAG, so a secret among them should come from a template.
        execution_role_arn: the role that SageMaker assumes.
        model_name: name of the model; by default one is derived from endpoint and deployment.
        kwargs: see ``DeploymentOperator``.

    Returns:
        ``{"model_name", "model_arn", "created"}``.
    """

    template_fields = tuple(
        sorted({*DeploymentOperator.template_fields, "container", "execution_role_arn", "model_name"})
    )

    def __init__(
        self,
        *,
        side: Side,
        container: Mapping[str, Any] | None = None,
        execution_role_arn: str | None = None,
        model_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**({"multiple_outputs": True} | kwargs))
        if side not in ("production", "shadow"):
            raise PlanError(f"side={side!r}: must be 'production' or 'shadow'")
        self.side = side
        self.container = container
        self.execution_role_arn = execution_role_arn
        self.model_name = model_name
        self._environment: Mapping[str, Any] | None = None
        self._check_at_parse()

    def _check_at_parse(self) -> None:
        ModelName.parse_partly("", {"model_name": self.model_name}, is_templated)
        if self.container is not None:
            own = {"container": self.container, "execution_role_arn": self.execution_role_arn}
            ModelPlan.parse_partly("", own, is_templated)
        elif self.model_name is None and self.side == "shadow":
            raise PlanError(
                "container=None, model_name=None: the shadow side needs one of them; there is no model to read it from"
            )

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Render, then take the environment's values out of what Airflow stores and shows of the task."""
        super().render_template_fields(context, jinja_env)
        self.container, self._environment = hidden_environment(self.container)
        for value in values_to_mask(self._environment):
            mask_secret(value)

    def run_step(self, context: Context) -> dict[str, Any]:
        """Make, adopt or look up the model."""
        container = given(with_environment(self.container, self._environment))
        name = ModelName.parse("", {"model_name": self.model_name}).model_name
        if container is not None:
            return self._ensure(container, name)
        return self._look_up(name or self._served_now())

    def _ensure(self, container: Any, name: str | None) -> dict[str, Any]:
        names = self.deployment.names
        plan = ModelPlan.parse("", {"container": container, "execution_role_arn": self.execution_role_arn})
        role = "candidate" if self.side == "shadow" else "incumbent"
        default = names.candidate_model if self.side == "shadow" else names.incumbent_model
        ensured = self.hook.ensure_model(plan.request(name or default, self.deployment.tags(role, plan.content())))
        return {"model_name": ensured.name, "model_arn": ensured.arn, "created": ensured.created}

    def _look_up(self, name: str) -> dict[str, Any]:
        found = self.hook.model(name)
        if found is None:
            raise PlanError(
                f"model_name={name!r}: SageMaker has no such model in this account and region. Give container and "
                "execution_role_arn to have it made."
            )
        refuse_unless_shadowable(found)
        return {"model_name": name, "model_arn": found["ModelArn"], "created": False}

    def _served_now(self) -> str:
        if self.side == "shadow":
            raise PlanError("container=None, model_name=None: the shadow side needs one of them")
        config_name = self.hook.way_back(self.deployment)
        state = self.hook.endpoint_state(self.endpoint_name)
        if config_name is None:
            if state is None or state.active_config is None:
                raise PlanError(
                    f"endpoint_name={self.endpoint_name!r}: there is no such endpoint to read production from. To have "
                    "it made, give the production model (container, execution_role_arn) and production_variant."
                )
            config_name = state.active_config
        config = self.hook.endpoint_config(config_name)
        if config is None or state is None:
            raise PlanError(f"endpoint_name={self.endpoint_name!r}: its endpoint config {config_name!r} is gone")
        return baseline_of_live_endpoint(state, config).model_name
