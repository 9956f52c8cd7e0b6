"""One model process: start, health, requests, restart, stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import shadow_provider
from shadow_provider.local.process_guard import ProcessGuard
from shadow_provider.local.serving.http_client import ConnectionPool, ContainerResponse, ContainerUnreachableError
from shadow_provider.local.serving.variant_faults import VariantFaults

logger = logging.getLogger(__name__)

PING_TIMEOUT = 2.0
_PING_INTERVAL = 0.02
_RESTART_PAUSE = 1.0
_STOP_TIMEOUT = 5.0
_DROPPED_FROM_ENVIRONMENT = ("AWS_", "AIRFLOW_", "MOTO_")


class UnhealthyError(Exception):
    """A model process ended or did not answer /ping in time."""


@dataclass(frozen=True)
class ProcessSpec:
    """What a variant's processes have in common.

    Attributes:
        label: Endpoint and variant, for the log.
        model_dir: The unpacked model data.
        environment: The container's Environment.
        log_dir: Where each process's stdout and stderr go.
        socket_dir: A short path, private to the server.
        nice: Niceness.
        startup_timeout: Seconds until /ping must have answered 200.
        faults: What is to go wrong with the variant.
        guard: Ends what the processes started, whatever happens to the server.
    """

    label: str
    model_dir: Path
    environment: dict[str, str]
    log_dir: Path
    socket_dir: Path
    nice: int
    startup_timeout: float
    faults: VariantFaults
    guard: ProcessGuard


class Instance:
    """One model process; restarted when it ends by itself, as SageMaker restarts a container.

    Args:
        spec: What the variant's processes have in common.
        number: Which of them this is; unique in the server.

    Attributes:
        healthy: Whether it answers.
        in_flight: Requests that it was picked for and that are not over.
        restarts: How often it was started again.
    """

    def __init__(self, spec: ProcessSpec, number: int) -> None:
        self._spec = spec
        self.number = number
        self._socket = spec.socket_dir / f"{number}.sock"
        self.log_path = spec.log_dir / f"{spec.label.replace('/', '-')}-{number}.log"
        self._pool = ConnectionPool(str(self._socket))
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.healthy = False
        self.in_flight = 0
        self.restarts = 0
        self._frozen = False

    @property
    def pid(self) -> int | None:
        """The process now running."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    async def start(self) -> None:
        """Starts the process and waits until it is healthy.

        Raises:
            UnhealthyError: It ended, or did not answer /ping in time; it is stopped then.
        """
        try:
            await self._launch()
        except BaseException:
            await self.stop()
            raise
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL, to the process and what it started."""
        self.healthy = False
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        self._pool.close()
        await self._end_process()
        self._socket.unlink(missing_ok=True)

    async def invoke(self, headers: list[tuple[str, str]], body: bytes, seconds: float) -> ContainerResponse:
        """POST /invocations; raises what ConnectionPool.request raises."""
        return await self._pool.request("POST", "/invocations", headers, body, seconds)

    async def drain(self, seconds: float) -> None:
        """Waits until nothing is under way, at most `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.in_flight:  # noqa: ASYNC110 - requests need not tell, a fleet rarely asks
                    await asyncio.sleep(0.01)

    def signal(self, number: int) -> None:
        """Sends a signal to the process and what it started; for faults, nothing else does that to a healthy one."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    async def freeze(self) -> None:
        """Stops the process as it stands, for a fault.

        Returns when all its threads stand still: one that had not yet heard of it could still answer a request.
        """
        self._frozen = True
        self.signal(signal.SIGSTOP)
        while self._frozen and self.pid is not None and not _stands_still(self.pid):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.001)

    def thaw(self) -> None:
        """Lets the process go on."""
        self._frozen = False
        self.signal(signal.SIGCONT)

    async def _launch(self) -> None:
        self._socket.unlink(missing_ok=True)
        arguments = ["--socket", str(self._socket), "--model-dir", str(self._spec.model_dir)]
        arguments += ["--parent", str(os.getpid()), "--nice", str(self._spec.nice)]
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-m", "shadow_provider.local.serving.model_server", *arguments),
                stdin=asyncio.subprocess.PIPE,  # its end tells the process that we are gone
                stdout=log,
                stderr=log,
                cwd=self._spec.model_dir,
                env=child_environment(self._spec.environment),
                start_new_session=True,  # Ctrl-C goes to us, and we stop the processes in order
            )
        self._spec.guard.add_group(self._process.pid)
        logger.info("%s: process %d started, its log is %s", self._spec.label, self._process.pid, self.log_path)
        await self._wait_healthy(self._process)

    async def _wait_healthy(self, process: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(self._spec.startup_timeout):
                while process.returncode is None:
                    if self._socket.exists() and await self._ping():
                        self.healthy = True
                        return
                    await asyncio.sleep(_PING_INTERVAL)
        except TimeoutError:
            cause = f"no answer to /ping within {self._spec.startup_timeout:g} s"
        else:
            cause = f"exited with {process.returncode}"
        logger.warning("%s: model process %s; end of %s:\n%s", self._spec.label, cause, self.log_path, self._log_end())
        raise UnhealthyError(cause)

    async def _ping(self) -> bool:
        if self._spec.faults.fail_ping():
            return False
        try:
            return (await self._pool.request("GET", "/ping", [], b"", PING_TIMEOUT)).status == 200
        except (ContainerUnreachableError, TimeoutError):
            return False

    async def _keep(self) -> None:
        while self._process is not None:
            code = await self._process.wait()
            self.healthy = False
            self._spec.guard.end_group(self._process.pid)
            logger.warning("%s: model process ended with %s, restarting; log %s", self._spec.label, code, self.log_path)
            await asyncio.sleep(_RESTART_PAUSE)
            self.restarts += 1
            try:
                await self._launch()
            except UnhealthyError:
                await self._end_process()
            except OSError:
                # Too many open files, or no memory for a process: that may pass.
                logger.exception("%s: a model process could not be started again", self._spec.label)

    async def _end_process(self) -> None:
        process = self._process
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.returncode is not None:
                break
            self.signal(number)
            self.signal(signal.SIGCONT)  # one that a fault stopped could not even end
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _STOP_TIMEOUT)
        self._spec.guard.end_group(process.pid)

    def _log_end(self, lines: int = 20) -> str:
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])


def _stands_still(pid: int) -> bool:
    if not hasattr(os, "waitid"):  # macOS before Python 3.13 cannot tell
        return True
    try:
        # Neither its end nor its stop is taken from the event loop, which waits for the process too.
        return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT | os.WNOHANG) is not None
    except ChildProcessError:
        return True


def child_environment(container: dict[str, str]) -> dict[str, str]:
    """The environment of a model process: this one's without our AWS settings, then the container's.

    PYTHONDONTWRITEBYTECODE goes, since it makes importing scikit-learn three times slower at each start.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_DROPPED_FROM_ENVIRONMENT) and name not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")
    }
    package_root = str(Path(shadow_provider.__file__).parent.parent)
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([package_root, inherited] if inherited else [package_root])
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **container, "PYTHONPATH": path}
