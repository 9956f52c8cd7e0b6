from functools import cache
from typing import Any

import botocore.session
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.plan.names import MAX_NAME_LENGTH, NAME_PATTERN, DeploymentNames, deployment_names, resource_name

RUN_ID = "manual__2026-01-01T00:00:00+00:00"
# AWS takes these names for an endpoint; deployment ids are any text.
ENDPOINTS = st.from_regex(r"\A[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}\Z").filter(lambda name: len(name) <= MAX_NAME_LENGTH)
DEPLOYMENT_IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)


@cache
def awss_rule(operation: str, member: str) -> tuple[regex.Pattern[str], int]:
    """Pattern and maximal length that the service model has for a member of a request."""
    model = botocore.session.get_session().get_service_model("sagemaker")
    metadata: dict[str, Any] = model.operation_model(operation).input_shape.members[member].metadata
    return regex.compile(metadata["pattern"]), metadata["max"]


def is_legal(name: str, operation: str, member: str) -> bool:
    pattern, longest = awss_rule(operation, member)
    return len(name) <= longest and pattern.fullmatch(name) is not None


def assert_legal(names: DeploymentNames) -> None:
    assert [name for name in names.configs if not is_legal(name, "CreateEndpointConfig", "EndpointConfigName")] == []
    assert [name for name in names.models if not is_legal(name, "CreateModel", "ModelName")] == []


@pytest.mark.parametrize(
    ("name", "legal"), [("a-b", True), ("-a", False), ("a-", False), ("a_b", False), ("a" * 64, False), ("", False)]
)
def test_the_oracle_knows_awss_rule(name: str, legal: bool) -> None:
    assert is_legal(name, "CreateEndpointConfig", "EndpointConfigName") is legal
    assert is_legal(name, "CreateModel", "ModelName") is legal


@given(st.text("aB9-_.:\n ", min_size=1, max_size=70))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_our_pattern_is_awss_pattern(name: str) -> None:
    ours = regex.compile(NAME_PATTERN.removesuffix("$")).fullmatch(name) is not None
    assert (ours and len(name) <= MAX_NAME_LENGTH) is is_legal(name, "CreateEndpoint", "EndpointName")


@given(ENDPOINTS, DEPLOYMENT_IDS)
@settings(derandomize=True, deadline=None, max_examples=300)
def test_names_are_legal_stable_and_distinct(endpoint: str, deployment_id: str) -> None:
    names = deployment_names(endpoint, deployment_id)
    assert_legal(names)
    assert names == deployment_names(endpoint, deployment_id)
    assert len({*names.configs, *names.models}) == 5


@given(
    st.lists(st.tuples(ENDPOINTS, DEPLOYMENT_IDS), min_size=2, max_size=8, unique=True),
)
@settings(derandomize=True, deadline=None, max_examples=200)
def test_no_two_deployments_share_a_name(deployments: list[tuple[str, str]]) -> None:
    made = [
        name for pair in deployments for name in (*deployment_names(*pair).configs, *deployment_names(*pair).models)
    ]
    assert len(set(made)) == len(made)


@pytest.mark.parametrize(
    ("endpoint", "deployment_id"),
    [
        ("fraud", RUN_ID),
        ("fraud", "dag/schéma · 部署 🚀"),
        ("a" * 63, RUN_ID),
        ("a" + "-" * 61 + "b", RUN_ID),
        # Cut in the middle of the hyphens.
        ("a" * 40 + "-" * 15 + "b" * 8, RUN_ID),
        ("9", "x" * 10_000),
        ("UPPER-lower-0", "\n\t\0"),
    ],
)
def test_hard_inputs_give_legal_names(endpoint: str, deployment_id: str) -> None:
    assert_legal(deployment_names(endpoint, deployment_id))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("fraud", "run"), ("fraud", "run ")),
        (("fraud", "a+b"), ("fraud", "a:b")),
        # Nothing is lost by joining: the border between the two matters.
        (("fraud-a", "b"), ("fraud", "a-b")),
        (("fraud-a", "b"), ("fraud", "-ab")),
        # The same beginning, cut at the same place.
        (("a" * 62 + "b", "run"), ("a" * 62 + "c", "run")),
        (("Fraud", "run"), ("fraud", "run")),
    ],
)
def test_near_inputs_give_different_names(one: tuple[str, str], other: tuple[str, str]) -> None:
    ours, theirs = deployment_names(*one), deployment_names(*other)
    # Endpoint names are unique whatever their case on AWS, and so should these be.
    assert not {name.lower() for name in ours.configs} & {name.lower() for name in theirs.configs}


def test_the_endpoint_and_the_role_can_be_read_in_the_name() -> None:
    # A name that changed would orphan the resources of every deployment under way: this one is pinned.
    assert deployment_names("fraud-model", RUN_ID) == DeploymentNames(
        candidate_model="fraud-model-candidate-86a9b48685",
        incumbent_model="fraud-model-incumbent-86a9b48685",
        baseline_config="fraud-model-baseline-86a9b48685",
        shadow_config="fraud-model-shadow-86a9b48685",
        promoted_config="fraud-model-promoted-86a9b48685",
        alarms="fraud-model-guard-86a9b48685-",
    )


def test_a_name_without_any_legal_beginning_is_still_legal() -> None:
    assert is_legal(resource_name("___", "run", "shadow"), "CreateEndpointConfig", "EndpointConfigName")
