"""The AWS verbs on the alarms that guard a promotion. Each may be killed at any point and called again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from shadow_provider.hooks import aws_errors
from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.plan import tags as tagging
from shadow_provider.plan.deployment import Deployment


class PromotionAlarms:
    """The CloudWatch alarms of one deployment.

    Args:
        hook: whose client and way of repeating calls are used.
        deployment: whose alarms they are.
    """

    def __init__(self, hook: SageMakerShadowHook, deployment: Deployment) -> None:
        self._hook = hook
        self._deployment = deployment

    def ensure(self, request: Mapping[str, Any], tags: Mapping[str, str]) -> bool:
        """Make an alarm, or adopt the one that an earlier try of the same deployment made, with the limit it has.

        Args:
            request: PutMetricAlarm, without tags.
            tags: the deployment's; PutMetricAlarm takes them only when it makes the alarm.

        Returns:
            Whether this very call made it.

        Raises:
            ForeignResourceError: an alarm of that name exists and is not ours, or was asked for otherwise.
        """
        name = request["AlarmName"]
        for alarm in self._described(AlarmNames=[name]):
            tagging.check_adoptable("alarm", name, self._tags(alarm), tags)
            self._hook.log.info("Adopted alarm %s with threshold %s", name, alarm["Threshold"])
            return False
        self._hook.retrying(lambda: self._hook.cloudwatch.put_metric_alarm(**request, Tags=tagging.to_aws(tags)))
        self._hook.log.info("Created alarm %s with threshold %s", name, request["Threshold"])
        return True

    def ours(self) -> list[str]:
        """Names of the alarms that this deployment made and that are there."""
        found = self._described(AlarmNamePrefix=self._deployment.names.alarms)
        return [alarm["AlarmName"] for alarm in found if self._deployment.owns(self._tags(alarm))]

    def delete_ours(self) -> list[str]:
        """Delete the alarms that this deployment made; it is fine if there are none.

        Returns:
            Names of the alarms that were there.
        """
        names = self.ours()
        for name in names:
            self._delete(name)
        return names

    def _delete(self, name: str) -> None:
        try:
            self._hook.retrying(lambda: self._hook.cloudwatch.delete_alarms(AlarmNames=[name]))
        except ClientError as error:
            if not aws_errors.is_alarm_not_found(error):
                raise
        self._hook.log.info("Deleted alarm %s", name)

    def in_alarm(self, names: Sequence[str]) -> dict[str, str]:
        """Which of these alarms are in ALARM now, each with CloudWatch's reason."""
        found = self._described(AlarmNames=list(names)) if names else []
        return {alarm["AlarmName"]: alarm.get("StateReason", "") for alarm in found if alarm["StateValue"] == "ALARM"}

    def missing(self, names: Sequence[str]) -> list[str]:
        """Which of these alarms do not exist."""
        found = {alarm["AlarmName"] for alarm in (self._described(AlarmNames=list(names)) if names else [])}
        return sorted(set(names) - found)

    def _described(self, **which: Any) -> list[dict[str, Any]]:
        paginator = self._hook.cloudwatch.get_paginator("describe_alarms")
        return self._hook.retrying(
            lambda: [
                alarm
                for page in paginator.paginate(AlarmTypes=["MetricAlarm"], **which)
                for alarm in page["MetricAlarms"]
            ]
        )

    def _tags(self, alarm: Mapping[str, Any]) -> dict[str, str]:
        arn = alarm["AlarmArn"]
        try:
            found = self._hook.retrying(lambda: self._hook.cloudwatch.list_tags_for_resource(ResourceARN=arn))
        except ClientError as error:
            if not aws_errors.is_alarm_not_found(error):
                raise
            return {}
        return tagging.from_aws(found["Tags"])
