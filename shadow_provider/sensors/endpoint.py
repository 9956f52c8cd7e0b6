"""Waits until an endpoint verifiably serves a certain config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import PokeReturnValue
from airflow.sdk import Context

from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.links.sagemaker import SageMakerShadowEndpointLink
from shadow_provider.operators.base import (
    DEFAULT_DEPLOYMENT_ID,
    DEPLOYMENT_FIELDS,
    final_errors,
    is_templated,
    seconds,
)
from shadow_provider.operators.waiting import DEFAULT_DEFERRABLE, DEFAULT_POLL_SECONDS, DEFAULT_TIMEOUT, EndpointWait
from shadow_provider.plan.arguments import none_of_jinja
from shadow_provider.plan.endpoint_state import EndpointState


class SageMakerShadowEndpointSensor(EndpointWait, AwsBaseSensor[SageMakerShadowHook]):
    """Succeeds when the endpoint is InService, on the config asked for, with nothing pending; and only then.

    Every other end (rolled back by SageMaker, Failed, OutOfService, UpdateRollbackFailed, changed by somebody else)
    fails the task at once and for good, with AWS's reason.

    Args:
        endpoint_name: the endpoint.
        endpoint_config_name: the config to wait for; by default the deployment's shadow config.
        deployment_id: tells this deployment from others; see ``DeploymentOperator``.
        lease_s3_uri: renewed at each look; see ``DeploymentOperator``.
        expected_account_id: see ``DeploymentOperator``.
        expected_region: see ``DeploymentOperator``.
        deferrable: wait in the triggerer. Otherwise ``mode`` says how: ``reschedule`` frees the worker slot.
        poll_interval: seconds between two looks.
        timeout: how long to wait at most, as timedelta or in seconds.
        kwargs: as in every sensor of the amazon provider.

    Returns:
        ``{"endpoint_name", "endpoint_config_name", "status"}``.
    """

    aws_hook_class = SageMakerShadowHook
    template_fields: Sequence[str] = aws_template_fields(*DEPLOYMENT_FIELDS, "endpoint_config_name", "poll_interval")
    operator_extra_links = (SageMakerShadowEndpointLink(),)
    ui_color = "#e6f4ea"

    def __init__(
        self,
        *,
        endpoint_name: str,
        endpoint_config_name: str | None = None,
        deployment_id: str = DEFAULT_DEPLOYMENT_ID,
        lease_s3_uri: str | None = None,
        expected_account_id: str | None = None,
        expected_region: str | None = None,
        deferrable: bool = DEFAULT_DEFERRABLE,
        poll_interval: float = DEFAULT_POLL_SECONDS,
        timeout: timedelta | float = DEFAULT_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(timeout=seconds("timeout", timeout), **kwargs)
        self.take_deployment(
            endpoint_name,
            deployment_id,
            lease_s3_uri=lease_s3_uri,
            expected_account_id=expected_account_id,
            expected_region=expected_region,
        )
        self.endpoint_config_name = endpoint_config_name
        self.deferrable = deferrable
        self.poll_interval = poll_interval if is_templated(poll_interval) else seconds("poll_interval", poll_interval)

    def execute(self, context: Context) -> Any:
        """Look once; then wait in the triggerer, or as the sensor's mode says."""
        with final_errors():
            SageMakerShadowEndpointLink.remember(context, self, self.endpoint_name)
            self.check_place()
            self.poke_interval = seconds("poll_interval", self.poll_interval)
            if not self.deferrable:
                return super().execute(context)
            name, not_before = self._target()
            done, state = self.look(name, not_before)
            if not done:
                deadline = datetime.now(tz=UTC) + timedelta(seconds=self.timeout)
                self.defer_wait(name, not_before, deadline)
            return self._result(name, state)

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        with final_errors():
            self.keep_lease(datetime.now(tz=UTC) + timedelta(seconds=self.poke_interval))
            name, not_before = self._target()
            done, state = self.look(name, not_before)
        return PokeReturnValue(is_done=done, xcom_value=self._result(name, state) if done else None)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Judge the endpoint anew after the trigger fired."""
        with final_errors():
            state = self.look_after(event)
            self.keep_lease()
            return self._result(state.active_config if state else None, state)

    def _target(self) -> tuple[str, datetime | None]:
        name = none_of_jinja(self.endpoint_config_name) or self.deployment.names.shadow_config
        config = self.hook.endpoint_config(name)
        return name, config["CreationTime"] if config else None

    @staticmethod
    def _result(name: str | None, state: EndpointState | None) -> dict[str, Any]:
        assert state is not None
        return {"endpoint_name": state.name, "endpoint_config_name": name, "status": state.status}
