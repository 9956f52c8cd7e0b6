"""An endpoint's life under random orders: whatever is asked for in whatever order, what AWS promises holds."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import psutil
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shadow_provider.local import LocalAWS, LocalSettings
from shadow_provider.local.faults import EndpointFault
from tests.aws.conftest import NUMBERED, Cloud, cloud_of, poll

# What follows a status by itself, and what an order may make of it.
BY_ITSELF: dict[str, set[str | None]] = {
    "Creating": {"InService", "Failed", "OutOfService"},
    "Updating": {"InService", "RollingBack", "UpdateRollbackFailed", "Failed", "OutOfService"},
    "SystemUpdating": {"InService"},
    "RollingBack": {"InService", "UpdateRollbackFailed"},
    "Deleting": {None},
}
ON_ORDER: dict[str | None, set[str]] = {
    None: {"Creating"},
    "InService": {"Updating", "Deleting"},
    "UpdateRollbackFailed": {"Updating", "Deleting"},
    "OutOfService": {"Deleting"},
    "Failed": {"Deleting"},
}
SERVING = ("InService", "UpdateRollbackFailed")
CHANGING = tuple(BY_ITSELF)
# Configurations, with the number that each one's model answers.
KINDS = {"one": "1", "two": "2", "shadowed": "3", "other shadow": "4", "broken": "5"}
GUARDED = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
        "TerminationWaitInSeconds": 30,
    }
}


@pytest.fixture(scope="module")
def machine_aws() -> Iterator[LocalAWS]:
    asked = LocalSettings(seed=7, clock=120, provisioning_seconds=12, startup_timeout=360, startup_floor=3)
    with LocalAWS(asked) as running:
        yield running


class EndpointMachine(RuleBasedStateMachine):
    """One endpoint; `configs` has the configurations' names by kind."""

    aws: ClassVar[LocalAWS]
    cloud: ClassVar[Cloud]
    configs: ClassVar[dict[str, str]]
    numbers: ClassVar[Iterator[int]]
    idle: ClassVar[set[int]]
    transitions: ClassVar[set[tuple[str | None, str | None]]] = set()

    def __init__(self) -> None:
        super().__init__()
        self.name = f"machine-{next(self.numbers)}"
        self.status: str | None = None
        self.active = ""
        self.serving = False

    # -- what is looked at ------------------------------------------------------------------------------------

    def look(self, ordered: bool = False) -> Any:
        """DescribeEndpoint; fails if the status cannot have followed the one seen before."""
        try:
            described = self.cloud.describe(self.name)
        except ClientError as error:
            if not error.response["Error"]["Message"].startswith("Could not find endpoint"):
                raise
            described = {"EndpointStatus": None}
        now = described["EndpointStatus"]
        reachable: set[str | None] = set(ON_ORDER.get(self.status, ())) if ordered else {self.status}
        while more := {after for one in reachable for after in BY_ITSELF.get(one or "", ())} - reachable:
            reachable |= more
        assert now in reachable, f"{self.status} was followed by {now}"
        self.transitions.add((self.status, now))
        self.status = now
        return described

    def watch(self, target: str, ordered: bool = True) -> Any:
        """Looks and invokes until the change is over."""
        before, served = self.active, self.serving
        deadline = time.monotonic() + 30
        while True:
            described = self.look(ordered)
            ordered = False
            if self.status not in CHANGING:
                self.serving = self.status in SERVING
                return described
            assert time.monotonic() < deadline, described
            if self.status != "Deleting":
                assert described["EndpointConfigName"] == self.configs[before if served else target]
                # Between its last step and the end of the change it may be gone already.
                pending = described.get("PendingDeploymentSummary", {}).get("EndpointConfigName")
                assert pending in (None, self.configs[target])
                self.call(served, {KINDS[before], KINDS[target]} if served else set())

    def call(self, serves: bool, expected: set[str]) -> None:
        try:
            answer = self.cloud.invoke(self.name)["Body"].read().decode()
        except ClientError as error:
            answer = error.response["Error"]["Code"]
        # A new endpoint may have come into service since it was looked at; then there is no error.
        assert answer in expected if serves else answer in {"ValidationError", *KINDS.values()}

    def refused(self, call: Any, **request: Any) -> str:
        with pytest.raises(ClientError) as caught:
            call(**request)
        assert caught.value.response["Error"]["Code"] == "ValidationException"
        return str(caught.value.response["Error"]["Message"])

    # -- what is ordered --------------------------------------------------------------------------------------

    @initialize()
    def start(self) -> None:
        self.aws.faults.clear()

    @precondition(lambda self: self.status is None)
    @rule(
        kind=st.sampled_from(["one", "two", "shadowed", "other shadow", "broken"]),
        fault=st.sampled_from([None, None, "capacity"]),
    )
    def create(self, kind: str, fault: Any) -> None:
        self.set_fault(fault)
        self.cloud.sagemaker.create_endpoint(EndpointName=self.name, EndpointConfigName=self.configs[kind])
        self.active = kind
        described = self.watch(kind)
        failed = fault is not None or kind == "broken"
        assert self.status == ("Failed" if failed else "InService"), described
        assert ("FailureReason" in described) == failed

    @precondition(lambda self: self.status in SERVING)
    @rule(
        kind=st.sampled_from([*KINDS, "one", "two", "shadowed"]),
        fault=st.sampled_from([None, None, "rollback", "rollback_failed", "capacity"]),
        guarded=st.booleans(),
        impatient=st.booleans(),
    )
    def update(self, kind: str, fault: Any, guarded: bool, impatient: bool) -> None:
        self.set_fault(fault)
        more = {"DeploymentConfig": GUARDED} if guarded else {}
        request = {"EndpointName": self.name, "EndpointConfigName": self.configs[kind]}
        self.cloud.sagemaker.update_endpoint(**request, **more)
        ordered = True
        if impatient:
            self.look(ordered=True)
            ordered = False
            if self.status == "Updating":
                assert "in-progress" in self.refused(self.cloud.sagemaker.update_endpoint, **request)
                assert "in-progress" in self.refused(self.cloud.sagemaker.delete_endpoint, EndpointName=self.name)
        described = self.watch(kind, ordered)
        failed = fault is not None or kind == "broken"
        assert (
            self.status == ("UpdateRollbackFailed" if fault == "rollback_failed" else "InService") or kind == "broken"
        )
        if not failed:
            self.active = kind
            assert "FailureReason" not in described
        assert described["EndpointConfigName"] == self.configs[self.active]

    @precondition(lambda self: self.status == "InService")
    @rule(count=st.sampled_from([1, 2]), weight=st.sampled_from([0.5, 1, 2]))
    def change_weights(self, count: int, weight: float) -> None:
        desired = [{"VariantName": "production", "DesiredInstanceCount": count, "DesiredWeight": weight}]
        self.cloud.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=self.name, DesiredWeightsAndCapacities=desired
        )
        shown = self.watch(self.active)["ProductionVariants"][0]
        assert (shown["CurrentInstanceCount"], shown["CurrentWeight"]) == (count, weight)

    @precondition(lambda self: self.status in SERVING)
    @rule(times=st.integers(1, 4))
    def invoke(self, times: int) -> None:
        for _ in range(times):
            self.call(True, {KINDS[self.active]})

    @precondition(lambda self: self.status == "Failed")
    @rule()
    def failed_can_only_be_deleted(self) -> None:
        request = {"EndpointName": self.name, "EndpointConfigName": self.configs["one"]}
        self.refused(self.cloud.sagemaker.update_endpoint, **request)
        assert "already existing" in self.refused(self.cloud.sagemaker.create_endpoint, **request)
        self.call(False, set())

    @precondition(lambda self: self.status is not None)
    @rule()
    def delete(self) -> None:
        self.cloud.sagemaker.delete_endpoint(EndpointName=self.name)
        self.watch(self.active)
        assert self.status is None

    def set_fault(self, kind: Any) -> None:
        self.aws.faults.clear()
        if kind is not None:
            self.aws.faults.add(EndpointFault(endpoint=self.name, kind=kind))

    # -- what holds between orders ----------------------------------------------------------------------------

    @invariant()
    def nothing_is_under_way(self) -> None:
        described = self.look()
        assert self.status not in CHANGING
        assert "PendingDeploymentSummary" not in described
        if self.status in SERVING:
            assert described["EndpointConfigName"] == self.configs[self.active]
            assert ("ShadowProductionVariants" in described) == ("shadow" in self.active)

    def teardown(self) -> None:
        if self.status is not None:
            self.delete()
        assert self.aws.status()["endpoints"] == []
        poll(lambda: children(self.aws) <= self.idle)


def children(aws: LocalAWS) -> set[int]:
    """The server's processes; without any endpoint there are those that watch over it."""
    return {child.pid for child in psutil.Process(aws.pid).children(recursive=True)}


def test_an_endpoints_life_in_any_order(machine_aws: LocalAWS, unique: Any) -> None:
    cloud = cloud_of(machine_aws, unique)
    models = {kind: cloud.model(NUMBERED.format(n=number)) for kind, number in KINDS.items() if kind != "broken"}
    models["broken"] = cloud.model("raise ImportError('broken')")
    configs = {}
    for kind, model in models.items():
        production = [cloud.variant("production", model, InitialInstanceCount=2 if kind == "two" else 1)]
        shadow = [cloud.variant("shadow", models["one"])] if "shadow" in kind else None
        configs[kind] = cloud.config(production, shadow)
    EndpointMachine.idle = children(machine_aws)
    EndpointMachine.aws, EndpointMachine.cloud, EndpointMachine.configs = machine_aws, cloud, configs
    EndpointMachine.numbers = itertools.count(1)
    run_state_machine_as_test(
        EndpointMachine,
        settings=settings(
            max_examples=12,
            stateful_step_count=9,
            # Shrinking would start hundreds of endpoints; the steps of the failure are short enough as they are.
            phases=(Phase.generate,),
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    seen = EndpointMachine.transitions
    # The orders above were really given, and each ended in more than one way.
    assert {("Creating", "InService"), ("Creating", "Failed"), ("Updating", "InService")} <= seen
    assert ("Updating", "UpdateRollbackFailed") in seen
