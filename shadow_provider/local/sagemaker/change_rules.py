"""What UpdateEndpoint and UpdateEndpointWeightsAndCapacities ask for, checked against AWS's rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from shadow_provider.local.errors import UnsupportedLocally, ValidationException
from shadow_provider.local.serving.capacity_change import Desired
from shadow_provider.local.serving.deployment import VariantPlan
from shadow_provider.local.serving.endpoint import Endpoint
from shadow_provider.local.serving.rollout_plan import RolloutPlan, plan_rollout
from shadow_provider.local.settings import LocalSettings

Json = dict[str, Any]


def retained(plans: Sequence[VariantPlan], endpoint: Endpoint, request: Json) -> list[VariantPlan]:
    """RetainAllVariantProperties: a variant of the same name keeps the weight and instance count asked for last.

    Args:
        plans: The variants of the new configuration.
        endpoint: What serves now.
        request: UpdateEndpoint's; without RetainAllVariantProperties its exclusions mean nothing.

    Raises:
        UnsupportedLocally: The data capture is to be excluded; AWS documents that it does not support it either.
    """
    if not request.get("RetainAllVariantProperties"):
        return list(plans)
    excluded = {item["VariantPropertyType"] for item in request.get("ExcludeRetainedVariantProperties", [])}
    if "DataCaptureConfig" in excluded:
        raise UnsupportedLocally("DataCaptureConfig in ExcludeRetainedVariantProperties")
    return [_retain(plan, endpoint, excluded) for plan in plans]


def _retain(plan: VariantPlan, endpoint: Endpoint, excluded: set[str]) -> VariantPlan:
    serving = endpoint.current(plan.name)
    if serving is None:
        return plan
    return replace(
        plan,
        weight=plan.weight if "DesiredWeight" in excluded else serving.desired_weight,
        count=plan.count if "DesiredInstanceCount" in excluded else serving.desired_count,
    )


def deployment_config_of(request: Json, endpoint: Endpoint) -> Json | None:
    """The DeploymentConfig that an update follows; with RetainDeploymentConfig the last one that was given.

    Raises:
        ValidationException: Both are given; the words are ours.
    """
    config: Json | None = request.get("DeploymentConfig")
    if not request.get("RetainDeploymentConfig"):
        return config
    if config is not None:
        raise ValidationException("DeploymentConfig and RetainDeploymentConfig cannot be specified together.")
    return endpoint.deployment_config


def rollout_of(
    config: Json | None,
    endpoint: Endpoint,
    production: Sequence[VariantPlan],
    shadows: Sequence[VariantPlan],
    settings: LocalSettings,
    alarm_state: Callable[[str], str | None],
) -> RolloutPlan:
    """How an update goes.

    AWS: guardrails need the same variant names in the old and the new configuration; without, an update is all at once
    without baking. So it is here from a mixed fleet on.

    Args:
        config: Its DeploymentConfig.
        endpoint: What serves now.
        production: The production variants to come.
        shadows: The shadow variants to come.
        settings: What guardrails do beside a shadow.
        alarm_state: The state of an alarm, None if there is no such alarm.

    Raises:
        ValidationException: The DeploymentConfig does not fit, or one of its alarms does not exist.
    """
    live = endpoint.live
    assert live is not None
    old = {variant.name: variant.count for variant in live.production}
    new = {plan.name: plan.count for plan in production}
    beside = {plan.name: plan.count for plan in shadows}
    # What is wrong is refused also where it would not be followed.
    plan = plan_rollout(config, new, old if old.keys() == new.keys() else new, beside)
    missing = [name for name in plan.alarms if alarm_state(name) is None]
    if missing:
        raise ValidationException(f"Could not find CloudWatch alarm(s) {', '.join(missing)}.")
    with_shadow = bool(shadows or live.shadows)
    if config is not None and with_shadow and settings.guardrails_with_shadow == "refused":
        raise ValidationException("DeploymentConfig is not supported for endpoints with shadow variants.")
    plain = with_shadow and settings.guardrails_with_shadow == "all_at_once"
    if plain or old.keys() != new.keys() or endpoint.mixed is not None:
        return plan_rollout(None, new, old, beside)
    return plan


def desired_of(request: Json, endpoint: Endpoint, settings: LocalSettings) -> list[Desired]:
    """What UpdateEndpointWeightsAndCapacities asks for.

    Raises:
        ValidationException: A variant does not exist or is named twice, an instance count is zero, or no production
            variant keeps a weight; the words are ours.
    """
    live = endpoint.live
    assert live is not None
    wishes = request["DesiredWeightsAndCapacities"]
    names = [wish["VariantName"] for wish in wishes]
    if len(set(names)) != len(names):
        raise ValidationException("Each variant can be specified only once.")
    for wish in wishes:
        variant = live.variant(wish["VariantName"])
        if variant is None:
            raise ValidationException(f'Could not find variant "{wish["VariantName"]}" of endpoint "{endpoint.arn}".')
        if "ServerlessUpdateConfig" in wish:
            raise ValidationException(f"Variant {variant.name} is not a serverless variant.")
        if "DesiredWeight" not in wish and "DesiredInstanceCount" not in wish:
            raise ValidationException(f"Neither a weight nor an instance count is given for variant {variant.name}.")
        if wish.get("DesiredInstanceCount", 1) < 1:
            raise ValidationException(f"DesiredInstanceCount of variant {variant.name} must be at least 1.")
        if variant in live.shadows and settings.shadow_weight_update == "refused":
            raise ValidationException(f"Variant {variant.name} is a shadow variant and cannot be updated.")
    weights = {variant.name: variant.desired_weight for variant in live.production}
    weights |= {wish["VariantName"]: wish["DesiredWeight"] for wish in wishes if "DesiredWeight" in wish}
    if not any(weights[variant.name] for variant in live.production):
        raise ValidationException("At least one production variant must have a weight greater than zero.")
    return [
        Desired(wish["VariantName"], wish.get("DesiredWeight"), wish.get("DesiredInstanceCount")) for wish in wishes
    ]
