"""Looks for what dead deployments left, with plain boto3 clients: the command line has no Airflow."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any

from botocore.exceptions import ClientError

from shadow_provider.hooks import aws_errors
from shadow_provider.hooks.documents import PlainDocuments
from shadow_provider.hooks.lease import S3Leases, lease_place
from shadow_provider.plan import tags as tagging
from shadow_provider.plan.endpoint_state import EndpointState
from shadow_provider.plan.errors import PlanError
from shadow_provider.plan.lease import Lease
from shadow_provider.plan.names import CONFIG_ROLES, MODEL_ROLES, is_made_name
from shadow_provider.plan.orphans import Kind, Made, Orphan, find_orphans

_ALARMS = re.compile(r"-guard-[0-9a-f]{10}-")


class OrphanSearch:
    """What there is in one account and region.

    Names only narrow the search; what has no tags of ours is never listed. A model under a name of a person's choice is
    found through its config.

    Args:
        sagemaker: boto3 client.
        s3: boto3 client.
        cloudwatch: boto3 client.
        endpoint_name: search only for what was made for this endpoint; None for all.
        lease_s3_uri: prefix of the leases; None for the default place of each endpoint.
    """

    def __init__(
        self, *, sagemaker: Any, s3: Any, cloudwatch: Any, endpoint_name: str | None = None,
        lease_s3_uri: str | None = None,
    ) -> None:  # fmt: skip
        self._sagemaker, self._cloudwatch = sagemaker, cloudwatch
        self._documents = PlainDocuments(s3)
        self._endpoint, self._lease_s3_uri = endpoint_name, lease_s3_uri
        self.endpoint_state = cache(self._endpoint_state)
        self.endpoint_config = cache(self._endpoint_config)
        self.tags = cache(self._tags)

    def find(self, *, older_than: timedelta, now: datetime | None = None) -> list[Orphan]:
        """List what dead deployments left.

        Args:
            older_than: from which age on what has no lease is given up.
            now: the present time; the clock's by default.
        """
        made = [item for item in self._made() if self._endpoint in (None, item.deployment[0])]
        names = {item.deployment[0] for item in made} | ({self._endpoint} if self._endpoint else set())
        leases = [lease for name in sorted(names) if name for lease in self._leases(name)]
        moment = now or datetime.now(tz=UTC)
        return find_orphans(made, self._endpoints(), leases, self._models_in, now=moment, older_than=older_than)

    def remove(self, orphans: Sequence[Orphan]) -> list[Orphan]:
        """Delete what is removable, in the given order; what is gone already is fine.

        Returns:
            What was there and is gone now.
        """
        deletes: Mapping[Kind, Callable[[str], Any]] = {
            "alarm": lambda name: self._cloudwatch.delete_alarms(AlarmNames=[name]),
            "model": lambda name: self._sagemaker.delete_model(ModelName=name),
            "endpoint config": lambda name: self._sagemaker.delete_endpoint_config(EndpointConfigName=name),
        }
        return [each for each in orphans if each.removable and _gone(partial(deletes[each.kind], each.name))]

    # -- what there is ------------------------------------------------------------------------------------------------

    def _made(self) -> Iterator[Made]:
        configs = list(self._configs())
        yield from configs
        named = {row["ModelName"]: row for role in MODEL_ROLES for row in self._listed("list_models", role)}
        for name in sorted({*named, *(model for config in configs for model in self._models_in(config.name))}):
            row = named.get(name) or _found(partial(self._sagemaker.describe_model, ModelName=name))
            if row is not None and (tags := self.tags(row["ModelArn"])).get(tagging.DEPLOYMENT):
                yield Made("model", name, tags, row["CreationTime"])
        yield from self._alarms()

    def _configs(self) -> Iterator[Made]:
        for role in CONFIG_ROLES:
            for row in self._listed("list_endpoint_configs", role):
                tags = self.tags(row["EndpointConfigArn"])
                if not tags.get(tagging.DEPLOYMENT):
                    continue
                shadows = (self.endpoint_config(row["EndpointConfigName"]) or {}).get("ShadowProductionVariants") or []
                yield Made(
                    "endpoint config",
                    row["EndpointConfigName"],
                    tags,
                    row["CreationTime"],
                    shadow_instance_type=shadows[0].get("InstanceType") if shadows else None,
                )

    def _models_in(self, config_name: str) -> frozenset[str]:
        config = self.endpoint_config(config_name) or {}
        variants = [*(config.get("ProductionVariants") or ()), *(config.get("ShadowProductionVariants") or ())]
        return frozenset(each["ModelName"] for each in variants if each.get("ModelName"))

    def _alarms(self) -> Iterator[Made]:
        for page in self._cloudwatch.get_paginator("describe_alarms").paginate(AlarmTypes=["MetricAlarm"]):
            for alarm in page["MetricAlarms"]:
                if not _ALARMS.search(alarm["AlarmName"]):
                    continue
                found = self._cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])
                tags = tagging.from_aws(found["Tags"])
                if tags.get(tagging.DEPLOYMENT):
                    created = tags.get(tagging.CREATED)
                    since = alarm["AlarmConfigurationUpdatedTimestamp"]
                    yield Made("alarm", alarm["AlarmName"], tags, datetime.fromisoformat(created) if created else since)

    def _listed(self, verb: str, role: str) -> Iterator[dict[str, Any]]:
        key, name = {"list_models": ("Models", "ModelName"),
                     "list_endpoint_configs": ("EndpointConfigs", "EndpointConfigName")}[verb]  # fmt: skip
        for page in self._sagemaker.get_paginator(verb).paginate(NameContains=f"-{role}-"):
            yield from (row for row in page[key] if is_made_name(row[name], role))

    def _endpoints(self) -> list[EndpointState]:
        pages = self._sagemaker.get_paginator("list_endpoints").paginate()
        names = [row["EndpointName"] for page in pages for row in page["Endpoints"]]
        return [state for name in names if (state := self.endpoint_state(name)) is not None]

    def _leases(self, endpoint_name: str) -> list[Lease]:
        try:
            place = self._lease_s3_uri or lease_place(self, endpoint_name, None)
        except PlanError:
            return []  # without a place there is none
        leases = S3Leases(self._documents, place, endpoint_name)
        return [lease for number in leases.generations() if (lease := leases.read(number)) is not None]

    # -- what lease_place asks ----------------------------------------------------------------------------------------

    def _endpoint_state(self, endpoint_name: str) -> EndpointState | None:
        found = _found(lambda: self._sagemaker.describe_endpoint(EndpointName=endpoint_name))
        return EndpointState.of(found) if found else None

    def _endpoint_config(self, name: str) -> dict[str, Any] | None:
        return _found(lambda: self._sagemaker.describe_endpoint_config(EndpointConfigName=name))

    def _tags(self, arn: str) -> dict[str, str]:
        pages = self._sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
        return _found(lambda: {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}) or {}


def _found(ask: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    try:
        return ask()
    except ClientError as error:
        if aws_errors.is_not_found(error):
            return None
        raise


def _gone(delete: Callable[[], Any]) -> bool:
    try:
        delete()
    except ClientError as error:
        if not (aws_errors.is_not_found(error) or aws_errors.is_alarm_not_found(error)):
            raise
        return False
    return True
