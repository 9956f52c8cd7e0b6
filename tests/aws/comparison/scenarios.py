"""What happens to an endpoint while somebody deploys to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from shadow_provider.local.faults import EndpointFault, VariantFault
from tests.aws.conftest import Cloud

REASON = "Request to service failed."


@dataclass(frozen=True)
class Scenario:
    """One row.

    Attributes:
        title: of the row.
        live: whether the endpoint is there before.
        operation: what the amazon provider's operator is told to do.
        fault: what happens to the change.
        reason: AWS's FailureReason.
        killed: whether a first try was killed just after it had begun the change; this is the second.
        asked_for: whether the change is what was asked for. Otherwise a task that does it is wrong.
    """

    title: str
    live: bool = True
    operation: Literal["create", "update"] = "update"
    fault: Any = None
    reason: str | None = None
    killed: bool = False
    asked_for: bool = True

    def faults(self, endpoint: str) -> list[Any]:
        """The faults to be set before the change begins."""
        if self.killed:
            # The update is under way for as long as its new fleet does not answer.
            return [VariantFault(endpoint=endpoint, kind="fail_pings")]
        if self.fault is None:
            return []
        return [EndpointFault(endpoint=endpoint, kind=self.fault, reason=self.reason)]


SCENARIOS = {
    "rolled_back": Scenario("SageMaker rolls the update back, and says why", fault="rollback", reason=REASON),
    "rolled_back_silently": Scenario("SageMaker rolls the update back, with no FailureReason", fault="rollback"),
    "out_of_service": Scenario("the update ends in OutOfService", fault="out_of_service", reason=REASON),
    "rollback_failed": Scenario("the update ends in UpdateRollbackFailed", fault="rollback_failed", reason=REASON),
    "failed": Scenario("the creation ends in Failed", live=False, operation="create", fault="capacity"),
    "killed": Scenario("the worker is killed while it waits for the update; Airflow tries again", killed=True),
    "create_on_live": Scenario(
        "asked to create an endpoint whose name a live one has", operation="create", asked_for=False
    ),
}


@dataclass
class Stage:
    """An endpoint, or the name of one to be, and what to deploy to it."""

    cloud: Cloud
    scenario: Scenario
    endpoint: str
    incumbent: str
    candidate: str
    old: str
    new: str
    faults: list[Any] = field(default_factory=list)

    def let_go(self) -> None:
        """Let a change that is held under way come to its end."""
        while self.faults:
            self.faults.pop().remove()

    @property
    def state(self) -> dict[str, str]:
        """Where AWS shows the endpoint, once nothing is under way."""
        found = self.cloud.settled(self.endpoint)
        active = found["EndpointConfigName"]
        return {"status": found["EndpointStatus"], "config": "old" if active == self.old else "new"}

    @property
    def names(self) -> dict[str, str]:
        """What the names of this run stand for."""
        return {self.endpoint: "E", self.old: "`old`", self.new: "`new`"}


def stage(cloud: Cloud, scenario: Scenario, name: str) -> Stage:
    """Bring an endpoint to where the scenario begins."""
    incumbent = cloud.model()
    candidate = cloud.model()
    old = cloud.config([cloud.variant("Prod", incumbent)], DataCaptureConfig=cloud.capture_config("comparison"))
    new = cloud.config([cloud.variant("Prod", candidate)])
    cloud.endpoints.append(name)
    if scenario.live:
        cloud.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=old)
        assert cloud.settled(name)["EndpointStatus"] == "InService"
    return Stage(cloud, scenario, name, incumbent, candidate, old, new)
