import json
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.evidence.block_figures import SETTLED_AFTER, KeptMetrics
from shadow_provider.evidence.block_measures import EXPIRED, UNANSWERED
from shadow_provider.evidence.block_metrics import BlockMetrics, OfBoth, read_block_metrics
from shadow_provider.verdict.measures import Blocks, RateMeasure, RatioMeasure
from tests.unit.evidence.fakes import ENDPOINT, PRODUCTION, SHADOW, START, FakeCloudWatch

MINUTE = timedelta(minutes=1)
LATER = START + timedelta(hours=1)


def look(
    cloudwatch: FakeCloudWatch,
    count: int = 5,
    seconds: int = 60,
    *,
    percentiles: tuple[str, ...] = ("p50",),
    kept: KeptMetrics | None = None,
    now: Any = LATER,
    start: Any = START,
    **others: str,
) -> BlockMetrics:
    where = {"endpoint_name": ENDPOINT, "production_variant": PRODUCTION, "shadow_variant": SHADOW, **others}
    blocks = Blocks(start=start, seconds=seconds, count=count)
    return read_block_metrics(cloudwatch, **where, blocks=blocks, percentiles=percentiles, kept=kept, now=now)


def invoke(cloudwatch: FakeCloudWatch, variant: str, minute: float, number: int, failed: int = 0) -> None:
    moment = START + minute * MINUTE
    for i in range(number):
        cloudwatch.invocation(variant, moment, 1000.0 + i, failed=i < failed)


def both(cloudwatch: FakeCloudWatch, minute: float, number: int) -> None:
    invoke(cloudwatch, PRODUCTION, minute, number)
    invoke(cloudwatch, SHADOW, minute, number)


@pytest.fixture
def cloudwatch() -> FakeCloudWatch:
    """Two minutes of both, one of production alone, one of neither, and a last one of both."""
    made = FakeCloudWatch()
    invoke(made, PRODUCTION, 0, 20, failed=1)
    invoke(made, SHADOW, 0, 10, failed=2)
    both(made, 1, 12)
    invoke(made, PRODUCTION, 2, 15)
    both(made, 4, 30)
    return made


def rate(found: BlockMetrics) -> RateMeasure:
    measure = found.measures["invocation_errors"]
    assert isinstance(measure, RateMeasure)
    return measure


def ratio(found: BlockMetrics, percentile: str = "p50") -> RatioMeasure:
    measure = found.measures[f"model_latency_{percentile}"]
    assert isinstance(measure, RatioMeasure)
    return measure


def test_each_block_has_counts_and_percentiles_of_its_own(cloudwatch: FakeCloudWatch) -> None:
    found = look(cloudwatch)
    assert found.invocations == OfBoth((20, 12, 15, None, 30), (10, 12, None, None, 30))
    assert rate(found) == RateMeasure(
        events=(2, 0, 0, 0, 0),
        trials=(10, 12, 0, 0, 30),
        reference_events=(1, 0, 0, 0, 0),
        reference_trials=(20, 12, 15, 0, 30),
    )
    assert ratio(found).candidate == (1004.5, 1005.5, None, None, 1014.5)
    assert ratio(found).reference == (1009.5, 1005.5, None, None, 1014.5)
    assert found.errors == {"4xx": (0, 0), "5xx": (1, 2), "model": (1, 2)}
    assert (found.gaps, found.notes) == ({}, ())
    # The charts have percentiles that no gate is on, and of blocks that are too small for a gate.
    assert list(found.latency) == ["p50", "p90", "p99"]
    assert found.latency["p99"].shadow[0] == pytest.approx(1008.91)
    assert found.latency["p50"].production[2:4] == (1007, None)


def test_nothing_at_all_is_none_and_never_zero() -> None:
    found = look(FakeCloudWatch(), 2)
    assert found.invocations == ((None, None), (None, None))
    assert found.errors == dict.fromkeys(("4xx", "5xx", "model"), (None, None))
    assert (rate(found).n, ratio(found).n) == (0, 0)
    assert {(point.production, point.shadow) for point in found.latency_curve} == {(None, None)}
    assert (found.utilisation, found.gaps, found.thin_blocks) == ({}, {}, {"p50": 0})


@pytest.mark.parametrize(("variant", "side"), [(PRODUCTION, "production"), (SHADOW, "shadow")])
@pytest.mark.parametrize("metric", ["Invocation4XXErrors", "Invocation5XXErrors"])
def test_invocations_without_a_count_of_errors_are_left_out_on_both_sides(
    cloudwatch: FakeCloudWatch, variant: str, side: str, metric: str
) -> None:
    values = cloudwatch.values[variant, metric]
    cloudwatch.values[variant, metric] = [each for each in values if each[0] != START]
    found = look(cloudwatch)
    assert rate(found).trials == (0, 12, 0, 0, 30)
    assert rate(found).reference_trials == (0, 12, 15, 0, 30)
    assert sum(rate(found).events) + sum(rate(found).reference_events) == 0
    assert found.gaps == {f"a count of the errors of {side}": 1}
    # What is known of the block stays known.
    assert found.invocations.production[0] == 20
    assert ratio(found).candidate[0] == 1004.5


def test_seven_days_of_blocks_and_the_curve_are_one_call() -> None:
    cloudwatch = FakeCloudWatch()
    cloudwatch.results_a_page = 500
    week = 7 * 24 * 12
    now = START + timedelta(days=7, minutes=10)
    first = look(cloudwatch, week, 300, percentiles=("p50", "p90", "p99"), now=now)
    (call,) = cloudwatch.calls
    assert first.calls == 1
    periods = [query["MetricStat"]["Period"] for query in call["MetricDataQueries"]]
    # 5 counts and 3 percentiles of two variants by block; 15 percentiles, a count and 4 utilisations of both at once.
    assert [periods.count(300), periods.count(7 * 86400), len(periods)] == [16, 40, 56]
    look(cloudwatch, week + 1, 300, kept=first.kept, percentiles=("p50", "p90", "p99"), now=now + 5 * MINUTE)
    _, new, curve = cloudwatch.calls
    # One block that is new, and one that had ended less than 15 minutes before the first look.
    assert (new["StartTime"], new["EndTime"]) == (now - 15 * MINUTE, now - 5 * MINUTE)
    assert (curve["StartTime"], len(curve["MetricDataQueries"])) == (START, 40)


def test_another_look_at_the_same_time_asks_only_for_the_curve(cloudwatch: FakeCloudWatch) -> None:
    first = look(cloudwatch, now=START + 6 * MINUTE)
    cloudwatch.calls.clear()
    again = look(cloudwatch, kept=first.kept, now=START + 6 * MINUTE)
    assert {query["MetricStat"]["Period"] for call in cloudwatch.calls for query in call["MetricDataQueries"]} == {300}
    assert figures(again) == figures(first)
    assert again.kept == first.kept


def figures(found: BlockMetrics) -> tuple[Any, ...]:
    return (found.measures, found.invocations, found.errors, found.latency, found.thin_blocks, found.gaps, found.notes)


@st.composite
def traffic(draw: st.DrawFn) -> list[tuple[float, str, float, float, bool]]:
    """Requests: when it is visible, its variant, when it was, its latency, whether it failed."""
    requests = st.tuples(
        st.floats(0, SETTLED_AFTER.total_seconds() - 0.01),
        st.sampled_from([PRODUCTION, SHADOW]),
        st.floats(0, 3599.9),
        st.floats(1, 1e6),
        st.booleans(),
    )
    found = draw(st.lists(requests, max_size=60))
    # CloudWatch has it at the latest 15 minutes after the block's end.
    return [
        ((when // 60 + 1) * 60 + late, variant, when, latency, failed) for late, variant, when, latency, failed in found
    ]


@settings(max_examples=60, deadline=None)
@given(traffic(), st.lists(st.integers(1, 90), min_size=1, max_size=5, unique=True), st.booleans())
def test_many_looks_find_what_one_finds(
    requests: list[tuple[float, str, float, float, bool]], minutes: list[int], stored: bool
) -> None:
    cloudwatch = FakeCloudWatch()
    waiting = sorted(requests)
    kept = None

    def at(minute: int, kept: KeptMetrics | None) -> BlockMetrics:
        while waiting and waiting[0][0] <= minute * 60:
            _, variant, when, latency, failed = waiting.pop(0)
            cloudwatch.invocation(variant, START + timedelta(seconds=when), latency, failed=failed)
        return look(cloudwatch, min(minute, 60), percentiles=("p50", "p90"), kept=kept, now=START + minute * MINUTE)

    for minute in [*sorted(minutes), 91]:
        last = at(minute, kept)
        kept = last.kept
        if stored and kept is not None:
            kept = KeptMetrics.from_json(json.loads(json.dumps(kept.to_json())))
    alone = at(91, None)
    assert figures(last) == figures(alone)
    assert last.latency_curve == alone.latency_curve


@pytest.mark.parametrize("status", ["PartialData", "InternalError", "Forbidden"])
def test_what_cloudwatch_did_not_answer_completely_is_noted_and_asked_for_again(
    cloudwatch: FakeCloudWatch, status: str
) -> None:
    cloudwatch.status = lambda metric: status if metric == "Invocation5XXErrors" else "Complete"
    partial = look(cloudwatch)
    assert f"{SHADOW} Invocation5XXErrors Sum: {status}" in partial.notes
    assert (rate(partial).n, partial.gaps) == (0, {UNANSWERED: 5})
    assert ratio(partial).n == 3
    assert partial.kept is None
    cloudwatch.status = lambda _: "Complete"
    whole = look(cloudwatch, kept=partial.kept)
    assert (rate(whole).trials, whole.gaps) == ((10, 12, 0, 0, 30), {})


def test_an_incomplete_answer_takes_away_nothing_that_was_settled(cloudwatch: FakeCloudWatch) -> None:
    early = look(cloudwatch, 2, now=START + 18 * MINUTE)
    cloudwatch.status = lambda _: "PartialData"
    partial = look(cloudwatch, 5, kept=early.kept)
    assert (rate(partial).trials, partial.gaps[UNANSWERED]) == ((10, 12, 0, 0, 0), 3)
    assert partial.kept == early.kept


def test_a_message_about_the_whole_call_keeps_nothing(cloudwatch: FakeCloudWatch) -> None:
    cloudwatch.messages = [{"Code": "MaxMetricsExceeded", "Value": "only some were read"}]
    found = look(cloudwatch)
    assert found.notes == ("MaxMetricsExceeded: only some were read",)
    assert found.kept is None
    assert rate(found).trials[0] == 10


def test_blocks_that_cloudwatch_no_longer_keeps_are_missing_and_noted(cloudwatch: FakeCloudWatch) -> None:
    now = START + timedelta(days=15, minutes=-3)
    found = look(cloudwatch, now=now)
    # A margin of 5 minutes for the clocks; in between, the request would have begun too early for some of its blocks.
    assert found.gaps == {EXPIRED: 2}
    assert "2 blocks of 60 s are missing: CloudWatch keeps such periods 15 days" in found.notes
    assert found.invocations.production == (None, None, 15, None, 30)
    assert cloudwatch.calls[0]["StartTime"] == START + 2 * MINUTE
    later = look(cloudwatch, kept=found.kept, now=now + timedelta(days=1))
    assert (later.gaps, later.invocations) == (found.gaps, found.invocations)
    early = look(cloudwatch, now=START + 6 * MINUTE)
    # A block that was young when it was read would be read again, but stays as it was once it cannot be.
    assert figures(look(cloudwatch, kept=early.kept, now=now + timedelta(days=1))) == figures(early)


def test_long_blocks_are_kept_longer_by_cloudwatch(cloudwatch: FakeCloudWatch) -> None:
    old = START + timedelta(days=40)
    assert look(cloudwatch, 1, 300, now=old).invocations.production == (77,)
    assert look(cloudwatch, 1, 3600, now=START + timedelta(days=100)).gaps == {}
    assert look(cloudwatch, 1, 300, now=START + timedelta(days=100)).gaps == {EXPIRED: 1}
    assert look(cloudwatch, 1, 60, now=old).gaps == {EXPIRED: 1}
    assert look(cloudwatch, 6, 10, now=START + timedelta(hours=3)).gaps == {EXPIRED: 6}


def test_blocks_may_be_shorter_than_a_minute() -> None:
    cloudwatch = FakeCloudWatch()
    for second in (0, 9.5, 10, 39):
        both(cloudwatch, second / 60, 1)
    found = look(cloudwatch, 4, 10)
    assert found.invocations.shadow == (2, 1, None, 1)


def test_the_whole_window_has_a_curve_and_utilisation(cloudwatch: FakeCloudWatch) -> None:
    for minute, percent in ((0, 50.0), (1, 100.0)):
        cloudwatch.put(PRODUCTION, "CPUUtilization", START + minute * MINUTE, percent)
    cloudwatch.put(SHADOW, "MemoryUtilization", START, 7.0)
    found = look(cloudwatch)
    assert found.utilisation == {"CPUUtilization": (75, None), "MemoryUtilization": (None, 7)}
    latency = [value for _, value in cloudwatch.values[SHADOW, "ModelLatency"]]
    curve = {point.percentile: point for point in found.latency_curve}
    assert curve["p90"].shadow == pytest.approx(np.percentile(latency, 90))
    # 77 and 52 samples: beyond the 99th percentile there is none to be expected.
    assert (curve["p99"].production, curve["p99"].shadow, curve["p1"].production) == (None, None, None)
    assert [point.percentile for point in found.latency_curve] == sorted(curve, key=lambda name: float(name[1:]))


@pytest.mark.parametrize(
    "other",
    [
        {"endpoint_name": "other"},
        {"shadow_variant": "other"},
        {"percentiles": ("p50", "p75")},
        {"start": START - 5 * MINUTE},
        {"seconds": 300, "count": 1},
    ],
)
def test_figures_of_another_question_are_not_continued(cloudwatch: FakeCloudWatch, other: dict[str, Any]) -> None:
    kept = look(cloudwatch).kept
    cloudwatch.calls.clear()
    if other.get("endpoint_name"):
        with pytest.raises(AssertionError):  # the fake has the one endpoint only: it was asked for the other
            look(cloudwatch, kept=kept, **other)
        return
    anew = look(cloudwatch, kept=kept, **other)
    assert figures(anew) == figures(look(cloudwatch, **other))
    assert cloudwatch.calls[0]["StartTime"] == other.get("start", START)


def test_kept_figures_of_another_version_are_not_read(cloudwatch: FakeCloudWatch) -> None:
    kept = look(cloudwatch).kept
    assert kept is not None
    document = json.loads(json.dumps(kept.to_json()))
    assert KeptMetrics.from_json(document) == kept
    assert KeptMetrics.from_json({**document, "format": 0}) is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"seconds": 90}, "no periods of 90 s"),
        ({"seconds": 2}, "no periods of 2 s"),
        ({"start": START + timedelta(seconds=1)}, "cannot begin"),
        ({"start": START + 10 * MINUTE, "seconds": 3600}, "cannot begin"),
        ({"percentiles": ("p100",)}, "p100"),
        ({"percentiles": ("p0",)}, "p0"),
        ({"percentiles": ("Average",)}, "Average"),
    ],
)
def test_what_cloudwatch_cannot_be_asked_for_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        look(FakeCloudWatch(), **wrong)


def test_no_blocks_ask_nothing() -> None:
    cloudwatch = FakeCloudWatch()
    found = look(cloudwatch, 0)
    assert (found.calls, cloudwatch.calls, found.invocations) == (0, [], ((), ()))
