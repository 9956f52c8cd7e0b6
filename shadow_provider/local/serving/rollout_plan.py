"""How an endpoint goes from one fleet to the next, as steps: which instances start, take traffic, bake and go.

Nothing here runs anything. The rules are AWS's (DeploymentConfig of CreateEndpoint and UpdateEndpoint).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from shadow_provider.local.errors import ValidationException

Counts = Mapping[str, int]
_WAIT = "WaitIntervalInSeconds"
_TERMINATION_WAIT = "TerminationWaitInSeconds"
# Percent of a variant's instances that a step may have, AWS: the documentation of the members.
_LIMITS = {"CanarySize": (0, 50), "LinearStepSize": (10, 50), "MaximumBatchSize": (5, 50)}


@dataclass(frozen=True)
class Launch:
    """Start so many further instances of each variant."""

    counts: Counts


@dataclass(frozen=True)
class Shift:
    """Give the new fleet its share of each variant's requests, on so many of its instances."""

    instances: Counts
    shares: Mapping[str, float]


@dataclass(frozen=True)
class Bake:
    """Wait so many AWS seconds, watching the alarms.

    Attributes:
        seconds: How long.
        cause: The member of DeploymentConfig that says so.
        part: What has traffic meanwhile, as in "canary capacity".
    """

    seconds: int
    cause: str
    part: str


@dataclass(frozen=True)
class Retire:
    """Stop so many instances of each variant, once they have answered what they have."""

    counts: Counts


Step = Launch | Shift | Bake | Retire


@dataclass(frozen=True)
class RolloutPlan:
    """A deployment from its beginning to its end.

    Attributes:
        steps: Launch and Shift are about the new fleet, Retire is about the old one. The last one retires the rest of
            it; only a creation has no Retire.
        alarms: Names of the alarms that roll it back.
        timeout: AWS seconds it may take; None is without limit.
        rolling: Whether the old fleet goes in batches, so that a rollback has to start instances.
        rollback_batch: Instances of the old fleet that a rollback of a rolling deployment starts at a time.
    """

    steps: tuple[Step, ...]
    alarms: tuple[str, ...] = ()
    timeout: int | None = None
    rolling: bool = False
    rollback_batch: int = 0

    @property
    def surge(self) -> dict[str, int]:
        """The most instances, by variant, that it has at one time beyond those of the old fleet."""
        extra: dict[str, int] = {}
        most: dict[str, int] = {}
        for step in self.steps:
            if isinstance(step, Launch | Retire):
                sign = 1 if isinstance(step, Launch) else -1
                for name, count in step.counts.items():
                    extra[name] = extra.get(name, 0) + sign * count
                    most[name] = max(most.get(name, 0), extra[name])
        return most

    @property
    def fault_point(self) -> int:
        """The step after which an injected failure strikes: as late as possible while there is a way back.

        That is the first bake. A rolling deployment has then lost a part of its old fleet, if it has several batches.
        """
        kinds = [type(step) for step in self.steps]
        last = len(kinds) - 1
        if self.rolling and kinds.index(Retire) < last:
            return kinds.index(Retire)
        return kinds.index(Bake) if Bake in kinds else kinds.index(Launch)


def check_policy(config: Mapping[str, Any]) -> None:
    """Checks what can be seen without an endpoint.

    Raises:
        ValidationException: A documented rule is broken; the words are ours.
    """
    if "BlueGreenUpdatePolicy" in config and "RollingUpdatePolicy" in config:
        raise ValidationException("Only one of BlueGreenUpdatePolicy and RollingUpdatePolicy can be specified.")
    routing = config.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {})
    for member, kind in (("CanarySize", "CANARY"), ("LinearStepSize", "LINEAR")):
        if routing and (member in routing) != (routing["Type"] == kind):
            raise ValidationException(f"{member} must be specified if, and only if, the traffic routing is {kind}.")
    for member, size in _sizes(config).items():
        if size["Type"] == "CAPACITY_PERCENT":
            _check_percent(member, size["Value"], f"{size['Value']} percent")
    rollback = config.get("RollingUpdatePolicy", {}).get("RollbackMaximumBatchSize", {})
    if rollback.get("Type") == "CAPACITY_PERCENT" and rollback["Value"] > 100:
        raise ValidationException("RollbackMaximumBatchSize must be at most 100 percent.")


def plan_rollout(
    config: Mapping[str, Any] | None, production: Counts, old: Counts, shadows: Counts | None = None
) -> RolloutPlan:
    """The steps of a deployment.

    Args:
        config: DeploymentConfig; None is blue/green, all at once, without baking, as on AWS.
        production: Instances that the new fleet is to have, by production variant.
        old: Instances that the old fleet has; empty for a creation. Its shadows are not among them.
        shadows: Instances of the new fleet's shadow.

    Raises:
        ValidationException: The configuration does not fit these counts; the words are ours.
    """
    config = config or {}
    check_policy(config)
    for member, size in _sizes(config).items():
        if size["Type"] == "INSTANCE_COUNT":
            for name, count in production.items():
                share = f"{size['Value']} of {count} instance(s) of variant {name}"
                _check_percent(member, 100 * size["Value"] / count, share)
    rolling = config.get("RollingUpdatePolicy")
    if rolling is None:
        policy = config.get("BlueGreenUpdatePolicy", {})
        steps = _blue_green(policy, production, shadows or {})
        if old:
            steps.append(Retire(dict(old)))
    else:
        if len(production) > 1:
            raise ValidationException("Rolling deployments are not supported for multi-variant endpoints.")
        policy = rolling
        steps = _rolling(policy, production, old, shadows or {})
    alarms = config.get("AutoRollbackConfiguration", {}).get("Alarms", [])
    names = tuple(alarm["AlarmName"] for alarm in alarms if "AlarmName" in alarm)
    if names and not any(isinstance(step, Bake) for step in steps):
        # Without any waiting the alarms are looked at once.
        at = next(index for index, step in enumerate(steps) if isinstance(step, Shift)) + 1
        steps.insert(at, Bake(0, _TERMINATION_WAIT, "full"))
    timeout = policy.get("MaximumExecutionTimeoutInSeconds")
    waits = sum(step.seconds for step in steps if isinstance(step, Bake))
    if timeout is not None and waits >= timeout:
        raise ValidationException(
            f"MaximumExecutionTimeoutInSeconds ({timeout}) must be larger than the total waiting time ({waits})."
        )
    batch = rolling.get("RollbackMaximumBatchSize") if rolling else None
    total = sum(old.values())
    return RolloutPlan(
        tuple(steps), names, timeout, rolling is not None, min(total, _instances(batch, total)) if batch else total
    )


def plan_rollback(name: str, new: int, share: float, missing: int, batch: int) -> tuple[Step, ...]:
    """The way back of a rolling deployment. Launch is about the old fleet here, Retire about the new one.

    Args:
        name: The variant.
        new: Instances that the new fleet has now.
        share: Its share of the requests now.
        missing: Instances that the old fleet has lost.
        batch: Instances to be started again at a time.
    """
    back = [*range(min(batch, missing), missing, batch), missing] if missing else []
    steps: list[Step] = []
    for before, after in pairwise([0, *back]):
        left = new - new * after // missing
        steps += [Launch({name: after - before}), Shift({name: left}, {name: share * (1 - after / missing)})]
        leaving = new * after // missing - new * before // missing
        if leaving and left:
            steps.append(Retire({name: leaving}))
    return tuple(steps)


def _blue_green(policy: Mapping[str, Any], production: Counts, shadows: Counts) -> list[Step]:
    routing = policy.get("TrafficRoutingConfiguration", {"Type": "ALL_AT_ONCE", _WAIT: 0})
    kind, wait = routing["Type"], routing[_WAIT]
    size = routing.get("CanarySize") or routing.get("LinearStepSize")
    sizes = {name: _instances(size, count) if size else count for name, count in production.items()}
    full = dict(production)
    # What takes traffic after each shift: one small part and then all, or equal parts.
    parts = [sizes]
    while parts[-1] != full:
        parts.append({n: min(full[n], parts[-1][n] + sizes[n]) for n in full} if kind == "LINEAR" else full)
    steps: list[Step] = [Launch({**full, **shadows})]
    for part in parts:
        steps.append(_shift(part, full))
        # A fleet of one instance has no smaller canary: it bakes as a whole.
        if wait and (part is not parts[-1] or (kind == "CANARY" and len(parts) == 1)):
            steps.append(Bake(wait, _WAIT, kind.lower()))
    if termination := policy.get(_TERMINATION_WAIT, 0):
        steps.append(Bake(termination, _TERMINATION_WAIT, "full"))
    return steps


def _rolling(policy: Mapping[str, Any], production: Counts, old: Counts, shadows: Counts) -> list[Step]:
    ((name, total),) = production.items()
    batch = _instances(policy["MaximumBatchSize"], total)
    steps: list[Step] = []
    for before, after in pairwise([*range(0, total, batch), total]):
        steps += [
            Launch({name: after - before, **({} if before else shadows)}),
            _shift({name: after}, production),
            Bake(policy[_WAIT], _WAIT, "batch"),
        ]
        leaving = old[name] * after // total - old[name] * before // total
        if leaving:
            steps.append(Retire({name: leaving}))
    return steps


def _shift(part: Counts, full: Counts) -> Shift:
    return Shift(dict(part), {name: part[name] / full[name] for name in full})


def _instances(size: Mapping[str, Any], total: int) -> int:
    """A CapacitySize as instances: whole ones, at least one. How AWS rounds is not documented."""
    if size["Type"] == "INSTANCE_COUNT":
        return int(size["Value"])
    return max(1, total * int(size["Value"]) // 100)


def _sizes(config: Mapping[str, Any]) -> dict[str, Any]:
    """The sizes that have limits."""
    routing = config.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {})
    members = {**routing, **config.get("RollingUpdatePolicy", {})}
    return {member: members[member] for member in _LIMITS if member in members}


def _check_percent(member: str, percent: float, said: str) -> None:
    low, high = _LIMITS[member]
    if not low <= percent <= high:
        limits = f"at most {high}%" if low == 0 else f"between {low}% and {high}%"
        raise ValidationException(f"{member} must be {limits} of the variant's total instance count; it is {said}.")
