"""Autoscaling of a live endpoint through a deployment: kept, or taken away and restored, whatever dies in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from shadow_provider.hooks.autoscaling import EndpointAutoscaling
from shadow_provider.operators.autoscaling import SageMakerShadowAutoscalingOperator
from shadow_provider.plan.autoscaling import DIMENSION, SHADOW_POLICY, resource_of
from shadow_provider.plan.errors import AutoscalingNotRestoredError, EndpointBusyError, PlanError
from tests.aws.test_operators import (  # noqa: F401 - fixtures
    BROKEN,
    Flow,
    Killed,
    go_live,
    hook,
    live,
    machine,
    make_flow,
)

TRACKING = {
    "TargetValue": 70.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    "ScaleInCooldown": 600,
}
STEPS = {
    "AdjustmentType": "ChangeInCapacity",
    "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}],
    "Cooldown": 60,
}
SUSPENDED = {"DynamicScalingInSuspended": True, "DynamicScalingOutSuspended": False, "ScheduledScalingSuspended": False}
SHADOW_SCALING = {"min_capacity": 1, "max_capacity": 3, "invocations_per_instance": 200}
DEREGISTER, REGISTER = "DeregisterScalableTarget", "RegisterScalableTarget"


class Scaling:
    """Autoscaling of one endpoint by plain boto3, and what a deployment asked of it."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.client = flow.hook.autoscaling
        self.asked: list[str] = []
        self._kill_after: str | None = None
        self._events = self.client.meta.events
        self._events.register("after-call.application-auto-scaling.*", self._seen)

    def _seen(self, model: Any, **_: Any) -> None:
        if not model.name.startswith("Describe"):
            self.asked.append(model.name)
        if model.name == self._kill_after:
            self._kill_after = None
            raise Killed

    def kill_after(self, operation: str) -> None:
        """Die right after the next such call took effect."""
        self._kill_after = operation

    def end(self) -> None:
        self._events.unregister("after-call.application-auto-scaling.*", self._seen)

    def of(self, variant: str) -> dict[str, str]:
        return resource_of(self.flow.endpoint_name, variant)

    def register(self, variant: str) -> None:
        target = self.of(variant)
        self.client.register_scalable_target(**target, MinCapacity=1, MaxCapacity=4, SuspendedState=SUSPENDED)
        self.client.put_scaling_policy(
            **target,
            PolicyName="per-instance",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=TRACKING,
        )
        self.client.put_scaling_policy(
            **target, PolicyName="steps", PolicyType="StepScaling", StepScalingPolicyConfiguration=STEPS
        )
        self.client.put_scheduled_action(
            **target,
            ScheduledActionName="night",
            Schedule="cron(0 22 * * ? *)",
            Timezone="Europe/Berlin",
            EndTime=datetime.now(tz=UTC) + timedelta(days=9),
            ScalableTargetAction={"MinCapacity": 1, "MaxCapacity": 2},
        )
        self.asked.clear()

    def seen(self, variant: str) -> dict[str, Any]:
        """Everything that AWS shows of a variant, but for names and times that AWS itself gives."""
        target = self.of(variant)
        named = {"ServiceNamespace": "sagemaker", "ResourceId": target["ResourceId"], "ScalableDimension": DIMENSION}
        targets = self.client.describe_scalable_targets(
            ServiceNamespace="sagemaker", ResourceIds=[target["ResourceId"]]
        )["ScalableTargets"]
        policies = self.client.describe_scaling_policies(**named)["ScalingPolicies"]
        actions = self.client.describe_scheduled_actions(**named)["ScheduledActions"]
        given_by_aws = {"CreationTime", "ScalableTargetARN", "PolicyARN", "ScheduledActionARN"}
        return {
            kind: sorted(
                (json.dumps({key: item[key] for key in item.keys() - given_by_aws}, sort_keys=True, default=str))
                for item in items
            )
            for kind, items in (("targets", targets), ("policies", policies), ("actions", actions))
        }

    def policy_arn(self, name: str) -> str:
        found = self.client.describe_scaling_policies(**self.of("Prod"))["ScalingPolicies"]
        return str(next(item["PolicyARN"] for item in found if item["PolicyName"] == name))


@pytest.fixture
def scaled(live: Flow) -> Iterator[Scaling]:  # noqa: F811
    """A live endpoint whose production scales in every way."""
    scaling = Scaling(live)
    scaling.register("Prod")
    yield scaling
    scaling.end()


def give_shadow(flow: Flow, **arguments: Any) -> Any:
    return flow.run(SageMakerShadowAutoscalingOperator, **arguments)


def documents(flow: Flow) -> list[str]:
    return [key for key in flow.cloud.objects("live/shadow-decisions/") if flow.endpoint_name in key]


def keeper(flow: Flow) -> EndpointAutoscaling:
    return EndpointAutoscaling(flow.hook, flow.deployment)


@pytest.mark.parametrize("promoted", [True, False])
def test_where_aws_keeps_it_nothing_is_touched(scaled: Scaling, promoted: bool) -> None:
    flow, before = scaled.flow, scaled.seen("Prod")
    flow.to_shadow()
    assert give_shadow(flow) == {"production_scales": True, "shadow_scales": False}
    if promoted:
        flow.promote()
    else:
        flow.rollback()
    assert scaled.seen("Prod") == before
    assert scaled.asked == []
    # What was there before the first change stands beside the decision record.
    (key,) = documents(flow)
    assert key.endswith("-autoscaling-1.json")


def test_an_endpoint_that_does_not_scale_costs_no_document(live: Flow) -> None:  # noqa: F811
    live.to_shadow()
    live.promote()
    assert documents(live) == []


@pytest.mark.parametrize("promoted", [True, False])
def test_the_shadow_scales_by_itself_while_it_is_there(scaled: Scaling, promoted: bool) -> None:
    flow, before = scaled.flow, scaled.seen("Prod")
    flow.to_shadow()
    for _ in range(2):
        assert give_shadow(flow, shadow_autoscaling=SHADOW_SCALING) == {
            "production_scales": True,
            "shadow_scales": True,
        }
    # The second try found everything as it should be.
    assert scaled.asked == [REGISTER, "PutScalingPolicy"]
    (target,) = map(json.loads, scaled.seen("Shadow")["targets"])
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 3)
    (policy,) = map(json.loads, scaled.seen("Shadow")["policies"])
    assert policy["PolicyName"] == SHADOW_POLICY
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 200
    if promoted:
        flow.promote()
    else:
        flow.rollback()
    assert scaled.seen("Shadow")["targets"] == []
    assert scaled.asked == [REGISTER, "PutScalingPolicy", DEREGISTER]
    assert scaled.seen("Prod") == before


def test_a_shadow_that_somebody_let_scale_is_no_obstacle(scaled: Scaling) -> None:
    flow = scaled.flow
    flow.to_shadow()
    scaled.register("Shadow")
    flow.rollback()
    assert flow.now == ("InService", flow.baseline)
    assert scaled.seen("Shadow") == {"targets": [], "policies": [], "actions": []}


def test_a_registered_shadow_is_brought_to_what_is_asked(scaled: Scaling) -> None:
    flow = scaled.flow
    flow.to_shadow()
    give_shadow(flow, shadow_autoscaling=SHADOW_SCALING)
    give_shadow(flow, shadow_autoscaling={**SHADOW_SCALING, "max_capacity": "2"})
    (target,) = map(json.loads, scaled.seen("Shadow")["targets"])
    assert target["MaxCapacity"] == 2


def test_the_shadow_is_not_registered_before_it_serves(scaled: Scaling) -> None:
    flow = scaled.flow
    with pytest.raises(AirflowFailException, match="should serve the shadow config"):
        give_shadow(flow, shadow_autoscaling=SHADOW_SCALING)
    assert scaled.asked == []


def test_the_shadows_autoscaling_is_checked_at_parse() -> None:
    arguments: dict[str, Any] = {"task_id": "task", "endpoint_name": "fraud"}
    with pytest.raises(PlanError, match=r"shadow_autoscaling\.min_capacity=0"):
        SageMakerShadowAutoscalingOperator(
            **arguments, shadow_autoscaling={**SHADOW_SCALING, "min_capacity": 0, "max_capacity": "{{ x }}"}
        )
    SageMakerShadowAutoscalingOperator(**arguments, shadow_autoscaling={**SHADOW_SCALING, "min_capacity": "{{ x }}"})


# -- a change of production's instance type: AWS demands that the target goes -----------------------------------------


def to_other_type(flow: Flow, **arguments: Any) -> Any:
    return flow.promote(promote_infrastructure="shadow", **arguments)


@pytest.fixture
def tested(scaled: Scaling) -> Scaling:
    """A candidate that was tested on other instances than production has."""
    scaled.flow.config(scaled.flow.make_candidate(), shadow_variant={"InstanceType": "ml.c5.large"})
    scaled.flow.deploy()
    return scaled


def production(flow: Flow) -> tuple[str, str]:
    config = flow.cloud.sagemaker.describe_endpoint_config(EndpointConfigName=flow.now[1])
    (variant,) = config["ProductionVariants"]
    return variant["VariantName"], variant["InstanceType"]


def test_a_change_of_type_takes_the_target_away_and_brings_it_back_as_it_was(tested: Scaling) -> None:
    before = tested.seen("Prod")
    to_other_type(tested.flow)
    assert production(tested.flow) == ("Prod", "ml.c5.large")
    assert tested.asked == [DEREGISTER, REGISTER, "PutScalingPolicy", "PutScalingPolicy", "PutScheduledAction"]
    assert tested.seen("Prod") == before
    tested.asked.clear()
    to_other_type(tested.flow)
    assert tested.asked == []


@pytest.mark.parametrize("operation", [DEREGISTER, REGISTER, "PutScalingPolicy", "PutScheduledAction"])
@pytest.mark.parametrize("then", ["retry", "rollback"])
def test_killed_between_deregistering_and_restoring_nothing_is_lost(tested: Scaling, operation: str, then: str) -> None:
    before = tested.seen("Prod")
    tested.kill_after(operation)
    with pytest.raises(Killed):
        to_other_type(tested.flow)
    if then == "retry":
        to_other_type(tested.flow)
    else:
        tested.flow.rollback()
    assert production(tested.flow) == ("Prod", "ml.c5.large" if then == "retry" else "ml.m5.xlarge")
    assert tested.seen("Prod") == before


def test_an_update_that_aws_rolls_back_leaves_the_restoring_to_the_rollback(scaled: Scaling) -> None:
    flow, before = scaled.flow, scaled.seen("Prod")
    flow.config(flow.make_candidate(), shadow_variant={"InstanceType": "ml.c5.large"})
    flow.deploy()
    to_other_type(flow, wait_for_completion=False)
    flow.cloud.settled(flow.endpoint_name)
    # As if AWS had not carried it out: nothing restored yet, and the endpoint is to go back.
    assert scaled.seen("Prod")["targets"] == []
    flow.rollback()
    assert production(flow) == ("Prod", "ml.m5.xlarge")
    assert scaled.seen("Prod") == before


def test_what_was_changed_while_the_shadow_ran_is_what_comes_back(tested: Scaling) -> None:
    tested.client.register_scalable_target(**tested.of("Prod"), MaxCapacity=8)
    tested.client.delete_scheduled_action(**tested.of("Prod"), ScheduledActionName="night")
    before = tested.seen("Prod")
    to_other_type(tested.flow)
    assert tested.seen("Prod") == before
    # Before the shadow, before the target was taken away, and when it was back.
    assert [key[-18:] for key in sorted(documents(tested.flow))] == [f"autoscaling-{n}.json" for n in (1, 2, 3)]


def test_what_somebody_takes_away_while_the_shadow_runs_stays_away(scaled: Scaling) -> None:
    scaled.flow.to_shadow()
    scaled.client.deregister_scalable_target(**scaled.of("Prod"))
    scaled.flow.promote()
    assert scaled.seen("Prod") == {"targets": [], "policies": [], "actions": []}


def test_alarms_of_step_scaling_act_on_the_policy_that_was_made_again(tested: Scaling) -> None:
    cloudwatch, old = tested.flow.cloud.cloudwatch, tested.policy_arn("steps")
    name = f"{tested.flow.endpoint_name}-busy"
    topic = "arn:aws:sns:us-east-1:123456789012:topic"
    alarm = {
        "AlarmName": name, "Namespace": "AWS/SageMaker", "MetricName": "Invocations", "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 2, "Threshold": 100.0, "ComparisonOperator": "GreaterThanThreshold",
        "Dimensions": [{"Name": "EndpointName", "Value": "e"}], "TreatMissingData": "notBreaching",
    }  # fmt: skip
    cloudwatch.put_metric_alarm(**alarm, AlarmActions=[topic, old], OKActions=[topic])
    to_other_type(tested.flow)
    new = tested.policy_arn("steps")
    assert new != old
    (found,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert (found["AlarmActions"], found["OKActions"]) == ([topic, new], [topic])
    assert {key: found[key] for key in alarm} == alarm
    cloudwatch.delete_alarms(AlarmNames=[name])


def test_what_aws_does_not_show_as_restored_is_no_success(tested: Scaling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tested.client, "put_scheduled_action", lambda **_: {})
    with pytest.raises(AutoscalingNotRestoredError, match="variant Prod is not as it was"):
        to_other_type(tested.flow)
    monkeypatch.undo()
    to_other_type(tested.flow)
    assert len(tested.seen("Prod")["actions"]) == 1


def test_without_a_place_to_keep_it_nothing_is_deregistered(tested: Scaling) -> None:
    flow, before = tested.flow, tested.seen("Prod")
    to_other_type(flow)
    flow.hook.delete_endpoint_config(flow.names.shadow_config)
    with pytest.raises(AirflowFailException, match="Deregister the target by hand"):
        flow.rollback()
    assert tested.seen("Prod") == before


def test_a_foreign_change_is_found_before_anything_is_deregistered(tested: Scaling) -> None:
    before = tested.seen("Prod")
    config = tested.flow.cloud.config(
        [tested.flow.cloud.variant("Prod", tested.flow.incumbent)],
        [tested.flow.cloud.variant("Shadow", tested.flow.incumbent, InstanceType="ml.c5.large")],
    )
    tested.flow.cloud.sagemaker.update_endpoint(EndpointName=tested.flow.endpoint_name, EndpointConfigName=config)
    with pytest.raises((AirflowFailException, EndpointBusyError)):
        to_other_type(tested.flow)
    assert tested.asked == []
    tested.flow.cloud.settled(tested.flow.endpoint_name)
    assert tested.seen("Prod") == before


def test_a_shadow_that_had_a_part_of_the_load_is_not_promoted_with_its_instances(live: Flow) -> None:  # noqa: F811
    live.config(live.make_candidate(), sampling_percentage=50)
    live.deploy()
    with pytest.raises(AirflowFailException, match="so it must be 100"):
        to_other_type(live)
    assert live.now == ("InService", live.names.shadow_config)


def test_counts_of_different_types_are_not_taken_over(make_flow: Any) -> None:  # noqa: F811
    flow = go_live(make_flow())
    flow.config(flow.make_candidate(), shadow_variant={"InstanceType": "ml.c5.large", "InitialInstanceCount": 2})
    flow.deploy()
    to_other_type(flow)
    assert flow.instances == 2
    flow.rollback()
    assert (production(flow), flow.instances) == (("Prod", "ml.m5.xlarge"), 1)


@pytest.mark.parametrize("guardrails", [None, {"strategy": "ALL_AT_ONCE"}])
def test_of_instances_of_the_same_type_as_many_serve_as_were_tested(
    make_flow: Any,  # noqa: F811
    guardrails: Any,
) -> None:
    flow = go_live(make_flow())
    flow.config(flow.make_candidate(), shadow_variant={"InitialInstanceCount": 2})
    flow.deploy()
    to_other_type(flow, guardrails=guardrails)
    assert (production(flow), flow.instances) == (("Prod", "ml.m5.xlarge"), 2)


@pytest.mark.parametrize("killed", [False, True])
def test_a_guarded_promotion_keeps_and_restores_it_too(tested: Scaling, killed: bool) -> None:
    """The shadow goes first, which deregisters it, then the type changes under guardrails."""
    flow, before = tested.flow, tested.seen("Prod")
    give_shadow(flow, shadow_autoscaling=SHADOW_SCALING)
    tested.asked.clear()
    arguments: dict[str, Any] = {"promote_infrastructure": "shadow", "guardrails": {"strategy": "ALL_AT_ONCE"}}
    if killed:
        tested.kill_after(REGISTER)
        with pytest.raises(Killed):
            flow.promote(**arguments)
    flow.promote(**arguments)
    assert production(flow) == ("Prod", "ml.c5.large")
    assert tested.asked[:3] == [DEREGISTER, DEREGISTER, REGISTER]
    assert tested.seen("Shadow")["targets"] == []
    assert tested.seen("Prod") == before
