"""The hook's verbs against the local AWS, by real HTTP, with faults put in between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError
from tenacity import wait_fixed

from shadow_provider.hooks import aws_errors, sagemaker_shadow, shared
from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.hooks.shared import shared_hook
from shadow_provider.plan import tags as tagging
from shadow_provider.plan.deployment import Deployment
from shadow_provider.plan.errors import (
    EndpointBusyError,
    EndpointChangedError,
    EndpointFailedError,
    ForeignResourceError,
    MayPassError,
    PlanError,
)

ROLE = "arn:aws:iam::123456789012:role/execution"
BROKEN = "def model_fn(model_dir):\n    raise RuntimeError('no such weights')\ndef predict_fn(data, model): return data"
LATE = "import time\ndef model_fn(d): time.sleep(0.4)\ndef transform_fn(m, b, c, a): return b, c"
NO_RETRIES_OF_BOTO = {"retries": {"total_max_attempts": 1}}


@pytest.fixture(scope="module", autouse=True)
def machine(local_aws: Any) -> Iterator[None]:
    """The environment of a worker that reaches the local AWS, and waits that cost no time."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in local_aws.address.environment.items():
            patch.setenv(name, value)
        patch.setattr(sagemaker_shadow, "wait_random_exponential", lambda **_: wait_fixed(0.02))
        yield


@pytest.fixture(scope="module")
def hook(machine: None) -> SageMakerShadowHook:
    """One for all tests here: a client costs a tenth of a second."""
    return SageMakerShadowHook(aws_conn_id="aws_default", config=NO_RETRIES_OF_BOTO)


@pytest.fixture
def deployment(unique: Callable[[str], str]) -> Deployment:
    return Deployment(endpoint_name=unique("hooked"), deployment_id="dag/run")


@pytest.fixture
def live(cloud: Any) -> Iterator[str]:
    return cloud.endpoint(cloud.config([cloud.variant("v", cloud.model())]))  # type: ignore[no-any-return]


class Calls:
    """Counts a client's requests by operation, and lets the first of them fail."""

    def __init__(self, client: Any) -> None:
        self.sent: list[str] = []
        self._faults: dict[str, list[Any]] = {}
        self._after: dict[str, list[Any]] = {}
        self._events = client.meta.events
        self._events.register("before-send.*.*", self._before)
        self._events.register("response-received.*.*", self._received)

    def end(self) -> None:
        self._events.unregister("before-send.*.*", self._before)
        self._events.unregister("response-received.*.*", self._received)

    def fail(self, operation: str, *faults: Any) -> None:
        """Do not send; the answers are faults: an exception, or (HTTP status, code)."""
        self._faults[operation] = list(faults)

    def lose_answer(self, operation: str, *errors: Exception) -> None:
        """Send, then lose the answer: the request takes effect."""
        self._after[operation] = list(errors)

    def _before(self, event_name: str, **_: Any) -> Any:
        operation = event_name.rpartition(".")[2]
        self.sent.append(operation)
        if not self._faults.get(operation):
            return None
        fault = self._faults[operation].pop(0)
        if isinstance(fault, Exception):
            raise fault
        status, code = fault
        if event_name.startswith("before-send.s3"):
            return _response(status, f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode())
        return _response(status, f'{{"__type": "{code}", "message": "Rate exceeded"}}'.encode())

    def _received(self, event_name: str, **_: Any) -> None:
        operation = event_name.rpartition(".")[2]
        if self._after.get(operation):
            raise self._after[operation].pop(0)


@pytest.fixture
def watch() -> Iterator[Callable[[Any], Calls]]:
    watching: list[Calls] = []

    def begin(client: Any) -> Calls:
        watching.append(Calls(client))
        return watching[-1]

    yield begin
    for calls in watching:
        calls.end()


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._body


def _response(status: int, body: bytes) -> AWSResponse:
    return AWSResponse("https://nowhere", status, {}, _Raw(body))


def model_request(cloud: Any, deployment: Deployment, content: dict[str, Any] | None = None) -> dict[str, Any]:
    source = cloud.sagemaker.describe_model(ModelName=cloud.model())["Containers"]
    tags = deployment.tags("candidate", content or {"version": 1})
    return {
        "ModelName": deployment.names.candidate_model,
        "Containers": source,
        "ExecutionRoleArn": ROLE,
        "Tags": tagging.to_aws(tags),
    }


def config_request(cloud: Any, deployment: Deployment, name: str, baseline: str | None = None) -> dict[str, Any]:
    tags = deployment.tags("shadow", {"version": 1}, baseline_config=baseline)
    return {
        "EndpointConfigName": name,
        "ProductionVariants": [cloud.variant("v", cloud.model())],
        "Tags": tagging.to_aws(tags),
    }


# -- reading ----------------------------------------------------------------------------------------------------------


def test_what_does_not_exist_is_none(hook: SageMakerShadowHook) -> None:
    assert hook.endpoint_state("no-such") is None
    assert hook.endpoint_config("no-such") is None
    assert hook.model("no-such") is None


def test_other_errors_are_not_taken_for_absence(hook: SageMakerShadowHook, watch: Any) -> None:
    with pytest.raises(ClientError, match="validation error"):
        hook.model("not_legal")
    calls = watch(hook.sagemaker)
    calls.fail("DescribeEndpoint", (400, "AccessDeniedException"))
    with pytest.raises(ClientError, match="AccessDenied"):
        hook.endpoint_state("fraud")


def test_an_endpoint_is_read_as_it_is(hook: SageMakerShadowHook, cloud: Any, live: str) -> None:
    state = hook.endpoint_state(live)
    assert state is not None
    assert state.status == "InService"
    assert state.active_config == cloud.describe(live)["EndpointConfigName"]
    assert [(item.name, item.desired_instances) for item in state.production] == [("v", 1)]


# -- making -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["model", "config"])
def test_ensure_makes_once_and_adopts_after(
    hook: SageMakerShadowHook, watch: Any, cloud: Any, deployment: Deployment, kind: str
) -> None:
    calls = watch(hook.sagemaker)
    if kind == "model":
        request, ensure = model_request(cloud, deployment), hook.ensure_model
    else:
        request, ensure = config_request(cloud, deployment, deployment.names.shadow_config), hook.ensure_endpoint_config
    first, second = ensure(request), ensure(request)
    assert (first.created, second.created) == (True, False)
    assert first.arn == second.arn
    assert first.name == second.name == request.get("ModelName", request.get("EndpointConfigName"))
    assert hook.tags(first.arn) == tagging.from_aws(request["Tags"])
    assert sum(call.startswith("Create") for call in calls.sent) == 1


def test_other_content_under_our_name_is_refused(hook: SageMakerShadowHook, cloud: Any, deployment: Deployment) -> None:
    hook.ensure_model(model_request(cloud, deployment))
    with pytest.raises(ForeignResourceError, match="was made by this deployment from other arguments"):
        hook.ensure_model(model_request(cloud, deployment, {"version": 2}))


@pytest.mark.parametrize("foreign_tags", [[], [{"Key": tagging.DEPLOYMENT, "Value": "dag/another-run"}]])
def test_a_foreign_resource_is_refused_and_left_alone(
    hook: SageMakerShadowHook, watch: Any, cloud: Any, deployment: Deployment, foreign_tags: list[dict[str, str]]
) -> None:
    request = config_request(cloud, deployment, deployment.names.shadow_config)
    cloud.sagemaker.create_endpoint_config(**{**request, "Tags": foreign_tags})
    calls = watch(hook.sagemaker)
    with pytest.raises(ForeignResourceError, match="it was not made by this deployment and is left alone"):
        hook.ensure_endpoint_config(request)
    assert [call for call in calls.sent if call.startswith(("Create", "Delete", "AddTags"))] == []


def test_a_create_whose_answer_was_lost_is_not_made_twice(
    hook: SageMakerShadowHook, watch: Any, cloud: Any, deployment: Deployment
) -> None:
    calls = watch(hook.sagemaker)
    calls.lose_answer("CreateModel", ConnectionClosedError(endpoint_url="x"))
    ensured = hook.ensure_model(model_request(cloud, deployment))
    # The second call was refused as existing; what stands there carries our tags.
    assert calls.sent.count("CreateModel") == 2
    assert ensured.created is False
    assert hook.model(ensured.name) is not None


def test_a_race_for_the_same_name_ends_in_one_resource(
    hook: SageMakerShadowHook, cloud: Any, deployment: Deployment
) -> None:
    request = model_request(cloud, deployment)
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda _: hook.ensure_model(request), range(6)))
    assert sum(item.created for item in made) == 1
    assert len({item.arn for item in made}) == 1


def test_a_race_lost_to_somebody_else_is_refused(
    hook: SageMakerShadowHook, cloud: Any, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = model_request(cloud, deployment)
    real = hook.sagemaker.create_model

    def too_late(**arguments: Any) -> Any:
        cloud.sagemaker.create_model(**{**arguments, "Tags": []})
        return real(**arguments)

    monkeypatch.setattr(hook.sagemaker, "create_model", too_late)
    with pytest.raises(ForeignResourceError, match="was not made by this deployment"):
        hook.ensure_model(request)


def test_a_refused_create_leaves_its_own_words(hook: SageMakerShadowHook, cloud: Any, deployment: Deployment) -> None:
    request = model_request(cloud, deployment)
    request["Containers"][0]["ModelDataUrl"] = f"s3://{cloud.bucket}/nothing.tar.gz"
    with pytest.raises(ClientError, match="Could not access model data"):
        hook.ensure_model(request)


# -- the way back -----------------------------------------------------------------------------------------------------


def test_the_way_back_stands_in_the_tags(hook: SageMakerShadowHook, cloud: Any, deployment: Deployment) -> None:
    names = deployment.names
    assert hook.way_back(deployment) is None
    hook.ensure_endpoint_config(config_request(cloud, deployment, names.shadow_config, baseline="fraud-v1"))
    assert hook.way_back(deployment) == "fraud-v1"
    hook.ensure_endpoint_config(config_request(cloud, deployment, names.promoted_config, baseline="fraud-v1"))
    hook.delete_endpoint_config(names.shadow_config)
    assert hook.way_back(deployment) == "fraud-v1"
    hook.delete_endpoint_config(names.promoted_config)
    assert hook.way_back(deployment) is None


def test_foreign_tags_are_no_way_back(hook: SageMakerShadowHook, cloud: Any, deployment: Deployment) -> None:
    other = Deployment(endpoint_name=deployment.endpoint_name, deployment_id="another")
    hook.ensure_endpoint_config(config_request(cloud, other, deployment.names.shadow_config, baseline="theirs"))
    assert hook.way_back(deployment) is None


def test_a_shadow_run_needs_its_config(hook: SageMakerShadowHook, deployment: Deployment) -> None:
    with pytest.raises(PlanError) as caught:
        hook.shadow_run(deployment)
    assert str(caught.value) == (
        f"deployment_id='dag/run': its shadow config {deployment.names.shadow_config} does not exist. "
        "SageMakerShadowEndpointConfigOperator makes it and must run before."
    )


# -- the endpoint -----------------------------------------------------------------------------------------------------


def test_an_endpoint_is_created_once(hook: SageMakerShadowHook, watch: Any, cloud: Any, unique: Any) -> None:
    config, name = cloud.config([cloud.variant("v", cloud.model(LATE))]), unique("created")
    cloud.endpoints.append(name)
    calls = watch(hook.sagemaker)
    hook.create_endpoint(name, config, {"k": "v"})
    # Under way, then done: both are ours already.
    hook.create_endpoint(name, config, {"k": "v"})
    described = cloud.settled(name)
    hook.create_endpoint(name, config, {"k": "v"})
    assert calls.sent.count("CreateEndpoint") == 1
    assert described["EndpointConfigName"] == config
    assert hook.tags(described["EndpointArn"]) == {"k": "v"}


def test_an_endpoint_whose_create_lost_its_answer_is_taken_up(
    hook: SageMakerShadowHook, watch: Any, cloud: Any, unique: Any
) -> None:
    config, name = cloud.config([cloud.variant("v", cloud.model())]), unique("created")
    cloud.endpoints.append(name)
    calls = watch(hook.sagemaker)
    calls.lose_answer("CreateEndpoint", ConnectionClosedError(endpoint_url="x"))
    hook.create_endpoint(name, config, {})
    assert cloud.settled(name)["EndpointStatus"] == "InService"
    assert calls.sent.count("CreateEndpoint") == 2


def test_an_endpoint_on_another_config_is_not_ours_to_create(hook: SageMakerShadowHook, cloud: Any, live: str) -> None:
    other = cloud.config([cloud.variant("v", cloud.model())])
    active = cloud.describe(live)["EndpointConfigName"]
    with pytest.raises(EndpointChangedError) as caught:
        hook.create_endpoint(live, other, {})
    assert str(caught.value) == f"Endpoint {live} exists already: InService on {active}. Left alone."


def test_a_failed_endpoint_is_said_to_have_failed(hook: SageMakerShadowHook, cloud: Any) -> None:
    config = cloud.config([cloud.variant("v", cloud.model(BROKEN))])
    name = cloud.endpoint(config, wait=False)
    cloud.settled(name)
    with pytest.raises(EndpointFailedError, match=r"failed: Failed on .* did not pass the ping health check"):
        hook.create_endpoint(name, config, {})
    with pytest.raises(EndpointFailedError, match="cannot be updated: Failed on"):
        hook.update_endpoint(name, cloud.config([cloud.variant("v", cloud.model())]), expected=frozenset({config}))


def test_a_config_that_is_not_visible_yet_is_waited_for(
    hook: SageMakerShadowHook, cloud: Any, unique: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, name = cloud.config([cloud.variant("v", cloud.model())]), unique("created")
    cloud.endpoints.append(name)
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/{config}"
    unseen = ClientError(
        {"Error": {"Code": "ValidationException", "Message": f'Could not find endpoint configuration "{arn}".'}},
        "CreateEndpoint",
    )
    real, errors = hook.sagemaker.create_endpoint, [unseen, unseen]

    def eventually(**arguments: Any) -> Any:
        if errors:
            raise errors.pop()
        return real(**arguments)

    monkeypatch.setattr(hook.sagemaker, "create_endpoint", eventually)
    hook.create_endpoint(name, config, {})
    assert cloud.settled(name)["EndpointConfigName"] == config


class TestUpdate:
    """Compare-and-set."""

    @pytest.fixture(autouse=True)
    def endpoint(self, cloud: Any, hook: SageMakerShadowHook, watch: Any) -> None:
        self.cloud, self.hook = cloud, hook
        self.old = cloud.config([cloud.variant("v", cloud.model())])
        self.name = cloud.endpoint(self.old)
        self.calls = watch(hook.sagemaker)

    def config(self, source: str | None = None, **changes: Any) -> str:
        model = self.cloud.model(source) if source else self.cloud.model()
        return str(self.cloud.config([self.cloud.variant("v", model, **changes)]))

    def update(self, new: str, *expected: str, **options: Any) -> None:
        self.hook.update_endpoint(self.name, new, expected=frozenset(expected), **options)

    @property
    def updates(self) -> int:
        return int(self.calls.sent.count("UpdateEndpoint"))

    def test_it_changes_what_is_expected_and_nothing_twice(self) -> None:
        new = self.config(LATE)
        self.update(new, self.old)
        # Under way to ours: left to it.
        self.update(new, self.old)
        assert self.cloud.describe(self.name)["EndpointStatus"] == "Updating"
        assert self.cloud.settled(self.name)["EndpointConfigName"] == new
        # There already: nothing is done, whatever was expected.
        self.update(new, "anything")
        assert self.updates == 1

    def test_a_foreign_config_stops_us(self) -> None:
        new = self.config()
        with pytest.raises(EndpointChangedError) as caught:
            self.update(new, "expected-b", "expected-a")
        assert str(caught.value) == (
            f"Endpoint {self.name} is InService on {self.old}, where this deployment expects expected-a or expected-b: "
            "somebody else changed it. Left alone."
        )
        assert self.updates == 0

    def test_somebody_elses_change_under_way_is_busy_and_may_pass(self) -> None:
        new, theirs = self.config(), self.config(LATE)
        self.cloud.sagemaker.update_endpoint(EndpointName=self.name, EndpointConfigName=theirs)
        with pytest.raises(EndpointBusyError, match=f"is busy: Updating on {self.old}, changing to {theirs}") as caught:
            self.update(new, self.old)
        assert isinstance(caught.value, MayPassError)
        assert self.updates == 0
        self.cloud.settled(self.name)

    def test_somebody_elses_change_between_our_look_and_our_update_is_busy(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        new, theirs, real = self.config(), self.config(LATE), self.hook.sagemaker.update_endpoint

        def too_late(**arguments: Any) -> Any:
            self.cloud.sagemaker.update_endpoint(EndpointName=self.name, EndpointConfigName=theirs)
            return real(**arguments)

        monkeypatch.setattr(self.hook.sagemaker, "update_endpoint", too_late)
        with pytest.raises(EndpointBusyError, match=f"changing to {theirs}"):
            self.update(new, self.old)
        assert self.cloud.settled(self.name)["EndpointConfigName"] == theirs

    def test_an_update_whose_answer_was_lost_is_ours(self) -> None:
        new = self.config(LATE)
        self.calls.lose_answer("UpdateEndpoint", ConnectionClosedError(endpoint_url="x"))
        self.update(new, self.old)
        assert self.updates == 2  # the second one was refused as in progress, by our own first
        assert self.cloud.settled(self.name)["EndpointConfigName"] == new

    def test_a_creation_of_ours_that_aws_tells_only_by_its_active_config_is_left_to_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        described = self.cloud.describe(self.name) | {"EndpointStatus": "Creating"}
        monkeypatch.setattr(self.hook.sagemaker, "describe_endpoint", lambda **_: described)
        self.update(self.old, "baseline")
        with pytest.raises(EndpointBusyError):
            self.update(self.config(), self.old)
        assert self.updates == 0

    def test_an_endpoint_that_is_gone_is_not_updated(self) -> None:
        with pytest.raises(EndpointChangedError, match="does not exist"):
            self.hook.update_endpoint("no-such", self.old, expected=frozenset({self.old}))

    def test_a_config_that_never_appears_is_given_up_in_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sagemaker_shadow, "_RETRY_SECONDS", 0.2)
        with pytest.raises(ClientError, match="Could not find endpoint configuration"):
            self.update("never-made", self.old)
        assert 2 < self.updates < 15
        assert self.cloud.settled(self.name)["EndpointConfigName"] == self.old

    @pytest.mark.parametrize(("keep", "count"), [(False, 1), (True, 2)])
    def test_instance_counts_are_kept_when_asked_and_weights_never(self, keep: bool, count: int) -> None:
        scaled = self.config(InitialInstanceCount=2, InitialVariantWeight=0.5)
        self.update(scaled, self.old)
        self.cloud.settled(self.name)
        self.update(self.old, scaled, keep_instance_counts=keep)
        (variant,) = self.cloud.settled(self.name)["ProductionVariants"]
        assert (variant["DesiredInstanceCount"], variant["DesiredWeight"]) == (count, 1.0)


# -- deleting ---------------------------------------------------------------------------------------------------------


def test_what_is_gone_is_deleted_already(hook: SageMakerShadowHook) -> None:
    hook.delete_model("no-such")
    hook.delete_endpoint_config("no-such")
    hook.delete_endpoint("no-such")


def test_deleting_deletes(hook: SageMakerShadowHook, cloud: Any, live: str, wait_until: Any) -> None:
    config = hook.endpoint_config(cloud.describe(live)["EndpointConfigName"])
    assert config is not None
    model = config["ProductionVariants"][0]["ModelName"]
    hook.delete_endpoint(live)
    wait_until(lambda: hook.endpoint_state(live) is None)
    hook.delete_endpoint_config(config["EndpointConfigName"])
    hook.delete_model(model)
    assert hook.endpoint_config(config["EndpointConfigName"]) is None
    assert hook.model(model) is None


def test_a_delete_that_is_refused_is_no_success(hook: SageMakerShadowHook, cloud: Any) -> None:
    name = cloud.endpoint(cloud.config([cloud.variant("v", cloud.model(LATE))]), wait=False)
    with pytest.raises(ClientError, match="in-progress"):
        hook.delete_endpoint(name)
    cloud.settled(name)


# -- documents --------------------------------------------------------------------------------------------------------


def test_a_document_is_written_once(hook: SageMakerShadowHook, cloud: Any, unique: Any) -> None:
    uri = f"s3://{cloud.bucket}/records/{unique('record')}.json"
    assert hook.read_document(uri) is None
    assert hook.write_document_once(uri, b"first", content_type="application/json") == b"first"
    assert hook.write_document_once(uri, b"second", content_type="application/json") == b"first"
    assert hook.read_document(uri) == b"first"
    key = uri.partition(f"{cloud.bucket}/")[2]
    assert cloud.s3.head_object(Bucket=cloud.bucket, Key=key)["ContentType"] == "application/json"


def test_of_many_writers_one_wins_and_all_see_it(hook: SageMakerShadowHook, cloud: Any, unique: Any) -> None:
    uri = f"s3://{cloud.bucket}/records/{unique('record')}.json"
    _ = hook.s3  # made before the threads start
    bodies = [str(number).encode() for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        seen = set(pool.map(lambda body: hook.write_document_once(uri, body, content_type="text/plain"), bodies))
    assert seen == {hook.read_document(uri)}


def test_a_conflicting_write_that_wrote_nothing_is_repeated(
    hook: SageMakerShadowHook, watch: Any, cloud: Any, unique: Any
) -> None:
    uri = f"s3://{cloud.bucket}/records/{unique('record')}.json"
    calls = watch(hook.s3)
    calls.fail("PutObject", (409, "ConditionalRequestConflict"))
    assert hook.write_document_once(uri, b"mine", content_type="text/plain") == b"mine"
    assert hook.read_document(uri) == b"mine"
    assert calls.sent.count("PutObject") == 2


def test_a_write_that_was_refused_and_cannot_be_read_is_an_error(
    hook: SageMakerShadowHook, watch: Any, cloud: Any, unique: Any
) -> None:
    # It existed, and is gone: to say that ours stands there would be wrong.
    calls = watch(hook.s3)
    calls.fail("PutObject", (412, "PreconditionFailed"))
    with pytest.raises(ClientError, match="PreconditionFailed"):
        hook.write_document_once(f"s3://{cloud.bucket}/records/{unique('r')}", b"mine", content_type="text/plain")


def test_a_bucket_that_is_not_there_is_an_error(hook: SageMakerShadowHook) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        hook.read_document("s3://no-such-bucket-here/x")


# -- repeating --------------------------------------------------------------------------------------------------------

FAULTS = [
    (400, "ThrottlingException"),
    (429, "TooManyRequestsException"),
    (500, "InternalFailure"),
    (503, "ServiceUnavailable"),
    (502, "SomethingNew"),
    EndpointConnectionError(endpoint_url="x"),
    ConnectionClosedError(endpoint_url="x"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_what_may_pass_is_repeated(hook: SageMakerShadowHook, watch: Any, cloud: Any, fault: Any) -> None:
    model = cloud.model()
    calls = watch(hook.sagemaker)
    calls.fail("DescribeModel", fault, fault)
    assert hook.model(model) is not None
    assert calls.sent.count("DescribeModel") == 3


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException", "ResourceLimitExceeded"])
def test_what_will_not_pass_is_not_repeated(hook: SageMakerShadowHook, watch: Any, code: str) -> None:
    calls = watch(hook.sagemaker)
    calls.fail("DescribeModel", (400, code), (400, code))
    with pytest.raises(ClientError, match=code):
        hook.model("any")
    assert calls.sent == ["DescribeModel"]


def test_repeating_is_bounded_and_ends_with_awss_error(
    hook: SageMakerShadowHook, watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sagemaker_shadow, "_RETRY_SECONDS", 0.1)
    calls = watch(hook.sagemaker)
    calls.fail("DescribeModel", *[(400, "ThrottlingException")] * 100)
    with pytest.raises(ClientError, match="ThrottlingException"):
        hook.model("any")
    assert 2 <= len(calls.sent) < 20


def test_tags_are_read_again_from_the_first_page(hook: SageMakerShadowHook, watch: Any, cloud: Any) -> None:
    model = cloud.model()
    arn = cloud.sagemaker.describe_model(ModelName=model)["ModelArn"]
    cloud.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "k", "Value": "v"}])
    calls = watch(hook.sagemaker)
    calls.fail("ListTags", (400, "ThrottlingException"))
    assert hook.tags(arn) == {"k": "v"}


def test_a_document_whose_body_was_cut_off_is_read_again(
    hook: SageMakerShadowHook, cloud: Any, unique: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"s3://{cloud.bucket}/records/{unique('record')}.json"
    hook.write_document_once(uri, b"whole", content_type="text/plain")
    real, cut = hook.s3.get_object, [True]

    class CutOff:
        def read(self) -> bytes:
            raise ConnectionClosedError(endpoint_url="x")

    def get(**arguments: Any) -> Any:
        return {"Body": CutOff()} if cut and cut.pop() else real(**arguments)

    monkeypatch.setattr(hook.s3, "get_object", get)
    assert hook.read_document(uri) == b"whole"


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), PlanError("x")])
def test_our_own_errors_are_not_transient(error: Exception) -> None:
    assert not aws_errors.is_transient(error)


# -- connections ------------------------------------------------------------------------------------------------------


@pytest.fixture
def api_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's own answer in a task: beyond the environment, there are no connections."""

    class Supervisor:
        def send(self, message: Any) -> ErrorResponse:
            return ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND, detail={"conn_id": message.conn_id})

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(), raising=False)


@pytest.mark.usefixtures("api_server")
def test_an_unknown_connection_is_refused() -> None:
    with pytest.raises(PlanError) as caught:
        _ = SageMakerShadowHook(aws_conn_id="no_such_connection").sagemaker
    assert str(caught.value) == (
        "aws_conn_id='no_such_connection': Airflow has no such connection. Create it, or give None to use the "
        "credentials of the machine on purpose."
    )


def test_none_takes_the_machines_own_credentials(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT")
    hook = SageMakerShadowHook(aws_conn_id=None)
    assert hook.endpoint_state("no-such") is None
    assert hook.sagemaker.meta.endpoint_url == local_aws.endpoint_url


def test_the_connection_alone_leads_to_its_endpoint(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    hook = SageMakerShadowHook(aws_conn_id="aws_default")
    for client in (hook.sagemaker, hook.s3, hook.cloudwatch):
        assert client.meta.endpoint_url == local_aws.endpoint_url
        assert client.meta.region_name == local_aws.address.region
    assert hook.endpoint_state("no-such") is None


def test_region_and_config_reach_every_client() -> None:
    hook = SageMakerShadowHook(aws_conn_id="aws_default", region_name="eu-west-1", config={"read_timeout": 7})
    for client in (hook.sagemaker, hook.s3, hook.cloudwatch):
        assert client.meta.region_name == "eu-west-1"
        assert client.meta.config.read_timeout == 7


# -- the shared hook --------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def nothing_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "_hooks", {})


def shared_of(**changes: Any) -> SageMakerShadowHook:
    arguments = {"aws_conn_id": "aws_default", "region_name": None, "verify": None, "botocore_config": None}
    return shared_hook(**{**arguments, **changes})


def test_many_threads_share_one_client() -> None:
    barrier = threading.Barrier(8)

    def take(_: int) -> Any:
        barrier.wait()
        return shared_of().sagemaker

    with ThreadPoolExecutor(8) as pool:
        assert len({id(client) for client in pool.map(take, range(8))}) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"aws_conn_id": None},
        {"region_name": "eu-west-1"},
        {"verify": False},
        {"botocore_config": {"read_timeout": 7}},
    ],
    ids=str,
)
def test_other_arguments_are_another_client(changes: dict[str, Any]) -> None:
    assert shared_of() is not shared_of(**changes)
    assert shared_of(**changes) is shared_of(**changes)


def test_a_shared_hook_expires_so_that_rotated_credentials_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("shadow_provider.hooks.shared.time.monotonic", lambda: now[0])
    first = shared_of()
    now[0] += shared._LIFETIME_SECONDS - 1
    assert shared_of() is first
    now[0] += 2
    assert shared_of() is not first


@pytest.mark.usefixtures("api_server")
def test_an_unknown_connection_is_not_remembered(monkeypatch: pytest.MonkeyPatch, local_aws: Any) -> None:
    with pytest.raises(PlanError, match="no such connection"):
        shared_of(aws_conn_id="made_later")
    monkeypatch.setenv("AIRFLOW_CONN_MADE_LATER", local_aws.address.connection_uri)
    assert shared_of(aws_conn_id="made_later").endpoint_state("no-such") is None
