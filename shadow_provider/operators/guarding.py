"""What stands around a guarded update: its alarms and its DeploymentConfig."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from shadow_provider.hooks.alarms import PromotionAlarms
from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.plan.alarms import Fleet, plan_alarms
from shadow_provider.plan.deployment import Deployment
from shadow_provider.plan.errors import PlanError
from shadow_provider.plan.guardrails import Guardrails
from shadow_provider.plan.kept_guardrails import kept_config
from shadow_provider.plan.serving_figures import ServingFigures, latency_gates
from shadow_provider.policy.policy import Policy


class Guard:
    """The guard of one deployment's promotion.

    Args:
        hook: through which AWS is asked.
        deployment: whose promotion it is.
        guardrails: how traffic moves.
        policy: from whose margins alarms are made, where that is asked for.

    Attributes:
        guardrails: as given.
    """

    def __init__(
        self, hook: SageMakerShadowHook, deployment: Deployment, guardrails: Guardrails, policy: Policy
    ) -> None:
        self._hook = hook
        self._deployment = deployment
        self.guardrails = guardrails
        self._policy = policy
        self._alarms = PromotionAlarms(hook, deployment)

    def deployment_config(self, promoted: Mapping[str, Any], instances: int) -> dict[str, Any]:
        """Make the alarms that are asked for, unless they are there, and return AWS's ``DeploymentConfig``.

        Args:
            promoted: DescribeEndpointConfig of the promoted config.
            instances: how many the new fleet will have.

        Raises:
            PlanError: AWS excludes this, an alarm of the user's does not exist, or none can be made for want of data.
        """
        if self.guardrails.strategy == "AS_BEFORE":
            return self._as_before()
        if missing := self._alarms.missing(self.guardrails.alarm_names):
            raise PlanError(f"guardrails.alarm_names={list(missing)!r}: there is no such CloudWatch alarm")
        variant = promoted["ProductionVariants"][0]
        kind = variant["InstanceType"]
        # What AWS excludes is refused before an alarm is made.
        self.guardrails.to_aws(instances=instances, instance_type=kind)
        alarms = self._made_alarms(promoted) if self.guardrails.alarms_from_policy else []
        return self.guardrails.to_aws(instances=instances, instance_type=kind, alarms=alarms)

    def _as_before(self) -> dict[str, Any]:
        shadow = self._hook.endpoint_config(self._deployment.names.shadow_config)
        config = kept_config(self._hook.tags(shadow["EndpointConfigArn"])) if shadow else None
        if config is None:
            raise PlanError(
                "guardrails.strategy='AS_BEFORE': the endpoint had no DeploymentConfig when this deployment began; "
                "give another strategy"
            )
        return config

    def _made_alarms(self, promoted: Mapping[str, Any]) -> list[str]:
        name, variant = promoted["EndpointConfigName"], promoted["ProductionVariants"][0]["VariantName"]
        period = self.guardrails.alarm_period_seconds
        plan = plan_alarms(
            self._policy,
            self._before(variant, promoted["CreationTime"], period),
            Fleet(self._deployment.endpoint_name, variant, name),
            prefix=self._deployment.names.alarms,
            period=period,
        )
        if not plan.requests:
            raise PlanError(
                "guardrails.alarms_from_policy=True: no alarm can be made, and no threshold is made up: "
                + ("; ".join(plan.left_out) or "the policy has no deciding gate on invocation errors or latency")
                + ". Give alarm_names, or promote without alarms."
            )
        for gate in plan.left_out:
            self._hook.log.warning("There is no alarm on %s; the watch after the promotion looks at it.", gate)
        gates = [gate.model_dump(mode="json") for gate in self._policy.blocking_gates]
        for request in plan.requests:
            content = {"alarm": request["AlarmName"], "config": name, "gates": gates, "period": period}
            self._alarms.ensure(request, self._deployment.tags("alarm", content))
        return [request["AlarmName"] for request in plan.requests]

    def _before(self, variant: str, until: datetime, period: int) -> ServingFigures:
        # It brings the statistics with it, which nothing that Airflow imports to parse a DAG may.
        from shadow_provider.evidence.serving_figures import serving_figures

        figures = serving_figures(
            self._hook.cloudwatch,
            endpoint_name=self._deployment.endpoint_name,
            variant=variant,
            start=self._hook.shadow_run(self._deployment).since,
            end=until,
            seconds=period,
            percentiles=[gate.percentile for gate in latency_gates(self._policy)],
            now=datetime.now(tz=UTC),
        )
        for note in figures.notes:
            self._hook.log.warning("CloudWatch: %s", note)
        return figures

    def what_went_off(self) -> str:
        """Say which alarms of the update are in ALARM, for a message about an update that was rolled back."""
        try:
            found = self._alarms.in_alarm([*self._users_alarms(), *self._alarms.ours()])
        except (ClientError, BotoCoreError) as error:  # it must not stand in the way of what is being told
            return f"Its alarms could not be asked: {error}"
        if not found:
            return "None of its alarms is in ALARM now"
        return "In ALARM: " + "; ".join(f"{name} ({reason})" for name, reason in found.items())

    def _users_alarms(self) -> list[str]:
        if self.guardrails.strategy != "AS_BEFORE":
            return list(self.guardrails.alarm_names)
        alarms = self._as_before().get("AutoRollbackConfiguration", {}).get("Alarms", [])
        return [alarm["AlarmName"] for alarm in alarms if alarm.get("AlarmName")]

    def take_down(self) -> None:
        """Delete the alarms that were made."""
        self._alarms.delete_ours()
