"""The commands of the demo: its models, its endpoint, its traffic, and the whole of it."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shadow_provider.cli.common import EndpointUrl, Level, LogLevel, Region, clear_errors, log_to_stderr

if TYPE_CHECKING:
    from types import FrameType

    from shadow_provider.demo.models import ModelArchive
    from shadow_provider.demo.traffic import TrafficSettings, TrafficSummary

log = logging.getLogger(__name__)

_LOG_LINE_SECONDS = 5.0


class Candidate(StrEnum):
    """The demo models that can stand in the shadow."""

    GOOD = "good"
    BAD = "bad"
    BROKEN = "broken"
    SAME = "same"


def models(
    directory: Annotated[Path, typer.Argument(help="Where the archives go.")] = Path("demo-models"),
    seed: Annotated[int | None, typer.Option(help="Of the training.", show_default="fixed")] = None,
    measure: Annotated[bool, typer.Option("--measure", help="Also time the prediction of one row.")] = False,
    upload: Annotated[
        str | None, typer.Option(help="Also put the archives under s3://bucket/prefix.", show_default=False)
    ] = None,
    create_bucket: Annotated[
        bool, typer.Option("--create-bucket", help="Create the bucket of --upload if it is missing.")
    ] = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
) -> None:
    """Train and pack the demo models (incumbent, good, bad, broken); a second call reuses them."""
    with clear_errors():
        from shadow_provider.demo.models import (
            DEFAULT_SEED,
            bucket_and_prefix,
            build_models,
            measure_latency,
            upload_models,
        )
        from shadow_provider.demo.setup import ensure_bucket

        archives = build_models(directory, DEFAULT_SEED if seed is None else seed)
        places = {name: str(archive.path) for name, archive in archives.items()}
        if upload is not None:
            client = _client("s3", endpoint_url, region)
            if create_bucket:
                ensure_bucket(client, bucket_and_prefix(upload)[0])
            places = upload_models(archives, upload, client)
        latencies = {}
        if measure:
            latencies = {name: measure_latency(each) for name, each in archives.items() if each.accuracy is not None}
    _show_models(archives, places, {name: f"{each.p50_ms:.3f} / {each.p90_ms:.3f}" for name, each in latencies.items()})


def demo_setup(
    directory: Annotated[Path, typer.Option(help="Where the archives go.")] = Path("demo-models"),
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the endpoint to be in service.", min=0)] = 60.0,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
) -> None:
    """Put the demo models into S3 and the incumbent behind a live endpoint; a second call changes nothing."""
    with clear_errors():
        from shadow_provider.demo.models import build_models
        from shadow_provider.demo.setup import ENDPOINT, create_live_endpoint, store_models

        places = store_models(build_models(directory), _client("s3", endpoint_url, region))
        config = create_live_endpoint(_client("sagemaker", endpoint_url, region), timeout)
    for place in places.values():
        typer.echo(place)
    typer.echo(f"endpoint {ENDPOINT} serves endpoint config {config}")


def traffic(
    endpoint_name: Annotated[str, typer.Argument(help="The SageMaker endpoint.")],
    rate: Annotated[float, typer.Option(help="Requests a second.", min=0.001)] = 20.0,
    duration: Annotated[
        float | None, typer.Option(help="Stop after so many seconds.", min=0, show_default="no limit")
    ] = None,
    count: Annotated[
        int | None, typer.Option(help="Stop after so many requests.", min=0, show_default="no limit")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draw of rows.")] = 0,
    workers: Annotated[int, typer.Option(help="Requests that can be under way at once.", min=1)] = 8,
    ground_truth: Annotated[
        str | None, typer.Option(help="Write the labels under s3://bucket/prefix.", show_default=False)
    ] = None,
    wait_for_endpoint: Annotated[
        float, typer.Option(help="Seconds to wait for the endpoint to be InService.", min=0)
    ] = 0.0,
    summary: Annotated[
        Path | None, typer.Option(help="A JSON file that holds the newest summary.", show_default=False)
    ] = None,
    fail_on_error: Annotated[bool, typer.Option("--fail-on-error", help="Exit 1 if any request failed.")] = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    log_level: Level = LogLevel.INFO,
) -> None:
    """Send held-out digits to an endpoint until the duration, the count, Ctrl-C or SIGTERM; write the ground truth.

    Exit code 1: labels could not be written, or requests failed and --fail-on-error is given.
    """
    log_to_stderr(log_level)
    with clear_errors():
        from shadow_provider.demo.traffic import TrafficSettings, run_traffic

        settings = TrafficSettings(
            endpoint_name=endpoint_name,
            rate=rate,
            duration_seconds=duration,
            count=count,
            seed=seed,
            workers=workers,
            endpoint_url=endpoint_url,
            region=region,
            ground_truth_uri=ground_truth,
            summary_path=summary,
            wait_for_endpoint_seconds=wait_for_endpoint,
        )
        stop = threading.Event()
        with _stopped_by_signals(stop), _progress(settings) as progress:
            result = run_traffic(settings, stop=stop, on_progress=progress)
    _show_summary(result)
    if result.ground_truth_pending or (fail_on_error and result.requests_failed):
        raise typer.Exit(1)


def demo(
    candidate: Annotated[Candidate, typer.Argument(help="The model to put in the shadow.")] = Candidate.GOOD,
    directory: Annotated[Path, typer.Option(help="Where models, records and reports go.")] = Path("demo"),
    log_level: Level = LogLevel.WARNING,
) -> None:
    """Run the whole pipeline against a local AWS: from shadow to promotion or rollback."""
    log_to_stderr(log_level)
    with clear_errors():
        from shadow_provider.demo.run import run_demo

        code = run_demo(candidate.value, directory)
    raise typer.Exit(code)


def _client(service: str, endpoint_url: str | None, region: str | None) -> Any:
    import boto3

    return boto3.client(service, endpoint_url=endpoint_url, region_name=region)


@contextlib.contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """SIGINT and SIGTERM ask for a clean stop; the second one is the default's, for the impatient."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)] or signal.SIG_DFL)

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


class _LogLines:
    """Progress where nobody watches a screen: a log line every few seconds."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _LOG_LINE_SECONDS

    def __call__(self, summary: TrafficSummary) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LOG_LINE_SECONDS
            log.info("%s", _in_one_line(summary))


@contextlib.contextmanager
def _progress(settings: TrafficSettings) -> Iterator[Any]:
    """What to call with each summary: a live line on a terminal, log lines elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _LogLines()
        return
    limits = [settings.count, settings.duration_seconds and settings.duration_seconds * settings.rate]
    total = min((limit for limit in limits if limit is not None), default=None)
    columns = (BarColumn(bar_width=20), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=total)
        yield lambda summary: bar.update(task, completed=summary.requests_sent, description=_in_one_line(summary))


def _in_one_line(summary: TrafficSummary) -> str:
    latency = summary.latency_ms
    words = [f"sent {summary.requests_sent}", f"failed {summary.requests_failed}", f"{summary.rate_sent:.1f}/s"]
    if latency:
        words.append(f"p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms")
    if summary.late:
        words.append(f"late {summary.late} (up to {summary.late_ms_max:.0f} ms)")
    return ", ".join(words)


def _show_summary(summary: TrafficSummary) -> None:
    typer.echo(f"{summary.endpoint_name}: {_in_one_line(summary)}")
    for cause, number in summary.failures_by_cause.items():
        typer.echo(f"  failed with {cause}: {number}")
    if summary.requests_unsent:
        typer.echo(f"  due but not sent before the end: {summary.requests_unsent}")
    if summary.ground_truth_written:
        typer.echo(f"  labels written: {summary.ground_truth_written}")
    if summary.ground_truth_pending:
        typer.echo(f"  labels lost: {summary.ground_truth_pending}", err=True)


def _show_models(archives: Mapping[str, ModelArchive], places: Mapping[str, str], latencies: Mapping[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "accuracy", "agreement", "SHA-256")
    if latencies:
        table.add_column("predict ms, p50 / p90")
    for name, archive in archives.items():
        row = [name, _percent(archive.accuracy), _percent(archive.agreement), archive.sha256[:12]]
        table.add_row(*row, *([latencies.get(name, "-")] if latencies else []))
    Console().print(table)
    for place in places.values():
        typer.echo(place)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"
