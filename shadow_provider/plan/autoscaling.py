"""Autoscaling of an endpoint's variants: what must be taken away before an update, and what brings it back exactly.

Application Auto Scaling keeps a target for each variant by its name (``endpoint/<endpoint>/variant/<variant>``). It
keeps it through an update that changes the model only; AWS refuses an update that removes a registered variant or
changes its instance type (SageMaker developer guide, "Automatic scaling"). Deregistering a target deletes its policies
and scheduled actions, so everything is written down before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from shadow_provider.plan.arguments import MaybeNone, Specification
from shadow_provider.plan.frozen import Frozen

NAMESPACE = "sagemaker"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
SHADOW_POLICY = "shadow-provider-target-tracking"
"""Name of the policy that the shadow gets."""

_INVOCATIONS = "SageMakerVariantInvocationsPerInstance"
_CONFIGURATION = "PolicyConfiguration"
_OF_ACTION = ("Schedule", "Timezone", "StartTime", "EndTime", "ScalableTargetAction")
# AWS puts its own service-linked role in, and takes no other for SageMaker.
_AWS_OWN_ROLE = ":role/aws-service-role/"

Request = dict[str, Any]


def resource_of(endpoint_name: str, variant: str) -> dict[str, str]:
    """Return the three arguments by which Application Auto Scaling knows a variant."""
    return {
        "ServiceNamespace": NAMESPACE,
        "ResourceId": f"endpoint/{endpoint_name}/variant/{variant}",
        "ScalableDimension": DIMENSION,
    }


class VariantScaling(Frozen):
    """How one variant scales, as the arguments of the requests that make it so (without the resource).

    Attributes:
        target: of RegisterScalableTarget: capacities, suspended state, role where it is not AWS's own.
        policies: of PutScalingPolicy, by name: type and full configuration.
        actions: of PutScheduledAction, by name; times are ISO 8601.
        policy_arns: of the policies, by name. A policy that is made again may get another: alarms of step scaling
            name it.
    """

    target: Request
    policies: dict[str, Request] = Field(default_factory=dict)
    actions: dict[str, Request] = Field(default_factory=dict)
    policy_arns: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def of(
        cls,
        target: Mapping[str, Any],
        policies: Iterable[Mapping[str, Any]],
        actions: Iterable[Mapping[str, Any]],
    ) -> Self:
        """Read DescribeScalableTargets, DescribeScalingPolicies and DescribeScheduledActions of one variant."""
        policies = list(policies)
        wanted = {key: target[key] for key in ("MinCapacity", "MaxCapacity", "SuspendedState") if target.get(key)
                  is not None}  # fmt: skip
        role = target.get("RoleARN")
        if role and _AWS_OWN_ROLE not in role:
            wanted["RoleARN"] = role
        return cls(
            target=wanted,
            policies={
                item["PolicyName"]: {
                    key: _plain(value)
                    for key, value in item.items()
                    if key == "PolicyType" or key.endswith(_CONFIGURATION)
                }
                for item in policies
            },
            actions={
                item["ScheduledActionName"]: {key: _plain(item[key]) for key in _OF_ACTION if item.get(key) is not None}
                for item in actions
            },
            policy_arns={item["PolicyName"]: item["PolicyARN"] for item in policies},
        )

    def same_as(self, other: VariantScaling) -> bool:
        """Whether both scale alike, whatever their ARNs."""
        return (self.target, self.policies, self.actions) == (other.target, other.policies, other.actions)


class EndpointScaling(Frozen):
    """The document that is kept while a deployment changes an endpoint.

    Attributes:
        endpoint_name: the endpoint.
        variants: how its registered variants scale, by name.
        taken: names of those that this deployment deregisters right after this was written, and still has to restore.
            What is found of them says nothing, since it may be a restoration that died half-way.
    """

    endpoint_name: str
    variants: dict[str, VariantScaling]
    taken: tuple[str, ...] = ()

    def before(self, found: Mapping[str, VariantScaling], taking: Iterable[str]) -> EndpointScaling:
        """Return the document that has to stand before some of what was found is deregistered."""
        trusted = {name: item for name, item in found.items() if name not in self.taken}
        return EndpointScaling(
            endpoint_name=self.endpoint_name,
            variants={**self.variants, **trusted},
            taken=tuple(sorted({*self.taken, *taking})),
        )

    def restored(self) -> EndpointScaling:
        """Return the document that says that nothing is left to restore."""
        return self.model_copy(update={"taken": ()})

    def says(self, other: EndpointScaling) -> bool:
        """Whether both say the same, whatever the ARNs of policies."""
        return (
            self.taken == other.taken
            and self.variants.keys() == other.variants.keys()
            and all(item.same_as(other.variants[name]) for name, item in self.variants.items())
        )

    def canonical_bytes(self) -> bytes:
        """Return the document: the same content is always the same bytes."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, indent=1).encode()


def in_the_way(active: Mapping[str, Any], goal: Mapping[str, Any], registered: Iterable[str]) -> tuple[str, ...]:
    """Return the registered variants that AWS wants deregistered before an update.

    Args:
        active: DescribeEndpointConfig of the config that serves.
        goal: DescribeEndpointConfig of the config to update to.
        registered: names of the variants that have a scalable target.
    """
    before, after = _instance_types(active), _instance_types(goal)
    return tuple(sorted(name for name in registered if name not in after or before.get(name) != after[name]))


def _instance_types(config: Mapping[str, Any]) -> dict[str, Any]:
    variants = [*(config.get("ProductionVariants") or ()), *(config.get("ShadowProductionVariants") or ())]
    return {variant["VariantName"]: variant.get("InstanceType") for variant in variants}


@dataclass(frozen=True)
class Restoration:
    """What has to be asked of Application Auto Scaling, and what is left as somebody made it.

    Attributes:
        register: arguments of RegisterScalableTarget, None where the target is there.
        policies: arguments of PutScalingPolicy, one mapping for each that is missing.
        actions: arguments of PutScheduledAction, one mapping for each that is missing.
        differing: what is there and is not as it was.
    """

    register: Request | None
    policies: tuple[Request, ...]
    actions: tuple[Request, ...]
    differing: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self.register is None and not self.policies and not self.actions


def restoration(
    resource: Mapping[str, str], kept: VariantScaling, found: VariantScaling | None, *, now: datetime
) -> Restoration:
    """Compare how a variant scaled with how it does now.

    What is missing is to be made again. What is there and differs was changed by somebody else (a deployment only
    deregisters, and then everything of the target is gone): it is left, and named.

    A scheduled action whose time is over is not made again; a start that has passed is left out, since the action is
    under way: it is not documented that AWS takes a time that has passed.

    Args:
        resource: see ``resource_of``.
        kept: how it scaled.
        found: how it scales now; None where it is not registered.
        now: the present time.
    """
    actions = {name: due for name, action in kept.actions.items() if (due := _still_due(action, now)) is not None}
    if found is None:
        found_policies: Mapping[str, Any] = {}
        found_actions: Mapping[str, Any] = {}
        differing: list[str] = []
    else:
        found_policies, found_actions = found.policies, found.actions
        differing = ["target"] if found.target != kept.target else []
        differing += _differing("policy", kept.policies, found.policies)
        due_now = {name: _still_due(action, now) for name, action in found.actions.items()}
        differing += _differing("scheduled action", actions, due_now)
    return Restoration(
        register={**resource, **kept.target} if found is None else None,
        policies=tuple(
            {**resource, "PolicyName": name, **policy}
            for name, policy in kept.policies.items()
            if name not in found_policies
        ),
        actions=tuple(
            {**resource, "ScheduledActionName": name, **action}
            for name, action in actions.items()
            if name not in found_actions
        ),
        differing=tuple(differing),
    )


def _differing(kind: str, kept: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    return [f"{kind} {name}" for name in sorted(kept) if name in found and found[name] != kept[name]]


def _still_due(action: Request, now: datetime) -> Request | None:
    """Return a scheduled action as it is to be asked for now; None if it has nothing left to do."""
    end = action.get("EndTime")
    if end is not None and datetime.fromisoformat(end) <= now:
        return None
    schedule = str(action.get("Schedule", ""))
    if schedule.startswith("at("):
        # at(yyyy-mm-ddThh:mm:ss), in the action's time zone; UTC by default.
        zone = ZoneInfo(action.get("Timezone") or "UTC")
        if datetime.fromisoformat(schedule[3:-1]).replace(tzinfo=zone) <= now:
            return None
    start = action.get("StartTime")
    if start is not None and datetime.fromisoformat(start) <= now:
        return {key: value for key, value in action.items() if key != "StartTime"}
    return dict(action)


def _plain(value: Any) -> Any:
    """Turn what boto3 gives into JSON: times become ISO 8601 in UTC, which boto3 takes back as they are."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


class ShadowScaling(Specification):
    """How the shadow is to scale by itself.

    Attributes:
        min_capacity: instances at least, 1 or more.
        max_capacity: instances at most.
        invocations_per_instance: requests per minute and instance to hold (AWS's predefined metric
            ``SageMakerVariantInvocationsPerInstance``).
        target_tracking: instead of it, AWS's ``TargetTrackingScalingPolicyConfiguration`` as it is.
    """

    min_capacity: Annotated[int, Field(ge=1)]
    max_capacity: Annotated[int, Field(ge=1)]
    invocations_per_instance: Annotated[Annotated[float, Field(gt=0)] | None, MaybeNone] = None
    target_tracking: Annotated[dict[str, Any] | None, MaybeNone] = None

    @model_validator(mode="after")
    def _fits_together(self) -> ShadowScaling:
        if self.max_capacity < self.min_capacity:
            raise ValueError(f"max_capacity={self.max_capacity} must not be below min_capacity={self.min_capacity}")
        if (self.invocations_per_instance is None) == (self.target_tracking is None):
            raise ValueError("give either invocations_per_instance or target_tracking, and not both")
        return self

    def scaling(self) -> VariantScaling:
        """Return it in AWS's terms."""
        tracking = self.target_tracking or {
            "TargetValue": self.invocations_per_instance,
            "PredefinedMetricSpecification": {"PredefinedMetricType": _INVOCATIONS},
        }
        return VariantScaling(
            target={"MinCapacity": self.min_capacity, "MaxCapacity": self.max_capacity},
            policies={
                SHADOW_POLICY: {
                    "PolicyType": "TargetTrackingScaling",
                    "TargetTrackingScalingPolicyConfiguration": tracking,
                }
            },
        )
