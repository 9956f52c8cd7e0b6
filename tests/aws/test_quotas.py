"""Quotas: refused at once, in AWS's words, and nothing is left of what was refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from shadow_provider.local import LocalAWS, LocalSettings, model_archive
from tests.aws.conftest import BUCKET, ECHO, Cloud

M5, C5 = "ml.m5.xlarge", "ml.c5.large"
QUOTAS = {
    f"{M5} for endpoint usage": 4,
    f"{C5} for endpoint usage": 0,
    "Number of instances across active endpoints": 5,
    "Maximum number of instances per endpoint": 3,
}

SLOW = ECHO.replace("return None", "import time; time.sleep(1)")


@pytest.fixture(scope="module")
def limited(unique: Callable[[str], str]) -> Iterator[Cloud]:
    with LocalAWS(LocalSettings(quotas=QUOTAS)) as running:

        def client(service: str) -> Any:
            return running.boto3_client(service, config=Config(retries={"total_max_attempts": 1}))

        def upload(name: str, source: str) -> str:
            key = f"{name}.tar.gz"
            client("s3").put_object(Bucket=BUCKET, Key=key, Body=model_archive(source))
            return f"s3://{BUCKET}/{key}"

        client("s3").create_bucket(Bucket=BUCKET)
        yield Cloud(client, upload, unique)


@pytest.fixture
def cloud(limited: Cloud) -> Iterator[Cloud]:
    yield limited
    for name in limited.endpoints:
        if not limited.gone(name):
            limited.settled(name)
            limited.delete(name)


def refused(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == "ResourceLimitExceeded"
    return str(caught.value.response["Error"]["Message"])


def said(name: str, used: int, added: int) -> str:
    return (
        f"The account-level service limit '{name}' is {QUOTAS[name]} Instances, with current utilization of {used} "
        f"Instances and a request delta of {added} Instances. "
    )


def fleet(cloud: Cloud, model: str, count: int, kind: str = M5) -> str:
    return cloud.config([cloud.variant("v", model, InitialInstanceCount=count, InstanceType=kind)])


def test_a_new_endpoint_has_to_fit(cloud: Cloud) -> None:
    model = cloud.model(ECHO)
    create = cloud.sagemaker.create_endpoint
    tags = [{"Key": "left", "Value": "behind"}]
    for count, kind, expected in (
        (1, C5, said(f"{C5} for endpoint usage", 0, 1)),
        (5, M5, said(f"{M5} for endpoint usage", 0, 5)),
        (4, M5, said("Maximum number of instances per endpoint", 0, 4)),
    ):
        config = fleet(cloud, model, count, kind)
        message = refused(create, EndpointName="refused", EndpointConfigName=config, Tags=tags)
        assert message.startswith(expected)
        assert message.endswith("contact AWS support to request an increase for this quota.")
    assert cloud.gone("refused")
    # The name is free, and the tags of the refused requests are not on it.
    cloud.sagemaker.create_endpoint(EndpointName="refused", EndpointConfigName=fleet(cloud, model, 1))
    cloud.endpoints.append("refused")
    arn = cloud.describe("refused")["EndpointArn"]
    assert cloud.sagemaker.list_tags(ResourceArn=arn)["Tags"] == []


def test_a_shadow_counts_and_so_do_other_endpoints(cloud: Cloud) -> None:
    model = cloud.model(ECHO)
    with_shadow = cloud.config([cloud.variant("v", model)], [cloud.variant("s", model, InitialInstanceCount=2)])
    cloud.endpoint(with_shadow)
    message = refused(cloud.sagemaker.create_endpoint, EndpointName="e", EndpointConfigName=fleet(cloud, model, 2))
    assert message.startswith(said(f"{M5} for endpoint usage", 3, 2))
    other = fleet(cloud, model, 3, "ml.m4.xlarge")
    message = refused(cloud.sagemaker.create_endpoint, EndpointName="e", EndpointConfigName=other)
    assert message.startswith(said("Number of instances across active endpoints", 3, 3))


def test_an_update_needs_room_for_both_fleets(cloud: Cloud) -> None:
    model = cloud.model(ECHO)
    small, large = fleet(cloud, model, 2), fleet(cloud, model, 3)
    name = cloud.endpoint(small)
    message = refused(cloud.sagemaker.update_endpoint, EndpointName=name, EndpointConfigName=large)
    assert message.startswith(said(f"{M5} for endpoint usage", 2, 3))
    described = cloud.describe(name)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", small)
    assert "PendingDeploymentSummary" not in described
    again, one = fleet(cloud, cloud.model(SLOW), 2), fleet(cloud, model, 1)
    cloud.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=again)
    # While it lasts, its four instances are in use.
    message = refused(cloud.sagemaker.create_endpoint, EndpointName="e", EndpointConfigName=one)
    assert message.startswith(said(f"{M5} for endpoint usage", 4, 1))
    assert cloud.settled(name)["EndpointConfigName"] == again
    # The old fleet is gone: there is room again.
    cloud.endpoint(one)


def test_a_rolling_update_needs_room_for_a_batch(cloud: Cloud) -> None:
    model = cloud.model(ECHO)
    name = cloud.endpoint(fleet(cloud, model, 3))
    batch = {"MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1}, "WaitIntervalInSeconds": 0}
    next_config = fleet(cloud, model, 3)
    update = {"EndpointName": name, "EndpointConfigName": next_config}
    assert refused(cloud.sagemaker.update_endpoint, **update).startswith(said(f"{M5} for endpoint usage", 3, 3))
    cloud.sagemaker.update_endpoint(**update, DeploymentConfig={"RollingUpdatePolicy": batch})
    assert cloud.settled(name)["EndpointConfigName"] == next_config


def test_a_change_of_capacity_needs_room_for_what_it_adds(cloud: Cloud) -> None:
    model = cloud.model(ECHO)
    name = cloud.endpoint(fleet(cloud, model, 2))
    other = cloud.endpoint(fleet(cloud, model, 1))

    def scale(count: int, endpoint: str = name) -> dict[str, Any]:
        wish = {"VariantName": "v", "DesiredInstanceCount": count}
        return {"EndpointName": endpoint, "DesiredWeightsAndCapacities": [wish]}

    change = cloud.sagemaker.update_endpoint_weights_and_capacities
    assert refused(change, **scale(3, other)).startswith(said(f"{M5} for endpoint usage", 3, 2))
    assert cloud.describe(other)["EndpointStatus"] == "InService"
    change(**scale(3))
    assert cloud.settled(name)["ProductionVariants"][0]["CurrentInstanceCount"] == 3
    assert refused(change, **scale(2, other)).startswith(said(f"{M5} for endpoint usage", 4, 1))
    # Less is always possible, and makes room.
    change(**scale(1))
    cloud.settled(name)
    change(**scale(2, other))
    assert cloud.settled(other)["ProductionVariants"][0]["CurrentInstanceCount"] == 2


def test_a_deleted_endpoint_gives_its_instances_back(cloud: Cloud) -> None:
    model = cloud.model(ECHO)
    config = fleet(cloud, model, 3)
    cloud.delete(cloud.endpoint(config))
    cloud.endpoint(config)
