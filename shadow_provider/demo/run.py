"""The demo: a live endpoint with traffic, a candidate, and the reference DAG run by Airflow, all on this machine."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from shadow_provider.demo.airflow_run import AirflowHome, DagRun
from shadow_provider.demo.setup import (
    BASELINE_CONFIG,
    BUCKET,
    ENDPOINT,
    IMAGE,
    INCUMBENT_MODEL,
    ROLE,
    create_live_endpoint,
    store_models,
)

if TYPE_CHECKING:
    from shadow_provider.demo.traffic import TrafficSummary
    from shadow_provider.local import LocalAWS

CAPTURE_URI = f"s3://{BUCKET}/captures"
GROUND_TRUTH_URI = f"s3://{BUCKET}/ground-truth"

REQUESTS_PER_SECOND = 40.0
_AFTER_RUN_SECONDS = 2.0

# What the demo promises. Latency is shown but does not decide: the shadow's processes run at the lowest priority of a
# machine that also runs Airflow, so its latency says more about the laptop than about the candidate.
POLICY: dict[str, Any] = {
    "minimum_pairs": 1000,
    # Seconds stand for minutes here: real endpoints have metrics by the minute.
    "block_seconds": 1,
    "look_interval_seconds": 2,
    "gates": [
        {"metric": "invocation_error_rate", "margin": 0.01},
        {"metric": "paired_error_rate", "margin": 0.01},
        {"metric": "agreement", "minimum": 0.90},
        {"metric": "accuracy", "margin": 0.02, "minimum_coverage": 0.5, "required": True},
        {"metric": "model_latency", "percentile": "p50", "margin": 0.5, "report_only": True},
    ],
}

_ARCHIVES = {"same": "incumbent"}
"""Candidates that are not packed under their own name."""

# How each candidate may end: verdicts, and the state of the DAG run. It serves if, and only if, it was promoted.
_EXPECTED: dict[str, tuple[tuple[str | None, ...], str]] = {
    "good": (("PROMOTE",), "success"),
    "bad": (("REJECT",), "success"),
    "broken": ((None,), "failed"),
    "same": (("PROMOTE", "INCONCLUSIVE"), "success"),
}


@dataclass(frozen=True)
class DemoSummary:
    """What happened; written as ``summary.json``.

    Attributes:
        candidate: which demo candidate was in the shadow.
        verdict: the verdict; None where no evaluation came about.
        reason: the verdict's sentence, or why the run failed.
        run_state: state of the DAG run.
        as_expected: whether it ended as this candidate must.
        endpoint_config_before: endpoint config that served before.
        endpoint_config_after: endpoint config that serves after.
        active_model_before: model behind production before.
        active_model_after: model behind production after.
        requests_sent: requests of the callers.
        requests_failed: of these, not answered.
        pairs: requests of which both answers were compared.
        seconds: wall time of the demo.
        tasks: state of each task of the DAG run.
        record_uri: the decision record.
        report_uri: where its report stands, if there is one.
        traffic: all that is known of the traffic.
    """

    candidate: str
    verdict: str | None
    reason: str
    run_state: str
    as_expected: bool
    endpoint_config_before: str
    endpoint_config_after: str
    active_model_before: str
    active_model_after: str
    requests_sent: int
    requests_failed: int
    pairs: int
    seconds: float
    tasks: Mapping[str, str]
    record_uri: str | None
    report_uri: str | None
    traffic: Mapping[str, Any]


def run_demo(candidate: str, directory: Path, dags: Path = Path("dags")) -> int:
    """Run the whole pipeline once against a local AWS.

    Args:
        candidate: ``good``, ``bad`` or ``broken``.
        directory: where models, Airflow's home, ``summary.json`` and ``decision.json`` go.
        dags: the folder with ``shadow_deployment.py``.

    Returns:
        0 if it ended as this candidate must, and no caller's request failed; otherwise 1.

    Raises:
        ValueError: the DAG file is not there.
    """
    from shadow_provider.demo.models import build_models
    from shadow_provider.local import LocalAWS, LocalSettings

    dag_file = dags / "shadow_deployment.py"
    if not dag_file.is_file():
        raise ValueError(f"dags={dags}: there is no shadow_deployment.py in it; run the demo from the project's folder")
    console = Console(highlight=False, soft_wrap=True)
    began = time.monotonic()
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("summary.json", "decision.json", "record.json", "report.html"):
        (directory / name).unlink(missing_ok=True)
    console.print(f"[bold]Shadow deployment of the {candidate!r} candidate[/bold]")
    with _step(console, "Training and packing the models"):
        archives = build_models(directory / "models")
    with _step(console, "Starting the local AWS"):
        aws = LocalAWS(LocalSettings(startup_timeout=30, capture_flush_seconds=1.0, metric_resolution=1))
        aws.start()
    try:
        airflow = AirflowHome(directory / "airflow", dags, aws.connection_uri)
        with _step(console, "Preparing Airflow's database"):
            airflow.prepare()
        with _step(console, "Creating the live endpoint with the incumbent"):
            store_models(archives, aws.boto3_client("s3"))
            create_live_endpoint(aws.boto3_client("sagemaker"))
        with _traffic(aws) as traffic:
            console.print(f"Callers send {REQUESTS_PER_SECOND:.0f} requests a second; Airflow runs the DAG:")
            run = airflow.run(dag_file, _conf(candidate), _printer(console))
            # Callers go on for a moment on whatever serves now.
            traffic.stop_after(_AFTER_RUN_SECONDS)
        summary = _summarise(aws, airflow, candidate, run, traffic.summary, time.monotonic() - began)
        _write(aws, directory, summary)
    finally:
        aws.stop()
    _show(console, summary, run, directory)
    return 0 if summary.as_expected else 1


@contextmanager
def _step(console: Console, what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    console.print(f"  {what} [dim]{time.monotonic() - began:.1f} s[/dim]")


class _Traffic:
    """Callers that send requests in the background until told to stop."""

    def __init__(self, aws: LocalAWS) -> None:
        self._stop = threading.Event()
        self._summary: TrafficSummary | None = None
        self._error: BaseException | None = None
        self._aws = aws
        self._thread = threading.Thread(target=self._send, name="demo-traffic", daemon=True)
        self._thread.start()

    def _send(self) -> None:
        from botocore.config import Config

        from shadow_provider.demo.traffic import TrafficSettings, run_traffic

        settings = TrafficSettings(
            endpoint_name=ENDPOINT,
            rate=REQUESTS_PER_SECOND,
            ground_truth_uri=GROUND_TRUTH_URI,
            ground_truth_flush_seconds=1.0,
        )
        # No repeats by the SDK: they would hide a failed request.
        once = Config(retries={"total_max_attempts": 1}, max_pool_connections=settings.workers)
        try:
            self._summary = run_traffic(
                settings,
                stop=self._stop,
                runtime_client=self._aws.boto3_client("sagemaker-runtime", config=once),
                s3_client=self._aws.boto3_client("s3"),
            )
        except BaseException as error:  # the main thread raises it
            self._error = error

    def stop_after(self, seconds: float) -> None:
        """Let the callers go on for so long, then wait for their last answers."""
        self._stop.wait(seconds)
        self._stop.set()
        self._thread.join()

    @property
    def summary(self) -> TrafficSummary:
        """What the callers saw, once they have stopped."""
        if self._error is not None:
            raise RuntimeError("the traffic broke off") from self._error
        assert self._summary is not None
        return self._summary


@contextmanager
def _traffic(aws: LocalAWS) -> Iterator[_Traffic]:
    traffic = _Traffic(aws)
    try:
        yield traffic
    finally:
        traffic.stop_after(0)


def _conf(candidate: str) -> dict[str, Any]:
    return {
        "endpoint_name": ENDPOINT,
        "candidate_image": IMAGE,
        "candidate_model_data_url": f"s3://{BUCKET}/models/{_ARCHIVES.get(candidate, candidate)}/model.tar.gz",
        "execution_role_arn": ROLE,
        "capture_s3_uri": CAPTURE_URI,
        "ground_truth_s3_uri": GROUND_TRUTH_URI,
        "policy": POLICY,
        "deadline_hours": 0.05,
        "poll_interval_seconds": 2.0,
        "capture_lag_seconds": 2.0,
        "watch_minutes": 0.25,
        "metric_lag_seconds": 2.0,
    }


def _printer(console: Console) -> Any:
    colours = {"success": "green", "failed": "red", "upstream_failed": "red", "skipped": "magenta"}

    def show(task_id: str, state: str, seconds: float) -> None:
        name, colour = task_id.rpartition(".")[2], colours.get(state, "cyan")
        console.print(f"  [dim]{seconds:6.1f} s[/dim]  {name:<24} [{colour}]{state}[/{colour}]")

    return show


def _summarise(
    aws: LocalAWS, airflow: AirflowHome, candidate: str, run: DagRun, traffic: TrafficSummary, seconds: float
) -> DemoSummary:
    decision = airflow.xcom(run.run_id, "shadow_deployment.evaluate") or {}
    sagemaker = aws.boto3_client("sagemaker")
    # What serves now is asked of AWS, not of Airflow.
    state = sagemaker.describe_endpoint(EndpointName=ENDPOINT)
    after = state["EndpointConfigName"]
    active = sagemaker.describe_endpoint_config(EndpointConfigName=after)["ProductionVariants"][0]["ModelName"]
    verdicts, run_state = _EXPECTED[candidate]
    serves = decision.get("verdict") == "PROMOTE"
    as_expected = (
        decision.get("verdict") in verdicts
        and run.state == run_state
        and state["EndpointStatus"] == "InService"
        and (after != BASELINE_CONFIG) == serves
        and (active != INCUMBENT_MODEL) == serves
        and traffic.requests_failed == 0
    )
    failed = sorted(name.rpartition(".")[2] for name, state in run.tasks.items() if state == "failed")
    return DemoSummary(
        candidate=candidate,
        verdict=decision.get("verdict"),
        reason=decision.get("reason") or _why_failed(failed, state.get("FailureReason")),
        run_state=run.state,
        as_expected=as_expected,
        endpoint_config_before=BASELINE_CONFIG,
        endpoint_config_after=after,
        active_model_before=INCUMBENT_MODEL,
        active_model_after=active,
        requests_sent=traffic.requests_sent,
        requests_failed=traffic.requests_failed,
        pairs=decision.get("pairs", 0),
        seconds=round(seconds, 1),
        tasks=dict(run.tasks),
        record_uri=decision.get("record_uri"),
        report_uri=decision.get("report_uri"),
        traffic=asdict(traffic),
    )


def _why_failed(tasks: list[str], failure_reason: str | None) -> str:
    text = f"no verdict, because {', '.join(tasks) or 'no task'} failed"
    return f"{text}. SageMaker: {failure_reason}" if failure_reason else text


def _write(aws: LocalAWS, directory: Path, summary: DemoSummary) -> None:
    document = asdict(summary)
    (directory / "summary.json").write_text(json.dumps(document, indent=2) + "\n")
    from shadow_provider.demo.models import bucket_and_prefix

    s3 = aws.boto3_client("s3")
    record: Any = None
    for name, uri in (("record.json", summary.record_uri), ("report.html", summary.report_uri)):
        if uri:
            bucket, key = bucket_and_prefix(uri)
            (directory / name).write_bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    if summary.record_uri:
        record = json.loads((directory / "record.json").read_bytes())
    decision = {key: value for key, value in document.items() if key != "traffic"} | {"record": record}
    (directory / "decision.json").write_text(json.dumps(decision, indent=2) + "\n")


def _show(console: Console, summary: DemoSummary, run: DagRun, directory: Path) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    rows = {
        "verdict": summary.verdict or "none",
        "why": summary.reason,
        "DAG run": summary.run_state,
        "endpoint config": f"{summary.endpoint_config_before} -> {summary.endpoint_config_after}",
        "model": f"{summary.active_model_before} -> {summary.active_model_after}",
        "requests": f"{summary.requests_sent} sent, {summary.requests_failed} failed",
        "pairs": str(summary.pairs),
        "seconds": f"{summary.seconds:.1f}",
        "Airflow's log": str(run.log),
        **({"report": str(directory / "report.html")} if summary.report_uri else {}),
    }
    for name, value in rows.items():
        table.add_row(f"[bold]{name}[/bold]", value)
    console.print(table)
    if not summary.as_expected:
        console.print("[red]This is not how this candidate must end.[/red]")
