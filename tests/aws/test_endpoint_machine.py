"""An endpoint's life under random orders: whatever is asked for in whatever order, what AWS promises holds."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any, ClassVar, cast

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
from shadow_provider.local.faults import EndpointFault, VariantFault
from tests.aws.conftest import NUMBERED, Cloud, cloud_of, poll
from tests.aws.updates import alarm
from tests.deployment_policies import blue_green, percent, rolling

# What follows a status by itself, and what an order may make of it.
BY_ITSELF: dict[str, set[str | None]] = {
    "Creating": {"InService", "Failed", "OutOfService"},
    "Updating": {"InService", "RollingBack", "UpdateRollbackFailed", "OutOfService"},
    "SystemUpdating": {"InService"},
    "RollingBack": {"InService", "UpdateRollbackFailed"},
    "Deleting": {None},
}
ON_ORDER: dict[str | None, set[str]] = {
    None: {"Creating"},
    "InService": {"Updating", "SystemUpdating", "Deleting"},
    "UpdateRollbackFailed": {"Updating", "Deleting"},
    "OutOfService": {"Deleting"},
    "Failed": {"Deleting"},
}
SERVING = ("InService", "UpdateRollbackFailed")
CHANGING = tuple(BY_ITSELF)
# Configurations, with the number that each one's model answers.
KINDS = {"one": "1", "two": "2", "shadowed": "3", "other shadow": "4", "broken": "5"}
ALARM = "machine"
HALF = percent(50)
# AWS seconds of each wait: a moment here, or so long that only an alarm ends it.
SHORT, LONG = 24, 3600


def policy(kind: str, wait: int) -> dict[str, Any]:
    match kind:
        case "canary":
            return blue_green("CANARY", wait, SHORT, CanarySize=HALF)
        case "linear":
            return blue_green("LINEAR", wait, SHORT, LinearStepSize=HALF)
        case "rolling":
            return rolling(HALF, wait)
    return blue_green("ALL_AT_ONCE", termination=wait)


@pytest.fixture(scope="module")
def machine_aws() -> Iterator[LocalAWS]:
    asked = LocalSettings(
        seed=7,
        clock=120,
        provisioning_seconds=12,
        startup_timeout=360,
        startup_floor=3,
        invocation_timeout=1,
        drain_timeout=1,
        guardrails_with_shadow="supported",
        rollback_status="RollingBack",
    )
    with LocalAWS(asked) as running:
        yield running


class EndpointMachine(RuleBasedStateMachine):
    """One endpoint.

    Attributes:
        configs: The configurations' names by kind.
        active: The kind that it shows.
        answering: The kinds that may answer: two of them after a rollback that failed with both fleets up.
        stage: What DescribeEndpoint says is being done with the new production variant.
        trouble: What goes wrong while it is changed.
        died: Whether a request has met the process that "die" killed.
        orders: What has been ordered since it was created.
    """

    aws: ClassVar[LocalAWS]
    cloud: ClassVar[Cloud]
    configs: ClassVar[dict[str, str]]
    numbers: ClassVar[Iterator[int]]
    idle: ClassVar[set[int]]
    transitions: ClassVar[set[tuple[str | None, str | None]]] = set()
    updates: ClassVar[set[str]] = set()

    def __init__(self) -> None:
        super().__init__()
        self.name = f"machine-{next(self.numbers)}"
        self.status: str | None = None
        self.active = ""
        self.answering: set[str] = set()
        self.stage = ""
        self.trouble: str | None = None
        self.died = False
        self.orders = 0

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
        pending = described.get("PendingDeploymentSummary", {}).get("ProductionVariants", [{}])[0]
        self.stage = pending.get("VariantStatus", [{}])[0].get("Status", "")
        return described

    def watch(self, target: str, ordered: bool = True) -> Any:
        """Looks and invokes until the change is over; sets the alarm off while the new fleet bakes, if that is due."""
        before, served = self.active, bool(self.answering)
        deadline = time.monotonic() + 30
        while True:
            described = self.look(ordered)
            ordered = False
            if self.status not in CHANGING:
                return described
            assert time.monotonic() < deadline, described
            if self.status == "Deleting":
                continue
            assert described["EndpointConfigName"] == self.configs[before if served else target]
            # Between its last step and the end of the change it may be gone already.
            pending = described.get("PendingDeploymentSummary", {}).get("EndpointConfigName")
            assert pending in (None, self.configs[target])
            self.call(served, self.answering | {target})
            if self.trouble == "alarm" and self.stage == "Baking":
                self.set_alarm("ALARM")
                self.trouble = "alarmed"

    def call(self, serves: bool, kinds: set[str]) -> None:
        """A request, which fails only where nothing can answer it."""
        up = self.stage == "Baking" or any(variant["healthy"] for variant in self.variants("production"))
        try:
            answer = self.cloud.invoke(self.name)["Body"].read().decode()
        except ClientError as error:
            answer = error.response["Error"]["Code"]
        if not serves or self.trouble == "out_of_service":
            # What comes into service, or goes out of it, may have done so since it was looked at.
            assert answer in {"ValidationError", *KINDS.values()}
        elif answer == "ModelError" and self.trouble == "hang":
            pass  # nothing tells a process that hangs from one that takes its time
        elif answer == "ModelError" and self.trouble == "die" and not (up and self.died):
            # The request that the process died of, and those that come while it was the only one.
            self.died = True
            poll(lambda: all(psutil.pid_exists(pid) for item in self.variants() for pid in item["pids"] if pid))
        else:
            assert answer in {KINDS[kind] for kind in kinds}

    def variants(self, role: str = "") -> list[Any]:
        """What the status page says of the variants that serve."""
        found = [item for item in self.aws.status()["endpoints"] if item["name"] == self.name]
        return [variant for item in found for variant in item["variants"] if role in ("", variant["role"])]

    def refused(self, call: Any, **request: Any) -> str:
        with pytest.raises(ClientError) as caught:
            call(**request)
        assert caught.value.response["Error"]["Code"] == "ValidationException"
        return str(caught.value.response["Error"]["Message"])

    def refused_meanwhile(self) -> None:
        """What is refused while a change is under way, if it still is."""
        request = {"EndpointName": self.name, "EndpointConfigName": self.configs["one"]}
        self.look(ordered=True)
        if self.status in CHANGING:
            assert "in-progress" in self.refused(self.cloud.sagemaker.update_endpoint, **request)
            assert "in-progress" in self.refused(self.cloud.sagemaker.delete_endpoint, EndpointName=self.name)

    # -- what is ordered --------------------------------------------------------------------------------------

    @initialize()
    def start(self) -> None:
        self.aws.faults.clear()

    @precondition(lambda self: self.status is None)
    @rule(
        kind=st.sampled_from(["one", "two", "shadowed", "other shadow", "two", "broken"]),
        trouble=st.sampled_from([None, None, None, None, None, "capacity"]),
    )
    def create(self, kind: str, trouble: str | None) -> None:
        self.set_trouble(trouble)
        self.cloud.sagemaker.create_endpoint(EndpointName=self.name, EndpointConfigName=self.configs[kind])
        self.active, self.orders = kind, 0
        described = self.watch(kind)
        failed = trouble is not None or kind == "broken"
        if not failed:
            self.answering = {kind}
        assert self.status == ("Failed" if failed else "InService"), described
        assert ("FailureReason" in described) == failed
        self.recover()

    @precondition(lambda self: self.status in SERVING)
    @rule(
        kind=st.sampled_from([*KINDS, "one", "two", "shadowed"]),
        trouble=st.sampled_from([None, "rollback", "capacity", "rollback_failed", "out_of_service", "die", "hang"]),
        impatient=st.booleans(),
    )
    def update(self, kind: str, trouble: str | None, impatient: bool) -> None:
        self.updated(kind, trouble, None, impatient)

    @precondition(lambda self: self.status in SERVING)
    @rule(
        kind=st.sampled_from([*KINDS, "one", "two", "two", "shadowed", "other shadow"]),
        trouble=st.sampled_from(
            [None, "alarm", "rollback", "alarm", "rollback_failed", "die", "shadow dies", "shadow hangs", "hang"]
        ),
        guard=st.sampled_from(["rolling", "canary", "linear", "all at once"]),
        impatient=st.booleans(),
    )
    def guarded_update(self, kind: str, trouble: str | None, guard: str, impatient: bool) -> None:
        self.updated(kind, trouble, guard, impatient)

    def updated(self, kind: str, trouble: str | None, guard: str | None, impatient: bool) -> None:
        self.set_trouble(trouble)
        # From a mixed fleet on, an update takes no notice of its policy.
        mixed = len(self.answering) > 1
        rolls = guard == "rolling" and not mixed
        more: dict[str, Any] = {}
        if guard is not None:
            more = {"DeploymentConfig": policy(guard, LONG if trouble == "alarm" and not mixed else SHORT)}
        if trouble == "alarm":
            self.set_alarm("OK")
            more.setdefault("DeploymentConfig", {})["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": ALARM}]}
        request = {"EndpointName": self.name, "EndpointConfigName": self.configs[kind]}
        self.cloud.sagemaker.update_endpoint(**request, **more)
        if impatient:
            self.refused_meanwhile()
        described = self.watch(kind, not impatient)
        failed = kind == "broken" or trouble in ("rollback", "capacity", "rollback_failed", "out_of_service")
        failed |= self.trouble == "alarmed"
        expected = "UpdateRollbackFailed" if failed and mixed else "InService"
        if trouble == "out_of_service":
            expected, self.answering = "OutOfService", set()
        elif trouble == "rollback_failed":
            expected = "UpdateRollbackFailed"
            self.answering |= {kind} if rolls else set()
        elif not failed:
            self.active, self.answering = kind, {kind}
            assert "FailureReason" not in described
        assert self.status == expected, described
        assert described["EndpointConfigName"] == self.configs[self.active]
        if self.trouble == "alarmed":
            assert ALARM in described["FailureReason"]
        self.updates.add(f"{self.trouble}")
        self.recover()

    @precondition(lambda self: self.status == "InService")
    @rule(
        count=st.sampled_from([1, 2, 3]),
        weight=st.sampled_from([0.5, 1, 2]),
        trouble=st.sampled_from([None, "capacity", "rollback", "fail_pings", "die"]),
    )
    def change_weights(self, count: int, weight: float, trouble: str | None) -> None:
        before = self.numbers_of(self.look())
        self.set_trouble(trouble)
        desired = [{"VariantName": "production", "DesiredInstanceCount": count, "DesiredWeight": weight}]
        self.cloud.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=self.name, DesiredWeightsAndCapacities=desired
        )
        described = self.watch(self.active)
        failed = trouble in ("capacity", "rollback") or (trouble == "fail_pings" and count > before[0])
        assert self.numbers_of(described) == (before if failed else (count, weight) * 2)
        assert ("FailureReason" in described) == (failed and trouble != "rollback")
        self.recover()

    @staticmethod
    def numbers_of(described: Any) -> tuple[Any, ...]:
        shown = described["ProductionVariants"][0]
        return tuple(shown[when + what] for when in ("Current", "Desired") for what in ("InstanceCount", "Weight"))

    @precondition(lambda self: self.status == "InService")
    @rule()
    def maintain(self) -> None:
        self.aws.faults.add(EndpointFault(endpoint=self.name, kind="system_update", seconds=60))
        self.refused_meanwhile()
        self.watch(self.active, ordered=False)
        assert self.status == "InService"

    @precondition(lambda self: self.status in ("Failed", "OutOfService"))
    @rule()
    def what_failed_can_only_be_deleted(self) -> None:
        request = {"EndpointName": self.name, "EndpointConfigName": self.configs["one"]}
        self.refused(self.cloud.sagemaker.update_endpoint, **request)
        assert "already existing" in self.refused(self.cloud.sagemaker.create_endpoint, **request)

    # Not what has hardly lived: all other orders would be rare.
    @precondition(lambda self: self.status is not None and (self.status not in SERVING or self.orders > 4))
    @rule()
    def delete(self) -> None:
        self.cloud.sagemaker.delete_endpoint(EndpointName=self.name)
        self.answering = set()
        self.watch(self.active)
        assert self.status is None

    def set_alarm(self, state: str) -> None:
        self.cloud.cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue=state, StateReason="a test")

    def set_trouble(self, trouble: str | None) -> None:
        self.trouble, self.died = trouble, False
        self.orders += 1
        faults: dict[str, Any] = {
            "die": VariantFault(endpoint=self.name, variant="production", kind="die"),
            "hang": VariantFault(endpoint=self.name, variant="production", kind="hang"),
            "fail_pings": VariantFault(endpoint=self.name, variant="production", kind="fail_pings"),
            "shadow dies": VariantFault(endpoint=self.name, variant="shadow", kind="die", times=2),
            "shadow hangs": VariantFault(endpoint=self.name, variant="shadow", kind="hang"),
        }
        if trouble in faults:
            self.aws.faults.add(faults[trouble])
        elif trouble not in (None, "alarm"):
            self.aws.faults.add(EndpointFault(endpoint=self.name, kind=cast(Any, trouble)))

    def recover(self) -> None:
        """Faults end, and what died of them is there again."""
        self.trouble = None
        self.aws.faults.clear()
        if self.status in SERVING:
            poll(lambda: all(item["healthy"] == len(item["pids"]) for item in self.variants()))

    # -- what holds between orders ----------------------------------------------------------------------------

    @invariant()
    def nothing_is_under_way(self) -> None:
        described = self.look()
        assert self.status not in CHANGING
        assert "PendingDeploymentSummary" not in described
        if self.status in SERVING:
            assert described["EndpointConfigName"] == self.configs[self.active]
            assert ("ShadowProductionVariants" in described) == ("shadow" in self.active)
        if self.status is not None:
            self.call(bool(self.answering), self.answering)

    def teardown(self) -> None:
        if self.status is not None:
            self.delete()
        assert self.aws.status()["endpoints"] == []
        poll(lambda: children(self.aws) <= self.idle)


def children(aws: LocalAWS) -> set[int]:
    """The server's processes; without any endpoint there are those that watch over it."""
    return {child.pid for child in psutil.Process(aws.pid).children(recursive=True)}


@pytest.fixture(scope="module")
def machine(machine_aws: LocalAWS, unique: Any) -> type[EndpointMachine]:
    cloud = cloud_of(machine_aws, unique)
    models = {kind: cloud.model(NUMBERED.format(n=number)) for kind, number in KINDS.items() if kind != "broken"}
    models["broken"] = cloud.model("raise ImportError('broken')")
    configs = {}
    for kind, model in models.items():
        production = [cloud.variant("production", model, InitialInstanceCount=2 if kind == "two" else 1)]
        shadow = [cloud.variant("shadow", models["one"])] if "shadow" in kind else None
        configs[kind] = cloud.config(production, shadow)
    alarm(cloud, ALARM)
    EndpointMachine.idle = children(machine_aws)
    EndpointMachine.aws, EndpointMachine.cloud, EndpointMachine.configs = machine_aws, cloud, configs
    EndpointMachine.numbers = itertools.count(1)
    return EndpointMachine


def test_an_endpoints_life_through_everything_once(machine: type[EndpointMachine]) -> None:
    one = machine()
    one.start()
    one.create("two", None)
    for kind, trouble, guard in [
        ("shadowed", "alarm", "canary"),
        ("two", "die", "linear"),
        ("other shadow", None, "canary"),
        ("two", "shadow hangs", "rolling"),
        ("one", "alarm", "rolling"),
        ("two", "alarm", "linear"),
        ("shadowed", "rollback_failed", "rolling"),
        ("two", "rollback", "canary"),
        ("shadowed", "hang", "all at once"),
        ("two", "shadow dies", "linear"),
    ]:
        one.updated(kind, trouble, guard, impatient=True)
        one.nothing_is_under_way()
    for count, trouble in ((3, "fail_pings"), (3, None), (1, "rollback"), (1, "die")):
        one.change_weights(count, 0.5, trouble)
    one.maintain()
    one.teardown()
    seen = {now for _, now in machine.transitions}
    assert {"UpdateRollbackFailed", "RollingBack", "SystemUpdating", "Updating", "Deleting"} <= seen
    assert "alarmed" in machine.updates


def test_an_endpoints_life_in_any_order(machine: type[EndpointMachine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=7,
            stateful_step_count=9,
            # Shrinking would start hundreds of endpoints; the steps of the failure are short enough as they are.
            phases=(Phase.generate,),
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    # The orders above were really given, and each ended in more than one way.
    assert {("Creating", "InService"), ("Creating", "Failed"), ("Updating", "InService")} <= machine.transitions
