"""What the commands share: options, logging, and errors that people can read."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

log = logging.getLogger(__name__)

_INSTALL_LOCAL = "pip install 'airflow-provider-sagemaker-shadow[local]'"
_LOCAL_EXTRA = frozenset({"a2wsgi", "httptools", "joblib", "moto", "regex", "sklearn", "uvicorn", "uvloop"})
_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class LogLevel(StrEnum):
    """What goes to standard error."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


EndpointUrl = Annotated[
    str | None, typer.Option(help="Where AWS is, e.g. the local one; default: as boto3 finds it.", show_default=False)
]
Region = Annotated[str | None, typer.Option(help="AWS region; default: as boto3 finds it.", show_default=False)]
Level = Annotated[LogLevel, typer.Option(help="What to log on standard error.")]


AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]


@contextlib.contextmanager
def clear_errors(code: int = 1) -> Iterator[None]:
    """One line and this exit code for what a user can put right; a traceback for what only we can."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _LOCAL_EXTRA:
            raise
        log.debug("%s", missing, exc_info=True)
        fail(f"{missing} is not installed. This command needs the local extra: {_INSTALL_LOCAL}", code)
    except Exception as error:
        if not _is_expected(error):
            raise
        log.debug("%s", error, exc_info=True)
        fail(" ".join(str(error).split()), code)


def _is_expected(error: Exception) -> bool:
    """Whether it is a bad value, the operating system, an answer of AWS, or an endpoint that is not there."""
    from botocore.exceptions import BotoCoreError, ClientError

    from shadow_provider.demo.setup import EndpointNotServingError
    from shadow_provider.demo.traffic import TrafficError
    from shadow_provider.local.control.client import ControlError

    expected = (
        ValueError | OSError | BotoCoreError | ClientError | ControlError | EndpointNotServingError | TrafficError
    )
    return isinstance(error, expected)


def fail(message: str, code: int = 1) -> NoReturn:
    """Ends the command with one line.

    Args:
        message: What is wrong.
        code: 1 for what went wrong, 2 for what was asked wrongly.
    """
    typer.echo(f"Error: {message}", err=True)
    raise typer.Exit(code)


def log_to_stderr(level: LogLevel) -> None:
    """Logs with times on standard error."""
    logging.basicConfig(level=logging.WARNING, format=_LOG_FORMAT)
    logging.getLogger("shadow_provider").setLevel(level.name)


def log_to_file(level: LogLevel, path: Path) -> None:
    """Logs with times to a file, after what stands in it."""
    logging.basicConfig(level=logging.WARNING, format=_LOG_FORMAT, filename=path)
    logging.getLogger("shadow_provider").setLevel(level.name)
