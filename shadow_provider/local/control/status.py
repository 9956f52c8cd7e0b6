"""What the status page says of a running local AWS."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from shadow_provider.local.cloudwatch.metric_store import MetricStore, SeriesKey
from shadow_provider.local.cloudwatch.periods import period_start
from shadow_provider.local.control.usage import server_usage
from shadow_provider.local.sagemaker.describe import describe_endpoint
from shadow_provider.local.serving.deployment import Deployment
from shadow_provider.local.serving.endpoint import Endpoint
from shadow_provider.local.serving.endpoints import Endpoints
from shadow_provider.local.serving.variant import Variant
from shadow_provider.local.serving.variant_metrics import INVOCATIONS
from shadow_provider.local.settings import LocalSettings

_LATENCY_SPAN = 60.0


class StatusPage:
    """GET /_local/status.

    Args:
        settings: How the server behaves.
        endpoints: The endpoints.
        store: Their metrics.
        log_dir: Where the model processes' logs are.
    """

    def __init__(self, settings: LocalSettings, endpoints: Endpoints, store: MetricStore, log_dir: Path) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._store = store
        self._log_dir = log_dir

    def content(self) -> dict[str, Any]:
        """The page."""
        return {
            "pid": os.getpid(),
            "server": server_usage(),
            "region": self._settings.region,
            "account_id": self._settings.account_id,
            "log_dir": str(self._log_dir),
            "endpoints": [self._endpoint(endpoint) for endpoint in self._endpoints],
        }

    def _endpoint(self, endpoint: Endpoint) -> dict[str, Any]:
        serving = [deployment for deployment in (endpoint.live, endpoint.mixed) if deployment is not None]
        return {
            "name": endpoint.name,
            "status": endpoint.status.value,
            "endpoint_config": endpoint.config_name,
            "failure_reason": endpoint.failure_reason,
            "variants": [self._variant(endpoint, item, variant) for item in serving for variant in item.variants],
            "pending": _pending(endpoint),
            "counters": {
                name: {
                    "requests": counters.requests,
                    "errors": counters.errors,
                    "mirrored": counters.mirrored,
                    "dropped": counters.dropped,
                }
                for name, counters in endpoint.counters.items()
            },
        }

    def _variant(self, endpoint: Endpoint, deployment: Deployment, variant: Variant) -> dict[str, Any]:
        mirrors = [mirror for mirror in deployment.mirrors if mirror.shadow is variant]
        total = sum(other.weight for other in deployment.production)
        instances = variant.fleet.instances
        capture = variant.capture
        return {
            "name": variant.name,
            "role": "shadow" if mirrors else "production",
            "weight": variant.weight,
            "share": mirrors[0].share if mirrors else (variant.weight / total if total else 0.0),
            "healthy": variant.fleet.healthy_count,
            "latency_ms": self._latency(endpoint.name, variant.name),
            "pids": [instance.pid for instance in instances],
            "logs": [str(instance.log_path) for instance in instances],
            "in_flight": sum(instance.in_flight for instance in instances),
            "restarts": sum(instance.restarts for instance in instances),
            "captured": 0 if capture is None else capture.captured,
            "captures_lost": 0 if capture is None else capture.lost,
        }

    def _latency(self, endpoint: str, variant: str) -> dict[str, float] | None:
        """ModelLatency of the last minute, and of what stands under the same timestamp as its beginning."""
        resolution = self._settings.real(self._settings.metric_resolution)
        since = period_start(self._store.now() - _LATENCY_SPAN, resolution)
        dimensions = (("EndpointName", endpoint), ("VariantName", variant))
        sample = self._store.sample(SeriesKey(INVOCATIONS, "ModelLatency", dimensions, "Microseconds"), since)
        found = {name: sample.statistic(name) for name in ("p50", "p99")} if not sample.empty else {}
        return {name: value / 1000 for name, value in found.items() if value is not None} or None


def _pending(endpoint: Endpoint) -> dict[str, Any] | None:
    """The deployment under way, from what DescribeEndpoint says of it."""
    summary = describe_endpoint(endpoint).get("PendingDeploymentSummary")
    if summary is None:
        return None
    roles = {"production": "ProductionVariants", "shadow": "ShadowProductionVariants"}
    return {
        "endpoint_config": summary["EndpointConfigName"],
        "since": summary.get("StartTime"),
        "variants": [
            {
                "name": variant["VariantName"],
                "role": role,
                "stages": [stage["Status"] for stage in variant.get("VariantStatus", [])],
                "instances": variant.get("CurrentInstanceCount"),
                "desired": variant.get("DesiredInstanceCount"),
            }
            for role, member in roles.items()
            for variant in summary.get(member, [])
        ],
    }
