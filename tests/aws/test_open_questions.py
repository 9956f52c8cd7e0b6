"""What AWS does not document: the answers to the questions of an endpoint's life that are not the default."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shadow_provider.local import LocalAWS, LocalSettings
from shadow_provider.local.faults import EndpointFault
from tests.aws.conftest import NUMBERED, Cloud, cloud_of, poll, traffic
from tests.aws.updates import Update, alarm, further, share_is
from tests.deployment_policies import blue_green, instances, percent, rolling

CLOCK = 300
MEASURING = "def model_fn(d): pass\ndef transform_fn(m, b, c, a): return str(len(b)), 'text/csv'"


@pytest.fixture(scope="module")
def other_aws() -> Iterator[LocalAWS]:
    settings = LocalSettings(
        clock=CLOCK,
        seed=2,
        rollback_failure_reason="empty",
        alarm_at_start="ignore",
        guardrails_with_shadow="supported",
        shadow_weight_update="refused",
        same_config_update="refused",
        mirror_share="shadow_weight",
        target_variant_shadow="served",
        max_payload_bytes=6_291_456,
    )
    with LocalAWS(settings) as running:
        yield running


@pytest.fixture(scope="module")
def cloud(other_aws: LocalAWS, unique: Callable[[str], str]) -> Cloud:
    return cloud_of(other_aws, unique)


@pytest.fixture(scope="module")
def models(cloud: Cloud) -> list[str]:
    """Models that answer with their index."""
    return [cloud.model(NUMBERED.format(n=number)) for number in range(2)]


def counters(running: LocalAWS, name: str) -> Any:
    (status,) = [item for item in running.status()["endpoints"] if item["name"] == name]
    return status["counters"]


def test_an_alarm_leaves_no_reason(cloud: Cloud, models: list[str], unique: Any) -> None:
    change, name = Update(cloud, models), unique("quiet")
    change.begin({**blue_green("ALL_AT_ONCE", termination=3600), **alarm(cloud, name)})
    change.baking("TerminationWaitInSeconds")
    cloud.cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
    assert "FailureReason" not in change.ends_with(change.old)


def test_an_update_rolls_back_in_the_state_updating(cloud: Cloud, models: list[str], other_aws: LocalAWS) -> None:
    change = Update(cloud, models)
    slow = "import time\ndef model_fn(d): pass\ndef transform_fn(m, b, c, a): time.sleep(1); return b, c"
    change.new = cloud.config([cloud.variant("v", cloud.model(slow))])
    other_aws.faults.add(EndpointFault(endpoint=change.name, kind="rollback"))
    with traffic(cloud, change.name):
        change.begin(blue_green("ALL_AT_ONCE", termination=150))
        poll(lambda: change.stage()[0] == "Deleting")
        assert cloud.describe(change.name)["EndpointStatus"] == "Updating"
        change.ends_with(change.old)


def test_an_alarm_that_was_in_alarm_counts_once_it_was_not(cloud: Cloud, models: list[str], unique: Any) -> None:
    change, name = Update(cloud, models), unique("early")
    change.begin({**blue_green("ALL_AT_ONCE", termination=300), **alarm(cloud, name, "ALARM")})
    change.ends_with(change.new)
    change.old, change.new = change.new, change.old
    change.begin({**blue_green("ALL_AT_ONCE", termination=3600), **alarm(cloud, name, "ALARM")})
    change.baking("TerminationWaitInSeconds")

    def flipped() -> bool:
        for state in ("OK", "ALARM"):
            cloud.cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")
        return bool(cloud.describe(change.name)["EndpointStatus"] == "InService")

    poll(flipped)
    change.ends_with(change.old)


@pytest.mark.parametrize(
    "policy", [blue_green("CANARY", 450, CanarySize=percent(50)), rolling(instances(1), 450)], ids=["canary", "rolling"]
)
def test_guardrails_beside_a_shadow(
    cloud: Cloud, models: list[str], policy: dict[str, Any], other_aws: LocalAWS
) -> None:
    change = Update(cloud, models)
    production = cloud.variant("v", models[1], InitialInstanceCount=2)
    change.new = cloud.config([production], [cloud.variant("s", models[0])])
    with traffic(cloud, change.name) as seen:
        change.begin(policy)
        change.baking("of 1 instance(s)")
        share_is(change.answers_while("of 1 instance(s)", seen), 0.5)
        change.ends_with(change.new)
        further(seen, 20)
    assert set(seen) == {b"0", b"1"}
    # Only what the new fleet answered was mirrored.
    assert 0 < counters(other_aws, change.name)["s"]["mirrored"] <= seen.count(b"1") + 3
    # And the shadow goes again.
    change.old, change.new = change.new, change.old
    change.begin(policy)
    assert "ShadowProductionVariants" not in change.ends_with(change.new)


def test_a_shadow_that_is_asked_for_answers(cloud: Cloud, models: list[str], other_aws: LocalAWS) -> None:
    change = Update(cloud, models)
    shadow = cloud.variant("s", models[0])
    change.new = cloud.config([cloud.variant("v", models[1], InitialInstanceCount=2)], [shadow])
    change.begin()
    change.ends_with(change.new)
    for _ in range(5):
        answer = cloud.invoke(change.name, TargetVariant="s")
        assert (answer["InvokedProductionVariant"], answer["Body"].read()) == ("s", b"0")
    counted = counters(other_aws, change.name)
    # It has got them already: nothing of them is mirrored, and production has no part in it.
    assert (counted["s"]["requests"], counted["s"]["mirrored"], counted["v"]["requests"]) == (5, 0, 0)
    assert cloud.invoke(change.name, TargetVariant="v")["InvokedProductionVariant"] == "v"
    poll(lambda: counters(other_aws, change.name)["s"]["mirrored"] == 1)
    with pytest.raises(ClientError, match="Variant t not found"):
        cloud.invoke(change.name, TargetVariant="t")


def test_a_shadow_that_is_asked_for_answers_while_traffic_shifts(cloud: Cloud, models: list[str]) -> None:
    change = Update(cloud, models)
    configs = [
        cloud.config([cloud.variant("v", model, InitialInstanceCount=2)], [cloud.variant("s", other)])
        for model, other in (models, models[::-1])
    ]
    change.new = configs[0]
    change.begin()
    change.ends_with(change.new)
    change.old, change.new = configs
    change.begin(blue_green("CANARY", 450, 450, CanarySize=percent(50)))

    def answers() -> set[bytes]:
        return {cloud.invoke(change.name, TargetVariant="s")["Body"].read() for _ in range(10)}

    change.baking("of 1 instance(s)")
    assert answers() == {b"1"}
    change.baking("TerminationWaitInSeconds")
    assert answers() == {b"0"}
    change.ends_with(change.new)


def test_the_share_is_the_shadows_weight_whatever_productions_is(
    cloud: Cloud, models: list[str], other_aws: LocalAWS
) -> None:
    production = cloud.variant("v", models[0], InitialVariantWeight=4)
    name = cloud.endpoint(cloud.config([production], [cloud.variant("s", models[1])]))
    for _ in range(40):
        cloud.invoke(name)
    poll(lambda: counters(other_aws, name)["s"]["mirrored"] == 40)
    cloud.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name, DesiredWeightsAndCapacities=[{"VariantName": "v", "DesiredWeight": 8}]
    )
    cloud.settled(name)
    for _ in range(40):
        cloud.invoke(name)
    poll(lambda: counters(other_aws, name)["s"]["mirrored"] == 80)


def test_the_payload_has_the_service_models_limit(cloud: Cloud) -> None:
    name = cloud.endpoint(cloud.config([cloud.variant("v", cloud.model(MEASURING))]))
    assert cloud.invoke(name, bytes(6_291_456))["Body"].read() == b"6291456"
    with pytest.raises(ClientError, match="exceeds the limit of 6291456 bytes"):
        cloud.invoke(name, bytes(6_291_457))


def test_a_shadow_keeps_its_weight(cloud: Cloud, models: list[str]) -> None:
    name = cloud.endpoint(cloud.config([cloud.variant("v", models[0])], [cloud.variant("s", models[1])]))
    with pytest.raises(ClientError, match="Variant s is a shadow variant"):
        cloud.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name, DesiredWeightsAndCapacities=[{"VariantName": "s", "DesiredWeight": 0.5}]
        )


def test_the_active_configuration_is_refused(cloud: Cloud, models: list[str]) -> None:
    change = Update(cloud, models)
    with pytest.raises(ClientError, match="already uses endpoint configuration"):
        cloud.sagemaker.update_endpoint(EndpointName=change.name, EndpointConfigName=change.old)
    change.begin()
    change.ends_with(change.new)


def test_guardrails_are_refused_beside_a_shadow_and_configurations_are_seen_late(unique: Callable[[str], str]) -> None:
    settings = LocalSettings(clock=CLOCK, guardrails_with_shadow="refused", config_consistency_seconds=3 * CLOCK)
    with LocalAWS(settings) as running:
        cloud = cloud_of(running, unique)
        model = cloud.model()
        begun = time.monotonic()
        config = cloud.config([cloud.variant("v", model)], [cloud.variant("s", model)])
        cloud.sagemaker.describe_endpoint_config(EndpointConfigName=config)
        with pytest.raises(ClientError, match=f'Could not find endpoint configuration ".*/{config}"'):
            cloud.endpoint(config)

        def created() -> str | None:
            try:
                return cloud.endpoint(config)
            except ClientError:
                return None

        name = poll(created)
        assert time.monotonic() - begun >= 3
        named = {"EndpointName": name, "EndpointConfigName": config}
        with pytest.raises(ClientError, match="not supported for endpoints with shadow variants"):
            cloud.sagemaker.update_endpoint(**named, DeploymentConfig=blue_green("ALL_AT_ONCE"))
        cloud.sagemaker.update_endpoint(**named)
        assert cloud.settled(name)["EndpointStatus"] == "InService"
