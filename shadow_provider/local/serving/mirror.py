"""Copies of requests to the shadow: after the caller has its answer, bounded, never in the caller's way."""

from __future__ import annotations

import asyncio
import logging
import random
import time

from shadow_provider.local.cloudwatch.metric_store import MetricStore, SeriesKey
from shadow_provider.local.cloudwatch.periods import period_start
from shadow_provider.local.serving.invocation import Invocation
from shadow_provider.local.serving.variant import Variant

logger = logging.getLogger(__name__)

MIRROR_NAMESPACE = "Local/SageMaker"


def mirrored_share(production_weight: float, shadow_weight: float, rule: str) -> float:
    """The share of requests that is copied.

    AWS publishes no formula. Its notebook says that weights 1 and 0.5 mirror 50 %; both rules agree with that and with
    all published examples, whose production weight is 1.

    Args:
        production_weight: The production variant's weight.
        shadow_weight: The shadow variant's weight.
        rule: The setting `mirror_share`: "ratio" is min(1, shadow weight / production weight), "shadow_weight" is
            min(1, shadow weight).
    """
    if rule == "shadow_weight":
        return min(1.0, shadow_weight)
    if production_weight <= 0:
        return 1.0 if shadow_weight > 0 else 0.0
    return min(1.0, shadow_weight / production_weight)


class MirrorMetrics:
    """How mirroring went, in a namespace of our own: AWS publishes nothing of it.

    MirroredRequests counts the copies that were sent, MirroredRequestsDropped those that sampling chose but that were
    never answered for. Of both every copy is a value, 1 or 0, so that the sum is a count and the average a share.

    Args:
        store: Where they go.
        endpoint: Name of the endpoint.
        shadow: Name of the shadow variant.
        resolution: Real seconds to which timestamps are rounded down.
    """

    def __init__(self, store: MetricStore, endpoint: str, shadow: str, resolution: float) -> None:
        dimensions = (("EndpointName", endpoint), ("VariantName", shadow))
        self._sent, self._dropped = (
            store.series(SeriesKey(MIRROR_NAMESPACE, name, dimensions, "Count"), resolution)
            for name in ("MirroredRequests", "MirroredRequestsDropped")
        )
        self._time = store.now
        self._resolution = resolution

    def sent(self) -> None:
        """Counts a copy that was sent."""
        at = self._now()
        self._sent.add(at, 1.0)
        self._dropped.add(at, 0.0)

    def dropped(self, *, after_it_was_sent: bool) -> None:
        """Counts a copy that was dropped."""
        at = self._now()
        if not after_it_was_sent:
            self._sent.add(at, 0.0)
        self._dropped.add(at, 1.0)

    def _now(self) -> float:
        return period_start(self._time(), self._resolution)


class Mirror:
    """Sends copies to one shadow variant.

    Each copy is sent at once, so that the shadow sees the load that production sees; when `limit` copies are under
    way, further ones are dropped and counted. Copies are never retried.

    Args:
        shadow: The variant that gets them.
        share: Share of requests to copy, 0 to 1.
        limit: Copies under way at most.
        rng: Decides which requests are copied.
        metrics: Tells CloudWatch how it goes.
    """

    def __init__(self, shadow: Variant, share: float, limit: int, rng: random.Random, metrics: MirrorMetrics) -> None:
        self.shadow = shadow
        self.share = share
        self._limit = limit
        self._rng = rng
        self._metrics = metrics
        self._under_way: set[asyncio.Task[None]] = set()

    def offer(self, invocation: Invocation) -> None:
        """Copies the request if sampling wants it and there is room; returns at once."""
        if self._rng.random() >= self.share:
            return
        if len(self._under_way) >= self._limit:
            self._metrics.dropped(after_it_was_sent=False)
            self._drop(1, "the mirror queue is full")
            return
        self.shadow.counters.mirrored += 1
        self._metrics.sent()
        task = asyncio.create_task(self._send(invocation))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def drain(self, seconds: float) -> None:
        """Waits for the copies under way, at most `seconds`; the rest is given up and counted as dropped."""
        if not self._under_way:
            return
        _, late = await asyncio.wait(self._under_way, timeout=seconds)
        for task in late:
            task.cancel()
            self._metrics.dropped(after_it_was_sent=True)
        if late:
            await asyncio.wait(late)
            self._drop(len(late), "the fleet stops")

    async def _send(self, invocation: Invocation) -> None:
        started = time.perf_counter()
        outcome = await self.shadow.invoke(invocation)
        overhead = time.perf_counter() - started - outcome.model_seconds
        self.shadow.account(invocation, outcome, overhead)

    def _drop(self, count: int, why: str) -> None:
        before = self.shadow.counters.dropped
        self.shadow.counters.dropped += count
        if before == 0 or before // 100 != (before + count) // 100:
            logger.warning("%s: %d mirrored requests dropped so far: %s", self.shadow.name, before + count, why)
