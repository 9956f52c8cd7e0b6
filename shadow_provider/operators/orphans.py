"""What dead deployments left, looked for by a DAG of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk import Context

from shadow_provider.hooks.orphans import OrphanSearch
from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.operators.base import final_errors, is_templated, seconds
from shadow_provider.plan.arguments import Name, S3Uri, Specification, is_true


class _Where(Specification):
    endpoint_name: Name | None = None
    lease_s3_uri: S3Uri | None = None


class SageMakerShadowOrphansOperator(AwsBaseOperator[SageMakerShadowHook]):
    """Lists what dead deployments left: configs, models, alarms, shadows that still run, leases that ran out.

    Only what carries tags of a deployment is listed. A shadow that still runs is never touched: its removal is a
    rollback, and the list says how. What is listed stands in the log as a warning.

    Args:
        endpoint_name: only what was made for this endpoint; None for all.
        older_than: from which age on what has no lease is given up, timedelta or seconds.
        lease_s3_uri: prefix of the leases; None for beside each endpoint's captures.
        remove: delete what nothing uses.
        kwargs: as in every operator of the amazon provider.

    Returns:
        ``{"orphans": […], "removed": [names]}``.
    """

    aws_hook_class = SageMakerShadowHook
    template_fields: Sequence[str] = aws_template_fields("endpoint_name", "older_than", "lease_s3_uri", "remove")
    ui_color = "#fef7e0"

    def __init__(
        self,
        *,
        endpoint_name: Any = None,
        older_than: timedelta | float | str = timedelta(hours=24),
        lease_s3_uri: Any = None,
        remove: Any = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.endpoint_name = endpoint_name
        self.older_than = older_than if is_templated(older_than) else seconds("older_than", older_than)
        self.lease_s3_uri = lease_s3_uri
        self.remove = remove
        _Where.parse_partly("", self._asked, is_templated)

    @property
    def _asked(self) -> dict[str, Any]:
        return {"endpoint_name": self.endpoint_name, "lease_s3_uri": self.lease_s3_uri}

    def execute(self, context: Context) -> dict[str, Any]:
        """Search, and remove if asked to."""
        with final_errors():
            where = _Where.parse("", self._asked)
            search = OrphanSearch(
                sagemaker=self.hook.sagemaker,
                s3=self.hook.s3,
                cloudwatch=self.hook.cloudwatch,
                endpoint_name=where.endpoint_name,
                lease_s3_uri=where.lease_s3_uri,
            )
            found = search.find(older_than=timedelta(seconds=seconds("older_than", self.older_than)))
            for orphan in found:
                self.log.warning("%s %s of %s, since %s%s", orphan.kind, orphan.name, orphan.whose,
                                 orphan.since.isoformat(timespec="seconds"),
                                 f": {orphan.remedy}" if orphan.remedy else "")  # fmt: skip
            removed = search.remove(found) if is_true(self.remove) else []
        return {
            "orphans": [{**dataclasses.asdict(orphan), "since": orphan.since.isoformat()} for orphan in found],
            "removed": [orphan.name for orphan in removed],
        }
