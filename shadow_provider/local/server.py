"""The server process: puts the parts together, listens, and leaves no process behind when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import uvicorn

from shadow_provider.local.assembly import Assembly, Directories
from shadow_provider.local.guard import GuardedProtocol
from shadow_provider.local.moto_bridge import MotoBridge
from shadow_provider.local.process_guard import ProcessGuard
from shadow_provider.local.settings import LocalAddress, LocalSettings
from shadow_provider.local.temporary import owned_directory

logger = logging.getLogger(__name__)

_GRACE = 5
# A unix socket's path may be 107 bytes long; "/<number>.sock" comes after the directory.
_SOCKET_DIR_LIMIT = 90


def serve(
    settings: LocalSettings | None = None,
    ready_file: Path | None = None,
    on_ready: Callable[[LocalAddress], None] | None = None,
) -> None:
    """Runs the local AWS until SIGTERM, SIGINT or SIGHUP, then stops every process it started and returns.

    Must be called in the main thread.

    Args:
        settings: How it behaves; the defaults if None.
        ready_file: Written atomically once the server listens: JSON with endpoint_url, connection_uri and pid. Removed
            when it ends.
        on_ready: Called once the server listens.

    Raises:
        OSError: The address cannot be listened on.
    """
    settings = settings or LocalSettings()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner, _absent_at_both_ends(ready_file):
        runner.run(_serve(settings, ready_file, on_ready))


@contextlib.contextmanager
def _absent_at_both_ends(ready_file: Path | None) -> Iterator[None]:
    if ready_file is None:
        yield
        return
    ready_file.unlink(missing_ok=True)  # of a server that was killed
    try:
        yield
    finally:
        ready_file.unlink(missing_ok=True)


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
            interface="asgi3",
            http=GuardedProtocol,
            ws="none",
            proxy_headers=False,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=_GRACE,
            timeout_keep_alive=75,
        )
        server = _Server(config)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
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
async def _application(settings: LocalSettings) -> AsyncIterator[Assembly]:
    with contextlib.ExitStack() as stack:
        guard = stack.enter_context(ProcessGuard())
        work_dir = settings.work_dir or stack.enter_context(owned_directory())
        for name in ("models", "logs"):
            (work_dir / name).mkdir(parents=True, exist_ok=True)
        socket_dir = stack.enter_context(_socket_directory(work_dir))
        for path in (work_dir / "models", socket_dir, *([] if settings.work_dir else [work_dir])):
            guard.add_directory(path)
        stack.callback(shutil.rmtree, work_dir / "models", ignore_errors=True)
        moto = MotoBridge(settings.account_id, work_dir)
        stack.callback(moto.close)
        assembly = Assembly(settings, moto, guard, Directories(work_dir / "models", work_dir / "logs", socket_dir))
        try:
            yield assembly
        finally:
            await assembly.close()


def _listen(settings: LocalSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"Cannot listen on {settings.host}, port {settings.port}: {reason}") from error
    return listener


@contextlib.contextmanager
def _socket_directory(work_dir: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="s-", dir=work_dir.resolve()) as made:
        if len(os.fsencode(made)) <= _SOCKET_DIR_LIMIT:
            yield Path(made)
            return
    with owned_directory(Path("/tmp")) as elsewhere:  # noqa: S108 - the one place whose path is surely short
        yield elsewhere


def _write_atomically(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)
