"""Publishes what the instances of a deployment use, and what their periods without traffic look like."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from shadow_provider.local.cloudwatch.metric_store import MetricStore
from shadow_provider.local.cloudwatch.periods import period_start
from shadow_provider.local.serving.metrics_plan import MetricsPlan
from shadow_provider.local.serving.process_usage import Usage, UsageMeter
from shadow_provider.local.serving.variant import Variant

logger = logging.getLogger(__name__)


class UsagePublisher:
    """At the end of each publish interval, one value of each utilization metric for each instance.

    Args:
        variants: Whose instances.
        store: The time of day.
        plan: How often.
        disk: A path on the disk that the model data is on.
    """

    def __init__(self, variants: Sequence[Variant], store: MetricStore, plan: MetricsPlan, disk: Path) -> None:
        self._variants = variants
        self._store = store
        self._interval = plan.utilization
        self._disk = disk
        self._meters: dict[int, UsageMeter] = {}

    async def run(self) -> None:
        """Publishes until cancelled."""
        await self._read()  # from here the first interval's use is counted
        end = self._store.now()
        while True:
            end = period_start(max(end, self._store.now()) + self._interval, self._interval)
            await asyncio.sleep(end - self._store.now())
            try:
                for variant, instance, usage in await self._read():
                    variant.metrics.publish_usage(instance, usage, end - self._interval)
                for variant in self._variants:
                    variant.metrics.fill_idle()
            except Exception:
                logger.exception("utilization was not published")

    async def _read(self) -> list[tuple[Variant, int, Usage]]:
        running = [
            (variant, instance.number, instance.pid)
            for variant in self._variants
            for instance in variant.fleet.instances
            if instance.pid is not None
        ]
        self._meters = {number: self._meters.get(number) or UsageMeter(self._disk) for _, number, _ in running}
        read = [self._meters[number].read for _, number, _ in running]
        # Finding the children means looking at every process of the machine: not on the event loop.
        found = await asyncio.to_thread(lambda: [one(pid) for one, (_, _, pid) in zip(read, running, strict=True)])
        return [(running[n][0], running[n][1], usage) for n, usage in enumerate(found) if usage is not None]
