"""Traffic for an endpoint: held-out digits as real InvokeEndpoint calls, with the ground truth to judge the answers by.

The load is open loop: request ``k`` is due at ``start + k / rate`` whatever the endpoint does. A bounded pool of
threads sends them. When all threads are busy, requests leave late, and how many and how late is counted and shown; what
a deadline or a stop leaves unsent is counted too. Rows are drawn with replacement from a seeded generator, so that
requests are independent and identically distributed, as statistics over them assume.
"""

from __future__ import annotations

import json
import logging
import math
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from shadow_provider.demo.dataset import LabelledRow, held_out_rows
from shadow_provider.demo.models import bucket_and_prefix

log = logging.getLogger(__name__)

# A request that leaves later than this after it was due waited for a thread; less is the operating system's jitter.
LATE_AFTER_SECONDS = 0.025

_HOUSEKEEPING_SECONDS = 0.5
_FINAL_FLUSHES = 3


class TrafficError(Exception):
    """Traffic cannot start: the endpoint is not there, has failed, or did not come up in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficSettings:
    """What to send, where, how fast and for how long.

    Attributes:
        endpoint_name: the SageMaker endpoint.
        rate: requests a second.
        duration_seconds: stop when this time is over; None for no limit.
        count: stop after this many requests; None for no limit.
        seed: of the draw of rows. Inference ids are unique in every run, whatever the seed.
        workers: threads, and so the requests that can be under way at once.
        endpoint_url: of AWS, for all three services; None for boto3's own resolution.
        region: AWS region; None for boto3's own resolution.
        ground_truth_uri: ``s3://bucket/prefix`` for the labels; None to write none.
        ground_truth_flush_seconds: how often labels are written.
        summary_path: a JSON file that always holds the newest summary; None for none.
        report_seconds: how often the summary file is renewed and ``on_progress`` is called.
        wait_for_endpoint_seconds: how long to wait for InService before the start; 0 not to look.

    Raises:
        ValueError: a number is out of range or the ground truth URI is none of S3's.
    """

    endpoint_name: str
    rate: float = 20.0
    duration_seconds: float | None = None
    count: int | None = None
    seed: int = 0
    workers: int = 8
    endpoint_url: str | None = None
    region: str | None = None
    ground_truth_uri: str | None = None
    ground_truth_flush_seconds: float = 5.0
    summary_path: Path | None = None
    report_seconds: float = 1.0
    wait_for_endpoint_seconds: float = 0.0

    def __post_init__(self) -> None:
        if not (self.rate > 0 and math.isfinite(self.rate)):
            raise ValueError(f"rate must be above 0, not {self.rate}")
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, not {self.workers}")
        for name in ("duration_seconds", "count", "wait_for_endpoint_seconds"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must not be negative, not {value}")
        if self.ground_truth_uri is not None:
            bucket_and_prefix(self.ground_truth_uri)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficSummary:
    """What happened so far, or in all when ``ended_at`` is set. Latencies are the caller's, of requests that succeeded.

    Attributes:
        requests_sent: all that left, those still under way included.
        requests_unsent: due by now but not sent: all threads are busy, or the run ended first.
        failures_by_cause: AWS error code, or the exception's name where there was no answer from AWS.
        late: requests that left more than 25 ms after they were due.
        late_ms_max: the latest of them.
        latency_ms: p50, p90 and p99 to within 1 %; empty when nothing succeeded yet.
        ground_truth_written: labels that are in S3.
        ground_truth_pending: labels that are not (yet).
    """

    endpoint_name: str
    rate_asked: float
    rate_sent: float
    seed: int
    requests_sent: int
    requests_succeeded: int
    requests_failed: int
    requests_unsent: int
    failures_by_cause: dict[str, int]
    started_at: str
    ended_at: str | None
    latency_ms: dict[str, float]
    late: int
    late_ms_max: float
    ground_truth_written: int
    ground_truth_pending: int


class Clock(Protocol):
    """Time, so that tests can have their own."""

    def monotonic(self) -> float:
        """Seconds that only go forward."""

    def utc_now(self) -> datetime:
        """The time of day, with its zone."""

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait until ``stop`` is set (True) or the seconds are over (False)."""


class SystemClock:
    """The machine's time."""

    def monotonic(self) -> float:
        """See ``Clock``."""
        return time.monotonic()

    def utc_now(self) -> datetime:
        """See ``Clock``."""
        return datetime.now(UTC)

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """See ``Clock``."""
        return stop.wait(seconds)


def run_traffic(
    settings: TrafficSettings,
    *,
    stop: threading.Event,
    runtime_client: Any = None,
    s3_client: Any = None,
    sagemaker_client: Any = None,
    rows: Sequence[LabelledRow] | None = None,
    clock: Clock | None = None,
    on_progress: Callable[[TrafficSummary], None] | None = None,
) -> TrafficSummary:
    """Send traffic until the duration or the count is reached, or ``stop`` is set.

    A stop lets the requests under way finish and writes the remaining labels before it returns.

    Args:
        settings: what to send.
        stop: set it from anywhere to end the run.
        runtime_client: boto3 ``sagemaker-runtime``; made from the settings, without retries, when missing.
        s3_client: boto3 ``s3``; made when missing and needed.
        sagemaker_client: boto3 ``sagemaker``; made when missing and needed.
        rows: what to draw from; the held-out digits when missing.
        clock: the machine's when missing.
        on_progress: called in this thread every ``report_seconds`` and once at the end.

    Returns:
        The final summary. Requests that failed are counted in it, they do not raise.

    Raises:
        TrafficError: the endpoint failed or did not come into service in time.
        ModuleNotFoundError: no ``rows`` given and scikit-learn is not installed.
    """
    clock = clock or SystemClock()
    population = rows if rows is not None else held_out_rows()
    if not population:
        raise ValueError("there are no rows to send")
    runtime = runtime_client or _runtime_client(settings)
    ground_truth = None
    if settings.ground_truth_uri is not None:
        ground_truth = GroundTruthWriter(s3_client or _client("s3", settings), settings.ground_truth_uri, clock)
    if settings.wait_for_endpoint_seconds > 0:
        wait_for_endpoint(settings, sagemaker_client or _client("sagemaker", settings), stop, clock)
    return _Run(settings, stop, runtime, ground_truth, population, clock, on_progress).run()


def wait_for_endpoint(settings: TrafficSettings, sagemaker: Any, stop: threading.Event, clock: Clock) -> None:
    """Return when the endpoint is InService or ``stop`` is set.

    Raises:
        TrafficError: the endpoint reached Failed or OutOfService, or is still not InService when the time is over.
    """
    deadline = clock.monotonic() + settings.wait_for_endpoint_seconds
    while not stop.is_set():
        status, reason = _endpoint_status(sagemaker, settings.endpoint_name)
        if status == "InService":
            return
        if status in ("Failed", "OutOfService"):
            raise TrafficError(f"endpoint {settings.endpoint_name} is {status}: {reason or 'no reason given'}")
        if clock.monotonic() >= deadline:
            raise TrafficError(
                f"endpoint {settings.endpoint_name} is {status or 'not there'} "
                f"after waiting {settings.wait_for_endpoint_seconds:g} s for InService"
            )
        clock.wait(stop, 1.0)


class GroundTruthWriter:
    """Labels as Model Monitor wants them: JSON lines under ``<prefix>/yyyy/mm/dd/hh/``, the hour of collection in UTC.

    ``add`` may be called from any thread, ``flush`` from one. A batch that S3 refuses is kept and put again under the
    same key at the next flush, so that a put whose answer was lost leaves no label twice.
    """

    def __init__(self, s3: Any, uri: str, clock: Clock) -> None:
        self.written = 0
        self._s3 = s3
        self._bucket, self._prefix = bucket_and_prefix(uri)
        self._clock = clock
        self._lock = threading.Lock()
        self._lines: list[tuple[str, str]] = []
        self._batches: list[tuple[str, list[str]]] = []

    @property
    def pending(self) -> int:
        """Labels that are not in S3."""
        with self._lock:
            return len(self._lines) + sum(len(lines) for _, lines in self._batches)

    def add(self, inference_id: str, label: str) -> None:
        """Take a label; it is written with the next flush."""
        record = {
            "groundTruthData": {"data": label, "encoding": "CSV"},
            "eventMetadata": {"eventId": inference_id},
            "eventVersion": "0",
        }
        line = json.dumps(record, separators=(",", ":"))
        hour = self._clock.utc_now().strftime("%Y/%m/%d/%H")
        with self._lock:
            self._lines.append((hour, line))

    def flush(self) -> None:
        """Put what is pending, an object per hour; what cannot be put stays pending."""
        self._seal()
        while self._batches:
            key, lines = self._batches[0]
            try:
                self._s3.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=("\n".join(lines) + "\n").encode(),
                    ContentType="application/jsonlines",
                )
            except Exception as error:  # whatever it was: labels are kept, and traffic goes on
                log.warning("Ground truth not written to s3://%s/%s, will try again: %s", self._bucket, key, error)
                return
            with self._lock:
                self.written += len(lines)
                del self._batches[0]

    def _seal(self) -> None:
        with self._lock:
            by_hour: dict[str, list[str]] = {}
            for hour, line in self._lines:
                by_hour.setdefault(hour, []).append(line)
            self._lines = []
            for hour, lines in by_hour.items():
                name = f"{hour}/labels-{uuid.uuid4().hex}.jsonl"
                self._batches.append((f"{self._prefix}/{name}" if self._prefix else name, lines))


@dataclass(slots=True)
class _LatencyHistogram:
    """Latencies in buckets 1 % wide: percentiles of a run of any length in bounded memory."""

    _GROWTH = 1.01
    counts: Counter[int] = field(default_factory=Counter)

    def add(self, milliseconds: float) -> None:
        self.counts[math.floor(math.log(max(milliseconds, 1e-3), self._GROWTH))] += 1

    def percentiles(self) -> dict[str, float]:
        """p50, p90 and p99 (nearest rank, middle of the bucket), or nothing when there is no latency yet."""
        total = self.counts.total()
        return {f"p{share}": self._at_rank(math.ceil(total * share / 100)) for share in (50, 90, 99) if total}

    def _at_rank(self, rank: int) -> float:
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                return round(float(self._GROWTH ** (bucket + 0.5)), 3)
        raise ValueError(f"rank {rank} is beyond the {seen} latencies")


@dataclass(frozen=True, slots=True)
class _Slot:
    due: float
    row: LabelledRow


class _Schedule:
    """Hands out the requests in order, each when it is due."""

    def __init__(self, settings: TrafficSettings, population: Sequence[LabelledRow], clock: Clock) -> None:
        self.start = clock.monotonic()
        self._rate = settings.rate
        duration = math.inf if settings.duration_seconds is None else settings.duration_seconds
        self._end = self.start + duration
        self._limit = min(
            _slots_within(duration, settings.rate), math.inf if settings.count is None else settings.count
        )
        self._population = population
        self._random = random.Random(settings.seed)  # noqa: S311 - a reproducible draw, nothing secret
        self._clock = clock
        self._lock = threading.Lock()
        self._next = 0
        self._closed_at = math.inf

    def take(self, stop: threading.Event) -> _Slot | None:
        """The next request, at the time it is due or as soon after as a thread asks; None when there is no more."""
        slot = self._claim(stop)
        if slot is None:
            return None
        early = slot.due - self._clock.monotonic()
        if early > 0 and self._clock.wait(stop, early):
            self._close()
            return None
        return slot

    def due_by_now(self) -> int:
        """How many requests should have left by now, or had when the schedule closed."""
        now = min(self._clock.monotonic(), self._closed_at, self._end)
        return int(min(math.floor((now - self.start) * self._rate) + 1, self._limit))

    def _claim(self, stop: threading.Event) -> _Slot | None:
        with self._lock:
            if self._next < self._limit and self._clock.monotonic() < self._end and not stop.is_set():
                due = self.start + self._next / self._rate
                self._next += 1
                return _Slot(due, self._population[self._random.randrange(len(self._population))])
        self._close()
        return None

    def _close(self) -> None:
        self._closed_at = min(self._closed_at, self._clock.monotonic())


def _slots_within(duration: float, rate: float) -> float:
    """How many requests are due before ``duration`` seconds are over."""
    # The subtraction keeps a product such as 0.07 * 100 = 7.000000000000001 from making an eighth one.
    return math.inf if math.isinf(duration) else math.ceil(duration * rate - 1e-9)


class _Tally:
    """Counts, written by all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.sent = 0
        self.succeeded = 0
        self.failures: Counter[str] = Counter()
        self.latencies = _LatencyHistogram()
        self.late = 0
        self.late_seconds_max = 0.0

    def left(self, late_seconds: float) -> None:
        with self._lock:
            self.sent += 1
            if late_seconds > LATE_AFTER_SECONDS:
                self.late += 1
                self.late_seconds_max = max(self.late_seconds_max, late_seconds)

    def answered(self, seconds: float) -> None:
        with self._lock:
            self.succeeded += 1
            self.latencies.add(seconds * 1000)

    def failed(self, error: Exception) -> None:
        cause = _cause(error)
        with self._lock:
            self.failures[cause] += 1
            first = self.failures[cause] == 1
        if first:
            log.warning("First request that failed with %s: %s", cause, error)

    def counts(self) -> dict[str, Any]:
        with self._lock:
            return {
                "requests_sent": self.sent,
                "requests_succeeded": self.succeeded,
                "requests_failed": self.failures.total(),
                "failures_by_cause": dict(sorted(self.failures.items())),
                "latency_ms": self.latencies.percentiles(),
                "late": self.late,
                "late_ms_max": round(self.late_seconds_max * 1000, 1),
            }


class _Run:
    """One run: threads send, the calling thread keeps house (labels, summary file, progress)."""

    def __init__(
        self,
        settings: TrafficSettings,
        stop: threading.Event,
        runtime: Any,
        ground_truth: GroundTruthWriter | None,
        population: Sequence[LabelledRow],
        clock: Clock,
        on_progress: Callable[[TrafficSummary], None] | None,
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._runtime = runtime
        self._ground_truth = ground_truth
        self._clock = clock
        self._on_progress = on_progress
        self._tally = _Tally()
        self._started_at = clock.utc_now()
        self._schedule = _Schedule(settings, population, clock)
        self._next_flush = self._schedule.start + settings.ground_truth_flush_seconds
        self._next_report = self._schedule.start

    def run(self) -> TrafficSummary:
        with ThreadPoolExecutor(self._settings.workers, thread_name_prefix="traffic") as pool:
            workers = [pool.submit(self._send_all) for _ in range(self._settings.workers)]
            try:
                while wait(workers, timeout=_HOUSEKEEPING_SECONDS).not_done:
                    self._keep_house()
            except BaseException:
                # The pool's exit waits for its threads: without this an error here would never come out.
                self._stop.set()
                raise
            finally:
                wait(workers)
                self._flush_all()
        for worker in workers:
            worker.result()
        return self._report(ended=True)

    def _send_all(self) -> None:
        while (slot := self._schedule.take(self._stop)) is not None:
            self._send(slot)

    def _send(self, slot: _Slot) -> None:
        inference_id = uuid.uuid4().hex
        started = self._clock.monotonic()
        self._tally.left(started - slot.due)
        if self._ground_truth is not None:
            self._ground_truth.add(inference_id, slot.row.label)
        try:
            response = self._runtime.invoke_endpoint(
                EndpointName=self._settings.endpoint_name,
                ContentType="text/csv",
                Accept="text/csv",
                InferenceId=inference_id,
                Body=slot.row.body.encode(),
            )
            response["Body"].read()
        except Exception as error:  # each failure is a count of its cause, none may end a thread
            self._tally.failed(error)
        else:
            self._tally.answered(self._clock.monotonic() - started)

    def _keep_house(self) -> None:
        now = self._clock.monotonic()
        if self._ground_truth is not None and now >= self._next_flush:
            self._next_flush = now + self._settings.ground_truth_flush_seconds
            self._ground_truth.flush()
        if now >= self._next_report:
            self._next_report = now + self._settings.report_seconds
            self._report(ended=False)

    def _flush_all(self) -> None:
        if self._ground_truth is None:
            return
        for _ in range(_FINAL_FLUSHES):
            self._ground_truth.flush()
            if not self._ground_truth.pending:
                return
        log.error("%d labels could not be written to S3 and are lost", self._ground_truth.pending)

    def _report(self, *, ended: bool) -> TrafficSummary:
        summary = self._summary(ended=ended)
        if self._settings.summary_path is not None:
            _write_summary(self._settings.summary_path, summary)
        if self._on_progress is not None:
            self._on_progress(summary)
        return summary

    def _summary(self, *, ended: bool) -> TrafficSummary:
        due = self._schedule.due_by_now()
        counts = self._tally.counts()
        elapsed = max(self._clock.monotonic() - self._schedule.start, 1e-9)
        return TrafficSummary(
            endpoint_name=self._settings.endpoint_name,
            rate_asked=self._settings.rate,
            rate_sent=round(counts["requests_sent"] / elapsed, 3),
            seed=self._settings.seed,
            requests_unsent=max(0, due - counts["requests_sent"]),
            started_at=self._started_at.isoformat(),
            ended_at=self._clock.utc_now().isoformat() if ended else None,
            ground_truth_written=self._ground_truth.written if self._ground_truth else 0,
            ground_truth_pending=self._ground_truth.pending if self._ground_truth else 0,
            **counts,
        )


def _write_summary(path: Path, summary: TrafficSummary) -> None:
    """Write the summary whole or not at all: others read it while it is renewed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_text(json.dumps(asdict(summary), indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _cause(error: Exception) -> str:
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return str(code) if code else type(error).__name__


def _endpoint_status(sagemaker: Any, name: str) -> tuple[str | None, str | None]:
    """Status and failure reason; no status when the endpoint does not exist (yet)."""
    from botocore.exceptions import ClientError

    try:
        answer = sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if "could not find" in str(error).lower():
            return None, None
        raise
    return answer["EndpointStatus"], answer.get("FailureReason")


def _runtime_client(settings: TrafficSettings) -> Any:
    """A client that tries once: a retry by the SDK would hide a failure and blur the latency."""
    from botocore.config import Config

    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=settings.workers, read_timeout=70)
    return _client("sagemaker-runtime", settings, config)


def _client(service: str, settings: TrafficSettings, config: Any = None) -> Any:
    import boto3

    return boto3.client(service, region_name=settings.region, endpoint_url=settings.endpoint_url, config=config)
