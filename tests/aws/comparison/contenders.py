"""The amazon provider's operator and sensor, and ours, run as Airflow runs them but without its scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.sagemaker import SageMakerHook
from airflow.providers.amazon.aws.operators.sagemaker import SageMakerEndpointOperator
from airflow.providers.amazon.aws.sensors.sagemaker import SageMakerEndpointSensor
from airflow.providers.common.compat.sdk import TaskDeferred
from botocore.exceptions import WaiterError

from shadow_provider.operators.endpoint import SageMakerShadowEndpointOperator
from shadow_provider.operators.endpoint_config import SageMakerShadowEndpointConfigOperator
from shadow_provider.operators.waiting import ConfigChangeOperator, EndpointWait
from shadow_provider.plan.deployment import Deployment
from shadow_provider.sensors.endpoint import SageMakerShadowEndpointSensor
from tests.aws.comparison.outcomes import Outcome, failure
from tests.aws.comparison.scenarios import Stage

POLL = 0.05
# More than any change here takes, so that whoever polls on polls for what has ended.
PATIENCE = 40
ONCE = {"retries": {"total_max_attempts": 1}}


class Killed(BaseException):
    """The worker is gone; nothing in the task may catch it."""


class TaskInstance:
    """As much of a task instance as the operators use."""

    def xcom_push(self, key: str, value: Any) -> None:
        """Links are of no interest here."""


def _killed(cls: type, waits_by: str, run: Callable[[], Any]) -> None:
    """Run a try that is killed as it begins to wait; one that defers then has left its process anyway."""

    def die(*_: Any, **__: Any) -> Any:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cls, waits_by, die)
        with pytest.raises((Killed, TaskDeferred)):
            run()


async def first_event(trigger: Any) -> Any:
    """The payload of a trigger's first event."""
    async for event in trigger.run():
        return event.payload
    raise AssertionError("no event")


class _AsyncWaiter:
    """boto3's waiter behind the face of aiobotocore's, which is not installed: the same model, the same answers."""

    def __init__(self, waiter: Any) -> None:
        self._waiter = waiter

    async def wait(self, **arguments: Any) -> None:
        self._waiter.wait(**arguments)


class _AsyncClient:
    def __init__(self, client: Any) -> None:
        self._client = client
        self.waiter_names = client.waiter_names

    def get_waiter(self, name: str) -> _AsyncWaiter:
        return _AsyncWaiter(self._client.get_waiter(name))


async def _connect(hook: SageMakerHook) -> Any:
    @asynccontextmanager
    async def connected() -> Any:
        yield _AsyncClient(hook.get_conn())

    return connected()


def _to_its_end(stage: Stage, run: Callable[[], Any]) -> Outcome:
    error: Exception | None = None
    try:
        run()
    except Exception as raised:
        error = raised
    stage.let_go()
    if error is None:
        return Outcome("success", "", **stage.state)
    if isinstance(error, AttemptsUsedUpError) or (isinstance(error, WaiterError) and "Max attempts" in str(error)):
        return Outcome("waiting", "", **stage.state)
    return failure(error, stage.names, stage.state)


class AttemptsUsedUpError(Exception):
    """The trigger's attempts were used up."""


# -- the amazon provider ----------------------------------------------------------------------------------------------


def amazon_operator(stage: Stage, *, deferrable: bool) -> Outcome:
    """SageMakerEndpointOperator."""

    def operator() -> SageMakerEndpointOperator:
        return SageMakerEndpointOperator(
            task_id="deploy",
            config={"EndpointName": stage.endpoint, "EndpointConfigName": stage.new},
            operation=stage.scenario.operation,
            check_interval=POLL,  # type: ignore[arg-type]  # whole seconds would be waited for here
            max_ingestion_time=PATIENCE,
            deferrable=deferrable,
            aws_conn_id=None,
            botocore_config=ONCE,
        )

    def attempt() -> None:
        made = operator()
        try:
            made.execute({})
            return
        except TaskDeferred as left:
            trigger: Any = left.trigger
        trigger.attempts = PATIENCE
        event = asyncio.run(first_event(trigger))
        if event["status"] == "timeout":
            raise AttemptsUsedUpError
        made.execute_complete({}, event)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SageMakerHook, "get_async_conn", _connect)
        if stage.scenario.killed:
            _killed(SageMakerHook, "get_waiter", lambda: operator().execute({}))
        return _to_its_end(stage, attempt)


def amazon_sensor(stage: Stage) -> Outcome:
    """SageMakerEndpointSensor, after somebody began the change."""
    _change(stage, stage.new)

    def poke_until_done() -> None:
        sensor = SageMakerEndpointSensor(
            task_id="wait", endpoint_name=stage.endpoint, aws_conn_id=None, botocore_config=ONCE
        )
        while not sensor.poke({}):
            pass

    return _to_its_end(stage, poke_until_done)


def _change(stage: Stage, config: str) -> None:
    change = stage.cloud.sagemaker.update_endpoint if stage.scenario.live else stage.cloud.sagemaker.create_endpoint
    change(EndpointName=stage.endpoint, EndpointConfigName=config)


# -- ours -------------------------------------------------------------------------------------------------------------


def shadow_operator(stage: Stage, *, deferrable: bool) -> Outcome:
    """SageMakerShadowEndpointConfigOperator and SageMakerShadowEndpointOperator."""
    common: Mapping[str, Any] = {
        "endpoint_name": stage.endpoint,
        "deployment_id": "comparison",
        "aws_conn_id": None,
        "botocore_config": ONCE,
    }
    context: Any = {"ti": TaskInstance()}
    stage.new = Deployment(endpoint_name=stage.endpoint, deployment_id="comparison").names.shadow_config
    new = not stage.scenario.live or stage.scenario.operation == "create"

    def configure() -> None:
        SageMakerShadowEndpointConfigOperator(
            task_id="config",
            candidate_model_name=stage.candidate,
            production_model_name=stage.incumbent if new else None,
            production_variant={"instance_type": "ml.m5.xlarge"} if new else None,
            data_capture={"destination_s3_uri": f"s3://{stage.cloud.bucket}/comparison"},
            **common,
        ).execute(context)

    def operator() -> SageMakerShadowEndpointOperator:
        return SageMakerShadowEndpointOperator(
            task_id="deploy", deferrable=deferrable, poll_interval=POLL, timeout=30, **common
        )

    def attempt() -> None:
        configure()
        deferred: TaskDeferred | None = None
        try:
            operator().execute(context)
        except TaskDeferred as left:
            deferred = left
        if deferred is not None:
            event = asyncio.run(first_event(deferred.trigger))
            operator().execute_complete(context, event)

    with pytest.MonkeyPatch.context() as patch:
        if stage.scenario.killed:
            configure()
            _killed(ConfigChangeOperator, "wait_then_finish", lambda: operator().execute(context))
            patch.setattr(EndpointWait, "look", _letting_go_after(EndpointWait.look, stage))
        return _to_its_end(stage, attempt)


def _letting_go_after(look: Callable[..., Any], stage: Stage) -> Callable[..., Any]:
    def looked(*args: Any, **kwargs: Any) -> Any:
        found = look(*args, **kwargs)
        stage.let_go()
        return found

    return looked


def shadow_sensor(stage: Stage) -> Outcome:
    """SageMakerShadowEndpointSensor, after somebody began the change."""
    _change(stage, stage.new)
    sensor = SageMakerShadowEndpointSensor(
        task_id="wait",
        endpoint_name=stage.endpoint,
        endpoint_config_name=stage.new,
        deployment_id="comparison",
        poll_interval=POLL,
        timeout=30,
        aws_conn_id=None,
        botocore_config=ONCE,
    )
    context: Any = {"ti": TaskInstance()}
    return _to_its_end(stage, lambda: sensor.execute(context))


CONTENDERS: Mapping[str, Callable[[Stage], Outcome]] = {
    "SageMakerEndpointOperator": lambda stage: amazon_operator(stage, deferrable=False),
    "SageMakerEndpointOperator, deferrable": lambda stage: amazon_operator(stage, deferrable=True),
    "SageMakerEndpointSensor": amazon_sensor,
    "SageMakerShadowEndpointOperator": lambda stage: shadow_operator(stage, deferrable=False),
    "SageMakerShadowEndpointOperator, deferrable": lambda stage: shadow_operator(stage, deferrable=True),
    "SageMakerShadowEndpointSensor": shadow_sensor,
}
