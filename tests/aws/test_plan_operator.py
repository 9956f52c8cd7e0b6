"""The plan that stands before everything else, with traffic as CloudWatch has it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk.bases.operator import ExecutorSafeguard

from shadow_provider.evidence.window import rounded_down
from shadow_provider.operators.plan import SageMakerShadowPlanOperator
from shadow_provider.plan.errors import PlanError
from tests.aws.conftest import Cloud

TIGHT = {"gates": [{"metric": "paired_error_rate", "margin": 0.001}], "deadline_hours": 4}
WIDE = {"gates": [{"metric": "paired_error_rate", "margin": 0.05}], "deadline_hours": 4, "minimum_pairs": 100}


class TaskInstance:
    """As much of a task instance as a link needs."""

    def xcom_push(self, key: str, value: Any) -> None:
        """Take it."""


@pytest.fixture(autouse=True)
def machine(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own credentials and endpoint, which `aws_conn_id=None` asks for."""
    for name, value in local_aws.address.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(ExecutorSafeguard, "test_mode", True)


@pytest.fixture
def endpoint(cloud: Cloud) -> str:
    """A live endpoint with 200 requests in each of the last five whole hours."""
    name = cloud.endpoint(cloud.config([cloud.variant("p", cloud.model())]))
    dimensions = [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "p"}]
    end = rounded_down(datetime.now(UTC), 3600)
    for hour in range(1, 6):
        data = [
            {"MetricName": metric, "Dimensions": dimensions, "Timestamp": end - timedelta(hours=hour), "Value": value}
            for metric, value in (("Invocations", 200.0), ("Invocation4XXErrors", 0.0), ("Invocation5XXErrors", 0.0))
        ]
        cloud.cloudwatch.put_metric_data(Namespace="AWS/SageMaker", MetricData=data)
    return name


def run(endpoint: str, **arguments: Any) -> dict[str, Any]:
    operator = SageMakerShadowPlanOperator(
        task_id="plan", endpoint_name=endpoint, deployment_id="d", aws_conn_id=None, **arguments
    )
    context: Any = {"ti": TaskInstance()}
    result: dict[str, Any] = operator.execute(context)
    return result


def test_a_margin_within_reach_has_its_hours(endpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    plan = run(endpoint, policy=WIDE, out_of_reach="refuse")
    assert plan["out_of_reach"] is False
    assert 0 < plan["hours"] < 4
    assert "41.67 pairs an hour" in plan["plan"]
    assert "paired_error_rate" in capsys.readouterr().out


def test_a_margin_out_of_reach_is_warned_of_and_on_demand_refused(endpoint: str) -> None:
    plan = run(endpoint, policy=TIGHT)
    assert plan["out_of_reach"] is True
    assert plan["warnings"]
    with pytest.raises(AirflowFailException, match="Nothing was made"):
        run(endpoint, policy=TIGHT, out_of_reach="refuse")


def test_a_smaller_share_takes_longer(endpoint: str) -> None:
    whole, tenth = (run(endpoint, policy=WIDE, sampling_percentage=share)["hours"] for share in (100, 50))
    assert tenth > 1.5 * whole


def test_without_an_endpoint_the_plan_is_in_pairs(unique: Any) -> None:
    plan = run(unique("none"), policy=TIGHT, out_of_reach="refuse")
    assert (plan["hours"], plan["out_of_reach"]) == (None, False)


@pytest.mark.parametrize(
    ("argument", "value", "words"),
    [
        ("out_of_reach", "stop", "out_of_reach='stop': must be one of warn, refuse"),
        ("policy", {"gates": []}, "policy: gates"),
        ("deadline", 0, "deadline=0"),
    ],
)
def test_a_wrong_argument_is_refused_when_the_dag_is_read(argument: str, value: Any, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        SageMakerShadowPlanOperator(task_id="plan", endpoint_name="e", **{argument: value})
