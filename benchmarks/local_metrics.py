"""The local CloudWatch's store: what a value costs in time and memory, and what a percentile of a million costs."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from shadow_provider.local.cloudwatch.metric_store import MetricStore, SeriesKey
from shadow_provider.local.cloudwatch.series import Series
from shadow_provider.local.cloudwatch.service import CloudWatch

POINTS = 1_000_000
_MINUTES = 10
_START = 1_800_000_000.0


def main() -> None:
    rng = np.random.default_rng(1)
    latencies = rng.lognormal(np.log(20_000), 0.5, POINTS)
    flags = (rng.random(POINTS) < 0.01).astype(float)
    print(f"{'a million values':34}{'puts/s':>12}{'ns each':>9}{'bytes':>12}{'p99, ms':>9}")
    for name, values, digits in (
        ("0 or 1", flags, None),
        ("latencies with 4 digits", latencies, 4),
        ("latencies as they are, all distinct", latencies, None),
    ):
        print(f"{name:34}" + _figures(values.tolist(), digits))


def _figures(values: list[float], digits: int | None) -> str:
    store = MetricStore(lambda: _START + 3600)
    key = SeriesKey("n", "m", (), "None")
    series = store.shared([key], digits=digits)
    seconds = _timed(lambda: _fill(series, values))
    query = {"Id": "q", "MetricStat": {"Metric": {"Namespace": "n", "MetricName": "m"}, "Period": 3600, "Stat": "p99"}}
    request = {"MetricDataQueries": [query], "StartTime": _START, "EndTime": _START + 3600}
    cloudwatch = CloudWatch(store)
    CloudWatch(MetricStore()).call("GetMetricData", request)  # loads the service model, as a running server has
    first = _timed(lambda: cloudwatch.call("GetMetricData", request))
    again = min(_timed(lambda: cloudwatch.call("GetMetricData", request)) for _ in range(5))
    # Measured apart, since tracing slows everything down.
    tracemalloc.start()
    traced = Series(digits=digits)
    _fill(traced, values)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    rate = len(values) / seconds
    return f"{rate:12,.0f}{1e9 / rate:9.0f}{held:12,}{max(first, again) * 1e3:9.1f}"


def _fill(series: Series, values: list[float]) -> None:
    for number, value in enumerate(values):
        series.add(_START + 60 * (number * _MINUTES // POINTS), value)


def _timed(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
