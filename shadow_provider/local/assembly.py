"""The parts of a running server put together, and the way back to an empty one."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path

from shadow_provider.local.app import LocalApp
from shadow_provider.local.cloudwatch.metric_store import MetricStore
from shadow_provider.local.cloudwatch.service import CloudWatch
from shadow_provider.local.control.api import ControlApi
from shadow_provider.local.control.calls import CallLog
from shadow_provider.local.control.status import StatusPage
from shadow_provider.local.faults.board import FaultBoard
from shadow_provider.local.front import Front
from shadow_provider.local.guard import Guard
from shadow_provider.local.moto_bridge import MotoBridge
from shadow_provider.local.process_guard import ProcessGuard
from shadow_provider.local.protocol import Receive, Scope, Send
from shadow_provider.local.sagemaker.control_plane import ControlPlane
from shadow_provider.local.serving.endpoints import Endpoints
from shadow_provider.local.serving.machinery import Machinery
from shadow_provider.local.serving.runtime import Runtime
from shadow_provider.local.settings import LocalSettings


@dataclass(frozen=True)
class Directories:
    """Where the server keeps its files.

    Attributes:
        models: Unpacked model data.
        logs: Logs of the model processes.
        sockets: Their sockets; a short path.
    """

    models: Path
    logs: Path
    sockets: Path


class Assembly:
    """The ASGI app of one server. A reset puts new parts in place of all that have a memory, so none is forgotten.

    Args:
        settings: How the server behaves.
        moto: S3 and what else moto serves.
        guard: Ends what would outlive the server.
        directories: Where the files are.
    """

    def __init__(
        self, settings: LocalSettings, moto: MotoBridge, guard: ProcessGuard, directories: Directories
    ) -> None:
        self._settings = settings
        self._moto = moto
        self._guard = guard
        self._directories = directories
        # These two go on over a reset: processes' names stay unique, and who follows the calls misses none.
        self._numbers = itertools.count(1)
        self._log = CallLog(settings.call_log_size)
        self._assemble()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answers one HTTP request."""
        return self._app(scope, receive, send)

    async def reset(self) -> None:
        """Stops all deployments and forgets everything: resources, S3's content, metrics, alarms, faults, calls."""
        board, endpoints = self._board, self._endpoints
        self._work.cancel()
        self._assemble()
        board.clear()
        await endpoints.close()
        self._moto.reset()
        self._log.clear()

    async def close(self) -> None:
        """Stops every model process."""
        self._work.cancel()
        await self._endpoints.close()

    def _assemble(self) -> None:
        settings = self._settings
        store = MetricStore(lag=settings.real(settings.metric_lag_seconds))
        self._board = FaultBoard(settings.seed)
        cloudwatch = CloudWatch(store, settings, self._board)
        self._work = asyncio.create_task(cloudwatch.run())
        alarm_state = cloudwatch.alarms.alarm_state
        self._endpoints = Endpoints(
            Machinery(
                settings=settings,
                s3=self._moto.s3,
                metrics=store,
                work_dir=self._directories.models,
                log_dir=self._directories.logs,
                socket_dir=self._directories.sockets,
                numbers=self._numbers,
                faults=self._board,
                guard=self._guard,
                alarm_state=alarm_state,
            )
        )
        status = StatusPage(settings, self._endpoints, store, self._directories.logs)
        app = LocalApp(
            ControlPlane(settings, self._endpoints, self._moto.s3, alarm_state),
            Runtime(settings, self._endpoints),
            cloudwatch,
            self._moto,
            ControlApi(status, self._board, self._log, self.reset),
        )
        self._app = Guard(Front(app, self._board, self._log))
