"""Verdicts: what promotes, what rejects, what waits, what is invalid, and how often each errs."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from shadow_provider.policy.gates import (
    Accuracy,
    Agreement,
    InvocationErrorRate,
    ModelLatency,
    PairedErrorRate,
)
from shadow_provider.policy.policy import Policy
from shadow_provider.policy.segments import HourSegment
from shadow_provider.verdict.evidence import Evidence
from shadow_provider.verdict.judge import Judgement, Verdict, judge
from shadow_provider.verdict.looks import GateState
from shadow_provider.verdict.measures import PairedMeasure, RateMeasure, RatioMeasure
from tests.unit.verdict.builders import evidence, with_segments

GATES: tuple[Any, ...] = (
    InvocationErrorRate(margin=0.01),
    PairedErrorRate(margin=0.01),
    Agreement(minimum=0.95),
    Accuracy(margin=0.02, required=True),
    ModelLatency(percentile="p90", margin=0.15),
)
POLICY = Policy(gates=GATES)
GOOD = evidence()
GOODNESS = {Verdict.REJECT: 0, Verdict.INCONCLUSIVE: 1, Verdict.CONTINUE: 1, Verdict.PROMOTE: 2}
BROKEN_MIRROR = GOOD.mirror.model_copy(update={"configured_share": 0.5})


def verdict(found: Evidence, policy: Policy = POLICY, *, final: bool = True) -> Verdict:
    return judge(policy, found, final=final).verdict


def sentences(judgement: Judgement) -> None:
    for text in (judgement.reason, judgement.what_would_change):
        assert "\n" not in text
        assert "None" not in text
        assert text.strip()


def test_a_healthy_candidate_is_promoted_and_the_reason_has_the_numbers() -> None:
    judgement = judge(POLICY, GOOD, final=False)
    assert judgement.verdict is Verdict.PROMOTE
    assert judgement.verdict.final
    assert judgement.reason.startswith(f"all 5 deciding gates are proven on {GOOD.pairs:,} pairs; the closest to its")
    assert {gate.state for gate in judgement.gates} == {GateState.PASS}
    alone = judge(Policy(gates=GATES[1:2]), GOOD, final=False)
    assert "the only deciding gate is proven" in alone.reason


@pytest.mark.parametrize(
    ("rates", "name"),
    [
        ({"unreadable": (0.04, 0.001)}, "paired_error_rate"),
        ({"disagreeing": 0.09}, "agreement"),
        ({"errors": (0.05, 0.002)}, "invocation_error_rate"),
        ({"slower": 0.4}, "model_latency.p90"),
        ({"wrong": (0.1, 0.03)}, "accuracy"),
    ],
)
@pytest.mark.parametrize("final", [False, True])
def test_each_gate_alone_rejects(rates: dict[str, Any], name: str, final: bool) -> None:
    judgement = judge(POLICY, evidence(**rates), final=final)
    assert judgement.verdict is Verdict.REJECT
    assert [gate.name for gate in judgement.gates if gate.state is GateState.FAIL] == [name]
    assert judgement.reason.startswith(f"the candidate fails {name} ")
    assert judgement.what_would_change.startswith(f"It would be PROMOTE with {name} at a m")
    sentences(judgement)


def test_what_is_not_decided_goes_on_until_the_deadline() -> None:
    undecided = evidence(disagreeing=0.048)
    now, at_the_end = (judge(POLICY, undecided, final=final) for final in (False, True))
    assert (now.verdict, at_the_end.verdict) == (Verdict.CONTINUE, Verdict.INCONCLUSIVE)
    assert not now.verdict.final
    assert now.reason.startswith("not proven yet, 1 of 5 deciding gates not passed: agreement 95.")
    assert at_the_end.reason.startswith("not proven, 1 of 5")
    assert now.gates == at_the_end.gates
    assert now.what_would_change.startswith("agreement would pass at a minimum below 9")
    assert "would have decided it" in at_the_end.what_would_change


@pytest.mark.parametrize("blocks", [0, 1, 2, 11])
def test_too_little_evidence_decides_nothing_and_says_what_is_missing(blocks: int) -> None:
    policy = POLICY.model_copy(update={"minimum_pairs": 1})
    for rates in ({}, {"errors": (0.5, 0.0), "unreadable": (0.5, 0.0), "disagreeing": 0.9}):
        judgement = judge(policy, evidence(blocks=blocks, **rates), final=False)  # type: ignore[arg-type]
        assert judgement.verdict is Verdict.CONTINUE
        assert "5 of 5 deciding gates not passed" in judgement.reason
        assert "3 more gates" in judgement.reason
        sentences(judgement)


@pytest.mark.parametrize("name", sorted(GOOD.measures))
@pytest.mark.parametrize("how", ["gone", "nothing"])
def test_without_any_one_measure_nothing_is_promoted(name: str, how: str) -> None:
    policy = POLICY.model_copy(update={"gates": (*GATES, ModelLatency(percentile="p50", margin=0.2), ModelLatency(
        percentile="p99", margin=0.2))})  # fmt: skip
    assert verdict(GOOD, policy) is Verdict.PROMOTE
    measures = dict(GOOD.measures)
    if how == "gone":
        del measures[name]
    else:
        measures[name] = measures[name].of_blocks([False] * GOOD.blocks.count)
    assert verdict(GOOD.model_copy(update={"measures": measures}), policy) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("columns", [("paired",), ("production", "shadow", "paired")])
def test_without_pairs_or_mirror_nothing_is_promoted(columns: tuple[str, ...]) -> None:
    nothing = (0,) * GOOD.blocks.count
    mirror = GOOD.mirror.model_copy(update=dict.fromkeys(columns, nothing))
    assert verdict(GOOD.model_copy(update={"mirror": mirror})) is not Verdict.PROMOTE


def test_without_the_labels_that_are_required_nothing_is_promoted() -> None:
    assert verdict(evidence(truth=False)) is Verdict.INCONCLUSIVE
    optional = Policy(gates=(*GATES[:3], Accuracy(margin=0.02)))
    assert verdict(evidence(truth=False), optional) is Verdict.PROMOTE


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"minimum_pairs": 10**6}, "of 1e+06 pairs"),
        ({"minimum_hours": 100.0}, "of 100 hours with pairs"),
        ({"minimum_day_share": 1.0}, "of 24 hours of the day"),
    ],
)
def test_without_the_minimum_cover_nothing_is_promoted_but_it_may_be_rejected(
    change: dict[str, Any], words: str
) -> None:
    policy = POLICY.model_copy(update=change)
    judgement = judge(policy, GOOD, final=False)
    assert judgement.verdict is Verdict.CONTINUE
    assert words in judgement.reason
    assert judgement.what_would_change.startswith("PROMOTE needs ")
    assert verdict(evidence(disagreeing=0.2), policy) is Verdict.REJECT


def test_metrics_alone_never_promote() -> None:
    for gates in ((GATES[0], GATES[4]), (PairedErrorRate(margin=0.01, report_only=True), GATES[0])):
        judgement = judge(Policy(gates=gates), GOOD, final=True)
        assert judgement.verdict is Verdict.INCONCLUSIVE
        assert "no deciding gate is on pairs" in judgement.reason
        sentences(judgement)


def test_a_policy_that_only_reports_decides_nothing() -> None:
    shown = Policy(gates=tuple(gate.model_copy(update={"report_only": True}) for gate in GATES))
    for found in (GOOD, evidence(disagreeing=0.5), evidence(blocks=0)):
        assert verdict(found, shown) is Verdict.INCONCLUSIVE


def test_report_only_shows_but_does_not_decide() -> None:
    policy = Policy(gates=(PairedErrorRate(margin=0.01), Agreement(minimum=0.9, report_only=True, critical=False)))
    judgement = judge(policy, evidence(disagreeing=0.5), final=False)
    assert judgement.verdict is Verdict.PROMOTE
    assert judgement.gates[1].state is GateState.FAIL
    assert "agreement" not in judgement.reason


def test_a_critical_gate_rejects_harm_that_its_margin_accepts() -> None:
    found = evidence(unreadable=(0.008, 0.0))
    usual = Policy(gates=(PairedErrorRate(margin=0.02),))
    critical = Policy(gates=(PairedErrorRate(margin=0.02, critical=True),))
    assert verdict(found, usual) is Verdict.PROMOTE
    judgement = judge(critical, found, final=False)
    assert judgement.verdict is Verdict.REJECT
    assert "not critical" in judgement.what_would_change


def test_declared_segments_decide_and_others_do_not() -> None:
    def policy(declared: bool) -> Policy:
        return Policy(gates=GATES[1:3], segments=(HourSegment(name="hours", edges=(6, 22), declared=declared),))

    whole = with_segments(GOOD, policy(True))
    assert verdict(whole, policy(True)) is verdict(whole, policy(False)) is Verdict.PROMOTE
    bad = with_segments(evidence(disagreeing=0.3), policy(True)).segments[0]
    mixed = whole.model_copy(update={"segments": (bad, *whole.segments[1:])})
    judgement = judge(policy(True), mixed, final=False)
    assert judgement.verdict is Verdict.REJECT
    assert "agreement [hours=06-22]" in judgement.reason
    assert verdict(mixed, policy(False)) is Verdict.PROMOTE
    silent = with_segments(GOOD, policy(True), parts=1)
    judgement = judge(policy(True), silent, final=True)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "nothing is known of hours=22-06" in judgement.reason
    empty = whole.segments[1].model_copy(
        update={"measures": {name: each.of_blocks([False] * 240) for name, each in whole.segments[1].measures.items()}}
    )
    assert verdict(whole.model_copy(update={"segments": (whole.segments[0], empty)}), policy(True)) is (
        Verdict.INCONCLUSIVE
    )


@pytest.mark.parametrize("rates", [{}, {"disagreeing": 0.3}, {"disagreeing": 0.05}])
def test_a_mirror_that_cannot_be_trusted_makes_everything_invalid(rates: dict[str, Any]) -> None:
    for final in (False, True):
        judgement = judge(POLICY, evidence(**rates, mirror=BROKEN_MIRROR), final=final)
        assert judgement.verdict is Verdict.INVALID
        assert judgement.reason.startswith("the evidence cannot be trusted: ")
        assert "stays invalid" in judgement.what_would_change
        sentences(judgement)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([20, 60, 240]),
    st.floats(0, 0.1),
    st.floats(0, 0.03),
    st.floats(-0.1, 0.3),
    st.integers(0, 4),
    st.floats(0, 0.2),
)
def test_more_harm_in_every_block_never_improves_a_verdict(
    seed: int, blocks: int, disagreeing: float, failing: float, slower: float, more: int, slower_still: float
) -> None:
    found = evidence(seed=seed, blocks=blocks, disagreeing=disagreeing, errors=(failing, 0.002), slower=slower)
    # The same number in each block of equally many pairs moves the mean and leaves the spread as it is.
    level = 200
    measures: dict[str, Any] = dict(found.measures)
    for name, measure in found.measures.items():
        if isinstance(measure, PairedMeasure):
            measures[name] = measure.model_copy(update={"pairs": (level,) * blocks})
        elif isinstance(measure, RateMeasure):
            measures[name] = measure.model_copy(
                update={"trials": (level,) * blocks, "reference_trials": (level,) * blocks}
            )
    worse: dict[str, Any] = {}
    for name, measure in measures.items():
        if isinstance(measure, PairedMeasure):
            worse[name] = measure.model_copy(update={"worse": tuple(count + more for count in measure.worse)})
        elif isinstance(measure, RatioMeasure):
            slow = tuple(value and value * (1 + slower_still) for value in measure.candidate)
            worse[name] = measure.model_copy(update={"candidate": slow})
        else:
            worse[name] = measure
    policy = Policy(gates=GATES, minimum_pairs=1)
    before, after = (
        judge(policy, found.model_copy(update={"measures": each}), final=False) for each in (measures, worse)
    )
    assert GOODNESS[after.verdict] <= GOODNESS[before.verdict]


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.1), st.floats(0, 0.05))
def test_what_would_change_it_is_true(seed: int, disagreeing: float, unreadable: float) -> None:
    found = evidence(seed=seed, disagreeing=disagreeing, unreadable=(unreadable, 0.001))
    policy = Policy(gates=GATES[1:3])
    errors, same = judge(policy, found, final=True).gates
    assert errors.upper is not None
    assert same.lower is not None
    beyond = Policy(
        gates=(PairedErrorRate(margin=max(1e-6, errors.upper + 1e-6)), Agreement(minimum=same.lower - 1e-6))
    )
    assert verdict(found, beyond) is Verdict.PROMOTE
    assert errors.lower is not None
    if errors.lower > 1e-5:
        within = Policy(gates=(PairedErrorRate(margin=errors.lower - 1e-6), GATES[2]))
        assert verdict(found, within) is Verdict.REJECT


@settings(derandomize=True, deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.1), st.booleans())
def test_the_same_policy_and_evidence_give_the_same_judgement(seed: int, disagreeing: float, final: bool) -> None:
    found = evidence(seed=seed, disagreeing=disagreeing, blocks=60)
    again = Evidence.model_validate_json(found.model_dump_json())
    assert again == found
    first, second = judge(POLICY, found, final=final), judge(POLICY, again, final=final)
    assert first.model_dump_json() == second.model_dump_json()


# -- How often a verdict errs, looked at as often as one likes -----------------------------------------------------

LOOKS, RUNS, BLOCKS = 60, 120, 120
SIMULATED = Policy(gates=GATES[:3], minimum_pairs=1, alpha=0.05)


def _ever(wanted: Verdict, **rates: Any) -> int:
    """Runs in which some look of sixty gives this verdict."""
    count = 0
    for seed in range(RUNS):
        found = evidence(seed=7000 + seed, blocks=BLOCKS, seconds=60, load=60, truth=False, **rates)
        starts = found.blocks.starts()
        ends = (starts[at] for at in np.linspace(12, BLOCKS - 1, LOOKS, dtype=int))
        count += any(judge(SIMULATED, found.at(end), final=False).verdict is wanted for end in ends)
    return count


def test_an_identical_candidate_is_rejected_at_most_as_often_as_alpha() -> None:
    rejected = _ever(Verdict.REJECT, disagreeing=0.01)
    assert binomtest(rejected, RUNS).proportion_ci(0.99).low <= SIMULATED.alpha, rejected


def test_a_candidate_at_the_margin_is_promoted_at_most_as_often_as_alpha() -> None:
    promoted = _ever(Verdict.PROMOTE, disagreeing=0.05, unreadable=(0.0, 0.0), errors=(0.0, 0.0))
    assert binomtest(promoted, RUNS).proportion_ci(0.99).low <= SIMULATED.alpha, promoted
    # The simulation can promote at all.
    assert _ever(Verdict.PROMOTE, disagreeing=0.02, unreadable=(0.0, 0.0), errors=(0.0, 0.0)) > RUNS / 2
