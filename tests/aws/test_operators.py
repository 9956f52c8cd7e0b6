"""Operators, sensors and triggers against the local AWS, run as Airflow runs them but without its scheduler.

Each task is a fresh operator; a deferred one goes on as another fresh operator, with a trigger that was serialized in
between. Nothing is handed on but what Airflow hands on.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    TaskDeferred,
)
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse
from airflow.sdk.execution_time.context import set_current_context
from botocore.exceptions import EndpointConnectionError
from tenacity import wait_fixed

from shadow_provider.hooks import sagemaker_shadow, shared
from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.local import LocalAWS
from shadow_provider.local.faults import EndpointFault
from shadow_provider.operators.cleanup import SageMakerShadowCleanupOperator
from shadow_provider.operators.conclude import SageMakerShadowConcludeOperator
from shadow_provider.operators.endpoint import SageMakerShadowEndpointOperator
from shadow_provider.operators.endpoint_config import SageMakerShadowEndpointConfigOperator
from shadow_provider.operators.model import SageMakerShadowModelOperator
from shadow_provider.operators.promote import SageMakerShadowPromoteOperator
from shadow_provider.operators.rollback import SageMakerShadowRollbackOperator
from shadow_provider.plan import tags as tagging
from shadow_provider.plan.deployment import Deployment
from shadow_provider.plan.errors import EndpointBusyError, EndpointTimeoutError, PlanError
from shadow_provider.sensors.endpoint import SageMakerShadowEndpointSensor
from shadow_provider.triggers import base as triggers_base
from shadow_provider.triggers.base import PollingTrigger
from shadow_provider.triggers.endpoint import SageMakerShadowEndpointTrigger
from shadow_provider.triggers.evidence import SageMakerShadowEvidenceTrigger

ROLE = "arn:aws:iam::123456789012:role/execution"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:1.5"
BROKEN = "def model_fn(model_dir):\n    raise RuntimeError('no such weights')\ndef predict_fn(data, model): return data"
SLOW = "import time\ndef model_fn(d): time.sleep(0.7)\ndef transform_fn(m, b, c, a): return b, c"
PING_FAILED = "did not pass the ping health check"
BOTH_WAYS = pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])
CHANGES = {"CreateModel", "CreateEndpointConfig", "CreateEndpoint", "UpdateEndpoint", "DeleteModel",
           "DeleteEndpointConfig", "DeleteEndpoint"}  # fmt: skip


class Killed(BaseException):
    """The worker is gone; nothing in the task may catch it."""


class Changes:
    """What was changed in SageMaker, and a kill right after a change of choice took effect."""

    def __init__(self, hook: SageMakerShadowHook) -> None:
        self.made: list[str] = []
        self._kill_after: int | None = None
        self._events = hook.sagemaker.meta.events
        self._events.register("after-call.sagemaker.*", self._seen)

    def kill_after(self, number: int) -> None:
        """Die after so many further changes."""
        self._kill_after = number

    def _seen(self, http_response: Any, model: Any, **_: Any) -> None:
        if model.name not in CHANGES or http_response.status_code != 200:
            return
        self.made.append(model.name)
        if self._kill_after is not None:
            self._kill_after -= 1
            if not self._kill_after:
                self._kill_after = None
                raise Killed

    def end(self) -> None:
        self._events.unregister("after-call.sagemaker.*", self._seen)


class TaskInstance:
    """As much of a task instance as the operators use."""

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = json.loads(json.dumps(value))


def context(ti: TaskInstance | None = None) -> Any:
    return {"ti": ti or TaskInstance()}


async def first_event(trigger: PollingTrigger) -> Any:
    async for event in trigger.run():
        return event.payload
    raise AssertionError("the trigger ended without an event")


def revived(trigger: Any) -> Any:
    """The trigger as the triggerer makes it from the database."""
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)(**json.loads(json.dumps(arguments)))


class Flow:
    """One deployment, task by task."""

    def __init__(self, cloud: Any, hook: SageMakerShadowHook, endpoint_name: str) -> None:
        self.cloud, self.hook = cloud, hook
        self.deployment = Deployment(endpoint_name=endpoint_name, deployment_id="dag/manual__2026-01-01T00:00:00+00:00")
        self.names = self.deployment.names
        self.endpoint_name = endpoint_name
        self.deferrable = False
        self.deferrals = 0
        self.ti = TaskInstance()
        self.changes = Changes(hook)
        self.incumbent, self.baseline = "", ""

    def operator(self, cls: Any, **arguments: Any) -> Any:
        made = cls(
            task_id="task",
            endpoint_name=self.endpoint_name,
            deployment_id=self.deployment.deployment_id,
            aws_conn_id=None,
            **arguments,
        )
        made.__dict__["hook"] = self.hook  # a client costs a tenth of a second; one test makes its own
        return made

    def run(self, cls: Any, **arguments: Any) -> Any:
        try:
            return self.operator(cls, **arguments).execute(context(self.ti))
        except TaskDeferred as left:
            deferred = left
        while True:
            self.deferrals += 1
            event = asyncio.run(asyncio.wait_for(first_event(revived(deferred.trigger)), 30))
            try:
                again = self.operator(cls, **arguments)
                return getattr(again, deferred.method_name)(context(self.ti), event=json.loads(json.dumps(event)))
            except TaskDeferred as left:
                deferred = left

    def waiting(self, **arguments: Any) -> dict[str, Any]:
        return {"deferrable": self.deferrable, "poll_interval": 0.05, "timeout": 20, **arguments}

    def config(self, candidate: str, **arguments: Any) -> Any:
        return self.run(SageMakerShadowEndpointConfigOperator, candidate_model_name=candidate, **arguments)

    def deploy(self, **arguments: Any) -> Any:
        return self.run(SageMakerShadowEndpointOperator, **self.waiting(**arguments))

    def sense(self, **arguments: Any) -> Any:
        return self.run(SageMakerShadowEndpointSensor, **self.waiting(**arguments))

    def promote(self, verdict: str = "PROMOTE", **arguments: Any) -> Any:
        return self.run(SageMakerShadowPromoteOperator, verdict=verdict, **self.waiting(**arguments))

    def rollback(self, **arguments: Any) -> Any:
        return self.run(SageMakerShadowRollbackOperator, **self.waiting(**arguments))

    def clean_up(self, **arguments: Any) -> Any:
        return self.run(SageMakerShadowCleanupOperator, **arguments)

    def make_candidate(self, source: str | None = None) -> str:
        """A candidate of this deployment's own."""
        url = self.cloud.sagemaker.describe_model(ModelName=self.cloud.model(source) if source else self.cloud.model())[
            "Containers"
        ][0]["ModelDataUrl"]
        made = self.run(
            SageMakerShadowModelOperator,
            side="shadow",
            container={"image": IMAGE, "model_data_url": url},
            execution_role_arn=ROLE,
        )
        return str(made["model_name"])

    def to_shadow(self, source: str | None = None) -> None:
        self.config(self.make_candidate(source))
        self.deploy()

    def new_endpoint(self, candidate: str, **arguments: Any) -> Any:
        return self.config(
            candidate,
            production_model_name=self.incumbent,
            production_variant={"instance_type": "ml.m5.xlarge"},
            data_capture={"destination_s3_uri": f"s3://{self.cloud.bucket}/captures"},
            **arguments,
        )

    @property
    def now(self) -> tuple[str, str]:
        """Status and config of the endpoint, by plain boto3, once nothing is under way."""
        described = self.cloud.settled(self.endpoint_name)
        assert "PendingDeploymentSummary" not in described
        return described["EndpointStatus"], described["EndpointConfigName"]

    def change_by_hand(self, source: str | None = None, *, wait: bool = True) -> str:
        """Somebody else updates the endpoint."""
        model = self.cloud.model(source) if source else self.cloud.model()
        config = self.cloud.config([self.cloud.variant("AllTraffic", model)])
        self.cloud.sagemaker.update_endpoint(EndpointName=self.endpoint_name, EndpointConfigName=config)
        if wait:
            self.cloud.settled(self.endpoint_name)
        return str(config)

    def scale_out(self, config: str) -> None:
        """As autoscaling does: production has two instances now, and the config is the same as before."""
        scaled = self.cloud.config([self.cloud.variant("Prod", self.incumbent, InitialInstanceCount=2)])
        for name in (scaled, config):
            self.cloud.sagemaker.update_endpoint(
                EndpointName=self.endpoint_name, EndpointConfigName=name, RetainAllVariantProperties=name != scaled
            )
            assert self.now == ("InService", name)
        assert self.instances == 2

    @property
    def instances(self) -> int:
        return int(self.cloud.describe(self.endpoint_name)["ProductionVariants"][0]["DesiredInstanceCount"])

    def shadow_config(self) -> Any:
        return self.cloud.sagemaker.describe_endpoint_config(EndpointConfigName=self.names.shadow_config)


@contextmanager
def on_worker(aws: LocalAWS) -> Iterator[None]:
    """As on a worker whose credentials lead to a local AWS; calls are repeated at once."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in aws.address.environment.items():
            patch.setenv(name, value)
        patch.setattr(sagemaker_shadow, "wait_random_exponential", lambda **_: wait_fixed(0.02))
        patch.setattr(shared, "_hooks", {})
        patch.setattr(ExecutorSafeguard, "test_mode", True)
        yield


def impatient_hook() -> SageMakerShadowHook:
    """A hook without botocore's own retries."""
    return SageMakerShadowHook(aws_conn_id=None, config={"retries": {"total_max_attempts": 1}})


@pytest.fixture(scope="module", autouse=True)
def machine(local_aws: LocalAWS) -> Iterator[None]:
    with on_worker(local_aws):
        yield


@pytest.fixture(scope="module")
def hook(machine: None) -> SageMakerShadowHook:
    return impatient_hook()


@pytest.fixture
def make_flow(cloud: Any, hook: SageMakerShadowHook, unique: Any) -> Iterator[Callable[[], Flow]]:
    """A deployment to an endpoint that does not exist yet."""
    flows: list[Flow] = []

    def make() -> Flow:
        flow = Flow(cloud, hook, unique("flow"))
        flow.incumbent = cloud.model()
        cloud.endpoints.append(flow.endpoint_name)
        flows.append(flow)
        return flow

    yield make
    for flow in flows:
        flow.changes.end()


@pytest.fixture
def new(make_flow: Any) -> Flow:
    return make_flow()  # type: ignore[no-any-return]


def go_live(flow: Flow, **changes: Any) -> Flow:
    """Somebody's endpoint, in service and capturing."""
    flow.baseline = flow.cloud.config(
        [flow.cloud.variant("Prod", flow.incumbent, **changes)], DataCaptureConfig=flow.cloud.capture_config("live")
    )
    flow.cloud.sagemaker.create_endpoint(EndpointName=flow.endpoint_name, EndpointConfigName=flow.baseline)
    assert flow.now == ("InService", flow.baseline)
    return flow


@pytest.fixture
def live(make_flow: Any) -> Flow:
    return go_live(make_flow())


# -- models -----------------------------------------------------------------------------------------------------------


def container(cloud: Any) -> dict[str, str]:
    described = cloud.sagemaker.describe_model(ModelName=cloud.model())
    return {"Image": IMAGE, "ModelDataUrl": described["Containers"][0]["ModelDataUrl"]}


@pytest.mark.parametrize(("side", "role"), [("shadow", "candidate"), ("production", "incumbent")])
def test_a_model_is_made_once_and_adopted_after(new: Flow, cloud: Any, side: str, role: str) -> None:
    given = {"side": side, "container": container(cloud), "execution_role_arn": ROLE}
    first, second = new.run(SageMakerShadowModelOperator, **given), new.run(SageMakerShadowModelOperator, **given)
    name = getattr(new.names, f"{role}_model")
    described = cloud.sagemaker.describe_model(ModelName=name)
    assert first == {"model_name": name, "model_arn": described["ModelArn"], "created": True}
    assert second == {**first, "created": False}
    assert new.changes.made == ["CreateModel"]
    (made,) = described["Containers"]
    assert {key: made[key] for key in ("Image", "ModelDataUrl")} == given["container"]
    assert new.hook.tags(described["ModelArn"])[tagging.ROLE] == role


def test_a_model_from_other_arguments_is_refused_for_good(new: Flow, cloud: Any) -> None:
    new.run(SageMakerShadowModelOperator, side="shadow", container=container(cloud), execution_role_arn=ROLE)
    with pytest.raises(AirflowFailException, match="from other arguments"):
        new.run(SageMakerShadowModelOperator, side="shadow", container=container(cloud), execution_role_arn=ROLE)


def test_a_foreign_model_of_our_name_is_refused_for_good(new: Flow, cloud: Any) -> None:
    theirs = cloud.model()
    with pytest.raises(AirflowFailException, match="was not made by this deployment"):
        new.run(
            SageMakerShadowModelOperator,
            side="shadow",
            container=container(cloud),
            execution_role_arn=ROLE,
            model_name=theirs,
        )


def test_an_existing_model_is_only_looked_up(new: Flow, cloud: Any) -> None:
    theirs = cloud.model()
    found = new.run(SageMakerShadowModelOperator, side="shadow", model_name=theirs)
    assert (found["model_name"], found["created"]) == (theirs, False)
    assert new.changes.made == []
    assert new.hook.tags(found["model_arn"]) == {}
    with pytest.raises(AirflowFailException, match="model_name='no-such': SageMaker has no such model"):
        new.run(SageMakerShadowModelOperator, side="shadow", model_name="no-such")


def test_an_existing_model_of_several_containers_is_refused(
    new: Flow, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = cloud.model()
    described = cloud.sagemaker.describe_model(ModelName=theirs)
    pipeline = {**described, "Containers": described["Containers"] * 2}
    monkeypatch.setattr(new.hook.sagemaker, "describe_model", lambda **_: pipeline)
    with pytest.raises(AirflowFailException, match="it has 2 containers"):
        new.run(SageMakerShadowModelOperator, side="shadow", model_name=theirs)


def test_production_is_read_from_the_live_endpoint_before_and_after_its_promotion(live: Flow) -> None:
    given = {"side": "production", "container": None, "model_name": "None"}
    assert live.run(SageMakerShadowModelOperator, **given)["model_name"] == live.incumbent
    live.to_shadow()
    assert live.run(SageMakerShadowModelOperator, **given)["model_name"] == live.incumbent
    live.promote()
    # A cleared task of this run must not take the candidate for production.
    assert live.run(SageMakerShadowModelOperator, **given)["model_name"] == live.incumbent


def test_without_an_endpoint_there_is_no_production_to_read(new: Flow) -> None:
    with pytest.raises(AirflowFailException, match="there is no such endpoint to read production from"):
        new.run(SageMakerShadowModelOperator, side="production")


# -- checks at parse --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cls", "arguments", "message"),
    [
        # The deployment id is a template by default; what stands beside it is checked all the same.
        (SageMakerShadowEndpointOperator, {"endpoint_name": "a_b"}, "endpoint_name='a_b': must be 1 to 63"),
        (SageMakerShadowEndpointSensor, {"endpoint_name": "a_b"}, "endpoint_name='a_b': must be 1 to 63"),
        (SageMakerShadowRollbackOperator, {"poll_interval": 0}, "poll_interval=0: must be a duration above zero"),
        (SageMakerShadowEndpointSensor, {"timeout": "soon"}, "timeout='soon': must be a duration above zero"),
        (SageMakerShadowModelOperator, {"side": "left"}, "side='left': must be 'production' or 'shadow'"),
        (SageMakerShadowModelOperator, {"side": "shadow"}, "container=None, model_name=None: the shadow side needs"),
        (SageMakerShadowModelOperator, {"side": "shadow", "model_name": "a_b"}, "model_name='a_b': must be 1 to 63"),
        (
            SageMakerShadowModelOperator,
            {"side": "shadow", "container": {"image": "{{ x }}", "mode": "MultiModel"}, "execution_role_arn": ROLE},
            "container.mode='MultiModel': must be SingleModel",
        ),
        (
            SageMakerShadowModelOperator,
            {"side": "shadow", "container": {"image": "{{ x }}"}},
            "execution_role_arn: is required",
        ),
        (
            SageMakerShadowEndpointConfigOperator,
            {"candidate_model_name": "{{ x }}", "sampling_percentage": 101},
            "sampling_percentage=101: Input should be less than or equal to 100",
        ),
    ],
)
def test_arguments_are_checked_at_parse(cls: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError) as caught:
        cls(task_id="task", **{"endpoint_name": "fraud", **arguments})
    assert str(caught.value).startswith(message)


def test_a_rendered_argument_that_breaks_a_rule_fails_for_good(new: Flow) -> None:
    made = new.operator(SageMakerShadowEndpointConfigOperator, candidate_model_name="{{ x }}")
    made.candidate_model_name = "a_b"
    with pytest.raises(AirflowFailException, match="candidate_model_name='a_b'"):
        made.execute({"ti": new.ti})
    assert new.changes.made == []


def test_an_unknown_connection_fails_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    class Supervisor:
        """Airflow's own answer in a task: beyond the environment, there are no connections."""

        def send(self, message: Any) -> ErrorResponse:
            return ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND, detail={"conn_id": message.conn_id})

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(), raising=False)
    made = SageMakerShadowRollbackOperator(
        task_id="task", endpoint_name="fraud", deployment_id="d", aws_conn_id="no_such_connection"
    )
    with pytest.raises(AirflowFailException, match="no such connection"):
        made.execute(context())


# -- endpoint configs -------------------------------------------------------------------------------------------------


def test_the_shadow_config_of_a_live_endpoint_is_production_plus_a_shadow(make_flow: Any) -> None:
    live = go_live(make_flow(), InitialInstanceCount=2, RoutingConfig={"RoutingStrategy": "RANDOM"})
    candidate = live.make_candidate()
    made = live.config(candidate, shadow_variant={"InitialInstanceCount": "1"}, sampling_percentage="50")
    assert made == {
        "endpoint_config_name": live.names.shadow_config,
        "baseline_config_name": live.baseline,
        "production_variant_name": "Prod",
        "shadow_variant_name": "Shadow",
        "production_model_name": live.incumbent,
        "candidate_model_name": candidate,
        "sampling_percentage": 50.0,
        "capture_s3_uri": f"s3://{live.cloud.bucket}/live",
        "created": True,
    }
    before = live.cloud.sagemaker.describe_endpoint_config(EndpointConfigName=live.baseline)
    config = live.shadow_config()
    assert config["ProductionVariants"] == before["ProductionVariants"]
    assert config["DataCaptureConfig"] == before["DataCaptureConfig"]
    (shadow,) = config["ShadowProductionVariants"]
    assert (shadow["InitialInstanceCount"], shadow["InitialVariantWeight"]) == (1, 0.5)
    assert shadow["RoutingConfig"] == {"RoutingStrategy": "RANDOM"}
    # The way back stands in the tags before the endpoint is touched, and it was not touched.
    assert live.hook.tags(config["EndpointConfigArn"])[tagging.BASELINE_CONFIG] == live.baseline
    assert live.now == ("InService", live.baseline)
    assert json.loads(json.dumps(made)) == made


def test_what_is_made_is_tagged_with_its_dag_and_run(live: Flow) -> None:
    running: Any = {"dag": SimpleNamespace(dag_id="nightly"), "run_id": "manual__2026-01-01T00:00:00+00:00"}
    before = datetime.now(tz=UTC).replace(microsecond=0)
    with set_current_context(running):
        live.config(live.make_candidate())
    made = live.hook.tags(live.shadow_config()["EndpointConfigArn"])
    assert (made[tagging.DAG], made[tagging.RUN]) == ("nightly", running["run_id"])
    assert before <= datetime.fromisoformat(made[tagging.CREATED]) <= datetime.now(tz=UTC)


def test_the_shadow_config_is_adopted_and_never_remade(live: Flow) -> None:
    candidate = live.make_candidate()
    first = live.config(candidate)
    assert live.config(candidate) == {**first, "created": False}
    assert live.changes.made.count("CreateEndpointConfig") == 1
    with pytest.raises(AirflowFailException, match="from other arguments"):
        live.config(candidate, sampling_percentage=50)


def test_a_new_endpoint_gets_a_baseline_to_go_back_to(new: Flow) -> None:
    made = new.new_endpoint(new.make_candidate())
    assert made["baseline_config_name"] == new.names.baseline_config
    describe = new.cloud.sagemaker.describe_endpoint_config
    baseline = describe(EndpointConfigName=new.names.baseline_config)
    assert "ShadowProductionVariants" not in baseline
    assert baseline["ProductionVariants"] == new.shadow_config()["ProductionVariants"]
    assert baseline["ProductionVariants"][0]["VariantName"] == "AllTraffic"
    assert new.hook.endpoint_state(new.endpoint_name) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "there is no such endpoint. Give production_variant"),
        ({"production_variant": {"instance_type": "ml.m5.xlarge"}}, "a new endpoint .* needs it"),
        (
            {"production_variant": {"instance_type": "ml.m5.xlarge"}, "production_model_name": "m"},
            "there would be nothing to compare",
        ),
    ],
)
def test_a_new_endpoint_needs_all_of_its_arguments(new: Flow, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(AirflowFailException, match=message):
        new.config("candidate", **arguments)
    assert new.changes.made == []


def test_a_live_endpoint_is_not_made_anew(live: Flow) -> None:
    with pytest.raises(AirflowFailException, match="the endpoint exists already"):
        live.new_endpoint("candidate")
    assert live.changes.made == []


def test_a_busy_endpoint_may_be_free_at_the_next_try(live: Flow) -> None:
    live.change_by_hand(SLOW, wait=False)
    with pytest.raises(EndpointBusyError):
        live.config(live.incumbent)
    assert live.changes.made == []
    assert live.now[0] == "InService"


def test_an_endpoint_whose_own_config_was_deleted_is_refused(live: Flow) -> None:
    live.cloud.sagemaker.delete_endpoint_config(EndpointConfigName=live.baseline)
    with pytest.raises(AirflowFailException, match="which was deleted: there would be no way back"):
        live.config(live.incumbent)


def test_an_endpoint_with_somebody_elses_shadow_is_refused(live: Flow, make_flow: Any) -> None:
    live.to_shadow()
    other = make_flow()
    other.endpoint_name, other.deployment = (
        live.endpoint_name,
        Deployment(endpoint_name=live.endpoint_name, deployment_id="x"),
    )
    with pytest.raises(AirflowFailException, match="it has a shadow variant already"):
        other.config(live.incumbent)


# -- the endpoint -----------------------------------------------------------------------------------------------------


@BOTH_WAYS
def test_a_live_endpoint_gets_its_shadow_verified_and_once(live: Flow, deferrable: bool) -> None:
    live.deferrable = deferrable
    live.config(live.make_candidate())
    wanted = {
        "endpoint_name": live.endpoint_name,
        "endpoint_config_name": live.names.shadow_config,
        "verified": True,
    }
    assert live.deploy() == wanted
    assert live.now == ("InService", live.names.shadow_config)
    assert live.deferrals == deferrable
    assert live.deploy() == wanted
    assert live.changes.made.count("UpdateEndpoint") == 1
    assert live.ti.pushed["sagemaker_shadow_endpoint"]["endpoint_name"] == live.endpoint_name


@BOTH_WAYS
def test_a_new_endpoint_is_created_with_its_shadow(new: Flow, deferrable: bool) -> None:
    new.deferrable = deferrable
    new.new_endpoint(new.make_candidate())
    assert new.deploy()["verified"] is True
    assert new.now == ("InService", new.names.shadow_config)
    assert new.deferrals == deferrable
    assert new.deploy()["verified"] is True
    assert new.changes.made.count("CreateEndpoint") == 1
    state = new.hook.endpoint_state(new.endpoint_name)
    assert state is not None
    assert new.deployment.owns(new.hook.tags(state.arn))


@BOTH_WAYS
def test_a_silent_rollback_is_a_failure_with_awss_reason(live: Flow, deferrable: bool) -> None:
    live.deferrable = deferrable
    with pytest.raises(AirflowFailException, match="SageMaker rolled the change back") as caught:
        live.to_shadow(BROKEN)
    assert PING_FAILED in str(caught.value)
    assert live.now == ("InService", live.baseline)


def test_an_update_that_was_rolled_back_is_not_asked_for_again(live: Flow) -> None:
    live.config(live.make_candidate(BROKEN))
    live.deploy(wait_for_completion=False)
    assert live.now == ("InService", live.baseline)
    live.changes.made.clear()
    assert live.deploy(wait_for_completion=False)["verified"] is False
    with pytest.raises(AirflowFailException, match=f"SageMaker rolled the change back.*{PING_FAILED}"):
        live.deploy()
    assert live.changes.made == []


def test_an_update_that_was_never_sent_is_asked_for_again(live: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    live.config(live.make_candidate())

    def killed(request: dict[str, Any]) -> None:
        raise Killed

    monkeypatch.setattr(live.hook, "_submit_update", killed)
    with pytest.raises(Killed):
        live.deploy()
    monkeypatch.undo()
    assert tagging.ASKED_SINCE in live.hook.tags(live.shadow_config()["EndpointConfigArn"])
    live.deploy()
    assert live.now == ("InService", live.names.shadow_config)


@BOTH_WAYS
def test_a_creation_that_fails_is_a_failure_with_awss_reason(new: Flow, deferrable: bool) -> None:
    new.deferrable = deferrable
    new.new_endpoint(new.make_candidate(BROKEN))
    with pytest.raises(AirflowFailException, match=f"the endpoint is Failed: .*{PING_FAILED}"):
        new.deploy()


def test_without_waiting_nothing_is_claimed(live: Flow) -> None:
    live.config(live.make_candidate(SLOW))
    assert live.deploy(wait_for_completion=False)["verified"] is False
    assert live.cloud.describe(live.endpoint_name)["EndpointStatus"] == "Updating"
    assert live.now == ("InService", live.names.shadow_config)


def test_a_foreign_change_before_ours_is_left_alone(live: Flow) -> None:
    live.config(live.make_candidate())
    theirs = live.change_by_hand()
    with pytest.raises(AirflowFailException, match=r"somebody else changed it\. Left alone"):
        live.deploy()
    assert live.now == ("InService", theirs)
    assert "UpdateEndpoint" not in live.changes.made


def test_the_shadow_config_must_be_there_first(live: Flow) -> None:
    with pytest.raises(AirflowFailException, match="must run before"):
        live.deploy()


def test_a_live_endpoint_that_is_gone_is_not_made_anew(live: Flow) -> None:
    live.config(live.make_candidate())
    live.cloud.delete(live.endpoint_name)
    with pytest.raises(AirflowFailException, match=f"which served {live.baseline} when this deployment began, is gone"):
        live.deploy()
    assert "CreateEndpoint" not in live.changes.made


def test_without_a_way_back_the_endpoint_is_not_touched(live: Flow) -> None:
    live.config(live.make_candidate())
    arn = live.shadow_config()["EndpointConfigArn"]
    live.cloud.sagemaker.delete_tags(ResourceArn=arn, TagKeys=[tagging.BASELINE_CONFIG])
    with pytest.raises(AirflowFailException, match="there would be no way back"):
        live.deploy()
    assert "UpdateEndpoint" not in live.changes.made


@BOTH_WAYS
def test_a_wait_that_takes_too_long_may_be_taken_up_again(live: Flow, deferrable: bool) -> None:
    live.deferrable = deferrable
    live.config(live.make_candidate(SLOW))
    with pytest.raises(EndpointTimeoutError, match=f"did not serve {live.names.shadow_config} within timeout=0 s"):
        live.deploy(timeout=0.2)
    assert live.deploy()["verified"] is True
    assert live.changes.made.count("UpdateEndpoint") == 1


def test_an_operator_makes_its_own_client_from_its_own_arguments(live: Flow, local_aws: Any) -> None:
    live.config(live.make_candidate())
    made = SageMakerShadowEndpointOperator(
        task_id="task",
        endpoint_name=live.endpoint_name,
        deployment_id=live.deployment.deployment_id,
        aws_conn_id="aws_default",
        region_name="us-east-1",
        botocore_config={"read_timeout": 9},
        deferrable=True,
        poll_interval=0.05,
    )
    with pytest.raises(TaskDeferred) as deferred:
        made.execute(context(live.ti))
    assert made.hook.sagemaker.meta.endpoint_url == local_aws.endpoint_url
    # The wait goes on with the same connection, region and configuration.
    _, arguments = deferred.value.trigger.serialize()
    assert arguments["aws_conn_id"] == "aws_default"
    assert arguments["region_name"] == "us-east-1"
    assert arguments["botocore_config"] == {"read_timeout": 9}
    assert deferred.value.timeout is None
    assert asyncio.run(first_event(revived(deferred.value.trigger)))["status"] == "ended"


# -- the sensor -------------------------------------------------------------------------------------------------------


def test_a_poke_sees_before_under_way_and_after(live: Flow) -> None:
    live.config(live.make_candidate(SLOW))
    poke = live.operator(SageMakerShadowEndpointSensor, mode="reschedule").poke
    # The config is made, the update not begun: InService on the old config is no failure yet.
    assert not poke({"ti": live.ti}).is_done
    live.deploy(wait_for_completion=False)
    assert not poke({"ti": live.ti}).is_done
    live.cloud.settled(live.endpoint_name)
    seen = poke({"ti": live.ti})
    assert seen.is_done
    assert seen.xcom_value == {
        "endpoint_name": live.endpoint_name,
        "endpoint_config_name": live.names.shadow_config,
        "status": "InService",
    }


@BOTH_WAYS
def test_the_sensor_waits_for_a_verified_end(live: Flow, deferrable: bool) -> None:
    live.deferrable = deferrable
    live.config(live.make_candidate(SLOW))
    live.deploy(wait_for_completion=False)
    assert live.sense()["endpoint_config_name"] == live.names.shadow_config
    assert live.deferrals == deferrable
    # It is there already: no wait at all.
    assert live.sense()["status"] == "InService"
    assert live.deferrals == deferrable


@BOTH_WAYS
def test_the_sensor_fails_at_a_silent_rollback(live: Flow, deferrable: bool) -> None:
    live.deferrable = deferrable
    live.config(live.make_candidate(BROKEN))
    live.deploy(wait_for_completion=False)
    with pytest.raises(AirflowFailException, match=f"rolled the change back: .*{PING_FAILED}"):
        live.sense()


def test_the_sensor_waits_for_any_config(live: Flow) -> None:
    assert live.sense(endpoint_config_name=live.baseline)["endpoint_config_name"] == live.baseline
    with pytest.raises(AirflowFailException, match="InService on"):
        live.sense(endpoint_config_name="never-made")


# -- promotion --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", ["REJECT", "INCONCLUSIVE", "INVALID", "CONTINUE", "promote", "None", None])
def test_only_promote_promotes(new: Flow, verdict: Any) -> None:
    # Before anything is asked of AWS: that the endpoint does not even exist plays no part.
    with pytest.raises(AirflowSkipException, match=f"The verdict is {verdict}"):
        new.promote(verdict)
    with pytest.raises(AirflowFailException, match="is gone"):
        new.promote("PROMOTE")


@BOTH_WAYS
def test_a_promotion_is_verified_and_keeps_production_as_it_is(live: Flow, deferrable: bool) -> None:
    live.deferrable = deferrable
    live.to_shadow()
    wanted = {
        "promoted": True,
        "endpoint_config_name": live.names.promoted_config,
        "model_name": live.names.candidate_model,
    }
    assert live.promote() == wanted
    assert live.now == ("InService", live.names.promoted_config)
    describe = live.cloud.sagemaker.describe_endpoint_config
    before, after = (describe(EndpointConfigName=name) for name in (live.baseline, live.names.promoted_config))
    assert after["ProductionVariants"] == [{**before["ProductionVariants"][0], "ModelName": live.names.candidate_model}]
    assert after["DataCaptureConfig"] == before["DataCaptureConfig"]
    assert "ShadowProductionVariants" not in live.cloud.describe(live.endpoint_name)
    assert live.promote() == wanted
    assert live.changes.made.count("UpdateEndpoint") == 2
    assert live.changes.made.count("CreateEndpointConfig") == 2


def test_a_promotion_that_was_rolled_back_is_not_tried_again(live: Flow, local_aws: Any) -> None:
    live.to_shadow()
    with local_aws.fault(EndpointFault(kind="rollback", endpoint=live.endpoint_name)):
        live.promote(wait_for_completion=False)
        assert live.now == ("InService", live.names.shadow_config)
    live.changes.made.clear()
    # A task that was killed before it learned of the end: nothing speaks against the candidate any more, and still.
    with pytest.raises(AirflowFailException, match=r"asked for before.*SageMaker rolled the change back"):
        live.promote()
    assert live.changes.made == []
    live.rollback()
    assert live.now == ("InService", live.baseline)


def test_a_promotion_goes_on_from_the_instances_there_are_now(live: Flow) -> None:
    live.to_shadow()
    live.scale_out(live.names.shadow_config)
    live.promote()
    assert live.instances == 2


def test_a_promotion_taken_up_again_keeps_the_instances_that_came_in_between(live: Flow) -> None:
    live.to_shadow()
    live.changes.kill_after(1)
    with pytest.raises(Killed):
        live.promote()
    # The promoted config is made, and says one instance.
    live.scale_out(live.names.shadow_config)
    live.promote()
    assert live.now == ("InService", live.names.promoted_config)
    assert live.instances == 2


def test_a_shadow_does_not_take_production_back_to_fewer_instances(live: Flow) -> None:
    live.config(live.make_candidate())
    live.scale_out(live.baseline)
    live.deploy()
    assert live.now == ("InService", live.names.shadow_config)
    assert live.instances == 2


def test_a_promotion_that_aws_rolls_back_is_a_failure(live: Flow) -> None:
    live.to_shadow()
    url = live.cloud.sagemaker.describe_model(ModelName=live.names.candidate_model)["Containers"][0]["ModelDataUrl"]
    live.cloud.s3.delete_object(Bucket=live.cloud.bucket, Key=url.partition(f"{live.cloud.bucket}/")[2])
    with pytest.raises(AirflowFailException, match="SageMaker rolled the change back"):
        live.promote()
    assert live.now == ("InService", live.names.shadow_config)
    assert live.rollback()["changed"] is True
    assert live.now == ("InService", live.baseline)


def test_a_promotion_over_a_foreign_change_is_refused(live: Flow) -> None:
    live.to_shadow()
    theirs = live.change_by_hand()
    with pytest.raises(AirflowFailException, match="somebody else changed it"):
        live.promote()
    assert live.now == ("InService", theirs)


def test_a_foreign_config_of_the_promoted_name_is_never_deployed(live: Flow) -> None:
    live.to_shadow()
    live.cloud.sagemaker.create_endpoint_config(
        EndpointConfigName=live.names.promoted_config,
        ProductionVariants=[live.cloud.variant("Prod", live.cloud.model())],
    )
    with pytest.raises(AirflowFailException, match="its tags do not say that this deployment made it"):
        live.promote()
    assert live.now == ("InService", live.names.shadow_config)


# -- rollback ---------------------------------------------------------------------------------------------------------


@BOTH_WAYS
@pytest.mark.parametrize("promoted", [False, True], ids=["from the shadow", "from the promotion"])
def test_a_rollback_goes_back_and_is_verified(live: Flow, deferrable: bool, promoted: bool) -> None:
    live.to_shadow()
    if promoted:
        live.promote()
    live.deferrable = deferrable
    done = live.rollback()
    assert (done["endpoint_config_name"], done["changed"]) == (live.baseline, True)
    assert live.now == ("InService", live.baseline)
    assert live.deferrals == deferrable
    assert live.rollback()["changed"] is False


@BOTH_WAYS
def test_a_rollback_lets_a_change_of_ours_end_first(live: Flow, deferrable: bool) -> None:
    live.config(live.make_candidate(SLOW))
    live.deploy(wait_for_completion=False)
    live.deferrable = deferrable
    assert live.rollback()["endpoint_config_name"] == live.baseline
    assert live.now == ("InService", live.baseline)
    assert live.deferrals == 2 * deferrable
    assert live.changes.made.count("UpdateEndpoint") == 2


@BOTH_WAYS
def test_a_rollback_that_aws_could_not_undo_is_asked_for_once_more(
    live: Flow, local_aws: Any, deferrable: bool
) -> None:
    live.to_shadow()
    live.deferrable = deferrable
    with local_aws.fault(EndpointFault(kind="rollback_failed", endpoint=live.endpoint_name)):
        assert live.rollback()["endpoint_config_name"] == live.baseline
    assert live.now == ("InService", live.baseline)
    assert live.changes.made.count("UpdateEndpoint") == 3


@BOTH_WAYS
def test_a_rollback_that_aws_can_not_undo_again_says_what_a_person_must_do(
    live: Flow, local_aws: Any, deferrable: bool
) -> None:
    live.to_shadow()
    live.deferrable = deferrable
    twice = EndpointFault(kind="rollback_failed", endpoint=live.endpoint_name, times=2, reason="Why.")
    told = rf"Why\..*update the endpoint to {live.baseline} by hand"
    with local_aws.fault(twice), pytest.raises(AirflowFailException, match=told):
        live.rollback()
    assert live.now == ("UpdateRollbackFailed", live.names.shadow_config)
    # The cause is gone, and somebody clears the task.
    assert live.rollback()["changed"] is True
    assert live.now == ("InService", live.baseline)


def test_after_a_silent_rollback_of_awss_nothing_is_left_to_do(live: Flow) -> None:
    with pytest.raises(AirflowFailException):
        live.to_shadow(BROKEN)
    assert live.rollback()["changed"] is False
    assert live.changes.made.count("UpdateEndpoint") == 1


@pytest.mark.parametrize("prepared", [False, True], ids=["nothing made", "config made"])
def test_an_endpoint_that_was_not_touched_is_not_touched(live: Flow, prepared: bool) -> None:
    if prepared:
        live.config(live.make_candidate())
    assert live.rollback()["changed"] is False
    assert live.now == ("InService", live.baseline)
    assert "UpdateEndpoint" not in live.changes.made


def test_a_rollback_without_any_endpoint_is_done(new: Flow) -> None:
    new.new_endpoint(new.make_candidate())
    assert new.rollback() == {
        "endpoint_config_name": None,
        "changed": False,
        "reason": "there is no endpoint, so nothing serves the candidate",
    }


def test_a_foreign_config_is_left_alone_and_the_task_fails(live: Flow) -> None:
    live.to_shadow()
    theirs = live.change_by_hand()
    with pytest.raises(AirflowFailException, match=r"somebody else changed it\. Left alone"):
        live.rollback()
    assert live.now == ("InService", theirs)
    assert live.changes.made.count("UpdateEndpoint") == 1


def test_a_foreign_change_under_way_is_left_alone_and_the_task_fails(live: Flow) -> None:
    live.to_shadow()
    theirs = live.change_by_hand(SLOW, wait=False)
    with pytest.raises(AirflowFailException, match="somebody else is changing the endpoint"):
        live.rollback()
    assert live.now == ("InService", theirs)


@BOTH_WAYS
def test_a_new_endpoint_that_never_served_is_deleted(new: Flow, deferrable: bool) -> None:
    new.new_endpoint(new.make_candidate(BROKEN))
    with pytest.raises(AirflowFailException):
        new.deploy()
    new.deferrable = deferrable
    assert new.rollback()["endpoint_config_name"] is None
    assert new.hook.endpoint_state(new.endpoint_name) is None


def test_a_failed_endpoint_that_is_not_ours_is_not_deleted(new: Flow) -> None:
    new.new_endpoint(new.make_candidate(BROKEN))
    # Somebody else made it with our config.
    new.cloud.sagemaker.create_endpoint(EndpointName=new.endpoint_name, EndpointConfigName=new.names.shadow_config)
    new.cloud.settled(new.endpoint_name)
    with pytest.raises(AirflowFailException, match="AWS takes no update of a Failed endpoint"):
        new.rollback()
    assert new.cloud.describe(new.endpoint_name)["EndpointStatus"] == "Failed"


def test_a_new_endpoint_keeps_serving_production_alone(new: Flow) -> None:
    new.new_endpoint(new.make_candidate())
    new.deploy()
    assert new.rollback()["endpoint_config_name"] == new.names.baseline_config
    assert new.now == ("InService", new.names.baseline_config)
    assert new.cloud.invoke(new.endpoint_name)["Body"].read() == b"1,2\n"


@pytest.mark.parametrize("result", [{"promoted": True, "endpoint_config_name": "x"}])
def test_what_was_promoted_is_not_rolled_back(live: Flow, result: dict[str, Any]) -> None:
    live.to_shadow()
    live.promote()
    with pytest.raises(AirflowSkipException):
        live.rollback(unless_promoted=result)
    assert live.now == ("InService", live.names.promoted_config)


@pytest.mark.parametrize("result", [None, "None", {}, {"promoted": False}])
def test_anything_but_a_verified_promotion_is_rolled_back(new: Flow, result: Any) -> None:
    # It goes on to look at AWS instead of being skipped.
    assert new.rollback(unless_promoted=result)["reason"] == "there is no endpoint, so nothing serves the candidate"


def test_a_rollback_keeps_the_instances_there_are_now(live: Flow) -> None:
    live.to_shadow()
    live.scale_out(live.names.shadow_config)
    live.rollback()
    assert live.now == ("InService", live.baseline)
    assert live.instances == 2


def test_a_rollback_that_takes_too_long_may_be_taken_up_again(live: Flow) -> None:
    live.config(live.make_candidate(SLOW))
    live.deploy(wait_for_completion=False)
    with pytest.raises(EndpointTimeoutError):
        live.rollback(timeout=0.1)
    assert live.rollback()["endpoint_config_name"] == live.baseline


# -- clean-up ---------------------------------------------------------------------------------------------------------


def existing(flow: Flow) -> set[str]:
    """Which of everything that this deployment may have made is there."""
    found = {name for name in flow.names.configs if flow.hook.endpoint_config(name)}
    return found | {name for name in flow.names.models if flow.hook.model(name)}


def test_after_a_rejection_everything_of_ours_goes(live: Flow) -> None:
    live.to_shadow()
    live.rollback()
    assert live.clean_up() == {
        "deleted_configs": [live.names.shadow_config],
        "deleted_models": [live.names.candidate_model],
        "kept": sorted([live.baseline, live.incumbent]),
    }
    assert existing(live) == set()
    assert live.hook.model(live.incumbent) is not None
    assert live.clean_up()["deleted_configs"] == []
    # Not a single request was dropped on the way: production serves.
    assert live.cloud.invoke(live.endpoint_name)["Body"].read() == b"1,2\n"


def test_after_a_promotion_the_way_back_is_kept(live: Flow) -> None:
    live.to_shadow()
    live.promote()
    cleaned = live.clean_up()
    assert cleaned["deleted_configs"] == [live.names.shadow_config]
    assert cleaned["deleted_models"] == []
    assert {live.baseline, live.incumbent} <= set(cleaned["kept"])
    assert existing(live) == {live.names.promoted_config, live.names.candidate_model}
    # And it is a way back.
    assert live.rollback()["endpoint_config_name"] == live.baseline
    assert live.now == ("InService", live.baseline)


@pytest.mark.parametrize("delete_baseline", [False, True])
def test_the_baseline_of_a_new_endpoint_goes_only_when_asked(new: Flow, cloud: Any, delete_baseline: bool) -> None:
    made = new.run(SageMakerShadowModelOperator, side="production", container=container(cloud), execution_role_arn=ROLE)
    new.incumbent = made["model_name"]
    new.new_endpoint(new.make_candidate())
    new.deploy()
    new.promote()
    new.clean_up(delete_baseline=delete_baseline)
    kept = {new.names.promoted_config, new.names.candidate_model}
    assert existing(new) == (kept if delete_baseline else kept | {new.names.baseline_config, new.incumbent})


def test_a_baseline_that_is_not_ours_is_never_deleted(live: Flow) -> None:
    live.to_shadow()
    live.promote()
    live.clean_up(delete_baseline=True)
    assert live.hook.endpoint_config(live.baseline) is not None
    assert live.hook.model(live.incumbent) is not None


def test_what_is_in_use_is_kept_even_after_a_failure(live: Flow) -> None:
    live.to_shadow()
    assert live.clean_up()["deleted_configs"] == []
    assert existing(live) == {live.names.shadow_config, live.names.candidate_model}


def test_a_candidate_that_somebody_else_made_is_kept(live: Flow) -> None:
    candidate = live.cloud.model()
    live.config(candidate)
    live.deploy()
    live.rollback()
    assert live.clean_up()["deleted_models"] == []
    assert live.hook.model(candidate) is not None


def test_a_model_under_a_name_of_the_users_choice_goes_too(live: Flow, cloud: Any, unique: Any) -> None:
    name = unique("my-model")
    live.run(
        SageMakerShadowModelOperator,
        side="shadow",
        container=container(cloud),
        execution_role_arn=ROLE,
        model_name=name,
    )
    live.config(name)
    assert live.clean_up()["deleted_models"] == [name]
    assert live.hook.model(name) is None


def test_foreign_resources_under_our_names_are_kept(live: Flow) -> None:
    live.cloud.sagemaker.create_endpoint_config(
        EndpointConfigName=live.names.shadow_config,
        ProductionVariants=[live.cloud.variant("v", live.cloud.model())],
    )
    assert live.clean_up()["deleted_configs"] == []
    assert live.changes.made == []


def test_a_changing_endpoint_is_not_cleaned_up_after(live: Flow) -> None:
    live.config(live.make_candidate(SLOW))
    live.deploy(wait_for_completion=False)
    with pytest.raises(EndpointBusyError):
        live.clean_up()
    assert existing(live) == {live.names.shadow_config, live.names.candidate_model}
    live.cloud.settled(live.endpoint_name)


def test_after_a_new_endpoint_that_never_served_nothing_is_left(new: Flow) -> None:
    new.new_endpoint(new.make_candidate(BROKEN))
    with pytest.raises(AirflowFailException):
        new.deploy()
    new.rollback()
    new.clean_up()
    assert existing(new) == set()


# -- the conclusion ---------------------------------------------------------------------------------------------------


def conclude(flow: Flow, verdict: str, **arguments: Any) -> Any:
    decision = {"verdict": verdict, "reason": "because", "record_uri": "s3://b/r.json"}
    return flow.run(SageMakerShadowConcludeOperator, decision=decision, baseline_config_name=flow.baseline, **arguments)


def test_a_promotion_is_concluded_when_aws_shows_it(live: Flow) -> None:
    live.to_shadow()
    with pytest.raises(AirflowFailException, match=f"should serve {live.names.promoted_config}; it is InService on"):
        conclude(live, "PROMOTE")
    live.promote()
    assert conclude(live, "PROMOTE") == {
        "verdict": "PROMOTE",
        "reason": "because",
        "endpoint_config_before": live.baseline,
        "endpoint_config_after": live.names.promoted_config,
        "active_model_before": live.incumbent,
        "active_model_after": live.names.candidate_model,
        "record_uri": "s3://b/r.json",
        "report_uri": None,
        "model_package": None,
    }
    with pytest.raises(AirflowFailException, match=f"The verdict is REJECT, .* should serve {live.baseline}"):
        conclude(live, "REJECT")


def test_a_clean_rollback_is_a_success_unless_asked_otherwise(live: Flow) -> None:
    for switch in (False, None, "False", "false", "None", "", "0"):
        summary = conclude(live, "REJECT", fail_unless_promoted=switch)
        assert summary["active_model_after"] == summary["active_model_before"] == live.incumbent
    for switch in (True, "True", "true", "1"):
        with pytest.raises(AirflowFailException, match="was rolled back cleanly"):
            conclude(live, "INCONCLUSIVE", fail_unless_promoted=switch)


def test_an_endpoint_that_is_gone_is_no_conclusion(new: Flow) -> None:
    with pytest.raises(AirflowFailException, match="it is gone"):
        conclude(new, "REJECT")


@pytest.mark.parametrize("decision", [None, "None", {}, "PROMOTE"])
def test_without_a_decision_there_is_nothing_to_conclude(new: Flow, decision: Any) -> None:
    with pytest.raises(AirflowFailException, match="must be the result of SageMakerShadowEvaluateOperator"):
        new.run(SageMakerShadowConcludeOperator, decision=decision, baseline_config_name="b")


# -- killed at any point ----------------------------------------------------------------------------------------------


def _live_shadow(flow: Flow) -> None:
    go_live(flow).to_shadow()


def _live_promoted(flow: Flow) -> None:
    _live_shadow(flow)
    flow.promote()


def _live_rejected(flow: Flow) -> None:
    _live_shadow(flow)
    flow.rollback()


def _new_broken(flow: Flow) -> None:
    flow.new_endpoint(flow.make_candidate(BROKEN))
    flow.deploy(wait_for_completion=False)
    flow.cloud.settled(flow.endpoint_name)


def _new_torn_down(flow: Flow) -> None:
    _new_broken(flow)
    flow.rollback()


def one_model(flow: Flow) -> Any:
    url = flow.cloud.sagemaker.describe_model(ModelName=flow.incumbent)["Containers"][0]["ModelDataUrl"]
    return flow.run(
        SageMakerShadowModelOperator,
        side="shadow",
        container={"image": IMAGE, "model_data_url": url},
        execution_role_arn=ROLE,
    )


Step = Callable[[Flow], Any]
USERS = "the user's"
# What comes before, the step, the changes it makes, and then: status and config of the endpoint, what there is of ours.
KILLS: dict[str, tuple[Step, Step, list[str], tuple[str | None, str | None, set[str]]]] = {
    "model": (lambda flow: None, one_model, ["CreateModel"], (None, None, {"candidate"})),
    "config of a live endpoint": (
        go_live,
        lambda flow: flow.config(flow.incumbent),
        ["CreateEndpointConfig"],
        ("InService", USERS, {"shadow"}),
    ),
    "configs of a new endpoint": (
        lambda flow: None,
        lambda flow: flow.new_endpoint(flow.incumbent),
        ["CreateEndpointConfig"] * 2,
        (None, None, {"baseline", "shadow"}),
    ),
    "creation": (
        lambda flow: flow.new_endpoint(flow.incumbent),
        lambda flow: flow.deploy(),
        ["CreateEndpoint"],
        ("InService", "shadow", {"baseline", "shadow"}),
    ),
    "update": (
        lambda flow: go_live(flow).config(flow.make_candidate()),
        lambda flow: flow.deploy(),
        ["UpdateEndpoint"],
        ("InService", "shadow", {"shadow", "candidate"}),
    ),
    "promotion": (
        _live_shadow,
        lambda flow: flow.promote(),
        ["CreateEndpointConfig", "UpdateEndpoint"],
        ("InService", "promoted", {"shadow", "promoted", "candidate"}),
    ),
    "rollback from the shadow": (
        _live_shadow,
        lambda flow: flow.rollback(),
        ["UpdateEndpoint"],
        ("InService", USERS, {"shadow", "candidate"}),
    ),
    "rollback from the promotion": (
        _live_promoted,
        lambda flow: flow.rollback(),
        ["UpdateEndpoint"],
        ("InService", USERS, {"shadow", "promoted", "candidate"}),
    ),
    "rollback of a new endpoint": (
        _new_broken,
        lambda flow: flow.rollback(),
        ["DeleteEndpoint"],
        (None, None, {"baseline", "shadow", "candidate"}),
    ),
    "clean-up after a rejection": (
        _live_rejected,
        lambda flow: flow.clean_up(),
        ["DeleteModel", "DeleteEndpointConfig"],
        ("InService", USERS, set()),
    ),
    "clean-up after a promotion": (
        _live_promoted,
        lambda flow: flow.clean_up(),
        ["DeleteEndpointConfig"],
        ("InService", "promoted", {"promoted", "candidate"}),
    ),
    "clean-up of a new endpoint": (
        _new_torn_down,
        lambda flow: flow.clean_up(),
        ["DeleteModel", "DeleteEndpointConfig", "DeleteEndpointConfig"],
        (None, None, set()),
    ),
}


def end_state(flow: Flow) -> tuple[str | None, str | None, set[str]]:
    names = flow.names
    roles = {
        names.baseline_config: "baseline",
        names.shadow_config: "shadow",
        names.promoted_config: "promoted",
        names.candidate_model: "candidate",
        names.incumbent_model: "incumbent",
    }
    there = {roles[name] for name in existing(flow)}
    state = flow.hook.endpoint_state(flow.endpoint_name)
    if state is None:
        return None, None, there
    return state.status, roles.get(state.active_config or "", USERS), there


@pytest.mark.parametrize(
    ("step", "number"),
    [(step, number) for step, (_, _, made, _) in KILLS.items() for number in range(len(made) + 1)],
)
def test_a_task_killed_after_any_change_and_run_again_ends_the_same(new: Flow, step: str, number: int) -> None:
    prepare, run, made, end = KILLS[step]
    prepare(new)
    new.changes.made.clear()
    if number:
        new.changes.kill_after(number)
        with pytest.raises(Killed):
            run(new)
        assert new.changes.made == made[:number]
    run(new)
    # Nothing twice, nothing forgotten.
    assert new.changes.made == made
    assert end_state(new) == end
    run(new)
    assert new.changes.made == made


# -- triggers ---------------------------------------------------------------------------------------------------------

COMMON: dict[str, Any] = {
    "poll_interval": 0.02,
    "resume": {"config_name": "c", "until": "2026-01-01T00:00:00+00:00"},
    "aws_conn_id": None,
    "region_name": "us-east-1",
    "verify": False,
    "botocore_config": {"read_timeout": 9},
}


def soon(seconds: float = 20.0) -> str:
    return (datetime.now(tz=UTC) + timedelta(seconds=seconds)).isoformat()


def endpoint_trigger(**changes: Any) -> SageMakerShadowEndpointTrigger:
    arguments: dict[str, Any] = {
        "endpoint_name": "no-such",
        "endpoint_config_name": "c",
        "not_before": "2026-01-01T00:00:00+00:00",
        "deadline": soon(),
        **COMMON,
    }
    return SageMakerShadowEndpointTrigger(**{**arguments, **changes})


def evidence_trigger(**changes: Any) -> SageMakerShadowEvidenceTrigger:
    arguments: dict[str, Any] = {
        "endpoint_name": "no-such",
        "shadow_variant_name": "Shadow",
        "since": "2026-01-01T00:00:00+00:00",
        "minimum_requests": 1000,
        "not_before": "2026-01-01T01:00:00+00:00",
        "deadline": soon(),
        **COMMON,
    }
    return SageMakerShadowEvidenceTrigger(**{**arguments, **changes})


BOTH_TRIGGERS = pytest.mark.parametrize("make", [endpoint_trigger, evidence_trigger])


@BOTH_TRIGGERS
def test_a_trigger_survives_the_database_with_every_argument(make: Any) -> None:
    trigger = make()
    path, arguments = trigger.serialize()
    assert path == f"{type(trigger).__module__}.{type(trigger).__name__}"
    assert {name: arguments[name] for name in COMMON} == COMMON
    again = revived(trigger)
    assert type(again) is type(trigger)
    assert again.serialize() == (path, arguments)
    assert {name: getattr(again, name) for name in arguments} == arguments


@BOTH_TRIGGERS
def test_arguments_of_a_newer_version_are_let_pass(make: Any) -> None:
    trigger = make(some_argument_of_version_9="x")
    assert "some_argument_of_version_9" not in trigger.serialize()[1]


@BOTH_TRIGGERS
def test_the_deadline_is_absolute_and_ends_the_wait(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    polled: list[int] = []
    monkeypatch.setattr(triggers_base.PollingTrigger, "_look", lambda self: polled.append(1))
    # A restart of the triggerer makes the trigger anew; the deadline does not move.
    assert asyncio.run(first_event(revived(make(deadline=soon(-1))))) == {
        "status": "timeout",
        "resume": COMMON["resume"],
    }
    assert polled == []
    assert asyncio.run(first_event(make(deadline=soon(0.1))))["status"] == "timeout"
    assert polled


def test_a_trigger_looks_once_more_at_its_deadline(live: Flow) -> None:
    trigger = endpoint_trigger(
        endpoint_name=live.endpoint_name,
        endpoint_config_name=live.baseline,
        deadline=soon(0.1),
        poll_interval=3600,
        botocore_config=None,
    )
    assert asyncio.run(first_event(trigger))["status"] == "ended"


@BOTH_TRIGGERS
def test_transient_errors_do_not_end_the_wait(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Any] = [EndpointConnectionError(endpoint_url="x"), EndpointConnectionError(endpoint_url="x"), None]

    def look(self: PollingTrigger) -> Any:
        if looks and isinstance(looks[0], Exception):
            raise looks.pop(0)
        return looks.pop(0) if looks else {"found": "it"}

    monkeypatch.setattr(triggers_base.PollingTrigger, "_look", look)
    assert asyncio.run(first_event(make())) == {"status": "ended", "resume": COMMON["resume"], "found": "it"}


def test_a_refusal_ends_the_wait_and_the_task_says_so(live: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    live.deferrable = True
    live.config(live.make_candidate(SLOW))

    def refuse(self: PollingTrigger) -> Any:
        raise PlanError("no such connection")

    monkeypatch.setattr(triggers_base.PollingTrigger, "_look", refuse)
    with pytest.raises(AirflowException, match="Running the task again goes on waiting") as caught:
        live.deploy()
    # Not for good: a retry takes the wait up again.
    assert not isinstance(caught.value, AirflowFailException)
    assert "no such connection" in str(caught.value)
    live.cloud.settled(live.endpoint_name)


def test_the_event_itself_proves_nothing(live: Flow) -> None:
    live.config(live.make_candidate())
    resume = {"config_name": live.names.shadow_config, "not_before": None}
    done = live.operator(SageMakerShadowEndpointOperator, deferrable=True)
    with pytest.raises(AirflowFailException, match=f"InService on {live.baseline}, not on"):
        done.execute_complete({"ti": live.ti}, event={"status": "ended", "found": "InService", "resume": resume})


def test_an_endpoint_that_is_gone_ends_a_wait_for_its_end(live: Flow) -> None:
    trigger = endpoint_trigger(endpoint_name=live.endpoint_name, endpoint_config_name=None, botocore_config=None)
    assert trigger._poll(live.hook) is None
    live.cloud.delete(live.endpoint_name)
    assert asyncio.run(first_event(trigger))["found"] == "gone"


@pytest.mark.parametrize(
    ("requests", "minutes", "fires"),
    [(None, 0, False), (999, 0, False), (1000, 0, True), (1000, 10, False)],
)
def test_the_evidence_trigger_fires_on_enough_requests_and_enough_time(
    requests: int | None, minutes: float, fires: bool, monkeypatch: pytest.MonkeyPatch, hook: SageMakerShadowHook
) -> None:
    monkeypatch.setattr("shadow_provider.triggers.evidence.mirrored_requests", lambda *_, **__: requests)
    payload = evidence_trigger(not_before=soon(60 * minutes))._poll(hook)
    assert payload == ({"requests": requests} if fires else None)


def test_no_metric_at_all_is_not_enough(hook: SageMakerShadowHook) -> None:
    assert evidence_trigger(minimum_requests=1)._poll(hook) is None
