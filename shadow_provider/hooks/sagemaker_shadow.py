"""The AWS verbs of a shadow deployment. Each may be killed at any point and called again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from functools import cached_property
from typing import Any, TypeVar

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from botocore.exceptions import ClientError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from shadow_provider.hooks import aws_errors
from shadow_provider.hooks.asked import remember_what_is_asked
from shadow_provider.hooks.documents import DocumentVerbs
from shadow_provider.plan import tags as tagging
from shadow_provider.plan.deployment import Deployment
from shadow_provider.plan.endpoint_config import ShadowRun
from shadow_provider.plan.endpoint_state import EndpointState
from shadow_provider.plan.errors import EndpointBusyError, EndpointChangedError, EndpointFailedError, PlanError

Result = TypeVar("Result")

# How long a call is repeated against throttling, lost connections and AWS's eventual consistency (a config just made
# may be unknown to CreateEndpoint and UpdateEndpoint for a moment).
_RETRY_SECONDS = 60


@dataclass(frozen=True)
class Ensured:
    """A resource that now exists.

    Attributes:
        name: its name.
        arn: its ARN.
        created: whether this very call made it; otherwise it was there and was adopted.
    """

    name: str
    arn: str
    created: bool


class SageMakerShadowHook(DocumentVerbs, AwsBaseHook):
    """SageMaker, and what a shadow deployment needs of S3 and CloudWatch, through one Airflow connection.

    Args of ``AwsBaseHook`` hold: ``aws_conn_id``, ``region_name``, ``verify``, ``config``. Unlike its base, this hook
    refuses a connection id that does not exist: falling back to ambient credentials could deploy to another account.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["client_type"] = "sagemaker"
        super().__init__(*args, **kwargs)

    @cached_property
    def conn_config(self) -> Any:
        """The connection, wrapped by the amazon provider.

        Raises:
            PlanError: there is no connection of that id.
        """
        if self.aws_conn_id:
            try:
                self.get_connection(self.aws_conn_id)
            except AirflowNotFoundException:
                raise PlanError(
                    f"aws_conn_id={self.aws_conn_id!r}: Airflow has no such connection. Create it, or give None to use "
                    "the credentials of the machine on purpose."
                ) from None
        return super().conn_config

    @cached_property
    def sagemaker(self) -> Any:
        """The boto3 client of SageMaker; thread-safe, as every boto3 client."""
        return remember_what_is_asked(self.get_conn())

    @cached_property
    def s3(self) -> Any:
        """The boto3 client of S3 through the same connection."""
        return self.sibling("s3")

    @cached_property
    def cloudwatch(self) -> Any:
        """The boto3 client of CloudWatch through the same connection."""
        return self.sibling("cloudwatch")

    @cached_property
    def autoscaling(self) -> Any:
        """The boto3 client of Application Auto Scaling through the same connection."""
        return self.sibling("application-autoscaling")

    def sibling(self, service: str) -> Any:
        """Return the boto3 client of another service through the same connection."""
        hook = AwsBaseHook(
            aws_conn_id=self.aws_conn_id,
            client_type=service,
            region_name=self._region_name,
            verify=self._verify,
            config=self._config,
        )
        return remember_what_is_asked(hook.get_conn())

    # -- reading ------------------------------------------------------------------------------------------------------

    def endpoint_state(self, endpoint_name: str) -> EndpointState | None:
        """Describe an endpoint; None if there is none of that name."""
        found = self._describe(lambda: self.sagemaker.describe_endpoint(EndpointName=endpoint_name))
        return EndpointState.of(found) if found else None

    def endpoint_config(self, name: str) -> dict[str, Any] | None:
        """Describe an endpoint config; None if there is none of that name."""
        return self._describe(lambda: self.sagemaker.describe_endpoint_config(EndpointConfigName=name))

    def model(self, name: str) -> dict[str, Any] | None:
        """Describe a model; None if there is none of that name."""
        return self._describe(lambda: self.sagemaker.describe_model(ModelName=name))

    def tags(self, arn: str) -> dict[str, str]:
        """Return all tags of a resource."""
        pages = self.sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
        return self.retrying(lambda: {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]})

    def way_back(self, deployment: Deployment) -> str | None:
        """Return the name of the baseline config of a deployment, from the tags of the configs that it made.

        Returns:
            None where the deployment has made no config yet, so cannot have touched the endpoint.
        """
        for name in (deployment.names.shadow_config, deployment.names.promoted_config):
            config = self.endpoint_config(name)
            if config is None:
                continue
            tags = self.tags(config["EndpointConfigArn"])
            if deployment.owns(tags) and tags.get(tagging.BASELINE_CONFIG):
                return tags[tagging.BASELINE_CONFIG]
        return None

    def shadow_run(self, deployment: Deployment) -> ShadowRun:
        """Read the shadow config of a deployment.

        Raises:
            PlanError: there is none.
        """
        name = deployment.names.shadow_config
        config = self.endpoint_config(name)
        if config is None:
            raise PlanError(
                f"deployment_id={deployment.deployment_id!r}: its shadow config {name} does not exist. "
                "SageMakerShadowEndpointConfigOperator makes it and must run before."
            )
        return ShadowRun.of(config)

    def _describe(self, call: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        try:
            return self.retrying(call)
        except ClientError as error:
            if aws_errors.is_not_found(error):
                return None
            raise

    # -- making -------------------------------------------------------------------------------------------------------

    def ensure_model(self, request: Mapping[str, Any]) -> Ensured:
        """Make a model, or adopt the one that an earlier try of the same deployment made.

        Args:
            request: CreateModel, with the deployment's tags.

        Raises:
            ForeignResourceError: a model of that name exists and is not ours, or has other content.
        """
        name = request["ModelName"]
        return self._ensure(
            "model",
            name,
            request,
            describe=lambda: self.model(name),
            arn_key="ModelArn",
            create=self.sagemaker.create_model,
        )

    def ensure_endpoint_config(self, request: Mapping[str, Any]) -> Ensured:
        """Make an endpoint config, or adopt the one that an earlier try of the same deployment made.

        Args:
            request: CreateEndpointConfig, with the deployment's tags.

        Raises:
            ForeignResourceError: a config of that name exists and is not ours, or was asked for otherwise.
        """
        name = request["EndpointConfigName"]
        return self._ensure(
            "endpoint config",
            name,
            request,
            describe=lambda: self.endpoint_config(name),
            arn_key="EndpointConfigArn",
            create=self.sagemaker.create_endpoint_config,
        )

    def _ensure(
        self,
        kind: str,
        name: str,
        request: Mapping[str, Any],
        *,
        describe: Callable[[], dict[str, Any] | None],
        arn_key: str,
        create: Callable[..., dict[str, Any]],
    ) -> Ensured:
        wanted = tagging.from_aws(request["Tags"])
        found = describe()
        if found is None:
            try:
                response = self.retrying(lambda: create(**request))
            except ClientError as error:
                # A call that timed out on our side may have been carried out: then it is there now.
                if not aws_errors.is_already_existing(error) or (found := describe()) is None:
                    raise
            else:
                self.log.info("Created %s %s", kind, name)
                return Ensured(name, response[arn_key], created=True)
        tagging.check_adoptable(kind, name, self.tags(found[arn_key]), wanted)
        self.log.info("Adopted %s %s, which this deployment made before", kind, name)
        return Ensured(name, found[arn_key], created=False)

    # -- changing the endpoint ----------------------------------------------------------------------------------------

    def create_endpoint(self, endpoint_name: str, config_name: str, tags: Mapping[str, str]) -> None:
        """Begin to create an endpoint, unless it exists and serves or is getting ``config_name`` already.

        Raises:
            EndpointChangedError: an endpoint of that name is there with another config.
            EndpointFailedError: it is there and failed.
        """
        state = self.endpoint_state(endpoint_name)
        if state is None:
            try:
                self.retrying(
                    lambda: self.sagemaker.create_endpoint(
                        EndpointName=endpoint_name, EndpointConfigName=config_name, Tags=tagging.to_aws(tags)
                    ),
                    also=aws_errors.is_not_found,
                )
            except ClientError as error:
                if not aws_errors.is_already_existing(error):
                    raise
            else:
                self.log.info("Creating endpoint %s with config %s", endpoint_name, config_name)
                return
        self._check_under_way_or_done(endpoint_name, config_name)

    def _check_under_way_or_done(self, endpoint_name: str, config_name: str) -> None:
        state = self.endpoint_state(endpoint_name)
        if state is None:
            raise EndpointBusyError(f"Endpoint {endpoint_name} was refused as existing, yet cannot be found; try again")
        if config_name not in (state.active_config, state.pending_config):
            raise EndpointChangedError(f"Endpoint {endpoint_name} exists already: {state.summary()}. Left alone.")
        if state.status == "Failed":
            raise EndpointFailedError(f"Endpoint {endpoint_name} was made with {config_name} and failed: "
                                      f"{state.summary()}")  # fmt: skip
        self.log.info("Endpoint %s is already ours: %s", endpoint_name, state.summary())

    def update_endpoint(
        self,
        endpoint_name: str,
        config_name: str,
        *,
        expected: frozenset[str],
        keep_instance_counts: bool = False,
        prepare: Callable[[EndpointState], None] | None = None,
        deployment_config: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin to change an endpoint to ``config_name`` by compare-and-set.

        Nothing is done where the endpoint serves ``config_name`` already, or is changing to it.

        Args:
            endpoint_name: the endpoint.
            config_name: the config to change to.
            expected: names of the configs that may be active now.
            keep_instance_counts: keep the present number of instances of variants of the same name, instead of the
                config's (AWS: RetainAllVariantProperties; the weight is left to the config).
            prepare: done with the present state when every check has passed, just before AWS is asked; must be
                idempotent.
            deployment_config: AWS's ``DeploymentConfig`` of a guarded update; None moves all traffic at once.

        Raises:
            EndpointChangedError: another config is active, or the endpoint does not exist.
            EndpointBusyError: another change is under way; may pass.
            EndpointFailedError: the endpoint is in a state from which AWS takes no update.
        """
        state = self.endpoint_state(endpoint_name)
        if state is None:
            raise EndpointChangedError(f"Endpoint {endpoint_name} does not exist (any more)")
        # AWS need not say what is pending while it creates: then the active config is the one being created.
        created_with = state.active_config if state.status == "Creating" and state.pending_config is None else None
        if state.serves(config_name) or config_name in {state.pending_config, created_with}:
            self.log.info("Nothing to update: endpoint %s is %s", endpoint_name, state.summary())
            return
        if state.in_progress:
            raise EndpointBusyError(f"Endpoint {endpoint_name} is busy: {state.summary()}. Wait for it, then try again")
        if state.status in {"Failed", "OutOfService"}:
            raise EndpointFailedError(f"Endpoint {endpoint_name} cannot be updated: {state.summary()}")
        if state.active_config not in expected | {config_name}:
            raise EndpointChangedError(
                f"Endpoint {endpoint_name} is {state.summary()}, where this deployment expects "
                f"{' or '.join(sorted(expected))}: somebody else changed it. Left alone."
            )
        request: dict[str, Any] = {"EndpointName": endpoint_name, "EndpointConfigName": config_name}
        if keep_instance_counts:
            request["RetainAllVariantProperties"] = True
            request["ExcludeRetainedVariantProperties"] = [{"VariantPropertyType": "DesiredWeight"}]
        if deployment_config is not None:
            request["DeploymentConfig"] = dict(deployment_config)
        if prepare is not None:
            prepare(state)
        self._submit_update(request)

    def remember_update(self, config_arn: str, state: EndpointState) -> None:
        """Write into a config's tags, just before the update to it, when the endpoint had changed last until then."""
        tags = tagging.to_aws({tagging.ASKED_SINCE: state.last_modified.astimezone(UTC).isoformat()})
        self.retrying(lambda: self.sagemaker.add_tags(ResourceArn=config_arn, Tags=tags))

    def _submit_update(self, request: dict[str, Any]) -> None:
        try:
            self.retrying(lambda: self.sagemaker.update_endpoint(**request), also=aws_errors.is_not_found)
        except ClientError as error:
            if not aws_errors.is_in_progress(error):
                raise
            # Either our own call, repeated after a lost answer, or somebody else's: the endpoint tells.
            state = self.endpoint_state(request["EndpointName"])
            if state is None or state.pending_config != request["EndpointConfigName"]:
                raise EndpointBusyError(
                    f"Endpoint {request['EndpointName']} is busy: {state.summary() if state else 'gone'}"
                ) from error
        self.log.info("Updating endpoint %s to config %s", request["EndpointName"], request["EndpointConfigName"])

    # -- deleting -----------------------------------------------------------------------------------------------------

    def delete_endpoint(self, endpoint_name: str) -> None:
        """Begin to delete an endpoint; it is fine if it is gone."""
        self._delete(lambda: self.sagemaker.delete_endpoint(EndpointName=endpoint_name), "endpoint", endpoint_name)

    def delete_endpoint_config(self, name: str) -> None:
        """Delete an endpoint config; it is fine if it is gone."""
        self._delete(lambda: self.sagemaker.delete_endpoint_config(EndpointConfigName=name), "endpoint config", name)

    def delete_model(self, name: str) -> None:
        """Delete a model; it is fine if it is gone."""
        self._delete(lambda: self.sagemaker.delete_model(ModelName=name), "model", name)

    def _delete(self, call: Callable[[], Any], kind: str, name: str) -> None:
        try:
            self.retrying(call)
        except ClientError as error:
            if not aws_errors.is_not_found(error):
                raise
            self.log.info("The %s %s is gone already", kind, name)
        else:
            self.log.info("Deleted %s %s", kind, name)

    # -- repeating ----------------------------------------------------------------------------------------------------

    def retrying(self, call: Callable[[], Result], *, also: Callable[[ClientError], bool] | None = None) -> Result:
        """Repeat a call while it may pass, with jitter, for a bounded time."""

        def may_pass(error: BaseException) -> bool:
            return aws_errors.is_transient(error) or (
                also is not None and isinstance(error, ClientError) and also(error)
            )

        retrying = Retrying(
            retry=retry_if_exception(may_pass),
            wait=wait_random_exponential(multiplier=0.5, max=10),
            stop=stop_after_delay(_RETRY_SECONDS),
            before_sleep=_say_why,
            reraise=True,
        )
        return retrying(call)


def _say_why(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    assert error is not None  # only what has failed is repeated
    logging.getLogger(__name__).warning(
        "Asking again (try %d), for AWS did not carry out %s", state.attempt_number + 1, aws_errors.cause(error)
    )
