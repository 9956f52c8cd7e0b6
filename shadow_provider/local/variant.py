"""One variant of a running deployment: its processes, metrics, captures and counters."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from shadow_provider.local.capture import CaptureWriter
from shadow_provider.local.fleet import Fleet
from shadow_provider.local.http_client import ContainerUnreachableError
from shadow_provider.local.invocation import Invocation, Outcome
from shadow_provider.local.metric_store import MetricStore, Series, SeriesKey

NAMESPACE = "AWS/SageMaker"


@dataclass
class VariantCounters:
    """What happened to a variant name of an endpoint since the endpoint was created, over all its deployments.

    Attributes:
        requests: Invocations answered or failed by the variant, mirrored ones included.
        errors: Of these, those without a 2xx answer.
        mirrored: Copies sent to the variant as a shadow.
        dropped: Copies that sampling chose but that were never answered for: the queue was full, or the fleet was
            stopped before.
    """

    requests: int = 0
    errors: int = 0
    mirrored: int = 0
    dropped: int = 0


class VariantMetrics:
    """The variant's metrics in the namespace AWS/SageMaker, dimensions EndpointName and VariantName.

    Args:
        store: Where they go.
        endpoint: Name of the endpoint.
        variant: Name of the variant.
        resolution: Seconds to which timestamps are rounded down.
    """

    def __init__(self, store: MetricStore, endpoint: str, variant: str, resolution: int) -> None:
        self._resolution = resolution
        dimensions = (("EndpointName", endpoint), ("VariantName", variant))

        def series(name: str, unit: str = "None") -> Series:
            return store.series(SeriesKey(NAMESPACE, name, dimensions, unit))

        self._invocations = series("Invocations")
        self._per_instance = series("InvocationsPerInstance")
        self._client_errors = series("Invocation4XXErrors")
        self._server_errors = series("Invocation5XXErrors")
        self._model_errors = series("InvocationModelErrors")
        self._model_latency = series("ModelLatency", "Microseconds")
        self._overhead_latency = series("OverheadLatency", "Microseconds")

    def publish(self, outcome: Outcome, overhead_seconds: float, instances: int) -> None:
        """Adds one invocation; InvocationsPerInstance is its share of an instance, to be summed."""
        now = time.time()
        at = now - now % self._resolution
        status = outcome.status
        self._invocations.add(at, 1.0)
        self._per_instance.add(at, 1.0 / max(1, instances))
        self._client_errors.add(at, 1.0 if 400 <= status <= 499 else 0.0)
        self._server_errors.add(at, 1.0 if status == 0 or status >= 500 else 0.0)
        self._model_errors.add(at, 0.0 if outcome.ok else 1.0)
        self._model_latency.add(at, outcome.model_seconds * 1e6)
        self._overhead_latency.add(at, max(0.0, overhead_seconds) * 1e6)


@dataclass
class Variant:
    """A variant that serves.

    Attributes:
        definition: The ProductionVariant of the endpoint configuration.
        image: The container image its model names.
        weight: Current weight.
        count: Current instance count.
        fleet: Its processes.
        metrics: Its CloudWatch series.
        counters: The endpoint's counters of this variant name.
        capture: Its capture writer, if the configuration captures.
        invocation_timeout: Seconds the model may take.
    """

    definition: dict[str, Any]
    image: str
    weight: float
    count: int
    fleet: Fleet
    metrics: VariantMetrics
    counters: VariantCounters
    capture: CaptureWriter | None
    invocation_timeout: float

    @property
    def name(self) -> str:
        """VariantName."""
        return str(self.definition["VariantName"])

    async def invoke(self, invocation: Invocation) -> Outcome:
        """Sends an invocation to one of the processes; a failure is an outcome, not an exception."""
        instance = self.fleet.pick()
        started = time.perf_counter()
        response, cause = None, ""
        try:
            response = await instance.invoke(invocation.container_headers, invocation.body, self.invocation_timeout)
        except TimeoutError:
            cause = (
                "Your invocation timed out while waiting for a response from container primary. "
                "Review the latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
            )
        except ContainerUnreachableError as error:
            cause = f"The container did not answer: {error}"
        return Outcome(response, cause, time.perf_counter() - started)

    def account(self, invocation: Invocation, outcome: Outcome, overhead_seconds: float) -> None:
        """Counts, publishes and captures an invocation that is over."""
        self.counters.requests += 1
        self.counters.errors += not outcome.ok
        self.metrics.publish(outcome, overhead_seconds, self.count)
        if self.capture is not None:
            self.capture.record(invocation, outcome)
