from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from shadow_provider.evidence.metric_reader import MetricReader, Series, Span, whole_span
from shadow_provider.evidence.window import hours, period_grain
from tests.unit.evidence.fakes import ENDPOINT, PRODUCTION, SHADOW, START, FakeCloudWatch

NOW = START + timedelta(hours=1)


def filled(n: int = 800) -> FakeCloudWatch:
    cloudwatch = FakeCloudWatch()
    latencies = np.random.default_rng(5).lognormal(9, 0.3, size=n)
    for i in range(n):
        moment = START + timedelta(seconds=600 * i / n)
        cloudwatch.invocation(PRODUCTION, moment, float(latencies[i]))
        cloudwatch.invocation(SHADOW, moment, 2 * float(latencies[i]), failed=i % 100 == 0)
    return cloudwatch


@pytest.mark.parametrize("status", ["PartialData", "InternalError", "Forbidden"])
def test_what_cloudwatch_did_not_answer_completely_is_missing_and_noted(status: str) -> None:
    cloudwatch = filled()
    cloudwatch.status = lambda metric: status if metric == "Invocations" else "Complete"
    reader = MetricReader(cloudwatch, ENDPOINT)
    counted, failed = (Series(PRODUCTION, name, "Sum") for name in ("Invocations", "Invocation5XXErrors"))
    found = reader.totals([counted, failed], whole_span(START, NOW, NOW))
    assert (found[counted], found[failed]) == (None, 0)
    assert any(status in note and "Invocations" in note for note in reader.notes)


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


def test_hours_are_those_of_utc() -> None:
    start = datetime.fromisoformat("2026-03-01T01:30:00+05:30")
    assert list(hours(start, start + timedelta(hours=1))) == [
        datetime(2026, 2, 28, 20, tzinfo=UTC),
        datetime(2026, 2, 28, 21, tzinfo=UTC),
    ]
