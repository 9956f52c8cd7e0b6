"""What is written down of a variant's autoscaling, what is in the way of an update, and what brings it back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_provider.plan.autoscaling import (
    SHADOW_POLICY,
    EndpointScaling,
    ShadowScaling,
    VariantScaling,
    in_the_way,
    resource_of,
    restoration,
)
from shadow_provider.plan.errors import PlanError

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
RESOURCE = resource_of("churn", "Prod")
SUSPENDED = {"DynamicScalingInSuspended": True, "DynamicScalingOutSuspended": False, "ScheduledScalingSuspended": False}
TARGET = {
    **RESOURCE,
    "MinCapacity": 2,
    "MaxCapacity": 9,
    "SuspendedState": SUSPENDED,
    "RoleARN": "arn:aws:iam::123456789012:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/X",
    "CreationTime": NOW,
    "ScalableTargetARN": "arn:target",
}
POLICY = {
    **RESOURCE,
    "PolicyName": "steps",
    "PolicyARN": "arn:old",
    "PolicyType": "StepScaling",
    "StepScalingPolicyConfiguration": {
        "AdjustmentType": "ChangeInCapacity",
        "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 2}],
        "Cooldown": 60,
    },
    "Alarms": [{"AlarmName": "a", "AlarmARN": "arn:a"}],
    "CreationTime": NOW,
}
ACTION = {
    **RESOURCE,
    "ScheduledActionName": "night",
    "ScheduledActionARN": "arn:action",
    "Schedule": "cron(0 22 * * ? *)",
    "Timezone": "Europe/Berlin",
    "StartTime": NOW + timedelta(days=1),
    "EndTime": NOW + timedelta(days=9),
    "ScalableTargetAction": {"MinCapacity": 0, "MaxCapacity": 3},
    "CreationTime": NOW,
}
KEPT = VariantScaling.of(TARGET, [POLICY], [ACTION])


def variant(name: str, instance_type: str = "ml.m5.xlarge") -> dict[str, Any]:
    return {"VariantName": name, "InstanceType": instance_type}


def test_what_comes_back_is_what_was_there_in_every_argument() -> None:
    needed = restoration(RESOURCE, KEPT, None, now=NOW)
    assert needed.register == {**RESOURCE, "MinCapacity": 2, "MaxCapacity": 9, "SuspendedState": SUSPENDED}
    assert needed.policies == (
        {key: POLICY[key] for key in (*RESOURCE, "PolicyName", "PolicyType", "StepScalingPolicyConfiguration")},
    )
    (action,) = needed.actions
    assert action == {
        **{key: ACTION[key] for key in (*RESOURCE, "ScheduledActionName", "Schedule", "Timezone")},
        "StartTime": "2026-03-03T12:00:00+00:00",
        "EndTime": "2026-03-11T12:00:00+00:00",
        "ScalableTargetAction": {"MinCapacity": 0, "MaxCapacity": 3},
    }
    assert needed.differing == ()


def test_a_role_of_ones_own_comes_back_and_a_capacity_of_zero_too() -> None:
    kept = VariantScaling.of({**TARGET, "MinCapacity": 0, "RoleARN": "arn:aws:iam::1:role/own"}, [], [])
    register = restoration(RESOURCE, kept, None, now=NOW).register
    assert register is not None
    assert (register["RoleARN"], register["MinCapacity"]) == ("arn:aws:iam::1:role/own", 0)


def test_nothing_is_asked_for_what_is_there() -> None:
    needed = restoration(RESOURCE, KEPT, VariantScaling.of(TARGET, [POLICY], [ACTION]), now=NOW)
    assert needed.complete
    assert needed.differing == ()


def test_a_half_done_restoration_is_completed_only() -> None:
    needed = restoration(RESOURCE, KEPT, VariantScaling.of(TARGET, [], [ACTION]), now=NOW)
    assert (needed.register, len(needed.policies), needed.actions) == (None, 1, ())
    assert not needed.complete


def test_what_somebody_changed_meanwhile_is_named_and_left() -> None:
    other = {**POLICY, "StepScalingPolicyConfiguration": {"Cooldown": 1}}
    changed = VariantScaling.of({**TARGET, "MaxCapacity": 1}, [other], [{**ACTION, "Schedule": "rate(1 hour)"}])
    needed = restoration(RESOURCE, KEPT, changed, now=NOW)
    assert needed.complete
    assert needed.differing == ("target", "policy steps", "scheduled action night")


@pytest.mark.parametrize(
    ("changes", "comes_back", "start"),
    [
        ({}, True, True),
        ({"StartTime": NOW - timedelta(seconds=1)}, True, False),
        ({"EndTime": NOW}, False, False),
        ({"Schedule": "at(2026-03-02T12:59:59)", "Timezone": "Europe/Berlin"}, False, False),
        ({"Schedule": "at(2026-03-02T13:00:01)", "Timezone": "Europe/Berlin"}, True, True),
        ({"Schedule": "at(2026-03-02T12:00:00)", "Timezone": None}, False, False),
    ],
)
def test_scheduled_actions_whose_time_is_over_do_not_come_back(
    changes: dict[str, Any], comes_back: bool, start: bool
) -> None:
    kept = VariantScaling.of(TARGET, [], [{**ACTION, **changes}])
    actions = restoration(RESOURCE, kept, None, now=NOW).actions
    assert [name in action for action in actions for name in ("StartTime",)] == ([start] if comes_back else [])
    # Whether it came back or not, AWS's own description of it does not count as somebody's change.
    assert restoration(RESOURCE, kept, VariantScaling.of(TARGET, [], [{**ACTION, **changes}]), now=NOW).differing == ()


def test_the_document_survives_json_and_knows_what_it_covers() -> None:
    document = EndpointScaling(endpoint_name="churn", variants={"Prod": KEPT})
    again = EndpointScaling.model_validate_json(document.canonical_bytes())
    assert again == document
    assert again.canonical_bytes() == document.canonical_bytes()
    same_with_other_arn = VariantScaling.of(TARGET, [{**POLICY, "PolicyARN": "arn:new"}], [ACTION])
    assert again.says(again.before({"Prod": same_with_other_arn}, []))
    assert again.says(again.before({}, []))
    assert not again.says(again.before({"Prod": VariantScaling.of(TARGET, [], [ACTION])}, []))
    assert not again.says(again.before({"Other": KEPT}, []))
    assert not again.says(again.before({}, ["Prod"]))


def test_what_is_found_of_a_target_that_was_taken_away_is_not_believed() -> None:
    half_restored = VariantScaling.of(TARGET, [], [])
    began = EndpointScaling(endpoint_name="churn", variants={"Prod": KEPT})
    taken = began.before({"Prod": KEPT}, ["Prod"])
    assert taken.before({"Prod": half_restored}, ["Prod"]).variants == {"Prod": KEPT}
    # Once it is restored, what is found is somebody's wish again.
    assert taken.restored().before({"Prod": half_restored}, []).variants == {"Prod": half_restored}


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        ([variant("Prod")], ("Shadow",)),
        ([variant("Prod"), variant("Shadow")], ()),
        ([variant("Prod", "ml.c5.large")], ("Prod", "Shadow")),
        ([variant("Renamed")], ("Prod", "Shadow")),
    ],
)
def test_only_what_is_removed_or_changes_its_type_is_in_the_way(goal: list[Any], expected: tuple[str, ...]) -> None:
    active = {"ProductionVariants": [variant("Prod")], "ShadowProductionVariants": [variant("Shadow")]}
    assert in_the_way(active, {"ProductionVariants": goal}, ["Shadow", "Prod"]) == expected
    # What is not registered is never in the way.
    assert in_the_way(active, {"ProductionVariants": goal}, []) == ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_capacity": 2, "invocations_per_instance": 5}, "shadow_autoscaling.min_capacity: is required"),
        ({"min_capacity": 0, "max_capacity": 2, "invocations_per_instance": 5}, "min_capacity=0"),
        ({"min_capacity": 3, "max_capacity": 2, "invocations_per_instance": 5}, "must not be below min_capacity=3"),
        ({"min_capacity": 1, "max_capacity": 2}, "give either invocations_per_instance or target_tracking"),
        (
            {"min_capacity": 1, "max_capacity": 1, "invocations_per_instance": 5, "target_tracking": {"X": 1}},
            "give either invocations_per_instance or target_tracking",
        ),
        ({"min_capacity": 1, "max_capacity": 2, "invocations_per_instance": 0}, "invocations_per_instance=0"),
    ],
)
def test_a_shadows_autoscaling_that_breaks_a_rule_names_it(given: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError) as caught:
        ShadowScaling.parse("shadow_autoscaling", given)
    assert message in str(caught.value)


def test_a_shadows_autoscaling_in_awss_terms() -> None:
    asked = ShadowScaling.parse("", {"MinCapacity": "1", "max_capacity": 4, "invocations_per_instance": 300})
    scaling = asked.scaling()
    assert scaling.target == {"MinCapacity": 1, "MaxCapacity": 4}
    tracking = scaling.policies[SHADOW_POLICY]["TargetTrackingScalingPolicyConfiguration"]
    assert tracking["TargetValue"] == 300
    assert tracking["PredefinedMetricSpecification"] == {
        "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
    }
    own = {"TargetValue": 5.0, "ScaleInCooldown": 10}
    by_hand = ShadowScaling.parse("", {"min_capacity": 1, "max_capacity": 4, "target_tracking": own}).scaling()
    assert by_hand.policies[SHADOW_POLICY]["TargetTrackingScalingPolicyConfiguration"] == own


@given(st.sets(st.sampled_from(["target", "steps", "night"])))
def test_from_any_remains_one_restoration_leads_back(remains: set[str]) -> None:
    """Whatever a crash left, asking for what is needed gives what was kept."""
    found = (
        VariantScaling.of(TARGET, [POLICY] * ("steps" in remains), [ACTION] * ("night" in remains))
        if "target" in remains
        else None
    )
    needed = restoration(RESOURCE, KEPT, found, now=NOW)
    after = VariantScaling.of(
        needed.register or TARGET,
        [{**item, "PolicyARN": "new"} for item in needed.policies] + [POLICY] * bool(found and found.policies),
        [*needed.actions, *([ACTION] if found and found.actions else [])],
    )
    assert after.same_as(KEPT)
