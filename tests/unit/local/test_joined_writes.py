from __future__ import annotations

import asyncio
from typing import Any, cast

from shadow_provider.local.guard import _JoinedWrites


class FakeTransport:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


def test_a_head_leaves_with_its_body_at_once_and_alone_at_the_end_of_the_turn() -> None:
    async def answer() -> None:
        transport = FakeTransport()
        joined: Any = _JoinedWrites(cast(asyncio.Transport, transport), asyncio.get_running_loop())
        joined.write(HEAD)
        joined.write(b"one")
        joined.write(b"two")
        assert transport.written == [HEAD + b"one", b"two"]
        joined.write(HEAD)
        assert len(transport.written) == 2
        await asyncio.sleep(0)
        assert transport.written[2:] == [HEAD]
        joined.write(b"late")
        assert transport.written[3:] == [b"late"]

    asyncio.run(answer())


def test_closing_loses_no_head_and_a_closed_connection_is_not_written_to() -> None:
    async def close() -> None:
        transport = FakeTransport()
        joined: Any = _JoinedWrites(cast(asyncio.Transport, transport), asyncio.get_running_loop())
        joined.write(HEAD)
        joined.close()
        assert (transport.written, transport.closed) == ([HEAD], True)
        other = FakeTransport()
        joined = _JoinedWrites(cast(asyncio.Transport, other), asyncio.get_running_loop())
        joined.write(HEAD)
        other.closed = True
        await asyncio.sleep(0)
        assert other.written == []

    asyncio.run(close())
