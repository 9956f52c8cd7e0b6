"""The server process: puts the parts together, listens, and leaves no process behind when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn

from shadow_provider.local.app import LocalApp
from shadow_provider.local.cloudwatch.metric_store import MetricStore
from shadow_provider.local.cloudwatch.service import CloudWatch
from shadow_provider.local.control.api import ControlApi
from shadow_provider.local.control.calls import CallLog
from shadow_provider.local.control.usage import server_usage
from shadow_provider.local.faults.board import FaultBoard
from shadow_provider.local.front import Front
from shadow_provider.local.guard import Guard, GuardedProtocol
from shadow_provider.local.moto_bridge import MotoBridge
from shadow_provider.local.sagemaker.control_plane import ControlPlane
from shadow_provider.local.sagemaker.describe import endpoint_status
from shadow_provider.local.serving.deployment import Machinery
from shadow_provider.local.serving.endpoints import Endpoints
from shadow_provider.local.serving.runtime import Runtime
from shadow_provider.local.settings import LocalAddress, LocalSettings

logger = logging.getLogger(__name__)

_GRACE = 5
# A unix socket's path may be 107 bytes long; "/<number>.sock" comes after the directory.
_SOCKET_DIR_LIMIT = 90


def serve(
    settings: LocalSettings | None = None,
    ready_file: Path | None = None,
    on_ready: Callable[[LocalAddress], None] | None = None,
) -> None:
    """Runs the local AWS until SIGTERM or SIGINT, then stops every process it started.

    Must be called in the main thread.

    Args:
        settings: How it behaves; the defaults if None.
        ready_file: Written atomically once the server listens: JSON with endpoint_url, connection_uri and pid.
        on_ready: Called once the server listens.

    Raises:
        OSError: The address cannot be listened on.
    """
    settings = settings or LocalSettings()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, ready_file, on_ready))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


async def _serve(
    settings: LocalSettings, ready_file: Path | None, on_ready: Callable[[LocalAddress], None] | None
) -> None:
    listener = _listen(settings)
    address = LocalAddress.of(settings, listener.getsockname()[1])
    async with _application(settings) as app:
        config = uvicorn.Config(
            app,
            http=GuardedProtocol,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=_GRACE,
            timeout_keep_alive=75,
        )
        server = _Server(config)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn offers no event
            await asyncio.sleep(0.005)
        if ready_file is not None:
            _write_atomically(ready_file, address.to_json())
        if on_ready is not None:
            on_ready(address)
        await serving


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are ours: uvicorn would raise them again, and the process would end without cleaning up."""
        yield

    def stop(self) -> None:
        """Asks for the end; asked twice, it does not wait for requests under way."""
        self.force_exit = self.should_exit
        self.should_exit = True


@contextlib.asynccontextmanager
async def _application(settings: LocalSettings) -> AsyncIterator[Guard]:
    with contextlib.ExitStack() as stack:
        work_dir = settings.work_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="local-aws-")))
        for name in ("models", "logs"):
            (work_dir / name).mkdir(parents=True, exist_ok=True)
        socket_dir = Path(stack.enter_context(_socket_directory(work_dir)))
        stack.callback(shutil.rmtree, work_dir / "models", ignore_errors=True)
        moto = MotoBridge(settings.account_id)
        stack.callback(moto.close)
        store = MetricStore()
        board, log = FaultBoard(settings.seed), CallLog(settings.call_log_size)
        directories = (work_dir / "models", work_dir / "logs", socket_dir)
        endpoints = Endpoints(Machinery(settings, moto.s3, store, *directories, itertools.count(1), board))

        def status() -> dict[str, Any]:
            return {
                "pid": os.getpid(),
                "server": server_usage(),
                "region": settings.region,
                "account_id": settings.account_id,
                "log_dir": str(work_dir / "logs"),
                "endpoints": [endpoint_status(endpoint) for endpoint in endpoints],
            }

        control_plane = ControlPlane(settings, endpoints, moto.s3)
        try:
            control = ControlApi(status, board, log)
            app = LocalApp(control_plane, Runtime(settings, endpoints), CloudWatch(store, settings), moto, control)
            yield Guard(Front(app, board, log))
        finally:
            await endpoints.close()


def _listen(settings: LocalSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(512)
    except OSError:
        listener.close()
        raise
    return listener


def _socket_directory(work_dir: Path) -> tempfile.TemporaryDirectory[str]:
    made = tempfile.TemporaryDirectory(prefix="s-", dir=work_dir.resolve())
    if len(os.fsencode(made.name)) <= _SOCKET_DIR_LIMIT:
        return made
    made.cleanup()
    return tempfile.TemporaryDirectory(prefix="local-aws-", dir="/tmp")


def _write_atomically(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)
