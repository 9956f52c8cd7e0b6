"""What a kill that is announced does to a task: nothing in AWS; and, where that is asked for, the end of its wait."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk import BaseOperator, BaseSensorOperator

import shadow_provider.operators
import shadow_provider.sensors
from shadow_provider.operators.endpoint import SageMakerShadowEndpointOperator
from shadow_provider.operators.waiting import ConfigChangeOperator
from shadow_provider.plan.endpoint_state import EndpointState
from shadow_provider.plan.errors import WaitCancelledError

UPDATING = EndpointState(
    name="fraud",
    arn="arn",
    status="Updating",
    active_config="old",
    pending_config="new",
    failure_reason="",
    production=(),
    shadows=(),
    last_modified=datetime(2026, 1, 1, tzinfo=UTC),
)
POLL_SECONDS = 20.0


def operators() -> list[type[BaseOperator]]:
    """Every operator and sensor of ours."""
    found: set[type[BaseOperator]] = set()
    for package in (shadow_provider.operators, shadow_provider.sensors):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            members = vars(importlib.import_module(module.name)).values()
            found |= {each for each in members if inspect.isclass(each) and issubclass(each, BaseOperator)}
    return sorted(
        (each for each in found if each.__module__.startswith("shadow_provider")), key=lambda cls: cls.__name__
    )


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., SageMakerShadowEndpointOperator]]:
    """An operator that is told to end as Airflow's task runner tells it."""
    before = signal.getsignal(signal.SIGTERM)

    def made(**arguments: Any) -> SageMakerShadowEndpointOperator:
        operator = SageMakerShadowEndpointOperator(
            task_id="task",
            endpoint_name="fraud",
            deployment_id="d",
            poll_interval=POLL_SECONDS,
            timeout=60,
            **arguments,
        )
        signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
        return operator

    yield made
    signal.signal(signal.SIGTERM, before)


def looks(monkeypatch: pytest.MonkeyPatch, *answers: bool) -> list[bool]:
    """The endpoint's wait ends at the first true answer; what was not asked for yet is left."""
    left = list(answers)
    monkeypatch.setattr(ConfigChangeOperator, "look", lambda *_: (left.pop(0), UPDATING))
    monkeypatch.setattr(SageMakerShadowEndpointOperator, "finish", lambda *_: "finished")
    return left


def kill_soon() -> None:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_cancelled_wait_ends_at_once_and_for_good(
    make: Any, monkeypatch: pytest.MonkeyPatch, deferrable: bool
) -> None:
    operator = make(cancel_on_kill=True, deferrable=deferrable)
    looks(monkeypatch, False, False)
    began = time.monotonic()
    if deferrable:
        operator.on_kill()  # just before it would have left for the triggerer
    else:
        kill_soon()
    with pytest.raises(WaitCancelledError) as caught:
        operator.wait_then_finish({}, "new")
    assert time.monotonic() - began < 4, "Airflow waits five seconds before it kills the process"
    assert str(caught.value) == (
        "Endpoint fraud: the task was killed while it waited for new, and cancel_on_kill=True: it is not tried again. "
        "The endpoint is Updating on old, changing to new; SageMaker cannot cancel an update. "
        "SageMakerShadowRollbackOperator waits for it and brings the baseline back."
    )


def test_a_kill_that_comes_when_the_change_is_done_cancels_nothing(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = make(cancel_on_kill=True)
    looks(monkeypatch, True)
    operator.on_kill()
    assert operator.wait_then_finish({}, "new") == "finished"


def test_by_default_a_killed_task_goes_on_waiting(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = make()
    operator.poll_interval = 1.0
    left = looks(monkeypatch, False, False, True)
    kill_soon()
    assert operator.wait_then_finish({}, "new") == "finished"
    assert left == []


@pytest.mark.parametrize("cls", operators(), ids=lambda cls: cls.__name__)
def test_no_operator_does_anything_in_aws_when_it_is_killed(cls: Any) -> None:
    assert cls.on_kill in (BaseOperator.on_kill, BaseSensorOperator.on_kill, ConfigChangeOperator.on_kill)


def test_a_kill_does_not_even_ask_aws(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = make(cancel_on_kill=True)

    def asked(_: Any) -> Any:
        raise AssertionError("the hook was asked for")

    monkeypatch.setattr(SageMakerShadowEndpointOperator, "hook", property(asked))
    operator.on_kill()


def test_every_operator_of_ours_is_found() -> None:
    assert {"SageMakerShadowRollbackOperator", "SageMakerShadowEvidenceSensor"} <= {cls.__name__ for cls in operators()}
