"""Endpoints whose variants are scalable targets of Application Auto Scaling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from shadow_provider.local import LocalAWS, LocalSettings, model_archive
from tests.aws.conftest import BUCKET, ECHO, Cloud, poll

SLOW = ECHO.replace("return None", "import time; time.sleep(1)")
DIMENSION = "sagemaker:variant:DesiredInstanceCount"


class Scaling:
    """Application Auto Scaling for endpoint variants."""

    def __init__(self, client: Any) -> None:
        self.client = client

    @staticmethod
    def of(endpoint: str, variant: str) -> dict[str, str]:
        return {
            "ServiceNamespace": "sagemaker",
            "ResourceId": f"endpoint/{endpoint}/variant/{variant}",
            "ScalableDimension": DIMENSION,
        }

    def register(self, endpoint: str, variant: str, *, most: int = 4) -> None:
        target = self.of(endpoint, variant)
        self.client.register_scalable_target(**target, MinCapacity=1, MaxCapacity=most)
        self.client.put_scaling_policy(
            **target,
            PolicyName="per-instance",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": 70.0,
                "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            },
        )
        self.client.put_scheduled_action(
            **target, ScheduledActionName="night", Schedule="rate(1 hour)", ScalableTargetAction={"MinCapacity": 1}
        )

    def variants(self, endpoint: str) -> list[str]:
        found = self.client.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
        resources = [target["ResourceId"].split("/") for target in found]
        return sorted(parts[3] for parts in resources if parts[1] == endpoint)

    def leftovers(self, endpoint: str) -> list[str]:
        policies = self.client.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
        actions = self.client.describe_scheduled_actions(ServiceNamespace="sagemaker")["ScheduledActions"]
        return [
            item["ResourceId"]
            for item in [*policies, *actions]
            if item["ResourceId"].startswith(f"endpoint/{endpoint}/")
        ]


@pytest.fixture
def scaling(aws: Callable[[str], Any]) -> Scaling:
    return Scaling(aws("application-autoscaling"))


def refusal(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    return str(caught.value.response["Error"]["Message"])


def test_a_registered_variant_stays_as_it_is(cloud: Any, scaling: Scaling) -> None:
    first, second = cloud.model(), cloud.model()
    name = cloud.endpoint(cloud.config([cloud.variant("a", first), cloud.variant("b", first)]))
    scaling.register(name, "a")
    before = cloud.describe(name)["EndpointConfigName"]
    update = cloud.sagemaker.update_endpoint
    for variants in (
        [cloud.variant("b", first)],
        [cloud.variant("renamed", first), cloud.variant("b", first)],
        [cloud.variant("a", first, InstanceType="ml.c5.large")],
    ):
        assert refusal(update, EndpointName=name, EndpointConfigName=cloud.config(variants)) == (
            'The variant(s) ["a"] must be deregistered as scalable targets with AWS Auto Scaling before they can be '
            "removed or have their instance type updated."
        )
    described = cloud.describe(name)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", before)
    # Another model, another count, or what happens to others is no reason.
    changed = cloud.config([cloud.variant("a", second, InitialInstanceCount=2)])
    update(EndpointName=name, EndpointConfigName=changed)
    assert cloud.settled(name)["EndpointConfigName"] == changed
    assert scaling.variants(name) == ["a"]


def test_a_registered_shadow_has_to_be_deregistered_before_it_goes(cloud: Any, scaling: Scaling) -> None:
    model = cloud.model()
    alone = cloud.config([cloud.variant("v", model)])
    name = cloud.endpoint(cloud.config([cloud.variant("v", model)], [cloud.variant("s", model)]))
    scaling.register(name, "s")
    assert '["s"]' in refusal(cloud.sagemaker.update_endpoint, EndpointName=name, EndpointConfigName=alone)
    scaling.client.deregister_scalable_target(**scaling.of(name, "s"))
    cloud.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=alone)
    assert cloud.settled(name)["EndpointConfigName"] == alone


def test_a_deregistered_target_takes_its_policies_with_it(cloud: Any, scaling: Scaling) -> None:
    model = cloud.model()
    name = cloud.endpoint(cloud.config([cloud.variant("a", model), cloud.variant("b", model)]))
    for variant in ("a", "b"):
        scaling.register(name, variant)
    scaling.client.deregister_scalable_target(**scaling.of(name, "a"))
    assert scaling.variants(name) == ["b"]
    assert scaling.leftovers(name) == [f"endpoint/{name}/variant/b"] * 2
    with pytest.raises(ClientError, match="No scalable target found"):
        scaling.client.deregister_scalable_target(**scaling.of(name, "a"))


def test_a_deletion_takes_its_own_targets_with_it(cloud: Any, scaling: Scaling) -> None:
    model = cloud.model()
    config = cloud.config([cloud.variant("a", model), cloud.variant("b", model)])
    name, other = cloud.endpoint(config), cloud.endpoint(config)
    for variant in ("a", "b"):
        scaling.register(name, variant)
    scaling.register(other, "a")
    assert len(scaling.leftovers(name)) == 4
    cloud.delete(name)
    assert (scaling.variants(name), scaling.leftovers(name)) == ([], [])
    assert (scaling.variants(other), len(scaling.leftovers(other))) == (["a"], 2)


def test_a_refused_deletion_keeps_the_targets(cloud: Any, scaling: Scaling) -> None:
    config = cloud.config([cloud.variant("v", cloud.model(SLOW))])
    name = cloud.endpoint(config)
    scaling.register(name, "v")
    cloud.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
    assert "in-progress" in refusal(cloud.sagemaker.delete_endpoint, EndpointName=name)
    assert scaling.variants(name) == ["v"]


@pytest.mark.parametrize("resource", ["endpoint/{}/variant/other", "endpoint/no-{}/variant/v"])
def test_only_variants_that_there_are_can_be_registered(cloud: Any, scaling: Scaling, resource: str) -> None:
    name = cloud.endpoint(cloud.config([cloud.variant("v", cloud.model())]))
    target = {**scaling.of(name, "v"), "ResourceId": resource.format(name)}
    message = refusal(scaling.client.register_scalable_target, **target, MinCapacity=1, MaxCapacity=2)
    assert message == f"SageMaker endpoint variant doesn't exist: {target['ResourceId']}"
    assert scaling.variants(name) == []


def test_other_services_targets_are_motos_business(scaling: Scaling) -> None:
    scaling.client.register_scalable_target(
        ServiceNamespace="dynamodb",
        ResourceId="table/t",
        ScalableDimension="dynamodb:table:ReadCapacityUnits",
        MinCapacity=1,
        MaxCapacity=2,
    )
    (target,) = scaling.client.describe_scalable_targets(ServiceNamespace="dynamodb")["ScalableTargets"]
    assert target["ResourceId"] == "table/t"


@pytest.fixture
def strict(unique: Callable[[str], str]) -> Iterator[tuple[Cloud, Scaling]]:
    with LocalAWS(LocalSettings(autoscaling_on_delete="refuse")) as running:

        def client(service: str) -> Any:
            return running.boto3_client(service, config=Config(retries={"total_max_attempts": 1}))

        def upload(name: str, source: str) -> str:
            client("s3").create_bucket(Bucket=BUCKET)
            client("s3").put_object(Bucket=BUCKET, Key=name, Body=model_archive(source))
            return f"s3://{BUCKET}/{name}"

        yield Cloud(client, upload, unique), Scaling(client("application-autoscaling"))


def test_a_deletion_can_be_refused_while_there_are_targets(strict: tuple[Cloud, Scaling]) -> None:
    cloud, scaling = strict
    name = cloud.endpoint(cloud.config([cloud.variant("v", cloud.model(ECHO))]))
    scaling.register(name, "v")
    message = refusal(cloud.sagemaker.delete_endpoint, EndpointName=name)
    assert message.startswith("An Application AutoScaling scalable target exists for a variant being deleted, ")
    assert scaling.variants(name) == ["v"]
    assert cloud.describe(name)["EndpointStatus"] == "InService"
    scaling.client.deregister_scalable_target(**scaling.of(name, "v"))
    cloud.sagemaker.delete_endpoint(EndpointName=name)
    poll(lambda: cloud.gone(name))
