"""Promotion under guardrails against a local AWS in which a minute of AWS passes in a second: canaries bake."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from shadow_provider.hooks.alarms import PromotionAlarms
from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.local import LocalAWS, LocalSettings
from shadow_provider.local.faults import EndpointFault
from shadow_provider.plan import tags as tagging
from tests.aws.conftest import Cloud, cloud_of, poll, traffic
from tests.aws.test_operators import BOTH_WAYS, Flow, Killed, go_live, impatient_hook, on_worker
from tests.aws.updates import alarm
from tests.deployment_policies import blue_green, percent

BAKE = 120  # AWS seconds: 2 s here
FAILING = "def model_fn(d): pass\ndef transform_fn(m, b, c, a): raise RuntimeError('no')"
CANARY = {"strategy": "CANARY", "step_percent": 50, "wait_interval_seconds": BAKE}
POLICY = {"gates": [{"metric": "invocation_error_rate", "margin": 0.05}]}


@pytest.fixture(scope="module")
def guarded_aws() -> Iterator[LocalAWS]:
    with LocalAWS(LocalSettings(clock=60, seed=11, startup_floor=10, capture_flush_seconds=0.5)) as running:
        yield running


@pytest.fixture(scope="module")
def cloud(guarded_aws: LocalAWS, unique: Callable[[str], str]) -> Cloud:
    return cloud_of(guarded_aws, unique)


@pytest.fixture(scope="module", autouse=True)
def machine(guarded_aws: LocalAWS) -> Iterator[None]:
    with on_worker(guarded_aws):
        yield


@pytest.fixture(scope="module")
def hook(machine: None) -> SageMakerShadowHook:
    return impatient_hook()


@pytest.fixture
def faults(guarded_aws: LocalAWS) -> Iterator[Any]:
    yield guarded_aws.faults
    guarded_aws.faults.clear()


@pytest.fixture
def live(cloud: Cloud, hook: SageMakerShadowHook, unique: Callable[[str], str]) -> Iterator[Flow]:
    """Somebody's endpoint of two instances, in service and capturing."""
    flow = Flow(cloud, hook, unique("guarded"))
    flow.incumbent = cloud.model()
    yield go_live(flow, InitialInstanceCount=2)
    flow.changes.end()
    if cloud.settled(flow.endpoint_name):
        cloud.sagemaker.delete_endpoint(EndpointName=flow.endpoint_name)


def updates(flow: Flow) -> list[str]:
    return [made for made in flow.changes.made if made == "UpdateEndpoint"]


def our_alarms(flow: Flow) -> list[str]:
    return PromotionAlarms(flow.hook, flow.deployment).ours()


def stage(flow: Flow) -> str:
    pending = flow.cloud.describe(flow.endpoint_name).get("PendingDeploymentSummary")
    return "" if pending is None else str(pending["ProductionVariants"][0]["VariantStatus"][0]["Status"])


@BOTH_WAYS
def test_a_guarded_promotion_drops_the_shadow_and_then_moves_traffic_in_steps(live: Flow, deferrable: bool) -> None:
    live.to_shadow()
    live.deferrable = deferrable
    began = time.monotonic()
    with traffic(live.cloud, live.endpoint_name) as seen:
        done = live.promote(guardrails=CANARY)
    assert time.monotonic() - began >= BAKE / 60
    assert not [answer for answer in seen if isinstance(answer, Exception)]
    assert done == {
        "promoted": True,
        "endpoint_config_name": live.names.promoted_config,
        "model_name": live.names.candidate_model,
    }
    assert live.now == ("InService", live.names.promoted_config)
    assert live.instances == 2
    described = live.cloud.describe(live.endpoint_name)
    assert described["LastDeploymentConfig"] == blue_green("CANARY", BAKE, CanarySize=percent(50))
    assert len(updates(live)) == 3  # to the shadow, back to the baseline, to the promotion
    assert live.deferrals == 2 * deferrable
    assert live.promote(guardrails=CANARY) == done
    assert len(updates(live)) == 3


def test_the_endpoints_own_guardrails_outlive_our_updates_and_guard_the_promotion(live: Flow) -> None:
    own = blue_green("ALL_AT_ONCE", termination=60)
    again = live.cloud.config([live.cloud.variant("Prod", live.incumbent, InitialInstanceCount=2)],
                              DataCaptureConfig=live.cloud.capture_config("live"))  # fmt: skip
    live.cloud.sagemaker.update_endpoint(
        EndpointName=live.endpoint_name, EndpointConfigName=again, DeploymentConfig=own
    )
    assert live.now == ("InService", again)
    live.to_shadow()
    # Somebody updates it otherwise: what the endpoint shows now is not what it had before this deployment.
    live.cloud.sagemaker.update_endpoint(
        EndpointName=live.endpoint_name,
        EndpointConfigName=live.names.shadow_config,
        DeploymentConfig=blue_green("ALL_AT_ONCE"),
    )
    assert live.now == ("InService", live.names.shadow_config)
    live.promote(guardrails={"strategy": "AS_BEFORE"})
    assert live.cloud.describe(live.endpoint_name)["LastDeploymentConfig"] == own


def test_without_guardrails_of_its_own_there_are_none_to_use_again(live: Flow) -> None:
    live.to_shadow()
    with pytest.raises(AirflowFailException, match="the endpoint had no DeploymentConfig when this deployment began"):
        live.promote(guardrails={"strategy": "AS_BEFORE"})
    assert live.now == ("InService", live.names.shadow_config)


def test_the_guarded_update_begins_from_the_baseline(live: Flow) -> None:
    live.to_shadow()
    live.changes.kill_after(2)  # the promoted config, the update to the baseline
    with pytest.raises(Killed):
        live.promote(guardrails=CANARY)
    assert live.now == ("InService", live.baseline)
    assert "ShadowProductionVariants" not in live.cloud.describe(live.endpoint_name)
    live.promote(guardrails=CANARY)
    assert live.now == ("InService", live.names.promoted_config)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_guarded_promotion_killed_after_any_change_and_run_again_ends_the_same(live: Flow, number: int) -> None:
    live.to_shadow()
    live.changes.made.clear()
    live.changes.kill_after(number)
    with pytest.raises(Killed):
        live.promote(guardrails=CANARY)
    live.promote(guardrails=CANARY)
    assert live.changes.made == ["CreateEndpointConfig", "UpdateEndpoint", "UpdateEndpoint"]
    assert live.now == ("InService", live.names.promoted_config)
    live.promote(guardrails=CANARY)
    assert len(live.changes.made) == 3


def test_a_mark_without_its_update_does_not_stop_the_promotion(live: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    live.to_shadow()
    submit = live.hook._submit_update

    def killed(request: dict[str, Any]) -> None:
        if "DeploymentConfig" in request:
            raise Killed
        submit(request)

    monkeypatch.setattr(live.hook, "_submit_update", killed)
    with pytest.raises(Killed):
        live.promote(guardrails=CANARY)
    monkeypatch.undo()
    config = live.hook.endpoint_config(live.names.promoted_config)
    assert config is not None
    assert tagging.ASKED_SINCE in live.hook.tags(config["EndpointConfigArn"])
    live.promote(guardrails=CANARY)
    assert live.now == ("InService", live.names.promoted_config)


@BOTH_WAYS
def test_an_alarm_that_goes_off_fails_the_task_for_good_and_is_named(live: Flow, unique: Any, deferrable: bool) -> None:
    live.to_shadow()
    name = unique("theirs")
    alarm(live.cloud, name, "ALARM")
    live.deferrable = deferrable
    guardrails = {**CANARY, "alarm_names": [name]}
    with pytest.raises(AirflowFailException, match="SageMaker rolled the change back") as raised:
        live.promote(guardrails=guardrails)
    assert f"In ALARM: {name} (a test)" in str(raised.value)
    assert live.now == ("InService", live.baseline)
    # A task that is run again does not give production to the candidate a second time.
    live.cloud.cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="calm")
    count = len(updates(live))
    with pytest.raises(AirflowFailException, match="It is not tried again"):
        live.promote(guardrails=guardrails)
    assert len(updates(live)) == count
    assert live.rollback()["endpoint_config_name"] == live.baseline
    assert live.now == ("InService", live.baseline)


def test_a_candidate_that_fails_its_requests_sets_off_the_alarm_made_from_the_policy(live: Flow) -> None:
    with traffic(live.cloud, live.endpoint_name) as seen:
        live.to_shadow(FAILING)
        poll(lambda: len(seen) > 100, 60)
        guardrails = {**CANARY, "wait_interval_seconds": 1800, "alarms_from_policy": True}
        with pytest.raises(AirflowFailException, match="SageMaker rolled the change back") as raised:
            live.promote(guardrails=guardrails, policy=POLICY)
    name = f"{live.names.alarms}errors"
    assert name in str(raised.value)
    assert live.now == ("InService", live.baseline)
    assert our_alarms(live) == [name]
    assert live.rollback()["endpoint_config_name"] == live.baseline
    live.clean_up()
    assert our_alarms(live) == []


def test_alarms_are_made_before_and_removed_after_the_bake(live: Flow) -> None:
    guardrails = {**CANARY, "alarms_from_policy": True}
    with traffic(live.cloud, live.endpoint_name) as seen:
        live.to_shadow()
        poll(lambda: len(seen) > 100, 60)
        live.changes.kill_after(3)  # right after the guarded update was taken
        with pytest.raises(Killed):
            live.promote(guardrails=guardrails, policy=POLICY)
        name = f"{live.names.alarms}errors"
        assert our_alarms(live) == [name]
        (made,) = live.cloud.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        assert made["Threshold"] == 0.05  # production has no errors
        watched = made["Metrics"][0]["MetricStat"]["Metric"]["Dimensions"]
        assert {"Name": "EndpointConfigName", "Value": live.names.promoted_config} in watched
        live.promote(guardrails=guardrails, policy=POLICY)
    assert live.now == ("InService", live.names.promoted_config)
    assert our_alarms(live) == []


def test_without_any_figure_of_production_no_threshold_is_made_up(live: Flow) -> None:
    live.to_shadow()
    with pytest.raises(AirflowFailException, match="no threshold is made up") as raised:
        live.promote(guardrails={**CANARY, "alarms_from_policy": True}, policy=POLICY)
    assert "CloudWatch has no recent invocations and errors of production" in str(raised.value)
    # Nothing was changed, so nothing is lost.
    assert live.now == ("InService", live.names.shadow_config)


def test_what_aws_excludes_and_alarms_that_are_not_there_are_refused_before_any_change(live: Flow) -> None:
    live.to_shadow()
    for guardrails, rule in (
        ({"strategy": "CANARY", "step_instances": 2}, "step_instances=2: CanarySize"),
        ({**CANARY, "alarm_names": ["no-such-alarm"]}, "there is no such CloudWatch alarm"),
    ):
        with pytest.raises(AirflowFailException, match=rule):
            live.promote(guardrails=guardrails)
    assert live.now == ("InService", live.names.shadow_config)


def test_a_foreign_alarm_of_our_name_is_refused_and_kept(live: Flow) -> None:
    name = f"{live.names.alarms}errors"
    alarm(live.cloud, name)
    with traffic(live.cloud, live.endpoint_name) as seen:
        live.to_shadow()
        poll(lambda: len(seen) > 100, 60)
    with pytest.raises(AirflowFailException, match="was not made by this deployment"):
        live.promote(guardrails={**CANARY, "alarms_from_policy": True}, policy=POLICY)
    live.rollback()
    live.clean_up()
    assert live.cloud.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]


def test_a_foreign_change_between_the_two_updates_is_left_alone(live: Flow) -> None:
    live.to_shadow()
    live.changes.kill_after(2)
    with pytest.raises(Killed):
        live.promote(guardrails=CANARY)
    assert live.now == ("InService", live.baseline)
    theirs = live.change_by_hand()
    with pytest.raises(AirflowFailException, match="somebody else changed it"):
        live.promote(guardrails=CANARY)
    assert live.now == ("InService", theirs)


def test_present_instances_are_kept_through_both_updates(live: Flow) -> None:
    live.to_shadow()
    scaled = live.cloud.sagemaker
    scaled.update_endpoint_weights_and_capacities(
        EndpointName=live.endpoint_name,
        DesiredWeightsAndCapacities=[{"VariantName": "Prod", "DesiredInstanceCount": 3}],
    )
    assert live.now == ("InService", live.names.shadow_config)
    live.promote(guardrails=CANARY)
    assert live.now == ("InService", live.names.promoted_config)
    assert live.instances == 3


@BOTH_WAYS
def test_a_rollback_waits_for_a_guarded_update_that_is_baking_and_brings_the_baseline_back(
    live: Flow, deferrable: bool
) -> None:
    live.to_shadow()
    live.changes.kill_after(3)
    with pytest.raises(Killed):
        live.promote(guardrails=CANARY)
    poll(lambda: stage(live) == "Baking")
    live.deferrable = deferrable
    # Its own timeout is too short for the bake; the guardrails say how long AWS may take.
    assert live.rollback(guardrails=CANARY, timeout=0.5)["changed"] is True
    assert live.now == ("InService", live.baseline)
    assert live.cloud.invoke(live.endpoint_name)["Body"].read() == b"1,2\n"


def test_a_rollback_mends_a_rolling_update_whose_own_rollback_failed(live: Flow, faults: Any) -> None:
    live.to_shadow()
    rolling = {"strategy": "ROLLING", "step_percent": 50, "wait_interval_seconds": 30}
    live.changes.kill_after(2)
    with pytest.raises(Killed):
        live.promote(guardrails=rolling)
    assert live.now == ("InService", live.baseline)
    faults.add(EndpointFault(endpoint=live.endpoint_name, kind="rollback_failed", reason="No way back."))
    with pytest.raises(AirflowFailException, match=r"UpdateRollbackFailed: No way back\."):
        live.promote(guardrails=rolling)
    assert live.now == ("UpdateRollbackFailed", live.baseline)
    with pytest.raises(AirflowFailException, match="It is not tried again"):
        live.promote(guardrails=rolling)
    assert live.rollback() == {
        "endpoint_config_name": live.baseline,
        "changed": True,
        "reason": f"the endpoint is InService on {live.baseline}",
    }
    assert live.now == ("InService", live.baseline)
