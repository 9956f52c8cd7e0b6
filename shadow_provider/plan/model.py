"""The request that creates a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shadow_provider.plan import tags as tagging
from shadow_provider.plan.arguments import RoleArn, Specification
from shadow_provider.plan.variants import Container


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
