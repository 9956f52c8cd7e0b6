"""What DescribeEndpoint says, and what it means for a change that we asked for.

The one reliable test of success (rule 1 of docs/architecture.md): the endpoint is InService, its EndpointConfigName is
the one asked for, and no PendingDeploymentSummary is left. An update that SageMaker rolled back ends InService too, on
the *old* config, with or without a FailureReason.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shadow_provider.plan.plain_text import plain

# DescribeEndpoint.EndpointStatus while something is under way; every other status is an end.
IN_PROGRESS = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
# Ends in which the endpoint is not what anybody asked for. UpdateRollbackFailed still serves, from a mixed fleet.
BROKEN = frozenset({"Failed", "OutOfService", "UpdateRollbackFailed"})


@dataclass(frozen=True)
class VariantState:
    """One variant as it runs.

    Attributes:
        name: the variant's name.
        current_instances: instances behind it now; None where AWS does not say.
        desired_instances: instances it is to have, for example by autoscaling; None where AWS does not say.
        weight: its present weight; None where AWS does not say.
        images: the images that were specified for it; empty where AWS does not say.
    """

    name: str
    current_instances: int | None
    desired_instances: int | None
    weight: float | None
    images: tuple[str, ...] = ()

    @classmethod
    def of(cls, summary: Mapping[str, Any]) -> VariantState:
        """Read one ``ProductionVariantSummary``."""
        return cls(
            name=summary["VariantName"],
            current_instances=summary.get("CurrentInstanceCount"),
            desired_instances=summary.get("DesiredInstanceCount"),
            weight=summary.get("CurrentWeight"),
            images=tuple(
                item["SpecifiedImage"] for item in summary.get("DeployedImages") or () if item.get("SpecifiedImage")
            ),
        )


@dataclass(frozen=True)
class EndpointState:
    """An endpoint as AWS describes it.

    Attributes:
        name: the endpoint's name.
        arn: its ARN.
        status: DescribeEndpoint's ``EndpointStatus``.
        active_config: the endpoint config that serves; None while the first one is being created.
        pending_config: the endpoint config that a change under way leads to; None if there is none.
        failure_reason: AWS's words in one printable line, empty where it gives none. Not a proof that the *last* change
            failed.
        production: the production variants.
        shadows: the shadow variants.
        last_modified: when the endpoint last changed (UTC).
        deployment_config: DescribeEndpoint's ``LastDeploymentConfig``; None where AWS shows none.
    """

    name: str
    arn: str
    status: str
    active_config: str | None
    pending_config: str | None
    failure_reason: str
    production: tuple[VariantState, ...]
    shadows: tuple[VariantState, ...]
    last_modified: datetime
    deployment_config: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, description: Mapping[str, Any]) -> EndpointState:
        """Read a DescribeEndpoint response, tolerant of everything that AWS may leave out."""
        pending = description.get("PendingDeploymentSummary") or {}
        return cls(
            name=description["EndpointName"],
            arn=description["EndpointArn"],
            status=description["EndpointStatus"],
            active_config=description.get("EndpointConfigName"),
            pending_config=pending.get("EndpointConfigName"),
            failure_reason=plain(description.get("FailureReason") or ""),
            production=tuple(VariantState.of(item) for item in description.get("ProductionVariants") or ()),
            shadows=tuple(VariantState.of(item) for item in description.get("ShadowProductionVariants") or ()),
            last_modified=description["LastModifiedTime"],
            deployment_config=description.get("LastDeploymentConfig"),
        )

    @property
    def in_progress(self) -> bool:
        """Whether a change is under way."""
        return self.status in IN_PROGRESS or self.pending_config is not None

    def serves(self, config_name: str) -> bool:
        """Whether the endpoint verifiably serves ``config_name`` and nothing is under way."""
        return self.status == "InService" and self.active_config == config_name and self.pending_config is None

    def summary(self) -> str:
        """Say in one line where the endpoint stands."""
        text = f"{self.status} on {self.active_config or 'no config yet'}"
        if self.pending_config:
            text += f", changing to {self.pending_config}"
        return f"{text} ({self.failure_reason})" if self.failure_reason else text


class Progress(enum.Enum):
    """What an endpoint's state means for a change to a certain config."""

    REACHED = "reached"
    UNDER_WAY = "under_way"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """Progress and, where it failed, why."""

    progress: Progress
    reason: str = ""


def outcome_of(state: EndpointState | None, target: str, *, not_before: datetime | None = None) -> Outcome:
    """Judge an endpoint's state against the config that was asked for.

    Args:
        state: the endpoint, or None where it does not exist.
        target: the endpoint config that was asked for.
        not_before: when the change was asked for at the earliest (UTC). An endpoint that is InService on another config
            and was last modified before this has not begun the change yet; without ``not_before`` it counts as failed.

    Returns:
        REACHED only if the endpoint verifiably serves ``target``.
    """
    if state is None:
        return Outcome(Progress.FAILED, "the endpoint does not exist")
    if state.serves(target):
        return Outcome(Progress.REACHED)
    if state.status in BROKEN:
        return Outcome(Progress.FAILED, f"the endpoint is {state.status}: {state.failure_reason or _NO_REASON}")
    if state.status == "Deleting":
        return Outcome(Progress.FAILED, "the endpoint is being deleted")
    if state.in_progress:
        if state.pending_config not in (None, target):
            return Outcome(Progress.FAILED, f"the endpoint is being changed to {state.pending_config}, not to {target}")
        return Outcome(Progress.UNDER_WAY)
    if not_before is not None and state.last_modified < not_before:
        return Outcome(Progress.UNDER_WAY)
    return Outcome(
        Progress.FAILED,
        f"SageMaker rolled the change back: the endpoint is InService on {state.active_config}, not on {target}. "
        f"AWS's reason: {state.failure_reason or _NO_REASON}",
    )


_NO_REASON = "none given; see the CloudWatch logs of the endpoint"
