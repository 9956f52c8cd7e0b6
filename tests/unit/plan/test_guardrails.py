from typing import Any

import pytest

from shadow_provider.local.serving.rollout_plan import Bake, plan_rollout
from shadow_provider.plan.errors import PlanError
from shadow_provider.plan.guardrails import Guardrails
from tests.deployment_policies import blue_green, instances, percent, rolling

TYPE = "ml.m5.xlarge"


def parse(**fields: Any) -> Guardrails:
    return Guardrails.parse("guardrails", fields)


@pytest.mark.parametrize(
    ("fields", "config"),
    [
        ({"strategy": "ALL_AT_ONCE"}, blue_green("ALL_AT_ONCE")),
        ({"strategy": "ALL_AT_ONCE", "termination_wait_seconds": 600}, blue_green("ALL_AT_ONCE", 0, 600)),
        (
            {
                "strategy": "CANARY",
                "step_percent": 25,
                "wait_interval_seconds": 300,
                "termination_wait_seconds": 60,
                "maximum_execution_seconds": 1800,
            },
            blue_green("CANARY", 300, 60, CanarySize=percent(25), MaximumExecutionTimeoutInSeconds=1800),
        ),
        ({"strategy": "LINEAR", "step_instances": 1}, blue_green("LINEAR", LinearStepSize=instances(1))),
        (
            {
                "strategy": "ROLLING",
                "step_percent": 50,
                "wait_interval_seconds": 120,
                "rollback_instances": 2,
                "maximum_execution_seconds": 600,
            },
            rolling(percent(50), 120, MaximumExecutionTimeoutInSeconds=600, RollbackMaximumBatchSize=instances(2)),
        ),
    ],
)
def test_each_strategy_in_awss_words(fields: dict[str, Any], config: dict[str, Any]) -> None:
    assert parse(**fields).to_aws(instances=4, instance_type=TYPE) == config


def test_what_a_template_renders_is_understood() -> None:
    rendered = parse(strategy="CANARY", step_percent="10", step_instances="None", wait_interval_seconds="60")
    assert rendered == parse(strategy="CANARY", step_percent=10, wait_interval_seconds=60)


def test_alarms_of_the_user_and_ours_stand_together() -> None:
    guardrails = parse(strategy="ALL_AT_ONCE", termination_wait_seconds=60, alarm_names=["theirs"])
    config = guardrails.to_aws(instances=1, instance_type=TYPE, alarms=["ours"])
    assert config["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": "theirs"}, {"AlarmName": "ours"}]}


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"strategy": "BIG_BANG"}, "strategy='BIG_BANG'"),
        ({"strategy": "CANARY"}, "CANARY needs one of them"),
        ({"strategy": "CANARY", "step_percent": 10, "step_instances": 1}, "and not both"),
        ({"strategy": "CANARY", "step_percent": 51}, "step_percent=51: CanarySize must be 1 to 50 %"),
        ({"strategy": "LINEAR", "step_percent": 9}, "step_percent=9: LinearStepSize must be 10 to 50 %"),
        ({"strategy": "ROLLING", "step_percent": 4}, "step_percent=4: MaximumBatchSize must be 5 to 50 %"),
        ({"strategy": "ALL_AT_ONCE", "step_percent": 10}, "step_percent: an ALL_AT_ONCE update has no steps"),
        ({"strategy": "ALL_AT_ONCE", "wait_interval_seconds": 1}, "wait_interval_seconds: ALL_AT_ONCE has no steps"),
        (
            {"strategy": "ROLLING", "step_percent": 10, "termination_wait_seconds": 1},
            "termination_wait_seconds: ROLLING",
        ),
        ({"strategy": "CANARY", "step_percent": 10, "rollback_percent": 10}, "rollback_percent: only a ROLLING update"),
        (
            {"strategy": "ROLLING", "step_percent": 10, "rollback_percent": 10, "rollback_instances": 1},
            "rollback_percent, rollback_instances: give one",
        ),
        ({"strategy": "ALL_AT_ONCE", "termination_wait_seconds": 3601}, "termination_wait_seconds=3601"),
        ({"strategy": "ALL_AT_ONCE", "maximum_execution_seconds": 599}, "maximum_execution_seconds=599"),
        ({"strategy": "ALL_AT_ONCE", "maximum_execution_seconds": 28_801}, "maximum_execution_seconds=28801"),
        (
            {"strategy": "ALL_AT_ONCE", "termination_wait_seconds": 600, "maximum_execution_seconds": 600},
            "maximum_execution_seconds=600: must exceed the waits",
        ),
        ({"strategy": "ALL_AT_ONCE", "alarm_names": ["a"]}, "alarm_names: alarms are watched while an update bakes"),
        ({"strategy": "ALL_AT_ONCE", "alarms_from_policy": True}, "alarms_from_policy: alarms are watched while"),
        (
            {"strategy": "ALL_AT_ONCE", "termination_wait_seconds": 60, "alarm_names": ["a", "a"]},
            "alarm_names: each alarm once",
        ),
        (
            {"strategy": "ALL_AT_ONCE", "termination_wait_seconds": 60, "alarm_names": [str(n) for n in range(11)]},
            "alarm_names: AWS takes at most 10",
        ),
        ({"strategy": "AS_BEFORE", "alarm_names": ["a"]}, "alarm_names: AS_BEFORE takes everything as it was"),
        ({"strategy": "AS_BEFORE", "step_percent": 10}, "step_percent: AS_BEFORE takes everything as it was"),
        ({"strategy": "ALL_AT_ONCE", "canary": 1}, "guardrails.canary=1: is not an argument here"),
    ],
)
def test_what_aws_excludes_is_refused_with_the_fields_name(fields: dict[str, Any], rule: str) -> None:
    with pytest.raises(PlanError) as raised:
        parse(**fields)
    assert "guardrails" in str(raised.value)
    assert rule in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "count", "rule"),
    [
        ({"strategy": "CANARY", "step_instances": 2}, 3, "guardrails.step_instances=2: CanarySize must be 1 to 50 %"),
        ({"strategy": "LINEAR", "step_instances": 1}, 1, "a fleet of one has no smaller part"),
        ({"strategy": "LINEAR", "step_instances": 1}, 11, "guardrails.step_instances=1: LinearStepSize must be 10"),
        ({"strategy": "ROLLING", "step_instances": 1}, 21, "guardrails.step_instances=1: MaximumBatchSize must be 5"),
        (
            {"strategy": "ROLLING", "step_percent": 50, "rollback_instances": 5},
            4,
            "guardrails.rollback_instances=5: production has 4",
        ),
        (
            {
                "strategy": "LINEAR",
                "step_percent": 10,
                "wait_interval_seconds": 100,
                "maximum_execution_seconds": 900,
            },
            10,
            "guardrails.maximum_execution_seconds=900: must exceed the waits of 10 step(s), 900 s together",
        ),
    ],
)
def test_what_does_not_fit_productions_instances_is_refused(fields: dict[str, Any], count: int, rule: str) -> None:
    with pytest.raises(PlanError) as raised:
        parse(**fields).to_aws(instances=count, instance_type=TYPE)
    assert rule in str(raised.value)


def test_guardrails_of_others_may_take_as_long_as_aws_allows() -> None:
    assert parse(strategy="AS_BEFORE").patience_seconds(4) == 8 * 3600
    assert parse(strategy="ALL_AT_ONCE").longest_seconds == 8 * 3600
    assert parse(strategy="ALL_AT_ONCE", maximum_execution_seconds=900).longest_seconds == 900


def test_nothing_of_a_form_that_was_left_empty_is_no_guardrails() -> None:
    assert Guardrails.of(None) is None
    assert Guardrails.of({"strategy": None, "step_percent": "None", "alarm_names": ""}) is None
    assert Guardrails.of({"strategy": "ALL_AT_ONCE", "step_percent": None}) == parse(strategy="ALL_AT_ONCE")


def test_too_many_alarms_together_and_inferentia_are_refused() -> None:
    names = [f"theirs-{number}" for number in range(9)]
    guardrails = parse(strategy="ALL_AT_ONCE", termination_wait_seconds=60, alarm_names=names)
    with pytest.raises(PlanError, match="with those made from the policy 11"):
        guardrails.to_aws(instances=1, instance_type=TYPE, alarms=["ours-1", "ours-2"])
    with pytest.raises(PlanError, match=r"do not support ml\.inf1\.xlarge"):
        guardrails.to_aws(instances=1, instance_type="ml.inf1.xlarge")


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 10, 20])
@pytest.mark.parametrize(
    "fields",
    [
        {"strategy": "ALL_AT_ONCE", "termination_wait_seconds": 60},
        {"strategy": "CANARY", "step_percent": 25, "wait_interval_seconds": 100, "termination_wait_seconds": 60},
        {"strategy": "LINEAR", "step_percent": 30, "wait_interval_seconds": 100, "termination_wait_seconds": 60},
        {"strategy": "ROLLING", "step_percent": 15, "wait_interval_seconds": 100},
    ],
)
def test_the_baking_is_as_long_as_the_update_takes(fields: dict[str, Any], count: int) -> None:
    guardrails = parse(**fields)
    config = guardrails.to_aws(instances=count, instance_type=TYPE)
    steps = plan_rollout(config, {"v": count}, {"v": count}).steps
    assert guardrails.baking_seconds(count) == sum(step.seconds for step in steps if isinstance(step, Bake))
    assert guardrails.patience_seconds(count) == guardrails.baking_seconds(count)
    longer = parse(**fields, maximum_execution_seconds=3000)
    assert longer.patience_seconds(count) == 3000
