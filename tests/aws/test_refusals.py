"""What a task, a sensor and a wait say when AWS refuses or cannot be reached: by real calls of a local AWS."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk.bases.operator import ExecutorSafeguard
from botocore.exceptions import ClientError
from tenacity import wait_fixed

from shadow_provider.hooks import sagemaker_shadow, shared
from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.local.faults import ApiFault
from shadow_provider.operators.endpoint import SageMakerShadowEndpointOperator
from shadow_provider.operators.model import SageMakerShadowModelOperator
from shadow_provider.operators.rollback import SageMakerShadowRollbackOperator
from shadow_provider.plan.errors import AwsUnavailableError
from shadow_provider.sensors.endpoint import SageMakerShadowEndpointSensor
from shadow_provider.sensors.evidence import SageMakerShadowEvidenceSensor
from shadow_provider.triggers.endpoint import SageMakerShadowEndpointTrigger

ROLE = "arn:aws:iam::123456789012:role/execution"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:1.5"
ONCE = {"retries": {"total_max_attempts": 1}}
DENIED = "User: arn:aws:iam::123456789012:user/x is not authorized to perform: sagemaker:DescribeEndpoint"


class TaskInstance:
    def xcom_push(self, key: str, value: Any) -> None:
        """Links are of no interest here."""


@pytest.fixture(scope="module", autouse=True)
def machine(local_aws: Any) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in local_aws.address.environment.items():
            patch.setenv(name, value)
        patch.setattr(sagemaker_shadow, "wait_random_exponential", lambda **_: wait_fixed(0.02))
        patch.setattr(sagemaker_shadow, "_RETRY_SECONDS", 0.3)
        patch.setattr(shared, "_hooks", {})
        patch.setattr(ExecutorSafeguard, "test_mode", True)
        yield


@pytest.fixture
def run(unique: Callable[[str], str]) -> Callable[..., Any]:
    def execute(cls: Any, **arguments: Any) -> Any:
        common = {"endpoint_name": "refused", "deployment_id": "dag/run", "aws_conn_id": None, "botocore_config": ONCE}
        operator = cls(task_id=unique("task"), **common | arguments)
        return operator.execute({"ti": TaskInstance()})

    return execute


def test_model_data_that_cannot_be_read_names_the_object_and_the_role(run: Any, cloud: Any) -> None:
    url = f"s3://{cloud.bucket}/nothing.tar.gz"
    with pytest.raises(AirflowFailException) as caught:
        run(
            SageMakerShadowModelOperator,
            side="shadow",
            container={"image": IMAGE, "model_data_url": url},
            execution_role_arn=ROLE,
        )
    told = str(caught.value)
    assert told.startswith("AWS refused CreateModel of model 'refused-candidate-")
    assert "ValidationException: Could not access model data at s3://" in told
    assert f"See that {url} exists, that its bucket is in the endpoint's region, and that the execution role" in told


@pytest.mark.parametrize(
    "cls",
    [
        SageMakerShadowEndpointOperator,
        SageMakerShadowRollbackOperator,
        SageMakerShadowEndpointSensor,
        SageMakerShadowEvidenceSensor,
    ],
)
@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("throttle", "ThrottlingException: Rate exceeded"),
        ("server_error", "InternalFailure"),
        ("reset_before", "ConnectionClosedError: "),
        ("expired_token", "ExpiredTokenException: "),
    ],
)
def test_what_lasts_is_left_to_airflow_with_its_cause(
    run: Any, local_aws: Any, cls: Any, kind: Any, cause: str
) -> None:
    with local_aws.fault(ApiFault(service="sagemaker", kind=kind)) as fault:
        with pytest.raises(AwsUnavailableError) as told:
            run(cls)
        assert fault.fired > 1, "it is asked again before the task gives up"
    assert str(told.value).startswith("AWS did not carry out Describe")
    assert cause in str(told.value)
    assert "'refused" in str(told.value)


@pytest.mark.parametrize(
    "cls", [SageMakerShadowRollbackOperator, SageMakerShadowEndpointSensor, SageMakerShadowEvidenceSensor]
)
def test_a_missing_permission_is_final_in_operators_and_sensors(run: Any, monkeypatch: Any, cls: Any) -> None:
    def refuse(self: SageMakerShadowHook, *_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": DENIED}}, "DescribeEndpointConfig")

    monkeypatch.setattr(SageMakerShadowHook, "endpoint_config", refuse)
    with pytest.raises(AirflowFailException, match="Allow sagemaker:DescribeEndpoint to the role of the Airflow conn"):
        run(cls)


def test_no_credentials_are_final_and_say_so(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AirflowFailException, match=r"NoCredentialsError: Unable to locate credentials.*aws_conn_id"):
        run(SageMakerShadowRollbackOperator)


# -- waits in the triggerer -------------------------------------------------------------------------------------------


def trigger(endpoint_name: str, **changes: Any) -> SageMakerShadowEndpointTrigger:
    deadline = datetime.now(tz=UTC) + timedelta(seconds=20)
    return SageMakerShadowEndpointTrigger(
        endpoint_name=endpoint_name,
        endpoint_config_name=None,
        deadline=deadline.isoformat(),
        poll_interval=0.02,
        aws_conn_id=None,
        botocore_config=ONCE,
        **changes,
    )


async def first_event(waiting: SageMakerShadowEndpointTrigger) -> Any:
    async for event in waiting.run():
        return event.payload
    raise AssertionError("no event")


@pytest.mark.parametrize("kind", ["throttle", "server_error", "reset_before", "expired_token"])
def test_a_wait_goes_on_through_faults_that_outlast_a_call(local_aws: Any, kind: Any) -> None:
    with local_aws.fault(ApiFault(operation="DescribeEndpoint", kind=kind, times=40)) as fault:
        event = asyncio.run(asyncio.wait_for(first_event(trigger("none")), 30))
        assert fault.fired == 40, "several looks have failed as a whole"
    assert event["status"] == "ended"


def test_a_wait_reads_the_connection_anew_when_its_session_expires(
    local_aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[SageMakerShadowHook] = []
    real = SageMakerShadowHook.__init__

    def count(self: SageMakerShadowHook, *args: Any, **kwargs: Any) -> None:
        made.append(self)
        real(self, *args, **kwargs)

    monkeypatch.setattr(SageMakerShadowHook, "__init__", count)
    monkeypatch.setattr(shared, "_hooks", {})
    with local_aws.fault(ApiFault(operation="DescribeEndpoint", kind="expired_token", times=40)):
        asyncio.run(asyncio.wait_for(first_event(trigger("none")), 30))
    assert len(made) > 1


def test_a_final_refusal_ends_the_wait_with_the_reason_that_the_task_reports(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: SageMakerShadowHook, *_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": DENIED}}, "DescribeEndpoint")

    with monkeypatch.context() as patch:
        patch.setattr(SageMakerShadowHook, "endpoint_state", refuse)
        event = asyncio.run(first_event(trigger("none")))
    assert event["status"] == "error"
    assert event["reason"].startswith("AWS refused DescribeEndpoint: AccessDeniedException: ")
    assert "Allow sagemaker:DescribeEndpoint to the role" in event["reason"]
