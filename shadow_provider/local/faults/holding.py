"""Calls that a fault holds: who waits there, until when, and how others learn of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Holding:
    """The calls that one fault holds. Used in the event loop's thread only.

    Attributes:
        count: How many are held now.
    """

    def __init__(self) -> None:
        self.count = 0
        self._released = asyncio.Event()
        self._changed = asyncio.Condition()

    def release(self) -> None:
        """Lets the held calls go on; those to come are not held."""
        self._released.set()

    @asynccontextmanager
    async def held(self, receive: _Receive) -> AsyncIterator[bool]:
        """Holds a call whose body was read to its end; the with block begins when that is over.

        The call counts as held until the block ends: whoever waits for that finds everything done that is done in it.

        Args:
            receive: ASGI receive; the next it gives is the caller's going away.

        Yields:
            Whether the caller is still there.
        """
        gone = asyncio.ensure_future(receive())
        released = asyncio.create_task(self._released.wait())
        await self._count(1)
        try:
            await asyncio.wait((gone, released), return_when=asyncio.FIRST_COMPLETED)
            yield not gone.done()
        finally:
            gone.cancel()
            released.cancel()
            await self._count(-1)

    async def _count(self, change: int) -> None:
        async with self._changed:
            self.count += change
            self._changed.notify_all()

    async def reached(self, count: int, seconds: float) -> None:
        """Returns once so many calls are held (or none, for 0), at the latest after so many seconds."""

        def enough() -> bool:
            return self.count >= count if count else not self.count

        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(enough)
        except TimeoutError:
            pass
