"""What AWS does not document is a setting: here the answers that are not the defaults, beside the defaults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shadow_provider.local import LocalAWS, LocalSettings
from tests.aws.conftest import Cloud, cloud_of, poll

POLICY = {
    "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
    "TerminationWaitInSeconds": 0,
}
GUARDED = {"BlueGreenUpdatePolicy": POLICY}


@pytest.fixture(scope="module", params=["default", "other"])
def answer(request: pytest.FixtureRequest, unique: Any) -> Iterator[tuple[str, Cloud]]:
    other: dict[str, Any] = {
        "same_config_update": "refused",
        "shadow_weight_update": "refused",
        "guardrails_with_shadow": "refused",
        # Three seconds here.
        "config_consistency_seconds": 180,
    }
    chosen = other if request.param == "other" else {}
    with LocalAWS(LocalSettings(seed=7, clock=60, **chosen)) as running:
        yield request.param, cloud_of(running, unique)


def served(cloud: Cloud) -> tuple[str, str]:
    """An endpoint with a shadow, and its configuration."""
    model = cloud.model()
    config = cloud.config([cloud.variant("production", model)], [cloud.variant("shadow", model)])
    name = f"for-{config}"

    def created() -> bool:
        try:
            cloud.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        except ClientError as error:
            if "Could not find endpoint configuration" not in str(error):
                raise
            return False
        return True

    poll(created)
    assert cloud.settled(name)["EndpointStatus"] == "InService"
    return name, config


def is_refused(call: Any, **request: Any) -> bool:
    try:
        call(**request)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationException":
            raise
        return True
    return False


def test_updates_that_aws_may_refuse(answer: tuple[str, Cloud]) -> None:
    kind, cloud = answer
    name, config = served(cloud)
    refused = kind == "other"
    weights = [{"VariantName": "shadow", "DesiredWeight": 0.5}]
    change = cloud.sagemaker.update_endpoint_weights_and_capacities
    assert is_refused(change, EndpointName=name, DesiredWeightsAndCapacities=weights) == refused
    shown = cloud.settled(name)["ShadowProductionVariants"][0]
    assert shown["CurrentWeight"] == (1.0 if refused else 0.5)
    update = cloud.sagemaker.update_endpoint
    assert is_refused(update, EndpointName=name, EndpointConfigName=config) == refused
    cloud.settled(name)
    model = cloud.model()
    other = cloud.config([cloud.variant("production", model)], [cloud.variant("shadow", model)])
    if refused:
        with pytest.raises(ClientError, match="shadow"):
            poll(lambda: _seen(update, EndpointName=name, EndpointConfigName=other, DeploymentConfig=GUARDED))
    else:
        update(EndpointName=name, EndpointConfigName=other, DeploymentConfig=GUARDED)
        assert cloud.settled(name)["EndpointConfigName"] == other


def _seen(update: Any, **request: Any) -> bool:
    """Updates once the configuration is seen."""
    try:
        update(**request)
    except ClientError as error:
        if "Could not find endpoint configuration" in str(error):
            return False
        raise
    return True


def test_a_new_configuration_may_not_be_seen_yet(answer: tuple[str, Cloud]) -> None:
    kind, cloud = answer
    config = cloud.config([cloud.variant("production", cloud.model())])
    request = {"EndpointName": f"early-{config}", "EndpointConfigName": config}
    assert is_refused(cloud.sagemaker.create_endpoint, **request) == (kind == "other")
    poll(lambda: _seen(cloud.sagemaker.create_endpoint, **request) if kind == "other" else True)
    assert cloud.settled(request["EndpointName"])["EndpointStatus"] == "InService"
