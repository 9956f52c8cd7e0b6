from datetime import UTC, datetime
from typing import Any

import pytest

from shadow_provider.plan.endpoint_state import EndpointState
from shadow_provider.plan.new_production import differences, images_of

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:1.5"
PROMOTED = {"ProductionVariants": [{"VariantName": "AllTraffic", "ModelName": "m", "InitialVariantWeight": 1.0}]}


def state(shadows: int = 0, **variant: Any) -> EndpointState:
    serving = {
        "VariantName": "AllTraffic",
        "CurrentWeight": 1.0,
        "CurrentInstanceCount": 2,
        "DeployedImages": [{"SpecifiedImage": IMAGE, "ResolvedImage": f"{IMAGE}@sha256:1"}],
        **variant,
    }
    return EndpointState.of(
        {
            "EndpointName": "fraud",
            "EndpointArn": "arn",
            "EndpointStatus": "InService",
            "EndpointConfigName": "promoted",
            "ProductionVariants": [serving],
            "ShadowProductionVariants": [{"VariantName": "Shadow"}] * shadows,
            "LastModifiedTime": datetime(2026, 1, 1, tzinfo=UTC),
        }
    )


def test_what_is_as_asked_has_no_differences() -> None:
    assert differences(state(), PROMOTED, [IMAGE]) == []
    # What AWS does not say, or a model package does not name, is not held against it.
    silent = state(CurrentWeight=None, CurrentInstanceCount=None, DeployedImages=None)
    assert differences(silent, PROMOTED, [IMAGE]) == []
    assert differences(state(), PROMOTED, []) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (state(1), "it still has the shadow Shadow"),
        (state(VariantName="Other"), "its production variants are ['Other'], not ['AllTraffic']"),
        (state(CurrentWeight=0.0), "the weight of AllTraffic is 0, not 1"),
        (state(CurrentInstanceCount=0), "AllTraffic has no instance"),
        (
            state(DeployedImages=[{"SpecifiedImage": "old:1"}]),
            f"AllTraffic runs old:1, where the model has {IMAGE}",
        ),
    ],
)
def test_each_difference_is_told(found: EndpointState, said: str) -> None:
    assert differences(found, PROMOTED, [IMAGE]) == [said]


def test_a_models_images_in_either_form() -> None:
    assert images_of({"PrimaryContainer": {"Image": IMAGE}}) == (IMAGE,)
    assert images_of({"Containers": [{"Image": IMAGE}]}) == (IMAGE,)
    assert images_of({"Containers": [{"ModelPackageName": "package/1"}]}) == ()
    assert images_of({}) == ()
