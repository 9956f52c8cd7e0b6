"""One deployment: which endpoint, which names, and what was asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field

from shadow_provider.plan import tags as tagging
from shadow_provider.plan.arguments import AccountId, MaybeNone, Name, Region, S3Uri, Specification
from shadow_provider.plan.errors import WrongAccountError
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


class Safeguards(Specification):
    """What must hold before a task of a deployment does anything.

    Attributes:
        lease_s3_uri: prefix of the lease that keeps other deployments off the endpoint; None for no lease.
        expected_account_id: the AWS account that the connection must lead to; None for any.
        expected_region: the AWS region that it must lead to; None for any.
    """

    lease_s3_uri: Annotated[S3Uri | None, MaybeNone] = None
    expected_account_id: Annotated[AccountId | None, MaybeNone] = None
    expected_region: Annotated[Region | None, MaybeNone] = None

    def check_place(self, account_id: str, region: str) -> None:
        """Compare where the connection leads to with where it should.

        Raises:
            WrongAccountError: it leads elsewhere.
        """
        wrong = [
            f"{name}={wanted!r}, but the connection leads to {found!r}"
            for name, wanted, found in (
                ("expected_account_id", self.expected_account_id, account_id),
                ("expected_region", self.expected_region, region),
            )
            if wanted is not None and wanted != found
        ]
        if wrong:
            raise WrongAccountError(f"{'; '.join(wrong)}. Nothing was changed: check aws_conn_id and region_name.")


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
