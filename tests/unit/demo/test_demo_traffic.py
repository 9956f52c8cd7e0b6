import json
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from shadow_provider.demo import traffic
from shadow_provider.demo.dataset import LabelledRow
from shadow_provider.demo.traffic import (
    GroundTruthWriter,
    SystemClock,
    TrafficError,
    TrafficSettings,
    TrafficSummary,
    run_traffic,
)

ROWS = [LabelledRow(body=f"{index}", label=f"{index % 10}") for index in range(40)]
URI = "s3://labels/some/prefix"


class FakeClock:
    """Time that passes only when somebody waits or works. For one sending thread: it has one line of time."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.day = datetime(2026, 3, 1, 10, 59, 58, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds

    def utc_now(self) -> datetime:
        return self.day + timedelta(seconds=self.seconds - 1000.0)

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        if not stop.is_set():
            self.seconds += seconds
        return stop.is_set()


class StubRuntime:
    """Notes each request; ``behave`` may raise, or let time pass."""

    def __init__(self, behave: Callable[[int], None] = lambda _index: None) -> None:
        self.requests: list[dict[str, Any]] = []
        self._behave = behave
        self._lock = threading.Lock()

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        with self._lock:
            index = len(self.requests)
            self.requests.append(request)
        self._behave(index)
        return {"Body": BytesIO(b"7")}

    @property
    def bodies(self) -> list[bytes]:
        return [request["Body"] for request in self.requests]

    @property
    def ids(self) -> list[str]:
        return [request["InferenceId"] for request in self.requests]


class StubS3:
    def __init__(self, failures: int = 0) -> None:
        self.objects: dict[str, bytes] = {}
        self.tried: list[str] = []
        self._failures = failures

    def put_object(self, **request: Any) -> None:
        self.tried.append(request["Key"])
        if self._failures:
            self._failures -= 1
            raise aws_error("SlowDown")
        assert request["Bucket"] == "labels"
        assert request["Key"] not in self.objects
        self.objects[request["Key"]] = request["Body"]

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for body in self.objects.values() for line in body.decode().splitlines()]


def aws_error(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


def run(
    runtime: StubRuntime,
    *,
    stop: threading.Event | None = None,
    s3: StubS3 | None = None,
    clock: FakeClock | None = None,
    on_progress: Callable[[TrafficSummary], None] | None = None,
    **settings: Any,
) -> TrafficSummary:
    settings.setdefault("rate", 2000.0)
    if clock is not None:
        settings["workers"] = 1
    return run_traffic(
        TrafficSettings(endpoint_name="digits", ground_truth_uri=URI if s3 else None, **settings),
        stop=stop or threading.Event(),
        runtime_client=runtime,
        s3_client=s3,
        rows=ROWS,
        clock=clock,
        on_progress=on_progress,
    )


class TestRequests:
    def test_count_is_kept_and_every_request_is_a_row_of_the_data(self) -> None:
        runtime = StubRuntime()
        summary = run(runtime, count=200)
        assert (summary.requests_sent, summary.requests_succeeded, summary.requests_failed) == (200, 200, 0)
        assert summary.requests_unsent == 0
        assert set(runtime.bodies) <= {row.body.encode() for row in ROWS}
        assert runtime.requests[0]["EndpointName"] == "digits"
        assert runtime.requests[0]["ContentType"] == "text/csv"

    def test_inference_ids_are_unique_in_and_between_runs_and_fit_the_limits(self) -> None:
        first, second = StubRuntime(), StubRuntime()
        run(first, count=200)
        run(second, count=200)
        ids = first.ids + second.ids
        assert len(set(ids)) == 400
        assert all(1 <= len(each) <= 64 and each.isalnum() for each in ids)

    def test_same_seed_draws_the_same_rows_and_another_seed_others(self) -> None:
        draws = []
        for seed in (1, 1, 2):
            runtime = StubRuntime()
            run(runtime, count=100, seed=seed, clock=FakeClock())
            draws.append(runtime.bodies)
        assert draws[0] == draws[1]
        assert draws[0] != draws[2]

    def test_the_multiset_of_rows_does_not_depend_on_the_number_of_threads(self) -> None:
        one, many = StubRuntime(), StubRuntime()
        run(one, count=150, workers=1)
        run(many, count=150, workers=6)
        assert Counter(one.bodies) == Counter(many.bodies)

    def test_rows_are_drawn_with_replacement(self) -> None:
        runtime = StubRuntime()
        run(runtime, count=len(ROWS), clock=FakeClock())
        assert 1 < len(set(runtime.bodies)) < len(ROWS)

    def test_nothing_to_send_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="no rows"):
            run_traffic(
                TrafficSettings(endpoint_name="digits", count=1),
                stop=threading.Event(),
                runtime_client=StubRuntime(),
                rows=[],
            )


class TestFailures:
    def test_are_counted_by_cause_and_end_nothing(self) -> None:
        def behave(index: int) -> None:
            if index % 4 == 1:
                raise aws_error("ModelError")
            if index % 4 == 2:
                raise EndpointConnectionError(endpoint_url="http://nowhere")
            if index % 4 == 3:
                raise aws_error("ThrottlingException")

        summary = run(StubRuntime(behave), count=40)
        assert summary.failures_by_cause == {
            "EndpointConnectionError": 10,
            "ModelError": 10,
            "ThrottlingException": 10,
        }
        assert (summary.requests_sent, summary.requests_succeeded, summary.requests_failed) == (40, 10, 30)

    def test_first_of_each_cause_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        def behave(_index: int) -> None:
            raise aws_error("ModelError", "the model fell over")

        run(StubRuntime(behave), count=5)
        assert [record.getMessage().count("fell over") for record in caplog.records] == [1]

    def test_an_answer_that_cannot_be_read_is_a_failure(self) -> None:
        class Torn(StubRuntime):
            def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
                body = super().invoke_endpoint(**request)["Body"]
                body.close()
                return {"Body": body}

        assert run(Torn(), count=3).failures_by_cause == {"ValueError": 3}

    def test_without_success_there_is_no_latency(self) -> None:
        def behave(_index: int) -> None:
            raise aws_error("ModelError")

        assert run(StubRuntime(behave), count=2).latency_ms == {}

    def test_client_never_retries(self) -> None:
        settings = TrafficSettings(
            endpoint_name="digits", endpoint_url="http://127.0.0.1:1", region="us-east-1", workers=3
        )
        config = traffic._runtime_client(settings).meta.config
        assert config.retries["total_max_attempts"] == 1
        assert config.max_pool_connections == 3


class TestSchedule:
    def test_requests_leave_when_they_are_due(self) -> None:
        clock, left = FakeClock(), []
        run(StubRuntime(lambda _: left.append(clock.seconds - 1000)), count=5, rate=4, clock=clock)
        assert left == pytest.approx([0, 0.25, 0.5, 0.75, 1])

    def test_slow_answers_do_not_shift_the_schedule(self) -> None:
        clock, left = FakeClock(), []

        def behave(_index: int) -> None:
            left.append(clock.seconds - 1000)
            clock.seconds += 0.2

        summary = run(StubRuntime(behave), count=5, rate=4, clock=clock)
        assert left == pytest.approx([0, 0.25, 0.5, 0.75, 1])
        assert summary.late == 0

    def test_busy_threads_make_requests_late_and_none_is_dropped(self) -> None:
        clock = FakeClock()

        def behave(index: int) -> None:
            clock.seconds += 1.0 if index == 0 else 0.0

        summary = run(StubRuntime(behave), count=10, rate=10, clock=clock)
        # Due at 0.1 to 0.9 and sent at 1.0, all but the first; the last to be late waited 0.1 s.
        assert summary.requests_sent == 10
        assert summary.late == 9
        assert summary.late_ms_max == pytest.approx(900, abs=1)

    @pytest.mark.parametrize(("duration", "rate", "expected"), [(2, 5, 10), (0.07, 100, 7), (0.25, 10, 3), (0, 10, 0)])
    def test_duration_bounds_the_requests(self, duration: float, rate: float, expected: int) -> None:
        summary = run(StubRuntime(), duration_seconds=duration, rate=rate, clock=FakeClock())
        assert summary.requests_sent == expected
        assert summary.requests_unsent == 0

    def test_what_is_due_but_not_sent_at_the_end_is_counted(self) -> None:
        clock = FakeClock()

        def behave(_index: int) -> None:
            clock.seconds += 0.5

        summary = run(StubRuntime(behave), duration_seconds=2, rate=10, clock=clock)
        assert summary.requests_sent == 4
        assert summary.requests_unsent == 16

    def test_latency_is_the_callers(self) -> None:
        clock = FakeClock()

        def behave(index: int) -> None:
            clock.seconds += 0.1 if index < 95 else 0.9

        latency = run(StubRuntime(behave), count=100, rate=1, clock=clock).latency_ms
        assert latency == pytest.approx({"p50": 100, "p90": 100, "p99": 900}, rel=0.011)


class TestStop:
    def test_lets_what_is_under_way_finish_and_writes_all_labels(self) -> None:
        stop, under_way, may_answer = threading.Event(), threading.Barrier(4), threading.Event()
        s3 = StubS3()

        def behave(_index: int) -> None:
            under_way.wait(10)
            assert may_answer.wait(10)

        def stop_when_all_are_under_way() -> None:
            under_way.wait(10)
            stop.set()
            may_answer.set()

        stopper = threading.Thread(target=stop_when_all_are_under_way)
        stopper.start()
        runtime = StubRuntime(behave)
        summary = run(runtime, stop=stop, s3=s3, workers=3, rate=1000)
        stopper.join(10)
        assert summary.requests_sent == summary.requests_succeeded == 3
        assert summary.ended_at is not None
        assert (summary.ground_truth_written, summary.ground_truth_pending) == (3, 0)
        assert {record["eventMetadata"]["eventId"] for record in s3.records} == set(runtime.ids)

    def test_before_the_start_sends_nothing(self) -> None:
        stop = threading.Event()
        stop.set()
        runtime = StubRuntime()
        assert run(runtime, stop=stop).requests_sent == 0
        assert runtime.requests == []

    def test_wakes_threads_that_wait_for_their_turn(self) -> None:
        stop = threading.Event()
        runtime = StubRuntime(lambda _index: stop.set())
        # One request an hour: only a stop that interrupts the wait lets this test end.
        assert run(runtime, stop=stop, rate=1 / 3600).requests_sent == 1

    def test_an_error_in_the_callers_progress_ends_the_run_and_loses_no_label(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(traffic, "_HOUSEKEEPING_SECONDS", 0.01)
        s3, runtime = StubS3(), StubRuntime()

        def fall_over(summary: TrafficSummary) -> None:
            if summary.requests_sent:
                raise RuntimeError("the screen is gone")

        with pytest.raises(RuntimeError, match="screen"):
            run(runtime, s3=s3, rate=500, on_progress=fall_over)
        assert {record["eventMetadata"]["eventId"] for record in s3.records} == set(runtime.ids)


class TestGroundTruth:
    def test_is_model_monitors_form_for_every_request_sent_also_those_that_failed(self) -> None:
        def behave(index: int) -> None:
            if index % 2:
                raise aws_error("ModelError")

        s3, runtime = StubS3(), StubRuntime(behave)
        run(runtime, s3=s3, count=30)
        label_of = {row.body.encode(): row.label for row in ROWS}
        expected = {request["InferenceId"]: label_of[request["Body"]] for request in runtime.requests}
        assert len(s3.records) == 30
        assert {each["eventMetadata"]["eventId"]: each["groundTruthData"]["data"] for each in s3.records} == expected
        assert s3.records[0].keys() == {"groundTruthData", "eventMetadata", "eventVersion"}
        assert {each["groundTruthData"]["encoding"] for each in s3.records} == {"CSV"}
        assert {each["eventVersion"] for each in s3.records} == {"0"}

    def test_goes_to_the_utc_hour_of_collection(self) -> None:
        s3 = StubS3()
        run(StubRuntime(), s3=s3, count=4, rate=1, clock=FakeClock())  # 10:59:58 to 11:00:01
        assert sorted(key.rsplit("/", 1)[0] for key in s3.objects) == [
            "some/prefix/2026/03/01/10",
            "some/prefix/2026/03/01/11",
        ]
        assert all(key.endswith(".jsonl") for key in s3.objects)
        assert [body.count(b"\n") for body in s3.objects.values()] == [2, 2]

    def test_without_a_prefix_keys_start_with_the_year(self) -> None:
        s3 = StubS3()
        writer = GroundTruthWriter(s3, "s3://labels", FakeClock())
        writer.add("id", "7")
        writer.flush()
        assert next(iter(s3.objects)).startswith("2026/03/01/10/")

    def test_a_refused_batch_is_put_again_under_the_same_key(self) -> None:
        s3 = StubS3(failures=1)
        writer = GroundTruthWriter(s3, URI, FakeClock())
        writer.add("one", "1")
        writer.flush()
        assert (writer.written, writer.pending) == (0, 1)
        writer.add("two", "2")
        writer.flush()
        assert (writer.written, writer.pending) == (2, 0)
        assert s3.tried[0] == s3.tried[1]
        assert [record["eventMetadata"]["eventId"] for record in s3.records] == ["one", "two"]

    def test_what_cannot_be_written_is_told(self, caplog: pytest.LogCaptureFixture) -> None:
        summary = run(StubRuntime(), s3=StubS3(failures=99), count=3)
        assert (summary.ground_truth_written, summary.ground_truth_pending) == (0, 3)
        assert "3 labels could not be written" in caplog.text

    def test_is_written_while_traffic_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(traffic, "_HOUSEKEEPING_SECONDS", 0.01)
        stop, s3 = threading.Event(), StubS3()

        def stop_when_written(summary: TrafficSummary) -> None:
            if summary.ground_truth_written:
                stop.set()

        run(StubRuntime(), stop=stop, s3=s3, rate=200, ground_truth_flush_seconds=0.01, report_seconds=0.01,
            on_progress=stop_when_written)  # fmt: skip
        assert s3.objects


class TestSummaryFile:
    def test_holds_the_summary(self, tmp_path: Path) -> None:
        path = tmp_path / "deep" / "summary.json"
        summary = run(StubRuntime(), count=20, summary_path=path)
        document = json.loads(path.read_text())
        assert document["requests_sent"] == summary.requests_sent == 20
        assert document["latency_ms"].keys() == {"p50", "p90", "p99"}
        assert document["started_at"] <= document["ended_at"]
        assert {"requests_succeeded", "requests_failed", "failures_by_cause", "late"} <= document.keys()
        assert list(path.parent.iterdir()) == [path]

    def test_is_renewed_while_traffic_runs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(traffic, "_HOUSEKEEPING_SECONDS", 0.01)
        path, stop, seen = tmp_path / "summary.json", threading.Event(), []

        def look(summary: TrafficSummary) -> None:
            seen.append(json.loads(path.read_text()))
            if summary.requests_sent > 2:
                stop.set()

        run(StubRuntime(), stop=stop, rate=200, summary_path=path, report_seconds=0.01, on_progress=look)
        assert len(seen) > 1
        assert [document["ended_at"] is None for document in seen] == [True] * (len(seen) - 1) + [False]


class StubSageMaker:
    def __init__(self, *statuses: str | Exception) -> None:
        self._statuses = list(statuses)

    def describe_endpoint(self, **_request: Any) -> dict[str, Any]:
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        if isinstance(status, Exception):
            raise status
        return {"EndpointStatus": status, "FailureReason": "the ping failed"}


class TestWaitForEndpoint:
    settings = TrafficSettings(endpoint_name="digits", wait_for_endpoint_seconds=30)
    missing = aws_error("ValidationException", 'Could not find endpoint "arn".')

    def wait(self, *statuses: str | Exception, stop: threading.Event | None = None) -> float:
        clock = FakeClock()
        traffic.wait_for_endpoint(self.settings, StubSageMaker(*statuses), stop or threading.Event(), clock)
        return clock.seconds - 1000

    def test_looks_every_second_until_in_service(self) -> None:
        assert self.wait(self.missing, "Creating", "Updating", "InService") == 3

    @pytest.mark.parametrize("status", ["Failed", "OutOfService"])
    def test_gives_up_at_once_on_an_endpoint_that_failed(self, status: str) -> None:
        with pytest.raises(TrafficError, match=f"{status}: the ping failed"):
            self.wait("Creating", status)

    @pytest.mark.parametrize(("status", "words"), [("Creating", "is Creating"), (missing, "is not there")])
    def test_gives_up_in_time(self, status: str | Exception, words: str) -> None:
        with pytest.raises(TrafficError, match=f"{words} after waiting 30 s"):
            self.wait(status)

    def test_other_refusals_come_out(self) -> None:
        with pytest.raises(ClientError, match="AccessDenied"):
            self.wait(aws_error("AccessDeniedException"))

    def test_a_stop_ends_it(self) -> None:
        stop = threading.Event()
        stop.set()
        assert self.wait("Creating", stop=stop) == 0

    def test_comes_before_the_first_request(self) -> None:
        runtime = StubRuntime()
        with pytest.raises(TrafficError):
            run_traffic(
                self.settings,
                stop=threading.Event(),
                runtime_client=runtime,
                sagemaker_client=StubSageMaker("Failed"),
                rows=ROWS,
            )
        assert runtime.requests == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": 0},
        {"rate": -1},
        {"rate": float("inf")},
        {"workers": 0},
        {"count": -1},
        {"duration_seconds": -0.1},
        {"wait_for_endpoint_seconds": -1},
        {"ground_truth_uri": "labels/prefix"},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|not an S3 URI"):
        TrafficSettings(endpoint_name="digits", **wrong)


def test_system_clock_waits_and_is_woken() -> None:
    clock, stop = SystemClock(), threading.Event()
    assert clock.wait(stop, 0.001) is False
    stop.set()
    assert clock.wait(stop, 60) is True
    assert clock.utc_now().tzinfo is UTC
