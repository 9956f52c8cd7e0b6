"""Models, endpoint configurations and tags: what is stored, and the rules that stand beside the request shapes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from shadow_provider.local.errors import UnsupportedLocally, ValidationException, already_exists, not_found
from shadow_provider.local.moto_bridge import LocalS3
from shadow_provider.local.serving import model_data
from shadow_provider.local.serving.deployment import VariantPlan

MAX_TAGS = 50
MAX_ENVIRONMENT_BYTES = 32 * 1024
# Valid on AWS; an endpoint that has them cannot be run here.
_UNSUPPORTED_IN_VARIANT = ("ServerlessConfig", "InstancePools")
_UNSUPPORTED_IN_CONFIG = ("AsyncInferenceConfig", "ExplainerConfig", "CrossRegionTrafficConfig")


@dataclass
class Resource:
    """A stored model or endpoint configuration.

    Attributes:
        content: What its Describe call returns, without ARN and time.
        created: Epoch seconds.
    """

    name: str
    arn: str
    content: dict[str, Any]
    created: float = field(default_factory=time.time)


class ResourceStore:
    """Resources of one kind, by name.

    Args:
        kind: The kind as AWS's messages call it.
        arn_prefix: What stands before the name in an ARN.
    """

    def __init__(self, kind: str, arn_prefix: str) -> None:
        self._kind = kind
        self._arn_prefix = arn_prefix
        self._resources: dict[str, Resource] = {}

    def __iter__(self) -> Any:
        return iter(list(self._resources.values()))

    def arn(self, name: str) -> str:
        """The ARN a resource of this name has; SageMaker writes names in lower case there."""
        return self._arn_prefix + name.lower()

    def get(self, name: str) -> Resource:
        """The resource of a name.

        Raises:
            ValidationException: There is none.
        """
        if name not in self._resources:
            raise not_found(self._kind, self.arn(name))
        return self._resources[name]

    def check_free(self, name: str) -> None:
        """Whether a name can be taken.

        Raises:
            ValidationException: It is taken.
        """
        if any(taken.lower() == name.lower() for taken in self._resources):
            raise already_exists(self._kind, self.arn(name))

    def add(self, name: str, content: dict[str, Any]) -> Resource:
        """Stores a resource."""
        self._resources[name] = Resource(name, self.arn(name), content)
        return self._resources[name]

    def remove(self, name: str) -> Resource:
        """Deletes a resource; nothing that uses it is looked at, as on AWS.

        Raises:
            ValidationException: There is none.
        """
        found = self.get(name)
        del self._resources[name]
        return found

    def by_arn(self, arn: str) -> Resource | None:
        """The resource of an ARN."""
        return next((resource for resource in self if resource.arn == arn), None)


class TagStore:
    """Tags by ARN."""

    def __init__(self) -> None:
        self._tags: dict[str, dict[str, str]] = {}

    def add(self, arn: str, tags: list[dict[str, str]]) -> list[dict[str, str]]:
        """Adds or overwrites tags and returns all of them.

        Raises:
            ValidationException: Too many, a key twice, or a key that is reserved.
        """
        keys = [tag["Key"] for tag in tags]
        if len(set(keys)) != len(keys):
            raise ValidationException("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
        if any(key.lower().startswith("aws:") for key in keys):
            raise ValidationException("aws: prefixed tag key names are not allowed for external use.")
        merged = {**self._tags.get(arn, {}), **{tag["Key"]: tag["Value"] for tag in tags}}
        if len(merged) > MAX_TAGS:
            raise ValidationException(f"The number of tags must not exceed {MAX_TAGS}.")
        self._tags[arn] = merged
        return self.list(arn)

    def list(self, arn: str) -> list[dict[str, str]]:
        """All tags of an ARN."""
        return [{"Key": key, "Value": value} for key, value in self._tags.get(arn, {}).items()]

    def remove(self, arn: str, keys: Any) -> None:
        """Removes tags; absent keys are ignored."""
        for key in keys:
            self._tags.get(arn, {}).pop(key, None)

    def forget(self, arn: str) -> None:
        """Drops all tags of a deleted resource."""
        self._tags.pop(arn, None)


def containers_of(model: dict[str, Any]) -> list[dict[str, Any]]:
    """The containers of a model, whichever of the two members names them."""
    return [model["PrimaryContainer"]] if "PrimaryContainer" in model else model.get("Containers", [])


def check_model(request: dict[str, Any], s3: LocalS3) -> dict[str, Any]:
    """Checks what CreateModel checks at once, and completes the containers as DescribeModel shows them.

    Returns:
        The content to be stored.

    Raises:
        ValidationException: Among others, if the model data is not in S3.
    """
    if "PrimaryContainer" in request and "Containers" in request:
        raise ValidationException("You can specify either PrimaryContainer or Containers, but not both.")
    containers = containers_of(request)
    if not containers:
        raise ValidationException("You must specify either PrimaryContainer or Containers.")
    for container in containers:
        _check_container(container, s3)
    content = {name: value for name, value in request.items() if name != "Tags"}
    content.setdefault("EnableNetworkIsolation", False)
    if "PrimaryContainer" in content:
        content["PrimaryContainer"] = _completed(content["PrimaryContainer"])
    else:
        content["Containers"] = [_completed(container) for container in content["Containers"]]
    return content


def _check_container(container: dict[str, Any], s3: LocalS3) -> None:
    if "ModelPackageName" in container:
        raise UnsupportedLocally("models from a model package")
    if "Image" not in container:
        raise ValidationException("Container image must be specified when no model package is given.")
    if "ModelDataUrl" in container and "ModelDataSource" in container:
        raise ValidationException("You can specify either ModelDataUrl or ModelDataSource, but not both.")
    environment = container.get("Environment", {})
    if sum(len(name.encode()) + len(value.encode()) for name, value in environment.items()) > MAX_ENVIRONMENT_BYTES:
        raise ValidationException("The total size of the environment variables exceeds 32 KB.")
    source = model_data.source_of(container)
    if source is not None and not model_data.exists(s3, source):
        raise ValidationException(
            f"Could not access model data at {source.uri}. Please ensure that the role passed to CreateModel exists "
            "and that its trust relationship policy allows the action sts:AssumeRole for the service principal "
            "sagemaker.amazonaws.com. Also ensure that the role has s3:GetObject permissions and that the object is "
            "located in the same region."
        )


def _completed(container: dict[str, Any]) -> dict[str, Any]:
    return {"Mode": "SingleModel", "Environment": {}, **container}


def check_config(request: dict[str, Any], model_of: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """Checks what CreateEndpointConfig checks at once, and completes the variants.

    Args:
        request: The request.
        model_of: Gives a model's content, raises ValidationException if there is none.

    Returns:
        The content to be stored.

    Raises:
        ValidationException: A model is missing, names repeat, or a rule of shadow variants is broken. AWS documents
            these rules but not their words.
    """
    production, shadows = request["ProductionVariants"], request.get("ShadowProductionVariants", [])
    names = [variant["VariantName"] for variant in [*production, *shadows]]
    if len(set(names)) != len(names):
        raise ValidationException("Variant names must be unique within an endpoint configuration.")
    models = {}
    for variant in [*production, *shadows]:
        if "ModelName" in variant:
            models[variant["VariantName"]] = model_of(variant["ModelName"])
    if shadows:
        _check_shadows(request, production, shadows, models)
    for variant in [*production, *shadows]:
        if "ModelName" in variant and "ServerlessConfig" not in variant and "InstancePools" not in variant:
            for member in ("InstanceType", "InitialInstanceCount"):
                if member not in variant:
                    raise ValidationException(f"{member} must be specified for variant {variant['VariantName']}.")
    content = {name: value for name, value in request.items() if name != "Tags"}
    for member in ("ProductionVariants", "ShadowProductionVariants"):
        if member in content:
            content[member] = [{"InitialVariantWeight": 1.0, **variant} for variant in content[member]]
    return content


def _check_shadows(
    request: dict[str, Any],
    production: list[dict[str, Any]],
    shadows: list[dict[str, Any]],
    models: dict[str, dict[str, Any]],
) -> None:
    if len(shadows) > 1:
        raise ValidationException("ShadowProductionVariants supports at most one shadow variant.")
    if len(production) > 1:
        raise ValidationException(
            "Exactly one production variant must be specified when ShadowProductionVariants is specified."
        )
    if "AsyncInferenceConfig" in request:
        raise ValidationException("Shadow variants are not supported with AsyncInferenceConfig.")
    for variant in [*production, *shadows]:
        name = variant["VariantName"]
        if "ServerlessConfig" in variant:
            raise ValidationException(f"Shadow variants are not supported with serverless variants: {name}.")
        if "ModelName" not in variant:
            raise ValidationException(f"ModelName must be specified for variant {name} of a shadow deployment.")
        if variant.get("InstanceType", "").startswith("ml.inf1."):
            raise ValidationException(f"Shadow variants are not supported on Inf1 instances: {name}.")
        containers = containers_of(models[name])
        if len(containers) > 1:
            raise ValidationException(f"Shadow variants are not supported with multi-container models: {name}.")
        if containers[0].get("Mode") == "MultiModel":
            raise ValidationException(f"Shadow variants are not supported with multi-model endpoints: {name}.")


def plan_variants(config: dict[str, Any], member: str, model_of: Callable[[str], dict[str, Any]]) -> list[VariantPlan]:
    """The variants of a configuration, ready to be started.

    Args:
        config: The endpoint configuration's content.
        member: ProductionVariants or ShadowProductionVariants.
        model_of: Gives a model's content, raises ValidationException if it has been deleted.

    Raises:
        UnsupportedLocally: The configuration is valid on AWS but cannot be run here.
    """
    for name in _UNSUPPORTED_IN_CONFIG:
        if name in config:
            raise UnsupportedLocally(f"endpoints with {name}")
    plans = []
    for variant in config.get(member, []):
        for name in _UNSUPPORTED_IN_VARIANT:
            if name in variant:
                raise UnsupportedLocally(f"variants with {name}")
        if "ModelName" not in variant:
            raise UnsupportedLocally("inference components (variants without ModelName)")
        containers = containers_of(model_of(variant["ModelName"]))
        if len(containers) > 1 or containers[0].get("Mode") == "MultiModel":
            raise UnsupportedLocally("multi-container and multi-model endpoints")
        if model_data.source_of(containers[0]) is None:
            raise UnsupportedLocally("models without model data (images are not run)")
        plans.append(
            VariantPlan(variant, containers[0], variant["InitialVariantWeight"], variant["InitialInstanceCount"])
        )
    return plans
