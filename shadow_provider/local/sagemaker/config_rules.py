"""CreateEndpointConfig's rules beside the request's shape, and the variants that a configuration starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shadow_provider.local.errors import UnsupportedLocally, ValidationException
from shadow_provider.local.serving import model_data
from shadow_provider.local.serving.deployment import VariantPlan
from shadow_provider.local.serving.metrics_plan import FREQUENCIES

Json = dict[str, Any]
Containers = Callable[[str], list[Json]]

# Valid on AWS; an endpoint that has them cannot be run here.
_UNSUPPORTED_IN_VARIANT = ("ServerlessConfig", "InstancePools")
_UNSUPPORTED_IN_CONFIG = ("AsyncInferenceConfig", "ExplainerConfig", "CrossRegionTrafficConfig")
_UNSUPPORTED_IN_DATA = ("ManifestS3Uri", "HubAccessConfig")
_NOT_FOR_SHADOWS = {
    "ServerlessConfig": "with serverless variants",
    "AcceleratorType": "with Elastic Inference",
}


def check_config(request: Json, check_model_exists: Callable[[str], object], containers: Containers) -> Json:
    """Checks what CreateEndpointConfig checks at once, and completes the variants.

    Args:
        request: The request.
        check_model_exists: Raises ValidationException if there is no model of a name.
        containers: Gives the containers of a model's name.

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
    for variant in [*production, *shadows]:
        if "ModelName" in variant:
            check_model_exists(variant["ModelName"])
    if shadows:
        _check_shadows(request, production, shadows, containers)
    for variant in [*production, *shadows]:
        _check_variant(variant)
    _check_capture(request.get("DataCaptureConfig", {}))
    frequency = request.get("MetricsConfig", {}).get("MetricPublishFrequencyInSeconds")
    if frequency not in (None, *FREQUENCIES):
        raise ValidationException(f"MetricPublishFrequencyInSeconds must be one of {list(FREQUENCIES)}.")
    content = {name: value for name, value in request.items() if name != "Tags"}
    for member in ("ProductionVariants", "ShadowProductionVariants"):
        if member in content:
            content[member] = [{"InitialVariantWeight": 1.0, **variant} for variant in content[member]]
    return content


def plan_variants(config: Json, member: str, containers: Containers) -> list[VariantPlan]:
    """The variants of a configuration, ready to be started.

    Args:
        config: The endpoint configuration's content.
        member: ProductionVariants or ShadowProductionVariants.
        containers: Gives the containers of a model's name, raises ValidationException if it has been deleted.

    Raises:
        UnsupportedLocally: The configuration is valid on AWS but cannot be run here.
    """
    for name in _UNSUPPORTED_IN_CONFIG:
        if name in config:
            raise UnsupportedLocally(f"endpoints with {name}")
    return [_plan(variant, containers) for variant in config.get(member, [])]


def _plan(variant: Json, containers: Containers) -> VariantPlan:
    for name in _UNSUPPORTED_IN_VARIANT:
        if name in variant:
            raise UnsupportedLocally(f"variants with {name}")
    if "ModelName" not in variant:
        raise UnsupportedLocally("inference components (variants without ModelName)")
    found = containers(variant["ModelName"])
    if len(found) > 1 or found[0].get("Mode") == "MultiModel":
        raise UnsupportedLocally("multi-container and multi-model endpoints")
    container = found[0]
    if model_data.source_of(container) is None:
        raise UnsupportedLocally("models without model data (images are not run)")
    if container.get("AdditionalModelDataSources"):
        raise UnsupportedLocally("models with AdditionalModelDataSources")
    for name in _UNSUPPORTED_IN_DATA:
        if name in container.get("ModelDataSource", {}).get("S3DataSource", {}):
            raise UnsupportedLocally(f"model data with {name}")
    return VariantPlan(variant, container, variant["InitialVariantWeight"], variant["InitialInstanceCount"])


def _check_variant(variant: Json) -> None:
    if "ModelName" not in variant:
        return
    if "ManagedInstanceScaling" in variant:
        # AWS's words, as observed since 2026.
        raise ValidationException("ManagedInstanceScaling is only supported for inference component endpoints.")
    if "ServerlessConfig" in variant or "InstancePools" in variant:
        return
    for member in ("InstanceType", "InitialInstanceCount"):
        if member not in variant:
            raise ValidationException(f"{member} must be specified for variant {variant['VariantName']}.")


def _check_capture(capture: Json) -> None:
    header = capture.get("CaptureContentTypeHeader", {})
    types = [kind.lower() for member in ("CsvContentTypes", "JsonContentTypes") for kind in header.get(member, [])]
    twice = sorted({kind for kind in types if types.count(kind) > 1})
    if twice:
        # A type in both lists would be captured in two encodings.
        raise ValidationException(f"CaptureContentTypeHeader has a content type more than once: {', '.join(twice)}.")


def _check_shadows(request: Json, production: list[Json], shadows: list[Json], containers: Containers) -> None:
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
        for member, what in _NOT_FOR_SHADOWS.items():
            if member in variant:
                raise ValidationException(f"Shadow variants are not supported {what}: {name}.")
        if "ModelName" not in variant:
            raise ValidationException(f"ModelName must be specified for variant {name} of a shadow deployment.")
        if variant.get("InstanceType", "").startswith("ml.inf1."):
            raise ValidationException(f"Shadow variants are not supported on Inf1 instances: {name}.")
        found = containers(variant["ModelName"])
        if len(found) > 1:
            raise ValidationException(f"Shadow variants are not supported with multi-container models: {name}.")
        if found[0].get("Mode") == "MultiModel":
            raise ValidationException(f"Shadow variants are not supported with multi-model endpoints: {name}.")
        if "ProductId" in found[0]:
            raise ValidationException(f"Shadow variants are not supported with Marketplace containers: {name}.")
