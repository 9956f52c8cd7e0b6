"""AWS's own three steps for shadow variants, as its page has them, and what has to follow from them."""

from __future__ import annotations

import json
from typing import Any


def test_the_three_steps_serve_and_mirror(
    cloud: Any, make_model_archive: Any, aws: Any, status: Any, wait_until: Any
) -> None:
    sagemaker_client = aws("sagemaker")
    role = "arn:aws:iam::123456789012:role/execution"
    source = "def model_fn(d): return {n}\ndef transform_fn(m, body, ct, accept): return str(m), 'text/csv'"
    for number, model_name in ((1, "first-model"), (2, "second-model")):
        sagemaker_client.create_model(
            ModelName=model_name,
            ExecutionRoleArn=role,
            Containers=[
                {
                    "Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/image:1",
                    "ModelDataUrl": make_model_archive(model_name, source.format(n=number)),
                }
            ],
        )
    sagemaker_client.create_endpoint_config(
        EndpointConfigName="seed-config",
        ProductionVariants=[
            {
                "VariantName": "production",
                "ModelName": "first-model",
                "InstanceType": "ml.m5.xlarge",
                "InitialInstanceCount": 1,
                "InitialVariantWeight": 1,
            }
        ],
        ShadowProductionVariants=[
            {
                "VariantName": "shadow",
                "ModelName": "second-model",
                "InstanceType": "ml.m5.xlarge",
                "InitialInstanceCount": 1,
                "InitialVariantWeight": 1,
            }
        ],
    )
    created = sagemaker_client.create_endpoint(EndpointName="seed-endpoint", EndpointConfigName="seed-config")
    cloud.endpoints.append("seed-endpoint")
    assert created["EndpointArn"] == "arn:aws:sagemaker:us-east-1:123456789012:endpoint/seed-endpoint"
    waiter = sagemaker_client.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName="seed-endpoint", WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})

    for _ in range(20):
        answer = cloud.invoke("seed-endpoint")
        assert answer["Body"].read() == b"1"
        assert answer["InvokedProductionVariant"] == "production"
    wait_until(lambda: status("seed-endpoint")["counters"]["shadow"]["requests"] == 20)

    described = cloud.describe("seed-endpoint")
    assert [variant["VariantName"] for variant in described["ShadowProductionVariants"]] == ["shadow"]
    assert "PendingDeploymentSummary" not in described
    assert "DataCaptureConfig" not in described


def test_captures_of_both_variants_pair_by_inference_id(cloud: Any) -> None:
    production = cloud.model("def model_fn(d): return 1\ndef transform_fn(m, b, c, a): return '1', 'text/csv'")
    shadow = cloud.model(
        "def model_fn(d): return 2\ndef transform_fn(m, b, c, a): return '{\"a\": 2}', 'application/json'"
    )
    config = cloud.config(
        [cloud.variant("production", production)],
        [cloud.variant("shadow", shadow)],
        DataCaptureConfig=cloud.capture_config("pairs/"),
    )
    name = cloud.endpoint(config)
    ids = [f"request {number}" for number in range(50)]
    for number, inference_id in enumerate(ids):
        cloud.invoke(name, f"{number},é\n".encode(), InferenceId=inference_id, CustomAttributes="k=v")
    # A clean stop loses nothing, whatever the flush interval.
    cloud.delete(name)

    sides = {}
    for variant in ("production", "shadow"):
        objects = cloud.objects(f"pairs/{name}/{variant}/")
        assert objects
        records = [json.loads(line) for content in objects.values() for line in content.decode().splitlines()]
        sides[variant] = {record["eventMetadata"]["inferenceId"]: record for record in records}
        assert len(records) == len(ids)
    assert sorted(sides["production"]) == sorted(sides["shadow"]) == sorted(ids)

    one, other = sides["production"]["request 3"], sides["shadow"]["request 3"]
    assert one["captureData"] == {
        "endpointInput": {"observedContentType": "text/csv", "mode": "INPUT", "data": "3,é\n", "encoding": "CSV"},
        "endpointOutput": {"observedContentType": "text/csv", "mode": "OUTPUT", "data": "1", "encoding": "CSV"},
    }
    assert other["captureData"]["endpointOutput"] == {
        "observedContentType": "application/json",
        "mode": "OUTPUT",
        "data": '{"a": 2}',
        "encoding": "JSON",
    }
    assert other["captureData"]["endpointInput"] == one["captureData"]["endpointInput"]
    assert one["eventMetadata"]["eventId"] != other["eventMetadata"]["eventId"]
    assert one["eventMetadata"]["customAttributes"] == ["k=v"]
    assert one["eventVersion"] == "0"


def test_capture_keys_have_sagemakers_layout(cloud: Any) -> None:
    import re

    config = cloud.config([cloud.variant("v", cloud.model())], DataCaptureConfig=cloud.capture_config("layout/deep/"))
    name = cloud.endpoint(config)
    cloud.invoke(name)
    cloud.delete(name)
    (key,) = cloud.objects(f"layout/deep/{name}/")
    uuid4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    assert re.fullmatch(rf"layout/deep/{name}/v/\d{{4}}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{{3}}-{uuid4}\.jsonl", key)
