from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from shadow_provider.plan.endpoint_config import (
    Baseline,
    ShadowRun,
    baseline_of_live_endpoint,
    baseline_of_new_endpoint,
    baseline_request,
    promoted_request,
    shadow_request,
    with_capture,
)
from shadow_provider.plan.endpoint_state import EndpointState, VariantState
from shadow_provider.plan.errors import PlanError
from shadow_provider.plan.variants import DataCapture, ProductionVariant, ShadowVariant

MODEL = botocore.session.get_session().get_service_model("sagemaker")
MADE = datetime(2026, 1, 1, tzinfo=UTC)
CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 20,
    "DestinationS3Uri": "s3://bucket/of-production",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
}
VARIANT = {
    "VariantName": "Prod",
    "ModelName": "incumbent",
    "InstanceType": "ml.c5.large",
    "InitialInstanceCount": 2,
    "InitialVariantWeight": 0.7,
    "VolumeSizeInGB": 30,
    "ModelDataDownloadTimeoutInSeconds": 600,
    "ContainerStartupHealthCheckTimeoutInSeconds": 300,
    "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
}
CARRIED = {
    "DataCaptureConfig": CAPTURE,
    "KmsKeyId": "alias/storage",
    "MetricsConfig": {"EnableEnhancedMetrics": True},
    "ExecutionRoleArn": "arn:aws:iam::123456789012:role/execution",
    "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
    "EnableNetworkIsolation": False,
}
LIVE = {
    "EndpointConfigName": "fraud-v1",
    "EndpointConfigArn": "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/fraud-v1",
    "CreationTime": MADE,
    "ProductionVariants": [VARIANT],
    **CARRIED,
}


def running(instances: int | None = 5, name: str = "Prod") -> EndpointState:
    return EndpointState(
        name="fraud",
        arn="arn",
        status="InService",
        active_config="fraud-v1",
        pending_config=None,
        failure_reason="",
        production=(VariantState(name, instances, instances, 0.7),),
        shadows=(),
        last_modified=MADE,
    )


def requests() -> dict[str, dict[str, Any]]:
    """All three requests, for a live endpoint that has everything and for a new one that has little."""
    live = baseline_of_live_endpoint(running(), LIVE)
    new = baseline_of_new_endpoint(
        "new-baseline", ProductionVariant(instance_type="ml.m5.xlarge"), "incumbent",
        DataCapture(destination_s3_uri="s3://b/p"),
    )  # fmt: skip
    made = {}
    for kind, baseline in (("live", live), ("new", new)):
        made[f"{kind} baseline"] = baseline_request(baseline)
        made[f"{kind} shadow"] = shadow_request(
            baseline, config_name="s", candidate_model="candidate", shadow=ShadowVariant(), sampling_percentage=50
        )
        made[f"{kind} promoted"] = promoted_request(baseline, config_name="p", candidate_model="candidate")
    return made


@pytest.mark.parametrize("name", sorted(requests()))
def test_requests_are_what_create_endpoint_config_takes(name: str) -> None:
    shape = MODEL.operation_model("CreateEndpointConfig").input_shape
    assert ParamValidator().validate(requests()[name], shape).generate_report() == ""


def test_the_oracle_refuses_what_aws_only_answers() -> None:
    shape = MODEL.operation_model("CreateEndpointConfig").input_shape
    assert "CreationTime" in ParamValidator().validate(LIVE, shape).generate_report()


def test_every_member_of_a_config_is_carried_or_known_to_be_ours() -> None:
    # A member that AWS adds later must not be lost silently by a promotion: this test makes us look at it.
    members = set(MODEL.operation_model("CreateEndpointConfig").input_shape.members)
    everything = {**LIVE, **{member: {"any": 1} for member in members - set(LIVE)}}
    for excluded in ("AsyncInferenceConfig", "ShadowProductionVariants"):
        del everything[excluded]
    carried = set(baseline_of_live_endpoint(running(), everything).carried)
    assert members - carried == {
        "EndpointConfigName", "ProductionVariants", "ShadowProductionVariants", "Tags", "AsyncInferenceConfig",
    }  # fmt: skip


def test_the_shadow_config_is_the_baseline_plus_a_shadow() -> None:
    request = requests()["live shadow"]
    (production,), (shadow,) = request["ProductionVariants"], request["ShadowProductionVariants"]
    assert production == {**VARIANT, "InitialInstanceCount": 5, "InitialVariantWeight": 1.0}
    assert shadow == {
        **VARIANT,
        "VariantName": "Shadow",
        "ModelName": "candidate",
        "InitialInstanceCount": 5,
        "InitialVariantWeight": 0.5,
    }
    assert {key: request[key] for key in CARRIED} == CARRIED
    assert set(request) == {*CARRIED, "EndpointConfigName", "ProductionVariants", "ShadowProductionVariants"}


def test_the_promoted_config_is_the_baseline_with_another_model() -> None:
    request = requests()["live promoted"]
    assert request["ProductionVariants"] == [{**VARIANT, "InitialInstanceCount": 5, "ModelName": "candidate"}]
    assert "ShadowProductionVariants" not in request
    assert {key: request[key] for key in CARRIED} == CARRIED


def test_no_request_changes_the_baseline() -> None:
    baseline = baseline_of_live_endpoint(running(), LIVE)
    before = baseline_request(baseline)
    with_capture(baseline, DataCapture(destination_s3_uri="s3://other"))
    shadow_request(baseline, config_name="s", candidate_model="c", shadow=ShadowVariant(), sampling_percentage=1)
    promoted_request(baseline, config_name="p", candidate_model="c")
    assert baseline_request(baseline) == before
    assert LIVE["ProductionVariants"] == [VARIANT]


@pytest.mark.parametrize(("asked", "weight"), [(100, 1.0), (50, 0.5), (1, 0.01), (0.5, 0.005), (33.3, 0.333)])
def test_the_shadows_weight_is_the_share_to_copy(asked: float, weight: float) -> None:
    baseline = baseline_of_live_endpoint(running(), LIVE)
    request = shadow_request(
        baseline, config_name="s", candidate_model="c", shadow=ShadowVariant(), sampling_percentage=asked
    )
    assert request["ShadowProductionVariants"][0]["InitialVariantWeight"] == pytest.approx(weight)
    assert request["ProductionVariants"][0]["InitialVariantWeight"] == 1.0
    described = {**request, "CreationTime": MADE}
    assert ShadowRun.of(described).sampling_percentage == pytest.approx(asked)


def test_what_is_asked_of_the_shadow_goes_before_what_production_has() -> None:
    shadow = ShadowVariant(variant_name="next", instance_type="ml.m5.large", initial_instance_count=1)
    request = shadow_request(
        baseline_of_live_endpoint(running(), LIVE),
        config_name="s",
        candidate_model="c",
        shadow=shadow,
        sampling_percentage=100,
    )
    (made,) = request["ShadowProductionVariants"]
    assert (made["VariantName"], made["InstanceType"], made["InitialInstanceCount"]) == ("next", "ml.m5.large", 1)
    assert request["ProductionVariants"][0]["InstanceType"] == "ml.c5.large"


def test_the_shadow_needs_a_name_of_its_own() -> None:
    with pytest.raises(PlanError) as caught:
        shadow_request(
            baseline_of_live_endpoint(running(), LIVE),
            config_name="s",
            candidate_model="c",
            shadow=ShadowVariant(variant_name="Prod"),
            sampling_percentage=100,
        )
    assert str(caught.value) == (
        "shadow_variant.variant_name='Prod': is the production variant's name; the shadow needs another"
    )


@pytest.mark.parametrize(
    ("state", "count"),
    [(running(5), 5), (running(1), 1), (running(None), 2), (running(0), 2), (running(5, name="another"), 2)],
)
def test_the_present_instance_count_is_kept_where_aws_tells_it(state: EndpointState, count: int) -> None:
    assert baseline_of_live_endpoint(state, LIVE).variant["InitialInstanceCount"] == count


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"ShadowProductionVariants": [VARIANT]},
         "it has a shadow variant already, which is not this deployment's. SageMaker allows one: finish or roll back "
         "the other deployment first."),
        ({"ProductionVariants": [VARIANT, {**VARIANT, "VariantName": "b"}]},
         "it has 2 production variants; a shadow needs exactly one."),
        ({"ProductionVariants": []}, "it has 0 production variants; a shadow needs exactly one."),
        ({"AsyncInferenceConfig": {"OutputConfig": {}}},
         "it is an asynchronous endpoint; those cannot have a shadow variant."),
        ({"ProductionVariants": [{**VARIANT, "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}]},
         "its production variant is serverless; those cannot have a shadow variant."),
        ({"ProductionVariants": [{key: value for key, value in VARIANT.items() if key != "ModelName"}]},
         "its production variant has no model of its own (inference components)."),
        ({"ProductionVariants": [{key: value for key, value in VARIANT.items() if key != "InstanceType"}]},
         "its production variant has instance pools; a shadow of those is not supported."),
    ],
)  # fmt: skip
def test_endpoints_that_cannot_have_a_shadow_are_refused(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(PlanError) as caught:
        baseline_of_live_endpoint(running(), {**LIVE, **changes})
    assert str(caught.value) == f"endpoint_name='fraud' (config 'fraud-v1'): {rule}"


def test_a_new_baseline_has_what_was_asked_for_and_nothing_more() -> None:
    production = ProductionVariant(variant_name="v", instance_type="ml.m5.xlarge", initial_instance_count=3)
    baseline = baseline_of_new_endpoint("b", production, "m", None)
    assert baseline_request(baseline) == {
        "EndpointConfigName": "b",
        "ProductionVariants": [
            {
                "VariantName": "v",
                "InstanceType": "ml.m5.xlarge",
                "InitialInstanceCount": 3,
                "InitialVariantWeight": 1.0,
                "ModelName": "m",
            }
        ],
    }
    assert (baseline.variant_name, baseline.model_name) == ("v", "m")


@pytest.mark.parametrize(
    "present", [None, {}, {**CAPTURE, "EnableCapture": False}, {**CAPTURE, "InitialSamplingPercentage": 0}]
)
def test_without_any_capture_there_would_be_nothing_to_compare(present: dict[str, Any] | None) -> None:
    carried = {} if present is None else {"DataCaptureConfig": present}
    with pytest.raises(PlanError) as caught:
        with_capture(Baseline("fraud-v1", VARIANT, carried), None)
    assert str(caught.value) == (
        "data_capture=None: endpoint config 'fraud-v1' does not capture requests and answers, so there would be "
        "nothing to compare. Give data_capture={'destination_s3_uri': 's3://…'}."
    )


@pytest.mark.parametrize("present", [CAPTURE, {key: CAPTURE[key] for key in CAPTURE if key != "EnableCapture"}])
def test_the_endpoints_own_capture_is_kept_where_no_other_is_given(present: dict[str, Any]) -> None:
    baseline = Baseline("fraud-v1", VARIANT, {"DataCaptureConfig": present})
    assert with_capture(baseline, None) == baseline


def test_a_capture_that_is_given_replaces_the_endpoints_own_and_nothing_else() -> None:
    capture = DataCapture(destination_s3_uri="s3://b/p", sampling_percentage=40, kms_key_id="key")
    baseline = with_capture(baseline_of_live_endpoint(running(), LIVE), capture)
    assert baseline.carried == {
        **CARRIED,
        "DataCaptureConfig": {
            "EnableCapture": True,
            "InitialSamplingPercentage": 40,
            "DestinationS3Uri": "s3://b/p",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
            "KmsKeyId": "key",
        },
    }


def test_a_shadow_run_is_read_from_its_config() -> None:
    described = {**requests()["live shadow"], "CreationTime": MADE}
    assert ShadowRun.of(described) == ShadowRun(
        config_name="s",
        since=MADE,
        production_variant="Prod",
        shadow_variant="Shadow",
        incumbent_model="incumbent",
        candidate_model="candidate",
        sampling_percentage=50.0,
        capture_s3_uri="s3://bucket/of-production",
        capture_percentage=20,
        shadow_instance_type=described["ShadowProductionVariants"][0]["InstanceType"],
        shadow_instance_count=described["ShadowProductionVariants"][0]["InitialInstanceCount"],
    )
