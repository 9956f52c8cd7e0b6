"""The benchmark itself: what fails it, and that its load generator tells the truth."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import pytest

from benchmarks.load import Figures, Load
from benchmarks.local_targets import Target

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("measured", "others", "verdict"),
    [(0.9, 0.0, "pass"), (1.0, 0.9, "pass"), (1.2, 0.0, "close"), (1.3, 0.0, "fail"), (1.3, 0.5, "noisy")],
)
def test_a_missed_time_is_close_noisy_or_a_failure(measured: float, others: float, verdict: str) -> None:
    assert Target("p50", 1, measured, "ms").verdict(others) == verdict


def test_what_is_counted_is_met_or_failed_however_busy_the_machine_is() -> None:
    assert Target("errors", 0, 1, "", timed=False).verdict(0.9) == "fail"
    assert Target("share", 1, 0.999, "x", at_least=True, timed=False).verdict(0.9) == "fail"
    assert Target("requests", 1000, 801, "/s", at_least=True).verdict(0.0) == "close"
    assert Target("requests", 1000, 799, "/s", at_least=True).verdict(0.0) == "fail"


@contextmanager
def server(stall_at: int = 0, seconds: float = 0.0, *, close: bool = False) -> Iterator[str]:
    """Answers at once, but for the request `stall_at`, which holds up everything."""
    ready: list[tuple[asyncio.AbstractEventLoop, asyncio.Event, str]] = []
    started = threading.Event()

    async def serve() -> None:
        count, free = 0, asyncio.Lock()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal count
            try:
                while await reader.readuntil(b"\r\n\r\n"):
                    async with free:
                        count += 1
                        await asyncio.sleep(seconds if count == stall_at else 0)
                    writer.write(ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") if close else ANSWER)
                    if close:
                        break
            except asyncio.IncompleteReadError:
                pass
            writer.close()

        over = asyncio.Event()
        listening = await asyncio.start_server(answer, "127.0.0.1", 0)
        host, port = listening.sockets[0].getsockname()
        ready.append((asyncio.get_running_loop(), over, f"{host}:{port}"))
        started.set()
        await over.wait()
        listening.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(10)
    loop, over, address = ready[0]
    yield address
    loop.call_soon_threadsafe(over.set)
    thread.join(10)


def sent(load: Load) -> Figures:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", json.dumps(asdict(load))], capture_output=True, text=True, check=True
    )
    return Figures(**json.loads(done.stdout))


def test_an_open_loop_counts_the_wait_of_those_that_were_due_during_a_stall() -> None:
    with server(stall_at=50, seconds=0.5) as address:
        figures = sent(Load(address, "GET / HTTP/1.1\r\n\r\n", seconds=1.5, rate=100))
    # 50 of 150 requests were due while nothing was answered: a tenth waited longer than 0.3 s, all but one unasked.
    assert (figures.requests, figures.errors) == (150, 0)
    assert figures.p90 > 250
    assert figures.p50 < 100
    assert 450 < figures.longest < 1500


@pytest.mark.parametrize("close", [False, True])
def test_a_closed_loop_ends_by_itself_after_its_requests_on_kept_and_on_closed_connections(close: bool) -> None:
    with server(close=close) as address:
        figures = sent(Load(address, "GET /{n} HTTP/1.1\r\n\r\n", connections=4, requests=400))
    assert (figures.requests, figures.errors) == (400, 0)
