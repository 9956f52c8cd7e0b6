"""A mistyped connection fails everywhere: falling back to the machine's credentials could deploy to another account."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import pkgutil
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import BaseOperator
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse

from shadow_provider import operators, sensors, triggers
from shadow_provider.triggers.base import PollingTrigger

TYPO = "aws_defualt"
REFUSAL = f"aws_conn_id={TYPO!r}: Airflow has no such connection."
# What each needs beside endpoint, deployment and connection.
NEEDS: dict[str, dict[str, Any]] = {
    "SageMakerShadowAutoscalingOperator": {
        "shadow_autoscaling": {"min_capacity": 1, "max_capacity": 2, "invocations_per_instance": 100.0}
    },
    "SageMakerShadowConcludeOperator": {"decision": {"verdict": "REJECT"}, "baseline_config_name": "b"},
    "SageMakerShadowEndpointConfigOperator": {"candidate_model_name": "m"},
    "SageMakerShadowModelOperator": {"side": "shadow", "model_name": "m"},
    "SageMakerShadowPromoteOperator": {"verdict": "PROMOTE"},
    "SageMakerShadowLeaseTrigger": {"lease_s3_uri": "s3://bucket/leases", "deployment_id": "d"},
    "SageMakerShadowEndpointTrigger": {"endpoint_config_name": "c"},
    "SageMakerShadowEvidenceTrigger": {
        "shadow_variant_name": "s",
        "since": "2026-01-01T00:00:00+00:00",
        "minimum_requests": 1,
        "not_before": "2026-01-01T00:00:00+00:00",
    },
}

OF_NO_DEPLOYMENT = {"SageMakerShadowOrphansOperator"}


def classes(package: Any, base: type) -> list[type]:
    """Everything of a package that can be instantiated and is a ``base``."""
    found: set[type] = set()
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for each in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(each) and issubclass(each, base) and each.__name__.startswith("SageMakerShadow"):
                found.add(each)
    return sorted(found, key=lambda cls: cls.__name__)


TASKS = [*classes(operators, BaseOperator), *classes(sensors, BaseOperator)]
# A trigger that asks AWS nothing has no connection.
TRIGGERS = classes(triggers, PollingTrigger)


@pytest.fixture(autouse=True)
def no_such_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    class Supervisor:
        """Airflow's own answer in a task: beyond the environment, there are no connections."""

        def send(self, msg: Any) -> ErrorResponse:
            return ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND, detail={"conn_id": msg.conn_id})

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(), raising=False)
    monkeypatch.setattr(ExecutorSafeguard, "test_mode", True)
    # They are there, and must not be used.
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ambient")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ambient")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


def test_there_is_something_of_each_kind() -> None:
    assert {"SageMakerShadowRollbackOperator", "SageMakerShadowEvidenceSensor"} <= {cls.__name__ for cls in TASKS}
    assert len(TRIGGERS) >= 2


@pytest.mark.parametrize("cls", TASKS, ids=lambda cls: cls.__name__)
def test_a_task_with_a_mistyped_connection_fails_for_good(cls: Any) -> None:
    of_a_deployment = {} if cls.__name__ in OF_NO_DEPLOYMENT else {"deployment_id": "d"}
    needs = of_a_deployment | NEEDS.get(cls.__name__, {})
    task = cls(task_id="task", endpoint_name="fraud", aws_conn_id=TYPO, **needs)
    with pytest.raises(AirflowFailException) as caught:
        task.execute({})
    assert str(caught.value).startswith(REFUSAL)


@pytest.mark.parametrize("cls", TRIGGERS, ids=lambda cls: cls.__name__)
def test_a_wait_with_a_mistyped_connection_ends_and_says_so(cls: Any) -> None:
    trigger = cls(
        endpoint_name="fraud",
        deadline=(datetime.now(tz=UTC) + timedelta(seconds=30)).isoformat(),
        poll_interval=0.01,
        aws_conn_id=TYPO,
        **NEEDS.get(cls.__name__, {}),
    )

    async def first() -> Any:
        async for event in trigger.run():
            return event.payload
        raise AssertionError("no event")

    event = asyncio.run(asyncio.wait_for(first(), 20))
    assert event["status"] == "error"
    assert event["reason"].startswith(REFUSAL)
