from __future__ import annotations

import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shadow_provider.local import LocalAWS
from shadow_provider.local.faults import CaptureFault, MetricsFault, VariantFault
from tests.aws.conftest import Cloud, poll


def latencies(cloud: Cloud, name: str, variant: str, statistic: str) -> Any:
    dimensions = [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": variant}]
    key = "Statistics" if statistic in ("Minimum", "Maximum", "SampleCount") else "ExtendedStatistics"
    found = cloud.cloudwatch.get_metric_statistics(
        **{key: [statistic]},
        Namespace="AWS/SageMaker",
        MetricName="ModelLatency",
        Dimensions=dimensions,
        StartTime=time.time() - 3600,
        EndTime=time.time() + 60,
        Period=7200,
    )["Datapoints"]
    values = [point.get(statistic, point.get("ExtendedStatistics", {}).get(statistic)) for point in found]
    return values[0] if values else None


def test_a_fixed_latency_is_the_models(running: LocalAWS, cloud: Cloud, plain: str) -> None:
    with running.fault(VariantFault(endpoint=plain, kind="latency", seconds=0.2)):
        cloud.invoke(plain)
    cloud.invoke(plain)
    poll(lambda: latencies(cloud, plain, "v", "SampleCount") == 2)
    assert latencies(cloud, plain, "v", "Maximum") >= 200_000 > latencies(cloud, plain, "v", "Minimum")


def test_a_lognormal_latency(running: LocalAWS, cloud: Cloud, plain: str) -> None:
    median, sigma, count = 0.05, 0.5, 200
    with (
        running.fault(VariantFault(endpoint=plain, kind="latency", seconds=median, sigma=sigma)),
        ThreadPoolExecutor(4) as pool,
    ):
        list(pool.map(lambda _: cloud.invoke(plain), range(count)))
    poll(lambda: latencies(cloud, plain, "v", "SampleCount") == count)
    # The sample's median is lognormal too, to the order of 1/sqrt(n); the model adds to it and never takes away.
    error = 4 * sigma * math.sqrt(math.pi / 2 / count)
    lowest = median * math.exp(-error)
    assert lowest * 1e6 <= latencies(cloud, plain, "v", "p50") <= (median * math.exp(error) + 0.05) * 1e6
    assert latencies(cloud, plain, "v", "p95") > 1.5 * lowest * 1e6


def capturing(cloud: Cloud, model: str, prefix: str) -> str:
    config = cloud.config([cloud.variant("v", model)], DataCaptureConfig=cloud.capture_config(prefix))
    return cloud.endpoint(config)


def lines(cloud: Cloud, prefix: str) -> list[str]:
    return [line for content in cloud.objects(prefix).values() for line in content.decode().split("\n") if line]


def ids(found: list[str]) -> list[str]:
    return sorted(json.loads(line)["eventMetadata"]["inferenceId"] for line in found)


def test_captures_missing_and_duplicated(running: LocalAWS, cloud: Cloud, model: str) -> None:
    name = capturing(cloud, model, "doubtful")
    running.faults.add(CaptureFault(endpoint=name, variant="v", kind="missing", nth=2))
    running.faults.add(CaptureFault(endpoint=name, variant="v", kind="duplicated", nth=3))
    for number in range(4):
        cloud.invoke(name, InferenceId=str(number))
    poll(lambda: len(lines(cloud, "doubtful")) >= 4)
    found = lines(cloud, "doubtful")
    assert ids(found) == ["0", "2", "2", "3"]
    events = [json.loads(line)["eventMetadata"]["eventId"] for line in found]
    assert len(set(events)) == 3  # the same record twice, not another of the same request


def test_a_truncated_capture(running: LocalAWS, cloud: Cloud, model: str) -> None:
    name = capturing(cloud, model, "truncated")
    with running.fault(CaptureFault(endpoint=name, kind="truncated", times=1)) as fault:
        for number in range(3):
            cloud.invoke(name, InferenceId=str(number))
        poll(lambda: fault.fired == 1)
        (content, *_) = poll(lambda: list(cloud.objects("truncated").values()))
    assert not content.endswith(b"\n")
    *whole, last = content.decode().split("\n")
    assert ids(whole) == [str(number) for number in range(len(whole))]
    with pytest.raises(json.JSONDecodeError):
        json.loads(last)


def test_a_late_capture(running: LocalAWS, cloud: Cloud, model: str) -> None:
    late = 1.5
    name = capturing(cloud, model, "late")
    with running.fault(CaptureFault(endpoint=name, kind="late", seconds=late)) as fault:
        started = time.monotonic()
        cloud.invoke(name, InferenceId="x")
        poll(lambda: fault.fired == 1)
        assert lines(cloud, "late") == []
    poll(lambda: lines(cloud, "late"))
    assert time.monotonic() - started >= late
    assert ids(lines(cloud, "late")) == ["x"]


def test_missing_metrics(running: LocalAWS, cloud: Cloud, plain: str) -> None:
    with running.fault(MetricsFault(endpoint=plain, metric="ModelLatency", kind="missing", nth=2)) as fault:
        for _ in range(3):
            cloud.invoke(plain)
        poll(lambda: fault.state.seen == 3)
        assert latencies(cloud, plain, "v", "SampleCount") == 2


def test_delayed_metrics(running: LocalAWS, cloud: Cloud, plain: str) -> None:
    late = 1.5
    with running.fault(MetricsFault(endpoint=plain, kind="delayed", seconds=late)) as fault:
        started = time.monotonic()
        cloud.invoke(plain)
        poll(lambda: fault.fired > 0)
        assert latencies(cloud, plain, "v", "SampleCount") is None
    poll(lambda: latencies(cloud, plain, "v", "SampleCount") == 1)
    assert time.monotonic() - started >= late
