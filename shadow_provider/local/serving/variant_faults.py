"""Faults of one variant, where its processes are started and asked."""

from __future__ import annotations

import asyncio
import math
import random
import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shadow_provider.local.faults import VariantFault
from shadow_provider.local.faults.board import Armed, FaultBoard
from shadow_provider.local.serving.http_client import ContainerResponse
from shadow_provider.local.serving.invocation import Invocation

if TYPE_CHECKING:
    from shadow_provider.local.serving.instance import Instance


@dataclass(frozen=True)
class VariantFaults:
    """The faults that matter to one variant.

    Attributes:
        board: All faults.
        endpoint: Name of the endpoint.
        variant: Name of the variant.
    """

    board: FaultBoard
    endpoint: str
    variant: str

    def fail_ping(self) -> bool:
        """Whether the next /ping of a starting process is to fail."""
        return bool(self.board.variant) and self.board.fails_ping(self.endpoint, self.variant)

    async def invoke(self, instance: Instance, invocation: Invocation, seconds: float) -> ContainerResponse:
        """Asks a process as Instance.invoke does, with what is to go wrong going wrong."""
        fired = self.board.for_request(self.endpoint, self.variant)
        async with asyncio.timeout(seconds):
            await asyncio.sleep(sum(latency_of(armed.fault, armed.rng) for armed in fired))
            for armed in fired:
                await _harm(instance, armed)
            response = await instance.invoke(invocation.container_headers, invocation.body, seconds)
        for armed in fired:
            response = falsified(response, armed.fault)
        return response


def latency_of(fault: VariantFault, rng: random.Random) -> float:
    """How long a fault makes a request wait."""
    if fault.kind != "latency" or fault.seconds is None:
        return 0.0
    return fault.seconds if fault.sigma is None else rng.lognormvariate(math.log(fault.seconds), fault.sigma)


def falsified(response: ContainerResponse, fault: VariantFault) -> ContainerResponse:
    """What the caller gets instead of the model's answer."""
    if fault.kind == "error":
        return ContainerResponse(fault.status, {"content-type": "text/plain"}, b"an injected error")
    if fault.kind == "content_type":
        return replace(response, headers={**response.headers, "content-type": fault.content_type})
    return response


async def _harm(instance: Instance, armed: Armed[VariantFault]) -> None:
    if armed.fault.kind == "die":
        instance.signal(signal.SIGKILL)
    elif armed.fault.kind == "hang":
        armed.undo.append(instance.thaw)
        await instance.freeze()
