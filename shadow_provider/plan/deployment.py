"""One deployment: which endpoint, which names, and what was asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field

from shadow_provider.plan import tags as tagging
from shadow_provider.plan.arguments import MaybeNone, Name, Specification
from shadow_provider.plan.names import DeploymentNames, deployment_names
from shadow_provider.plan.variants import DataCapture, ProductionVariant, ShadowVariant


class Deployment(Specification):
    """Which deployment this is.

    Attributes:
        endpoint_name: the endpoint it is about.
        deployment_id: tells this deployment from others on the same endpoint; the same id is the same deployment, also
            after a retry, a clear or a restart. Any text.
        dag: the DAG that it belongs to; None outside of Airflow. No part of what tells it from others.
        run: the run of that DAG.
    """

    endpoint_name: Name
    deployment_id: Annotated[str, Field(min_length=1)]
    dag: str | None = None
    run: str | None = None

    @cached_property
    def names(self) -> DeploymentNames:
        """The names of everything that this deployment makes."""
        return deployment_names(self.endpoint_name, self.deployment_id)

    def tags(self, role: str, content: dict[str, Any], *, baseline_config: str | None = None) -> dict[str, str]:
        """Return the tags of one of its resources that is made now."""
        return tagging.deployment_tags(
            endpoint_name=self.endpoint_name,
            deployment_id=self.deployment_id,
            role=role,
            content=content,
            created=datetime.now(tz=UTC),
            baseline_config=baseline_config,
            dag=self.dag,
            run=self.run,
        )

    def owns(self, tags: dict[str, str]) -> bool:
        """Tell whether a resource with these tags was made by this deployment."""
        return tagging.is_ours(tags, endpoint_name=self.endpoint_name, deployment_id=self.deployment_id)


class ShadowPlan(Specification):
    """What is asked of the shadow config.

    Attributes:
        candidate_model_name: the model behind the shadow.
        production_model_name: the model behind production; needed only where the deployment makes the endpoint itself.
        shadow_variant: the shadow.
        sampling_percentage: share of requests that SageMaker copies to it, above 0 and up to 100.
        data_capture: capture while the shadow runs; None keeps the endpoint's own.
        production_variant: given only where the deployment makes the endpoint itself.
    """

    candidate_model_name: Name
    production_model_name: Annotated[Name | None, MaybeNone] = None
    shadow_variant: ShadowVariant = ShadowVariant()
    sampling_percentage: Annotated[float, Field(gt=0, le=100)] = 100.0
    data_capture: Annotated[DataCapture | None, MaybeNone] = None
    production_variant: Annotated[ProductionVariant | None, MaybeNone] = None
