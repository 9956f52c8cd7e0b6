"""The evaluation's task against the local AWS: looks, deferrals and kills, until one decision stands in S3.

Captures and metrics are put where SageMaker puts them, for the hour after the shadow config was made, and the task's
clock is set; everything else is real: a fresh operator after each deferral has nothing but AWS.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from airflow.providers.standard.triggers.temporal import DateTimeTrigger

from shadow_provider.evidence.engine.database import LEAST_MEMORY_MB
from shadow_provider.evidence.window import rounded_up
from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.links.report import SageMakerShadowReportLink
from shadow_provider.local import LocalAWS
from shadow_provider.operators import evaluate
from shadow_provider.operators.evaluate import SageMakerShadowEvaluateOperator
from shadow_provider.plan.endpoint_state import EndpointState
from shadow_provider.plan.errors import PlanError
from shadow_provider.policy.reading import read_policy
from shadow_provider.verdict.record import DecisionRecord
from tests.aws.conftest import BUCKET, Cloud
from tests.aws.test_block_metrics import put, request_metrics
from tests.aws.test_operators import Flow, Killed, TaskInstance, go_live, hook, machine  # noqa: F401 - fixtures

MINUTE = timedelta(minutes=1)
A_MINUTE = 20
MINUTES = 60
LAG = 60.0
LOOK_INTERVAL = 600.0
POLICY: dict[str, Any] = {
    "gates": [
        {"metric": "agreement", "minimum": 0.8},
        {"metric": "paired_error_rate", "margin": 0.1},
        {"metric": "model_latency", "percentile": "p50", "margin": 0.5, "report_only": True},
    ],
    "minimum_pairs": 300,
    "deadline_hours": 4,
    "look_interval_seconds": LOOK_INTERVAL,
}


@dataclass
class Shadowed:
    """A deployment that runs its shadow, with traffic that was seen in its first hour."""

    flow: Flow
    since: datetime

    @property
    def start(self) -> datetime:
        """Of the first block."""
        return rounded_up(self.since, 60)

    def saw(self, minutes: int, *, first: int = 0, agreeing: float = 1.0, mirrored: float = 1.0) -> None:
        """Put captures and metrics of so many minutes."""
        cloud, endpoint = self.flow.cloud, self.flow.endpoint_name
        for variant in ("Prod", "Shadow"):
            shadow = variant == "Shadow"
            objects: dict[str, list[str]] = {}
            for minute in range(first, first + minutes):
                at = self.start + minute * MINUTE
                there = [number for number in range(A_MINUTE) if not shadow or number < mirrored * A_MINUTE]
                key = f"live/{endpoint}/{variant}/{at:%Y/%m/%d/%H}/{minute // 10:02}.jsonl"
                objects.setdefault(key, []).extend(
                    _line(f"{minute}-{number}", at, "0" if not shadow or number < agreeing * A_MINUTE else "1")
                    for number in there
                )
                put(cloud, endpoint, variant, at, request_metrics([2000.0 + n for n in there], 0))
            for key, lines in objects.items():
                cloud.s3.put_object(Bucket=cloud.bucket, Key=key, Body="".join(lines).encode())


def _line(inference_id: str, moment: datetime, answer: str) -> str:
    data = {"observedContentType": "text/csv", "encoding": "CSV"}
    return json.dumps(
        {
            "captureData": {
                "endpointInput": {**data, "mode": "INPUT", "data": "1,2"},
                "endpointOutput": {**data, "mode": "OUTPUT", "data": answer},
            },
            "eventMetadata": {
                "eventId": f"event-{inference_id}",
                "inferenceId": inference_id,
                "inferenceTime": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
            },
            "eventVersion": "0",
        }
    ) + "\n"  # fmt: skip


@pytest.fixture(scope="module")
def shadowed(
    hook: SageMakerShadowHook,  # noqa: F811
    aws: Callable[[str], Any],
    make_model_archive: Any,
    unique: Callable[[str], str],
) -> Iterator[Callable[..., Shadowed]]:
    """Deployments by their traffic, each made once: where a decision stands is every test's own."""
    cloud = Cloud(aws, make_model_archive, unique)
    made: dict[tuple[int, float, float], Shadowed] = {}

    def make(minutes: int = MINUTES, *, agreeing: float = 1.0, mirrored: float = 1.0) -> Shadowed:
        key = (minutes, agreeing, mirrored)
        if key not in made:
            made[key] = deployed(cloud, hook, unique("flow"))
            made[key].saw(minutes, agreeing=agreeing, mirrored=mirrored)
        return made[key]

    yield make
    for each in made.values():
        each.flow.changes.end()
    for name in cloud.endpoints:
        cloud.delete(name)


def deployed(cloud: Cloud, hook: SageMakerShadowHook, name: str) -> Shadowed:  # noqa: F811
    flow = Flow(cloud, hook, name)
    flow.incumbent = cloud.model()
    cloud.endpoints.append(name)
    go_live(flow).to_shadow()
    return Shadowed(flow, hook.shadow_run(flow.deployment).since)


@pytest.fixture
def own(cloud: Any, hook: SageMakerShadowHook, unique: Callable[[str], str]) -> Iterator[Callable[[], Shadowed]]:  # noqa: F811
    """Deployments of one test alone, without traffic."""
    made: list[Shadowed] = []

    def make() -> Shadowed:
        made.append(deployed(cloud, hook, unique("flow")))
        return made[-1]

    yield make
    for each in made:
        each.flow.changes.end()


class Task:
    """The evaluation's task: run as Airflow runs it, at times that are given."""

    def __init__(self, deployment: Shadowed, place: str, clock: Clock, **arguments: Any) -> None:
        self.deployment, self.clock = deployment, clock
        self.bucket = deployment.flow.cloud.bucket
        self.prefix = place
        self.arguments: dict[str, Any] = {
            "policy": POLICY,
            "record_s3_uri": f"s3://{self.bucket}/{place}",
            "capture_lag": LAG,
            "deferrable": True,
            **arguments,
        }
        self.ti = TaskInstance()
        self.deferred: list[TaskDeferred] = []

    def operator(self, **arguments: Any) -> SageMakerShadowEvaluateOperator:
        made = self.deployment.flow.operator(SageMakerShadowEvaluateOperator, **self.arguments | arguments)
        assert isinstance(made, SageMakerShadowEvaluateOperator)
        return made

    def run(self, minute: float | None = None) -> Any:
        """One try, from the start or from where it deferred, by a fresh operator; None if it defers."""
        if minute is not None:
            self.clock.set(self.deployment.start + minute * MINUTE)
        context: Any = {"ti": self.ti}
        operator = self.operator()
        try:
            if not self.deferred:
                return operator.execute(context)
            resume = getattr(operator, self.deferred[-1].method_name)
            return resume(context, event=self.clock().isoformat())
        except TaskDeferred as deferred:
            self.deferred.append(deferred)
            return None

    def to_end(self) -> tuple[Any, float]:
        """Run from the first minute, waking up whenever the trigger fires; what is returned, and at which minute."""
        found = self.run(1)
        while found is None:
            trigger = self.deferred[-1].trigger
            assert isinstance(trigger, DateTimeTrigger)
            _, arguments = trigger.serialize()
            self.clock.set(DateTimeTrigger(**arguments).moment)
            found = self.run()
        return found, (self.clock() - self.deployment.start) / MINUTE

    @property
    def written(self) -> dict[str, bytes]:
        """Objects beside the record, by the end of their key; the engine's own left out."""
        found = self.deployment.flow.cloud.objects(f"{self.prefix}/")
        return {key.rpartition(".")[2]: body for key, body in found.items() if "-looks/" not in key}

    @property
    def record(self) -> DecisionRecord:
        return DecisionRecord.model_validate_json(self.written["json"])


class Clock:
    """The time that the task believes it is."""

    def __init__(self) -> None:
        self.moment: datetime | None = None

    def set(self, moment: datetime) -> None:
        # Airflow's own datetimes are not what a clock gives.
        self.moment = datetime.fromtimestamp(moment.timestamp(), UTC)

    def __call__(self) -> datetime:
        assert self.moment is not None
        return self.moment


@pytest.fixture
def task(
    shadowed: Callable[..., Shadowed], unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Task]:
    clock = Clock()
    monkeypatch.setattr(evaluate, "now", clock)

    def make(deployment: Shadowed | None = None, **arguments: Any) -> Task:
        return Task(deployment or shadowed(), unique("records"), clock, **arguments)

    return make


# -- verdicts ---------------------------------------------------------------------------------------------------------


def test_a_candidate_that_fails_is_rejected_long_before_the_deadline(task: Any, shadowed: Any) -> None:
    bad = task(shadowed(agreeing=0.5))
    found, minute = bad.to_end()
    assert found["verdict"] == "REJECT"
    assert "agreement" in found["reason"]
    assert minute <= 45
    assert bad.record.judgement.verdict == "REJECT"


def test_a_candidate_that_is_proven_is_promoted_before_the_deadline(task: Any) -> None:
    good = task()
    found, minute = good.to_end()
    assert found["verdict"] == "PROMOTE"
    assert minute < MINUTES
    assert [look.verdict for look in good.record.looks][-1] == "PROMOTE"
    assert {look.verdict for look in good.record.looks[:-1]} == {"CONTINUE"}
    assert len(good.record.looks) == len(good.deferred)


def test_at_the_deadline_what_is_not_proven_is_inconclusive(task: Any, shadowed: Any) -> None:
    few = task(shadowed(3), deadline=timedelta(minutes=25))
    found, minute = few.to_end()
    deadline = (few.deployment.since - few.deployment.start) / MINUTE + 25
    assert (found["verdict"], minute) == ("INCONCLUSIVE", pytest.approx(deadline))
    assert found["pairs"] == 3 * A_MINUTE
    assert few.record.final
    assert few.record.policy.deadline_hours == pytest.approx(25 / 60)


def test_a_mirror_that_loses_requests_makes_the_evidence_invalid(task: Any, shadowed: Any) -> None:
    found, minute = task(shadowed(mirrored=0.5)).to_end()
    assert found["verdict"] == "INVALID"
    assert "requests were mirrored" in found["reason"]
    assert minute < MINUTES


def test_without_any_traffic_nothing_is_decided_before_the_deadline(task: Any, shadowed: Any) -> None:
    silent = task(shadowed(0), deadline=1200)
    found, _ = silent.to_end()
    assert (found["verdict"], found["pairs"]) == ("INCONCLUSIVE", 0)
    assert "no capture could be joined" in found["reason"]
    assert silent.record.judged_again().canonical_bytes() == silent.written["json"]


# -- between looks ----------------------------------------------------------------------------------------------------


def test_the_next_look_is_an_interval_away_and_never_after_the_deadline(task: Any, shadowed: Any) -> None:
    few = task(shadowed(3), deadline=timedelta(minutes=25))
    few.to_end()
    first, *_, last = (each.trigger.moment for each in few.deferred)
    assert first == few.deployment.start + MINUTE + timedelta(seconds=LOOK_INTERVAL)
    assert last == few.deployment.since + timedelta(minutes=25)
    assert {each.method_name for each in few.deferred} == {"execute_complete"}


def captured(deployment: Shadowed) -> set[str]:
    """The keys of all captures; how many there are depends on where the hour begins."""
    flow = deployment.flow
    pages = flow.cloud.s3.get_paginator("list_objects_v2").paginate(
        Bucket=flow.cloud.bucket, Prefix=f"live/{flow.endpoint_name}/"
    )
    return {item["Key"] for page in pages for item in page.get("Contents", ()) if item["Key"].endswith(".jsonl")}


def test_a_look_resumes_on_another_machine_with_nothing_but_s3(
    task: Any, own: Callable[[], Shadowed], local_aws: LocalAWS, monkeypatch: Any
) -> None:
    deployment = own()
    deployment.saw(10)
    good = task(deployment)
    assert good.run(11) is None
    before = captured(deployment)
    deployment.saw(20, first=10)
    new = captured(deployment) - before
    # A hook of its own, as a worker makes it.
    monkeypatch.setattr(deployment.flow, "hook", SageMakerShadowHook(aws_conn_id=None))
    calls = local_aws.calls()
    assert good.run(31)["verdict"] == "PROMOTE"
    # What the first look read is not read again.
    read = {name for call in local_aws.calls("GetObject", since=calls[-1].sequence) for name in call.resources}
    names = {key: f"{BUCKET}/{key}" for key in before | new}
    assert {key for key, name in names.items() if name in read} == new
    census = good.record.evidence.captures
    assert census.production.objects + census.shadow.objects == len(before | new)
    assert good.record.evidence.looks == (deployment.start + 10 * MINUTE, deployment.start + 30 * MINUTE)


def test_a_task_that_does_not_defer_sleeps_between_looks(task: Any, shadowed: Any, monkeypatch: Any) -> None:
    few = task(shadowed(3), deadline=timedelta(minutes=25), deferrable=False)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        few.clock.set(few.clock() + timedelta(seconds=seconds))

    monkeypatch.setattr("shadow_provider.operators.evaluate.time.sleep", sleep)
    assert few.run(1)["verdict"] == "INCONCLUSIVE"
    assert slept[:2] == [LOOK_INTERVAL, LOOK_INTERVAL]
    assert 0 < slept[2] < LOOK_INTERVAL
    assert few.deferred == []


def test_a_first_look_before_there_is_a_block_waits(task: Any) -> None:
    """Captures lag: what is looked at may end before the shadow config was made."""
    early = task(capture_lag=1800)
    assert early.run(0) is None
    assert early.written == {}
    assert early.run(70)["verdict"] == "PROMOTE"


def test_the_last_look_is_the_same_however_late_it_is_taken(task: Any, shadowed: Any) -> None:
    deployment = shadowed(agreeing=0.8)
    in_time = task(deployment, deadline=timedelta(minutes=30))
    too_late = task(deployment, deadline=timedelta(minutes=30))
    assert in_time.run(30)["verdict"] == too_late.run(300)["verdict"] == "INCONCLUSIVE"
    assert in_time.written["json"] == too_late.written["json"]


# -- killed, and run again --------------------------------------------------------------------------------------------


class Kill:
    """A kill right after a write to S3 of choice took effect."""

    def __init__(self, client: Any) -> None:
        self.keys: list[str] = []
        self._after: int | None = None
        self._client = client
        client.meta.events.register("after-call.s3.PutObject", self._seen, unique_id="kill")
        client.meta.events.register("before-parameter-build.s3.PutObject", self._named, unique_id="name")

    def after(self, number: int) -> None:
        self.keys.clear()
        self._after = number

    def _named(self, params: dict[str, Any], **_: Any) -> None:
        self.keys.append(params["Key"])

    def _seen(self, **_: Any) -> None:
        if len(self.keys) == self._after:
            self._after = None
            raise Killed

    def end(self) -> None:
        self._client.meta.events.unregister("after-call.s3.PutObject", unique_id="kill")
        self._client.meta.events.unregister("before-parameter-build.s3.PutObject", unique_id="name")


@pytest.fixture
def kill(hook: SageMakerShadowHook) -> Iterator[Kill]:  # noqa: F811
    made = Kill(hook.s3)
    yield made
    made.end()


def test_a_task_killed_after_any_write_and_run_again_ends_the_same(task: Any, shadowed: Any, kill: Kill) -> None:
    deployment = shadowed(agreeing=0.5)
    whole = task(deployment)
    kill.after(0)
    wanted = whole.run(50)
    writes = [key.rpartition("/")[2] for key in kill.keys]
    assert writes[-4].endswith("looks.json")
    assert [key.rpartition(".")[2] for key in writes[-3:]] == ["json", "html", "md"]
    for number in range(1, len(writes) + 1):
        killed = task(deployment)
        kill.after(number)
        with pytest.raises(Killed):
            killed.run(50)
        record = killed.written.get("json")
        # The next try comes later.
        again = killed.run(52)
        if record is None:
            assert again["verdict"] == wanted["verdict"] == "REJECT"
        else:
            assert killed.written["json"] == record == whole.written["json"]
            same = {"verdict", "reason", "pairs", "looks", "gates", "looked_at"}
            assert {name: again[name] for name in same} == {name: wanted[name] for name in same}
        assert set(killed.written) == {"json", "html", "md"}
        assert killed.ti.pushed[SageMakerShadowReportLink.key]


def test_a_task_that_runs_again_returns_the_decision_that_stands(task: Any) -> None:
    good = task()
    first = good.run(50)
    written = good.written
    # Cleared much later, with another policy, when the endpoint has long been promoted: nothing is looked at.
    good.arguments["policy"] = "conservative"
    assert good.run(3000) == first
    assert good.written == written


def test_of_two_runs_at_once_both_return_one_decision(task: Any, monkeypatch: Any) -> None:
    good = task()
    good.clock.set(good.deployment.start + 50 * MINUTE)
    both_looked = threading.Barrier(2, timeout=30)
    look_up = SageMakerShadowEvaluateOperator._decided
    standing: list[Any] = []

    def decided(self: Any, uri: str) -> Any:
        found = look_up(self, uri)
        both_looked.wait()
        standing.append(found)
        return found

    monkeypatch.setattr(SageMakerShadowEvaluateOperator, "_decided", decided)
    # The lags differ, so the two have different evidence.
    operators = [good.operator(capture_lag=lag) for lag in (60.0, 600.0)]
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda each: each.execute({"ti": TaskInstance()}), operators)
    assert standing == [None, None]
    assert one == other
    assert one["looked_at"] == good.record.created_at.isoformat()


# -- what is left -----------------------------------------------------------------------------------------------------


def test_what_is_returned_is_small_json_that_says_what_was_decided(task: Any) -> None:
    good = task()
    found = good.run(50)
    assert json.loads(json.dumps(found)) == found
    assert len(json.dumps(found)) < 4000
    assert set(found) == {"verdict", "reason", "pairs", "looks", "gates", "record_uri", "report_uri", "looked_at"}
    assert found["pairs"] == 49 * A_MINUTE
    assert [gate["name"] for gate in found["gates"]] == ["agreement", "paired_error_rate", "model_latency.p50"]
    assert {gate["state"] for gate in found["gates"]} == {"PASS"}
    assert datetime.fromisoformat(found["looked_at"]) == good.deployment.start + 49 * MINUTE
    client, bucket = good.deployment.flow.cloud.s3, good.bucket
    assert (
        client.get_object(Bucket=bucket, Key=found["record_uri"].removeprefix(f"s3://{bucket}/"))["Body"].read()
        == (good.written["json"])
    )
    report = client.get_object(Bucket=bucket, Key=found["report_uri"].removeprefix(f"s3://{bucket}/"))
    assert report["ContentType"] == "text/html; charset=utf-8"
    assert b"PROMOTE" in report["Body"].read()


def test_the_record_says_what_was_compared_and_is_judged_again_to_the_same_bytes(task: Any) -> None:
    good = task()
    good.run(50)
    record, flow = good.record, good.deployment.flow
    assert (record.incumbent_model, record.candidate_model) == (flow.incumbent, flow.names.candidate_model)
    assert (record.configs.baseline, record.configs.shadow, record.configs.promoted) == (
        flow.baseline, flow.names.shadow_config, flow.names.promoted_config)  # fmt: skip
    assert record.deployment_id == flow.deployment.deployment_id
    assert record.policy == read_policy(POLICY)
    assert record.judged_again().canonical_bytes() == record.canonical_bytes() == good.written["json"]


def test_by_default_the_record_stands_beside_the_captures(task: Any) -> None:
    good = task(record_s3_uri="None")
    flow = good.deployment.flow
    found = good.run(50)
    place = f"s3://{good.bucket}/live/shadow-decisions/{flow.endpoint_name}/{flow.names.shadow_config}-"
    assert found["record_uri"].startswith(place)
    assert found["record_uri"].endswith(f"{good.deployment.since:%Y%m%dT%H%M%SZ}.json")


def test_a_report_that_cannot_be_made_does_not_keep_the_decision_back(
    task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Any) -> bytes:
        raise RuntimeError("no font")

    monkeypatch.setattr("shadow_provider.report.html_report", broken)
    found = task().run(50)
    assert (found["verdict"], found["report_uri"]) == ("PROMOTE", None)


def test_the_report_is_linked_from_the_task(task: Any) -> None:
    good = task()
    found = good.run(50)
    link = next(each for each in good.operator().operator_extra_links if isinstance(each, SageMakerShadowReportLink))
    url = link.format_link(**good.ti.pushed[link.key])
    key = found["report_uri"].removeprefix(f"s3://{good.bucket}/")
    assert url == f"https://console.aws.amazon.com/s3/object/{good.bucket}?region=us-east-1&prefix={key}"


def test_each_look_is_logged_with_pairs_gates_and_what_is_still_needed(task: Any, capsys: Any) -> None:
    good = task()
    assert good.run(12) is None
    look = next(line for line in capsys.readouterr().out.splitlines() if "Look 1," in line)
    assert (
        f"evidence until {(good.deployment.start + 11 * MINUTE).isoformat()}. CONTINUE: {11 * A_MINUTE} pairs" in look
    )
    assert re.search(r"agreement undecided \d+%, paired_error_rate undecided \d+%; about \d+ min to go", look)
    good.run(50)
    decided = capsys.readouterr().out
    assert "Look 2," in decided
    assert "PROMOTE: all 2 deciding gates are proven on 980 pairs" in decided
    assert f"Decision record: s3://{good.bucket}/{good.prefix}" in decided


# -- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "policy",
    [json.dumps(POLICY), "gates: [{metric: agreement, minimum: 0.8}]\nminimum_pairs: 300", "latency_only", "None", ""],
)
def test_arguments_may_come_from_templates(task: Any, policy: str) -> None:
    given = {
        "policy": "{{ params.policy }}",
        "deadline": "{{ params.deadline }}",
        "look_interval": "{{ params.look_interval }}",
        "capture_lag": "{{ params.lag }}",
        "ground_truth_s3_uri": "{{ params.truth }}",
        "record_s3_uri": "{{ params.place }}",
    }
    templated = task(**given)
    rendered = {
        "policy": policy, "deadline": "None", "look_interval": "120", "lag": "60", "truth": "None",
        "place": f"s3://{templated.bucket}/{templated.prefix}",
    }  # fmt: skip
    operator = templated.operator()
    operator.render_template_fields({"params": rendered})
    templated.clock.set(templated.deployment.start + 3 * MINUTE)
    with pytest.raises(TaskDeferred) as caught:
        operator.execute({"ti": templated.ti})
    assert caught.value.trigger.moment == templated.clock() + timedelta(seconds=120)


def test_a_rendered_deadline_takes_the_place_of_the_policys(task: Any, shadowed: Any) -> None:
    few = task(shadowed(3), deadline="{{ params.deadline }}")
    operator = few.operator()
    operator.render_template_fields({"params": {"deadline": "600"}})
    few.clock.set(few.deployment.since + timedelta(seconds=601))
    assert operator.execute({"ti": few.ti})["verdict"] == "INCONCLUSIVE"
    assert few.record.policy.deadline_hours == pytest.approx(1 / 6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"policy": {"gates": []}}, "policy: gates"),
        ({"policy": {**POLICY, "alpha": 3}}, "policy: alpha = 3"),
        ({"policy": "{gates: [{metric: agreement, minimum: 2}]}"}, "policy: gates[0].minimum = 2"),
        ({"policy": "no_such_policy"}, "policy: "),
        ({"policy": POLICY, "deadline": 0}, "deadline=0: must be a duration above zero"),
        ({"policy": POLICY, "look_interval": -1}, "look_interval=-1: must be a duration above zero"),
        ({"policy": POLICY, "look_interval": 1e6}, "policy: look_interval_seconds = 1000000"),
        ({"policy": {**POLICY, "minimum_hours": 2}, "deadline": 3600}, "policy: minimum_hours = 2"),
        ({"capture_lag": 0}, "capture_lag=0: must be a duration above zero"),
        (
            {"policy": POLICY, "deadline": 300},
            "capture_lag=300.0: must leave a block of 60 s before the deadline of 300 s",
        ),
        ({"memory_mb": LEAST_MEMORY_MB - 1}, f"memory_mb=255: must be at least {LEAST_MEMORY_MB}"),
        ({"record_s3_uri": "/tmp"}, "record_s3_uri='/tmp': must be an S3 URI"),
        ({"ground_truth_s3_uri": "s3://"}, "ground_truth_s3_uri='s3://': must be an S3 URI"),
    ],
)
def test_what_is_wrong_is_said_at_parse_with_its_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError) as caught:
        SageMakerShadowEvaluateOperator(task_id="task", endpoint_name="fraud", **arguments)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("policy", "gates: 3", "policy: gates"),
        ("deadline", "soon", "deadline='soon': must be a duration above zero"),
        ("capture_lag", "20000", "capture_lag='20000': must leave a block of 60 s before the deadline of 14400 s"),
        ("record_s3_uri", "bucket/x", "record_s3_uri='bucket/x': must be an S3 URI"),
    ],
)
def test_what_is_wrong_once_rendered_fails_for_good(task: Any, name: str, value: str, message: str) -> None:
    wrong = task(**{name: "{{ x }}"})
    operator = wrong.operator()
    operator.render_template_fields({"x": value})
    wrong.clock.set(wrong.deployment.start)
    with pytest.raises(AirflowFailException) as caught:
        operator.execute({"ti": wrong.ti})
    assert str(caught.value).startswith(message)


# -- the endpoint -----------------------------------------------------------------------------------------------------


def test_a_foreign_change_of_the_endpoint_stops_the_evaluation_for_good(task: Any, own: Callable[[], Shadowed]) -> None:
    changed = task(own())
    assert changed.run(2) is None
    theirs = changed.deployment.flow.change_by_hand()
    with pytest.raises(AirflowFailException, match=f"should serve the shadow config .*; it is InService on {theirs}"):
        changed.run(3)
    assert changed.written == {}
    changed.deployment.flow.cloud.delete(changed.deployment.flow.endpoint_name)
    with pytest.raises(AirflowFailException, match="it is gone"):
        changed.run(4)


@pytest.mark.parametrize(("status", "goes_on"), [("Updating", True), ("SystemUpdating", True), ("Failed", False)])
def test_scaling_and_maintenance_are_no_foreign_change(status: str, goes_on: bool, task: Any, monkeypatch: Any) -> None:
    good = task()
    flow = good.deployment.flow
    described = flow.cloud.describe(flow.endpoint_name) | {"EndpointStatus": status}
    monkeypatch.setattr(flow.hook, "endpoint_state", lambda name: EndpointState.of(described))
    if goes_on:
        assert good.run(50)["verdict"] == "PROMOTE"
    else:
        with pytest.raises(AirflowFailException, match=f"it is {status} on"):
            good.run(50)


def test_a_foreign_change_under_way_stops_it_though_aws_does_not_say_what_is_pending(
    task: Any, monkeypatch: Any
) -> None:
    good = task()
    flow = good.deployment.flow
    described = flow.cloud.describe(flow.endpoint_name) | {"EndpointStatus": "Updating", "EndpointConfigName": "theirs"}
    monkeypatch.setattr(flow.hook, "endpoint_state", lambda name: EndpointState.of(described))
    with pytest.raises(AirflowFailException, match="it is Updating on theirs"):
        good.run(50)


# -- the production guard ---------------------------------------------------------------------------------------------


def production_a_day_before(deployment: Shadowed, minutes: int, *, slower: float) -> None:
    """As `saw`, of production alone and a day earlier: the present production is so many times slower."""
    flow = deployment.flow
    for minute in range(-60, minutes):
        at = deployment.start + minute * MINUTE - timedelta(days=1)
        latencies = [(2000.0 + number) / slower for number in range(A_MINUTE)]
        put(flow.cloud, flow.endpoint_name, "Prod", at, request_metrics(latencies, 0))


@pytest.mark.parametrize("guard", ["on", "off"])
def test_harm_to_production_ends_the_looks_for_good(task: Any, own: Callable[[], Shadowed], guard: str) -> None:
    deployment = own()
    deployment.saw(MINUTES)
    production_a_day_before(deployment, MINUTES, slower=2)
    looking = task(deployment, production_guard=guard)
    if guard == "off":
        assert looking.to_end()[0]["verdict"] == "PROMOTE"
        return
    with pytest.raises(AirflowFailException, match="production's p50 latency is 100 % higher since the shadow was"):
        looking.to_end()
    assert looking.written == {}


def test_production_as_before_is_no_obstacle(task: Any, own: Callable[[], Shadowed]) -> None:
    deployment = own()
    deployment.saw(MINUTES)
    production_a_day_before(deployment, MINUTES, slower=1.01)
    assert task(deployment).to_end()[0]["verdict"] == "PROMOTE"
