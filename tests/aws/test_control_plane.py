from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shadow_provider.local import LocalAWS
from tests.aws.answers import check_answers
from tests.aws.conftest import ECHO, IMAGE, ROLE, poll

ARN = "arn:aws:sagemaker:us-east-1:123456789012"
NO_DATA = "Could not access model data at "


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


def test_members_that_the_model_does_not_know_are_ignored(local_aws: LocalAWS, cloud: Any, unique: Any) -> None:
    name = unique("ignorant")
    body = {"ModelPackageGroupName": name, "NotInTheModel": 1, "ModelPackageGroupDescription": None}
    answer = raw(local_aws, "SageMaker.CreateModelPackageGroup", json.dumps(body).encode())
    assert answer.status == 200
    described = cloud.sagemaker.describe_model_package_group(ModelPackageGroupName=name)
    assert "ModelPackageGroupDescription" not in described


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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"PrimaryContainer": None}, "You must specify either PrimaryContainer or Containers."),
        ({"Containers": [{"Image": "i"}]}, "You can specify either PrimaryContainer or Containers, but not both."),
        (
            {"InferenceExecutionConfig": {"Mode": "Serial"}},
            "InferenceExecutionConfig can only be specified with Containers.",
        ),
        (
            {"PrimaryContainer": {}},
            "A container image must be specified, by the container or by its model package.",
        ),
        (
            {"PrimaryContainer": {"Image": "i", "InferenceSpecificationName": "s"}},
            "InferenceSpecificationName can only be specified with ModelPackageName.",
        ),
        (
            {"PrimaryContainer": {"Image": "i", "Environment": {"A": "é" * 513}}},
            "A key and a value of Environment must not exceed 1024 bytes: A.",
        ),
        (
            {
                "PrimaryContainer": None,
                "Containers": [{"Image": "i", "Environment": {f"K{n}": "v" * 1020}} for n in range(11)],
            },
            None,
        ),
        (
            {
                "PrimaryContainer": None,
                "Containers": [
                    {"Image": "i", "Environment": {f"K{n}_{m:02}": "v" * 1019 for m in range(11)}} for n in range(3)
                ],
            },
            "The total size of the environment variables exceeds 32 KB.",
        ),
    ],
)
def test_what_create_model_refuses(cloud: Any, unique: Any, change: dict[str, Any], said: str | None) -> None:
    request = {
        "ModelName": unique("ruled"),
        "ExecutionRoleArn": f"arn:aws:iam::{'1' * 12}:role/r",
        "PrimaryContainer": {"Image": "i"},
        **change,
    }
    request = {name: value for name, value in request.items() if value is not None}
    if said is None:
        cloud.sagemaker.create_model(**request)
    else:
        assert refusal(cloud.sagemaker.create_model, **request) == ("ValidationException", said)


def test_environments_have_a_hundred_entries_at_most(cloud: Any) -> None:
    container = {"Image": "i", "Environment": {f"K{number}": "" for number in range(101)}}
    role = f"arn:aws:iam::{'1' * 12}:role/r"
    message = refusal(cloud.sagemaker.create_model, ModelName="m", ExecutionRoleArn=role, PrimaryContainer=container)[1]
    assert message.endswith("Member must have length less than or equal to 100")


def data(uri: str, kind: str = "S3Prefix", compression: str = "None", **others: Any) -> dict[str, Any]:
    return {"S3DataSource": {"S3Uri": uri, "S3DataType": kind, "CompressionType": compression, **others}}


@pytest.mark.parametrize(
    ("container", "said"),
    [
        (
            {"ModelDataSource": data("s3://{}/raw")},
            'S3Uri must end with a forward slash ("/") when S3DataType is S3Prefix.',
        ),
        ({"ModelDataSource": data("s3://{}/missing/")}, NO_DATA),
        ({"ModelDataSource": data("s3://{}/raw/weights.b", "S3Object")}, NO_DATA),
        ({"ModelDataSource": data("s3://{}/raw/weights.bin", "S3Object")}, None),
        ({"ModelDataSource": data("s3://{}/raw/")}, None),
        (
            {"ModelDataSource": data("s3://{}/raw/"), "Mode": "MultiModel"},
            "ModelDataSource is not supported for containers of the mode MultiModel.",
        ),
        (
            {"ModelDataSource": data("s3://{}/raw/"), "ModelDataUrl": "s3://a/b"},
            "You can specify either ModelDataUrl or ModelDataSource, but not both.",
        ),
    ],
)
def test_how_model_data_may_be_named(cloud: Any, unique: Any, container: dict[str, Any], said: str | None) -> None:
    cloud.s3.put_object(Bucket=cloud.bucket, Key="raw/weights.bin", Body=b"x")
    source = container["ModelDataSource"]["S3DataSource"]
    named = {"S3DataSource": {**source, "S3Uri": source["S3Uri"].format(cloud.bucket)}}
    request = {
        "ModelName": unique("data"),
        "ExecutionRoleArn": f"arn:aws:iam::{'1' * 12}:role/r",
        "PrimaryContainer": {"Image": "i", **container, "ModelDataSource": named},
    }
    if said is None:
        cloud.sagemaker.create_model(**request)
    else:
        code, message = refusal(cloud.sagemaker.create_model, **request)
        assert code == "ValidationException"
        assert message.startswith(said)


@pytest.mark.parametrize(
    ("container", "said"),
    [
        (
            {"AdditionalModelDataSources": [{"ChannelName": "c", **data("s3://b/k/")}]},
            "The local AWS does not support models with AdditionalModelDataSources yet.",
        ),
        (
            {"ModelDataUrl": None, "ModelDataSource": data("s3://{}/raw/", ManifestS3Uri="s3://b/m")},
            "The local AWS does not support model data with ManifestS3Uri yet.",
        ),
        ({"ModelDataUrl": None}, "The local AWS does not support models without model data (images are not run) yet."),
    ],
)
def test_models_that_cannot_be_run_here_are_refused_when_they_are_to_run(
    cloud: Any, unique: Any, make_model_archive: Any, container: dict[str, Any], said: str
) -> None:
    cloud.s3.put_object(Bucket=cloud.bucket, Key="raw/weights.bin", Body=b"x")
    text = json.dumps({"Image": "i", "ModelDataUrl": make_model_archive("kept", ""), **container})
    given = {name: value for name, value in json.loads(text.replace("{}", cloud.bucket)).items() if value is not None}
    name = unique("unrun")
    cloud.sagemaker.create_model(
        ModelName=name, ExecutionRoleArn=f"arn:aws:iam::{'1' * 12}:role/r", PrimaryContainer=given
    )
    config = cloud.config([cloud.variant("v", name)])
    assert refusal(cloud.sagemaker.create_endpoint, EndpointName="e", EndpointConfigName=config)[1] == said


def test_rules_of_variants_and_captures(cloud: Any) -> None:
    model = cloud.model()

    def refused(variant: dict[str, Any], **others: Any) -> str:
        arguments = {"EndpointConfigName": "ruled", "ProductionVariants": [variant], **others}
        return refusal(cloud.sagemaker.create_endpoint_config, **arguments)[1]

    variant = cloud.variant("v", model)
    bare = {"VariantName": "v", "ModelName": model}
    assert refused(bare) == "InstanceType must be specified for variant v."
    assert refused({**bare, "InstanceType": "ml.m5.large"}) == "InitialInstanceCount must be specified for variant v."
    scaling = {"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 2}
    assert refused({**variant, "ManagedInstanceScaling": scaling}) == (
        "ManagedInstanceScaling is only supported for inference component endpoints."
    )
    shadow = [{**cloud.variant("s", model), "AcceleratorType": "ml.eia1.medium"}]
    assert "Elastic Inference" in refused(variant, ShadowProductionVariants=shadow)
    shadow = [cloud.variant("s", model, InstanceType="ml.inf1.xlarge")]
    assert "Inf1" in refused(variant, ShadowProductionVariants=shadow)
    for member, value, bound in (
        ("VolumeSizeInGB", 513, "less than or equal to 512"),
        ("ModelDataDownloadTimeoutInSeconds", 3601, "less than or equal to 3600"),
        ("ContainerStartupHealthCheckTimeoutInSeconds", 3601, "less than or equal to 3600"),
    ):
        assert refused({**variant, member: value}).endswith(f"Member must have value {bound}")
    capture = cloud.capture_config("ruled")
    capture["CaptureContentTypeHeader"]["JsonContentTypes"].append("TEXT/csv")
    assert refused(variant, DataCaptureConfig=capture) == (
        "CaptureContentTypeHeader has a content type more than once: text/csv."
    )
    capture = {**cloud.capture_config("ruled"), "InitialSamplingPercentage": 101}
    assert "less than or equal to 100" in refused(variant, DataCaptureConfig=capture)


def test_what_is_in_use_may_be_deleted_and_nothing_goes_with_it(cloud: Any) -> None:
    model = cloud.model()
    config = cloud.config([cloud.variant("v", model)])
    name = cloud.endpoint(config)
    cloud.sagemaker.delete_model(ModelName=model)
    assert cloud.sagemaker.describe_endpoint_config(EndpointConfigName=config)["EndpointConfigName"] == config
    cloud.sagemaker.delete_endpoint_config(EndpointConfigName=config)
    described = cloud.describe(name)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", config)
    assert cloud.invoke(name)["Body"].read() == b"1,2\n"
    # AWS: an endpoint whose own configuration is gone cannot be updated any more.
    other = cloud.config([cloud.variant("v", cloud.model())])
    message = refusal(cloud.sagemaker.update_endpoint, EndpointName=name, EndpointConfigName=other)[1]
    assert message == f'Could not find endpoint configuration "{ARN}:endpoint-config/{config}".'


def test_every_operation_answers_in_its_shape(
    cloud: Any, local_aws: LocalAWS, unique: Any, make_model_archive: Any
) -> None:
    client = local_aws.boto3_client("sagemaker")
    answered = check_answers(client)
    name = unique("shaped")
    tags = [{"Key": "k", "Value": "v"}]
    url = make_model_archive(name, ECHO)
    container = {"Image": IMAGE, "ModelDataUrl": url, "Environment": {"A": "1"}}
    client.create_model_package_group(ModelPackageGroupName=name, ModelPackageGroupDescription="d", Tags=tags)
    client.describe_model_package_group(ModelPackageGroupName=name)
    package = client.create_model_package(
        ModelPackageGroupName=name,
        ModelPackageDescription="d",
        InferenceSpecification={"Containers": [container], "SupportedContentTypes": ["text/csv"]},
        CustomerMetadataProperties={"a": "b"},
        ModelMetrics={"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://b/k"}}},
        ModelCard={"ModelCardContent": "{}", "ModelCardStatus": "Draft"},
    )["ModelPackageArn"]
    client.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved", ApprovalDescription="d")
    client.describe_model_package(ModelPackageName=package)
    model = {"ModelPackageName": package, "Environment": {"B": "2"}}
    network = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
    client.create_model(ModelName=name, ExecutionRoleArn=ROLE, Containers=[model], VpcConfig=network, Tags=tags)
    client.describe_model(ModelName=name)
    variant = cloud.variant("v", name, RoutingConfig={"RoutingStrategy": "RANDOM"}, VolumeSizeInGB=10)
    client.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[variant],
        ShadowProductionVariants=[cloud.variant("s", name)],
        DataCaptureConfig=cloud.capture_config(name),
        MetricsConfig={"EnableEnhancedMetrics": True},
        KmsKeyId="alias/key",
        Tags=tags,
    )
    client.describe_endpoint_config(EndpointConfigName=name)
    arn = client.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=tags)["EndpointArn"]

    def settled() -> bool:
        # Every step on the way has its shape too.
        return client.describe_endpoint(EndpointName=name)["EndpointStatus"] not in ("Creating", "Updating")

    poll(settled)
    policy = {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}}
    }
    client.update_endpoint(EndpointName=name, EndpointConfigName=name, DeploymentConfig=policy)
    poll(settled)
    desired = [{"VariantName": "v", "DesiredInstanceCount": 2}, {"VariantName": "s", "DesiredWeight": 0.5}]
    client.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=desired)
    poll(settled)
    described = client.describe_endpoint(EndpointName=name)
    assert (described["EndpointStatus"], described["MetricsConfig"]) == ("InService", {"EnableEnhancedMetrics": True})
    client.add_tags(ResourceArn=arn, Tags=tags)
    client.list_tags(ResourceArn=arn)
    client.delete_tags(ResourceArn=arn, TagKeys=["k"])
    client.list_models()
    client.list_endpoint_configs()
    client.list_endpoints()
    client.list_model_package_groups()
    client.list_model_packages(ModelPackageType="Both")
    client.delete_endpoint(EndpointName=name)
    poll(lambda: cloud.gone(name))
    client.delete_endpoint_config(EndpointConfigName=name)
    client.delete_model(ModelName=name)
    client.delete_model_package(ModelPackageName=package)
    client.delete_model_package_group(ModelPackageGroupName=name)
    assert answered == set(documented_operations())


def documented_operations() -> list[str]:
    """The operations that docs/local.md names for SageMaker."""
    page = Path(__file__).parents[2].joinpath("docs/local.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| sagemaker |"))
    return re.findall(r"[A-Z][A-Za-z]+", row)
