from typing import Any

import pytest

from shadow_provider.plan.serving_figures import ServingFigures
from shadow_provider.policy.reading import read_policy
from shadow_provider.verdict.watch import WatchFinding, judge_watch

ERRORS = {"metric": "invocation_error_rate", "margin": 0.01}
P90 = {"metric": "model_latency", "percentile": "p90", "margin": 0.5}
FAST, SLOW = (1000.0,) * 10, (1600.0,) * 5


def figures(invocations: int | None, errors: int | None, *latency: float) -> ServingFigures:
    return ServingFigures(invocations, errors, {"p90": latency})


def judged(
    after: ServingFigures, *gates: dict[str, Any], before: ServingFigures | None = None, final: bool = True
) -> WatchFinding:
    policy = read_policy({"gates": list(gates) or [ERRORS, P90]})
    return judge_watch(policy, before or figures(10_000, 10, *FAST), after, looks=5, final=final)


def test_what_serves_as_before_may_stand() -> None:
    assert judged(figures(1000, 1, *FAST)) == WatchFinding((), ())


def test_errors_are_a_breach_when_they_are_surely_above_the_margin_and_at_any_look() -> None:
    for final in (False, True):
        (breach,) = judged(figures(1000, 50, *FAST), final=final).breaches
        assert breach.startswith("invocation_error_rate: 50 of 1000 requests failed, before it were 10 of 10000;")
    # 2 % of 50 requests may be chance; so may the margin itself of any number.
    assert judged(figures(50, 1, *FAST)).breaches == ()
    assert judged(figures(100_000, 1100, *FAST)).breaches == ()


def test_all_looks_together_share_the_policys_alpha() -> None:
    gates = [{**ERRORS, "margin": 0.001}]
    policy = read_policy({"gates": gates, "alpha": 0.05})
    before, after = figures(10_000, 0), figures(200, 3)
    assert judge_watch(policy, before, after, looks=1, final=False).breaches
    assert judge_watch(policy, before, after, looks=50, final=False).breaches == ()


def test_latency_is_a_breach_when_most_blocks_are_too_slow_and_only_at_the_end() -> None:
    assert judged(figures(1000, 1, *SLOW), final=False).breaches == ()
    (breach,) = judged(figures(1000, 1, *SLOW)).breaches
    assert breach == "model_latency.p90: 5 of 5 blocks are slower than 1.5 ms"
    assert judged(figures(1000, 1, *SLOW[:3], *FAST[:2])).breaches
    assert judged(figures(1000, 1, *SLOW[:2], *FAST[:2])).breaches == ()


@pytest.mark.parametrize("after", [figures(None, None), figures(0, 0)])
def test_requests_before_and_none_after_is_a_failure_at_the_end(after: ServingFigures) -> None:
    assert judged(after, final=False) == WatchFinding(())
    (breach,) = judged(after).breaches
    assert "counts no request since the promotion" in breach


def test_requests_without_a_count_of_errors_are_a_failure_at_the_end() -> None:
    assert judged(figures(1000, None, *FAST), final=False).breaches == ()
    (breach,) = judged(figures(1000, None, *FAST)).breaches
    assert "no count of failed ones" in breach


def test_a_model_so_slow_that_its_callers_send_too_little_is_seen_in_thin_blocks() -> None:
    thin = ServingFigures(20, 0, {"p90": ()}, thin_latency={"p90": SLOW})
    assert judged(thin).breaches == ("model_latency.p90: 5 of 5 blocks are slower than 1.5 ms",)
    assert judged(ServingFigures(20, 0, {"p90": ()}, thin_latency={"p90": FAST})) == WatchFinding((), ())
    # Blocks with enough requests are heard first.
    assert judged(ServingFigures(20, 0, {"p90": FAST}, thin_latency={"p90": SLOW})).breaches == ()


def test_what_cannot_be_judged_is_said() -> None:
    thin = judged(ServingFigures(1000, 1, {}, thin_latency={"p90": FAST[:2]}))
    assert thin == WatchFinding(
        (), ("model_latency.p90 is not judged: only 2 blocks since the promotion have requests",)
    )
    unknown = judged(figures(1000, 1, *FAST), before=figures(1000, None, *FAST[:4]))
    assert unknown.breaches == ()
    assert [note.partition(" is not judged")[0] for note in unknown.notes] == [
        "invocation_error_rate",
        "model_latency.p90",
    ]


def test_gates_that_only_report_do_not_undo_a_promotion() -> None:
    only = {**ERRORS, "report_only": True}
    assert judged(figures(1000, 900), only, {"metric": "agreement", "minimum": 0.9}) == WatchFinding((), ())


def test_more_errors_than_requests_at_the_edge_are_no_error_of_ours() -> None:
    assert judged(figures(10, 12)).breaches
