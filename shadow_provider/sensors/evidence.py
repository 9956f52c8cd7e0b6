"""Waits until the shadow has seen enough requests to be judged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import AirflowException, PokeReturnValue
from airflow.sdk import Context

from shadow_provider.evidence.cover import mirrored_requests
from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.links.sagemaker import SageMakerShadowEndpointLink
from shadow_provider.operators.base import (
    DEFAULT_DEPLOYMENT_ID,
    DEPLOYMENT_FIELDS,
    DeploymentArguments,
    final_errors,
    is_templated,
    seconds,
)
from shadow_provider.operators.evaluate import effective_policy
from shadow_provider.operators.production_guard import refuse_harm
from shadow_provider.operators.waiting import DEFAULT_DEFERRABLE
from shadow_provider.plan.arguments import for_template, none_of_jinja
from shadow_provider.plan.endpoint_config import ShadowRun
from shadow_provider.plan.errors import PlanError
from shadow_provider.policy.policy import Policy
from shadow_provider.policy.production_guard import ON, ProductionGuard, read_production_guard
from shadow_provider.triggers.evidence import SageMakerShadowEvidenceTrigger

DEFAULT_POLL_SECONDS = 60.0
FIRST_LOOK_PAIRS = 500
"""Requests from which on looking may be worth it: a candidate that breaks is rejected long before the minimum cover."""
# A sensor's own time-out must never come before the deadline of the evidence, which ends the wait in order.
_TIMEOUT_AFTER_DEADLINE = timedelta(hours=1)
# How often a task that waits in the triggerer comes back to look at production, at most.
_LEAST_GUARD_SECONDS = 300.0
# SageMaker's datapoints were seen one to three minutes after their minute.
_METRIC_LAG = timedelta(minutes=3)


@dataclass(frozen=True)
class _Wait:
    run: ShadowRun
    policy: Policy
    guard: ProductionGuard | None
    not_before: datetime
    deadline: datetime
    minimum_requests: int


class SageMakerShadowEvidenceSensor(DeploymentArguments, AwsBaseSensor[SageMakerShadowHook]):
    """Succeeds when CloudWatch counts enough requests on the shadow, or at the deadline.

    At the deadline it says ``"enough": false``; the evaluation that follows then ends INCONCLUSIVE, not in a promotion.

    Args:
        endpoint_name: the endpoint.
        policy: the evaluation's policy; its ``minimum_pairs`` requests are enough, or 500 if that is less: looking is
            worth it long before the minimum cover, since a candidate that fails may be rejected at any look.
        minimum_duration: how long the shadow must run at least, so that the traffic is representative; timedelta or
            seconds, 0 for no minimum.
        deadline: how long to wait at most, from the making of the shadow config on; timedelta or seconds.
        production_guard: see ``SageMakerShadowEvaluateOperator``; production is looked at in between, at the policy's
            interval of looks.
        deployment_id: tells this deployment from others; see ``DeploymentOperator``.
        lease_s3_uri: renewed at each look; see ``DeploymentOperator``.
        expected_account_id: see ``DeploymentOperator``.
        expected_region: see ``DeploymentOperator``.
        deferrable: wait in the triggerer. Otherwise ``mode`` says how: ``reschedule`` frees the worker slot.
        poll_interval: seconds between two looks.
        kwargs: as in every sensor of the amazon provider.

    Returns:
        ``{"requests", "minimum_requests", "enough"}``; ``requests`` is None where CloudWatch has no data.
    """

    aws_hook_class = SageMakerShadowHook
    template_fields: Sequence[str] = aws_template_fields(
        *DEPLOYMENT_FIELDS, "policy", "minimum_duration", "deadline", "poll_interval", "production_guard"
    )
    template_fields_renderers = {"policy": "json"}  # noqa: RUF012 - Airflow reads it from the class
    operator_extra_links = (SageMakerShadowEndpointLink(),)
    ui_color = "#e6f4ea"

    def __init__(
        self,
        *,
        endpoint_name: str,
        policy: Policy | Mapping[str, Any] | str | None = None,
        minimum_duration: timedelta | float = 0,
        deadline: timedelta | float | None = None,
        production_guard: Mapping[str, Any] | str | bool | None = ON,
        deployment_id: str = DEFAULT_DEPLOYMENT_ID,
        lease_s3_uri: str | None = None,
        expected_account_id: str | None = None,
        expected_region: str | None = None,
        deferrable: bool = DEFAULT_DEFERRABLE,
        poll_interval: float = DEFAULT_POLL_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.take_deployment(
            endpoint_name,
            deployment_id,
            lease_s3_uri=lease_s3_uri,
            expected_account_id=expected_account_id,
            expected_region=expected_region,
        )
        self.policy = for_template(policy)
        self.minimum_duration = (
            minimum_duration.total_seconds() if isinstance(minimum_duration, timedelta) else minimum_duration
        )
        self.deadline = deadline.total_seconds() if isinstance(deadline, timedelta) else deadline
        self.production_guard = production_guard
        self.deferrable = deferrable
        self.poll_interval = poll_interval if is_templated(poll_interval) else seconds("poll_interval", poll_interval)
        if not is_templated(policy) and not is_templated(deadline):
            read = effective_policy(self.policy, deadline=self.deadline)
            if not is_templated(production_guard):
                read_production_guard(production_guard, read)
        if not is_templated(minimum_duration):
            self._minimum_seconds()

    def execute(self, context: Context) -> Any:
        """Look once; then wait in the triggerer, or as the sensor's mode says."""
        with final_errors():
            SageMakerShadowEndpointLink.remember(context, self, self.endpoint_name)
            self.check_place()
            self.poke_interval = seconds("poll_interval", self.poll_interval)
            wait = self._wait()
            if not self.deferrable:
                self.timeout = max(
                    self.timeout, (wait.deadline + _TIMEOUT_AFTER_DEADLINE - wait.run.since).total_seconds()
                )
                return super().execute(context)
            result = self._look(wait)
            if result is None:
                self._defer(wait)
            return result

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        with final_errors():
            self.keep_lease(datetime.now(tz=UTC) + timedelta(seconds=self.poke_interval))
            result = self._look(self._wait())
        return PokeReturnValue(is_done=result is not None, xcom_value=result)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Count anew after the trigger fired; a wait that ended only to look at production goes on."""
        with final_errors():
            self.keep_lease()
            wait = self._wait()
            result = self._look(wait)
            if result is None and (event or {}).get("status") == "timeout":
                self.poke_interval = seconds("poll_interval", self.poll_interval)
                self._defer(wait)
        if result is None:
            raise AirflowException(
                f"The wait for evidence ended early: {(event or {}).get('reason') or event}. Running the task again "
                "goes on waiting."
            )
        return result

    def _minimum_seconds(self) -> float:
        value = none_of_jinja(self.minimum_duration)
        try:
            number = float(value or 0)
        except (TypeError, ValueError):
            number = -1.0
        if not 0 <= number < math.inf:
            raise PlanError(f"minimum_duration={value!r}: must be a duration, 0 or more, as timedelta or in seconds")
        return number

    def _wait(self) -> _Wait:
        run = self.hook.shadow_run(self.deployment)
        policy = effective_policy(self.policy, deadline=self.deadline)
        deadline = run.since + timedelta(hours=policy.deadline_hours)
        return _Wait(
            run=run,
            policy=policy,
            guard=read_production_guard(self.production_guard, policy),
            not_before=min(run.since + timedelta(seconds=self._minimum_seconds()), deadline),
            deadline=deadline,
            minimum_requests=math.ceil(min(policy.minimum_pairs, FIRST_LOOK_PAIRS) * 100 / run.capture_percentage),
        )

    def _look(self, wait: _Wait) -> dict[str, Any] | None:
        now = datetime.now(tz=UTC)
        refuse_harm(
            self.hook,
            endpoint_name=self.endpoint_name,
            run=wait.run,
            policy=wait.policy,
            guard=wait.guard,
            lag=_METRIC_LAG,
            now=min(now, wait.deadline),
        )
        requests = mirrored_requests(
            self.hook.cloudwatch,
            endpoint_name=self.endpoint_name,
            shadow_variant=wait.run.shadow_variant,
            since=wait.run.since,
            until=now,
        )
        enough = (requests or 0) >= wait.minimum_requests and now >= wait.not_before
        self.log.info("CloudWatch counts %s requests on the shadow; enough are %s", requests, wait.minimum_requests)
        if not enough and now < wait.deadline:
            return None
        if not enough:
            self.log.warning("The deadline %s has come without enough traffic", wait.deadline.isoformat())
        return {"requests": requests, "minimum_requests": wait.minimum_requests, "enough": enough}

    def _defer(self, wait: _Wait) -> None:
        pause = max(wait.policy.look_interval_seconds, _LEAST_GUARD_SECONDS)
        next_look = datetime.now(tz=UTC) + timedelta(seconds=pause)
        until = wait.deadline if wait.guard is None else min(wait.deadline, next_look)
        self.keep_lease(until)
        self.defer(
            trigger=SageMakerShadowEvidenceTrigger(
                endpoint_name=self.endpoint_name,
                shadow_variant_name=wait.run.shadow_variant,
                since=wait.run.since.isoformat(),
                minimum_requests=wait.minimum_requests,
                not_before=wait.not_before.isoformat(),
                deadline=until.isoformat(),
                poll_interval=self.poke_interval,
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
            ),
            method_name="execute_complete",
        )
