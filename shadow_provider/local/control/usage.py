"""What the server itself takes of the machine."""

from __future__ import annotations

import asyncio

import psutil


def server_usage() -> dict[str, int]:
    """Resident memory (bytes), open descriptors and tasks of the event loop that calls.

    What stays of requests that are over is a leak, and is seen here.
    """
    process = psutil.Process()
    return {
        "rss_bytes": process.memory_info().rss,
        "open_descriptors": process.num_fds(),
        "tasks": len(asyncio.all_tasks()),
    }
