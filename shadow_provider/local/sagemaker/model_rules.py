"""CreateModel's rules beside the request's shape, and which containers a model has in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from shadow_provider.local.errors import ValidationException
from shadow_provider.local.moto_bridge import LocalS3
from shadow_provider.local.serving import model_data

Json = dict[str, Any]
PackageOf = Callable[[str], Json]

MAX_ENVIRONMENT_BYTES = 32 * 1024
MAX_ENTRY_BYTES = 1024


def containers_of(model: Json, package_of: PackageOf) -> list[Json]:
    """The containers that run: those of its model package stand in place of a container that names one.

    Args:
        model: The model as described.
        package_of: Gives a model package as described, raises ValidationException if there is none.
    """
    return [container for given in _given(model) for container in _unpacked(given, package_of)]


def check_model(request: Json, s3: LocalS3, deployable: PackageOf) -> Json:
    """Checks what CreateModel checks at once, and completes the containers as DescribeModel shows them.

    Args:
        request: The request.
        s3: The local S3.
        deployable: Gives a model package that may be deployed, raises ValidationException otherwise.

    Returns:
        The content to be stored.

    Raises:
        ValidationException: Among others, if the model data is not in S3.
    """
    if "PrimaryContainer" in request and "Containers" in request:
        raise ValidationException("You can specify either PrimaryContainer or Containers, but not both.")
    given = _given(request)
    if not given:
        raise ValidationException("You must specify either PrimaryContainer or Containers.")
    if "InferenceExecutionConfig" in request and "Containers" not in request:
        raise ValidationException("InferenceExecutionConfig can only be specified with Containers.")
    for container in given:
        _check_given(container)
    _check_environments(given)
    for container in containers_of(request, deployable):
        if "Image" not in container:
            raise ValidationException("A container image must be specified, by the container or by its model package.")
        check_model_data(container, s3)
    content = {name: value for name, value in request.items() if name != "Tags"}
    content.setdefault("EnableNetworkIsolation", False)
    if "PrimaryContainer" in content:
        content["PrimaryContainer"] = _completed(content["PrimaryContainer"])
    else:
        content["Containers"] = [_completed(container) for container in content["Containers"]]
    return content


def check_model_data(container: Json, s3: LocalS3) -> None:
    """Whether a container's model data can be read, as CreateModel and CreateModelPackage check it.

    Raises:
        ValidationException: It cannot, or it is named in a way that AWS refuses.
    """
    if "ModelDataUrl" in container and "ModelDataSource" in container:
        raise ValidationException("You can specify either ModelDataUrl or ModelDataSource, but not both.")
    data = container.get("ModelDataSource", {}).get("S3DataSource")
    if data is not None:
        # AWS: a valid key name prefix always ends with a forward slash; no ModelDataSource with multi-model endpoints.
        if data["S3DataType"] == "S3Prefix" and not data["S3Uri"].endswith("/"):
            raise ValidationException('S3Uri must end with a forward slash ("/") when S3DataType is S3Prefix.')
        if container.get("Mode") == "MultiModel":
            raise ValidationException("ModelDataSource is not supported for containers of the mode MultiModel.")
    source = model_data.source_of(container)
    if source is not None and not model_data.exists(s3, source):
        raise ValidationException(
            f"Could not access model data at {source.uri}. Please ensure that the role passed to CreateModel exists "
            "and that its trust relationship policy allows the action sts:AssumeRole for the service principal "
            "sagemaker.amazonaws.com. Also ensure that the role has s3:GetObject permissions and that the object is "
            "located in the same region."
        )


def _given(model: Json) -> list[Json]:
    return [model["PrimaryContainer"]] if "PrimaryContainer" in model else model.get("Containers", [])


def _unpacked(container: Json, package_of: PackageOf) -> Iterable[Json]:
    name = container.get("ModelPackageName")
    if name is None:
        return [container]
    package = package_of(name)
    specification = package.get("InferenceSpecification")
    wanted = container.get("InferenceSpecificationName")
    if wanted is not None:
        others = package.get("AdditionalInferenceSpecifications", [])
        specification = next((item for item in others if item["Name"] == wanted), None)
    if specification is None:
        what = "inference specification" if wanted is None else f'inference specification "{wanted}"'
        raise ValidationException(f"ModelPackage {package['ModelPackageArn']} has no {what}.")
    overriding = container.get("Environment", {})
    return [
        {**packed, "Environment": {**packed.get("Environment", {}), **overriding}}
        for packed in specification["Containers"]
    ]


def _check_given(container: Json) -> None:
    if "ModelPackageName" not in container:
        if "InferenceSpecificationName" in container:
            raise ValidationException("InferenceSpecificationName can only be specified with ModelPackageName.")
        return
    for member in ("Image", "ModelDataUrl", "ModelDataSource"):
        if member in container:
            raise ValidationException(f"You can specify either ModelPackageName or {member}, but not both.")


def _check_environments(containers: list[Json]) -> None:
    total = 0
    for container in containers:
        for name, value in container.get("Environment", {}).items():
            sizes = len(name.encode()), len(value.encode())
            # The shape counts characters; AWS documents bytes.
            if max(sizes) > MAX_ENTRY_BYTES:
                raise ValidationException(
                    f"A key and a value of Environment must not exceed {MAX_ENTRY_BYTES} bytes: {name[:64]}."
                )
            total += sum(sizes)
    if total > MAX_ENVIRONMENT_BYTES:
        raise ValidationException("The total size of the environment variables exceeds 32 KB.")


def _completed(container: Json) -> Json:
    if "ModelPackageName" in container:
        return {"Environment": {}, **container}
    return {"Mode": "SingleModel", "Environment": {}, **container}
