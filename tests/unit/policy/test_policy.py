"""What follows from a policy: alphas, blocks, percentiles; and that every valid one can be written down."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shadow_provider.comparators.spec import EmbeddingSpec, JsonSpec, LabelSpec, NumberSpec, RankingSpec, TextSpec
from shadow_provider.comparators.truth_spec import (
    ClassTruthSpec,
    NumberTruthSpec,
    ProbabilitiesTruthSpec,
    ScoreTruthSpec,
)
from shadow_provider.policy.gates import (
    Accuracy,
    Agreement,
    ComparatorOutcome,
    GroundTruthLoss,
    InvocationErrorRate,
    ModelLatency,
    PairedErrorRate,
)
from shadow_provider.policy.policy import BLOCK_SECONDS, MOST_BLOCKS, Policy, is_on_answers, is_on_pairs
from shadow_provider.policy.reading import read_policy
from shadow_provider.policy.ready_made import READY_MADE, balanced, conservative
from shadow_provider.policy.segments import AttributeSegment, HourSegment, SizeSegment

RATES = st.floats(1e-6, 0.99)
FLAGS = {"report_only": st.booleans(), "critical": st.booleans()}


def _name(gate: Any) -> str:
    name: str = gate.name
    return name


def gates(spec: Any, truth: Any) -> st.SearchStrategy[tuple[Any, ...]]:
    each = [
        st.builds(InvocationErrorRate, margin=RATES, **FLAGS),
        st.builds(PairedErrorRate, margin=RATES, **FLAGS),
        st.builds(ModelLatency, percentile=st.sampled_from(["p50", "p99.9"]), margin=st.floats(1e-6, 10), **FLAGS),
    ]
    if not isinstance(spec, EmbeddingSpec):
        each.append(st.builds(Agreement, minimum=RATES, report_only=st.booleans()))
    if isinstance(spec, TextSpec):
        each.append(st.builds(ComparatorOutcome, outcome=st.just("empty"), margin=RATES, **FLAGS))
    if isinstance(truth, ClassTruthSpec):
        each.append(st.builds(Accuracy, margin=RATES, minimum_coverage=RATES, required=st.booleans(), **FLAGS))
    if isinstance(truth, ScoreTruthSpec):
        each.append(st.builds(GroundTruthLoss, outcome=st.just("log_loss"), margin=RATES, **FLAGS))
    return st.lists(st.one_of(each), min_size=1, max_size=6, unique_by=_name).map(tuple)


EDGES = st.lists(st.integers(0, 23), min_size=2, max_size=24, unique=True).map(sorted)
SEGMENTS = st.one_of(
    st.builds(HourSegment, name=st.just("hours"), edges=EDGES, declared=st.booleans()),
    st.builds(SizeSegment, name=st.just("size"), edges=EDGES.map(lambda edges: [edge + 1 for edge in edges[:20]])),
    st.builds(
        AttributeSegment,
        name=st.just("tier"),
        key=st.just("tier"),
        values=st.just(("gold", "ü")),
        declared=st.booleans(),
    ),
)
COMPARATORS = st.sampled_from(
    [LabelSpec(), LabelSpec(ignore_case=True), NumberSpec(), TextSpec(), RankingSpec(), JsonSpec(), EmbeddingSpec()]
)
TRUTHS = st.sampled_from([ClassTruthSpec(), NumberTruthSpec(), ProbabilitiesTruthSpec(), ScoreTruthSpec()])


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    spec, truth = draw(COMPARATORS), draw(TRUTHS)
    deadline = draw(st.floats(0.1, 24 * 60))
    return Policy(
        alpha=draw(st.floats(1e-9, 0.2)),
        gates=draw(gates(spec, truth)),
        comparator=spec,
        ground_truth=truth,
        minimum_pairs=draw(st.integers(1, 10**12)),
        minimum_hours=draw(st.floats(0, 0.9)) * deadline,
        deadline_hours=deadline,
        block_seconds=draw(st.sampled_from(BLOCK_SECONDS)),
        segments=draw(st.lists(SEGMENTS, max_size=3, unique_by=lambda segment: segment.name).map(tuple)),
    )


@settings(derandomize=True, deadline=None, max_examples=150)
@given(policies())
def test_any_valid_policy_survives_being_written_and_read(policy: Policy) -> None:
    document = policy.model_dump(mode="json")
    for text in (json.dumps(document), yaml.safe_dump(document, allow_unicode=True), policy.model_dump_json()):
        again = read_policy(text)
        assert again == policy
        assert again.model_dump_json() == policy.model_dump_json()


@settings(derandomize=True, deadline=None, max_examples=150)
@given(policies())
def test_what_follows_from_a_policy_is_always_usable(policy: Policy) -> None:
    assert 0 < policy.reject_alpha <= policy.alpha
    assert policy.effective_block_seconds >= policy.block_seconds
    assert policy.deadline_hours * 3600 / policy.effective_block_seconds <= MOST_BLOCKS
    assert all(is_on_pairs(gate) for gate in policy.gates if is_on_answers(gate))


def test_the_default_has_the_usual_gates_and_only_the_truth_is_optional() -> None:
    policy = balanced()
    assert [gate.name for gate in policy.gates] == [
        "invocation_error_rate", "paired_error_rate", "agreement", "accuracy", "model_latency.p90",
    ]  # fmt: skip
    assert all(gate.blocking for gate in policy.gates)
    assert policy.reject_alpha == pytest.approx(0.01)


def test_a_rejection_is_corrected_for_every_gate_that_decides_and_for_no_other() -> None:
    errors, same, latency = PairedErrorRate(margin=0.01), Agreement(minimum=0.9), ModelLatency(margin=0.1)
    truth = Accuracy(margin=0.01)

    def parts(declared: bool, *gates: Any) -> float:
        segment = HourSegment(name="hours", edges=(0, 8, 16), declared=declared)
        policy = Policy(gates=gates, segments=(segment,))
        return policy.alpha / policy.reject_alpha

    assert parts(False, errors, same, latency) == pytest.approx(3)
    assert parts(True, latency) == pytest.approx(1)
    # Three parts of the day, in each of which the gates on answers decide as well; those on the truth do not.
    assert parts(True, errors, same, latency, truth) == pytest.approx(4 + 3 * 2)
    shown = Agreement(minimum=0.9, report_only=True)
    assert parts(True, errors, shown) == pytest.approx(1 + 3)
    assert parts(True, shown) == pytest.approx(1)


def test_blocks_become_longer_with_the_deadline_and_by_nothing_else() -> None:
    gate = PairedErrorRate(margin=0.01)
    assert Policy(gates=(gate,), deadline_hours=24).effective_block_seconds == 60
    assert Policy(gates=(gate,), deadline_hours=168).effective_block_seconds == 600
    assert Policy(gates=(gate,), deadline_hours=0.1, block_seconds=5).effective_block_seconds == 5
    assert Policy(gates=(gate,), deadline_hours=24 * 60).effective_block_seconds == 3600


def test_each_percentile_is_asked_for_once() -> None:
    twice = (
        ModelLatency(percentile="p99", margin=0.1),
        ModelLatency(percentile="p50", margin=0.1, report_only=True),
    )
    assert Policy(gates=twice).percentiles == ("p99", "p50")
    assert Policy(gates=(PairedErrorRate(margin=0.1),)).percentiles == ()


def test_a_policy_cannot_be_changed() -> None:
    policy = balanced()
    with pytest.raises(ValidationError):
        policy.alpha = 0.1  # type: ignore[misc]


def test_the_conservative_policy_is_the_strictest() -> None:
    strict, usual = conservative(), balanced()
    assert strict.alpha < usual.alpha
    assert strict.minimum_day_share == 1
    margins = {gate.name: gate.margin for gate in usual.gates}
    assert all(gate.margin < margins[gate.name] for gate in strict.gates if gate.name in margins)
    assert len(READY_MADE) == 6
