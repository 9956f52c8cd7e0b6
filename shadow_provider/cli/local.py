"""The commands that run the local AWS and show what happens in it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shlex
import signal
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shadow_provider.cli.common import LogLevel, clear_errors, fail, log_to_file, log_to_stderr
from shadow_provider.cli.typed_values import WrongValueError, in_one_line, split, typed

if TYPE_CHECKING:
    from types import FrameType

    from shadow_provider.local import LocalAddress, LocalSettings

DEFAULT_URL = "http://127.0.0.1:4599"
_PORT = 4599
_BEHAVIOUR = "How it behaves"
_OUTPUT = "What it shows"

LocalUrl = Annotated[str, typer.Option(envvar="AWS_ENDPOINT_URL", help="Where the local AWS is.", metavar="URL")]


def local(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 takes a free one.", show_default=str(_PORT))
    ] = None,
    region: Annotated[str | None, typer.Option(help="The region to be.", show_default="us-east-1")] = None,
    clock: Annotated[
        float | None,
        typer.Option(
            help="AWS seconds that pass in one second: 60 makes AWS's minutes of waiting seconds.",
            show_default="1",
            rich_help_panel=_BEHAVIOUR,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Makes what is left to chance repeatable.", show_default="none", rich_help_panel=_BEHAVIOUR),
    ] = None,
    startup_timeout: Annotated[
        float | None,
        typer.Option(
            help="AWS seconds until a model's first ping.",
            show_default="480",
            rich_help_panel=_BEHAVIOUR,
        ),
    ] = None,
    capture_flush_seconds: Annotated[
        float | None,
        typer.Option(help="Seconds between writes of captures.", show_default="5", rich_help_panel=_BEHAVIOUR),
    ] = None,
    quota: Annotated[
        list[str] | None,
        typer.Option(help="A service quota; may be given again.", metavar="NAME=N", rich_help_panel=_BEHAVIOUR),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Any other setting of docs/local.md; may be given again.",
            metavar="NAME=VALUE",
            rich_help_panel=_BEHAVIOUR,
        ),
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option(
            help="Settings from a .json or .toml file; options come before it.",
            show_default=False,
            rich_help_panel=_BEHAVIOUR,
        ),
    ] = None,
    live: Annotated[
        bool | None,
        typer.Option(
            "--live/--no-live", help="Show what happens.", show_default="on a terminal", rich_help_panel=_OUTPUT
        ),
    ] = None,
    log_level: Annotated[LogLevel, typer.Option(help="What to log.", rich_help_panel=_OUTPUT)] = LogLevel.INFO,
    log_file: Annotated[
        Path | None, typer.Option(help="Log there.", show_default="standard error", rich_help_panel=_OUTPUT)
    ] = None,
    ready_file: Annotated[
        Path | None,
        typer.Option(help="A file that is there while it runs.", show_default=False, rich_help_panel=_OUTPUT),
    ] = None,
) -> None:
    """Run the local AWS: S3, SageMaker, CloudWatch, IAM and STS behind one endpoint URL, until stopped.

    Ctrl-C and SIGTERM stop all that it started; the exit code is 0 then, 1 if it could not run, 2 for a wrong option.
    """
    shown = sys.stdout.isatty() if live is None else live
    with clear_errors():
        options = {
            "host": host,
            "port": port,
            "region": region,
            "clock": clock,
            "seed": seed,
            "startup_timeout": startup_timeout,
            "capture_flush_seconds": capture_flush_seconds,
        }
        given = {name: value for name, value in options.items() if value is not None}
        try:
            chosen = settings_of(settings, set_ or [], quota or [], given)
        except WrongValueError as error:
            fail(str(error), 2)
        if log_file is not None:
            log_to_file(log_level, log_file)
        elif not shown:
            log_to_stderr(log_level)
        _serve(chosen, ready_file, log_level if shown and log_file is None else None, shown=shown)


def watch(url: LocalUrl = DEFAULT_URL) -> None:
    """Show what happens in a local AWS that runs elsewhere, until Ctrl-C; once, where this is no terminal."""
    from rich.console import Console

    with clear_errors():
        from shadow_provider.local.live_view import LiveView

        console = Console(highlight=False)
        view = LiveView(url, console)
        if not console.is_terminal:
            console.print(view.once())
            return
        stop = threading.Event()
        with _set_by_signals(stop):
            view.run(stop, to_its_end=True)


def settings_of(file: Path | None, pairs: list[str], quotas: list[str], options: dict[str, Any]) -> LocalSettings:
    """The settings that the options mean.

    Args:
        file: The settings file.
        pairs: What --set says.
        quotas: What --quota says.
        options: What other options say, by the setting's name.

    Raises:
        WrongValueError: With the option that is wrong.
    """
    from pydantic import ValidationError

    from shadow_provider.local import LocalSettings

    values: dict[str, Any] = {"port": _PORT}
    labels: dict[str, str] = {}
    if file is not None:
        values |= _read(file)
        labels |= {name: f"{file}: {name}" for name in values}
    for pair in pairs:
        try:
            name, text = split(pair)
            values[name] = typed(LocalSettings, name, text)
        except WrongValueError as error:
            raise WrongValueError(f"--set: {error}") from None
        labels[name] = f"--set {name}"
    for pair in quotas:
        try:
            name, text = split(pair)
        except WrongValueError as error:
            raise WrongValueError(f"--quota: {error}") from None
        values["quotas"] = {**values.get("quotas", {}), name: text}
        labels["quotas"] = "--quota"
    values |= options
    labels |= {name: f"--{name.replace('_', '-')}" for name in options}
    try:
        return LocalSettings.model_validate(values)
    except ValidationError as error:
        raise WrongValueError(in_one_line(error, labels)) from None


def _read(file: Path) -> dict[str, Any]:
    readers = {".json": json.loads, ".toml": tomllib.loads}
    if file.suffix not in readers:
        raise WrongValueError(f"--settings: {file} is neither .json nor .toml")
    try:
        content = readers[file.suffix](file.read_text())
    except (OSError, ValueError) as error:
        raise WrongValueError(f"--settings: {file}: {error}") from None
    if not isinstance(content, dict):
        raise WrongValueError(f"--settings: {file} holds no settings")
    return content


def _serve(settings: LocalSettings, ready_file: Path | None, log_level: LogLevel | None, *, shown: bool) -> None:
    import errno

    from rich.console import Console

    from shadow_provider.local import serve

    # Settings of the machine's real AWS: a profile that is named there would have to exist.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    console = Console(highlight=False, force_terminal=True if shown else None)
    with contextlib.ExitStack() as stack:
        if log_level is not None:
            _log_above_the_view(log_level, console)

        def ready(address: LocalAddress) -> None:
            show_address(address, console)
            if shown:
                from shadow_provider.local.live_view import LiveView

                stack.enter_context(_in_background(LiveView(address.endpoint_url, console)))

        try:
            serve(settings, ready_file=ready_file, on_ready=ready)
        except OSError as error:
            hint = ". Choose another with --port, or any that is free with --port 0"
            fail(f"{error.strerror or error}{hint if error.errno == errno.EADDRINUSE else ''}")


@contextlib.contextmanager
def _in_background(view: Any) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=view.run, args=(stop,), name="live view", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def _set_by_signals(stop: threading.Event) -> Iterator[None]:
    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _log_above_the_view(level: LogLevel, console: Any) -> None:
    from rich.logging import RichHandler

    handler = RichHandler(
        console=console, show_path=False, markup=False, log_time_format="%H:%M:%S", rich_tracebacks=False
    )
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    logging.getLogger("shadow_provider").setLevel(level.name)


def show_address(address: LocalAddress, console: Any) -> None:
    """Tell how to reach the local AWS. Lines to copy are echoed as they are: rich would break them at the margin."""
    console.print(f"\n[bold]Local AWS ready[/bold] at [bold cyan]{address.endpoint_url}[/bold cyan] ({address.region})")
    console.print("It checks no signatures and takes any credentials: keep it off networks you do not trust.\n")
    console.print("[dim]# for boto3, the AWS CLI and Airflow: paste into the shell that runs them[/dim]")
    for name, value in address.environment.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    console.print("\n[dim]# the connection, if you would rather add it in Airflow's UI or CLI[/dim]")
    typer.echo(address.connection_uri)
    console.print("\n[dim]# first steps[/dim]")
    typer.echo("aws s3 mb s3://models && aws sagemaker list-endpoints")
    typer.echo("""python -c "import boto3; print(boto3.client('sagemaker').list_endpoints()['Endpoints'])" """.strip())
    console.print("\n[dim]# what it does, and what is to go wrong; Ctrl-C stops it[/dim]")
    typer.echo(f"curl {address.endpoint_url}/_local/status")
    typer.echo("sagemaker-shadow fault --help\n")
