"""CloudWatch by block as an evaluation reads it: over HTTP, from values that were put and from an endpoint's own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from shadow_provider.evidence.block_figures import KeptMetrics
from shadow_provider.evidence.block_metrics import BlockMetrics, read_block_metrics
from shadow_provider.evidence.traffic import recent_traffic
from shadow_provider.evidence.window import rounded_down
from shadow_provider.local import LocalAWS, LocalSettings
from shadow_provider.verdict.measures import Blocks, RateMeasure, RatioMeasure
from tests.aws.conftest import Cloud, cloud_of, poll

MINUTE = timedelta(minutes=1)
FAILING = """
def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    if body.strip() == "1":
        raise ValueError("as asked")
    return body, content_type
"""


def read(
    cloud: Cloud, endpoint: str, blocks: Blocks, kept: KeptMetrics | None = None, now: datetime | None = None
) -> BlockMetrics:
    return read_block_metrics(
        cloud.cloudwatch,
        endpoint_name=endpoint,
        production_variant="p",
        shadow_variant="s",
        blocks=blocks,
        percentiles=("p50", "p90"),
        kept=kept,
        now=now or datetime.now(UTC),
    )


def put(cloud: Cloud, endpoint: str, variant: str, at: datetime, metrics: dict[str, list[float]]) -> None:
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
    data = [
        {"MetricName": name, "Dimensions": dimensions, "Timestamp": at, "Values": values}
        for name, values in metrics.items()
    ]
    cloud.cloudwatch.put_metric_data(Namespace="AWS/SageMaker", MetricData=data)


def request_metrics(latencies: list[float], failed: int) -> dict[str, list[float]]:
    number = len(latencies)
    failures = [1.0] * failed + [0.0] * (number - failed)
    zeros = [0.0] * number
    return {
        "Invocations": [1.0] * number,
        "Invocation4XXErrors": zeros,
        "Invocation5XXErrors": failures,
        "InvocationModelErrors": failures,
        "ModelLatency": latencies,
    }


@pytest.fixture
def endpoint(unique: Any) -> str:
    return str(unique("blocks"))


def test_blocks_have_the_percentiles_and_counts_of_their_own_minutes(cloud: Cloud, endpoint: str) -> None:
    end = rounded_down(datetime.now(UTC) - 6 * MINUTE, 300)
    blocks = Blocks(start=end - 20 * MINUTE, seconds=300, count=4)
    random = np.random.default_rng(1)
    latencies: dict[tuple[str, int], list[float]] = {}
    for minute in range(20):
        if 5 <= minute < 10:
            continue  # nobody called
        for variant in ("p", "s"):
            values = random.lognormal(9, 0.4, 30).tolist()
            latencies.setdefault((variant, minute // 5), []).extend(values)
            put(cloud, endpoint, variant, blocks.start + minute * MINUTE, request_metrics(values, minute % 2))
    found = read(cloud, endpoint, blocks)
    rate, p90 = found.measures["invocation_errors"], found.measures["model_latency_p90"]
    assert isinstance(rate, RateMeasure)
    assert isinstance(p90, RatioMeasure)
    assert rate.trials == rate.reference_trials == (150, 0, 150, 150)
    assert rate.events == rate.reference_events == (2, 0, 2, 3)
    expected = [float(np.percentile(latencies["s", block], 90)) for block in (0, 2, 3)]
    assert [each for each in p90.candidate if each is not None] == pytest.approx(expected)
    assert p90.candidate[1] is None
    curve = {point.percentile: point for point in found.latency_curve}
    whole = np.concatenate([latencies["p", block] for block in (0, 2, 3)])
    assert curve["p99"].production == pytest.approx(np.percentile(whole, 99))
    assert (found.calls, found.notes, found.gaps) == (1, (), {})
    # A later look continues; it takes from CloudWatch what is new, and the blocks that were young.
    early = read(cloud, endpoint, blocks.model_copy(update={"count": 2}), now=blocks.start + 11 * MINUTE)
    later = read(cloud, endpoint, blocks, early.kept)
    assert (later.measures, later.latency, later.invocations) == (found.measures, found.latency, found.invocations)


def test_many_datapoints_come_in_pages_and_are_all_counted(cloud: Cloud, endpoint: str, monkeypatch: Any) -> None:
    start = rounded_down(datetime.now(UTC), 60) - 40 * MINUTE
    for minute in range(30):
        put(cloud, endpoint, "p", start + minute * MINUTE, request_metrics([1000.0] * 12, 1))
    original = cloud.cloudwatch.get_metric_data
    monkeypatch.setattr(cloud.cloudwatch, "get_metric_data", lambda **kwargs: original(MaxDatapoints=100, **kwargs))
    found = read(cloud, endpoint, Blocks(start=start, seconds=60, count=30))
    assert found.invocations.production == (12,) * 30
    assert found.errors["5xx"] == (30, None)
    # Eight columns of production with 30 datapoints each, and what is read of the whole window.
    assert found.calls > 2
    assert found.notes == ()


@pytest.fixture(scope="module")
def quick(unique: Any) -> Iterator[Cloud]:
    """Its endpoints' metrics have timestamps by the second."""
    with LocalAWS(LocalSettings(seed=7, drain_timeout=5, metric_resolution=1)) as running:
        yield cloud_of(running, unique)


def test_an_endpoints_own_metrics_are_read_in_blocks_of_seconds(quick: Cloud) -> None:
    production, shadow = quick.model(), quick.model(FAILING)
    name = quick.endpoint(quick.config([quick.variant("p", production)], [quick.variant("s", shadow)]))
    start = rounded_down(datetime.now(UTC), 5)
    for number in range(40):
        quick.invoke(name, b"1\n" if number % 10 == 0 else b"0\n")
    count = -(-(datetime.now(UTC) - start) // timedelta(seconds=5)) + 1
    blocks = Blocks(start=start, seconds=5, count=count)

    def mirrored() -> BlockMetrics | None:
        found = read(quick, name, blocks)
        return found if sum(each or 0 for each in found.invocations.shadow) == 40 else None

    found = poll(mirrored)
    assert sum(each or 0 for each in found.invocations.production) == 40
    assert found.errors == {"4xx": (0, 0), "5xx": (0, 4), "model": (0, 4)}
    rate = found.measures["invocation_errors"]
    assert (sum(rate.events), sum(rate.trials), rate.n) == (4, 40, 40)
    assert (sum(rate.reference_events), found.gaps) == (0, {})
    assert found.measures["model_latency_p50"].n >= 1
    assert found.measures["model_latency_p90"].n + found.thin_blocks["p90"] >= 1


def test_recent_traffic_is_that_of_whole_hours(cloud: Cloud, endpoint: str) -> None:
    end = rounded_down(datetime.now(UTC), 3600)
    random = np.random.default_rng(2)
    for quarter in range(8):
        at = end - 120 * MINUTE + quarter * 15 * MINUTE
        for minute in range(15):
            values = random.lognormal(9, 0.3, 12).tolist()
            put(cloud, endpoint, "p", at + minute * MINUTE, request_metrics(values, int(minute == 0)))
    found = recent_traffic(
        cloud.cloudwatch,
        endpoint_name=endpoint,
        variant="p",
        start=end - 300 * MINUTE,
        end=end + MINUTE,
        now=datetime.now(UTC),
    )
    assert (found.hours, found.invocations_per_hour) == (2, 720)
    assert found.error_rate == pytest.approx(8 / 1440)
    # The median of 12 lognormal values varies by about 0.3 * 1.25 / sqrt(12), a change from one to the next more.
    assert found.latency["p50"][60] == pytest.approx(0.3 * 1.25 / 12**0.5 * 2**0.5, rel=0.3)
    assert set(found.latency["p90"]) == {300}
