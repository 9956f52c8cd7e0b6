from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.plan.policy import (
    Accuracy,
    InvocationErrorRate,
    LabelAgreement,
    ModelLatency,
    PairedErrorRate,
    Policy,
)
from shadow_provider.verdict.evidence import Agreement, CaptureCensus, Evidence
from shadow_provider.verdict.gates import GateResult, GateState
from shadow_provider.verdict.judge import Verdict, cover_reached, judge, missing_cover
from tests.unit.verdict.builders import (
    END,
    PAIRS,
    POLICY,
    answers,
    evidence,
    metrics,
    mirror,
    side,
    truth,
    variant,
)

GOODNESS = {Verdict.INVALID: 0, Verdict.REJECT: 0, Verdict.INCONCLUSIVE: 1, Verdict.PROMOTE: 2}


def gate(found: Evidence, metric: str, policy: Policy = POLICY) -> GateResult:
    return next(each for each in judge(policy, found).gates if each.metric == metric)


def verdict(found: Evidence, policy: Policy = POLICY) -> Verdict:
    return judge(policy, found).verdict


def test_a_healthy_candidate_is_promoted_and_the_reason_has_the_numbers() -> None:
    judgement = judge(POLICY, evidence())
    assert judgement.verdict is Verdict.PROMOTE
    assert "2,000 pairs" in judgement.reason
    assert "label_agreement 100.00 %" in judgement.reason
    assert [each.state for each in judgement.gates] == [GateState.PASS] * 3 + [GateState.NO_DATA, GateState.PASS]
    assert not next(each for each in judgement.gates if each.metric == "accuracy").blocking


@pytest.mark.parametrize(
    ("changes", "metric"),
    [
        ({"answers": answers(worse=60)}, "paired_error_rate"),
        ({"labels": Agreement(pairs=PAIRS, agreeing=1700)}, "label_agreement"),
        ({"metrics": metrics(shadow=variant(errors=60))}, "invocation_error_rate"),
        ({"metrics": metrics(shadow=variant(scale=1.9))}, "model_latency"),
        ({"truth": truth(production_only=200)}, "accuracy"),
    ],
)
def test_each_gate_alone_rejects(changes: dict[str, Any], metric: str) -> None:
    judgement = judge(POLICY, evidence(**changes))
    assert judgement.verdict is Verdict.REJECT
    assert [each.metric for each in judgement.gates if each.state is GateState.FAIL] == [metric]
    assert metric in judgement.reason


@pytest.mark.parametrize(
    ("changes", "metric"),
    [
        ({"answers": answers(worse=9)}, "paired_error_rate"),
        ({"labels": Agreement(pairs=PAIRS, agreeing=1805)}, "label_agreement"),
        ({"metrics": metrics(shadow=variant(errors=9))}, "invocation_error_rate"),
        ({"metrics": metrics(shadow=variant(scale=1.499))}, "model_latency"),
        ({"truth": truth(production_only=39)}, "accuracy"),
    ],
)
def test_just_inside_of_the_margin_is_undecided(changes: dict[str, Any], metric: str) -> None:
    judgement = judge(POLICY, evidence(**changes))
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert [each.metric for each in judgement.gates if each.state is GateState.UNDECIDED] == [metric]
    assert metric in judgement.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics": metrics(variant(None, None, None), variant(None, None, None))},
        {"metrics": metrics(shadow=variant(None, None, None))},
        {"metrics": metrics(shadow=variant(invocations=0, errors=0))},
        {"metrics": metrics(shadow=variant(errors=None))},
        {"metrics": metrics(shadow=variant(invocations=5, errors=6))},
        {"metrics": metrics(shadow=variant(samples=None))},
        {"metrics": metrics(shadow=variant(samples=499))},
        {"metrics": metrics(shadow=variant().model_copy(update={"latency": {"p90": 1.0}}))},
        {"metrics": metrics(production=variant(scale=0.0))},
        {"answers": answers(unreadable=1001)},
        {"labels": Agreement()},
        {"mirror": mirror(requests=None, mirrored=None)},
        {"mirror": mirror(requests=0, mirrored=0)},
        {"mirror": mirror(joinable=0, joined=0)},
    ],
)
def test_what_is_missing_never_promotes(changes: dict[str, Any]) -> None:
    assert verdict(evidence(**changes)) is Verdict.INCONCLUSIVE


def test_zero_pairs_never_promote_whatever_the_policy() -> None:
    nothing = evidence(0)
    for each in (PairedErrorRate(margin=0.9), LabelAgreement(minimum=0.01), Accuracy(margin=0.9)):
        assert verdict(nothing, Policy(gates=(each,), minimum_pairs=1)) is Verdict.INCONCLUSIVE


def test_metrics_alone_never_promote() -> None:
    policy = Policy(gates=(InvocationErrorRate(margin=0.005), ModelLatency(margin=0.5)))
    judgement = judge(policy, evidence())
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "no deciding gate passed on pairs" in judgement.reason
    reporting = Policy(gates=(PairedErrorRate(margin=0.005, report_only=True),))
    assert verdict(evidence(), reporting) is Verdict.INCONCLUSIVE


def test_report_only_shows_but_does_not_decide() -> None:
    gates = (PairedErrorRate(margin=0.005), LabelAgreement(minimum=0.9, report_only=True))
    judgement = judge(Policy(gates=gates), evidence(labels=Agreement(pairs=PAIRS, agreeing=0)))
    assert judgement.verdict is Verdict.PROMOTE
    assert judgement.gates[1].state is GateState.FAIL
    assert "label_agreement" not in judgement.reason


@pytest.mark.parametrize(("required", "expected"), [(False, Verdict.PROMOTE), (True, Verdict.INCONCLUSIVE)])
@pytest.mark.parametrize("labels", [None, truth(pairs=0), truth(pairs=900)])
def test_too_little_ground_truth_blocks_only_if_required(required: bool, expected: Verdict, labels: Any) -> None:
    policy = Policy(gates=(PairedErrorRate(margin=0.005), Accuracy(margin=0.02, required=required)))
    found = evidence(truth=labels)
    assert verdict(found, policy) is expected
    assert gate(found, "accuracy", policy).state is GateState.NO_DATA
    assert cover_reached(policy, found) is not required


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mirror": mirror(mirrored=1900)}, "1,900 of 2,000 requests were mirrored"),
        ({"mirror": mirror(configured_share=0.5)}, "50.0% are configured"),
        ({"mirror": mirror(joined=1899)}, "1,899 of 2,000 captures"),
        ({"mirror": mirror(share_source="metrics", mirrored=2100)}, "2,100 of 2,000"),
        (
            {
                "mirror": mirror(joinable=0, joined=0, requests=0, mirrored=0),
                "census": CaptureCensus(
                    production=side(fates={"no_inference_id": PAIRS}), shadow=side(fates={"no_inference_id": PAIRS})
                ),
            },
            "callers must send InferenceId",
        ),
        (
            {
                "mirror": mirror(production_tail=50),
                "census": CaptureCensus(production=side(), shadow=side(last=END - timedelta(seconds=700))),
            },
            "stop 699 s before production's",
        ),
        (
            {
                "mirror": mirror(shadow_tail=50),
                "census": CaptureCensus(production=side(last=END - timedelta(seconds=700)), shadow=side()),
            },
            "stop 699 s before the shadow's",
        ),
    ],
)
def test_a_mirror_that_cannot_be_trusted_is_invalid_even_if_gates_fail(changes: dict[str, Any], words: str) -> None:
    for found in (evidence(**changes), evidence(**(changes | {"answers": answers(worse=500)}))):
        judgement = judge(POLICY, found)
        assert judgement.verdict is Verdict.INVALID
        assert words in judgement.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"mirror": mirror(mirrored=1985)},
        {"mirror": mirror(joined=1900)},
        {"mirror": mirror(captured_share=0.5, joined=960)},
        {"mirror": mirror(share_source="metrics", mirrored=2004)},
        {
            "mirror": mirror(production_tail=2),
            "census": CaptureCensus(production=side(), shadow=side(last=END - timedelta(seconds=700))),
        },
        {
            "mirror": mirror(production_tail=50),
            "census": CaptureCensus(production=side(), shadow=side(last=END - timedelta(seconds=600))),
        },
    ],
)
def test_small_losses_are_best_effort(changes: dict[str, Any]) -> None:
    assert verdict(evidence(**changes)) is Verdict.PROMOTE


def test_failures_that_capture_left_out_are_the_error_gates_matter() -> None:
    failing = metrics(shadow=variant(errors=100))
    assert verdict(evidence(mirror=mirror(mirrored=1900), metrics=failing)) is Verdict.REJECT
    assert verdict(evidence(mirror=mirror(mirrored=1800), metrics=failing)) is Verdict.INVALID


def test_the_cover_waits_for_pairs_and_for_metrics() -> None:
    assert cover_reached(POLICY, evidence())
    assert "999 of 1,000 pairs" in missing_cover(POLICY, evidence(999))
    late = evidence(metrics=metrics(shadow=variant(invocations=1000, samples=400)))
    assert len(missing_cover(POLICY, late)) == 2
    assert verdict(late) is Verdict.INCONCLUSIVE
    p99 = Policy(gates=(ModelLatency(percentile="p99", margin=0.5, minimum_invocations=1),))
    assert not cover_reached(p99, evidence(metrics=metrics(shadow=variant(samples=367))))
    assert cover_reached(p99, evidence(metrics=metrics(shadow=variant(samples=368))))


@settings(derandomize=True, deadline=None)
@given(st.data())
def test_the_cover_does_not_look_at_how_the_candidate_does(data: st.DataObject) -> None:
    worse = data.draw(st.integers(0, PAIRS))
    errors = data.draw(st.integers(0, PAIRS))
    found = evidence(
        answers=answers(worse=worse),
        labels=Agreement(pairs=PAIRS, agreeing=data.draw(st.integers(0, PAIRS))),
        metrics=metrics(shadow=variant(errors=errors, scale=data.draw(st.floats(0.1, 9)))),
    )
    assert cover_reached(POLICY, found)


@st.composite
def any_evidence(draw: st.DrawFn, pairs: int) -> Evidence:
    few = st.integers(0, pairs // 40)
    worse, better, unreadable = draw(few), draw(few), draw(few)
    readable = pairs - unreadable
    samples = draw(st.sampled_from([None, 0, 400, 500, 2000]))
    return evidence(
        pairs,
        answers=answers(pairs, worse, better, unreadable),
        labels=Agreement(pairs=readable, agreeing=readable - draw(few)),
        truth=draw(st.none() | st.builds(truth, few, few, st.just(pairs))),
        metrics=metrics(
            variant(draw(st.sampled_from([None, 1, 2000])), draw(st.sampled_from([None, 0, 1])), samples),
            variant(2000, draw(st.integers(0, 20)), samples, draw(st.floats(0.5, 2))),
        ),
    )


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.data(), st.integers(0, POLICY.minimum_pairs - 1))
def test_no_evidence_with_too_few_pairs_is_promoted(data: st.DataObject, pairs: int) -> None:
    assert verdict(data.draw(any_evidence(pairs))) is not Verdict.PROMOTE


@settings(derandomize=True, deadline=None, max_examples=150)
@given(any_evidence(PAIRS), st.integers(0, 200), st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
def test_more_harm_never_improves_a_verdict(found: Evidence, bad: int, apart: int, failed: int, wrong: int) -> None:
    shadow = found.metrics.shadow
    changes: dict[str, Any] = {
        "answers": found.answers.model_copy(
            update={"shadow_only": found.answers.shadow_only + bad, "neither": found.answers.neither - bad}
        ),
        "labels": found.labels.model_copy(update={"agreeing": found.labels.agreeing - apart}),
        "metrics": found.metrics.model_copy(
            update={"shadow": shadow.model_copy(update={"errors_5xx": (shadow.errors_5xx or 0) + failed})}
        ),
    }
    if found.truth:
        correct = found.truth.correct
        changes["truth"] = found.truth.model_copy(
            update={
                "correct": correct.model_copy(
                    update={"production_only": correct.production_only + wrong, "both": correct.both - wrong}
                )
            }
        )
    worse = found.model_copy(update=changes)
    assert GOODNESS[verdict(worse)] <= GOODNESS[verdict(found)]
    states = {GateState.FAIL: 0, GateState.UNDECIDED: 1, GateState.NO_DATA: 1, GateState.PASS: 2}
    for before, after in zip(judge(POLICY, found).gates, judge(POLICY, worse).gates, strict=True):
        assert states[after.state] <= states[before.state]


@settings(derandomize=True, deadline=None)
@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300), st.integers(0, 300))
def test_swapped_variants_mirror_the_estimates_and_bounds(worse: int, better: int, errors: int, others: int) -> None:
    policy = Policy(gates=(PairedErrorRate(margin=0.01, report_only=True), InvocationErrorRate(margin=0.01)))
    there = evidence(
        answers=answers(worse=worse, better=better), metrics=metrics(variant(errors=others), variant(errors=errors))
    )
    back = evidence(
        answers=answers(worse=better, better=worse), metrics=metrics(variant(errors=errors), variant(errors=others))
    )
    for one, other in zip(judge(policy, there).gates, judge(policy, back).gates, strict=True):
        assert one.estimate == pytest.approx(-(other.estimate or 0))
        assert (one.lower, one.upper) == pytest.approx((-(other.upper or 0), -(other.lower or 0)), abs=1e-9)


def test_rejecting_is_corrected_for_the_number_of_gates_and_passing_is_not() -> None:
    found = evidence(answers=answers(worse=20))
    alone = gate(found, "paired_error_rate", Policy(gates=(PairedErrorRate(margin=0.005),)))
    among = gate(found, "paired_error_rate")
    assert alone.state is GateState.FAIL
    assert among.state is GateState.UNDECIDED
    assert among.lower is not None
    assert alone.lower is not None
    assert among.lower < alone.lower
    assert among.upper == alone.upper


def test_the_latency_bound_that_rejects_is_the_stricter_one() -> None:
    alone = gate(evidence(), "model_latency", Policy(gates=(ModelLatency(margin=0.5),)))
    among = gate(evidence(), "model_latency")
    assert alone.state is among.state is GateState.PASS
    assert among.lower is not None
    assert alone.lower is not None
    assert among.lower < alone.lower < 0
    assert among.upper == alone.upper
