"""The request that creates a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from shadow_provider.plan import tags as tagging
from shadow_provider.plan.arguments import MaybeNone, Name, RoleArn, Specification
from shadow_provider.plan.errors import PlanError
from shadow_provider.plan.variants import Container


class ModelName(Specification):
    """The name of a model that exists or is to be made; None where it is derived or read from the endpoint."""

    model_name: Annotated[Name | None, MaybeNone] = None


class ModelPlan(Specification):
    """A model to be made.

    Attributes:
        container: image and model data, or a model package.
        execution_role_arn: the role that SageMaker assumes to read them.
    """

    container: Container
    execution_role_arn: RoleArn

    def content(self) -> dict[str, Any]:
        """Return what makes this model this model: the same content under the same name is the same model."""
        return {"Containers": [self.container.to_aws()], "ExecutionRoleArn": self.execution_role_arn}

    def request(self, name: str, tags: Mapping[str, str]) -> dict[str, Any]:
        """Return the CreateModel request (``Containers`` with one member, as AWS's page on shadow variants has it)."""
        return {"ModelName": name, **self.content(), "Tags": tagging.to_aws(tags)}


def refuse_unless_shadowable(description: Mapping[str, Any]) -> None:
    """Check a model that exists already against SageMaker's exclusions.

    Args:
        description: DescribeModel.

    Raises:
        PlanError: it has several containers, or a multi-model one.
    """
    where = f"model_name={description['ModelName']!r}"
    primary = description.get("PrimaryContainer")
    containers = description.get("Containers") or ([primary] if primary else [])
    if len(containers) > 1:
        raise PlanError(f"{where}: it has {len(containers)} containers; those cannot be shadowed or be shadows")
    if any(container.get("Mode") == "MultiModel" for container in containers):
        raise PlanError(f"{where}: it is a multi-model container; those cannot be shadowed or be shadows")
