"""How traffic moves to the promoted model: AWS's deployment guardrails, with their limits checked beforehand.

Limits and exclusions: service model of ``UpdateEndpoint`` (``DeploymentConfig``) and the developer guide, deployment
guardrails. What depends on production's number of instances is checked when that is known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from shadow_provider.plan.arguments import MaybeNone, Specification, given
from shadow_provider.plan.errors import PlanError

AlarmName = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Strategy = Literal["ALL_AT_ONCE", "CANARY", "LINEAR", "ROLLING", "AS_BEFORE"]

MOST_ALARMS = 10
"""Alarms that AWS takes in an ``AutoRollbackConfiguration``."""

# The member of DeploymentConfig that a step's size is, and its limits in percent of the variant's instances.
_STEPS: dict[str, tuple[str, int, int]] = {
    "CANARY": ("CanarySize", 1, 50),
    "LINEAR": ("LinearStepSize", 10, 50),
    "ROLLING": ("MaximumBatchSize", 5, 50),
}
_NOT_SUPPORTED = "ml.inf1."
_LONGEST = 28_800

_Wait = Annotated[int, Field(ge=0, le=3600)]
_Count = Annotated[Annotated[int, Field(ge=1)] | None, MaybeNone]
_Percent = Annotated[Annotated[int, Field(ge=1, le=100)] | None, MaybeNone]


class Guardrails(Specification):
    """What guards the promotion.

    Attributes:
        strategy: ``ALL_AT_ONCE``, ``CANARY`` (a part first, then the rest), ``LINEAR`` (equal steps), ``ROLLING``
            (batch by batch, without a second fleet), or ``AS_BEFORE``: the ``DeploymentConfig`` that the endpoint was
            updated with last before this deployment, as it is; nothing else may be given then.
        step_percent: size of the canary (up to 50), of a linear step (10 to 50) or of a rolling batch (5 to 50), in
            percent of production's instances.
        step_instances: the same as a number of instances.
        wait_interval_seconds: how long each step bakes, 0 to 3600.
        termination_wait_seconds: how long the new fleet bakes with all the traffic before the old one goes, 0 to 3600;
            a rolling update has no such wait.
        maximum_execution_seconds: after which SageMaker rolls back, 600 to 28800; must exceed the waits together.
        rollback_percent: size of a batch on the way back of a rolling update; all at once where not given.
        rollback_instances: the same as a number of instances.
        alarm_names: existing CloudWatch alarms; one that goes off while a step bakes rolls the update back.
        alarms_from_policy: make alarms on the new fleet from the policy's gates on errors and latency, and delete them
            after the bake.
        alarm_period_seconds: over which those alarms look; less than a minute only for endpoints that publish their
            invocation metrics more often (enhanced metrics).
    """

    strategy: Strategy
    step_percent: _Percent = None
    step_instances: _Count = None
    wait_interval_seconds: _Wait = 0
    termination_wait_seconds: _Wait = 0
    maximum_execution_seconds: Annotated[Annotated[int, Field(ge=600, le=_LONGEST)] | None, MaybeNone] = None
    rollback_percent: _Percent = None
    rollback_instances: _Count = None
    alarm_names: tuple[AlarmName, ...] = ()
    alarms_from_policy: bool = False
    alarm_period_seconds: Literal[10, 20, 30, 60] = 60

    @classmethod
    def of(cls, value: Any) -> Guardrails | None:
        """Read an operator's rendered argument; None where it says nothing.

        Raises:
            PlanError: it breaks a rule.
        """
        found = given(value)
        return None if found is None else cls.parse("guardrails", found)

    @model_validator(mode="after")
    def _as_aws_has_it(self) -> Guardrails:
        for rule in (self._nothing_more(), self._sizes(), self._waits(), self._alarms()):
            if rule:
                raise ValueError(rule)
        return self

    def _nothing_more(self) -> str | None:
        if self.strategy != "AS_BEFORE":
            return None
        more = [name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default]
        more.remove("strategy")
        return f"{more[0]}: AS_BEFORE takes everything as it was; leave it out" if more else None

    def _sizes(self) -> str | None:
        given = [name for name in ("step_percent", "step_instances") if getattr(self, name) is not None]
        back = [name for name in ("rollback_percent", "rollback_instances") if getattr(self, name) is not None]
        if back and self.strategy != "ROLLING":
            return f"{back[0]}: only a ROLLING update goes back in batches, not {self.strategy}"
        if len(back) > 1:
            return "rollback_percent, rollback_instances: give one of them"
        if self.strategy == "AS_BEFORE":
            return None
        if self.strategy == "ALL_AT_ONCE":
            return f"{given[0]}: an ALL_AT_ONCE update has no steps" if given else None
        if len(given) != 1:
            return f"step_percent, step_instances: {self.strategy} needs one of them, and not both"
        member, low, high = _STEPS[self.strategy]
        if self.step_percent is not None and not low <= self.step_percent <= high:
            return f"step_percent={self.step_percent}: {member} must be {low} to {high} % of the instances"
        return None

    def _waits(self) -> str | None:
        if self.strategy == "ALL_AT_ONCE" and self.wait_interval_seconds:
            return "wait_interval_seconds: ALL_AT_ONCE has no steps to wait between; give termination_wait_seconds"
        if self.strategy == "ROLLING" and self.termination_wait_seconds:
            return (
                "termination_wait_seconds: ROLLING ends the old instances batch by batch; give wait_interval_seconds, "
                "for which each batch bakes"
            )
        waits = self.wait_interval_seconds + self.termination_wait_seconds
        if self.maximum_execution_seconds is not None and self.maximum_execution_seconds <= waits:
            return f"maximum_execution_seconds={self.maximum_execution_seconds}: must exceed the waits ({waits} s)"
        return None

    def _alarms(self) -> str | None:
        if len(set(self.alarm_names)) != len(self.alarm_names):
            return "alarm_names: each alarm once"
        if len(self.alarm_names) > MOST_ALARMS:
            return f"alarm_names: AWS takes at most {MOST_ALARMS} alarms"
        if (self.alarm_names or self.alarms_from_policy) and not (
            self.wait_interval_seconds or self.termination_wait_seconds
        ):
            given = "alarm_names" if self.alarm_names else "alarms_from_policy"
            return (
                f"{given}: alarms are watched while an update bakes, and this one does not; give "
                "wait_interval_seconds or termination_wait_seconds"
            )
        return None

    def baking_seconds(self, instances: int) -> int:
        """The waits of an update of so many instances together, in seconds.

        Of a fleet that is smaller than the steps of a percentage, each step is an instance.
        """
        steps = self._steps(instances)
        waited = {"ALL_AT_ONCE": 0, "CANARY": 1, "LINEAR": steps - 1, "ROLLING": steps}[self.strategy]
        return waited * self.wait_interval_seconds + self.termination_wait_seconds

    def _steps(self, instances: int) -> int:
        size = self.step_instances or max(1, instances * (self.step_percent or 100) // 100)
        return math.ceil(instances / size)

    def patience_seconds(self, instances: int) -> int:
        """How long AWS may take for the update at the longest, beyond the time that instances need to start."""
        if self.strategy == "AS_BEFORE":
            return self.longest_seconds
        return self.maximum_execution_seconds or self.baking_seconds(instances)

    @property
    def longest_seconds(self) -> int:
        """How long AWS may take for any fleet: as given, or eight hours, the longest that can be given."""
        return self.maximum_execution_seconds or _LONGEST

    def to_aws(self, *, instances: int, instance_type: str, alarms: Sequence[str] = ()) -> dict[str, Any]:
        """Return AWS's ``DeploymentConfig`` for a production variant as it is now.

        Args:
            instances: production's present number of instances.
            instance_type: their type.
            alarms: names of alarms that were made for this update.

        Raises:
            PlanError: AWS excludes this for such a variant.
        """
        problem = self._problem(instances, instance_type, [*self.alarm_names, *alarms])
        if problem:
            raise PlanError(f"guardrails.{problem}")
        limit = {"MaximumExecutionTimeoutInSeconds": self.maximum_execution_seconds}
        policy: dict[str, Any] = {key: value for key, value in limit.items() if value is not None}
        step = _size(self.step_percent, self.step_instances)
        config: dict[str, Any]
        if self.strategy == "ROLLING":
            policy |= {"MaximumBatchSize": step, "WaitIntervalInSeconds": self.wait_interval_seconds}
            if back := _size(self.rollback_percent, self.rollback_instances):
                policy["RollbackMaximumBatchSize"] = back
            config = {"RollingUpdatePolicy": policy}
        else:
            routing: dict[str, Any] = {
                "Type": self.strategy,
                "WaitIntervalInSeconds": self.wait_interval_seconds,
            }
            if step:
                routing[_STEPS[self.strategy][0]] = step
            policy |= {
                "TrafficRoutingConfiguration": routing,
                "TerminationWaitInSeconds": self.termination_wait_seconds,
            }
            config = {"BlueGreenUpdatePolicy": policy}
        if names := [*self.alarm_names, *alarms]:
            config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in names]}
        return config

    def _problem(self, instances: int, instance_type: str, alarms: Sequence[str]) -> str | None:
        if instance_type.startswith(_NOT_SUPPORTED):
            return f"strategy={self.strategy!r}: deployment guardrails do not support {instance_type} instances"
        if self.step_instances is not None:
            member, low, high = _STEPS[self.strategy]
            if not low <= 100 * self.step_instances / instances <= high:
                return (
                    f"step_instances={self.step_instances}: {member} must be {low} to {high} % of production's "
                    f"{instances} instance(s); a fleet of one has no smaller part"
                )
        if self.rollback_instances is not None and self.rollback_instances > instances:
            return f"rollback_instances={self.rollback_instances}: production has {instances} instance(s)"
        waits = self.baking_seconds(instances)
        if self.maximum_execution_seconds is not None and self.maximum_execution_seconds <= waits:
            return (
                f"maximum_execution_seconds={self.maximum_execution_seconds}: must exceed the waits of "
                f"{self._steps(instances)} step(s), {waits} s together"
            )
        if len(alarms) > MOST_ALARMS:
            return f"alarm_names: AWS takes at most {MOST_ALARMS} alarms, with those made from the policy {len(alarms)}"
        return None


def _size(percent: int | None, instances: int | None) -> dict[str, Any] | None:
    if percent is not None:
        return {"Type": "CAPACITY_PERCENT", "Value": percent}
    return {"Type": "INSTANCE_COUNT", "Value": instances} if instances is not None else None
