from datetime import UTC, datetime, timedelta, timezone
from functools import cache

import botocore.session
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.plan import tags
from shadow_provider.plan.errors import ForeignResourceError

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
WANTED = tags.deployment_tags(
    endpoint_name="fraud",
    deployment_id="dag/run",
    role="shadow",
    content={"a": 1},
    created=NOON,
    baseline_config="fraud-v1",
    dag="dag",
    run="run",
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=400)


@cache
def awss_rule(shape: str) -> tuple[regex.Pattern[str], int]:
    metadata = botocore.session.get_session().get_service_model("sagemaker").shape_for(shape).metadata
    return regex.compile(metadata["pattern"]), metadata["max"]


def is_legal(text: str, shape: str) -> bool:
    pattern, longest = awss_rule(shape)
    return len(text) <= longest and pattern.fullmatch(text) is not None


def test_the_oracle_knows_awss_rule() -> None:
    assert is_legal("dag/run: 1+2=3 @é", "TagValue")
    assert not is_legal("a,b", "TagValue")
    assert not is_legal("x" * 257, "TagValue")


@given(TEXTS)
@settings(derandomize=True, deadline=None, max_examples=300)
def test_any_text_becomes_a_legal_value(text: str) -> None:
    assert is_legal(tags.tag_value(text), "TagValue")


@given(TEXTS, TEXTS)
@settings(derandomize=True, deadline=None, max_examples=300)
def test_different_deployments_have_different_values(one: str, other: str) -> None:
    assert (tags.tag_value(one) == tags.tag_value(other)) is (one == other)


@pytest.mark.parametrize(
    ("one", "other"), [("a,b", "a;b"), ("x" * 300, "x" * 301), ("a,b", "a_b"), ("部署", "配置"), ("a\n", "a\t")]
)
def test_what_is_lost_in_a_value_is_told_apart_by_its_digest(one: str, other: str) -> None:
    assert tags.tag_value(one) != tags.tag_value(other)


def test_a_legal_text_stays_as_it_is() -> None:
    text = "dag/manual__2026-01-01T00:00:00+00:00"
    assert tags.tag_value(text) == text


@given(TEXTS, TEXTS)
@settings(derandomize=True, deadline=None, max_examples=100)
def test_every_tag_is_legal(endpoint: str, deployment_id: str) -> None:
    made = tags.deployment_tags(
        endpoint_name=endpoint,
        deployment_id=deployment_id,
        role="shadow",
        content={},
        created=NOON,
        baseline_config="b",
        dag=endpoint,
        run=deployment_id,
    )
    assert len(made) == 8
    for key, value in made.items():
        assert is_legal(key, "TagKey")
        assert is_legal(value, "TagValue")


def test_tags_go_to_aws_and_come_back() -> None:
    assert tags.from_aws(tags.to_aws(WANTED)) == WANTED
    assert tags.to_aws({"k": "v"}) == [{"Key": "k", "Value": "v"}]


def test_only_what_is_known_stands_in_the_tags() -> None:
    assert (WANTED[tags.BASELINE_CONFIG], WANTED[tags.DAG], WANTED[tags.RUN]) == ("fraud-v1", "dag", "run")
    without = tags.deployment_tags(endpoint_name="fraud", deployment_id="d", role="candidate", content={}, created=NOON)
    assert not {tags.BASELINE_CONFIG, tags.DAG, tags.RUN} & set(without)


def test_the_making_is_told_in_utc_to_the_second() -> None:
    east = datetime(2026, 1, 2, 14, 30, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))
    made = tags.deployment_tags(endpoint_name="fraud", deployment_id="d", role="candidate", content={}, created=east)
    assert made[tags.CREATED] == "2026-01-02T12:30:00+00:00"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1}, {"a": "1"}, False),
        ({"a": {"b": None}}, {"a": {}}, False),
        ({"a": [1, 2]}, {"a": [2, 1]}, False),
    ],
)
def test_the_digest_tells_content_apart_and_not_its_order(
    one: dict[str, object], other: dict[str, object], same: bool
) -> None:
    assert (tags.content_digest(one) == tags.content_digest(other)) is same


def test_what_this_deployment_made_is_adopted() -> None:
    tags.check_adoptable("model", "m", WANTED | {"cost-center": "7"}, WANTED)


def test_who_made_it_when_and_in_which_run_is_no_part_of_the_adoption() -> None:
    earlier = {tags.CREATED: "2025-12-31T00:00:00+00:00", tags.DAG: "renamed", tags.RUN: "earlier"}
    tags.check_adoptable("model", "m", WANTED | earlier, WANTED)
    untagged = {key: value for key, value in WANTED.items() if key not in earlier}
    tags.check_adoptable("model", "m", untagged, WANTED)


@pytest.mark.parametrize(
    ("key", "value"),
    [(tags.DEPLOYMENT, "dag/other"), (tags.ENDPOINT, "other"), (tags.ROLE, "promoted"), (tags.DEPLOYMENT, None)],
)
def test_a_foreign_resource_is_refused_and_its_tag_named(key: str, value: str | None) -> None:
    found = {name: text for name, text in WANTED.items() if name != key} | ({key: value} if value else {})
    with pytest.raises(ForeignResourceError) as caught:
        tags.check_adoptable("endpoint config", "fraud-shadow", found, WANTED)
    assert str(caught.value) == (
        f"endpoint config 'fraud-shadow' exists already, and its tag {key} is {value!r} where this deployment has "
        f"{WANTED[key]!r}: it was not made by this deployment and is left alone. Delete or rename it, or give another "
        "deployment_id."
    )


def test_other_content_of_our_own_is_refused_with_both_digests() -> None:
    found = WANTED | {tags.CONTENT: "0" * 64}
    with pytest.raises(ForeignResourceError) as caught:
        tags.check_adoptable("model", "m", found, WANTED)
    assert str(caught.value) == (
        f"model 'm' was made by this deployment from other arguments (its content digest is {'0' * 64!r}, asked for is "
        f"{WANTED[tags.CONTENT]!r}). SageMaker cannot change it in place: start a new deployment (another "
        "deployment_id), or run the clean-up of this one first."
    )


@pytest.mark.parametrize(
    ("found", "ours"),
    [
        (WANTED, True),
        (WANTED | {tags.CONTENT: "other", tags.ROLE: "other"}, True),
        (WANTED | {tags.DEPLOYMENT: "dag/other"}, False),
        (WANTED | {tags.ENDPOINT: "other"}, False),
        ({}, False),
    ],
)
def test_ownership_is_deployment_and_endpoint(found: dict[str, str], ours: bool) -> None:
    assert tags.is_ours(found, endpoint_name="fraud", deployment_id="dag/run") is ours


def test_a_hostile_tag_cannot_forge_a_line_of_the_log() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    wanted = tags.deployment_tags(endpoint_name="fraud", deployment_id="d", role="shadow", content={}, created=now)
    for key in (tags.DEPLOYMENT, tags.CONTENT):
        with pytest.raises(ForeignResourceError) as caught:
            tags.check_adoptable("model", "m", {**wanted, key: "x\n[2026] ERROR forged\x1b[31m\u202e"}, wanted)
        assert str(caught.value).isprintable()
