"""The wait for evidence against the local AWS, with metrics that are put where SageMaker puts them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, TaskDeferred

from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.plan.endpoint_config import ShadowRun
from shadow_provider.plan.errors import PlanError
from shadow_provider.policy.gates import Agreement
from shadow_provider.policy.policy import Policy
from shadow_provider.sensors.evidence import FIRST_LOOK_PAIRS, SageMakerShadowEvidenceSensor
from shadow_provider.triggers.evidence import SageMakerShadowEvidenceTrigger
from tests.aws.test_block_metrics import put, request_metrics
from tests.aws.test_operators import Flow, context, go_live, hook, machine, revived  # noqa: F401 - fixtures

POLICY = Policy(gates=(Agreement(minimum=0.9),), minimum_pairs=40, deadline_hours=5)


@pytest.fixture
def flow(cloud: Any, hook: SageMakerShadowHook, unique: Callable[[str], str]) -> Iterator[Flow]:  # noqa: F811
    """A deployment with its shadow config, which is all that the sensor needs besides metrics."""
    made = Flow(cloud, hook, unique("flow"))
    made.incumbent = cloud.model()
    cloud.endpoints.append(made.endpoint_name)
    go_live(made).config(made.make_candidate())
    yield made
    made.changes.end()


def requests(flow: Flow, number: int) -> None:
    put(flow.cloud, flow.endpoint_name, "Shadow", datetime.now(UTC), request_metrics([1000.0] * number, 0))


def sensor(flow: Flow, **arguments: Any) -> Any:
    given: dict[str, Any] = {"policy": POLICY, "deferrable": True, "production_guard": "off", **arguments}
    return flow.operator(SageMakerShadowEvidenceSensor, **given)


def deferred(flow: Flow, **arguments: Any) -> SageMakerShadowEvidenceTrigger:
    with pytest.raises(TaskDeferred) as caught:
        sensor(flow, **arguments).execute(context(flow.ti))
    assert caught.value.method_name == "execute_complete"
    trigger = revived(caught.value.trigger)
    assert isinstance(trigger, SageMakerShadowEvidenceTrigger)
    return trigger


def aged(flow: Flow, monkeypatch: Any, age: timedelta, **changes: Any) -> None:
    """Let the shadow config be so old."""
    described = flow.shadow_config()
    described["CreationTime"] = datetime.now(UTC) - age
    described["DataCaptureConfig"] |= changes
    run = ShadowRun.of(described)
    monkeypatch.setattr(flow.hook, "shadow_run", lambda deployment: run)


def test_enough_requests_end_the_wait_at_once(flow: Flow) -> None:
    requests(flow, 45)
    assert sensor(flow).execute(context(flow.ti)) == {"requests": 45, "minimum_requests": 40, "enough": True}


@pytest.mark.parametrize(
    ("pairs", "capture", "needed"),
    [(40, 100, 40), (40, 30, 134), (10_000, 100, FIRST_LOOK_PAIRS), (10_000, 50, 2 * FIRST_LOOK_PAIRS)],
)
def test_so_many_requests_are_waited_for_as_may_make_the_first_pairs(
    pairs: int, capture: int, needed: int, flow: Flow, monkeypatch: Any
) -> None:
    aged(flow, monkeypatch, timedelta(hours=1), InitialSamplingPercentage=capture)
    policy = POLICY.model_copy(update={"minimum_pairs": pairs})
    trigger = deferred(flow, policy=policy)
    assert trigger.minimum_requests == needed


def test_the_trigger_knows_all_that_the_sensor_knew(flow: Flow) -> None:
    requests(flow, 3)
    trigger = deferred(flow, minimum_duration=600, deadline=timedelta(hours=2), poll_interval=7)
    since = flow.hook.shadow_run(flow.deployment).since
    assert datetime.fromisoformat(trigger.since) == since
    assert datetime.fromisoformat(trigger.not_before) == since + timedelta(seconds=600)
    assert datetime.fromisoformat(trigger.deadline) == since + timedelta(hours=2)
    assert (trigger.endpoint_name, trigger.shadow_variant_name) == (flow.endpoint_name, "Shadow")
    assert trigger.poll_interval == 7


def test_without_another_deadline_the_policys_holds_and_ends_a_minimum_duration_too(flow: Flow) -> None:
    since = flow.hook.shadow_run(flow.deployment).since
    trigger = deferred(flow, minimum_duration=timedelta(days=3), deadline="None")
    end = since + timedelta(hours=5)
    assert datetime.fromisoformat(trigger.deadline) == datetime.fromisoformat(trigger.not_before) == end


def test_enough_requests_wait_for_the_minimum_duration(flow: Flow, monkeypatch: Any) -> None:
    requests(flow, 45)
    deferred(flow, minimum_duration=3600)
    aged(flow, monkeypatch, timedelta(seconds=3601))
    assert sensor(flow, minimum_duration=3600).execute(context(flow.ti))["enough"]


@pytest.mark.parametrize("number", [0, 3])
def test_at_the_deadline_the_wait_ends_in_order_without_enough(number: int, flow: Flow, monkeypatch: Any) -> None:
    if number:
        requests(flow, number)
    aged(flow, monkeypatch, timedelta(hours=5, seconds=1))
    # Nothing and no data are not the same.
    expected = {"requests": number or None, "minimum_requests": 40, "enough": False}
    assert sensor(flow).execute(context(flow.ti)) == expected


def test_after_the_trigger_fired_requests_are_counted_anew(flow: Flow) -> None:
    event = {"status": "ended", "requests": 1_000_000}
    with pytest.raises(AirflowException, match="Running the task again goes on waiting") as caught:
        sensor(flow).execute_complete(context(flow.ti), event=event)
    assert not isinstance(caught.value, AirflowFailException)
    requests(flow, 50)
    assert sensor(flow).execute_complete(context(flow.ti), event=event)["requests"] == 50


def test_a_sensor_that_does_not_defer_pokes(flow: Flow) -> None:
    waiting = sensor(flow, deferrable=False, mode="reschedule")
    assert not waiting.poke(context(flow.ti)).is_done
    requests(flow, 40)
    found = waiting.poke(context(flow.ti))
    assert (found.is_done, found.xcom_value["requests"]) == (True, 40)


def test_its_own_time_out_never_comes_before_the_deadline(flow: Flow, monkeypatch: Any) -> None:
    waiting = sensor(flow, deferrable=False, mode="reschedule", timeout=60, policy="balanced", deadline=864_000)
    monkeypatch.setattr("airflow.sdk.bases.sensor.BaseSensorOperator.execute", lambda *_: "poked")
    assert waiting.execute(context(flow.ti)) == "poked"
    assert waiting.timeout == 864_000 + 3600


def test_without_a_shadow_config_the_task_fails_for_good(cloud: Any, hook: Any, unique: Any) -> None:  # noqa: F811
    nothing = Flow(cloud, hook, unique("flow"))
    with pytest.raises(AirflowFailException, match=r"its shadow config .* does not exist"):
        sensor(nothing).execute(context(nothing.ti))
    nothing.changes.end()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"policy": "no_such"}, "policy: "),
        ({"deadline": -1}, "deadline=-1: must be a duration above zero"),
        ({"minimum_duration": -1}, "minimum_duration=-1: must be a duration, 0 or more"),
        ({"minimum_duration": "long"}, "minimum_duration='long': must be a duration, 0 or more"),
        ({"poll_interval": 0}, "poll_interval=0: must be a duration above zero"),
        ({"endpoint_name": "a_b"}, "endpoint_name='a_b': must be 1 to 63"),
    ],
)
def test_what_is_wrong_is_said_at_parse_with_its_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError) as caught:
        SageMakerShadowEvidenceSensor(task_id="task", **{"endpoint_name": "fraud", **arguments})
    assert str(caught.value).startswith(message)


def test_arguments_may_come_from_templates(flow: Flow) -> None:
    requests(flow, 50)
    names = ("policy", "minimum_duration", "deadline", "poll_interval")
    templated = sensor(flow, **{name: f"{{{{ {name} }}}}" for name in names})
    rendered = ("gates: [{metric: agreement, minimum: 0.9}]\nminimum_pairs: 50", "None", "", "3")
    templated.render_template_fields(dict(zip(names, rendered, strict=True)))
    assert templated.execute(context(flow.ti)) == {"requests": 50, "minimum_requests": 50, "enough": True}


# -- the production guard ---------------------------------------------------------------------------------------------


def production(flow: Flow, since: datetime, *, failing: int) -> None:
    """Two hours of production a day before, and two since the shadow was added, in which some of ten requests fail."""
    start = since.replace(second=0, microsecond=0)
    for minute in range(125):
        at = start + timedelta(minutes=minute)
        for moment, failed in ((at - timedelta(days=1), 0), (at, failing)):
            put(flow.cloud, flow.endpoint_name, "Prod", moment, request_metrics([1000.0] * 10, failed))


def guarded(flow: Flow, monkeypatch: Any, *, failing: int, **arguments: Any) -> Any:
    aged(flow, monkeypatch, timedelta(minutes=125))
    production(flow, flow.hook.shadow_run(flow.deployment).since, failing=failing)
    return sensor(flow, production_guard="on", **arguments)


def test_harm_to_production_ends_the_wait_for_good(flow: Flow, monkeypatch: Any) -> None:
    with pytest.raises(AirflowFailException, match=r"production fails 50 % of its requests .* 0 % before"):
        guarded(flow, monkeypatch, failing=5).execute(context(flow.ti))


def test_the_wait_comes_back_to_look_at_production_and_goes_on(flow: Flow, monkeypatch: Any) -> None:
    guarded(flow, monkeypatch, failing=0)
    trigger = deferred(flow, production_guard="on")
    left = datetime.fromisoformat(trigger.deadline) - datetime.now(UTC)
    assert timedelta(seconds=290) < left <= timedelta(seconds=300)
    with pytest.raises(TaskDeferred):
        sensor(flow, production_guard="on").execute_complete(context(flow.ti), {"status": "timeout"})
    production(flow, flow.hook.shadow_run(flow.deployment).since, failing=5)
    with pytest.raises(AirflowFailException, match="production fails"):
        sensor(flow, production_guard="on").execute_complete(context(flow.ti), {"status": "timeout"})


def test_a_guard_that_cannot_be_is_refused_at_parse() -> None:
    with pytest.raises(PlanError, match="production_guard='maybe': must be 'on', 'off' or a mapping"):
        SageMakerShadowEvidenceSensor(task_id="t", endpoint_name="e", production_guard="maybe")
