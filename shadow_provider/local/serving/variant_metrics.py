"""A variant's metrics on their way to CloudWatch."""

from __future__ import annotations

import asyncio
import time

from shadow_provider.local.cloudwatch.metric_store import MetricStore, Series, SeriesKey
from shadow_provider.local.faults.board import FaultBoard
from shadow_provider.local.serving.invocation import Outcome

NAMESPACE = "AWS/SageMaker"
_LATENCIES = ("ModelLatency", "OverheadLatency")
_METRICS = (
    "Invocations",
    "InvocationsPerInstance",
    "Invocation4XXErrors",
    "Invocation5XXErrors",
    "InvocationModelErrors",
    *_LATENCIES,
)


class VariantMetrics:
    """The variant's metrics in the namespace AWS/SageMaker, dimensions EndpointName and VariantName.

    Args:
        store: Where they go.
        endpoint: Name of the endpoint.
        variant: Name of the variant.
        resolution: Seconds to which timestamps are rounded down.
        board: The faults.
    """

    def __init__(self, store: MetricStore, endpoint: str, variant: str, resolution: int, board: FaultBoard) -> None:
        self._resolution = resolution
        self._board = board
        self._endpoint, self._variant = endpoint, variant
        dimensions = (("EndpointName", endpoint), ("VariantName", variant))
        units = {name: "Microseconds" if name in _LATENCIES else "None" for name in _METRICS}
        self._series = [store.series(SeriesKey(NAMESPACE, name, dimensions, units[name])) for name in _METRICS]

    def publish(self, outcome: Outcome, overhead_seconds: float, instances: int) -> None:
        """Adds one invocation; InvocationsPerInstance is its share of an instance, to be summed."""
        now = time.time()
        at = now - now % self._resolution
        status = outcome.status
        values = (
            1.0,
            1.0 / max(1, instances),
            1.0 if 400 <= status <= 499 else 0.0,
            1.0 if status == 0 or status >= 500 else 0.0,
            0.0 if outcome.ok else 1.0,
            outcome.model_seconds * 1e6,
            max(0.0, overhead_seconds) * 1e6,
        )
        if self._board.metrics:
            self._publish_faulty(at, values)
            return
        for series, value in zip(self._series, values, strict=True):
            series.add(at, value)

    def _publish_faulty(self, at: float, values: tuple[float, ...]) -> None:
        for name, series, value in zip(_METRICS, self._series, values, strict=True):
            fault = self._board.for_metric(self._endpoint, self._variant, name)
            if fault is None:
                series.add(at, value)
            elif fault.seconds is not None:
                _add_later(fault.seconds, series, at, value)


def _add_later(seconds: float, series: Series, at: float, value: float) -> None:
    asyncio.get_running_loop().call_later(seconds, series.add, at, value)
