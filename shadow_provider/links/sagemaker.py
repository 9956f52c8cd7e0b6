"""Links from a task to the AWS console."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from airflow.providers.amazon.aws.links.base_aws import BASE_AWS_CONSOLE_LINK, BaseAwsLink


class SageMakerShadowEndpointLink(BaseAwsLink):
    """The endpoint's page in the SageMaker console."""

    name = "SageMaker endpoint"
    key = "sagemaker_shadow_endpoint"
    format_str = BASE_AWS_CONSOLE_LINK + "/sagemaker/home?region={region_name}#/endpoints/{endpoint_name}"

    def format_link(self, **kwargs: Any) -> str:
        """Return the URL, with the endpoint's name escaped."""
        kwargs["endpoint_name"] = quote(str(kwargs.get("endpoint_name", "")), safe="")
        return str(super().format_link(**kwargs))

    @classmethod
    def remember(cls, context: Mapping[str, Any], operator: Any, endpoint_name: str) -> None:
        """Push what the link needs, before anything can fail, so that a failed task has its link too."""
        cls.persist(
            context=context,
            operator=operator,
            region_name=operator.hook.conn_region_name,
            aws_partition=operator.hook.conn_partition,
            endpoint_name=endpoint_name,
        )
