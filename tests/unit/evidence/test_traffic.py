from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from shadow_provider.evidence.traffic import recent_traffic
from shadow_provider.verdict.traffic import Traffic
from tests.unit.evidence.fakes import ENDPOINT, PRODUCTION, START, FakeCloudWatch

HOUR = timedelta(hours=1)


def recent(cloudwatch: FakeCloudWatch, hours: float = 24, *, now: Any = None, **others: Any) -> Traffic:
    end = START + hours * HOUR
    span = {"start": START, "end": end, "now": now or end, **others}
    return recent_traffic(cloudwatch, endpoint_name=ENDPOINT, variant=PRODUCTION, **span)


@pytest.fixture
def day() -> FakeCloudWatch:
    """12 invocations a minute in every other hour of a day; one in a hundred fails."""
    made = FakeCloudWatch()
    latencies = np.random.default_rng(7).lognormal(9, 0.3, 24 * 60 * 12)
    for i, latency in enumerate(latencies):
        moment = START + i * timedelta(seconds=5)
        if moment.hour % 2 == 0:
            made.invocation(PRODUCTION, moment, float(latency), failed=i % 100 == 0)
    return made


def test_hours_and_the_noise_of_latency_come_from_one_call(day: FakeCloudWatch) -> None:
    day.results_a_page = 500
    found = recent(day)
    assert len(day.calls) == 1
    assert (found.start, found.end, found.hours) == (START, START + 24 * HOUR, 12)
    assert found.invocations_per_hour == 720
    assert found.error_rate == pytest.approx(0.01, rel=0.2)
    assert found.busiest is not None
    assert found.busiest.invocations == 720
    # 12 samples a minute are enough for a median, 60 in five minutes for p90; nothing here is for p99.
    assert {name: set(lengths) for name, lengths in found.latency.items()} == {
        "p50": {60, 300, 900},
        "p90": {300, 900},
        "p99": set(),
    }
    p50 = found.latency["p50"]
    # The median's standard error falls with the root of the samples: 15 times as many make it a quarter.
    assert p50[60] / p50[900] == pytest.approx(15**0.5, rel=0.3)
    assert found.notes == ()


def test_each_neighbouring_pair_of_blocks_is_one_change(day: FakeCloudWatch) -> None:
    latency = dict(day.values[PRODUCTION, "ModelLatency"])
    medians: dict[Any, list[float]] = {}
    for moment, value in latency.items():
        medians.setdefault(moment.replace(minute=moment.minute // 15 * 15, second=0), []).append(value)
    figures = {moment: float(np.median(values)) for moment, values in medians.items()}
    quarter = timedelta(minutes=15)
    changes = [np.log(figures[at + quarter] / value) for at, value in figures.items() if at + quarter in figures]
    assert recent(day).latency["p50"][900] == pytest.approx(np.std(changes, ddof=1))


def test_only_whole_hours_are_read(day: FakeCloudWatch) -> None:
    found = recent(day, start=START + timedelta(minutes=1), end=START + timedelta(hours=4, minutes=59))
    assert (found.start, found.end, found.hours) == (START + HOUR, START + 4 * HOUR, 1)
    nothing = recent(day, 0.9)
    assert (nothing.hours, nothing.invocations_per_hour, nothing.latency) == (0, None, {})
    assert "no whole hour" in nothing.notes[0]


def test_an_hour_without_a_count_of_errors_is_not_one_without_errors(day: FakeCloudWatch) -> None:
    values = day.values[PRODUCTION, "Invocation4XXErrors"]
    day.values[PRODUCTION, "Invocation4XXErrors"] = [each for each in values if each[0].hour != START.hour]
    found = recent(day)
    assert found.hours == 12
    assert found.quietest is not None
    assert found.quietest.start == START
    assert found.quietest.errors is None
    day.values[PRODUCTION, "Invocation4XXErrors"] = []
    assert recent(day).error_rate is None


def test_what_cloudwatch_no_longer_keeps_or_does_not_answer_is_noted(day: FakeCloudWatch) -> None:
    old = recent(day, now=START + timedelta(days=16))
    assert set(old.latency["p50"]) == {300, 900}
    assert old.notes == (
        "latency in blocks of 60 s is not known from the start: CloudWatch keeps such periods 15 days",
    )
    assert old.hours == 12
    day.status = lambda metric: "InternalError" if metric == "Invocations" else "Complete"
    partial = recent(day)
    assert (partial.hours, partial.error_rate) == (0, None)
    assert partial.notes == (f"{PRODUCTION} Invocations Sum: InternalError",)
