"""HTTP/1.1 to a model process over its unix socket: raw, pooled, keep-alive.

Only what such a process answers is understood: a status line, headers, a body of a given length.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


class ContainerUnreachableError(Exception):
    """The model process refused or closed the connection, or answered something that is no HTTP."""


@dataclass(frozen=True, slots=True)
class ContainerResponse:
    """What a model process answered; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._answer: asyncio.Future[ContainerResponse] | None = None
        self._head: tuple[int, dict[str, str], int] | None = None

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing() and not self._buffer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._answer is None:
            return
        try:
            self._parse()
        except (ValueError, IndexError, KeyError) as error:
            self._fail(ContainerUnreachableError(f"malformed answer: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(ContainerUnreachableError(f"connection closed: {exc or 'end of stream'}"))

    async def request(self, head: bytes, body: bytes) -> ContainerResponse:
        if self._transport is None or self._transport.is_closing():
            raise ContainerUnreachableError("connection closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(head + body if len(body) < 65536 else head)
        if len(body) >= 65536:
            self._transport.write(body)
        try:
            return await self._answer
        finally:
            self._answer = None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _parse(self) -> None:
        if self._head is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            lines = self._buffer[:end].decode("latin-1").split("\r\n")
            headers = {
                name.strip().lower(): value.strip() for name, _, value in (ln.partition(":") for ln in lines[1:])
            }
            self._head = (int(lines[0].split(" ", 2)[1]), headers, int(headers["content-length"]))
            del self._buffer[: end + 4]
        status, headers, length = self._head
        if len(self._buffer) < length:
            return
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._head = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(ContainerResponse(status, headers, body))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


class ConnectionPool:
    """Keep-alive connections to one model process.

    Args:
        path: The process's unix socket.
        limit: Connections at most; further requests wait for a free one.
    """

    def __init__(self, path: str, limit: int = 64) -> None:
        self._path = path
        self._free: list[_Connection] = []
        self._slots = asyncio.Semaphore(limit)

    async def request(
        self, method: str, target: str, headers: list[tuple[str, str]], body: bytes, seconds: float
    ) -> ContainerResponse:
        """Sends one request and reads its answer.

        Args:
            method: HTTP method.
            target: Path.
            headers: Headers to send besides Content-Length.
            body: Body.
            seconds: Time until the answer must be complete, waiting for a connection included.

        Raises:
            TimeoutError: No complete answer in time.
            ContainerUnreachableError: The process is gone or does not speak HTTP.
        """
        lines = [f"{method} {target} HTTP/1.1", "Host: model"]
        lines += [f"{name}: {value}" for name, value in headers]
        lines += [f"Content-Length: {len(body)}", "", ""]
        head = "\r\n".join(lines).encode("latin-1")
        async with asyncio.timeout(seconds), self._slots:
            connection = await self._connection()
            try:
                answer = await connection.request(head, body)
            except BaseException:
                # An unfinished answer makes the connection useless for the next request.
                connection.close()
                raise
        self._free.append(connection)
        return answer

    def close(self) -> None:
        """Closes the idle connections."""
        while self._free:
            self._free.pop().close()

    async def _connection(self) -> _Connection:
        while self._free:
            connection = self._free.pop()
            if connection.usable:
                return connection
            connection.close()
        try:
            _, made = await asyncio.get_running_loop().create_unix_connection(_Connection, self._path)
        except OSError as error:
            raise ContainerUnreachableError(str(error)) from error
        return made
