"""Autoscaling of the endpoint's variants through a deployment: written down, taken away where AWS demands it, restored.

What is written down stands in S3 beside the decision record, each document written once: how production scaled just
before this deployment took anything away. So a task that is killed between deregistering and restoring loses nothing:
whoever comes next, the same task or the rollback, reads it there.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from shadow_provider.hooks import aws_errors
from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.plan.autoscaling import (
    DIMENSION,
    NAMESPACE,
    EndpointScaling,
    Restoration,
    ShadowScaling,
    VariantScaling,
    in_the_way,
    resource_of,
    restoration,
)
from shadow_provider.plan.deployment import Deployment
from shadow_provider.plan.endpoint_config import ShadowRun
from shadow_provider.plan.endpoint_state import EndpointState
from shadow_provider.plan.errors import AutoscalingNotRestoredError, PlanError

log = logging.getLogger(__name__)


class EndpointAutoscaling:
    """The autoscaling of one deployment's endpoint.

    Args:
        hook: the verbs of AWS.
        deployment: the deployment.
    """

    def __init__(self, hook: SageMakerShadowHook, deployment: Deployment) -> None:
        self._hook = hook
        self._deployment = deployment
        self._endpoint = deployment.endpoint_name

    # -- before an update ---------------------------------------------------------------------------------------------

    def before_update(self, state: EndpointState, goal_config: str) -> None:
        """Write down how production scales, then deregister what AWS would refuse the update for.

        Call it when everything else was checked and nothing is left but to ask for the update.

        Args:
            state: the endpoint as it is now.
            goal_config: name of the config that it is updated to.

        Raises:
            PlanError: production has to be deregistered, and there is no place any more to keep how it scaled.
        """
        found = self.read(item.name for item in (*state.production, *state.shadows))
        if not found:
            return
        production = {item.name: found[item.name] for item in state.production if item.name in found}
        active = self._hook.endpoint_config(state.active_config or "") or {}
        goal = self._hook.endpoint_config(goal_config) or {}
        blocked = in_the_way(active, goal, found)
        if production:
            self._keep(production, taking=production.keys() & set(blocked))
        for variant in blocked:
            self._deregister(variant)

    def _keep(self, production: Mapping[str, VariantScaling], *, taking: Collection[str]) -> None:
        base = self._base()
        if base is None:
            if not taking:
                return
            raise PlanError(
                f"Endpoint {self._endpoint}: AWS wants the scalable target of its variant deregistered before the "
                f"instance type changes, but the shadow config {self._deployment.names.shadow_config} is gone, and "
                "with it the place to keep what is to be restored. Deregister the target by hand, then try again."
            )
        _, kept = self._latest(base)
        kept = kept or EndpointScaling(endpoint_name=self._endpoint, variants={})
        self._write(base, kept.before(production, taking))

    def _deregister(self, variant: str) -> None:
        resource = resource_of(self._endpoint, variant)
        try:
            self._hook.retrying(lambda: self._hook.autoscaling.deregister_scalable_target(**resource))
        except ClientError as error:
            if not aws_errors.is_no_scalable_target(error):
                raise
        log.info("Deregistered the scalable target of variant %s: AWS refuses the update otherwise", variant)

    # -- after an update ----------------------------------------------------------------------------------------------

    def after_update(self, state: EndpointState) -> None:
        """See to it that production scales as it did; call it once the endpoint is verified and nothing is under way.

        Raises:
            AutoscalingNotRestoredError: AWS shows something else than was asked for; trying again may help.
        """
        base = self._base()
        _, kept = self._latest(base) if base is not None else (0, None)
        if base is None or kept is None:
            return
        for item in state.production:
            if item.name in kept.taken:
                self._restore(item.name, kept.variants[item.name])
            elif item.name in kept.variants:
                self._tell_changes(item.name, kept.variants[item.name])
        self._write(base, kept.restored())

    def _tell_changes(self, variant: str, kept: VariantScaling) -> None:
        """Compare what AWS keeps by itself; what is not as before is somebody's doing and left to them."""
        needed = self._compare(variant, kept, self.read([variant]).get(variant))
        if not needed.complete or needed.differing:
            log.warning("Autoscaling of variant %s is not as it was, and this deployment did not touch it; missing or "
                        "different: %s", variant, needed)  # fmt: skip

    def _restore(self, variant: str, kept: VariantScaling) -> None:
        needed = self._compare(variant, kept, self.read([variant]).get(variant))
        self._ask_for(needed)
        found = self.read([variant]).get(variant)
        left = self._compare(variant, kept, found)
        if found is None or not left.complete or left.differing != needed.differing:
            raise AutoscalingNotRestoredError(
                f"Endpoint {self._endpoint}: the autoscaling of variant {variant} is not as it was; missing or "
                f"different: {left}"
            )
        if left.differing:
            log.warning("Autoscaling of variant %s was changed by somebody else meanwhile and is left so: %s",
                        variant, ", ".join(left.differing))  # fmt: skip
        self._reattach_alarms(kept, found)
        log.info("The autoscaling of variant %s is restored", variant)

    def _compare(self, variant: str, kept: VariantScaling, found: VariantScaling | None) -> Restoration:
        return restoration(resource_of(self._endpoint, variant), kept, found, now=datetime.now(tz=UTC))

    def _ask_for(self, needed: Restoration) -> None:
        client, retrying = self._hook.autoscaling, self._hook.retrying
        if needed.register is not None:
            retrying(partial(client.register_scalable_target, **needed.register))
        for policy in needed.policies:
            retrying(partial(client.put_scaling_policy, **policy))
        for action in needed.actions:
            retrying(partial(client.put_scheduled_action, **action))

    def _reattach_alarms(self, kept: VariantScaling, found: VariantScaling) -> None:
        """Let alarms of step scaling name the policy that was made again; those of target tracking are AWS's own."""
        for name, policy in kept.policies.items():
            old, new = kept.policy_arns.get(name), found.policy_arns.get(name)
            if policy["PolicyType"] == "StepScaling" and old and new and old != new:
                self._replace_action(old, new)

    def _replace_action(self, old: str, new: str) -> None:
        client, retrying = self._hook.cloudwatch, self._hook.retrying
        fields = client.meta.service_model.operation_model("PutMetricAlarm").input_shape.members
        pages = client.get_paginator("describe_alarms").paginate(ActionPrefix=old)
        alarms = retrying(lambda: [item for page in pages for item in page.get("MetricAlarms", ())])
        for alarm in alarms:
            request = {key: alarm[key] for key in fields if alarm.get(key) not in (None, [])}
            for key in ("OKActions", "AlarmActions", "InsufficientDataActions"):
                if key in request:
                    request[key] = [new if action == old else action for action in request[key]]
            retrying(partial(client.put_metric_alarm, **request))
            log.info("Alarm %s acts on the restored policy %s", alarm["AlarmName"], new)

    # -- the shadow's own ---------------------------------------------------------------------------------------------

    def give(self, variant: str, wanted: ShadowScaling) -> bool:
        """See to it that a variant that is InService scales as asked; tells whether anything had to be done."""
        scaling = wanted.scaling()
        if not _changed(scaling, self.read([variant]).get(variant)):
            return False
        # Registering and putting again replace what is there: the shadow is this deployment's own.
        self._ask_for(self._compare(variant, scaling, None))
        log.info("Variant %s scales between %s and %s instances", variant, wanted.min_capacity, wanted.max_capacity)
        return True

    # -- reading ------------------------------------------------------------------------------------------------------

    def read(self, variants: Iterable[str]) -> dict[str, VariantScaling]:
        """Return how the registered ones of these variants scale, by name."""
        names = {resource_of(self._endpoint, name)["ResourceId"]: name for name in variants}
        if not names:
            return {}
        one_kind = {"ServiceNamespace": NAMESPACE, "ScalableDimension": DIMENSION}
        targets = self._all("describe_scalable_targets", "ScalableTargets", **one_kind, ResourceIds=list(names))
        return {
            names[target["ResourceId"]]: VariantScaling.of(
                target,
                self._all("describe_scaling_policies", "ScalingPolicies", **one_kind, ResourceId=target["ResourceId"]),
                self._all(
                    "describe_scheduled_actions", "ScheduledActions", **one_kind, ResourceId=target["ResourceId"]
                ),
            )
            for target in targets
        }

    def _all(self, verb: str, key: str, **arguments: Any) -> list[dict[str, Any]]:
        pages = self._hook.autoscaling.get_paginator(verb).paginate(**arguments)
        return self._hook.retrying(lambda: [item for page in pages for item in page[key]])

    # -- the document -------------------------------------------------------------------------------------------------

    def _base(self) -> str | None:
        config = self._hook.endpoint_config(self._deployment.names.shadow_config)
        return ShadowRun.of(config).documents(self._endpoint) if config else None

    def _latest(self, base: str) -> tuple[int, EndpointScaling | None]:
        number, kept = 0, None
        while (document := self._hook.read_document(_document(base, number + 1))) is not None:
            number, kept = number + 1, EndpointScaling.model_validate_json(document)
        return number, kept

    def _write(self, base: str, wanted: EndpointScaling) -> None:
        """See to it that the latest document says what is wanted."""
        number, kept = self._latest(base)
        while kept is None or not kept.says(wanted):
            number += 1
            uri = _document(base, number)
            standing = self._hook.write_document_once(uri, wanted.canonical_bytes(), content_type="application/json")
            kept = EndpointScaling.model_validate_json(standing)
            log.info("How endpoint %s scales is kept in %s", self._endpoint, uri)


def _changed(wanted: VariantScaling, found: VariantScaling | None) -> bool:
    """Whether what is there lacks something of what is wanted; AWS fills in what was not said."""
    if found is None:
        return True
    policies = all(_within(policy, found.policies.get(name)) for name, policy in wanted.policies.items())
    return not (_within(wanted.target, found.target) and policies)


def _within(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(_within(value, found.get(key)) for key, value in wanted.items())
    return bool(wanted == found)


def _document(base: str, number: int) -> str:
    return f"{base}-autoscaling-{number}.json"
