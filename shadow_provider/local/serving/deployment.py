"""What serves an endpoint at one time: the variants of one endpoint configuration, as running fleets."""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from shadow_provider.local.serving import model_data
from shadow_provider.local.serving.capture import CapturePlan, CaptureWriter
from shadow_provider.local.serving.fleet import Fleet, start_all
from shadow_provider.local.serving.instance import ProcessSpec, UnhealthyError
from shadow_provider.local.serving.machinery import Machinery
from shadow_provider.local.serving.metrics_plan import MetricsPlan
from shadow_provider.local.serving.mirror import Mirror, MirrorMetrics, mirrored_share
from shadow_provider.local.serving.usage_publisher import UsagePublisher
from shadow_provider.local.serving.variant import Variant, VariantCounters
from shadow_provider.local.serving.variant_faults import VariantFaults
from shadow_provider.local.serving.variant_metrics import VariantMetrics

logger = logging.getLogger(__name__)


class DeploymentError(Exception):
    """The new fleet did not come up; the text is AWS's FailureReason."""


@dataclass(frozen=True)
class VariantPlan:
    """A variant to be started.

    Attributes:
        definition: The ProductionVariant of the endpoint configuration.
        container: The container definition of its model.
        weight: Weight to start with.
        count: Instances to start with.
    """

    definition: dict[str, Any]
    container: dict[str, Any]
    weight: float
    count: int

    @property
    def name(self) -> str:
        """VariantName."""
        return str(self.definition["VariantName"])


class Deployment:
    """The fleets of one endpoint configuration.

    Args:
        endpoint: Name of the endpoint.
        config: The endpoint configuration as described.
        production: Its production variants.
        shadows: Its shadow variants, at most one.
        counters: Gives the endpoint's counters for a variant name.
        machinery: What is shared.
        by_update: Whether it replaces another deployment of the endpoint.
    """

    def __init__(
        self,
        endpoint: str,
        config: dict[str, Any],
        production: list[VariantPlan],
        shadows: list[VariantPlan],
        counters: Callable[[str], VariantCounters],
        machinery: Machinery,
        *,
        by_update: bool = False,
    ) -> None:
        self.config = config
        self._containers = {plan.name: plan.container for plan in [*production, *shadows]}
        self._metrics_plan = MetricsPlan.of(config, machinery.settings, by_update=by_update)
        self._endpoint = endpoint
        self._machinery = machinery
        self._directory = machinery.work_dir / f"{endpoint}-{next(machinery.numbers)}"
        seed = machinery.settings.seed
        name = f"{endpoint}/{config['EndpointConfigName']}"
        self.rng = random.Random(None if seed is None else f"{seed}/{name}")  # noqa: S311 - sampling, not secrecy
        capture = CapturePlan.of(config.get("DataCaptureConfig"))
        self.production = [self._variant(plan, capture, counters, nice=0) for plan in production]
        self.shadows = [self._variant(plan, capture, counters, nice=machinery.settings.shadow_nice) for plan in shadows]
        self.mirrors = [
            Mirror(
                shadow,
                self._mirrored_share(shadow),
                machinery.settings.mirror_queue_size,
                random.Random(None if seed is None else f"{seed}/{name}/mirror"),  # noqa: S311
                MirrorMetrics(machinery.metrics, endpoint, shadow.name, self._metrics_plan.invocations),
            )
            for shadow in self.shadows
        ]
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._flusher: asyncio.Task[None] | None = None
        self._publisher: asyncio.Task[None] | None = None

    @property
    def variants(self) -> list[Variant]:
        """Production, then shadow."""
        return [*self.production, *self.shadows]

    def variant(self, name: str) -> Variant | None:
        """The variant of a name, shadow or production."""
        return next((variant for variant in self.variants if variant.name == name), None)

    async def launch(self, counts: Mapping[str, int], on_failure: Callable[[], None] = lambda: None) -> None:
        """Starts so many further instances of each variant; on failure none of these is left.

        Args:
            counts: How many, by variant.
            on_failure: Called when one has failed, before those that came up are retired.

        Raises:
            DeploymentError: With AWS's words.
        """
        settings = self._machinery.settings
        await asyncio.sleep(settings.real(settings.provisioning_seconds))
        growing = [variant for variant in self.variants if counts.get(variant.name)]
        before = {variant.name: list(variant.fleet.instances) for variant in growing}

        async def undo() -> None:
            on_failure()
            for variant in growing:
                new = [instance for instance in variant.fleet.instances if instance not in before[variant.name]]
                await variant.fleet.retire(new, self._patience)

        await start_all([self._launch(variant, counts[variant.name]) for variant in growing], undo)
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush_for_ever())
        if self._publisher is None:
            store, disk = self._machinery.metrics, self._machinery.work_dir
            publisher = UsagePublisher(self.variants, store, self._metrics_plan, disk)
            self._publisher = asyncio.create_task(publisher.run())

    async def shrink(self, counts: Mapping[str, int]) -> None:
        """Retires instances of each variant until so many are left, without failing a request."""
        shrinking = [variant for variant in self.variants if variant.name in counts]
        await asyncio.gather(*(item.fleet.shrink(counts[item.name], self._patience) for item in shrinking))

    def set_weight(self, variant: Variant, weight: float) -> None:
        """Changes a variant's weight, and with it the shares of what is mirrored."""
        variant.weight = weight
        for mirror in self.mirrors:
            mirror.share = self._mirrored_share(mirror.shadow)

    def _mirrored_share(self, shadow: Variant) -> float:
        return mirrored_share(self.production[0].weight, shadow.weight, self._machinery.settings.mirror_share)

    async def retire(self) -> None:
        """Lets the requests and copies under way finish, writes all captures, stops the processes."""
        seconds = self._machinery.settings.drain_timeout
        try:
            async with asyncio.timeout(self._patience):
                await self._idle.wait()
        except TimeoutError:
            logger.warning("%s: %d requests did not end", self._endpoint, self._in_flight)
        finally:
            await asyncio.gather(*(mirror.drain(seconds) for mirror in self.mirrors))
            await self.stop()

    async def stop(self) -> None:
        """Stops the processes at once and writes what was captured."""
        for task in (self._flusher, self._publisher):
            if task is not None:
                task.cancel()
        for mirror in self.mirrors:
            await mirror.drain(0)
        for variant in self.variants:
            if variant.capture is not None:
                variant.capture.flush()
        await asyncio.gather(*(variant.fleet.stop() for variant in self.variants))
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    @property
    def _patience(self) -> float:
        # A caller that waits for its answer is never cut off: its own time limit ends the wait.
        return self._machinery.settings.invocation_timeout + self._machinery.settings.drain_timeout

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """While a request is inside, this deployment is not retired."""
        self._in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    def choose(self, target: str | None) -> Variant | None:
        """The variant that answers a request: the target, else by weight; None if there is no such variant.

        Only a target can make that a shadow, and only if the setting `target_variant_shadow` says so.
        """
        if target is not None:
            served = self._machinery.settings.target_variant_shadow == "served"
            return next((item for item in (self.variants if served else self.production) if item.name == target), None)
        if len(self.production) == 1:
            return self.production[0]
        weights = [variant.weight for variant in self.production]
        if not any(weights):
            return None
        return self.rng.choices(self.production, weights)[0]

    def _variant(
        self,
        plan: VariantPlan,
        capture: CapturePlan | None,
        counters: Callable[[str], VariantCounters],
        nice: int,
    ) -> Variant:
        machinery, settings = self._machinery, self._machinery.settings
        faults = VariantFaults(machinery.faults, self._endpoint, plan.name)
        spec = ProcessSpec(
            label=f"{self._endpoint}/{plan.name}",
            model_dir=self._directory / plan.name,
            environment=plan.container.get("Environment", {}),
            log_dir=machinery.log_dir,
            socket_dir=machinery.socket_dir,
            nice=nice,
            startup_timeout=settings.startup_window(plan.definition.get("ContainerStartupHealthCheckTimeoutInSeconds")),
            faults=faults,
            guard=machinery.guard,
        )
        writer = None
        if capture is not None:
            seed = settings.seed
            name = None if seed is None else f"{seed}/{self._endpoint}/{plan.name}/capture"
            rng = random.Random(name)  # noqa: S311 - sampling, not secrecy
            writer = CaptureWriter(capture, self._endpoint, plan.name, machinery.s3, settings, rng, faults.board)
        return Variant(
            definition=plan.definition,
            image=plan.container.get("Image", ""),
            weight=plan.weight,
            desired_weight=plan.weight,
            desired_count=plan.count,
            fleet=Fleet(spec, machinery.numbers),
            metrics=VariantMetrics(machinery.metrics, self._endpoint, plan.name, self._metrics_plan, faults.board),
            counters=counters(plan.name),
            capture=writer,
            invocation_timeout=settings.invocation_timeout,
            faults=faults,
        )

    async def _launch(self, variant: Variant, count: int) -> None:
        directory = self._directory / variant.name
        source = model_data.source_of(self._containers[variant.name])
        assert source is not None  # refused when the endpoint was asked for
        try:
            if not directory.exists():
                await asyncio.to_thread(model_data.fetch, self._machinery.s3, source, directory)
            await variant.fleet.launch(count)
        except model_data.ModelDataError as error:
            raise DeploymentError(str(error)) from error
        except UnhealthyError as error:
            raise DeploymentError(
                f"The primary container for production variant {variant.name} did not pass the ping health check. "
                "Please check CloudWatch logs for this endpoint."
            ) from error

    async def _flush_for_ever(self) -> None:
        interval = self._machinery.settings.capture_flush_seconds
        writers = [variant.capture for variant in self.variants if variant.capture is not None]
        while writers:
            await asyncio.sleep(min(1.0, interval / 2))
            for writer in writers:
                writer.flush(only_older_than=interval)
