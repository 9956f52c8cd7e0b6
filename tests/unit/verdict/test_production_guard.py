"""The production guard: its margins, and how often it cries wolf."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shadow_provider.plan.errors import PlanError
from shadow_provider.policy.gates import Agreement, InvocationErrorRate, ModelLatency
from shadow_provider.policy.policy import Policy
from shadow_provider.policy.production_guard import ProductionGuard, read_production_guard
from shadow_provider.verdict.measures import RateMeasure, RatioMeasure
from shadow_provider.verdict.production_guard import Period, guard_finding

GUARD = ProductionGuard(error_rate_margin=0.01, latency_margin=0.2, percentile="p90", alpha=0.05)


def period(
    random: np.random.Generator, blocks: int, *, rate: float = 0.01, before: float = 0.01, ratio: float = 1.0
) -> Period:
    trials = random.poisson(100, (2, blocks)) + 1
    since, earlier = random.binomial(trials[0], rate), random.binomial(trials[1], before)
    latency = random.lognormal(0, 0.1, (2, blocks))
    return Period(
        RateMeasure(
            events=tuple(map(int, since)),
            trials=tuple(map(int, trials[0])),
            reference_events=tuple(map(int, earlier)),
            reference_trials=tuple(map(int, trials[1])),
        ),
        RatioMeasure(candidate=tuple(map(float, latency[0] * ratio)), reference=tuple(map(float, latency[1]))),
    )


def begun(whole: Period, blocks: int) -> Period:
    return Period(whole.errors.first(blocks), whole.latency.first(blocks))


def test_at_the_margin_it_aborts_with_at_most_alpha_over_all_looks() -> None:
    """200 productions exactly as bad as both margins allow, looked at sixteen times."""
    random, aborted = np.random.default_rng(11), 0
    for _ in range(200):
        whole = period(random, 240, rate=0.02, before=0.01, ratio=1.2)
        looks = (guard_finding(GUARD, [begun(whole, blocks)], all_periods=1, precision=20.0)
                 for blocks in range(15, 241, 15))  # fmt: skip
        aborted += any(look.breaches for look in looks)
    assert aborted <= 0.05 * 200


@pytest.mark.parametrize(("harm", "word"), [({"rate": 0.06}, "fails"), ({"ratio": 1.6}, "latency")])
def test_harm_beyond_the_margin_is_found(harm: dict[str, float], word: str) -> None:
    found = guard_finding(GUARD, [period(np.random.default_rng(5), 60, **harm)], all_periods=7, precision=20.0)
    assert [word in breach for breach in found.breaches] == [True]


def test_a_production_that_is_better_than_before_is_no_breach() -> None:
    better = period(np.random.default_rng(5), 240, rate=0.001, ratio=0.5)
    assert guard_finding(GUARD, [better], all_periods=1, precision=20.0).breaches == ()


def test_more_periods_to_come_ask_for_more_evidence() -> None:
    harmed = period(np.random.default_rng(3), 120, ratio=1.3)
    few, many = (guard_finding(GUARD, [harmed], all_periods=count, precision=20.0) for count in (1, 10**6))
    assert (len(few.breaches), len(many.breaches)) == (1, 0)


def test_blocks_with_requests_on_one_side_only_do_not_count() -> None:
    random = np.random.default_rng(9)
    whole = period(random, 60, rate=0.5)
    quiet = whole.errors.model_copy(update={"reference_trials": (0,) * 60, "reference_events": (0,) * 60})
    found = guard_finding(GUARD, [Period(quiet, whole.latency)], all_periods=1, precision=20.0)
    assert (found.breaches, found.blocks, found.missing) == ((), 0, 60)
    assert found.as_text() == "nothing to compare production with; 60 blocks without figures on both sides"


def test_times_of_day_that_were_not_seen_before_are_not_compared() -> None:
    """In every other block, of which there is nothing before, production fails as it may do every day at that time."""
    random = np.random.default_rng(9)
    seen, unseen = period(random, 120), period(random, 120, rate=0.3)

    def mixed(own: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(other[number] if number % 2 else own[number] for number in range(120))

    nothing = (0,) * 120
    errors = RateMeasure(
        events=mixed(seen.errors.events, unseen.errors.events),
        trials=mixed(seen.errors.trials, unseen.errors.trials),
        reference_events=mixed(seen.errors.reference_events, nothing),
        reference_trials=mixed(seen.errors.reference_trials, nothing),
    )
    found = guard_finding(GUARD, [Period(errors, seen.latency)], all_periods=1, precision=20.0)
    assert (found.breaches, found.blocks, found.missing) == ((), 60, 60)


@pytest.mark.parametrize("value", [None, "off", "OFF", False, "None", ""])
def test_it_can_be_switched_off(value: Any) -> None:
    assert read_production_guard(value, Policy(gates=(Agreement(minimum=0.9),))) is None


@pytest.mark.parametrize("value", ["on", True, {}, {"alpha": None, "percentile": "None"}])
def test_what_is_left_out_follows_the_policy_or_is_safe(value: Any) -> None:
    bare = read_production_guard(value, Policy(gates=(Agreement(minimum=0.9),), alpha=0.01))
    assert bare == ProductionGuard(error_rate_margin=0.005, latency_margin=0.2, percentile="p90", alpha=0.01)
    gates = (InvocationErrorRate(margin=0.03), ModelLatency(percentile="p99", margin=0.1))
    assert read_production_guard(value, Policy(gates=gates)) == ProductionGuard(
        error_rate_margin=0.03, latency_margin=0.2, percentile="p99", alpha=0.05
    )
    wide = Policy(gates=(ModelLatency(percentile="p50", margin=0.5),))
    found = read_production_guard({"percentile": "p75", "alpha": "0.1"}, wide)
    assert found == ProductionGuard(error_rate_margin=0.005, latency_margin=0.5, percentile="p75", alpha=0.1)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("maybe", "production_guard='maybe': must be 'on', 'off' or a mapping"),
        ({"error_rate_margin": 1}, "production_guard.error_rate_margin=1"),
        ({"percentile": "p42"}, "production_guard.percentile='p42'"),
        ({"margin": 1}, "production_guard.margin=1: is not an argument here"),
    ],
)
def test_what_it_cannot_be_is_named(value: Any, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        read_production_guard(value, Policy(gates=(Agreement(minimum=0.9),)))
    assert message in str(caught.value)
