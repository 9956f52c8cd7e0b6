"""Link from the verdict to its report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from airflow.providers.amazon.aws.links.base_aws import BASE_AWS_CONSOLE_LINK, BaseAwsLink

from shadow_provider.hooks.documents import bucket_and_key


class SageMakerShadowReportLink(BaseAwsLink):
    """The report's object in the S3 console, from where it can be opened or downloaded."""

    name = "Decision report"
    key = "sagemaker_shadow_report"
    format_str = BASE_AWS_CONSOLE_LINK + "/s3/object/{bucket}?region={region_name}&prefix={report_key}"

    def format_link(self, **kwargs: Any) -> str:
        """Return the URL, with bucket and key escaped."""
        kwargs["bucket"] = quote(str(kwargs.get("bucket", "")), safe="")
        kwargs["report_key"] = quote(str(kwargs.get("report_key", "")), safe="/")
        return str(super().format_link(**kwargs))

    @classmethod
    def remember(cls, context: Mapping[str, Any], operator: Any, report_uri: str) -> None:
        """Push what the link needs."""
        bucket, key = bucket_and_key(report_uri)
        cls.persist(
            context=context,
            operator=operator,
            region_name=operator.hook.conn_region_name,
            aws_partition=operator.hook.conn_partition,
            bucket=bucket,
            report_key=key,
        )
