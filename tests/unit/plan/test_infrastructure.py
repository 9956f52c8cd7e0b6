"""Whose instances carry the candidate after its promotion."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shadow_provider.plan.endpoint_config import Baseline, promoted_request
from shadow_provider.plan.endpoint_state import EndpointState
from shadow_provider.plan.errors import PlanError
from shadow_provider.plan.infrastructure import check_tested, infrastructure, promoted_variant

NOW = datetime(2026, 3, 2, tzinfo=UTC)
PRODUCTION = {
    "VariantName": "Prod", "ModelName": "old", "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 3,
    "InitialVariantWeight": 1.0, "VolumeSizeInGB": 30,
}  # fmt: skip
SHADOW = {
    "VariantName": "Shadow", "ModelName": "new", "InstanceType": "ml.g5.xlarge", "InitialInstanceCount": 1,
    "InitialVariantWeight": 1.0, "ModelDataDownloadTimeoutInSeconds": 900,
    "RoutingConfig": {"RoutingStrategy": "RANDOM"},
}  # fmt: skip
BASELINE = Baseline("base", PRODUCTION, {"KmsKeyId": "key"})


def shadow_config(weight: float = 1.0) -> dict[str, Any]:
    return {
        "EndpointConfigName": "shadow",
        "CreationTime": NOW,
        "ProductionVariants": [PRODUCTION],
        "ShadowProductionVariants": [{**SHADOW, "InitialVariantWeight": weight}],
        "DataCaptureConfig": {"DestinationS3Uri": "s3://b/c", "InitialSamplingPercentage": 100},
    }


def state(count: int | None = 4, weight: float | None = 1.0) -> EndpointState:
    shadow = {"VariantName": "Shadow", "DesiredInstanceCount": count, "CurrentWeight": weight}
    return EndpointState.of(
        {
            "EndpointName": "e",
            "EndpointArn": "arn",
            "EndpointStatus": "InService",
            "EndpointConfigName": "shadow",
            "ProductionVariants": [{"VariantName": "Prod", "DesiredInstanceCount": 3, "CurrentWeight": 1.0}],
            "ShadowProductionVariants": [{key: value for key, value in shadow.items() if value is not None}],
            "LastModifiedTime": NOW,
        }
    )


def test_productions_own_infrastructure_stays_untouched() -> None:
    assert promoted_variant(BASELINE, shadow_config(0.1), state(weight=0.1), "production") == PRODUCTION


def test_the_shadows_infrastructure_comes_under_productions_name_with_its_present_count() -> None:
    variant = promoted_variant(BASELINE, shadow_config(), state(), "shadow")
    request = promoted_request(BASELINE, config_name="promoted", candidate_model="new", variant=variant)
    (promoted,) = request["ProductionVariants"]
    assert promoted == {**SHADOW, "VariantName": "Prod", "InitialInstanceCount": 4}
    assert request["KmsKeyId"] == "key"


def test_without_a_present_count_the_shadows_first_one_holds() -> None:
    assert promoted_variant(BASELINE, shadow_config(), state(None, None), "shadow")["InitialInstanceCount"] == 1


@pytest.mark.parametrize(("configured", "present"), [(0.5, 1.0), (0.5, None), (1.0, 0.5)])
def test_a_shadow_that_had_a_part_of_the_load_proves_nothing_of_its_instances(
    configured: float, present: float | None
) -> None:
    with pytest.raises(PlanError, match=r"promote_infrastructure='shadow', sampling_percentage=50: .* must be 100"):
        promoted_variant(BASELINE, shadow_config(configured), state(weight=present), "shadow")


@pytest.mark.parametrize(("given", "expected"), [(None, "production"), ("None", "production"), ("shadow", "shadow")])
def test_what_is_left_out_is_productions(given: Any, expected: str) -> None:
    assert infrastructure(given) == expected


def test_another_choice_is_refused() -> None:
    with pytest.raises(PlanError, match="promote_infrastructure='both': must be one of production, shadow"):
        infrastructure("both")
    check_tested("production", 1)
