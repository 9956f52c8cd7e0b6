"""What DescribeEndpoint says of an endpoint."""

from __future__ import annotations

import hashlib
from typing import Any

from shadow_provider.local.serving.deployment import Deployment, VariantPlan
from shadow_provider.local.serving.endpoints import Endpoint
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
        answer |= _serving(endpoint.live, endpoint.created)
    if endpoint.pending is not None:
        answer["PendingDeploymentSummary"] = _pending(endpoint.pending, endpoint.pending_since)
    return answer


def _serving(live: Deployment, since: float) -> dict[str, Any]:
    answer: dict[str, Any] = {"ProductionVariants": [_summary(variant, since) for variant in live.production]}
    if live.shadows:
        answer["ShadowProductionVariants"] = [_summary(variant, since) for variant in live.shadows]
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


def _summary(variant: Variant, since: float) -> dict[str, Any]:
    return {
        "VariantName": variant.name,
        "DeployedImages": _images(variant.image, since),
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.weight,
        "CurrentInstanceCount": variant.count,
        "DesiredInstanceCount": variant.count,
        **_carried_over(variant.definition),
    }


def _pending(pending: Deployment, since: float) -> dict[str, Any]:
    production, shadows = pending.plans
    running = {variant.name: variant.fleet.healthy_count for variant in pending.variants}
    answer: dict[str, Any] = {
        "EndpointConfigName": pending.config["EndpointConfigName"],
        "StartTime": since,
        "ProductionVariants": [_pending_summary(plan, running[plan.name], since) for plan in production],
    }
    if shadows:
        answer["ShadowProductionVariants"] = [_pending_summary(plan, running[plan.name], since) for plan in shadows]
    return answer


def _pending_summary(plan: VariantPlan, running: int, since: float) -> dict[str, Any]:
    up = running >= plan.count
    status = {"Status": "ActivatingTraffic" if up else "Creating", "StartTime": since}
    if not up:
        status["StatusMessage"] = f"Launching {plan.count} instance(s)."
    return {
        "VariantName": plan.name,
        "DeployedImages": _images(plan.container.get("Image", ""), since),
        "CurrentWeight": plan.weight,
        "DesiredWeight": plan.weight,
        "CurrentInstanceCount": running,
        "DesiredInstanceCount": plan.count,
        "InstanceType": plan.definition["InstanceType"],
        "VariantStatus": [status],
        **_carried_over(plan.definition),
    }


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
