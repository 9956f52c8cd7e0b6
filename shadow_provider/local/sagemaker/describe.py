"""What DescribeEndpoint says of an endpoint."""

from __future__ import annotations

import hashlib
from typing import Any

from shadow_provider.local.serving.deployment import Deployment
from shadow_provider.local.serving.endpoint import Endpoint
from shadow_provider.local.serving.variant import Variant


def describe_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    """DescribeEndpoint's answer. Members that AWS leaves out in a state are left out."""
    answer: dict[str, Any] = {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointConfigName": endpoint.config_name,
        "EndpointStatus": endpoint.status.value,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
    }
    if endpoint.failure_reason is not None:
        answer["FailureReason"] = endpoint.failure_reason
    if endpoint.live is not None:
        answer |= _serving(endpoint.live, endpoint.mixed, endpoint.created)
    if endpoint.deployment_config is not None:
        answer["LastDeploymentConfig"] = endpoint.deployment_config
    if endpoint.pending is not None:
        answer["PendingDeploymentSummary"] = _pending(endpoint.pending, endpoint.pending_since)
    return answer


def _serving(live: Deployment, mixed: Deployment | None, since: float) -> dict[str, Any]:
    def summary(variant: Variant) -> dict[str, Any]:
        return _summary(variant, None if mixed is None else mixed.variant(variant.name), since)

    answer: dict[str, Any] = {"ProductionVariants": [summary(variant) for variant in live.production]}
    if live.shadows:
        answer["ShadowProductionVariants"] = [summary(variant) for variant in live.shadows]
    if "MetricsConfig" in live.config:
        answer["MetricsConfig"] = live.config["MetricsConfig"]
    capture = live.config.get("DataCaptureConfig")
    if capture is not None:
        enabled = capture.get("EnableCapture", True)
        answer["DataCaptureConfig"] = {
            "EnableCapture": enabled,
            "CaptureStatus": "Started" if enabled else "Stopped",
            "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
            "DestinationS3Uri": capture["DestinationS3Uri"],
            "KmsKeyId": capture.get("KmsKeyId", ""),
        }
    return answer


def _summary(variant: Variant, beside: Variant | None, since: float) -> dict[str, Any]:
    """What serves under a variant's name; `beside` is what a failed rollback left of another deployment."""
    images, count = _images(variant.image, since), variant.count
    if beside is not None:
        images, count = images + _images(beside.image, since), count + beside.count
    return {
        "VariantName": variant.name,
        "DeployedImages": images,
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.desired_weight,
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": variant.desired_count,
        **_stage(variant),
        **_carried_over(variant.definition),
    }


def _pending(pending: Deployment, since: float) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "EndpointConfigName": pending.config["EndpointConfigName"],
        "StartTime": since,
        "ProductionVariants": [_pending_summary(variant, since) for variant in pending.production],
    }
    if pending.shadows:
        answer["ShadowProductionVariants"] = [_pending_summary(variant, since) for variant in pending.shadows]
    return answer


def _pending_summary(variant: Variant, since: float) -> dict[str, Any]:
    return {**_summary(variant, None, since), "InstanceType": variant.definition["InstanceType"]}


def _stage(variant: Variant) -> dict[str, Any]:
    stage = variant.stage
    if stage is None:
        return {}
    status = {"Status": stage.status, "StatusMessage": stage.message, "StartTime": stage.since}
    return {"VariantStatus": [status]}


def _carried_over(definition: dict[str, Any]) -> dict[str, Any]:
    return {name: definition[name] for name in ("RoutingConfig",) if name in definition}


def _images(image: str, since: float) -> list[dict[str, Any]]:
    repository = image.partition("@")[0].rpartition(":")[0] or image
    return [{"SpecifiedImage": image, "ResolvedImage": f"{repository}@{image_digest(image)}", "ResolutionTime": since}]


def image_digest(image: str) -> str:
    """The digest of a container image.

    There is no registry to ask: it is the digest of the name, so it is stable and has the right form.
    """
    return f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"
