from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from shadow_provider.evidence.metric_reader import MetricReader, Series, Span, whole_span
from shadow_provider.evidence.metrics import mirrored_share, read_metrics
from shadow_provider.evidence.window import hours, period_grain
from shadow_provider.plan.policy import Policy
from shadow_provider.verdict.evidence import EvidenceWindow, MetricsEvidence
from shadow_provider.verdict.latency import wanted_percentiles
from tests.unit.evidence.fakes import ENDPOINT, PRODUCTION, SHADOW, START, FakeCloudWatch

NOW = START + timedelta(hours=1)
WHERE = {"endpoint_name": ENDPOINT, "production_variant": PRODUCTION, "shadow_variant": SHADOW}


def metrics(cloudwatch: FakeCloudWatch, start: datetime = START, seconds: float = 700) -> MetricsEvidence:
    return read_metrics(
        cloudwatch, **WHERE, policy=Policy.default(), start=start, end=start + timedelta(seconds=seconds), now=NOW
    )


def filled(n: int = 800) -> FakeCloudWatch:
    cloudwatch = FakeCloudWatch()
    latencies = np.random.default_rng(5).lognormal(9, 0.3, size=n)
    for i in range(n):
        moment = START + timedelta(seconds=600 * i / n)
        cloudwatch.invocation(PRODUCTION, moment, float(latencies[i]))
        cloudwatch.invocation(SHADOW, moment, 2 * float(latencies[i]), failed=i % 100 == 0)
    return cloudwatch


def test_counts_and_percentiles_come_out_of_one_period() -> None:
    cloudwatch = filled()
    found = metrics(cloudwatch)
    assert (found.start, found.period_seconds) == (START, 720)
    assert (found.production.invocations, found.production.errors) == (800, 0)
    assert (found.shadow.invocations, found.shadow.errors, found.shadow.model_errors) == (800, 8, 8)
    assert found.notes == ()
    assert found.production.latency.keys() == set(wanted_percentiles(Policy.default(), 800))
    assert found.production.latency_samples == 800
    for name, value in found.production.latency.items():
        assert found.shadow.latency[name] == pytest.approx(2 * value if value else None)
    assert all(query["MetricStat"]["Period"] == 720 for call in cloudwatch.calls for query in call["MetricDataQueries"])


def test_no_datapoints_is_none_and_not_zero() -> None:
    found = metrics(FakeCloudWatch())
    for side in (found.production, found.shadow):
        assert (side.invocations, side.errors, side.latency_samples) == (None, None, None)
        assert set(side.latency.values()) == {None}


def test_one_missing_error_metric_makes_no_error_count() -> None:
    cloudwatch = filled()
    del cloudwatch.values[SHADOW, "Invocation4XXErrors"]
    found = metrics(cloudwatch)
    assert found.shadow.errors_5xx == 8
    assert found.shadow.errors is None


@pytest.mark.parametrize("status", ["PartialData", "InternalError", "Forbidden"])
def test_what_cloudwatch_did_not_answer_completely_is_missing_and_noted(status: str) -> None:
    cloudwatch = filled()
    cloudwatch.status = lambda metric: status if metric == "Invocations" else "Complete"
    found = metrics(cloudwatch)
    assert found.production.invocations is None
    assert found.production.errors == 0
    assert any(status in note and "Invocations" in note for note in found.notes)


def test_percentiles_of_two_periods_are_not_put_together_but_sums_are() -> None:
    cloudwatch = filled()
    reader = MetricReader(cloudwatch, ENDPOINT)
    span = Span(START, START + timedelta(seconds=600), 300)
    total, p90 = Series(PRODUCTION, "Invocations", "Sum"), Series(PRODUCTION, "ModelLatency", "p90")
    assert reader.totals([total, p90], span) == {total: 800, p90: None}
    assert "2 periods" in reader.notes[0]


def test_queries_are_batched() -> None:
    cloudwatch = FakeCloudWatch()
    wanted = [Series(PRODUCTION, "ModelLatency", f"p{n / 100}") for n in range(1, 701)]
    assert len(MetricReader(cloudwatch, ENDPOINT).totals(wanted * 2, whole_span(START, NOW, NOW))) == 700
    assert max(len(call["MetricDataQueries"]) for call in cloudwatch.calls) == 500


@pytest.mark.parametrize(
    ("age", "grain"), [(timedelta(days=14), 60), (timedelta(days=16), 300), (timedelta(days=64), 3600)]
)
def test_the_period_covers_the_window_and_is_coarse_enough_for_its_age(age: timedelta, grain: int) -> None:
    start = START + timedelta(minutes=7, seconds=13)
    end = start + timedelta(minutes=11)
    span = whole_span(start, end, start + age)
    assert period_grain(start, start + age) == grain
    assert span.period % grain == 0
    assert span.start.timestamp() % grain == 0
    assert span.start <= start < span.start + timedelta(seconds=grain)
    assert span.end - timedelta(seconds=grain) < end <= span.end
    assert span.end == span.start + timedelta(seconds=span.period)


def test_the_share_is_of_whole_minutes_that_both_have_reported() -> None:
    cloudwatch = filled(600)
    for i in range(200):
        cloudwatch.put(PRODUCTION, "Invocations", START + timedelta(seconds=600 + i), 1)
    overlap = (START + timedelta(seconds=30), START + timedelta(seconds=790))
    # From minute 1; minute 10 and later only production has reported.
    assert mirrored_share(cloudwatch, **WHERE, overlap=overlap, now=NOW) == (540, 540)


def test_a_minute_without_the_shadow_between_others_counts_against_the_mirror() -> None:
    cloudwatch = filled(600)
    series = cloudwatch.values[SHADOW, "Invocations"]
    cloudwatch.values[SHADOW, "Invocations"] = [each for each in series if each[0].minute != 5]
    overlap = (START, START + timedelta(minutes=10))
    assert mirrored_share(cloudwatch, **WHERE, overlap=overlap, now=NOW) == (600, 540)


@pytest.mark.parametrize("overlap", [None, (START, START + timedelta(seconds=59)), (NOW, NOW + timedelta(minutes=9))])
def test_without_a_whole_minute_there_is_no_share(overlap: Any) -> None:
    assert mirrored_share(filled(), **WHERE, overlap=overlap, now=NOW) is None


def test_hours_are_those_of_utc() -> None:
    start = datetime.fromisoformat("2026-03-01T01:30:00+05:30")
    assert list(hours(start, start + timedelta(hours=1))) == [
        datetime(2026, 2, 28, 20, tzinfo=UTC),
        datetime(2026, 2, 28, 21, tzinfo=UTC),
    ]


def test_a_window_knows_its_zone_and_direction() -> None:
    window = EvidenceWindow(start=datetime.fromisoformat("2026-03-01T12:00:00+02:00"), end=NOW)
    assert window.start == START
    assert window.start.tzinfo is UTC
    assert START in window
    assert NOW not in window
    with pytest.raises(ValueError, match="must be after"):
        EvidenceWindow(start=NOW, end=NOW)
    with pytest.raises(ValueError, match="timezone"):
        EvidenceWindow(start=datetime(2026, 3, 1), end=NOW)  # noqa: DTZ001
