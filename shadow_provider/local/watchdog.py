"""A process that waits for the server's end, and then ends and removes what the server could not.

Run by ProcessGuard, as a script of the standard library only. It reads lines from standard input, which is a pipe from
the server; when the server is gone, in whatever way, the pipe ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterable


def watch(lines: Iterable[str]) -> None:
    """Follows what the server has until its lines end, then kills and removes what it still has.

    Args:
        lines: "+group <id>", "-group <id>" and "+directory <path>".
    """
    groups: set[int] = set()
    directories: list[str] = []
    for line in lines:
        match line.rstrip("\n").split(" ", 1):
            case ["+group", group]:
                groups.add(int(group))
            case ["-group", group]:
                groups.discard(int(group))
            case ["+directory", path]:
                directories.append(path)
    for number in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(number, signal.SIGKILL)
    for path in directories:
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    # The server's end is the only one: a Ctrl-C is not meant for this process.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watch(sys.stdin)
