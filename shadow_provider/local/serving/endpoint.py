"""One endpoint: its state, what serves it and what is being started."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shadow_provider.local.serving.deployment import Deployment
from shadow_provider.local.serving.traffic import Traffic
from shadow_provider.local.serving.variant import Variant, VariantCounters


class EndpointStatus(StrEnum):
    """The states of an endpoint, AWS's own. OutOfService and SystemUpdating come about by faults only."""

    CREATING = "Creating"
    IN_SERVICE = "InService"
    UPDATING = "Updating"
    SYSTEM_UPDATING = "SystemUpdating"
    ROLLING_BACK = "RollingBack"
    FAILED = "Failed"
    DELETING = "Deleting"
    UPDATE_ROLLBACK_FAILED = "UpdateRollbackFailed"
    OUT_OF_SERVICE = "OutOfService"


# Any change is refused meanwhile.
IN_PROGRESS = frozenset(
    {
        EndpointStatus.CREATING,
        EndpointStatus.UPDATING,
        EndpointStatus.SYSTEM_UPDATING,
        EndpointStatus.ROLLING_BACK,
        EndpointStatus.DELETING,
    }
)


@dataclass
class Endpoint:
    """One endpoint. Times are epoch seconds.

    Attributes:
        config_name: The active configuration's name; during an update still the old one.
        traffic: Who answers its requests.
        live: The deployment of the active configuration; None before the first is up and when nothing serves.
        pending: The deployment that is being started.
        mixed: The deployment whose rollback failed: it serves beside `live`.
        pending_since: When the pending deployment began.
        deployment_config: The last DeploymentConfig that was given.
        counters: By variant name, over all deployments.
    """

    name: str
    arn: str
    config_name: str
    traffic: Traffic
    status: EndpointStatus = EndpointStatus.CREATING
    failure_reason: str | None = None
    created: float = field(default_factory=time.time)
    modified: float = field(default_factory=time.time)
    live: Deployment | None = None
    pending: Deployment | None = None
    mixed: Deployment | None = None
    pending_since: float = 0.0
    deployment_config: dict[str, Any] | None = None
    counters: dict[str, VariantCounters] = field(default_factory=dict)

    @property
    def deployments(self) -> list[Deployment]:
        """All that have processes, the active configuration's first."""
        return [item for item in (self.live, self.mixed, self.pending) if item is not None]

    def counters_of(self, variant: str) -> VariantCounters:
        """The counters of a variant name."""
        return self.counters.setdefault(variant, VariantCounters())

    def current(self, variant: str) -> Variant | None:
        """The serving variant of a name, shadow or production."""
        return None if self.live is None else self.live.variant(variant)

    def settle(self, status: EndpointStatus, failure_reason: str | None) -> None:
        """A change is over."""
        self.status, self.failure_reason = status, failure_reason
        self.pending, self.modified = None, time.time()
