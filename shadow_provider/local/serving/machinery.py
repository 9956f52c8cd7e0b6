"""What all that is deployed on the server shares."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shadow_provider.local.cloudwatch.metric_store import MetricStore
from shadow_provider.local.faults.board import FaultBoard
from shadow_provider.local.moto_bridge import LocalS3
from shadow_provider.local.process_guard import ProcessGuard
from shadow_provider.local.settings import LocalSettings


@dataclass(frozen=True)
class Machinery:
    """What all deployments of the server share.

    Attributes:
        settings: The server's settings.
        s3: The local S3.
        metrics: The local CloudWatch's store.
        work_dir: Model data of the running fleets.
        log_dir: Logs of the model processes.
        socket_dir: Their sockets.
        numbers: Numbers the processes.
        faults: What is to go wrong.
        guard: Ends what model processes started, whatever happens to the server.
        alarm_state: The state of a CloudWatch alarm by its name; None if there is no such alarm.
    """

    settings: LocalSettings
    s3: LocalS3
    metrics: MetricStore
    work_dir: Path
    log_dir: Path
    socket_dir: Path
    numbers: itertools.count[int]
    faults: FaultBoard
    guard: ProcessGuard
    alarm_state: Callable[[str], str | None]
