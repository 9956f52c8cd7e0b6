"""Two deployments and one endpoint: the lease in the local AWS's S3, and what each operator does about it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from shadow_provider.hooks.lease import S3Leases, lease_keeper
from shadow_provider.hooks.lease_keeper import LeaseKeeper
from shadow_provider.operators.endpoint import SageMakerShadowEndpointOperator
from shadow_provider.operators.lease import (
    SageMakerShadowHoldEndpointOperator,
    SageMakerShadowReleaseEndpointOperator,
)
from shadow_provider.operators.model import SageMakerShadowModelOperator
from shadow_provider.plan.deployment import Deployment
from shadow_provider.plan.errors import EndpointBusyError, LeaseContestedError, PlanError
from shadow_provider.plan.lease import SLACK, Lease, LeaseState
from shadow_provider.sensors.endpoint import SageMakerShadowEndpointSensor
from tests.aws.test_operators import (  # noqa: F401 - fixtures
    BOTH_WAYS,
    SLOW,
    Flow,
    go_live,
    hook,
    machine,
    make_flow,
)

NEVER_LEASED = (SageMakerShadowHoldEndpointOperator,)


class LeasedFlow(Flow):
    """A deployment whose tasks have a lease from ``hold`` on."""

    lease: str | None = None

    def operator(self, cls: Any, **arguments: Any) -> Any:
        if cls not in NEVER_LEASED:
            arguments = {"lease_s3_uri": self.lease, **arguments}
        return super().operator(cls, **arguments)

    def hold(self, **arguments: Any) -> str:
        given = {"when_held": "fail", "deferrable": self.deferrable, "poll_interval": 0.05, **arguments}
        self.lease = self.run(SageMakerShadowHoldEndpointOperator, **given)
        assert self.lease is not None
        return self.lease

    def release(self) -> Any:
        return self.run(SageMakerShadowReleaseEndpointOperator)

    @property
    def found(self) -> Lease:
        """The lease as it stands in S3."""
        assert self.lease is not None
        leases = S3Leases(self.hook, self.lease, self.endpoint_name)
        newest = leases.read(max(leases.generations()))
        assert newest is not None
        return newest


def deployment_of(flow: Flow, number: str) -> LeasedFlow:
    """Another deployment on a flow's endpoint."""
    made = LeasedFlow(flow.cloud, flow.hook, flow.endpoint_name)
    made.deployment = Deployment(endpoint_name=flow.endpoint_name, deployment_id=f"dag/{number}")
    made.names = made.deployment.names
    made.incumbent, made.baseline = flow.incumbent, flow.baseline
    return made


@pytest.fixture
def two(make_flow: Callable[[], Flow]) -> Any:  # noqa: F811
    """Two deployments on one live endpoint."""
    flow = go_live(make_flow())
    pair = deployment_of(flow, "first"), deployment_of(flow, "second")
    yield pair
    for each in pair:
        each.changes.end()


@pytest.fixture
def no_slack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every lease runs out at once."""
    for module in ("base", "lease"):
        monkeypatch.setattr(f"shadow_provider.operators.{module}.SLACK", timedelta(0))


# -- the place --------------------------------------------------------------------------------------------------------


def test_two_deployments_come_to_the_place_of_the_endpoints_own_captures(two: Any) -> None:
    first, second = two
    mine = {"destination_s3_uri": f"s3://{first.cloud.bucket}/mine"}
    place = first.hold(data_capture=mine)
    assert place == f"s3://{first.cloud.bucket}/live"
    first.config(first.make_candidate(), data_capture=mine)
    first.deploy()
    # The shadow captures elsewhere now; the baseline behind it still says the place.
    with pytest.raises(AirflowFailException, match="is held by deployment 'dag/first'"):
        second.hold(data_capture={"DestinationS3Uri": f"s3://{first.cloud.bucket}/theirs"})


def test_where_the_endpoint_captures_nothing_the_deployments_capture_says_the_place(make_flow: Any) -> None:  # noqa: F811
    flow = make_flow()
    new = deployment_of(flow, "new")
    capture = {"destination_s3_uri": f"s3://{flow.cloud.bucket}/given", "kms_key_id": None}
    assert new.hold(data_capture=capture) == f"s3://{flow.cloud.bucket}/given"
    assert new.hold(lease_s3_uri=f"s3://{flow.cloud.bucket}/own/") == f"s3://{flow.cloud.bucket}/own/"
    with pytest.raises(AirflowFailException, match=r"lease_s3_uri=None: endpoint .* captures nothing"):
        new.hold()
    new.changes.end()


def test_an_endpoint_with_anothers_shadow_is_held_wherever_the_lease_lies(two: Any) -> None:
    first, second = two
    first.to_shadow()
    with pytest.raises(AirflowFailException) as caught:
        second.hold(lease_s3_uri=f"s3://{first.cloud.bucket}/elsewhere")
    assert first.names.shadow_config in str(caught.value)
    assert "the shadow of deployment 'dag/first'" in str(caught.value)
    assert f"update the endpoint to {first.baseline} by hand" in str(caught.value)


# -- holding ----------------------------------------------------------------------------------------------------------


def test_a_task_that_runs_again_goes_on_with_its_own_lease(two: Any) -> None:
    first, _ = two
    first.hold()
    first.hold()
    assert (first.found.generation, first.found.state) == (1, LeaseState.HELD)
    assert SLACK * 0.9 < first.found.expires - datetime.now(tz=UTC) <= SLACK


def test_the_second_deployment_fails_at_once_if_asked_to(two: Any) -> None:
    first, second = two
    first.hold()
    with pytest.raises(AirflowFailException, match=f"Endpoint {first.endpoint_name} is held by deployment 'dag/first'"):
        second.hold()
    assert first.found.owner == "dag/first"


@BOTH_WAYS
def test_the_second_deployment_waits_until_the_first_is_done_and_never_interleaves(two: Any, deferrable: bool) -> None:
    first, second = two
    second.deferrable = deferrable
    first.hold()
    place: list[str] = []
    waiting = threading.Thread(target=lambda: place.append(second.hold(when_held="wait", timeout=60)))
    waiting.start()
    first.to_shadow()
    first.rollback()
    first.clean_up()
    assert place == []
    assert first.now == ("InService", first.baseline)
    assert first.release() == {"released": True, "reason": f"the endpoint is InService on {first.baseline}"}
    waiting.join(30)
    assert place == [first.lease]
    assert (second.found.owner, second.found.generation) == ("dag/second", 2)
    second.to_shadow()
    assert second.now == ("InService", second.names.shadow_config)


@BOTH_WAYS
def test_a_wait_for_the_endpoint_ends_at_its_timeout_and_names_the_holder(two: Any, deferrable: bool) -> None:
    first, second = two
    second.deferrable = deferrable
    first.hold()
    with pytest.raises(AirflowFailException, match=r"held by deployment 'dag/first'.* within timeout=0\.3 s"):
        second.hold(when_held="wait", timeout=0.3)


@pytest.mark.usefixtures("no_slack")
def test_a_dead_deployments_shadow_must_be_rolled_back_before_its_lease_goes_to_another(two: Any) -> None:
    first, second = two
    first.hold()
    first.to_shadow()
    with pytest.raises(AirflowFailException, match=r"runs .* the shadow of deployment 'dag/first'"):
        second.hold()
    first.cloud.sagemaker.update_endpoint(EndpointName=first.endpoint_name, EndpointConfigName=first.baseline)
    assert first.now == ("InService", first.baseline)
    second.hold()
    assert (second.found.owner, second.found.generation) == ("dag/second", 2)


@pytest.mark.usefixtures("no_slack")
def test_nothing_is_taken_over_while_the_endpoint_is_changing(two: Any) -> None:
    first, second = two
    first.hold()
    first.change_by_hand(SLOW, wait=False)
    with pytest.raises(AirflowFailException, match=r"ran out at .* is still changing: Updating on"):
        second.hold()
    first.cloud.settled(first.endpoint_name)
    # The new config captures nothing: the place is given, as docs/lease.md advises.
    second.hold(lease_s3_uri=first.lease)
    assert second.found.owner == "dag/second"


# -- keeping ----------------------------------------------------------------------------------------------------------


def test_a_wait_in_the_triggerer_has_the_lease_for_as_long(two: Any) -> None:
    first, _ = two
    first.hold()
    first.config(first.make_candidate())
    first.deferrable = True
    first.deploy(timeout=7200)
    assert first.deferrals == 1
    # After the wait it is shorter again, so that a deployment that dies then is not waited for.
    assert first.found.expires - datetime.now(tz=UTC) <= SLACK

    sensor = first.operator(SageMakerShadowEndpointSensor, deferrable=True)
    deadline = datetime.now(tz=UTC) + timedelta(hours=2)
    with pytest.raises(TaskDeferred):
        sensor.defer_wait(first.names.shadow_config, None, deadline)
    assert first.found.expires == deadline + SLACK


def lose(first: LeasedFlow, second: LeasedFlow) -> None:
    """The lease goes from one deployment to the other, whatever the endpoint says."""
    assert first.lease is not None
    lease_keeper(first.hook, first.lease, first.deployment).release()
    second.lease = first.lease
    store = S3Leases(first.hook, first.lease, first.endpoint_name)
    LeaseKeeper(store, second.deployment, lambda _: None).take(datetime.now(tz=UTC) + SLACK)


@pytest.mark.parametrize("step", ["deploy", "promote", "rollback", "sense"])
def test_who_lost_the_lease_changes_nothing_more(two: Any, step: str) -> None:
    first, second = two
    first.hold()
    first.config(first.make_candidate())
    if step != "deploy":
        first.deploy()
    lose(first, second)
    first.changes.made.clear()
    with pytest.raises(AirflowFailException) as caught:
        getattr(first, step)()
    told = str(caught.value)
    assert told.startswith(f"This deployment has lost endpoint {first.endpoint_name}: ")
    assert "held by deployment 'dag/second'" in told
    assert first.names.shadow_config in told
    assert first.changes.made == []


def test_who_lost_the_lease_may_still_find_that_nothing_is_to_be_rolled_back(two: Any) -> None:
    first, second = two
    first.hold()
    first.to_shadow()
    first.rollback()
    lose(first, second)
    assert first.rollback()["changed"] is False


def test_a_claim_at_this_moment_is_a_reason_to_try_again(two: Any) -> None:
    first, _ = two
    first.hold()
    claim = first.found.model_copy(update={"owner": "dag/second", "generation": 2, "state": LeaseState.CLAIMED})
    S3Leases(first.hook, str(first.lease), first.endpoint_name).write(claim)
    with pytest.raises(LeaseContestedError, match="deployment 'dag/second' is about to take"):
        first.run(SageMakerShadowEndpointOperator, **first.waiting())


def test_an_object_that_is_no_lease_stops_the_deployment(two: Any) -> None:
    first, _ = two
    first.hold()
    key = f"live/shadow-leases/{first.endpoint_name}/00000002.json"
    first.cloud.s3.put_object(Bucket=first.cloud.bucket, Key=key, Body=b"{}")
    with pytest.raises(AirflowFailException, match=f"{key} is not a lease"):
        first.hold()


# -- releasing --------------------------------------------------------------------------------------------------------


def test_an_endpoint_on_the_deployments_shadow_stays_held(two: Any) -> None:
    first, second = two
    first.hold()
    first.to_shadow()
    with pytest.raises(AirflowFailException, match="stays held by this deployment, for it still runs its shadow"):
        first.release()
    with pytest.raises(AirflowFailException, match="is held by deployment 'dag/first'"):
        second.hold()


def test_a_changing_endpoint_stays_held_for_now(two: Any) -> None:
    first, _ = two
    first.hold()
    first.change_by_hand(SLOW, wait=False)
    with pytest.raises(EndpointBusyError, match="stays held by this deployment, for it is still changing"):
        first.release()
    assert first.found.state is LeaseState.HELD


def test_what_is_released_or_was_never_held_is_not_released_again(two: Any) -> None:
    first, second = two
    assert second.release() == {"released": False, "reason": "this deployment holds no lease"}
    first.hold()
    assert first.release()["released"] is True
    assert first.release()["released"] is False
    second.hold()
    assert first.release()["released"] is False
    assert second.found.owner == "dag/second"


# -- the right account ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"expected_account_id": "999999999999"},
         "expected_account_id='999999999999', but the connection leads to '123456789012'"),
        ({"expected_region": "eu-west-1", "expected_account_id": "123456789012"},
         "expected_region='eu-west-1', but the connection leads to 'us-east-1'"),
    ],
)  # fmt: skip
def test_the_wrong_account_or_region_is_refused_before_anything_is_done(
    two: Any, given: dict[str, str], message: str
) -> None:
    first, _ = two
    for cls, arguments in [
        (SageMakerShadowModelOperator, {"side": "production"}),
        (SageMakerShadowHoldEndpointOperator, {}),
        (SageMakerShadowEndpointSensor, {}),
        (SageMakerShadowEndpointOperator, {}),
    ]:
        with pytest.raises(AirflowFailException) as caught:
            first.run(cls, **arguments, **given)
        assert message in str(caught.value)
    assert first.changes.made == []


def test_the_right_account_and_region_are_let_pass(two: Any) -> None:
    first, _ = two
    assert first.hold(expected_account_id="123456789012", expected_region="us-east-1")


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("expected_account_id", "1234", "expected_account_id='1234': must be an AWS account id of 12 digits"),
        ("expected_region", "Frankfurt", "expected_region='Frankfurt': must be an AWS region such as"),
        ("lease_s3_uri", "bucket/leases", "lease_s3_uri='bucket/leases': must be an S3 URI"),
        ("when_held", "queue", "when_held='queue': must be one of wait, fail"),
        ("timeout", 0, "timeout=0: must be a duration above zero"),
    ],
)
def test_arguments_are_checked_at_parse(argument: str, value: Any, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        SageMakerShadowHoldEndpointOperator(task_id="hold", endpoint_name="churn", **{argument: value})
    assert message in str(caught.value)
