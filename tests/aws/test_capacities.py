"""UpdateEndpointWeightsAndCapacities; 60 AWS seconds pass in one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from scipy import stats

from shadow_provider.local import LocalAWS, LocalSettings
from shadow_provider.local.faults import EndpointFault, VariantFault
from shadow_provider.local.faults.models import CAPACITY_REASON
from tests.aws.conftest import NUMBERED, Cloud, cloud_of, poll, traffic
from tests.aws.updates import further

# Half a second here: long enough to see what DescribeEndpoint says meanwhile.
PROVISIONING = 30.0


@pytest.fixture(scope="module")
def scaled_aws() -> Iterator[LocalAWS]:
    settings = LocalSettings(clock=60, seed=5, startup_timeout=60, startup_floor=3, provisioning_seconds=PROVISIONING)
    with LocalAWS(settings) as running:
        yield running


@pytest.fixture(scope="module")
def cloud(scaled_aws: LocalAWS, unique: Callable[[str], str]) -> Cloud:
    return cloud_of(scaled_aws, unique)


@pytest.fixture(scope="module")
def model(cloud: Cloud) -> str:
    return cloud.model()


@pytest.fixture
def faults(scaled_aws: LocalAWS) -> Iterator[Any]:
    yield scaled_aws.faults
    scaled_aws.faults.clear()


@pytest.fixture
def status(scaled_aws: LocalAWS) -> Callable[[str], Any]:
    return lambda name: next(item for item in scaled_aws.status()["endpoints"] if item["name"] == name)


def change(cloud: Cloud, name: str, *wishes: dict[str, Any]) -> None:
    cloud.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name, DesiredWeightsAndCapacities=[{"VariantName": "v", **wish} for wish in wishes]
    )


def numbers(described: Any, member: str = "ProductionVariants") -> list[tuple[int, int, float, float]]:
    return [
        (
            variant["CurrentInstanceCount"],
            variant["DesiredInstanceCount"],
            variant["CurrentWeight"],
            variant["DesiredWeight"],
        )
        for variant in described[member]
    ]


def test_out_and_in_again_under_callers(cloud: Cloud, model: str, status: Any) -> None:
    config = cloud.config([cloud.variant("v", model)])
    name = cloud.endpoint(config)
    pids = status(name)["variants"][0]["pids"]
    with traffic(cloud, name) as seen:
        change(cloud, name, {"DesiredInstanceCount": 3, "DesiredWeight": 2})
        during = cloud.describe(name)
        assert (during["EndpointStatus"], numbers(during)) == ("Updating", [(1, 3, 1.0, 2.0)])
        (stage,) = during["ProductionVariants"][0]["VariantStatus"]
        assert stage["Status"] == "Updating"
        assert stage["StatusMessage"] == "Scaling out desired instance count to 3."
        assert "PendingDeploymentSummary" not in during
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            change(cloud, name, {"DesiredInstanceCount": 1})
        after = cloud.settled(name)
        assert (after["EndpointStatus"], numbers(after)) == ("InService", [(3, 3, 2.0, 2.0)])
        assert "VariantStatus" not in after["ProductionVariants"][0]
        grown = status(name)["variants"][0]["pids"]
        assert (len(grown), grown[:1]) == (3, pids)
        further(seen, 50)
        change(cloud, name, {"DesiredInstanceCount": 1})
        after = cloud.settled(name)
        assert numbers(after) == [(1, 1, 2.0, 2.0)]
        further(seen, 50)
    assert status(name)["variants"][0]["pids"] == pids
    assert set(seen) == {b"1,2\n"}
    # A later update keeps what was asked for last, if told to.
    for options, expected in (
        ({"RetainAllVariantProperties": True}, (1, 1, 2.0, 2.0)),
        (
            {
                "RetainAllVariantProperties": True,
                "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredWeight"}],
            },
            (1, 1, 1.0, 1.0),
        ),
    ):
        cloud.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, **options)
        assert numbers(cloud.settled(name)) == [expected]


def test_an_instance_finishes_what_it_has_before_it_goes(cloud: Cloud) -> None:
    slow = "import time\ndef model_fn(d): pass\ndef transform_fn(m, b, c, a): time.sleep(0.5); return b, c"
    name = cloud.endpoint(cloud.config([cloud.variant("v", cloud.model(slow), InitialInstanceCount=3)]))
    with traffic(cloud, name) as seen:
        further(seen, 3)  # each of three callers keeps an instance busy
        change(cloud, name, {"DesiredInstanceCount": 1})
        cloud.settled(name)
    assert set(seen) == {b"1,2\n"}


def test_weights_divide_the_requests(cloud: Cloud) -> None:
    models = [cloud.model(NUMBERED.format(n=number)) for number in range(2)]
    name = cloud.endpoint(cloud.config([cloud.variant("v", models[0]), cloud.variant("w", models[1])]))
    change(cloud, name, {"DesiredWeight": 1}, {"VariantName": "w", "DesiredWeight": 3})
    cloud.settled(name)
    with traffic(cloud, name) as seen:
        answers = further(seen, 300)
    low, high = stats.binom.interval(1 - 1e-6, 300, 0.75)
    assert low <= answers.count(b"1") <= high
    change(cloud, name, {"DesiredWeight": 0})
    cloud.settled(name)
    assert {cloud.invoke(name)["Body"].read() for _ in range(20)} == {b"1"}
    with pytest.raises(ClientError, match="weight greater than zero"):
        change(cloud, name, {"VariantName": "w", "DesiredWeight": 0})


def test_the_weight_of_a_shadow_is_its_share(cloud: Cloud, model: str, status: Any) -> None:
    name = cloud.endpoint(cloud.config([cloud.variant("v", model)], [cloud.variant("s", model)]))
    change(cloud, name, {"VariantName": "s", "DesiredWeight": 0.25, "DesiredInstanceCount": 2})
    described = cloud.settled(name)
    assert numbers(described, "ShadowProductionVariants") == [(2, 2, 0.25, 0.25)]
    with traffic(cloud, name) as seen:
        further(seen, 400)
    poll(lambda: status(name)["counters"]["s"]["requests"] == status(name)["counters"]["s"]["mirrored"])
    low, high = stats.binom.interval(1 - 1e-6, len(seen), 0.25)
    assert low <= status(name)["counters"]["s"]["mirrored"] <= high


@pytest.mark.parametrize("kind", ["pings", "capacity", "rollback"])
def test_a_scale_out_that_fails_changes_nothing(cloud: Cloud, model: str, status: Any, faults: Any, kind: str) -> None:
    name = cloud.endpoint(cloud.config([cloud.variant("v", model)]))
    pids = status(name)["variants"][0]["pids"]
    if kind == "pings":
        faults.add(VariantFault(endpoint=name, kind="fail_pings"))
    elif kind == "capacity":
        faults.add(EndpointFault(endpoint=name, kind="capacity"))
    else:
        faults.add(EndpointFault(endpoint=name, kind="rollback", reason="A fault."))
    reasons = {"pings": "did not pass the ping health check", "capacity": CAPACITY_REASON, "rollback": "A fault."}
    with traffic(cloud, name) as seen:
        change(cloud, name, {"DesiredInstanceCount": 3, "DesiredWeight": 5})
        described = cloud.settled(name)
    assert (described["EndpointStatus"], numbers(described)) == ("InService", [(1, 1, 1.0, 1.0)])
    assert reasons[kind] in described["FailureReason"]
    assert status(name)["variants"][0]["pids"] == pids
    assert set(seen) == {b"1,2\n"}
    faults.clear()
    change(cloud, name, {"DesiredInstanceCount": 2})
    described = cloud.settled(name)
    assert numbers(described) == [(2, 2, 1.0, 1.0)]
    assert "FailureReason" not in described


def test_a_scale_out_that_fails_is_seen_rolling_back(cloud: Cloud, tmp_path: Any) -> None:
    # Of two instances that are started one comes up and takes requests that it may finish; the other one breaks.
    source = f"""
import os, pathlib, time
def model_fn(d):
    for number in range(9):
        try:
            os.close(os.open({str(tmp_path)!r} + f"/{{number}}", os.O_CREAT | os.O_EXCL))
            break
        except FileExistsError:
            pass
    if number == 2:
        time.sleep(2)
        raise RuntimeError
    return number
def transform_fn(m, b, c, a):
    time.sleep(2 if m == 1 else 0)
    return b, c
"""
    name = cloud.endpoint(cloud.config([cloud.variant("v", cloud.model(source))]))
    with traffic(cloud, name) as seen:
        change(cloud, name, {"DesiredInstanceCount": 3})
        poll(lambda: cloud.describe(name)["EndpointStatus"] == "RollingBack")
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            change(cloud, name, {"DesiredInstanceCount": 1})
        described = cloud.settled(name)
        further(seen, 20)
    assert (described["EndpointStatus"], numbers(described)) == ("InService", [(1, 1, 1.0, 1.0)])
    assert set(seen) == {b"1,2\n"}


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"VariantName": "x", "DesiredWeight": 1}, 'Could not find variant "x" of endpoint'),
        ({"DesiredInstanceCount": 0}, "must be at least 1"),
        ({}, "Neither a weight nor an instance count"),
        ({"DesiredWeight": 0}, "weight greater than zero"),
        ({"ServerlessUpdateConfig": {"MaxConcurrency": 1}}, "not a serverless variant"),
    ],
)
def test_what_is_refused(cloud: Cloud, plain: str, wish: dict[str, Any], said: str) -> None:
    with pytest.raises(ClientError, match=said) as caught:
        change(cloud, plain, wish)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert cloud.describe(plain)["EndpointStatus"] == "InService"


def test_a_variant_is_named_once_and_the_endpoint_exists(cloud: Cloud, plain: str) -> None:
    with pytest.raises(ClientError, match="only once"):
        change(cloud, plain, {"DesiredWeight": 1}, {"DesiredInstanceCount": 2})
    with pytest.raises(ClientError, match='Could not find endpoint "arn'):
        change(cloud, "nowhere", {"DesiredWeight": 1})


def test_data_capture_cannot_be_excluded_from_what_is_retained(cloud: Cloud, plain: str) -> None:
    named = {"EndpointName": plain, "EndpointConfigName": cloud.describe(plain)["EndpointConfigName"]}
    excluded = [{"VariantPropertyType": "DataCaptureConfig"}]
    with pytest.raises(ClientError, match="does not support DataCaptureConfig in ExcludeRetainedVariantProperties"):
        cloud.sagemaker.update_endpoint(
            **named, RetainAllVariantProperties=True, ExcludeRetainedVariantProperties=excluded
        )
    # Without RetainAllVariantProperties an exclusion means nothing.
    cloud.sagemaker.update_endpoint(**named, ExcludeRetainedVariantProperties=excluded)
    cloud.settled(plain)


@pytest.fixture(scope="module")
def plain(cloud: Cloud, model: str) -> str:
    return cloud.endpoint(cloud.config([cloud.variant("v", model)]))
