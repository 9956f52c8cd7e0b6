"""Which of production's blocks are held against which, and what is said where there are none."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from shadow_provider.evidence.production_guard import look_at_production
from shadow_provider.policy.gates import InvocationErrorRate, ModelLatency
from shadow_provider.policy.policy import Policy
from shadow_provider.policy.production_guard import read_production_guard
from shadow_provider.verdict.production_guard import GuardFinding
from tests.unit.evidence.fakes import ENDPOINT, PRODUCTION, START, FakeCloudWatch

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
# With that deadline, blocks are two minutes long.
POLICY = Policy(gates=(InvocationErrorRate(margin=0.02), ModelLatency(percentile="p50", margin=0.3)), deadline_hours=48)
RANDOM = np.random.default_rng(3)


def traffic(
    cloudwatch: FakeCloudWatch,
    begin: datetime,
    end: datetime,
    *,
    failing: float = 0.0,
    slower: float = 1.0,
    daily: float = 0.0,
) -> None:
    """12 requests a minute; with a daily swing, latency is so much higher (logarithm) in the second half of the day."""
    moment = begin
    while moment < end:
        swing = np.exp(daily) if moment.hour >= 12 else 1.0
        latency = float(RANDOM.lognormal(9, 0.2)) * slower * swing
        cloudwatch.invocation(PRODUCTION, moment, latency, failed=RANDOM.random() < failing)
        moment += timedelta(seconds=5)


def look(cloudwatch: FakeCloudWatch, until: datetime, **changes: Any) -> GuardFinding:
    policy = POLICY.model_copy(update=changes)
    guard = read_production_guard("on", policy)
    assert guard is not None
    return look_at_production(
        cloudwatch,
        endpoint_name=ENDPOINT,
        variant=PRODUCTION,
        since=START,
        until=until,
        now=until + 3 * MINUTE,
        policy=policy,
        guard=guard,
    )


def test_production_as_it_was_is_no_breach() -> None:
    cloudwatch = FakeCloudWatch()
    traffic(cloudwatch, START - DAY, START + 4 * HOUR, failing=0.01)
    found = look(cloudwatch, START + 4 * HOUR)
    assert found.breaches == ()
    assert (found.blocks, found.missing, found.notes) == (120, 0, ())
    assert found.as_text() == "production is not surely worse than before, by 120 blocks"


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ({"failing": 0.3}, "of its requests since the shadow was added, 0 % before: surely more than 2 percentage"),
        ({"slower": 2.0}, "production's p50 latency is"),
    ],
)
def test_harm_is_seen_within_hours_and_told_with_figures(harm: dict[str, float], said: str) -> None:
    cloudwatch = FakeCloudWatch()
    traffic(cloudwatch, START - DAY, START)
    traffic(cloudwatch, START, START + 2 * HOUR, **harm)
    (breach,) = look(cloudwatch, START + 2 * HOUR).breaches
    assert said in breach


def test_a_daily_swing_is_no_harm() -> None:
    """From noon on production is three times slower, as every day; held against the hours just before it would be."""
    cloudwatch = FakeCloudWatch()
    traffic(cloudwatch, START - DAY, START + 6 * HOUR, daily=1.1)
    assert look(cloudwatch, START + 6 * HOUR).breaches == ()


def test_harm_of_the_second_day_is_seen_too() -> None:
    cloudwatch = FakeCloudWatch()
    traffic(cloudwatch, START - DAY, START + DAY)
    traffic(cloudwatch, START + DAY, START + DAY + 3 * HOUR, slower=2.0)
    (breach,) = look(cloudwatch, START + DAY + 3 * HOUR).breaches
    assert "% higher since the shadow was added in period 2: surely more than 30 %" in breach


def test_a_young_production_is_held_against_what_there_is_and_that_is_told() -> None:
    cloudwatch = FakeCloudWatch()
    traffic(cloudwatch, START - 2 * HOUR, START)
    traffic(cloudwatch, START, START + HOUR, slower=2.0)
    found = look(cloudwatch, START + HOUR)
    assert len(found.breaches) == 1
    assert "production has figures of 2.0 hours before the shadow only" in found.notes[0]
    # Two hours later each of its blocks before is used again, in a comparison of its own.
    traffic(cloudwatch, START + HOUR, START + 3 * HOUR, slower=2.0)
    assert ["in period 1" in found for found in look(cloudwatch, START + 3 * HOUR).breaches] == [True, False]


@pytest.mark.parametrize(("history", "minutes"), [(timedelta(0), 0), (50 * MINUTE, 50)])
def test_without_an_hour_before_nothing_is_said_of_production(history: timedelta, minutes: int) -> None:
    cloudwatch = FakeCloudWatch()
    traffic(cloudwatch, START - history, START)
    traffic(cloudwatch, START, START + HOUR, failing=0.9)
    found = look(cloudwatch, START + HOUR)
    assert (found.breaches, found.blocks) == ((), 0)
    assert f"CloudWatch has {minutes} minutes of production before the shadow" in found.as_text()


def test_before_the_first_block_has_ended_there_is_nothing_to_see() -> None:
    cloudwatch = FakeCloudWatch()
    traffic(cloudwatch, START - DAY, START)
    assert "no block has ended" in look(cloudwatch, START + MINUTE / 2).as_text()
    assert "no block has ended" in look(cloudwatch, START + 9 * MINUTE, warm_up_seconds=600).as_text()


def test_missing_figures_are_neither_a_pass_nor_harm_and_are_counted() -> None:
    cloudwatch = FakeCloudWatch()
    traffic(cloudwatch, START - DAY, START - DAY + 2 * HOUR)
    traffic(cloudwatch, START, START + 4 * HOUR)
    found = look(cloudwatch, START + 4 * HOUR)
    assert (found.breaches, found.blocks, found.missing) == ((), 60, 60)
    assert "60 blocks without figures on both sides" in found.as_text()


def test_what_cloudwatch_does_not_answer_is_told() -> None:
    cloudwatch = FakeCloudWatch()
    traffic(cloudwatch, START - DAY, START)
    traffic(cloudwatch, START, START + 2 * HOUR, failing=0.5, slower=2)
    cloudwatch.status = lambda metric: "InternalError" if metric == "Invocation5XXErrors" else "Complete"
    found = look(cloudwatch, START + 2 * HOUR)
    # Latency is known, failures are not.
    assert ["latency" in breach for breach in found.breaches] == [True]
    assert any("Invocation5XXErrors" in note for note in found.notes)
