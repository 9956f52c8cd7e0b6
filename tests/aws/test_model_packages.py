"""The model registry, and models that are created from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.providers.amazon.aws.operators.sagemaker import SageMakerRegisterModelVersionOperator
from airflow.providers.amazon.aws.utils.sagemaker import ApprovalStatus
from botocore.config import Config
from botocore.exceptions import ClientError

from shadow_provider.local import LocalAWS, LocalSettings, model_archive
from tests.aws.conftest import BUCKET, IMAGE, ROLE

ARN = "arn:aws:sagemaker:us-east-1:123456789012"
SAYS = """
import os

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    return (os.environ["GREETING"] + os.environ["NAME"]).encode(), content_type
"""


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


class Registry:
    """Groups and packages as tests need them."""

    def __init__(self, sagemaker: Any, url: str, unique: Callable[[str], str]) -> None:
        self.sagemaker = sagemaker
        self.url = url
        self._unique = unique

    def specification(self, **container: Any) -> dict[str, Any]:
        return {"Containers": [{"Image": IMAGE, "ModelDataUrl": self.url, **container}]}

    def group(self, **others: Any) -> str:
        name = self._unique("Group")
        self.sagemaker.create_model_package_group(ModelPackageGroupName=name, **others)
        return name

    def version(self, group: str, container: dict[str, Any] | None = None, **others: Any) -> str:
        """Registers a version and returns its ARN."""
        answer = self.sagemaker.create_model_package(
            ModelPackageGroupName=group, InferenceSpecification=self.specification(**(container or {})), **others
        )
        return str(answer["ModelPackageArn"])

    def unversioned(self, **others: Any) -> str:
        name = self._unique("Package")
        specification = {
            **self.specification(),
            "SupportedTransformInstanceTypes": ["ml.m5.xlarge"],
            "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.xlarge"],
        }
        self.sagemaker.create_model_package(ModelPackageName=name, InferenceSpecification=specification, **others)
        return name

    def describe(self, name: str) -> Any:
        return self.sagemaker.describe_model_package(ModelPackageName=name)

    def approve(self, arn: str) -> None:
        self.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")


@pytest.fixture
def registry(cloud: Any, make_model_archive: Any, unique: Callable[[str], str]) -> Registry:
    return Registry(cloud.sagemaker, make_model_archive("registered", SAYS), unique)


def test_a_group(registry: Registry) -> None:
    tags = [{"Key": "team", "Value": "pricing"}]
    name = registry.group(ModelPackageGroupDescription="churn", Tags=tags)
    sagemaker, arn = registry.sagemaker, f"{ARN}:model-package-group/{name}"
    for given in (name, arn, name.upper()):
        described = sagemaker.describe_model_package_group(ModelPackageGroupName=given)
        assert described["ModelPackageGroupArn"] == arn
    assert described["ModelPackageGroupName"] == name
    assert described["ModelPackageGroupDescription"] == "churn"
    assert described["ModelPackageGroupStatus"] == "Completed"
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags
    assert refusal(sagemaker.create_model_package_group, ModelPackageGroupName=name.lower()) == (
        "ValidationException",
        f"Model Package Group already exists: {arn}",
    )
    sagemaker.delete_model_package_group(ModelPackageGroupName=arn)
    missing = ("ValidationException", f"ModelPackageGroup {arn} does not exist.")
    assert refusal(sagemaker.describe_model_package_group, ModelPackageGroupName=name) == missing
    assert refusal(sagemaker.delete_model_package_group, ModelPackageGroupName=name) == missing
    assert refusal(sagemaker.list_tags, ResourceArn=arn) == missing


def test_versions_count_up_and_are_not_given_twice(registry: Registry) -> None:
    group = registry.group()
    first, second = registry.version(group), registry.version(f"{ARN}:model-package-group/{group}")
    assert [first, second] == [f"{ARN}:model-package/{group.lower()}/{number}" for number in (1, 2)]
    described = registry.describe(second)
    assert described == {**registry.describe(f"{group}/2"), "ResponseMetadata": described["ResponseMetadata"]}
    assert (described["ModelPackageGroupName"], described["ModelPackageVersion"]) == (group, 2)
    assert "ModelPackageName" not in described
    assert described["ModelApprovalStatus"] == "PendingManualApproval"
    assert described["ModelPackageStatus"] == "Completed"
    assert described["ModelPackageStatusDetails"] == {"ValidationStatuses": [], "ImageScanStatuses": []}
    assert described["LastModifiedTime"] == described["CreationTime"]
    (container,) = described["InferenceSpecification"]["Containers"]
    assert container["ImageDigest"].startswith("sha256:")
    registry.sagemaker.delete_model_package(ModelPackageName=second)
    missing = ("ValidationException", f"ModelPackage {second} does not exist.")
    assert refusal(registry.sagemaker.describe_model_package, ModelPackageName=f"{group}/2") == missing
    assert refusal(registry.sagemaker.delete_model_package, ModelPackageName=second) == missing
    assert registry.version(group).endswith("/3")
    code, _ = refusal(registry.sagemaker.delete_model_package_group, ModelPackageGroupName=group)
    assert code == "ConflictException"


def test_a_package_without_a_group(registry: Registry) -> None:
    name = registry.unversioned(Tags=[{"Key": "a", "Value": "b"}])
    arn = f"{ARN}:model-package/{name.lower()}"
    described = registry.describe(name)
    assert (described["ModelPackageName"], described["ModelPackageArn"]) == (name, arn)
    assert "ModelApprovalStatus" not in described
    sagemaker = registry.sagemaker
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "c", "Value": "d"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "c", "Value": "d"}]
    specification = described["InferenceSpecification"]
    assert refusal(
        sagemaker.create_model_package, ModelPackageName=name.upper(), InferenceSpecification=specification
    ) == ("ValidationException", f"Model Package already exists: {arn}")
    said = refusal(sagemaker.update_model_package, ModelPackageArn=arn, ModelApprovalStatus="Approved")[1]
    assert said == "ModelApprovalStatus does not apply to unversioned model packages."
    other = f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/{name.lower()}"
    assert refusal(sagemaker.describe_model_package, ModelPackageName=other)[1] == (
        f"ModelPackage {other} does not exist."
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "Missing ARN."),
        (
            {"ModelPackageName": "a", "ModelPackageGroupName": "b"},
            "Both ModelPackageName and ModelPackageGroupName are provided in the input. Cannot determine which one to "
            "use.",
        ),
        ({"ModelPackageGroupName": "none"}, f"ModelPackageGroup {ARN}:model-package-group/none does not exist."),
        ({"ModelPackageName": "a"}, "InferenceSpecification must be specified for an unversioned model package."),
        (
            {"ModelPackageName": "a", "InferenceSpecification": {"Containers": [{"Image": "i"}]}},
            "SupportedTransformInstanceTypes must be specified for an unversioned model package.",
        ),
        (
            {"ModelPackageName": "a", "ModelApprovalStatus": "Approved"},
            "ModelApprovalStatus does not apply to unversioned model packages.",
        ),
    ],
)
def test_packages_that_are_refused(aws: Any, arguments: dict[str, Any], said: str) -> None:
    assert refusal(aws("sagemaker").create_model_package, **arguments) == ("ValidationException", said)


def test_versions_that_are_refused(registry: Registry) -> None:
    group, sagemaker = registry.group(), registry.sagemaker
    missing = f"s3://{BUCKET}/no/model.tar.gz"
    specifications = [registry.specification(ModelDataUrl=missing)]
    for arguments in (
        {"InferenceSpecification": specifications[0]},
        {"AdditionalInferenceSpecifications": [{"Name": "x", **specifications[0]}]},
    ):
        code, said = refusal(sagemaker.create_model_package, ModelPackageGroupName=group, **arguments)
        assert code == "ValidationException"
        assert said.startswith(f"Could not access model data at {missing}. ")
    tags = [{"Key": "a", "Value": "b"}]
    said = refusal(sagemaker.create_model_package, ModelPackageGroupName=group, Tags=tags)[1]
    assert said.startswith("Tags cannot be specified")
    for member, value in (
        ("ValidationSpecification", {"ValidationRole": ROLE, "ValidationProfiles": []}),
        ("SourceUri", f"{ARN}:model/m"),
    ):
        said = refusal(sagemaker.create_model_package, ModelPackageGroupName=group, **{member: value})[1]
        assert said.startswith("The local AWS does not support model packages")
    # Nothing of it counts.
    assert registry.version(group).endswith("/1")


def test_the_same_token_makes_one_version(registry: Registry) -> None:
    group = registry.group()
    assert registry.version(group, ClientToken="once") == registry.version(group, ClientToken="once")
    code, _ = refusal(
        registry.sagemaker.create_model_package,
        ModelPackageGroupName=group,
        InferenceSpecification=registry.specification(),
        ModelPackageDescription="another",
        ClientToken="once",
    )
    assert code == "ConflictException"


def test_updates_of_a_version(registry: Registry) -> None:
    group = registry.group()
    arn = registry.version(group, CustomerMetadataProperties={"kept": "1", "changed": "1", "gone": "1"})
    before = registry.describe(arn)
    answer = registry.sagemaker.update_model_package(
        ModelPackageArn=arn,
        ModelApprovalStatus="Approved",
        ApprovalDescription="seen",
        CustomerMetadataProperties={"changed": "2", "new": "2"},
        CustomerMetadataPropertiesToRemove=["gone", "never"],
        SourceUri="s3://somewhere/else",
        ModelLifeCycle={"Stage": "Production", "StageStatus": "Live"},
        AdditionalInferenceSpecificationsToAdd=[{"Name": "neo", **registry.specification()}],
    )
    assert answer["ModelPackageArn"] == arn
    described = registry.describe(arn)
    assert (described["ModelApprovalStatus"], described["ApprovalDescription"]) == ("Approved", "seen")
    assert described["CustomerMetadataProperties"] == {"kept": "1", "changed": "2", "new": "2"}
    assert described["ModelLifeCycle"] == {"Stage": "Production", "StageStatus": "Live"}
    assert [item["Name"] for item in described["AdditionalInferenceSpecifications"]] == ["neo"]
    assert described["CreationTime"] == before["CreationTime"]
    assert described["LastModifiedTime"] > before["LastModifiedTime"]
    update = registry.sagemaker.update_model_package
    again = [{"Name": "neo", **registry.specification()}]
    assert "unique" in refusal(update, ModelPackageArn=arn, AdditionalInferenceSpecificationsToAdd=again)[1]
    many = {f"key-{number}": "x" for number in range(48)}
    assert "must not exceed 50" in refusal(update, ModelPackageArn=arn, CustomerMetadataProperties=many)[1]
    # A refused update changes nothing.
    assert registry.describe(arn)["LastModifiedTime"] == described["LastModifiedTime"]


def test_which_packages_are_listed(registry: Registry) -> None:
    group, other = registry.group(), registry.group()
    versions = [registry.version(group) for _ in range(11)]
    registry.version(other)
    name = registry.unversioned()
    registry.approve(versions[9])
    sagemaker = registry.sagemaker

    def arns(**request: Any) -> list[str]:
        pages = sagemaker.get_paginator("list_model_packages").paginate(**request)
        return [item["ModelPackageArn"] for page in pages for item in page["ModelPackageSummaryList"]]

    assert arns(ModelPackageGroupName=group) == versions
    # The version is a number: 10 and 11 come after 9.
    assert arns(ModelPackageGroupName=group, SortBy="Name", SortOrder="Descending") == versions[::-1]
    assert arns(ModelPackageGroupName=group, ModelApprovalStatus="Approved") == [versions[9]]
    assert arns(ModelPackageGroupName=group, ModelPackageType="Unversioned") == []
    unversioned = [f"{ARN}:model-package/{name.lower()}"]
    assert arns(NameContains=name) == unversioned
    assert arns(NameContains=name, ModelPackageType="Versioned") == []
    assert set(versions) <= set(arns(ModelPackageType="Versioned"))
    assert set(versions + unversioned) <= set(arns(ModelPackageType="Both"))
    (summary,) = sagemaker.list_model_packages(ModelPackageGroupName=other)["ModelPackageSummaryList"]
    assert (summary["ModelPackageGroupName"], summary["ModelPackageVersion"]) == (other, 1)
    assert "ModelPackageName" not in summary
    _, said = refusal(sagemaker.list_model_packages, ModelPackageGroupName="none")
    assert said == f"ModelPackageGroup {ARN}:model-package-group/none does not exist."


def test_an_endpoint_serves_the_package_of_its_model(registry: Registry, cloud: Any, unique: Any) -> None:
    environment = {"GREETING": "hello ", "NAME": "package"}
    arn = registry.version(registry.group(), {"Environment": environment}, ModelApprovalStatus="Approved")
    name = unique("from-package")
    container = {"ModelPackageName": arn, "Environment": {"NAME": "model"}}
    cloud.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, Containers=[container])
    assert cloud.sagemaker.describe_model(ModelName=name)["Containers"] == [container]
    production, shadow = cloud.variant("v", name), cloud.variant("s", name)
    endpoint = cloud.endpoint(cloud.config([production], [shadow]))
    assert cloud.invoke(endpoint)["Body"].read() == b"hello model"
    (variant,) = cloud.describe(endpoint)["ProductionVariants"]
    assert variant["DeployedImages"][0]["SpecifiedImage"] == IMAGE


def test_a_package_that_is_gone_or_unusable(registry: Registry, cloud: Any, unique: Any) -> None:
    group = registry.group()
    create = cloud.sagemaker.create_model
    base = {"ModelName": unique("gone"), "ExecutionRoleArn": ROLE}
    arn = registry.version(group, ModelApprovalStatus="Approved")
    create(**base, PrimaryContainer={"ModelPackageName": f"{group}/1"})
    config = cloud.config([cloud.variant("v", base["ModelName"])])
    registry.sagemaker.delete_model_package(ModelPackageName=arn)
    missing = ("ValidationException", f"ModelPackage {arn} does not exist.")
    arguments = {"EndpointName": unique("never"), "EndpointConfigName": config}
    assert refusal(cloud.sagemaker.create_endpoint, **arguments) == missing
    assert refusal(create, ModelName="x", ExecutionRoleArn=ROLE, PrimaryContainer={"ModelPackageName": arn}) == missing
    bare = registry.sagemaker.create_model_package(ModelPackageGroupName=group, ModelApprovalStatus="Approved")
    container = {"ModelPackageName": bare["ModelPackageArn"]}
    said = refusal(create, ModelName="x", ExecutionRoleArn=ROLE, PrimaryContainer=container)[1]
    assert said == f"ModelPackage {bare['ModelPackageArn']} has no inference specification."
    imageless = registry.sagemaker.create_model_package(
        ModelPackageGroupName=group,
        ModelApprovalStatus="Approved",
        InferenceSpecification={"Containers": [{"ModelDataUrl": registry.url}]},
    )
    nothing_to_run = {"ModelPackageName": imageless["ModelPackageArn"]}
    said = refusal(create, ModelName="x", ExecutionRoleArn=ROLE, PrimaryContainer=nothing_to_run)[1]
    assert said == "A container image must be specified, by the container or by its model package."
    both = {**container, "Image": IMAGE}
    said = refusal(create, ModelName="x", ExecutionRoleArn=ROLE, PrimaryContainer=both)[1]
    assert said == "You can specify either ModelPackageName or Image, but not both."


def test_an_additional_specification_is_chosen_by_name(registry: Registry, cloud: Any, unique: Any) -> None:
    second = {"Name": "second", **registry.specification(Environment={"GREETING": "second", "NAME": ""})}
    arn = registry.version(
        registry.group(),
        {"Environment": {"GREETING": "first", "NAME": ""}},
        ModelApprovalStatus="Approved",
        AdditionalInferenceSpecifications=[second],
    )
    name = unique("specified")
    container = {"ModelPackageName": arn, "InferenceSpecificationName": "second"}
    cloud.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    endpoint = cloud.endpoint(cloud.config([cloud.variant("v", name)]))
    assert cloud.invoke(endpoint)["Body"].read() == b"second"
    third = {**container, "InferenceSpecificationName": "third"}
    said = refusal(cloud.sagemaker.create_model, ModelName="x", ExecutionRoleArn=ROLE, PrimaryContainer=third)[1]
    assert said == f'ModelPackage {arn} has no inference specification "third".'


@pytest.mark.parametrize("status", ["PendingManualApproval", "Rejected"])
def test_a_version_must_be_approved(registry: Registry, cloud: Any, unique: Any, status: str) -> None:
    arn = registry.version(registry.group(), ModelApprovalStatus=status)
    arguments = {
        "ModelName": unique("approved"),
        "ExecutionRoleArn": ROLE,
        "Containers": [{"ModelPackageName": arn}],
    }
    code, said = refusal(cloud.sagemaker.create_model, **arguments)
    assert (code, said) == (
        "ValidationException",
        f"ModelPackage {arn} cannot be deployed: its ModelApprovalStatus is {status}, not Approved.",
    )
    registry.approve(arn)
    cloud.sagemaker.create_model(**arguments)


def test_airflows_own_operator_registers_versions(
    registry: Registry, cloud: Any, local_aws: LocalAWS, unique: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", local_aws.address.connection_uri)
    group = unique("by-airflow")

    def register(url: str) -> Any:
        operator = SageMakerRegisterModelVersionOperator(
            task_id="register",
            image_uri=IMAGE,
            model_url=url,
            package_group_name=group,
            package_group_desc="d",
            package_desc="d",
            model_approval=ApprovalStatus.APPROVED,
            config={},
        )
        return operator.execute({})

    # The operator takes back the group that it made for a version that is refused.
    with pytest.raises(ClientError, match="Could not access model data"):
        register(f"s3://{BUCKET}/no/model.tar.gz")
    code, _ = refusal(cloud.sagemaker.describe_model_package_group, ModelPackageGroupName=group)
    assert code == "ValidationException"
    # The second time the group is there already.
    assert [register(registry.url) for _ in range(2)] == [f"{ARN}:model-package/{group}/{number}" for number in (1, 2)]
    assert registry.describe(f"{group}/2")["ModelApprovalStatus"] == "Approved"


@pytest.fixture
def lax_client() -> Iterator[Any]:
    with LocalAWS(LocalSettings(model_package_approval="not_required")) as running:
        s3 = running.boto3_client("s3")
        s3.create_bucket(Bucket=BUCKET)
        s3.put_object(Bucket=BUCKET, Key="m.tar.gz", Body=model_archive(SAYS))
        yield running.boto3_client("sagemaker", config=Config(retries={"total_max_attempts": 1}))


def test_approval_can_be_made_needless(lax_client: Any, unique: Any) -> None:
    registry = Registry(lax_client, f"s3://{BUCKET}/m.tar.gz", unique)
    arn = registry.version(registry.group())
    lax_client.create_model(ModelName="m", ExecutionRoleArn=ROLE, Containers=[{"ModelPackageName": arn}])
