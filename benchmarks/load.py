"""A load generator that costs little: raw HTTP/1.1 over kept connections, one process, no SDK.

Closed loop: each connection asks again as soon as it has its answer. Open loop: requests come at a fixed rate whatever
the answers do, and latency counts from the instant at which a request was due, so that a server that stalls pays for
those that had to wait (no coordinated omission).

    python -m benchmarks.load '{"address": "127.0.0.1:8080", "request": "GET / ...", "connections": 4, "seconds": 2}'
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import time
from array import array
from collections import deque
from dataclasses import asdict, dataclass

import uvloop

_OPEN_LOOP_CONNECTIONS = 64
_PATIENCE = 10.0


@dataclass(frozen=True)
class Load:
    """What is to be sent.

    Attributes:
        address: host:port, or the path of a unix socket.
        request: The whole request. "{n}" becomes the request's number with eight digits.
        connections: Of the closed loop.
        seconds: How long.
        rate: Requests a second of the open loop; None is the closed loop.
        requests: Ends the closed loop instead of `seconds`.
    """

    address: str
    request: str
    connections: int = 1
    seconds: float = 2.0
    rate: float | None = None
    requests: int | None = None


@dataclass(frozen=True)
class Figures:
    """What came of it; latencies in milliseconds.

    Attributes:
        requests: Answers, the wrong ones included.
        errors: Answers other than 200, connections lost, answers that never came.
        per_second: Answers a second.
    """

    requests: int
    errors: int
    per_second: float
    p50: float
    p90: float
    p99: float
    longest: float


class _Connection(asyncio.Protocol):
    """One connection; asks one thing at a time."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._due: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    @property
    def closed(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def ask(self, due: float) -> None:
        self._due = due
        assert self._transport is not None
        self._transport.write(self._run.next_request())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        at = head.index(b"content-length:") + 15
        length = int(head[at : at + 12].split(b"\r", 1)[0])
        if len(self._buffer) < end + 4 + length:
            return
        self._buffer.clear()
        due, self._due = self._due, None
        assert due is not None
        if b"connection: close" in head:
            self.close()
        self._run.answered(self, due, ok=head[9:12] == b"200")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._due is not None:
            self._run.lost(self)

    def close(self) -> None:
        self._due = None
        assert self._transport is not None
        self._transport.close()


class _Run:
    def __init__(self, load: Load) -> None:
        self._load = load
        self._before, _, self._after = (part.encode() for part in load.request.partition("{n}"))
        self._numbered = "{n}" in load.request
        self._sent = 0
        self.latencies = array("d")
        self.errors = 0
        self._idle: deque[_Connection] = deque()
        self._waiting: deque[float] = deque()
        self._open = 0
        self._ends = 0.0
        self._over = asyncio.Event()
        self._reconnecting: set[asyncio.Task[None]] = set()

    def next_request(self) -> bytes:
        self._sent += 1
        return b"%b%08d%b" % (self._before, self._sent, self._after) if self._numbered else self._before

    async def run(self) -> Figures:
        load = self._load
        count = load.connections if load.rate is None else _OPEN_LOOP_CONNECTIONS
        connections = [await self._connect() for _ in range(count)]
        gc.disable()
        started = time.perf_counter()
        self._ends = started + load.seconds
        if load.rate is None:
            self._open = count
            for connection in connections:
                connection.ask(time.perf_counter())
            limit = None if load.requests is not None else load.seconds + _PATIENCE
        else:
            self._idle.extend(connections)
            self._open = round(load.seconds * load.rate)
            clock = threading.Thread(target=self._tick, args=(asyncio.get_running_loop(), started), daemon=True)
            clock.start()
            limit = load.seconds + _PATIENCE
        try:
            await asyncio.wait_for(self._over.wait(), limit)
        except TimeoutError:
            self.errors += self._open
        taken = time.perf_counter() - started
        for connection in connections:
            connection.close()
        return self._figures(taken)

    def _tick(self, loop: asyncio.AbstractEventLoop, started: float) -> None:
        # The event loop's own timers are only good to a millisecond.
        assert self._load.rate is not None
        for number in range(self._open):
            due = started + number / self._load.rate
            time.sleep(max(0.0, due - time.perf_counter()))
            loop.call_soon_threadsafe(self._arrive, due)

    def _arrive(self, due: float) -> None:
        if self._idle:
            self._ask(self._idle.popleft(), due)
        else:
            self._waiting.append(due)

    def answered(self, connection: _Connection, due: float, *, ok: bool) -> None:
        now = time.perf_counter()
        self.latencies.append(now - due)
        self.errors += not ok
        self._next(connection, now)

    def lost(self, connection: _Connection) -> None:
        self.errors += 1
        self._next(connection, time.perf_counter())

    def _next(self, connection: _Connection, now: float) -> None:
        if self._load.rate is not None:
            if self._waiting:
                self._ask(connection, self._waiting.popleft())
            else:
                self._idle.append(connection)
            self._ended()
        elif self._sent >= self._load.requests if self._load.requests is not None else now >= self._ends:
            self._ended()
        else:
            self._ask(connection, now)

    def _ask(self, connection: _Connection, due: float) -> None:
        if not connection.closed:
            connection.ask(due)
            return
        # moto's server closes after each answer: the new connection is part of what the request takes.
        reconnecting = asyncio.create_task(self._connect_and_ask(due))
        self._reconnecting.add(reconnecting)
        reconnecting.add_done_callback(self._reconnecting.discard)

    async def _connect_and_ask(self, due: float) -> None:
        (await self._connect()).ask(due)

    def _ended(self) -> None:
        self._open -= 1
        if self._open <= 0:
            self._over.set()

    async def _connect(self) -> _Connection:
        loop, address = asyncio.get_running_loop(), self._load.address
        if address.startswith("/"):
            return (await loop.create_unix_connection(lambda: _Connection(self), address))[1]
        host, _, port = address.rpartition(":")
        return (await loop.create_connection(lambda: _Connection(self), host, int(port)))[1]

    def _figures(self, taken: float) -> Figures:
        ordered = sorted(self.latencies) or [float("nan")]
        p50, p90, p99 = (ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.9, 0.99))
        count = len(self.latencies)
        return Figures(count, self.errors, count / taken, p50, p90, p99, ordered[-1] * 1000)


def main() -> None:
    run = _Run(Load(**json.loads(sys.argv[1])))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(asdict(runner.run(run.run()))))


if __name__ == "__main__":
    main()
