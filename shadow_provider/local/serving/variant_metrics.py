"""A variant's metrics on their way to CloudWatch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shadow_provider.local.cloudwatch.metric_store import Dimensions, MetricStore, SeriesKey
from shadow_provider.local.cloudwatch.periods import period_start
from shadow_provider.local.cloudwatch.series import Series
from shadow_provider.local.faults.board import FaultBoard
from shadow_provider.local.serving.invocation import Outcome
from shadow_provider.local.serving.metrics_plan import MetricsPlan
from shadow_provider.local.serving.process_usage import Usage

INVOCATIONS = "AWS/SageMaker"
UTILIZATION = "/aws/sagemaker/Endpoints"
# In the order in which publish has their values; those of _LATENCIES come last.
_PER_INSTANCE = "InvocationsPerInstance"
_COUNTERS = ("Invocations", _PER_INSTANCE, "Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors")
_LATENCIES = ("ModelLatency", "OverheadLatency")
_INVOCATIONS = (*_COUNTERS, *_LATENCIES)
_CONCURRENCY = "ConcurrentRequestsPerModel"
_USAGE = ("CPUUtilization", "MemoryUtilization", "DiskUtilization")
# Latencies are kept with so many significant digits: 0.005 % at most is less than any latency varies by, and a minute
# has some thousand different ones then instead of a million.
_LATENCY_DIGITS = 4


class VariantMetrics:
    """A variant's metrics, under all sets of dimensions that AWS publishes them with.

    These are EndpointName and VariantName, with EndpointConfigName, with InstanceId, as the plan says. A value is kept
    once, under however many it can be found.

    Args:
        store: Where they go, and the time of day.
        endpoint: Name of the endpoint.
        variant: Name of the variant.
        plan: How they are published.
        board: The faults.
    """

    def __init__(self, store: MetricStore, endpoint: str, variant: str, plan: MetricsPlan, board: FaultBoard) -> None:
        self._store = store
        self._endpoint, self._variant = endpoint, variant
        self._plan = plan
        self._board = board
        self._filled: float | None = None
        self._all = _SeriesOfInstance(store, endpoint, variant, plan, None)
        self._instances: dict[int, _SeriesOfInstance] = {}

    def publish(self, outcome: Outcome, overhead_seconds: float, instances: int) -> None:
        """Adds one invocation; InvocationsPerInstance is its share of an instance, to be summed."""
        plan, now, status = self._plan, self._store.now(), outcome.status
        series = self._series(outcome.instance)
        values = (
            1.0,
            1.0 / max(1, instances),
            1.0 if 400 <= status <= 499 else 0.0,
            1.0 if status == 0 or status >= 500 else 0.0,
            0.0 if outcome.ok else 1.0,
            outcome.model_seconds * 1e6,
            max(0.0, overhead_seconds) * 1e6,
        )
        self._add(_INVOCATIONS, series.invocations, period_start(now, plan.invocations), values)
        at = period_start(now, plan.concurrency)
        self._add((_CONCURRENCY,), (series.concurrency,), at, (float(outcome.concurrency),))

    def publish_usage(self, instance: int, usage: Usage, start: float) -> None:
        """Adds what an instance used in the publish interval that began at `start`, epoch seconds."""
        at = period_start(start, self._plan.utilization)
        self._add(_USAGE, self._series(instance).usage, at, (usage.cpu, usage.memory, usage.disk))

    def fill_idle(self) -> None:
        """Adds zeros for the periods that ended without any invocation since the last call, if the plan says so."""
        if not self._plan.fill_idle:
            return
        length = self._plan.invocations
        until = period_start(self._store.now(), length)
        if self._filled is None:
            self._filled = period_start(until - length, length)
        while self._filled < until:
            series = [self._all, *self._instances.values()]
            if not any(self._filled in item.invocations[0] for item in series):
                self._add(_COUNTERS, self._all.invocations[: len(_COUNTERS)], self._filled, (0.0,) * len(_COUNTERS))
            self._filled = period_start(self._filled + length, length)

    def _series(self, instance: int) -> _SeriesOfInstance:
        if not self._plan.per_instance:
            return self._all
        found = self._instances.get(instance)
        if found is None:
            found = _SeriesOfInstance(self._store, self._endpoint, self._variant, self._plan, instance)
            self._instances[instance] = found
        return found

    def _add(self, names: Sequence[str], series: Sequence[Series], at: float, values: Sequence[float]) -> None:
        if self._board.metrics:
            self._add_faulty(names, series, at, values)
            return
        for one, value in zip(series, values, strict=True):
            one.add(at, value)

    def _add_faulty(self, names: Sequence[str], series: Sequence[Series], at: float, values: Sequence[float]) -> None:
        for name, one, value in zip(names, series, values, strict=True):
            fault = self._board.for_metric(self._endpoint, self._variant, name)
            if fault is None:
                one.add(at, value)
            elif fault.seconds is not None:
                asyncio.get_running_loop().call_later(fault.seconds, one.add, at, value)


class _SeriesOfInstance:
    """Where the values of one instance go, or those of all of them."""

    def __init__(
        self, store: MetricStore, endpoint: str, variant: str, plan: MetricsPlan, instance: int | None
    ) -> None:
        self._store = store
        base = (("EndpointName", endpoint), ("VariantName", variant))
        self._sets: list[Dimensions] = [base]
        if plan.config is not None:
            self._sets.append((("EndpointConfigName", plan.config), *base))
        of_instance = (("EndpointName", endpoint), ("InstanceId", f"i-{instance or 0:017x}"), ("VariantName", variant))
        self._own: list[Dimensions] = [] if instance is None else [of_instance]
        self.invocations = [
            *(self._made(INVOCATIONS, name, "None", plan.invocations) for name in _COUNTERS),
            *(self._made(INVOCATIONS, name, "Microseconds", plan.invocations, _LATENCY_DIGITS) for name in _LATENCIES),
        ]
        self.concurrency = self._made(INVOCATIONS, _CONCURRENCY, "None", plan.concurrency)
        self.usage = [self._made(UTILIZATION, name, "Percent", plan.utilization) for name in _USAGE]

    def _made(self, namespace: str, name: str, unit: str, resolution: float, digits: int | None = None) -> Series:
        # Of a single instance, the share of an instance says nothing.
        sets = [*self._sets, *([] if name == _PER_INSTANCE else self._own)]
        keys = [SeriesKey(namespace, name, dimensions, unit) for dimensions in sets]
        return self._store.shared(keys, resolution, digits)
