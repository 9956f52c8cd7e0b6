"""The model processes behind one variant: how many there are, and the spread of requests over them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any

from shadow_provider.local.serving.instance import Instance, ProcessSpec


class Fleet:
    """All processes of one variant.

    Args:
        spec: What they have in common.
        numbers: Gives each process its number.

    Attributes:
        instances: The processes that came up and are in service.
        opened: How many of them, the oldest first, are to get requests; None is all.
    """

    def __init__(self, spec: ProcessSpec, numbers: itertools.count[int]) -> None:
        self._spec = spec
        self._numbers = numbers
        self.instances: list[Instance] = []
        self.opened: int | None = None
        self._others: list[Instance] = []  # on their way in or out
        self._turn = 0

    @property
    def healthy_count(self) -> int:
        """Processes that answer."""
        return sum(instance.healthy for instance in self.instances)

    async def launch(self, count: int) -> None:
        """Starts `count` further processes at once; if one fails, those that did come up stay in service.

        Raises:
            UnhealthyError: One of them did not become healthy.
        """
        new = [Instance(self._spec, next(self._numbers)) for _ in range(count)]
        self._others += new

        async def forget() -> None:  # who does not come up has stopped
            self._others = [instance for instance in self._others if instance not in new]

        await start_all([self._bring_up(instance) for instance in new], forget)

    async def retire(self, leaving: Sequence[Instance], seconds: float) -> None:
        """Takes processes out of service: no further requests, then `seconds` for those under way, then they stop."""
        self._others += [instance for instance in leaving if instance not in self._others]
        self.instances = [instance for instance in self.instances if instance not in leaving]
        await asyncio.gather(*(self._end(instance, seconds) for instance in leaving))

    async def shrink(self, count: int, seconds: float) -> None:
        """Retires processes until `count` are left, those first that are not healthy, then the youngest."""
        order = sorted(enumerate(self.instances), key=lambda placed: (placed[1].healthy, -placed[0]))
        leaving = [instance for _, instance in order[: max(0, len(order) - count)]]
        await self.retire(leaving, seconds)

    async def stop(self) -> None:
        """Stops all processes, those that are coming or going too."""
        await asyncio.gather(*(self._end(instance, 0) for instance in [*self.instances, *self._others]))

    def pick(self) -> Instance:
        """The healthy process with the fewest requests under way, in turn among equals.

        If none is healthy any is given: the failure is then the request's, as on AWS.
        """
        self._turn += 1
        count = len(self.instances)
        opened = count if self.opened is None else self.opened
        places = [(self._turn + offset) % count for offset in range(count)]

        def rank(place: int) -> tuple[bool, bool, int]:
            instance = self.instances[place]
            return not instance.healthy, place >= opened, instance.in_flight

        return self.instances[min(places, key=rank)]

    async def _bring_up(self, instance: Instance) -> None:
        await instance.start()
        self._others.remove(instance)
        self.instances.append(instance)

    async def _end(self, instance: Instance, seconds: float) -> None:
        try:
            await instance.drain(seconds)
        finally:
            await instance.stop()
            if instance in self._others:
                self._others.remove(instance)


async def start_all(starting: Iterable[Coroutine[Any, Any, None]], undo: Callable[[], Awaitable[None]]) -> None:
    """Waits until all have started; if one fails, calls the others off, undoes what there is, and raises its error."""
    starts = [asyncio.create_task(start) for start in starting]
    try:
        await asyncio.gather(*starts)
    except BaseException:
        for start in starts:
            start.cancel()
        await asyncio.gather(*starts, return_exceptions=True)
        await undo()
        raise
