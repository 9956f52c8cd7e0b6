"""What an endpoint configuration says of its metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shadow_provider.local.settings import LocalSettings

# AWS: the values that MetricPublishFrequencyInSeconds may have.
FREQUENCIES = (10, 30, 60, 120, 180, 240, 300)
# AWS publishes ConcurrentRequestsPerModel with this resolution, in AWS seconds.
_CONCURRENCY_RESOLUTION = 10
# However fast the clock, the processes are looked at no oftener than this, in real seconds.
_SHORTEST_INTERVAL = 0.1


@dataclass(frozen=True)
class MetricsPlan:
    """How the metrics of one deployment are published.

    Attributes:
        config: Name of the endpoint configuration if it came by an update, so that its metrics are published under the
            dimension EndpointConfigName too; else None.
        per_instance: Whether they are published under the dimension InstanceId too.
        invocations: Real seconds from one timestamp of the invocation metrics to the next.
        concurrency: The same for ConcurrentRequestsPerModel.
        utilization: The same for utilization; at the end of each such period there is one value for each instance.
        fill_idle: Whether a period without an invocation gets zeros.
    """

    config: str | None
    per_instance: bool
    invocations: float
    concurrency: float
    utilization: float
    fill_idle: bool

    @classmethod
    def of(cls, config: dict[str, Any], settings: LocalSettings, *, by_update: bool) -> MetricsPlan:
        """The plan of an endpoint configuration.

        AWS: MetricPublishFrequencyInSeconds applies to utilization, and to invocation metrics only with enhanced ones.

        Args:
            config: The configuration as described.
            settings: The clock, and what AWS leaves open.
            by_update: Whether the deployment is an update's.
        """
        wanted = config.get("MetricsConfig", {})
        enhanced = wanted.get("EnableEnhancedMetrics", False)
        frequency = wanted.get("MetricPublishFrequencyInSeconds", settings.metric_resolution)
        return cls(
            config=config["EndpointConfigName"] if by_update else None,
            per_instance=enhanced,
            invocations=settings.real(frequency if enhanced else settings.metric_resolution),
            concurrency=settings.real(min(_CONCURRENCY_RESOLUTION, settings.metric_resolution)),
            utilization=max(settings.real(frequency), _SHORTEST_INTERVAL),
            fill_idle=settings.idle_metrics == "zero",
        )
