"""What the operators share: arguments checked early, and final errors that are not retried."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import AwsBaseHookMixin, aws_template_fields
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import Context, get_current_context
from airflow.sdk.definitions._internal.mixins import ResolveMixin

from shadow_provider.hooks import aws_errors
from shadow_provider.hooks.lease import lease_keeper
from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.links.sagemaker import SageMakerShadowEndpointLink
from shadow_provider.plan.deployment import Deployment, Safeguards
from shadow_provider.plan.errors import AwsUnavailableError, MayPassError, PlanError, ShadowError
from shadow_provider.plan.lease import SLACK

# DAG and run: a retried, cleared or restarted run is the same deployment.
DEFAULT_DEPLOYMENT_ID = "{{ dag.dag_id }}/{{ run_id }}"
# Template fields of everything that belongs to a deployment.
DEPLOYMENT_FIELDS = ("endpoint_name", "deployment_id", "lease_s3_uri", "expected_account_id", "expected_region")


def is_templated(value: Any) -> bool:
    """Whether a value is, or holds, something that Airflow renders only when the task starts."""
    if isinstance(value, ResolveMixin):
        return True
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, Mapping):
        return any(is_templated(item) for item in value.values())
    if isinstance(value, Sequence):
        return any(is_templated(item) for item in value)
    return False


@contextmanager
def final_errors() -> Iterator[None]:
    """Turn errors that no retry can mend into AirflowFailException; what may pass is left to Airflow's retries.

    Raises:
        AirflowFailException: an error of ours or of AWS that is final, with what was asked and what to do.
        MayPassError: any other of ours.
        AwsUnavailableError: any other of AWS.
    """
    try:
        yield
    except MayPassError:
        raise
    except ShadowError as error:
        raise AirflowFailException(str(error)) from error
    except aws_errors.AwsError as error:
        told = aws_errors.in_words(error)
        raise (AwsUnavailableError if aws_errors.may_pass(error) else AirflowFailException)(told) from error


def seconds(argument: str, value: Any) -> float:
    """Return a duration in seconds.

    Args:
        argument: its name, for the error.
        value: a timedelta, a number of seconds, or such a number as text from a template.

    Raises:
        PlanError: it is not a duration above zero.
    """
    try:
        number = value.total_seconds() if isinstance(value, timedelta) else float(value)
    except (TypeError, ValueError):
        number = 0.0
    if not 0 < number < float("inf"):
        raise PlanError(f"{argument}={value!r}: must be a duration above zero, as timedelta or in seconds")
    return number


def dag_and_run() -> tuple[str | None, str | None]:
    """Return the DAG and the run that this task belongs to; outside of an Airflow task there are none."""
    try:
        context = get_current_context()
    except RuntimeError:
        return None, None
    return context["dag"].dag_id, context["run_id"]


class DeploymentArguments(AwsBaseHookMixin[SageMakerShadowHook]):
    """Mixin of everything that belongs to one deployment, operator or sensor."""

    endpoint_name: str
    deployment_id: str
    lease_s3_uri: str | None
    expected_account_id: str | None
    expected_region: str | None

    def take_deployment(
        self,
        endpoint_name: str,
        deployment_id: str,
        *,
        lease_s3_uri: str | None,
        expected_account_id: str | None,
        expected_region: str | None,
    ) -> None:
        """Keep the arguments and check at DAG parse what is not a template.

        Raises:
            PlanError: an argument breaks a rule.
        """
        self.endpoint_name = endpoint_name
        self.deployment_id = deployment_id
        self.lease_s3_uri = lease_s3_uri
        self.expected_account_id = expected_account_id
        self.expected_region = expected_region
        Safeguards.parse_partly("", self._safeguards, is_templated)
        Deployment.parse_partly("", {"endpoint_name": endpoint_name, "deployment_id": deployment_id}, is_templated)

    @property
    def deployment(self) -> Deployment:
        """This deployment, from the rendered arguments.

        Raises:
            PlanError: a rendered argument breaks a rule.
        """
        dag, run = dag_and_run()
        given = {"endpoint_name": self.endpoint_name, "deployment_id": self.deployment_id}
        return Deployment.parse("", given | {"dag": dag, "run": run})

    @property
    def _safeguards(self) -> dict[str, Any]:
        return {
            "lease_s3_uri": self.lease_s3_uri,
            "expected_account_id": self.expected_account_id,
            "expected_region": self.expected_region,
        }

    @property
    def safeguards(self) -> Safeguards:
        """What must hold before anything is done, from the rendered arguments.

        Raises:
            PlanError: a rendered argument breaks a rule.
        """
        return Safeguards.parse("", self._safeguards)

    def check_place(self) -> None:
        """Make sure, where the arguments ask for it, that the connection leads to the right account and region.

        Raises:
            WrongAccountError: it leads elsewhere.
        """
        safeguards = self.safeguards
        if safeguards.expected_account_id or safeguards.expected_region:
            account = self.hook.retrying(lambda: self.hook.account_id) if safeguards.expected_account_id else ""
            safeguards.check_place(account, self.hook.sagemaker.meta.region_name)

    def keep_lease(self, until: datetime | None = None) -> None:
        """Make sure that no other deployment has the endpoint, and renew the lease; without a lease, do nothing.

        Every change of the endpoint comes after this.

        Args:
            until: when this deployment's next step comes at the latest; by default now. The lease ends an hour later.

        Raises:
            LeaseLostError: another deployment has the endpoint: nothing may be changed any more.
            LeaseContestedError: another deployment is about to take it; may pass.
        """
        place = self.safeguards.lease_s3_uri
        if place is not None:
            lease_keeper(self.hook, place, self.deployment).keep((until or datetime.now(tz=UTC)) + SLACK)


class DeploymentOperator(DeploymentArguments, AwsBaseOperator[SageMakerShadowHook]):
    """Base of all operators of a deployment.

    Args:
        endpoint_name: the endpoint.
        deployment_id: tells this deployment from others on the same endpoint. By default DAG and run.
        lease_s3_uri: prefix of the lease that keeps other deployments off the endpoint, as
            ``SageMakerShadowHoldEndpointOperator`` returned it; the task then refuses to go on when another deployment
            has the endpoint. None for no lease: compare-and-set still stops what would overwrite a foreign change.
        expected_account_id: fail, before anything is done, unless the connection leads to this AWS account.
        expected_region: the same for the AWS region.
        kwargs: as in every operator of the amazon provider: ``aws_conn_id`` (must exist; None takes the machine's own
            credentials on purpose), ``region_name``, ``verify``, ``botocore_config``.
    """

    aws_hook_class = SageMakerShadowHook
    template_fields: Sequence[str] = aws_template_fields(*DEPLOYMENT_FIELDS)
    operator_extra_links: tuple[BaseAwsLink, ...] = (SageMakerShadowEndpointLink(),)
    ui_color = "#e8f0fe"
    renews_lease_at_start = True
    """Whether the step begins with the renewal of its lease; otherwise it says itself when it needs it."""

    def __init__(
        self,
        *,
        endpoint_name: str,
        deployment_id: str = DEFAULT_DEPLOYMENT_ID,
        lease_s3_uri: str | None = None,
        expected_account_id: str | None = None,
        expected_region: str | None = None,
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

    def execute(self, context: Context) -> Any:
        """Run the step; errors that no retry can mend fail the task for good."""
        with final_errors():
            SageMakerShadowEndpointLink.remember(context, self, self.deployment.endpoint_name)
            self.check_place()
            if self.renews_lease_at_start:
                self.keep_lease()
            return self.run_step(context)

    @abc.abstractmethod
    def run_step(self, context: Context) -> Any:
        """Do the work; subclasses override this instead of ``execute``."""
