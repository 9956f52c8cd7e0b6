"""What a model process uses of the machine, with all processes that it started."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Usage:
    """What an instance used, in percent as SageMaker tells it.

    Attributes:
        cpu: Of one core, so that it can be 100 times the number of cores.
        memory: Of the machine's memory.
        disk: Of the disk that the model data is on.
    """

    cpu: float
    memory: float
    disk: float


class UsageMeter:
    """Measures one instance, from one reading to the next.

    Args:
        disk: A path on the disk that counts.
    """

    def __init__(self, disk: Path) -> None:
        self._disk = disk
        self._pid: int | None = None
        self._seconds = 0.0
        self._read_at = time.monotonic()

    def read(self, pid: int) -> Usage | None:
        """What the process and its children used since the last reading, or since they started.

        None if there is no such process any more.
        """
        try:
            parent = psutil.Process(pid)
            family = [parent, *parent.children(recursive=True)]
            seconds, resident = _cpu_seconds(parent), _resident(parent)
        except psutil.Error:
            return None
        for child in family[1:]:
            try:
                seconds, resident = seconds + _cpu_seconds(child), resident + _resident(child)
            except psutil.Error:  # it has just ended
                continue
        now = time.monotonic()
        before = self._seconds if pid == self._pid else 0.0
        # A child that ended and was not waited for takes its time with it.
        used, elapsed = max(0.0, seconds - before), max(now - self._read_at, 1e-3)
        self._pid, self._seconds, self._read_at = pid, seconds, now
        memory = 100.0 * resident / psutil.virtual_memory().total
        return Usage(100.0 * used / elapsed, memory, float(psutil.disk_usage(str(self._disk)).percent))


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    # Not every system tells what children used that have ended.
    ended = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return float(times.user + times.system + ended)


def _resident(process: psutil.Process) -> int:
    return int(process.memory_info().rss)
