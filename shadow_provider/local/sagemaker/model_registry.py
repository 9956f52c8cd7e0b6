"""The model registry: operations on model package groups and model packages."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from shadow_provider.local.errors import AwsError, UnsupportedLocally, ValidationException
from shadow_provider.local.moto_bridge import LocalS3
from shadow_provider.local.sagemaker.describe import image_digest
from shadow_provider.local.sagemaker.listing import MODEL_PACKAGE_GROUPS, MODEL_PACKAGES, listed
from shadow_provider.local.sagemaker.model_packages import ModelPackage, ModelPackageStore
from shadow_provider.local.sagemaker.model_rules import check_model_data
from shadow_provider.local.sagemaker.resources import TagStore
from shadow_provider.local.settings import LocalSettings

Json = dict[str, Any]
MAX_PROPERTIES = 50
MAX_SPECIFICATIONS = 15
_NOT_KEPT = ("ModelPackageName", "ModelPackageGroupName", "Tags", "ClientToken")
_UNSUPPORTED = ("SourceAlgorithmSpecification", "ValidationSpecification")
_REPLACED_BY_UPDATE = (
    "ModelApprovalStatus",
    "ApprovalDescription",
    "ModelPackageRegistrationType",
    "InferenceSpecification",
    "SourceUri",
    "ModelLifeCycle",
)
_IN_SUMMARIES = ("ModelPackageDescription", "ModelApprovalStatus", "ModelLifeCycle", "ModelPackageRegistrationType")


class ModelRegistry:
    """Answers the registry's operations.

    Args:
        settings: Region, account, and whether a version must be approved to be deployed.
        s3: The local S3, for the check of model data.
        tags: Where tags are kept.
    """

    def __init__(self, settings: LocalSettings, s3: LocalS3, tags: TagStore) -> None:
        self.store = ModelPackageStore(f"arn:aws:sagemaker:{settings.region}:{settings.account_id}")
        self._approval_required = settings.model_package_approval == "required"
        self._s3 = s3
        self._tags = tags
        self._by_token: dict[str, tuple[Json, str]] = {}

    @property
    def operations(self) -> dict[str, Callable[[Json], Json]]:
        """What answers each operation."""
        return {
            "CreateModelPackage": self._create_package,
            "CreateModelPackageGroup": self._create_group,
            "DeleteModelPackage": self._delete_package,
            "DeleteModelPackageGroup": self._delete_group,
            "DescribeModelPackage": self._describe_package,
            "DescribeModelPackageGroup": self._describe_group,
            "ListModelPackageGroups": self._list_groups,
            "ListModelPackages": self._list_packages,
            "UpdateModelPackage": self._update_package,
        }

    def described(self, name: str) -> Json:
        """A package as DescribeModelPackage shows it.

        Args:
            name: A name, a group's name and version, or an ARN.

        Raises:
            ValidationException: There is none.
        """
        return _described(self.store.package(name))

    def deployable(self, name: str) -> Json:
        """A package that a model may be created from, as described.

        AWS: "For versioned models, the value of this parameter must be set to Approved to deploy the model."

        Raises:
            ValidationException: There is none, or it is a version that is not approved. The words of the latter are
                ours.
        """
        package = self.store.package(name)
        status = package.content.get("ModelApprovalStatus", "Approved")
        if self._approval_required and status != "Approved":
            raise ValidationException(
                f"ModelPackage {package.arn} cannot be deployed: its ModelApprovalStatus is {status}, not Approved."
            )
        return _described(package)

    def _create_group(self, request: Json) -> Json:
        name = request["ModelPackageGroupName"]
        self.store.check_group_free(name)
        self._tags.add(self.store.group_arn(name), request.get("Tags", []))
        content = {member: value for member, value in request.items() if member not in _NOT_KEPT}
        return {"ModelPackageGroupArn": self.store.add_group(name, content).arn}

    def _describe_group(self, request: Json) -> Json:
        group = self.store.group(request["ModelPackageGroupName"])
        return {
            "ModelPackageGroupName": group.name,
            "ModelPackageGroupArn": group.arn,
            "CreationTime": group.created,
            "CreatedBy": {},
            "ModelPackageGroupStatus": "Completed",
            **group.content,
        }

    def _delete_group(self, request: Json) -> Json:
        self._tags.forget(self.store.remove_group(request["ModelPackageGroupName"]).arn)
        return {}

    def _list_groups(self, request: Json) -> Json:
        rows = [
            {
                "ModelPackageGroupName": group.name,
                "ModelPackageGroupArn": group.arn,
                "CreationTime": group.created,
                "ModelPackageGroupStatus": "Completed",
                **group.content,
            }
            for group in self.store.groups
        ]
        # There is one account only: nothing is shared with it.
        shared = request.get("CrossAccountFilterOption") == "CrossAccount"
        return listed(MODEL_PACKAGE_GROUPS, [] if shared else rows, request)

    def _create_package(self, request: Json) -> Json:
        token = request.get("ClientToken")
        if token is not None and token in self._by_token:
            earlier, arn = self._by_token[token]
            if earlier != request:
                raise AwsError("ConflictException", "The ClientToken was used for a different request.")
            return {"ModelPackageArn": arn}
        group_name, name = request.get("ModelPackageGroupName"), request.get("ModelPackageName")
        if group_name and name:
            raise ValidationException(
                "Both ModelPackageName and ModelPackageGroupName are provided in the input. Cannot determine which one "
                "to use."
            )
        if not group_name and not name:
            raise ValidationException("Missing ARN.")
        group = self.store.group(group_name) if group_name else None
        content = self._content(request, versioned=group is not None)
        if group is not None:
            package = self.store.add_version(group, content)
        else:
            assert name is not None
            self.store.check_package_free(name)
            self._tags.add(self.store.package_arn(name), request.get("Tags", []))
            package = self.store.add_unversioned(name, content)
        if token is not None:
            self._by_token[token] = (request, package.arn)
        return {"ModelPackageArn": package.arn}

    def _content(self, request: Json, *, versioned: bool) -> Json:
        for member in _UNSUPPORTED:
            if member in request:
                raise UnsupportedLocally(f"model packages with {member}")
        if request.get("SourceUri", "").startswith("arn:") and "InferenceSpecification" not in request:
            raise UnsupportedLocally("model packages that are cloned from SourceUri")
        if versioned and request.get("Tags"):
            # AWS: a version "uses the tags associated with the model group. In this case, you cannot supply a tag".
            raise ValidationException("Tags cannot be specified for a model package that belongs to a group.")
        if not versioned:
            if "ModelApprovalStatus" in request:
                raise ValidationException("ModelApprovalStatus does not apply to unversioned model packages.")
            _check_unversioned(request)
        _check_names(request.get("AdditionalInferenceSpecifications", []))
        for specification in [
            request.get("InferenceSpecification", {}),
            *request.get("AdditionalInferenceSpecifications", []),
        ]:
            self._check_specification(specification)
        content = {member: value for member, value in request.items() if member not in _NOT_KEPT}
        content.setdefault("CertifyForMarketplace", False)
        if versioned:
            content.setdefault("ModelApprovalStatus", "PendingManualApproval")
        return content

    def _check_specification(self, specification: Json) -> None:
        for container in specification.get("Containers", []):
            check_model_data(container, self._s3)

    def _describe_package(self, request: Json) -> Json:
        return self.described(request["ModelPackageName"])

    def _update_package(self, request: Json) -> Json:
        package = self.store.package(request["ModelPackageArn"])
        if package.version is None and "ModelApprovalStatus" in request:
            raise ValidationException("ModelApprovalStatus does not apply to unversioned model packages.")
        content = dict(package.content)
        content.update({member: request[member] for member in _REPLACED_BY_UPDATE if member in request})
        self._check_specification(request.get("InferenceSpecification", {}))
        if "ModelCard" in request:
            content["ModelCard"] = {**content.get("ModelCard", {}), **request["ModelCard"]}
        added = request.get("AdditionalInferenceSpecificationsToAdd", [])
        if added:
            specifications = [*content.get("AdditionalInferenceSpecifications", []), *added]
            if len(specifications) > MAX_SPECIFICATIONS:
                raise ValidationException(
                    f"Total number of additional Inference Specifications can not exceed {MAX_SPECIFICATIONS}."
                )
            _check_names(specifications)
            for specification in added:
                self._check_specification(specification)
            content["AdditionalInferenceSpecifications"] = specifications
        _update_properties(content, request)
        package.content, package.modified = content, time.time()
        return {"ModelPackageArn": package.arn}

    def _delete_package(self, request: Json) -> Json:
        self._tags.forget(self.store.remove_package(request["ModelPackageName"]).arn)
        return {}

    def _list_packages(self, request: Json) -> Json:
        wanted = request.get("ModelPackageGroupName")
        group = self.store.group(wanted) if wanted is not None else None
        # Who names a group means its versions; without one, botocore documents Unversioned as the default.
        kind = request.get("ModelPackageType", "Unversioned" if group is None else "Versioned")
        rows = [
            _summary(package)
            for package in self.store.packages
            if (group is None or package.group is group)
            and kind in ("Both", "Unversioned" if package.version is None else "Versioned")
            and request.get("ModelApprovalStatus") in (None, package.content.get("ModelApprovalStatus"))
        ]
        return listed(MODEL_PACKAGES, rows, request)


def _identity(package: ModelPackage) -> Json:
    # AWS's own example of a described version has no ModelPackageName, though its model calls the member required.
    if package.group is None:
        return {"ModelPackageName": package.name}
    return {"ModelPackageGroupName": package.group.name, "ModelPackageVersion": package.version}


def _described(package: ModelPackage) -> Json:
    content = dict(package.content)
    if "InferenceSpecification" in content:
        content["InferenceSpecification"] = _with_digests(content["InferenceSpecification"])
    return {
        **_identity(package),
        "ModelPackageArn": package.arn,
        "CreationTime": package.created,
        "CreatedBy": {},
        "LastModifiedTime": package.modified,
        "LastModifiedBy": {},
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        **content,
    }


def _with_digests(specification: Json) -> Json:
    containers = [
        {"ImageDigest": image_digest(container["Image"]), **container} if "Image" in container else container
        for container in specification["Containers"]
    ]
    return {**specification, "Containers": containers}


def _summary(package: ModelPackage) -> Json:
    return {
        **_identity(package),
        "ModelPackageArn": package.arn,
        "CreationTime": package.created,
        "ModelPackageStatus": "Completed",
        **{member: package.content[member] for member in _IN_SUMMARIES if member in package.content},
    }


def _check_unversioned(request: Json) -> None:
    specification = request.get("InferenceSpecification")
    if specification is None:
        raise ValidationException("InferenceSpecification must be specified for an unversioned model package.")
    for member in ("SupportedTransformInstanceTypes", "SupportedRealtimeInferenceInstanceTypes"):
        # botocore: "This parameter is required for unversioned models".
        if not specification.get(member):
            raise ValidationException(f"{member} must be specified for an unversioned model package.")


def _check_names(specifications: list[Json]) -> None:
    names = [specification["Name"] for specification in specifications]
    if len(set(names)) != len(names):
        raise ValidationException("Names of additional inference specifications must be unique.")


def _update_properties(content: Json, request: Json) -> None:
    given, removed = (
        request.get("CustomerMetadataProperties", {}),
        request.get("CustomerMetadataPropertiesToRemove", []),
    )
    if not given and not removed:
        return
    merged = {**content.get("CustomerMetadataProperties", {}), **given}
    kept = {name: value for name, value in merged.items() if name not in removed}
    if len(kept) > MAX_PROPERTIES:
        raise ValidationException(f"The number of customer metadata properties must not exceed {MAX_PROPERTIES}.")
    content.pop("CustomerMetadataProperties", None)
    if kept:
        content["CustomerMetadataProperties"] = kept
