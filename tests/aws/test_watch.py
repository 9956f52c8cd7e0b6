"""The watch over the new production against a local AWS that publishes its metrics every second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.local import LocalAWS, LocalSettings
from shadow_provider.operators.watch import SageMakerShadowWatchOperator
from shadow_provider.plan import new_production
from shadow_provider.plan.serving_figures import LEAST_BLOCKS
from tests.aws.conftest import Cloud, cloud_of, poll, traffic
from tests.aws.test_operators import BOTH_WAYS, Flow, go_live, impatient_hook, on_worker

# Fails and dawdles only as production: as a shadow it is as good as the incumbent.
LATE_TROUBLE = """
import os, time
TROUBLE = "/tmp/{name}"
def model_fn(d): pass
def transform_fn(m, b, c, a):
    if os.path.exists(TROUBLE):
        {trouble}
    return b, c
"""
# Answers in what is accepted, and JSON by itself; one who does not say for whom is refused.
FOR_CALLERS = """
def model_fn(d): pass
def transform_fn(m, b, c, a, context):
    if context.get_request_header("x-amzn-sagemaker-custom-attributes") != "tenant=a,tier=gold":
        raise ValueError("no tenant")
    return ("1,2", a) if a == "text/csv" else ("{}", "application/json")
"""
POLICY = {
    "block_seconds": 1,
    "gates": [
        {"metric": "invocation_error_rate", "margin": 0.05},
        {"metric": "model_latency", "percentile": "p50", "margin": 5.0},
    ],
}
QUIET = {"watch_minutes": 0, "smoke_test": "off"}


@pytest.fixture(scope="module")
def seconds_aws() -> Iterator[LocalAWS]:
    settings = LocalSettings(seed=11, metric_resolution=1, capture_flush_seconds=0.3, startup_timeout=15)
    with LocalAWS(settings) as running:
        yield running


@pytest.fixture(scope="module")
def cloud(seconds_aws: LocalAWS, unique: Callable[[str], str]) -> Cloud:
    return cloud_of(seconds_aws, unique)


@pytest.fixture(scope="module", autouse=True)
def machine(seconds_aws: LocalAWS) -> Iterator[None]:
    with on_worker(seconds_aws):
        yield


@pytest.fixture(scope="module")
def hook(machine: None) -> SageMakerShadowHook:
    return impatient_hook()


@pytest.fixture
def live(cloud: Cloud, hook: SageMakerShadowHook, unique: Callable[[str], str]) -> Iterator[Flow]:
    flow = Flow(cloud, hook, unique("watched"))
    flow.incumbent = cloud.model()
    yield go_live(flow)
    flow.changes.end()
    if cloud.settled(flow.endpoint_name):
        cloud.sagemaker.delete_endpoint(EndpointName=flow.endpoint_name)


def watch(flow: Flow, **arguments: Any) -> Any:
    given = {"policy": POLICY, "watch_minutes": 0.1, "metric_lag": 0.5, "deferrable": flow.deferrable, **arguments}
    return flow.run(SageMakerShadowWatchOperator, **given)


def after_a_shadow(flow: Flow, seen: list[Any], source: str | None = None) -> None:
    """Promote when there were seconds enough with traffic for a limit of latency."""
    flow.to_shadow(source)
    begun = time.monotonic()
    poll(lambda: len(seen) > 200 and time.monotonic() - begun > LEAST_BLOCKS + 3, 60)
    flow.promote()


@BOTH_WAYS
def test_a_good_promotion_is_verified_asked_and_watched(live: Flow, deferrable: bool) -> None:
    with traffic(live.cloud, live.endpoint_name) as seen:
        after_a_shadow(live, seen)
        live.deferrable, live.deferrals = deferrable, 0
        found = watch(live, smoke_test="required")
    smoke = found.pop("smoke")
    assert found == {
        "promoted": True,
        "endpoint_config_name": live.names.promoted_config,
        "model_name": live.names.candidate_model,
        "watched_minutes": pytest.approx(0.1),
        "notes": [],
    }
    assert f"/{live.endpoint_name}/Prod/" in f"/{smoke.pop('request')}"
    assert smoke == {"sent": True, "media_type": "text/csv", "bytes": 4}
    assert (live.deferrals >= 2) is deferrable


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ('raise RuntimeError("no")', "invocation_error_rate: "),
        ("time.sleep(0.3)", "model_latency.p50: "),
    ],
    ids=["errors", "latency"],
)
def test_a_production_that_becomes_worse_fails_the_task_and_the_rollback_brings_the_baseline_back(
    live: Flow, tmp_path: Any, trouble: str, said: str
) -> None:
    switch = tmp_path / "trouble"
    source = LATE_TROUBLE.format(name="x", trouble=trouble).replace('"/tmp/x"', repr(str(switch)))
    with traffic(live.cloud, live.endpoint_name) as seen:
        after_a_shadow(live, seen, source)
        switch.touch()
        with pytest.raises(AirflowFailException, match="did not pass the watch since its promotion") as raised:
            watch(live, smoke_test="off")
        assert said in str(raised.value)
        assert live.rollback(unless_promoted=None)["changed"] is True
    assert live.now == ("InService", live.baseline)


def test_a_production_that_does_not_answer_a_captured_request_fails_at_once(live: Flow, tmp_path: Any) -> None:
    switch = tmp_path / "trouble"
    trouble = 'raise RuntimeError("a secret")'
    source = LATE_TROUBLE.format(name="x", trouble=trouble).replace('"/tmp/x"', repr(str(switch)))
    with traffic(live.cloud, live.endpoint_name) as seen:
        after_a_shadow(live, seen, source)
    switch.touch()
    with pytest.raises(AirflowFailException, match="was not answered: ModelError, the model answered with status 500"):
        watch(live)
    assert live.now == ("InService", live.names.promoted_config)


def test_an_answer_of_another_media_type_fails(live: Flow, tmp_path: Any) -> None:
    switch = tmp_path / "trouble"
    source = LATE_TROUBLE.format(name="x", trouble='return "{}", "application/json"')
    with traffic(live.cloud, live.endpoint_name) as seen:
        after_a_shadow(live, seen, source.replace('"/tmp/x"', repr(str(switch))))
    switch.touch()
    with pytest.raises(AirflowFailException, match="answered with text/csv before and is answered with 'application/"):
        watch(live)


def test_the_captured_request_is_sent_as_its_caller_sent_it(
    cloud: Cloud, hook: SageMakerShadowHook, unique: Callable[[str], str]
) -> None:
    flow = Flow(cloud, hook, unique("callers"))
    flow.incumbent = cloud.model(FOR_CALLERS)
    go_live(flow)
    with traffic(cloud, flow.endpoint_name, Accept="text/csv", CustomAttributes="tenant=a,tier=gold") as seen:
        flow.to_shadow(FOR_CALLERS)
        poll(lambda: len(seen) > 20)
        flow.promote()
    found = watch(flow, smoke_test="required", watch_minutes=0)
    assert found["smoke"]["media_type"] == "text/csv"
    assert set(seen) == {b"1,2"}
    flow.changes.end()
    cloud.delete(flow.endpoint_name)


def test_traffic_before_and_none_after_is_no_pass(live: Flow) -> None:
    with traffic(live.cloud, live.endpoint_name) as seen:
        after_a_shadow(live, seen)
    with pytest.raises(AirflowFailException, match="counts no request since the promotion"):
        watch(live)


def test_without_traffic_and_captures_that_is_said_or_refused(live: Flow) -> None:
    live.to_shadow()
    live.promote()
    found = watch(live)
    assert found["promoted"] is True
    assert found["watched_minutes"] == 0
    assert found["smoke"]["sent"] is False
    assert "there is no captured request" in found["smoke"]["why"]
    assert "there is nothing to compare with" in found["notes"][0]
    with pytest.raises(AirflowFailException, match="smoke_test='required', but there is no captured request"):
        watch(live, smoke_test="required")


def test_what_is_switched_off_is_not_done_and_said(live: Flow) -> None:
    live.to_shadow()
    live.promote()
    calls: list[Any] = []
    live.hook.cloudwatch.meta.events.register("before-call.cloudwatch.*", lambda **_: calls.append(1), "watch")
    found = watch(live, **QUIET)
    live.hook.cloudwatch.meta.events.unregister("before-call.cloudwatch.*", unique_id="watch")
    assert (found["smoke"], found["watched_minutes"]) == ({"sent": False, "why": "smoke_test='off'"}, 0)
    assert "was not watched" in found["notes"][0]
    assert calls == []


def test_an_endpoint_that_is_not_on_the_promoted_config_is_not_verified(live: Flow) -> None:
    live.to_shadow()
    with pytest.raises(AirflowFailException, match=f"should serve the promoted config {live.names.promoted_config}"):
        watch(live, **QUIET)
    live.promote()
    assert watch(live, **QUIET)["promoted"] is True
    live.change_by_hand()
    with pytest.raises(AirflowFailException, match="should serve the promoted config"):
        watch(live, **QUIET)


def test_another_image_than_the_models_is_not_verified(live: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    live.to_shadow()
    live.promote()
    describe = live.hook.model
    monkeypatch.setattr(
        live.hook, "model", lambda name: {**(describe(name) or {}), "Containers": [{"Image": "other:1"}]}
    )
    assert new_production.images_of(live.hook.model(live.names.candidate_model) or {}) == ("other:1",)
    with pytest.raises(AirflowFailException, match="where the model has other:1"):
        watch(live, **QUIET)
