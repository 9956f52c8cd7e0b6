from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shadow_provider.local import LocalAWS

ARN = "arn:aws:sagemaker:us-east-1:123456789012"


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert caught.value.response["ResponseMetadata"]["RequestId"]
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


@pytest.mark.parametrize(
    ("operation", "arguments", "message"),
    [
        ("describe_model", {"ModelName": "No-Model"}, f'Could not find model "{ARN}:model/no-model".'),
        ("delete_model", {"ModelName": "nothing"}, f'Could not find model "{ARN}:model/nothing".'),
        (
            "describe_endpoint_config",
            {"EndpointConfigName": "nothing"},
            f'Could not find endpoint configuration "{ARN}:endpoint-config/nothing".',
        ),
        (
            "create_endpoint",
            {"EndpointName": "e", "EndpointConfigName": "nothing"},
            f'Could not find endpoint configuration "{ARN}:endpoint-config/nothing".',
        ),
        ("describe_endpoint", {"EndpointName": "nothing"}, f'Could not find endpoint "{ARN}:endpoint/nothing".'),
        ("delete_endpoint", {"EndpointName": "nothing"}, f'Could not find endpoint "{ARN}:endpoint/nothing".'),
        (
            "update_endpoint",
            {"EndpointName": "nothing", "EndpointConfigName": "nothing"},
            f'Could not find endpoint "{ARN}:endpoint/nothing".',
        ),
        ("list_tags", {"ResourceArn": f"{ARN}:model/nothing"}, f'Could not find model "{ARN}:model/nothing".'),
    ],
)
def test_what_does_not_exist(aws: Any, operation: str, arguments: dict[str, str], message: str) -> None:
    assert refusal(getattr(aws("sagemaker"), operation), **arguments) == ("ValidationException", message)


def test_names_that_are_taken(cloud: Any) -> None:
    model = cloud.model()
    arguments = {"ModelName": model.upper(), "ExecutionRoleArn": f"arn:aws:iam::{'1' * 12}:role/r"}
    container = {"Image": "i", "ModelDataUrl": "s3://anywhere/at-all"}
    code, message = refusal(cloud.sagemaker.create_model, **arguments, PrimaryContainer=container)
    assert (code, message) == (
        "ValidationException",
        f'Cannot create already existing model "{ARN}:model/{model}".',
    )
    config = cloud.config([cloud.variant("v", model)])
    code, message = refusal(
        cloud.sagemaker.create_endpoint_config,
        EndpointConfigName=config,
        ProductionVariants=[cloud.variant("v", model)],
    )
    assert message == f'Cannot create already existing endpoint configuration "{ARN}:endpoint-config/{config}".'
    name = cloud.endpoint(config)
    code, message = refusal(cloud.sagemaker.create_endpoint, EndpointName=name, EndpointConfigName=config)
    assert message == f'Cannot create already existing endpoint "{ARN}:endpoint/{name}".'


def test_model_data_must_be_in_s3(cloud: Any) -> None:
    for url in (f"s3://{cloud.bucket}/no/model.tar.gz", "s3://no-such-bucket/model.tar.gz"):
        code, message = refusal(
            cloud.sagemaker.create_model,
            ModelName="without-data",
            ExecutionRoleArn=f"arn:aws:iam::{'1' * 12}:role/r",
            PrimaryContainer={"Image": "i", "ModelDataUrl": url},
        )
        assert code == "ValidationException"
        assert message.startswith(f"Could not access model data at {url}. ")
    # A refused request leaves nothing behind.
    assert "Could not find model" in refusal(cloud.sagemaker.describe_model, ModelName="without-data")[1]


def test_constraints_in_awss_words(cloud: Any) -> None:
    variant = cloud.variant("v", "bad_model")
    code, message = refusal(
        cloud.sagemaker.create_endpoint_config, EndpointConfigName="c", ProductionVariants=[variant]
    )
    assert (code, message) == (
        "ValidationException",
        "1 validation error detected: Value 'bad_model' at 'productionVariants.1.member.modelName' failed to satisfy "
        "constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9]([\\-a-zA-Z0-9]*[a-zA-Z0-9])?",
    )
    long = "x" * 64
    assert refusal(cloud.sagemaker.describe_endpoint, EndpointName=long)[1] == (
        f"2 validation errors detected: Value '{long}' at 'endpointName' failed to satisfy constraint: Member must "
        f"have length less than or equal to 63; Value '{long}' at 'endpointName' failed to satisfy constraint: Member "
        "must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
    )
    wrong = cloud.variant("v", "m", InstanceType="ml.m5.tiny", VolumeSizeInGB=513)
    message = refusal(cloud.sagemaker.create_endpoint_config, EndpointConfigName="c", ProductionVariants=[wrong])[1]
    assert message.startswith("2 validation errors detected: ")
    assert (
        "at 'productionVariants.1.member.instanceType' failed to satisfy constraint: Member must satisfy enum"
        in message
    )
    assert message.endswith(
        "Value '513' at 'productionVariants.1.member.volumeSizeInGB' failed to satisfy constraint: Member must have "
        "value less than or equal to 512"
    )


def raw(local_aws: LocalAWS, target: str, body: bytes, content_type: str = "application/x-amz-json-1.1") -> Any:
    """An answer as it is on the wire, for requests that boto3 would not send."""
    request = urllib.request.Request(
        local_aws.endpoint_url, data=body, headers={"X-Amz-Target": target, "Content-Type": content_type}
    )
    try:
        return urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        return error


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (
            {"EndpointName": "e"},
            "ValidationException",
            "1 validation error detected: Value null at 'endpointConfigName' failed to satisfy constraint: Member must "
            "not be null",
        ),
        ({"EndpointName": 1}, "SerializationException", "NUMBER_VALUE can not be converted to a String"),
        ({"EndpointName": "e", "Tags": {}}, "SerializationException", "Expected list or null"),
        ([], "SerializationException", "Start of structure or map expected."),
    ],
)
def test_requests_that_boto3_would_not_send(local_aws: LocalAWS, body: Any, code: str, message: str) -> None:
    answer = raw(local_aws, "SageMaker.CreateEndpoint", json.dumps(body).encode())
    found = json.load(answer)
    assert (answer.status, found["__type"], found["message"]) == (400, code, message)
    assert answer.headers["x-amzn-errortype"] == code
    assert answer.headers["x-amzn-requestid"]


def test_an_unknown_operation_is_refused_at_once(aws: Any, local_aws: LocalAWS) -> None:
    code, message = refusal(aws("sagemaker").list_training_jobs)
    assert code == "UnknownOperationException"
    assert "ListTrainingJobs" in message
    code, _ = refusal(aws("cloudwatch").list_dashboards)
    assert code == "UnknownOperationException"
    answer = raw(local_aws, "SageMaker.", b"not json")
    assert answer.headers["x-amzn-errortype"] in ("UnknownOperationException", "SerializationException")


@pytest.mark.parametrize(
    ("production", "shadow", "said"),
    [
        ([{}], [{}, {"VariantName": "s2"}], "at most one shadow"),
        ([{}, {"VariantName": "p2"}], [{}], "Exactly one production variant"),
        ([{}], [{"VariantName": "p"}], "must be unique"),
        ([{}], [{"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}], "serverless"),
        ([{}], [{"ModelName": "nothing"}], f'Could not find model "{ARN}:model/nothing".'),
    ],
)
def test_what_a_shadow_excludes(
    cloud: Any, production: list[dict[str, Any]], shadow: list[dict[str, Any]], said: str
) -> None:
    model = cloud.model()
    code, message = refusal(
        cloud.sagemaker.create_endpoint_config,
        EndpointConfigName="excluded",
        ProductionVariants=[cloud.variant("p", model) | changes for changes in production],
        ShadowProductionVariants=[cloud.variant("s", model) | changes for changes in shadow],
    )
    assert code == "ValidationException"
    assert said in message


def test_a_shadow_of_several_containers_is_refused(cloud: Any, unique: Any) -> None:
    single, url = cloud.model(), f"s3://{cloud.bucket}/"
    name = unique("pipeline")
    data = cloud.sagemaker.describe_model(ModelName=single)["Containers"][0]["ModelDataUrl"]
    role = f"arn:aws:iam::{'1' * 12}:role/r"
    cloud.sagemaker.create_model(
        ModelName=name, ExecutionRoleArn=role, Containers=[{"Image": "a", "ModelDataUrl": data}, {"Image": "b"}]
    )
    cloud.s3.put_object(Bucket=cloud.bucket, Key="multi/model.tar.gz", Body=b"x")
    multi = unique("multi")
    container = {"Image": "a", "Mode": "MultiModel", "ModelDataUrl": f"{url}multi/"}
    cloud.sagemaker.create_model(ModelName=multi, ExecutionRoleArn=role, PrimaryContainer=container)
    for model, said in ((name, "multi-container"), (multi, "multi-model")):
        arguments = {
            "ProductionVariants": [cloud.variant("p", single)],
            "ShadowProductionVariants": [cloud.variant("s", model)],
        }
        assert said in refusal(cloud.sagemaker.create_endpoint_config, EndpointConfigName="c", **arguments)[1]


def test_what_is_not_modelled_is_said(cloud: Any) -> None:
    output = {"OutputConfig": {"S3OutputPath": "s3://b/p"}}
    config = cloud.config([cloud.variant("v", cloud.model())], AsyncInferenceConfig=output)
    code, message = refusal(cloud.sagemaker.create_endpoint, EndpointName="e", EndpointConfigName=config)
    assert code == "ValidationException"
    assert message == "The local AWS does not support endpoints with AsyncInferenceConfig yet."


def test_models_are_described_as_created(cloud: Any) -> None:
    name = cloud.model(Environment={"A": "1"})
    described = cloud.sagemaker.describe_model(ModelName=name)
    assert described["ModelArn"] == f"{ARN}:model/{name}"
    (container,) = described["Containers"]
    assert container["Environment"] == {"A": "1"}
    assert "PrimaryContainer" not in described
    assert described["CreationTime"].tzinfo is not None


def test_tags(cloud: Any) -> None:
    model = cloud.model()
    tags = [{"Key": f"key-{number:02}", "Value": "é"} for number in range(50)]
    config = cloud.config([cloud.variant("v", model)], Tags=tags)
    arn = cloud.sagemaker.describe_endpoint_config(EndpointConfigName=config)["EndpointConfigArn"]
    assert cloud.sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags
    code, message = refusal(cloud.sagemaker.add_tags, ResourceArn=arn, Tags=[{"Key": "one", "Value": "more"}])
    assert (code, message) == ("ValidationException", "The number of tags must not exceed 50.")
    cloud.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "key-07", "Value": "new"}])
    cloud.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["key-00"])
    found = {tag["Key"]: tag["Value"] for tag in cloud.sagemaker.list_tags(ResourceArn=arn)["Tags"]}
    assert (len(found), found["key-07"]) == (49, "new")
    code, message = refusal(cloud.sagemaker.add_tags, ResourceArn=arn, Tags=[{"Key": "no|bar", "Value": ""}])
    assert "at 'tags.1.member.key' failed to satisfy constraint: Member must satisfy regular" in message


def test_lists_have_pages(cloud: Any, unique: Any) -> None:
    model = cloud.model()
    names = []
    for _ in range(5):
        names.append(unique("paged"))
        cloud.sagemaker.create_endpoint_config(
            EndpointConfigName=names[-1], ProductionVariants=[cloud.variant("v", model)]
        )
    options = {"NameContains": "PAGED", "SortBy": "Name", "SortOrder": "Ascending"}
    pages = cloud.sagemaker.get_paginator("list_endpoint_configs").paginate(**options, PaginationConfig={"PageSize": 2})
    found = [[item["EndpointConfigName"] for item in page["EndpointConfigs"]] for page in pages]
    assert [len(page) for page in found] == [2, 2, 1]
    assert [name for page in found for name in page] == sorted(names)
    code, message = refusal(cloud.sagemaker.list_models, NextToken="nonsense")
    assert (code, message) == ("ValidationException", "The provided NextToken is invalid.")
