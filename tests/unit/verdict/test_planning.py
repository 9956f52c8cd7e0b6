"""What a plan promises is held against draws of its own and against the fixed formulas of `statistics.planning`."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from shadow_provider.policy.gates import (
    Accuracy,
    Agreement,
    ComparatorOutcome,
    InvocationErrorRate,
    ModelLatency,
    PairedErrorRate,
)
from shadow_provider.policy.policy import Policy
from shadow_provider.policy.reading import read_policy
from shadow_provider.policy.ready_made import READY_MADE
from shadow_provider.policy.segments import SizeSegment
from shadow_provider.statistics.planning import pairs_needed
from shadow_provider.verdict.measures import PairedMeasure, RatioMeasure
from shadow_provider.verdict.planning import GatePlan, Plan, plan
from shadow_provider.verdict.traffic import HourOfTraffic, Traffic
from tests.unit.verdict.builders import paired

END = datetime(2026, 3, 2, tzinfo=UTC)


def traffic(per_hour: float, **others: Any) -> Traffic:
    known: dict[str, Any] = {
        "start": END - timedelta(days=1),
        "end": END,
        "hours": 24,
        "invocations_per_hour": per_hour,
        "busiest": None,
        "quietest": None,
        "error_rate": None,
        "latency": {},
    }
    return Traffic(**(known | others))


def policy(*gates: Any, **others: Any) -> Policy:
    return Policy(gates=gates, minimum_pairs=1, **others)


def planned(gate: Any, per_hour: float | None, *, sampling_percentage: float = 100.0, **others: Any) -> GatePlan:
    known = None if per_hour is None else traffic(per_hour, error_rate=0.002)
    return plan(policy(gate, **others), known, sampling_percentage=sampling_percentage).gates[0]


def share_passing(measure: Any, margin: float, draws: int = 200) -> float:
    """Share of draws of another seed that have passed at the end."""
    rng = np.random.default_rng(99)
    passed = [bool(measure(rng).sequential(20.0).evidence_below(margin) >= math.log(20)) for _ in range(draws)]
    return sum(passed) / draws


class TestPower:
    def pairs(self, blocks: int, each: float) -> Any:
        def draw(rng: np.random.Generator) -> PairedMeasure:
            return paired(rng, rng.poisson(each, blocks), 0.002, 0.002)

        return draw

    @pytest.mark.parametrize("per_hour", [600, 3000])
    def test_the_planned_hours_pass_a_gate_on_pairs_with_the_wanted_power(self, per_hour: int) -> None:
        found = planned(PairedErrorRate(margin=0.005), per_hour)
        assert found.hours is not None
        blocks = round(found.hours * 6)
        assert 0.68 < share_passing(self.pairs(blocks, per_hour / 6), 0.005) < 0.95
        assert share_passing(self.pairs(blocks // 2, per_hour / 6), 0.005) < 0.5

    def test_the_planned_blocks_pass_a_gate_on_latency_with_the_wanted_power(self) -> None:
        known = traffic(60_000, latency={"p90": {600: 0.3}})
        found = plan(policy(ModelLatency(margin=0.15)), known, sampling_percentage=100).gates[0]
        assert found.hours is not None
        blocks = round(found.hours * 6)

        def draw(rng: np.random.Generator) -> RatioMeasure:
            candidate = np.exp(0.3 * rng.standard_normal(blocks))
            return RatioMeasure(candidate=tuple(candidate.tolist()), reference=(1.0,) * blocks)

        assert 0.68 < share_passing(draw, math.log(1.15)) < 0.95

    def test_pairs_are_at_least_those_of_the_fixed_formula_and_not_many_more(self) -> None:
        found = planned(PairedErrorRate(margin=0.005), None).needed
        formula = pairs_needed(0.005, 0.002, 0.05)
        assert found is not None
        assert formula is not None
        assert formula <= found <= 1.6 * formula

    def test_what_the_deadline_proves_is_reached_as_a_margin_and_less_is_not(self) -> None:
        gate = planned(PairedErrorRate(margin=0.005), 300, deadline_hours=48)
        assert gate.provable is not None
        assert planned(PairedErrorRate(margin=gate.provable * 1.1), 300, deadline_hours=48).reached
        assert planned(PairedErrorRate(margin=gate.provable * 0.8), 300, deadline_hours=48).reached is False

    def test_what_the_deadline_proves_of_agreement_lies_between_its_minimum_and_what_is_supposed(self) -> None:
        gate = planned(Agreement(minimum=0.95), 1000)
        assert gate.provable is not None
        assert 0.95 < gate.provable < 0.975


class TestTraffic:
    def test_without_traffic_there_are_pairs_and_no_hours(self) -> None:
        found = plan(read_policy("balanced"), None, sampling_percentage=50)
        assert [gate.hours for gate in found.gates] == [None] * 5
        assert all(gate.needed for gate in found.gates)
        assert (found.hours, found.cover_hours, found.unreachable, found.hopeless) == (None, None, (), False)
        assert "hours are not" in found.as_text()

    def test_a_tenth_of_the_traffic_takes_about_ten_times_as_long(self) -> None:
        many, few = (planned(PairedErrorRate(margin=0.005), each).hours for each in (500, 50))
        assert many is not None
        assert few is not None
        assert 7 < few / many < 13

    def test_half_the_share_takes_about_twice_as_long(self) -> None:
        whole, half = (
            planned(PairedErrorRate(margin=0.005), 500, sampling_percentage=each).hours for each in (100, 50)
        )
        assert whole is not None
        assert half is not None
        assert 1.6 < half / whole < 2.4

    def test_much_traffic_does_not_shorten_what_swings_over_time_need(self) -> None:
        gate = planned(PairedErrorRate(margin=0.005), 1_000_000)
        assert gate.hours is not None
        assert gate.hours >= 2  # twelve effective blocks of ten minutes

    def test_productions_own_error_rate_is_supposed(self) -> None:
        few, many = (
            plan(policy(PairedErrorRate(margin=0.01)), traffic(1000, error_rate=rate), sampling_percentage=100)
            for rate in (0.001, 0.02)
        )
        assert (few.gates[0].needed or 0) < (many.gates[0].needed or 0)
        assert "of late" in many.gates[0].supposed
        assert "guess" in planned(PairedErrorRate(margin=0.01), None).supposed

    def test_no_traffic_at_all_is_hopeless(self) -> None:
        found = plan(read_policy("balanced"), traffic(0), sampling_percentage=100)
        assert found.hopeless
        assert "no traffic" in " ".join(found.warnings)

    def test_hours_without_traffic_count_for_the_deadline(self) -> None:
        all_day = planned(PairedErrorRate(margin=0.005), 300)
        known = traffic(900, hours=8, error_rate=0.002)
        third = plan(policy(PairedErrorRate(margin=0.005)), known, sampling_percentage=100)
        assert third.gates[0].hours == all_day.hours
        assert "16 of the 24 hours had no traffic" in " ".join(third.warnings)

    def test_what_is_known_of_less_than_a_day_or_of_an_uneven_one_is_said(self) -> None:
        quiet = HourOfTraffic(END, 10, 0)
        known = traffic(1000, start=END - timedelta(hours=5), hours=5, quietest=quiet, notes=("late",))
        warnings = " ".join(plan(read_policy("balanced"), known, sampling_percentage=100).warnings)
        for words in ("that of 5 hours", "quietest hour had 10 requests", "CloudWatch: late"):
            assert words in warnings


class TestDeadline:
    def found(self, name: str, per_hour: float) -> Plan:
        return plan(read_policy(name), traffic(per_hour), sampling_percentage=100)

    def test_a_gate_that_comes_too_late_is_named_with_what_could_be_proven_instead(self) -> None:
        found = self.found("conservative", 200)
        assert "paired_error_rate" in found.unreachable
        assert found.hopeless
        assert any(w.startswith("paired_error_rate: needs about") and "can prove is < +" in w for w in found.warnings)

    def test_a_gate_that_only_reports_does_not_make_a_plan_hopeless(self) -> None:
        gates = (Agreement(minimum=0.9), PairedErrorRate(margin=0.00001, report_only=True))
        found = plan(policy(*gates), traffic(1000), sampling_percentage=100)
        assert found.unreachable == ("paired_error_rate",)
        assert not found.hopeless

    @pytest.mark.parametrize("required", [True, False])
    def test_a_gate_on_the_truth_does_only_if_it_is_required(self, required: bool) -> None:
        gates = (Agreement(minimum=0.9), Accuracy(margin=0.0001, required=required))
        found = plan(policy(*gates), traffic(1000), sampling_percentage=100)
        assert found.unreachable == ("accuracy",)
        assert found.hopeless is required

    def test_half_the_labels_need_twice_the_pairs(self) -> None:
        whole, half = (planned(Accuracy(margin=0.02, minimum_coverage=each), None).needed for each in (1.0, 0.5))
        assert whole is not None
        assert half == 2 * whole

    def test_the_minimum_cover_can_be_what_takes_longest(self) -> None:
        found = plan(
            Policy(gates=(Agreement(minimum=0.9),), minimum_pairs=1000, minimum_hours=30),
            traffic(1000),
            sampling_percentage=100,
        )
        assert found.cover_hours == found.hours == 30

    def test_a_cover_beyond_the_deadline_is_hopeless(self) -> None:
        found = plan(
            Policy(gates=(Agreement(minimum=0.9),), minimum_pairs=100_000, deadline_hours=24),
            traffic(1000),
            sampling_percentage=100,
        )
        assert found.hopeless
        assert "minimum cover" in found.in_one_line()

    def test_the_warm_up_is_taken_from_the_deadline(self) -> None:
        found = plan(policy(Agreement(minimum=0.9), warm_up_seconds=3600), traffic(10), sampling_percentage=100)
        assert found.deadline_hours == 167


class TestPercentiles:
    def test_blocks_too_short_for_a_percentile_are_told_with_the_length_that_would_do(self) -> None:
        known, gate = traffic(2400), ModelLatency(percentile="p99", margin=0.1)
        found = plan(policy(gate), known, sampling_percentage=100)
        assert found.gates[0].reached is False
        assert any("block_seconds = 900 would do" in warning for warning in found.warnings)
        longer = plan(policy(gate, block_seconds=900), known, sampling_percentage=100)
        assert longer.gates[0].reached
        assert not any("block_seconds" in warning for warning in longer.warnings)

    def test_a_length_that_does_in_most_blocks_only_is_not_advised(self) -> None:
        # 510 requests on average in 900 s: 500 of them are there in two blocks of three.
        found = plan(policy(ModelLatency(percentile="p99", margin=0.1)), traffic(2040), sampling_percentage=100)
        assert any("block_seconds = 1800 would do" in warning for warning in found.warnings)

    def test_where_no_length_does_it_says_so(self) -> None:
        found = plan(policy(ModelLatency(percentile="p99", margin=0.1)), traffic(100), sampling_percentage=100)
        assert any("no length of a block does" in warning for warning in found.warnings)
        assert found.gates[0].provable is None

    def test_a_quieter_latency_needs_fewer_blocks(self) -> None:
        few, many = (
            plan(
                policy(ModelLatency(margin=0.1)),
                traffic(60_000, latency={"p90": {60: 1.0, 600: each, 3600: 0.0}}),
                sampling_percentage=100,
            ).gates[0]
            for each in (0.1, 0.5)
        )
        assert (few.needed or 0) < (many.needed or 0)
        assert "blocks of 600 s" in few.supposed


class TestWarnings:
    def test_a_policy_that_compares_no_answers_can_promote_nothing(self) -> None:
        gates = (InvocationErrorRate(margin=0.01), ModelLatency(margin=0.2))
        warnings = plan(policy(*gates), None, sampling_percentage=100).warnings
        assert any("nothing can be promoted" in warning for warning in warnings)

    def test_a_declared_segment_multiplies_what_is_needed(self) -> None:
        segment = SizeSegment(name="size", edges=(100, 1000), declared=True)
        warnings = plan(policy(Agreement(minimum=0.9), segments=(segment,)), None, sampling_percentage=100).warnings
        assert any("its 3 parts" in warning for warning in warnings)

    @pytest.mark.parametrize("share", [0.0, 101.0, -1.0])
    def test_a_share_that_cannot_be_is_refused(self, share: float) -> None:
        with pytest.raises(ValueError, match="sampling_percentage"):
            plan(read_policy("balanced"), None, sampling_percentage=share)


@pytest.mark.parametrize("name", READY_MADE)
def test_every_ready_made_policy_can_be_kept_at_ordinary_traffic_and_names_all_its_gates(name: str) -> None:
    given = read_policy(name)
    found = plan(given, traffic(20_000), sampling_percentage=50)
    assert not found.hopeless
    text = found.as_text()
    assert all(gate.name in text for gate in given.gates)
    assert Plan.model_validate_json(found.model_dump_json()) == found


def test_the_same_question_has_the_same_answer() -> None:
    one, other = (plan(read_policy("balanced"), traffic(3000), sampling_percentage=50) for _ in range(2))
    assert one == other


def test_a_score_needs_fewer_pairs_the_wider_its_margin() -> None:
    given = read_policy("llm_text")
    narrow, wide = (
        plan(
            given.model_copy(update={"gates": (ComparatorOutcome(outcome="chrf_distance", margin=each),)}),
            None,
            sampling_percentage=100,
        ).gates[0]
        for each in (0.05, 0.5)
    )
    assert (narrow.needed or 0) > (wide.needed or 0)
