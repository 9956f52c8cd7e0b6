"""Gates at a look: states, units, what is said of them, and what never passes."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.comparators.spec import EmbeddingSpec, NumberSpec, TextSpec
from shadow_provider.comparators.truth_spec import ScoreTruthSpec
from shadow_provider.policy.gates import (
    Accuracy,
    Agreement,
    ComparatorOutcome,
    Gate,
    GroundTruthLoss,
    InvocationErrorRate,
    ModelLatency,
    PairedErrorRate,
)
from shadow_provider.policy.policy import Policy
from shadow_provider.policy.reading import read_policy
from shadow_provider.policy.segments import AttributeSegment, HourSegment
from shadow_provider.verdict.evidence import Evidence, SegmentEvidence
from shadow_provider.verdict.looks import GateLook, GateState, look_at, look_at_segments, measure_of
from shadow_provider.verdict.measures import PairedMeasure, RateMeasure, RatioMeasure, ScoreMeasure
from shadow_provider.verdict.units import Unit
from tests.unit.verdict.builders import evidence, with_segments

GATES: tuple[Any, ...] = (
    InvocationErrorRate(margin=0.01),
    PairedErrorRate(margin=0.01),
    Agreement(minimum=0.9),
    Accuracy(margin=0.02),
    ModelLatency(percentile="p90", margin=0.2),
)
POLICY = Policy(gates=GATES)
BLOCKS = 200
GOOD = evidence(blocks=BLOCKS)
BAD = evidence(
    blocks=BLOCKS, disagreeing=0.2, unreadable=(0.05, 0), wrong=(0.09, 0.02), errors=(0.06, 0.001), slower=0.5
)
ORDER = [GateState.FAIL, GateState.UNDECIDED, GateState.PASS]


def looks(found: Evidence, policy: Policy = POLICY) -> dict[str, GateLook]:
    return {gate.name: look_at(gate, policy, found) for gate in policy.gates}


def measured(found: Evidence, **measures: Any) -> Evidence:
    kept = {name: measure for name, measure in (found.measures | measures).items() if measure is not None}
    return found.model_copy(update={"measures": kept})


def pairs_of(worse: Any, better: Any = 0, pairs: Any = 100, blocks: int = BLOCKS) -> PairedMeasure:
    columns = (np.broadcast_to(value, blocks).tolist() for value in (worse, better, pairs))
    return PairedMeasure(**dict(zip(("worse", "better", "pairs"), columns, strict=True)))


def test_an_equal_candidate_passes_all_and_a_bad_one_fails_all() -> None:
    assert {look.state for look in looks(GOOD).values()} == {GateState.PASS}
    assert {look.state for look in looks(BAD).values()} == {GateState.FAIL}


def test_numbers_are_in_the_users_units() -> None:
    found = looks(GOOD)
    same, latency, errors = found["agreement"], found["model_latency.p90"], found["paired_error_rate"]
    assert (same.margin, same.unit, latency.unit) == (0.9, Unit.SHARE, Unit.RELATIVE_CHANGE)
    assert errors.unit is Unit.RATE_DIFFERENCE
    assert same.lower is not None
    assert same.estimate is not None
    assert same.upper is not None
    assert 0.9 < same.lower < same.estimate < same.upper < 1
    assert same.estimate == pytest.approx(0.99, abs=0.002)
    assert latency.upper is not None
    assert -0.05 < latency.upper < 0.2
    assert looks(BAD)["model_latency.p90"].estimate == pytest.approx(0.5, abs=0.02)
    for look in found.values():
        assert look.progress == 1
        assert look.hours_to_decision is None
        assert look.detectable is not None
        assert GateLook.model_validate(json.loads(look.model_dump_json())) == look


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
def test_without_its_figures_a_gate_has_no_data_and_waits(gate: Gate) -> None:
    name = measure_of(gate, POLICY)
    nothing: dict[str, Any] = {
        "invocation_errors": RateMeasure(
            events=(0,) * BLOCKS, trials=(0,) * BLOCKS, reference_events=(0,) * BLOCKS, reference_trials=(0,) * BLOCKS
        ),
        "model_latency_p90": RatioMeasure(candidate=(None,) * BLOCKS, reference=(1.0,) * BLOCKS),
    }
    for replaced in (None, nothing.get(name, pairs_of(0, 0, 0))):
        look = look_at(gate, POLICY, measured(GOOD, **{name: replaced}))
        assert look.state is GateState.NO_DATA
        assert look.blocking
        assert (look.estimate, look.lower, look.upper, look.progress) == (None, None, None, 0)


@pytest.mark.parametrize("blocks", [0, 1, 2, 8])
def test_a_handful_of_blocks_decides_nothing(blocks: int) -> None:
    for rates in ({}, {"disagreeing": 0.3, "errors": (0.2, 0.0), "unreadable": (0.2, 0.0)}):
        for look in looks(evidence(blocks=blocks, truth=False, **rates)).values():  # type: ignore[arg-type]
            assert look.state in (GateState.UNDECIDED, GateState.NO_DATA)
            assert look.state is GateState.NO_DATA or "12 are needed" in look.reason


def test_one_side_of_cloudwatch_alone_is_no_data() -> None:
    rates = GOOD.measures["invocation_errors"]
    assert isinstance(rates, RateMeasure)
    silent = rates.model_copy(update={"trials": (0,) * BLOCKS, "events": (0,) * BLOCKS})
    look = look_at(GATES[0], POLICY, measured(GOOD, invocation_errors=silent))
    assert look.state is GateState.NO_DATA


@pytest.mark.parametrize(
    ("required", "blocking"),
    [(False, False), (True, True)],
)
def test_too_little_ground_truth_blocks_only_where_it_is_required(required: bool, blocking: bool) -> None:
    gate = Accuracy(margin=0.02, minimum_coverage=0.5, required=required)
    policy = Policy(gates=(gate, GATES[1]))
    truth = GOOD.truth
    assert truth is not None
    few = tuple(count // 3 for count in GOOD.mirror.paired)
    for found in (
        GOOD.model_copy(update={"truth": None}),
        GOOD.model_copy(update={"truth": truth.model_copy(update={"labelled": (0,) * BLOCKS})}),
        GOOD.model_copy(update={"truth": truth.model_copy(update={"labelled": few})}),
    ):
        look = look_at(gate, policy, found)
        assert look.state is GateState.NO_DATA
        assert look.blocking is blocking
        assert "true label" in look.reason or "no ground truth" in look.reason
    assert look_at(gate, policy, GOOD).blocking


def test_labels_without_figures_are_no_reason_to_step_aside() -> None:
    assert look_at(GATES[3], POLICY, measured(GOOD, truth_wrong=None)).blocking


@pytest.mark.parametrize("spec", [None, EmbeddingSpec()], ids=["label", "embedding"])
def test_where_hardly_any_answer_can_be_read_nothing_is_said_of_answers(spec: Any) -> None:
    gate = PairedErrorRate(margin=0.01)
    policy = Policy(gates=(gate,)) if spec is None else Policy(gates=(gate,), comparator=spec)
    outcome = "disagrees" if spec is None else "dimension_mismatch"
    for compared, state in ((40, GateState.NO_DATA), (60, GateState.PASS)):
        found = measured(GOOD, unreadable=pairs_of(0, 0, 100), **{outcome: pairs_of(0, 0, compared)})
        look = look_at(gate, policy, found)
        assert look.state is state
        assert look.blocking
    nothing = measured(GOOD, unreadable=pairs_of(0, 0, 100), disagrees=None)
    assert look_at(gate, policy, nothing).state is GateState.NO_DATA


def test_a_critical_gate_fails_at_any_sure_harm_and_only_then() -> None:
    harm = measured(GOOD, unreadable=pairs_of([1, 0] * 100, 0, 200))
    usual, critical = PairedErrorRate(margin=0.01), PairedErrorRate(margin=0.01, critical=True)
    assert look_at(usual, Policy(gates=(usual,)), harm).state is GateState.PASS
    look = look_at(critical, Policy(gates=(critical,)), harm)
    assert look.state is GateState.FAIL
    assert "critical" in look.reason
    assert look_at(critical, Policy(gates=(critical,)), GOOD).state is GateState.PASS


def test_rejecting_needs_more_than_passing() -> None:
    alone = look_at(GATES[1], Policy(gates=(GATES[1],)), GOOD)
    among = look_at(GATES[1], POLICY, GOOD)
    assert alone.lower is not None
    assert among.lower is not None
    assert among.lower < alone.lower
    assert among.upper == alone.upper


def test_each_outcome_of_a_comparator_and_of_the_truth_can_be_a_gate() -> None:
    rng = np.random.default_rng(4)
    drawn = np.clip(rng.normal(0.02, 0.01, (BLOCKS, 50)), 0, 2)
    score = ScoreMeasure(
        counts=(50,) * BLOCKS,
        totals=tuple(drawn.sum(axis=1).tolist()),
        squares=tuple((drawn**2).sum(axis=1).tolist()),
        least=0,
        most=2,
    )
    distance = ComparatorOutcome(outcome="relative_difference", margin=0.03)
    policy = Policy(gates=(distance,), comparator=NumberSpec())
    look = look_at(distance, policy, measured(GOOD, relative_difference=score, outside_tolerance=pairs_of(1)))
    assert (look.state, look.unit) == (GateState.PASS, Unit.SCORE)
    assert look.estimate == pytest.approx(0.02, abs=0.001)
    empty = ComparatorOutcome(outcome="empty", margin=0.03)
    policy = Policy(gates=(empty,), comparator=TextSpec())
    look = look_at(empty, policy, measured(GOOD, empty=pairs_of(10, 1)))
    assert (look.state, look.unit) == (GateState.FAIL, Unit.RATE_DIFFERENCE)
    loss = GroundTruthLoss(outcome="log_loss", margin=0.1)
    policy = Policy(gates=(loss,), ground_truth=ScoreTruthSpec())
    signed = score.model_copy(update={"least": -14.0, "most": 14.0})
    look = look_at(loss, policy, measured(GOOD, truth_log_loss=signed))
    assert (look.unit, look.measure) == (Unit.SCORE, "truth_log_loss")


def test_huge_counts_are_counts_like_others() -> None:
    huge = measured(GOOD, unreadable=pairs_of(10**9, 10**9, 10**12), disagrees=pairs_of(10**9, 0, 10**12))
    look = look_at(GATES[1], POLICY, huge)
    assert look.state is GateState.PASS
    assert look.n == 200 * 10**12


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_rate_at_the_end_of_its_range_is_decided(rate: float) -> None:
    measure = pairs_of(int(100 * rate), 0, 100)
    look = look_at(GATES[2], POLICY, measured(GOOD, disagrees=measure))
    assert look.state is (GateState.PASS if rate == 0 else GateState.FAIL)
    assert look.lower is not None
    assert look.upper is not None
    assert 0 <= look.lower <= 1 - rate <= look.upper <= 1


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.04), st.integers(0, 3), st.floats(0.005, 0.05))
def test_harm_added_to_every_block_never_improves_a_state(seed: int, harm: float, more: int, margin: float) -> None:
    # As many in each block of as many pairs: the mean moves, its spread over the blocks stays.
    rng = np.random.default_rng(seed)
    worse = np.minimum(rng.binomial(200, harm, BLOCKS), 190)
    gate = PairedErrorRate(margin=margin)
    policy = Policy(gates=(gate,))
    before, after = (
        look_at(gate, policy, measured(GOOD, unreadable=pairs_of(counts, 0, 200), disagrees=pairs_of(1, 0, 200)))
        for counts in (worse, worse + more)
    )
    assert ORDER.index(after.state) <= ORDER.index(before.state)
    assert after.estimate is not None
    assert before.estimate is not None
    assert after.estimate == pytest.approx(before.estimate + more / 200)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(-0.1, 0.3), st.floats(0, 0.2), st.floats(0.01, 0.3))
def test_a_latency_that_is_slower_in_every_block_never_improves_a_state(
    seed: int, slower: float, more: float, margin: float
) -> None:
    rng = np.random.default_rng(seed)
    reference = np.exp(rng.normal(9, 0.1, BLOCKS))
    own = reference * np.exp(rng.normal(slower, 0.2, BLOCKS))
    gate = ModelLatency(margin=margin)
    states = [
        look_at(
            gate,
            Policy(gates=(gate,)),
            measured(GOOD, model_latency_p90=RatioMeasure(candidate=series.tolist(), reference=reference.tolist())),
        ).state
        for series in (own, own * (1 + more))
    ]
    assert ORDER.index(states[1]) <= ORDER.index(states[0])


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.05), st.floats(0.001, 0.5), st.floats(1, 4))
def test_a_wider_margin_never_turns_a_pass_into_a_fail_nor_a_fail_into_less(
    seed: int, harm: float, margin: float, wider: float
) -> None:
    rng = np.random.default_rng(seed)
    found = measured(GOOD, unreadable=pairs_of(rng.binomial(100, harm, BLOCKS)))
    gates = PairedErrorRate(margin=margin), PairedErrorRate(margin=min(0.99, margin * wider))
    before, after = (look_at(gate, Policy(gates=(gate,)), found).state for gate in gates)
    assert ORDER.index(after) >= ORDER.index(before)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.05), st.floats(0, 0.05))
def test_swapping_the_variants_mirrors_estimates_and_bounds(seed: int, one: float, other: float) -> None:
    rng = np.random.default_rng(seed)
    worse, better = rng.binomial(50, one, BLOCKS), rng.binomial(50, other, BLOCKS)
    events, references = rng.binomial(100, one, BLOCKS), rng.binomial(200, other, BLOCKS)
    series = [tuple(np.exp(rng.normal(9, 0.1, BLOCKS)).tolist()) for _ in range(2)]
    few, many = (100,) * BLOCKS, (200,) * BLOCKS
    own, their = tuple(events.tolist()), tuple(references.tolist())
    rates = [
        RateMeasure(events=own, trials=few, reference_events=their, reference_trials=many),
        RateMeasure(events=their, trials=many, reference_events=own, reference_trials=few),
    ]
    sides = [
        measured(
            GOOD,
            unreadable=pairs_of(*counts),
            invocation_errors=rate,
            model_latency_p90=RatioMeasure(candidate=slow, reference=fast),
        )
        for counts, rate, (slow, fast) in zip(
            ((worse, better), (better, worse)), rates, (series, series[::-1]), strict=True
        )
    ]
    # A single gate has the same alpha on both sides.
    for gate in (PairedErrorRate(margin=0.01), InvocationErrorRate(margin=0.01), ModelLatency(margin=0.1)):
        here, there = (look_at(gate, Policy(gates=(gate,)), side) for side in sides)
        for here_is, there_is in (
            (here.estimate, there.estimate),
            (here.lower, there.upper),
            (here.upper, there.lower),
        ):
            assert here_is is not None
            assert there_is is not None
            mirrored = 1 / (1 + there_is) - 1 if look_is_relative(here) else -there_is
            assert here_is == pytest.approx(mirrored, abs=1e-8)


def look_is_relative(look: GateLook) -> bool:
    return look.unit is Unit.RELATIVE_CHANGE


def test_segments_decide_only_where_they_are_declared() -> None:
    segments = (
        HourSegment(name="hours", edges=(6, 22), declared=True),
        AttributeSegment(name="tier", key="tier", values=("gold",)),
    )
    policy = Policy(gates=(*GATES, ComparatorOutcome(outcome="disagrees", margin=0.2)), segments=segments)
    found = look_at_segments(policy, with_segments(GOOD, policy))
    # Three gates on answers, in three values; those on CloudWatch and on the truth know no segments.
    assert {look.metric for look in found} == {"paired_error_rate", "agreement", "comparator"}
    assert len(found) == 3 * 3
    assert {look.segment for look in found if look.blocking} == {"hours=06-22", "hours=22-06"}
    assert {look.segment for look in found if not look.blocking} == {"tier=gold"}


def test_what_belongs_to_no_declared_value_decides_nothing() -> None:
    policy = Policy(gates=GATES, segments=(AttributeSegment(name="tier", key="tier", values=("gold",), declared=True),))
    other = SegmentEvidence(segment="tier", value="(other)", pairs=(0,) * BLOCKS, measures={})
    found = with_segments(GOOD, policy)
    found = found.model_copy(update={"segments": (*found.segments, other)})
    assert {(look.segment, look.blocking) for look in look_at_segments(policy, found)} == {
        ("tier=gold", True),
        ("tier=(other)", False),
    }


def test_the_bounds_and_the_state_say_the_same() -> None:
    for found in (GOOD, BAD, evidence(blocks=60)):
        for look in looks(found).values():
            assert look.lower is not None
            assert look.upper is not None
            assert math.isfinite(look.effective_blocks)
            good = look.lower > look.margin if look.unit is Unit.SHARE else look.upper < look.margin
            bad = look.upper < look.margin if look.unit is Unit.SHARE else look.lower > look.margin
            expected = GateState.PASS if good else GateState.FAIL if bad else GateState.UNDECIDED
            assert look.state is expected


def test_what_could_be_proven_by_now_is_as_far_from_no_harm_as_the_bound_is_from_the_estimate() -> None:
    policy = read_policy("balanced")
    found = {gate.name: look_at(gate, policy, evidence(blocks=120)) for gate in policy.gates}
    for name, look in found.items():
        assert look.estimate is not None
        assert look.lower is not None
        assert look.upper is not None
        if name == "agreement":
            expected = 1 - (look.estimate - look.lower)
        elif name.startswith("model_latency"):
            expected = (1 + look.upper) / (1 + look.estimate) - 1
        else:
            expected = look.upper - look.estimate
        assert look.provable == pytest.approx(expected, abs=1e-9)
    assert look_at(policy.gates[-1], policy, evidence(blocks=3)).provable is None
