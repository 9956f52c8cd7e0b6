"""What must not outlive the server: the model processes with all they started, and temporary directories."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from shadow_provider.local import watchdog


class ProcessGuard:
    """Ends process groups and removes directories even if the server is killed with SIGKILL.

    A watchdog process knows of them; it acts when this process is gone. What a model starts is in the model's process
    group, unless it leaves that on purpose (setsid), as daemons do.
    """

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(watchdog.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # a terminal that goes takes its own session's processes along
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._watchdog.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._watchdog.stdin.close()
        self._watchdog.wait()

    def add_group(self, group: int) -> None:
        """Takes a process group into care.

        Args:
            group: Its id: the pid of the process that leads it.
        """
        self._groups.add(group)
        self._tell(f"+group {group}")

    def end_group(self, group: int) -> None:
        """Kills what is left of a process group whose leader has ended; does nothing the second time."""
        if group not in self._groups:
            return  # the number may be another's by now
        self._groups.discard(group)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
        self._tell(f"-group {group}")

    def add_directory(self, path: Path) -> None:
        """Takes a directory into care: it is removed when this process is gone, if it is still there."""
        self._tell(f"+directory {path}")

    def _tell(self, line: str) -> None:
        assert self._watchdog.stdin is not None
        # Somebody may have killed the watchdog: the model processes' own pipes still end them with the server.
        with contextlib.suppress(BrokenPipeError):
            self._watchdog.stdin.write(f"{line}\n".encode())
            self._watchdog.stdin.flush()
