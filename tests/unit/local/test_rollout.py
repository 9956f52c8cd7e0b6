"""What a rollout does when things go wrong that no model can bring about."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from shadow_provider.local import LocalSettings
from shadow_provider.local.faults import EndpointFault
from shadow_provider.local.serving.alarm_watch import AlarmWatch
from shadow_provider.local.serving.deployment import Deployment, DeploymentError
from shadow_provider.local.serving.endpoint import Endpoint, EndpointStatus
from shadow_provider.local.serving.machinery import Machinery
from shadow_provider.local.serving.rollout import SERVICE_FAILED, Rollout
from shadow_provider.local.serving.rollout_plan import plan_rollout
from shadow_provider.local.serving.traffic import Traffic
from tests.deployment_policies import blue_green, instances, percent, rolling


class FakeFleet:
    def __init__(self, count: int) -> None:
        self.count = count
        self.opened: int | None = None
        self.healthy = True

    @property
    def healthy_count(self) -> int:
        return self.count if self.healthy else 0


class FakeVariant:
    stage: Any = None

    def __init__(self, name: str, desired: int, running: int) -> None:
        self.name = name
        self.desired_count = desired
        self.fleet = FakeFleet(running)

    @property
    def count(self) -> int:
        return self.fleet.count


class FakeDeployment:
    """A deployment with one variant v, whose verbs fail as they are told to."""

    def __init__(self, config: str, desired: int, running: int, *names: str) -> None:
        self.config = {"EndpointConfigName": config}
        self.production = [FakeVariant(name, desired, running) for name in names or ("v",)]
        self.ended = False
        self.on_launch: Callable[[], None] = lambda: None
        self.on_retire: Callable[[], None] = lambda: None

    @property
    def variants(self) -> list[FakeVariant]:
        return self.production

    def choose(self, target: str | None) -> FakeVariant | None:
        return next((variant for variant in self.production if target in (None, variant.name)), None)

    async def launch(self, counts: Mapping[str, int]) -> None:
        await asyncio.sleep(0)
        self.on_launch()
        for variant in self.production:
            variant.fleet.count += counts[variant.name]

    async def shrink(self, counts: Mapping[str, int]) -> None:
        for variant in self.production:
            variant.fleet.count = counts[variant.name]

    async def retire(self) -> None:
        self.ended = True
        self.on_retire()

    stop = retire


def broken() -> None:
    raise RuntimeError("nobody expected this")


def unhealthy() -> None:
    raise DeploymentError("no capacity")


class Scene:
    """An update of an endpoint from config a with four instances to config b."""

    def __init__(self, policy: dict[str, Any] | None, fault: EndpointFault | None = None, **settings: Any) -> None:
        self.old, self.new = FakeDeployment("a", 4, 4), FakeDeployment("b", 4, 0)
        self.endpoint = Endpoint("e", "arn", "a", Traffic(random.Random(1)), EndpointStatus.UPDATING)
        self.endpoint.live, self.endpoint.pending = cast(Deployment, self.old), cast(Deployment, self.new)
        self.endpoint.traffic.only(self.endpoint.live)
        self.alarms: dict[str, str] = {}
        machinery = cast(Machinery, self)
        self.settings = LocalSettings(clock=3600, **settings)
        self.alarm_state = self.alarms.get
        self.rollout = Rollout(self.endpoint, plan_rollout(policy, {"v": 4}, {"v": 4}), machinery, fault)

    def run(self) -> Endpoint:
        asyncio.run(self.rollout.run())
        return self.endpoint

    def running(self) -> list[str]:
        return [deployment.config["EndpointConfigName"] for deployment in self.endpoint.deployments]

    def answering(self) -> set[str]:
        routes = [self.endpoint.traffic.route(None) for _ in range(200)]
        return {route[0].config["EndpointConfigName"] for route in routes if route is not None}


POLICIES = [None, blue_green("CANARY", 1, 1, CanarySize=percent(25)), rolling(instances(2), 1)]


@pytest.mark.parametrize("policy", POLICIES, ids=["none", "canary", "rolling"])
def test_an_update_that_succeeds(policy: dict[str, Any] | None) -> None:
    scene = Scene(policy)
    scene.endpoint.failure_reason = "of an earlier one"
    endpoint = scene.run()
    assert (endpoint.status, endpoint.config_name, endpoint.failure_reason) == (EndpointStatus.IN_SERVICE, "b", None)
    assert (scene.running(), endpoint.traffic.shares) == (["b"], {})
    assert (scene.old.ended, scene.new.production[0].count) == (True, 4)
    assert scene.answering() == {"b"}


@pytest.mark.parametrize("policy", POLICIES, ids=["none", "canary", "rolling"])
@pytest.mark.parametrize(("error", "reason"), [(broken, SERVICE_FAILED), (unhealthy, "no capacity")])
def test_an_error_leaves_the_old_fleet_in_service(
    policy: dict[str, Any] | None, error: Callable[[], None], reason: str
) -> None:
    scene = Scene(policy)
    scene.new.on_launch = error
    scene.new.on_retire = broken  # not even this keeps it from ending
    endpoint = scene.run()
    assert (endpoint.status, endpoint.config_name, endpoint.failure_reason) == (EndpointStatus.IN_SERVICE, "a", reason)
    assert scene.running() == ["a"]
    assert (scene.new.ended, scene.old.ended, scene.answering()) == (True, False, {"a"})
    assert all(variant.stage is None for variant in scene.old.variants)


def test_an_old_fleet_that_does_not_stop_is_left_behind() -> None:
    scene = Scene(None)
    scene.old.on_retire = broken
    assert (scene.run().status, scene.answering()) == (EndpointStatus.IN_SERVICE, {"b"})


def test_what_is_called_off_while_an_endpoint_goes_out_of_service_is_still_there_to_be_stopped() -> None:
    def called_off() -> None:
        raise asyncio.CancelledError

    scene = Scene(None, EndpointFault(kind="out_of_service"))
    scene.new.on_retire = called_off
    with pytest.raises(asyncio.CancelledError):
        scene.run()
    assert scene.running() == ["a", "b"]


def test_an_error_after_a_batch_brings_the_old_instances_back() -> None:
    scene = Scene(rolling(instances(2), 1))
    launches = iter([lambda: None, broken])
    scene.new.on_launch = lambda: next(launches)()
    endpoint = scene.run()
    assert (endpoint.status, endpoint.config_name) == (EndpointStatus.IN_SERVICE, "a")
    assert (scene.old.production[0].count, scene.new.ended, scene.answering()) == (4, True, {"a"})


def test_traffic_goes_back_as_the_old_instances_come_back() -> None:
    scene = Scene(rolling(instances(2), 1, RollbackMaximumBatchSize=instances(1)))
    launches = iter([lambda: None, broken])
    scene.new.on_launch = lambda: next(launches)()
    shares: list[float] = []
    scene.old.on_launch = lambda: shares.append(scene.endpoint.traffic.shares["v"])
    scene.run()
    assert shares == [0.5, 0.25]


@pytest.mark.parametrize("error", [broken, unhealthy])
def test_old_instances_that_do_not_come_back_leave_both_fleets(error: Callable[[], None]) -> None:
    scene = Scene(rolling(instances(2), 1))
    launches = iter([lambda: None, unhealthy])
    scene.new.on_launch = lambda: next(launches)()
    scene.old.on_launch = error
    endpoint = scene.run()
    assert (endpoint.status, endpoint.config_name) == (EndpointStatus.UPDATE_ROLLBACK_FAILED, "a")
    assert endpoint.failure_reason == "no capacity"
    assert scene.running() == ["a", "b"]
    assert (scene.old.ended, scene.new.ended) == (False, False)
    assert endpoint.traffic.shares == {"v": 0.5}
    assert scene.answering() == {"a", "b"}


@pytest.mark.parametrize("kind", ["rollback", "rollback_failed", "capacity", "out_of_service"])
@pytest.mark.parametrize("policy", POLICIES, ids=["none", "canary", "rolling"])
def test_faults_end_every_strategy(policy: dict[str, Any] | None, kind: Any) -> None:
    scene = Scene(policy, EndpointFault(kind=kind))
    endpoint = scene.run()
    assert endpoint.pending is None
    if kind == "out_of_service":
        assert (endpoint.status, scene.running()) == (EndpointStatus.OUT_OF_SERVICE, [])
        assert (scene.old.ended, scene.new.ended, scene.answering()) == (True, True, set())
        return
    mixed = kind == "rollback_failed" and policy is not None and "RollingUpdatePolicy" in policy
    assert scene.answering() == ({"a", "b"} if mixed else {"a"})
    assert (scene.old.ended, scene.new.ended) == (False, not mixed)
    if kind != "rollback_failed":
        assert (endpoint.status, scene.old.production[0].count) == (EndpointStatus.IN_SERVICE, 4)


def test_a_creation_that_fails_ends_in_failed() -> None:
    scene = Scene(None)
    scene.endpoint.live = None
    scene.endpoint.traffic.only(None)
    scene.new.on_launch = unhealthy
    endpoint = scene.run()
    assert (endpoint.status, endpoint.failure_reason) == (EndpointStatus.FAILED, "no capacity")
    assert (scene.new.ended, scene.running()) == (True, [])


def test_a_fleet_that_is_down_gets_nothing_while_the_other_is_up() -> None:
    old, new = FakeDeployment("a", 2, 2), FakeDeployment("b", 2, 2)
    traffic = Traffic(random.Random(1))

    def answering() -> set[str]:
        routes = [traffic.route(None) for _ in range(100)]
        return {route[0].config["EndpointConfigName"] for route in routes if route is not None}

    for share in (0.5, 1.0):
        traffic.split(cast(Deployment, old), cast(Deployment, new), {"v": share})
        new.production[0].fleet.healthy = False
        assert answering() == {"a"}
        new.production[0].fleet.healthy = True
        assert answering() == ({"a", "b"} if share < 1 else {"b"})
    new.production[0].fleet.healthy = old.production[0].fleet.healthy = False
    assert answering() == {"b"}  # the failure is the request's


def test_traffic_without_such_a_variant_or_without_anything() -> None:
    old, new = (cast(Deployment, FakeDeployment(config, 1, 1)) for config in "ab")
    traffic = Traffic(random.Random(1))
    assert (traffic.serving, traffic.route(None)) == (False, None)
    traffic.split(old, new, {"v": 0.5})
    assert traffic.route("w") == (old, None)
    traffic.only(new)
    assert traffic.route("w") == (new, None)
    assert (traffic.serving, traffic.shares) == (True, {})


@pytest.mark.parametrize(("answer", "expected"), [("rollback", ["early"]), ("ignore", [])])
def test_an_alarm_that_is_on_from_the_start(answer: Any, expected: list[str]) -> None:
    states = {"early": "ALARM", "late": "OK"}
    watch = AlarmWatch(["early", "late", "deleted"], states.get, LocalSettings(clock=60, alarm_at_start=answer))
    assert watch.tripped() == expected
    states["late"] = "ALARM"
    assert watch.tripped() == [*expected, "late"]
    states.update(early="INSUFFICIENT_DATA", late="OK")
    assert watch.tripped() == []
    states["early"] = "ALARM"
    assert watch.tripped() == ["early"]


@pytest.mark.parametrize(("clock", "interval"), [(1, 1.0), (60, 10 / 60), (3600, 0.02)])
def test_alarms_are_asked_as_often_as_the_clock_wants(clock: float, interval: float) -> None:
    assert AlarmWatch(["a"], lambda name: None, LocalSettings(clock=clock)).interval == interval
