"""Deployment guardrails end to end, under callers that never stop; 300 AWS seconds pass in one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shadow_provider.local import LocalAWS, LocalSettings
from shadow_provider.local.faults import EndpointFault, VariantFault
from shadow_provider.local.serving.endpoint import IN_PROGRESS
from tests.aws.conftest import CHANGING, NUMBERED, Cloud, cloud_of, poll, traffic
from tests.aws.updates import Update, alarm, further, share_is
from tests.deployment_policies import blue_green, instances, percent, rolling

CLOCK = 300
BAKE = 450  # AWS seconds: 1.5 s here


@pytest.fixture(scope="module")
def guarded_aws() -> Iterator[LocalAWS]:
    with LocalAWS(LocalSettings(clock=CLOCK, seed=11, startup_floor=3, rollback_status="RollingBack")) as running:
        yield running


@pytest.fixture(scope="module")
def cloud(guarded_aws: LocalAWS, unique: Callable[[str], str]) -> Cloud:
    return cloud_of(guarded_aws, unique)


@pytest.fixture(scope="module")
def models(cloud: Cloud) -> list[str]:
    """Models that answer with their index."""
    return [cloud.model(NUMBERED.format(n=number)) for number in range(3)]


@pytest.fixture
def faults(guarded_aws: LocalAWS) -> Iterator[Any]:
    yield guarded_aws.faults
    guarded_aws.faults.clear()


@pytest.fixture
def status(guarded_aws: LocalAWS) -> Callable[[str], Any]:
    return lambda name: next(item for item in guarded_aws.status()["endpoints"] if item["name"] == name)


CANARY = blue_green("CANARY", BAKE, BAKE, CanarySize=percent(25))
LINEAR = blue_green("LINEAR", BAKE, LinearStepSize=instances(1))
# For what does not wait for their end.
LONG_CANARY = blue_green("CANARY", 3600, CanarySize=percent(25))
LONG_LINEAR = blue_green("LINEAR", 3600, LinearStepSize=instances(1))


@pytest.fixture
def update(cloud: Cloud, models: list[str]) -> Callable[..., Update]:
    return lambda count=2: Update(cloud, models, count)


def test_all_at_once_bakes_before_the_old_fleet_goes(update: Any, cloud: Cloud, status: Any) -> None:
    change = update()
    pids = status(change.name)["variants"][0]["pids"]
    with traffic(cloud, change.name) as seen:
        change.begin(blue_green("ALL_AT_ONCE", termination=BAKE))
        said = change.baking("Baking for 450 seconds (TerminationWaitInSeconds) with traffic enabled on full capacity")
        assert said.endswith("of 2 instance(s).")
        during = cloud.describe(change.name)
        assert (during["EndpointStatus"], during["EndpointConfigName"]) == ("Updating", change.old)
        assert during["ProductionVariants"][0]["CurrentInstanceCount"] == 2
        assert status(change.name)["variants"][0]["pids"] == pids  # the way back is still there
        begun = len(seen)
        described = change.ends_with(change.new)
        further(seen, 10)
        assert set(seen[begun + 3 :]) == {b"1"}
    assert described["LastDeploymentConfig"] == blue_green("ALL_AT_ONCE", termination=BAKE)
    assert "VariantStatus" not in described["ProductionVariants"][0]
    assert set(seen) == {b"0", b"1"}


def test_a_canary_gets_its_share_and_then_all(update: Any, cloud: Cloud) -> None:
    change = update(4)
    with traffic(cloud, change.name) as seen:
        change.begin(CANARY)
        said = "Baking for 450 seconds (WaitIntervalInSeconds) with traffic enabled on canary capacity of 1 "
        change.baking(said)
        during = change.answers_while(said, seen)
        change.baking("TerminationWaitInSeconds")
        moved = len(seen)
        change.ends_with(change.new)
        further(seen, 10)
    share_is(during, 0.25)
    assert set(seen[moved + 3 :]) == {b"1"}
    assert set(seen) == {b"0", b"1"}


def test_a_canary_is_that_many_instances(update: Any, cloud: Cloud, models: list[str]) -> None:
    own = cloud.model("import os\ndef model_fn(d): return os.getpid()\ndef transform_fn(m, b, c, a): return str(m), c")
    change = update(4)
    change.new = cloud.config([cloud.variant("v", own, InitialInstanceCount=4)])
    change.begin(CANARY)
    change.baking("WaitIntervalInSeconds")
    with traffic(cloud, change.name) as seen:
        during = change.answers_while("WaitIntervalInSeconds", seen)
        change.baking("TerminationWaitInSeconds")
        after = further(seen, 100)
    assert len(set(during)) == 2  # model 0, and one process of four
    assert len(set(after)) == 4
    change.ends_with(change.new)


def test_linear_steps(update: Any, cloud: Cloud) -> None:
    change = update(3)
    shares = []
    with traffic(cloud, change.name) as seen:
        # A third is 33 %: one instance at a time.
        change.begin(LINEAR)
        for number in (1, 2):
            said = f"linear capacity of {number} instance(s)"
            change.baking(said)
            shares.append(change.answers_while(said, seen))
        change.ends_with(change.new)
    for number, answers in enumerate(shares, 1):
        share_is(answers, number / 3)
    assert set(seen) == {b"0", b"1"}


def test_rolling_replaces_batch_by_batch(update: Any, cloud: Cloud, status: Any) -> None:
    change = update(4)
    counts = []
    with traffic(cloud, change.name) as seen:
        change.begin(rolling(instances(1), BAKE))
        for done in (1, 2, 3):
            change.baking(f"batch capacity of {done} instance(s)")
            described = cloud.describe(change.name)
            pending = described["PendingDeploymentSummary"]["ProductionVariants"][0]
            old = described["ProductionVariants"][0]
            counts.append((old["CurrentInstanceCount"], pending["CurrentInstanceCount"]))
            assert (old["DesiredInstanceCount"], pending["DesiredInstanceCount"]) == (4, 4)
            if done == 2:
                during = change.answers_while("capacity of 2 instance(s)", seen)
        change.ends_with(change.new)
    assert counts == [(4, 1), (3, 2), (2, 3)]
    share_is(during, 0.5)
    assert set(seen) == {b"0", b"1"}
    assert len(status(change.name)["variants"][0]["pids"]) == 4


@pytest.mark.parametrize(
    "policy", [LONG_CANARY, LONG_LINEAR, rolling(instances(1), 900)], ids=["canary", "linear", "rolling"]
)
def test_an_alarm_rolls_back(update: Any, cloud: Cloud, unique: Any, status: Any, policy: dict[str, Any]) -> None:
    change, name = update(3 if policy is LONG_LINEAR else 4), unique("alarm")
    count = len(status(change.name)["variants"][0]["pids"])
    with traffic(cloud, change.name) as seen:
        change.begin({**policy, **alarm(cloud, name)})
        # In a rolling deployment an instance of the old fleet has gone by then.
        change.baking("of 2 instance(s)" if "RollingUpdatePolicy" in policy else "of 1 instance(s)")
        poll(lambda: b"1" in seen)  # callers meet the new fleet
        cloud.cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
        described = change.ends_with(change.old)
        assert set(further(seen, 50)) == {b"0"}
    assert name in described["FailureReason"]
    assert set(seen) == {b"0", b"1"}
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == count
    variants = status(change.name)["variants"]
    assert [len(variant["pids"]) for variant in variants] == [count]


def test_an_alarm_on_a_metric_rolls_back(update: Any, cloud: Cloud, unique: Any) -> None:
    change, name = update(), unique("real")
    policy = {**blue_green("ALL_AT_ONCE", termination=3600), **alarm(cloud, name)}
    change.begin(policy)
    change.baking("TerminationWaitInSeconds")
    value = {"MetricName": name, "Value": 1.0, "StorageResolution": 1}
    cloud.cloudwatch.put_metric_data(Namespace="Own", MetricData=[value])
    assert name in change.ends_with(change.old)["FailureReason"]


def test_an_alarm_that_is_in_alarm_already_rolls_back(update: Any, cloud: Cloud, unique: Any) -> None:
    change = update()
    change.begin({**blue_green("ALL_AT_ONCE"), **alarm(cloud, unique("early"), "ALARM")})
    assert "early" in change.ends_with(change.old)["FailureReason"]


def test_the_time_limit_rolls_back(update: Any, cloud: Cloud) -> None:
    slow = cloud.model("import time\ndef model_fn(d): time.sleep(30)\ndef predict_fn(d, m): return d")
    change = update()
    change.new = cloud.config([cloud.variant("v", slow)])
    begun = time.monotonic()
    change.begin(blue_green("ALL_AT_ONCE", MaximumExecutionTimeoutInSeconds=600))  # 2 s here; the start may take 3 s
    described = change.ends_with(change.old)
    assert "exceeded MaximumExecutionTimeoutInSeconds (600 seconds)" in described["FailureReason"]
    assert time.monotonic() - begun >= 2


def test_what_an_update_shows_while_it_rolls_back(update: Any, cloud: Cloud, faults: Any) -> None:
    change = update()
    slow = cloud.model("import time\ndef model_fn(d): pass\ndef transform_fn(m, b, c, a): time.sleep(1); return b, c")
    change.new = cloud.config([cloud.variant("v", slow)])
    faults.add(EndpointFault(endpoint=change.name, kind="rollback", reason="A fault."))
    with traffic(cloud, change.name) as seen:
        change.begin(blue_green("ALL_AT_ONCE", termination=BAKE))
        poll(lambda: cloud.describe(change.name)["EndpointStatus"] == "RollingBack")
        described = cloud.describe(change.name)
        assert (
            described["PendingDeploymentSummary"]["ProductionVariants"][0]["VariantStatus"][0]["Status"] == "Deleting"
        )
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            cloud.sagemaker.delete_endpoint(EndpointName=change.name)
        assert change.ends_with(change.old)["FailureReason"] == "A fault."
    assert not [answer for answer in seen if isinstance(answer, Exception)]


def test_a_rolling_rollback_that_fails_leaves_a_mixed_fleet(
    update: Any, cloud: Cloud, unique: Any, faults: Any, status: Any, models: list[str]
) -> None:
    change, name = update(4), unique("alarm")
    with traffic(cloud, change.name) as seen:
        change.begin({**rolling(instances(2), 900), **alarm(cloud, name)})
        change.baking("of 4 instance(s)")
        broken = faults.add(VariantFault(endpoint=change.name, variant="v", kind="fail_pings"))
        cloud.cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
        described = change.ends_with(change.old, "UpdateRollbackFailed")
        during = further(seen, 150)
        broken.remove()
        (variant,) = described["ProductionVariants"]
        assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (6, 4)
        assert [len(item["pids"]) for item in status(change.name)["variants"]] == [2, 4]
        with pytest.raises(ClientError, match="in status UpdateRollbackFailed"):
            cloud.sagemaker.update_endpoint_weights_and_capacities(
                EndpointName=change.name, DesiredWeightsAndCapacities=[{"VariantName": "v", "DesiredWeight": 1}]
            )
        # Another update replaces both.
        change.new = cloud.config([cloud.variant("v", models[2])])
        change.begin()
        assert "FailureReason" not in change.ends_with(change.new)
        assert cloud.invoke(change.name)["Body"].read() == b"2"
    share_is(during, 4 / 6)
    assert set(seen) == {b"0", b"1", b"2"}
    assert len(status(change.name)["variants"]) == 1


@pytest.mark.parametrize(
    ("policy", "mixed"),
    [(rolling(instances(2), 30), True), (CANARY, False), (None, False)],
    ids=["rolling", "canary", "none"],
)
def test_the_fault_of_a_failed_rollback(
    update: Any, cloud: Cloud, faults: Any, status: Any, policy: dict[str, Any] | None, mixed: bool
) -> None:
    change = update(4)
    faults.add(EndpointFault(endpoint=change.name, kind="rollback_failed", reason="No way back."))
    with traffic(cloud, change.name) as seen:
        change.begin(policy)
        assert change.ends_with(change.old, "UpdateRollbackFailed")["FailureReason"] == "No way back."
        assert set(further(seen, 50)) == ({b"0", b"1"} if mixed else {b"0"})
        # An update that fails leaves what there is.
        faults.add(EndpointFault(endpoint=change.name, kind="capacity"))
        change.begin()
        change.ends_with(change.old, "UpdateRollbackFailed" if mixed else "InService")
        assert set(further(seen, 50)) == ({b"0", b"1"} if mixed else {b"0"})
    assert not [answer for answer in seen if isinstance(answer, Exception)]
    assert [len(item["pids"]) for item in status(change.name)["variants"]] == ([2, 2] if mixed else [4])
    cloud.delete(change.name)


@pytest.mark.parametrize("policy", [CANARY, rolling(instances(2), 30)], ids=["canary", "rolling"])
@pytest.mark.parametrize("kind", ["rollback", "capacity", "out_of_service"])
def test_faults_strike_in_every_strategy(
    update: Any, cloud: Cloud, faults: Any, policy: dict[str, Any], kind: Any
) -> None:
    change = update(4)
    faults.add(EndpointFault(endpoint=change.name, kind=kind))
    change.begin(policy)
    if kind == "out_of_service":
        change.cloud.settled(change.name)
        assert cloud.describe(change.name)["EndpointStatus"] == "OutOfService"
    else:
        described = change.ends_with(change.old)
        assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 4
        assert cloud.invoke(change.name)["Body"].read() == b"0"


def test_a_batch_that_does_not_come_up_rolls_back(update: Any, cloud: Cloud, faults: Any) -> None:
    change = update(4)
    with traffic(cloud, change.name) as seen:
        change.begin(rolling(instances(2), 900))
        change.baking("of 2 instance(s)")
        poll(lambda: b"1" in seen)
        broken = faults.add(VariantFault(endpoint=change.name, kind="fail_pings"))
        poll(lambda: cloud.describe(change.name)["ProductionVariants"][0].get("VariantStatus"))
        poll(lambda: cloud.describe(change.name)["EndpointStatus"] == "RollingBack")
        broken.remove()
        described = change.ends_with(change.old)
    assert "did not pass the ping health check" in described["FailureReason"]
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 4
    assert set(seen) == {b"0", b"1"}


def test_other_variant_names_update_all_at_once(update: Any, cloud: Cloud, models: list[str], unique: Any) -> None:
    change, name = update(), unique("ignored")
    change.new = cloud.config([cloud.variant("renamed", models[1], InitialInstanceCount=2)])
    begun = time.monotonic()
    change.begin({**blue_green("ALL_AT_ONCE", termination=3600), **alarm(cloud, name, "ALARM")})
    change.ends_with(change.new)
    assert time.monotonic() - begun < 3600 / CLOCK


def test_a_shadow_makes_it_all_at_once(update: Any, cloud: Cloud, models: list[str]) -> None:
    change = update()
    begun = time.monotonic()
    change.new = cloud.config([cloud.variant("v", models[1])], [cloud.variant("s", models[2])])
    change.begin(blue_green("ALL_AT_ONCE", termination=3600))
    change.ends_with(change.new)
    assert time.monotonic() - begun < 3600 / CLOCK


def test_several_variants_have_canaries_of_their_own(cloud: Cloud, models: list[str]) -> None:
    def config(*numbers: int) -> str:
        names = zip("ab", numbers, strict=True)
        return cloud.config([cloud.variant(name, models[n], InitialInstanceCount=2) for name, n in names])

    name, new = cloud.endpoint(config(0, 2)), config(1, 1)
    policy = blue_green("CANARY", 1500, CanarySize=percent(50))
    cloud.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=new, DeploymentConfig=policy)

    def stages() -> set[str]:
        pending = cloud.describe(name)["PendingDeploymentSummary"]["ProductionVariants"]
        return {variant["VariantStatus"][0]["Status"] for variant in pending}

    poll(lambda: stages() == {"Baking"})
    seen = {variant: [cloud.invoke(name, TargetVariant=variant)["Body"].read() for _ in range(60)] for variant in "ab"}
    assert {variant: set(answers) for variant, answers in seen.items()} == {"a": {b"0", b"1"}, "b": {b"2", b"1"}}
    for answers in seen.values():
        share_is(answers, 0.5)
    with pytest.raises(ClientError, match="Variant c not found"):
        cloud.invoke(name, TargetVariant="c")
    cloud.settled(name)
    with pytest.raises(ClientError, match="multi-variant"):
        cloud.sagemaker.update_endpoint(
            EndpointName=name, EndpointConfigName=new, DeploymentConfig=rolling(instances(1), 0)
        )


def test_the_last_deployment_config_can_be_used_again(update: Any, cloud: Cloud) -> None:
    change = update()
    assert "LastDeploymentConfig" not in cloud.describe(change.name)
    policy = blue_green("ALL_AT_ONCE", termination=60)
    named = {"EndpointName": change.name, "EndpointConfigName": change.new}
    with pytest.raises(ClientError, match="cannot be specified together"):
        cloud.sagemaker.update_endpoint(**named, DeploymentConfig=policy, RetainDeploymentConfig=True)
    change.begin(policy)
    change.ends_with(change.new)
    change.begin()  # a plain one in between does not bake, and leaves the last one that was given
    assert cloud.settled(change.name)["LastDeploymentConfig"] == policy
    change.begin(RetainDeploymentConfig=True)
    change.baking("Baking for 60 seconds")
    assert change.ends_with(change.new)["LastDeploymentConfig"] == policy


def test_a_policy_given_at_creation_is_kept_for_an_update(cloud: Cloud, models: list[str]) -> None:
    config = cloud.config([cloud.variant("v", models[0])])
    with pytest.raises(ClientError, match="CanarySize must be"):
        cloud.endpoint(config, DeploymentConfig=blue_green("CANARY"))
    policy = blue_green("ALL_AT_ONCE", termination=3600)
    begun = time.monotonic()
    name = cloud.endpoint(config, DeploymentConfig=policy)
    assert time.monotonic() - begun < 3600 / CLOCK
    assert cloud.describe(name)["LastDeploymentConfig"] == policy
    cloud.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, RetainDeploymentConfig=True)

    def baking() -> bool:
        pending = cloud.describe(name)["PendingDeploymentSummary"]["ProductionVariants"]
        return bool(pending[0]["VariantStatus"][0]["Status"] == "Baking")

    poll(baking)


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({**blue_green("ALL_AT_ONCE"), **rolling(instances(1), 0)}, "Only one of"),
        (rolling(instances(3), 0), "MaximumBatchSize must be between 5% and 50%"),
        (blue_green("ALL_AT_ONCE", termination=600, MaximumExecutionTimeoutInSeconds=600), "total waiting time"),
        ({"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "nowhere"}]}}, "alarm.* nowhere"),
        (blue_green("ALL_AT_ONCE", wait=3601), "less than or equal to 3600"),
    ],
)
def test_policies_that_are_refused(update: Any, cloud: Cloud, policy: dict[str, Any], said: str) -> None:
    change = update()
    with pytest.raises(ClientError, match=said) as caught:
        change.begin(policy)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert "LastDeploymentConfig" not in change.ends_with(change.old)


def test_a_system_update_refuses_changes_and_keeps_serving(update: Any, cloud: Cloud, faults: Any) -> None:
    change = update()
    before = faults.add(EndpointFault(endpoint="later-*", kind="system_update", seconds=600))
    with traffic(cloud, change.name) as seen:
        fault = faults.add(EndpointFault(endpoint=change.name, kind="system_update", seconds=900))
        assert cloud.describe(change.name)["EndpointStatus"] == "SystemUpdating"
        weights = [{"VariantName": "v", "DesiredWeight": 1}]
        for call, others in (
            (cloud.sagemaker.update_endpoint, {"EndpointConfigName": change.new}),
            (cloud.sagemaker.delete_endpoint, {}),
            (cloud.sagemaker.update_endpoint_weights_and_capacities, {"DesiredWeightsAndCapacities": weights}),
        ):
            with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
                call(EndpointName=change.name, **others)
        further(seen, 20)
        change.ends_with(change.old)
    assert (set(seen), fault.fired, before.fired) == ({b"0"}, 1, 0)
    # One that matches no endpoint waits for it, and ends with the fault.
    cloud.sagemaker.create_endpoint(EndpointName="later-1", EndpointConfigName=change.old)
    poll(lambda: cloud.describe("later-1")["EndpointStatus"] == "SystemUpdating")
    begun = time.monotonic()
    before.remove()
    poll(lambda: cloud.describe("later-1")["EndpointStatus"] == "InService")
    assert time.monotonic() - begun < 600 / CLOCK


def test_a_name_is_taken_while_its_endpoint_is_deleted(cloud: Cloud) -> None:
    slow = "import time\ndef model_fn(d): pass\ndef transform_fn(m, b, c, a): time.sleep(1); return b, c"
    config = cloud.config([cloud.variant("v", cloud.model(slow))])
    name = cloud.endpoint(config)
    with traffic(cloud, name) as seen:
        poll(lambda: seen)
        cloud.sagemaker.delete_endpoint(EndpointName=name)
        assert cloud.describe(name)["EndpointStatus"] == "Deleting"
        with pytest.raises(ClientError, match="Cannot create already existing endpoint"):
            cloud.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            cloud.sagemaker.delete_endpoint(EndpointName=name)
    poll(lambda: cloud.gone(name))


def test_every_change_in_progress_is_known() -> None:
    assert set(CHANGING) == {status.value for status in IN_PROGRESS}
