"""The three endpoint configs of a deployment: baseline, shadow and promoted.

Endpoint configs are immutable, so each change of the endpoint is a new config and an update. The shadow config is the
baseline plus one shadow variant; the promoted config is the baseline with the candidate's model under the *same*
production variant name, so that autoscaling, alarms and metrics go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from shadow_provider.plan.endpoint_state import EndpointState
from shadow_provider.plan.errors import PlanError
from shadow_provider.plan.variants import DataCapture, ProductionVariant, ShadowVariant

# What a config carries besides its variants; all of it stays as it is through shadow and promotion.
_CARRIED = ("KmsKeyId", "DataCaptureConfig", "MetricsConfig", "ExplainerConfig", "ExecutionRoleArn", "VpcConfig",
            "EnableNetworkIsolation", "CrossRegionTrafficConfig")  # fmt: skip
# What a shadow does not take over from production: its own name, model and size.
_OF_PRODUCTION_ONLY = ("VariantName", "ModelName", "InitialVariantWeight", "InitialInstanceCount", "InstanceType")


@dataclass(frozen=True)
class Baseline:
    """Production without a shadow: the state that a rollback restores.

    Attributes:
        config_name: name of the baseline endpoint config.
        variant: the production variant as ``ProductionVariant`` of AWS, with the *present* instance count.
        carried: the rest of the config (capture, KMS key, metrics, …) as AWS describes it.
        deployment_config: the guardrails that the endpoint was updated with last; None if there were none.
    """

    config_name: str
    variant: Mapping[str, Any]
    carried: Mapping[str, Any]
    deployment_config: Mapping[str, Any] | None = None

    @property
    def variant_name(self) -> str:
        """The production variant's name, which no deployment changes."""
        return str(self.variant["VariantName"])

    @property
    def model_name(self) -> str:
        """The incumbent."""
        return str(self.variant["ModelName"])


@dataclass(frozen=True)
class ShadowRun:
    """What a shadow config says about the comparison that it makes possible.

    Attributes:
        config_name: the shadow config.
        since: when it was made (UTC); no request was copied before.
        production_variant: name of the production variant.
        shadow_variant: name of the shadow variant.
        incumbent_model: model behind production.
        candidate_model: model behind the shadow.
        sampling_percentage: share of requests copied, by the weights.
        capture_s3_uri: where requests and answers are captured.
        capture_percentage: share of requests captured.
        shadow_instance_type: of the shadow's instances; None where it has none of its own.
        shadow_instance_count: how many it began with.
    """

    config_name: str
    since: datetime
    production_variant: str
    shadow_variant: str
    incumbent_model: str
    candidate_model: str
    sampling_percentage: float
    capture_s3_uri: str
    capture_percentage: int
    shadow_instance_type: str | None = None
    shadow_instance_count: int = 0

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> ShadowRun:
        """Read DescribeEndpointConfig of a shadow config of ours."""
        production, shadow = config["ProductionVariants"][0], config["ShadowProductionVariants"][0]
        capture = config["DataCaptureConfig"]
        share = shadow.get("InitialVariantWeight", 1.0) / production.get("InitialVariantWeight", 1.0)
        return cls(
            config_name=config["EndpointConfigName"],
            since=config["CreationTime"],
            production_variant=production["VariantName"],
            shadow_variant=shadow["VariantName"],
            incumbent_model=production["ModelName"],
            candidate_model=shadow["ModelName"],
            sampling_percentage=round(min(1.0, share) * 100, 6),
            capture_s3_uri=capture["DestinationS3Uri"],
            capture_percentage=capture["InitialSamplingPercentage"],
            shadow_instance_type=shadow.get("InstanceType"),
            shadow_instance_count=shadow.get("InitialInstanceCount", 0),
        )

    def documents(self, endpoint_name: str, prefix: str | None = None) -> str:
        """Return where this run's documents stand in S3, to which each adds its own ending.

        The moment the shadow config was made tells a deployment that was cleaned up and run again from its first run.

        Args:
            endpoint_name: the endpoint.
            prefix: an S3 URI; by default ``shadow-decisions`` beside the captures.
        """
        prefix = prefix or f"{self.capture_s3_uri.rstrip('/')}/shadow-decisions"
        made = self.since.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        return f"{prefix.rstrip('/')}/{endpoint_name}/{self.config_name}-{made}"


def baseline_of_live_endpoint(state: EndpointState, config: Mapping[str, Any]) -> Baseline:
    """Read the baseline from an endpoint as it runs.

    Args:
        state: the endpoint.
        config: DescribeEndpointConfig of its active config.

    Raises:
        PlanError: the endpoint is of a kind that cannot have a shadow.
    """
    name = config["EndpointConfigName"]
    variants = config.get("ProductionVariants") or []
    _refuse_unless_shadowable(state.name, name, config, variants)
    variant = dict(variants[0])
    running = next((item for item in state.production if item.name == variant["VariantName"]), None)
    if running is not None and running.desired_instances:
        # Autoscaling may have moved it; a new config starts with its own InitialInstanceCount.
        variant["InitialInstanceCount"] = running.desired_instances
    carried = {key: config[key] for key in _CARRIED if config.get(key) is not None}
    return Baseline(name, variant, carried, state.deployment_config)


def _refuse_unless_shadowable(
    endpoint: str, config_name: str, config: Mapping[str, Any], variants: list[dict[str, Any]]
) -> None:
    where = f"endpoint_name={endpoint!r} (config {config_name!r})"
    if config.get("ShadowProductionVariants"):
        raise PlanError(
            f"{where}: it has a shadow variant already, which is not this deployment's. SageMaker allows one: "
            "finish or roll back the other deployment first."
        )
    if len(variants) != 1:
        raise PlanError(f"{where}: it has {len(variants)} production variants; a shadow needs exactly one.")
    if config.get("AsyncInferenceConfig") is not None:
        raise PlanError(f"{where}: it is an asynchronous endpoint; those cannot have a shadow variant.")
    if variants[0].get("ServerlessConfig") is not None:
        raise PlanError(f"{where}: its production variant is serverless; those cannot have a shadow variant.")
    if not variants[0].get("ModelName"):
        raise PlanError(f"{where}: its production variant has no model of its own (inference components).")
    if not variants[0].get("InstanceType"):
        raise PlanError(f"{where}: its production variant has instance pools; a shadow of those is not supported.")


def baseline_of_new_endpoint(
    config_name: str, production: ProductionVariant, model_name: str, capture: DataCapture | None
) -> Baseline:
    """Plan the baseline of an endpoint that the deployment makes itself: production alone."""
    variant = production.model_dump(by_alias=True, exclude_none=True) | {"ModelName": model_name}
    return Baseline(config_name, variant, {"DataCaptureConfig": capture.to_aws()} if capture else {})


def with_capture(baseline: Baseline, capture: DataCapture | None) -> Baseline:
    """Return the baseline with the capture that runs while the shadow does.

    Raises:
        PlanError: neither the baseline captures nor was a destination given: there could be no pairs.
    """
    if capture is not None:
        return replace(baseline, carried={**baseline.carried, "DataCaptureConfig": capture.to_aws()})
    present = baseline.carried.get("DataCaptureConfig") or {}
    if not present.get("EnableCapture", bool(present)) or not present.get("InitialSamplingPercentage", 100):
        raise PlanError(
            f"data_capture=None: endpoint config {baseline.config_name!r} does not capture requests and answers, so "
            "there would be nothing to compare. Give data_capture={'destination_s3_uri': 's3://…'}."
        )
    return baseline


def baseline_request(baseline: Baseline) -> dict[str, Any]:
    """Return the CreateEndpointConfig request of a baseline, without tags."""
    return {"EndpointConfigName": baseline.config_name, "ProductionVariants": [dict(baseline.variant)],
            **baseline.carried}  # fmt: skip


def shadow_request(
    baseline: Baseline, *, config_name: str, candidate_model: str, shadow: ShadowVariant, sampling_percentage: float
) -> dict[str, Any]:
    """Return the CreateEndpointConfig request of the shadow config, without tags.

    The weights say which share of requests is copied: AWS documents production 1 and shadow 0.5 as 50 %, and no
    formula. With production always at 1.0 and the shadow at most at 1.0, every reading of it gives the same share.

    Args:
        baseline: production as it is, capture included.
        config_name: name of the new config.
        candidate_model: the model behind the shadow.
        shadow: what was asked of the shadow variant.
        sampling_percentage: share of requests to copy, above 0 and up to 100.

    Raises:
        PlanError: the two variants would share a name.
    """
    if shadow.variant_name == baseline.variant_name:
        raise PlanError(
            f"shadow_variant.variant_name={shadow.variant_name!r}: is the production variant's name; "
            "the shadow needs another"
        )
    production = {**baseline.variant, "InitialVariantWeight": 1.0}
    mirrored = {key: value for key, value in baseline.variant.items() if key not in _OF_PRODUCTION_ONLY}
    mirrored |= {
        "VariantName": shadow.variant_name,
        "ModelName": candidate_model,
        "InstanceType": shadow.instance_type or baseline.variant["InstanceType"],
        "InitialInstanceCount": shadow.initial_instance_count or baseline.variant["InitialInstanceCount"],
        "InitialVariantWeight": sampling_percentage / 100,
    }
    return {"EndpointConfigName": config_name, "ProductionVariants": [production],
            "ShadowProductionVariants": [mirrored], **baseline.carried}  # fmt: skip


def promoted_request(
    baseline: Baseline, *, config_name: str, candidate_model: str, variant: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the CreateEndpointConfig request of the promoted config, without tags.

    Args:
        baseline: the baseline with production's present instance count and its own capture, not the one that ran
            beside the shadow.
        config_name: name of the new config.
        candidate_model: the model to serve from now on.
        variant: in place of the baseline's own production variant, see ``promoted_variant``.
    """
    promoted = {**(variant or baseline.variant), "ModelName": candidate_model}
    return {"EndpointConfigName": config_name, "ProductionVariants": [promoted], **baseline.carried}
