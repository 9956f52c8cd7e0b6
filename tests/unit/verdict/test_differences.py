"""Two judgements of the same evidence, gate by gate."""

import json

import pytest

from shadow_provider.policy.gates import Agreement, InvocationErrorRate, ModelLatency, PairedErrorRate
from shadow_provider.policy.policy import Policy
from shadow_provider.policy.segments import HourSegment
from shadow_provider.verdict.differences import GateDifference, differences
from shadow_provider.verdict.judge import Judgement, judge
from shadow_provider.verdict.looks import GateState
from tests.unit.verdict.builders import evidence, with_segments

EVIDENCE = evidence(blocks=200)
POLICY = Policy(gates=(PairedErrorRate(margin=0.01), Agreement(minimum=0.9), ModelLatency(margin=0.1)))


def judged(policy: Policy) -> Judgement:
    return judge(policy, EVIDENCE, final=True)


def by_name(old: Judgement, new: Judgement) -> dict[str, GateDifference]:
    return {each.shown_name: each for each in differences(old, new)}


def test_the_same_policy_changes_no_gate() -> None:
    found = differences(judged(POLICY), judged(POLICY))
    assert [each.name for each in found] == ["paired_error_rate", "agreement", "model_latency.p90"]
    for each in found:
        assert each.changed == ()
        assert each.in_words() == f"{each.name}: PASS, unchanged"


def test_another_margin_changes_margin_and_state_but_not_the_estimate() -> None:
    stricter = Policy(gates=(PairedErrorRate(margin=0.01), Agreement(minimum=0.9995), ModelLatency(margin=0.1)))
    found = by_name(judged(POLICY), judged(stricter))["agreement"]
    assert found.changed == ("state", "margin")
    assert found.before is not None
    assert found.after is not None
    assert (found.before.state, found.after.state) == (GateState.PASS, GateState.FAIL)
    assert (found.before.margin, found.after.margin) == (0.9, 0.9995)
    assert found.before.estimate == found.after.estimate
    assert found.in_words() == "agreement: PASS -> FAIL, limit > 90.00 % -> limit > 99.95 %"


def test_another_alpha_changes_the_bounds() -> None:
    surer = POLICY.model_copy(update={"alpha": 0.001})
    for each in differences(judged(POLICY), judged(surer)):
        assert {"lower", "upper"} & set(each.changed), each.name
        assert "bounds" in each.in_words()


def test_a_gate_that_only_one_policy_has_stands_alone() -> None:
    other = Policy(gates=(InvocationErrorRate(margin=0.01), Agreement(minimum=0.9)))
    found = by_name(judged(POLICY), judged(other))
    assert list(found) == ["paired_error_rate", "agreement", "model_latency.p90", "invocation_error_rate"]
    assert found["model_latency.p90"].after is None
    assert found["invocation_error_rate"].before is None
    assert "only before: PASS" in found["model_latency.p90"].in_words()
    assert "only after: PASS" in found["invocation_error_rate"].in_words()


@pytest.mark.parametrize("change", [{"report_only": True}, {"critical": True}])
def test_a_gate_that_decides_otherwise_is_a_difference(change: dict[str, bool]) -> None:
    other = Policy(gates=(PairedErrorRate(margin=0.01, **change), Agreement(minimum=0.9), ModelLatency(margin=0.1)))
    found = by_name(judged(POLICY), judged(other))["paired_error_rate"]
    assert ("blocking" if "report_only" in change else "critical") in found.changed
    assert ("only reports" if "report_only" in change else "critical") in found.in_words()


def test_the_gates_of_segments_are_compared_by_themselves() -> None:
    segments = (HourSegment(name="night", edges=(6, 22), declared=True),)
    policy = POLICY.model_copy(update={"segments": segments})
    found = evidence(blocks=200)
    old = judge(POLICY, with_segments(found, policy), final=True)
    new = judge(policy, with_segments(found, policy), final=True)
    names = [each.shown_name for each in differences(old, new)]
    assert "agreement [night=06-22]" in names
    assert len(names) == len(set(names)) == 3 + 2 * 2


def test_differences_are_documents() -> None:
    for each in differences(judged(POLICY), judged(Policy(gates=(Agreement(minimum=0.95),)))):
        assert GateDifference.model_validate(json.loads(each.model_dump_json())) == each
