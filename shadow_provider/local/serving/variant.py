"""One variant of a running deployment: its processes, metrics, captures and counters."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from shadow_provider.local.serving.capture import CaptureWriter
from shadow_provider.local.serving.fleet import Fleet
from shadow_provider.local.serving.http_client import ContainerUnreachableError
from shadow_provider.local.serving.invocation import Invocation, Outcome
from shadow_provider.local.serving.variant_faults import VariantFaults
from shadow_provider.local.serving.variant_metrics import VariantMetrics


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


@dataclass(frozen=True)
class Stage:
    """What is being done with a variant; VariantStatus in DescribeEndpoint.

    Attributes:
        status: Creating, Updating, Deleting, ActivatingTraffic or Baking.
        message: In AWS's words where they are known.
        since: Epoch seconds.
    """

    status: str
    message: str
    since: float = field(default_factory=time.time)


@dataclass
class Variant:
    """A variant that serves.

    Attributes:
        definition: The ProductionVariant of the endpoint configuration.
        image: The container image its model names.
        weight: Current weight.
        desired_weight: The weight that was asked for.
        desired_count: The number of instances that was asked for.
        fleet: Its processes.
        metrics: Its CloudWatch series.
        counters: The endpoint's counters of this variant name.
        capture: Its capture writer, if the configuration captures.
        invocation_timeout: Seconds the model may take.
        faults: What is to go wrong with it.
        stage: What is being done with it; None while nothing is.
    """

    definition: dict[str, Any]
    image: str
    weight: float
    desired_weight: float
    desired_count: int
    fleet: Fleet
    metrics: VariantMetrics
    counters: VariantCounters
    capture: CaptureWriter | None
    invocation_timeout: float
    faults: VariantFaults
    stage: Stage | None = None

    @property
    def count(self) -> int:
        """Instances in service."""
        return len(self.fleet.instances)

    @property
    def name(self) -> str:
        """VariantName."""
        return str(self.definition["VariantName"])

    async def invoke(self, invocation: Invocation) -> Outcome:
        """Sends an invocation to one of the processes; a failure is an outcome, not an exception."""
        instance = self.fleet.pick()
        concurrency = instance.in_flight + 1
        started = time.perf_counter()
        response, cause = None, ""
        instance.in_flight += 1  # from now on it is not stopped under this request
        concurrency = instance.in_flight
        try:
            if self.faults.board.variant:
                response = await self.faults.invoke(instance, invocation, self.invocation_timeout)
            else:
                response = await instance.invoke(invocation.container_headers, invocation.body, self.invocation_timeout)
        except TimeoutError:
            cause = (
                "Your invocation timed out while waiting for a response from container primary. "
                "Review the latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
            )
        except ContainerUnreachableError as error:
            cause = f"The container did not answer: {error}"
        finally:
            instance.in_flight -= 1
        return Outcome(response, cause, time.perf_counter() - started, instance.number, concurrency)

    def account(self, invocation: Invocation, outcome: Outcome, overhead_seconds: float) -> None:
        """Counts, publishes and captures an invocation that is over."""
        self.counters.requests += 1
        self.counters.errors += not outcome.ok
        self.metrics.publish(outcome, overhead_seconds, self.count)
        if self.capture is not None:
            self.capture.record(invocation, outcome)
