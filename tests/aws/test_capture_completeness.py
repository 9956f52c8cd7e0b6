from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shadow_provider.local import LocalAWS, LocalSettings


def captured_ids(cloud: Any, prefix: str) -> dict[str, list[str]]:
    """The inference ids that were captured, by variant."""
    found: dict[str, list[str]] = {}
    for key, content in cloud.objects(prefix).items():
        ids = [json.loads(line)["eventMetadata"]["inferenceId"] for line in content.splitlines()]
        found.setdefault(key.split("/")[2], []).extend(ids)
    return found


@pytest.mark.parametrize("change", ["update", "delete"])
def test_every_request_is_captured_once_of_both_variants_over_a_change(cloud: Any, change: str) -> None:
    model = cloud.model()
    config = cloud.config(
        [cloud.variant("p", model, InitialInstanceCount=2)],
        [cloud.variant("s", model)],
        DataCaptureConfig=cloud.capture_config(f"{change}d/"),
    )
    name = cloud.endpoint(config)
    sent = [str(number) for number in range(200)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: cloud.invoke(name, InferenceId=number), sent[:150]))
        if change == "update":
            plain = cloud.config([cloud.variant("p", model)], DataCaptureConfig=cloud.capture_config("updated/"))
            cloud.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=plain)
            list(pool.map(lambda number: cloud.invoke(name, InferenceId=number), sent[150:]))
            cloud.settled(name)
    cloud.delete(name)
    found = captured_ids(cloud, f"{change}d/{name}/")
    assert sorted(found["p"]) == sorted(sent if change == "update" else sent[:150])
    assert len(found["s"]) == len(set(found["s"]))
    assert set(found["s"]) >= set(sent[:150])


def test_objects_are_closed_at_their_size_while_requests_come() -> None:
    with LocalAWS(LocalSettings(capture_flush_seconds=3600, capture_object_bytes=4000, startup_timeout=15)) as aws:
        sagemaker = aws.boto3_client("sagemaker")
        uri = aws.put_model("s3://bucket/model.tar.gz", "def model_fn(d): return 0\ndef predict_fn(d, m): return d")
        sagemaker.create_model(
            ModelName="m",
            ExecutionRoleArn="arn:aws:iam::123456789012:role/r",
            PrimaryContainer={"Image": "i", "ModelDataUrl": uri},
        )
        sagemaker.create_endpoint_config(
            EndpointConfigName="c",
            ProductionVariants=[
                {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
            ],
            DataCaptureConfig={
                "InitialSamplingPercentage": 100,
                "DestinationS3Uri": "s3://bucket/captures",
                "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
            },
        )
        sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="e", WaiterConfig={"Delay": 1})
        runtime = aws.boto3_client("sagemaker-runtime")
        for _ in range(50):
            runtime.invoke_endpoint(EndpointName="e", Body=b"[1, 2]", ContentType="application/json")
        listed = aws.boto3_client("s3").list_objects_v2(Bucket="bucket", Prefix="captures/")["Contents"]
        assert len(listed) >= 3
        assert all(4000 <= item["Size"] < 5000 for item in listed)
