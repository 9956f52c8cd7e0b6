"""What dead deployments left in the local AWS, by the command and by the operator."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from shadow_provider.hooks.alarms import PromotionAlarms
from shadow_provider.operators.orphans import SageMakerShadowOrphansOperator
from tests.aws.test_lease import LeasedFlow, deployment_of
from tests.aws.test_operators import Flow, context, go_live, hook, machine, make_flow  # noqa: F401 - fixtures
from tests.unit.cli.calling import call, said_wrong


@pytest.fixture
def left(make_flow: Callable[[], Flow]) -> Any:  # noqa: F811
    """A deployment that came as far as its shadow and died; its lease was released, so that it counts as dead."""
    flow = deployment_of(go_live(make_flow()), "dead")
    flow.hold()
    flow.to_shadow()
    request = {"AlarmName": f"{flow.names.alarms}errors", "MetricName": "Errors", "Namespace": "Test", "Period": 60,
               "EvaluationPeriods": 1, "Statistic": "Sum", "Threshold": 1.0,
               "ComparisonOperator": "GreaterThanThreshold"}  # fmt: skip
    PromotionAlarms(flow.hook, flow.deployment).ensure(request, flow.deployment.tags("guard", request))
    yield flow
    flow.changes.end()


def die(flow: LeasedFlow) -> None:
    from shadow_provider.hooks.lease import lease_keeper

    assert flow.lease is not None
    assert lease_keeper(flow.hook, flow.lease, flow.deployment).release()


def listed(flow: LeasedFlow, *options: str) -> tuple[int, dict[tuple[str, str], Any], list[str]]:
    result = call("orphans", "--endpoint", flow.endpoint_name, "--json", *options)
    answer = json.loads(result.stdout)
    return result.exit_code, {(item["kind"], item["name"]): item for item in answer["orphans"]}, answer["removed"]


def test_what_a_living_deployment_made_is_not_listed(left: LeasedFlow) -> None:
    assert listed(left, "--older-than", "0m") == (0, {}, [])


def test_a_dead_deployments_shadow_is_listed_with_its_cost_and_never_removed(left: LeasedFlow) -> None:
    die(left)
    code, found, removed = listed(left, "--remove", "--yes")
    alarm = ("alarm", f"{left.names.alarms}errors")
    assert (code, set(found), removed) == (3, {alarm, ("shadow", left.endpoint_name)}, [alarm[1]])
    shadow = found["shadow", left.endpoint_name]
    assert set(shadow["instance_hours"]) == {"ml.m5.xlarge"}
    assert shadow["remedy"].endswith(f"--endpoint-name {left.endpoint_name} --endpoint-config-name {left.baseline}")
    assert left.now == ("InService", left.names.shadow_config)


def test_what_nothing_uses_is_removed_on_request_and_nothing_else(left: LeasedFlow) -> None:
    left.rollback()
    die(left)
    code, found, _ = listed(left)
    mine = {("alarm", f"{left.names.alarms}errors"), ("model", left.names.candidate_model),
            ("endpoint config", left.names.shadow_config)}  # fmt: skip
    assert (code, set(found)) == (3, mine)
    assert all(item["removable"] for item in found.values())
    code, _, removed = listed(left, "--remove", "--yes")
    assert (code, set(removed)) == (0, {name for _, name in mine})
    assert listed(left) == (0, {}, [])
    assert left.now == ("InService", left.baseline)
    assert left.hook.model(left.incumbent) is not None


def test_without_tags_a_name_like_ours_is_never_listed(left: LeasedFlow) -> None:
    left.rollback()
    die(left)
    described = left.hook.endpoint_config(left.names.shadow_config) or {}
    keys = list(left.hook.tags(described["EndpointConfigArn"]))
    left.cloud.sagemaker.delete_tags(ResourceArn=described["EndpointConfigArn"], TagKeys=keys)
    _, found, _ = listed(left)
    assert ("endpoint config", left.names.shadow_config) not in found


def test_the_table_says_whose_it_is_and_asks_before_it_deletes(left: LeasedFlow) -> None:
    left.rollback()
    die(left)
    result = call("orphans", "--endpoint", left.endpoint_name, "--remove")
    assert result.exit_code == 1, "nobody answers the question"
    assert "deployment 'dag/dead'" in result.stdout
    assert left.names.candidate_model in result.stdout
    assert left.hook.model(left.names.candidate_model) is not None


def test_wrong_options_are_told(local_aws: Any) -> None:
    assert "must be a number with m, h or d" in said_wrong(call("orphans", "--older-than", "soon"), 2)
    assert "--remove with --json needs --yes" in said_wrong(call("orphans", "--json", "--remove"), 2)


def test_the_operator_lists_and_removes_only_when_asked(left: LeasedFlow) -> None:
    left.rollback()
    die(left)

    def run(**arguments: Any) -> Any:
        operator = SageMakerShadowOrphansOperator(
            task_id="find", endpoint_name=left.endpoint_name, aws_conn_id=None, **arguments
        )
        operator.__dict__["hook"] = left.hook
        return json.loads(json.dumps(operator.execute(context())))

    found = run(older_than=timedelta(days=1))
    assert {item["name"] for item in found["orphans"]} >= {left.names.candidate_model, left.names.shadow_config}
    assert found["removed"] == []
    assert set(run(remove="True")["removed"]) == {item["name"] for item in found["orphans"]}
    assert run() == {"orphans": [], "removed": []}
