"""An environment's values: given to AWS, and to nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from shadow_provider.operators.base import is_templated
from shadow_provider.operators.model import SageMakerShadowModelOperator
from shadow_provider.plan.container_secrets import hidden_environment, values_to_mask, with_environment
from shadow_provider.plan.errors import PlanError
from shadow_provider.plan.model import ModelPlan

SECRET = "s3cr3t-of-the-model"
ROLE = "arn:aws:iam::123456789012:role/execution"


@pytest.mark.parametrize("key", ["environment", "Environment"])
def test_an_environment_is_hidden_and_comes_back(key: str) -> None:
    container = {"image": "x", key: {"TOKEN": SECRET}}
    hidden, environment = hidden_environment(container)
    assert hidden == {"image": "x", key: {"TOKEN": "***"}}
    assert with_environment(hidden, environment) == container


@pytest.mark.parametrize("container", [None, "{{ params.container }}", {"image": "x"}, {"environment": None}])
def test_without_an_environment_nothing_is_changed(container: Any) -> None:
    hidden, environment = hidden_environment(container)
    assert hidden == container
    assert with_environment(hidden, environment) == container


def test_settings_of_the_toolkit_are_not_masked_in_logs() -> None:
    environment = {"TOKEN": SECRET, "SAGEMAKER_PROGRAM": "inference.py", "EMPTY": ""}
    assert list(values_to_mask(environment)) == [SECRET]
    assert list(values_to_mask(None)) == []


@pytest.mark.parametrize(
    "container",
    [
        {"image": "x", "environment": {"TOKEN": [SECRET]}},
        {"image": "x", "Environment": {"TOKEN": {"a": SECRET}}},
        {"image": "x", "environment": SECRET},
        {"image": "x", "environmnt": {"TOKEN": SECRET}},
        {"image": "x", "ENVIRONMENT": {"TOKEN": SECRET}},
        f'{{"image": "x", "environment": {{"TOKEN": "{SECRET}"}}}}',
    ],
)
def test_a_wrong_argument_does_not_tell_the_environments_values(container: Any) -> None:
    for check in (
        lambda given: ModelPlan.parse("", given),
        lambda given: ModelPlan.parse_partly("", given, is_templated),
    ):
        with pytest.raises(PlanError) as caught:
            check({"container": container, "execution_role_arn": ROLE})
        assert SECRET not in str(caught.value)
        assert "container" in str(caught.value)


def test_what_airflow_stores_of_a_rendered_task_has_no_value_of_the_environment() -> None:
    operator = SageMakerShadowModelOperator(
        task_id="task",
        endpoint_name="fraud",
        side="shadow",
        container={"image": "{{ image }}", "environment": {"TOKEN": "{{ token }}"}},
        execution_role_arn=ROLE,
        deployment_id="d",
    )
    operator.render_template_fields({"image": "repo:1", "token": SECRET})  # type: ignore[typeddict-unknown-key]
    assert operator.container == {"image": "repo:1", "environment": {"TOKEN": "***"}}
    assert SECRET not in repr([getattr(operator, field) for field in operator.template_fields])
