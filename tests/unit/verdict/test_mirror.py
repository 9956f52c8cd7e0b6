"""Whether the mirror can be trusted: what is called broken, what is not, and how seldom a whole one is."""

import math
from datetime import timedelta, timezone
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from shadow_provider.policy.gates import PairedErrorRate
from shadow_provider.policy.policy import Policy
from shadow_provider.verdict.evidence import (
    CaptureEvidence,
    Evidence,
    MetricsEvidence,
    MirrorEvidence,
    SideCensus,
    SizeClass,
    TwoSeries,
)
from shadow_provider.verdict.judge import Verdict, judge
from shadow_provider.verdict.measures import RateMeasure
from shadow_provider.verdict.mirror import MirrorFinding, examine_mirror
from tests.unit.verdict.builders import START, evidence

POLICY = Policy(gates=(PairedErrorRate(margin=0.01),), maximum_capture_lag_seconds=600)
MINUTES = 360
Counts = npt.NDArray[np.int64]


def mirrored(
    requests: Any = 50,
    shadow: Any = None,
    pairs: Any = None,
    *,
    configured: float = 1.0,
    captured: float = 1.0,
    mismatched: Any = 0,
    sizes: tuple[SizeClass, ...] = (),
    errors: Any = 0,
    invocations: tuple[Any, Any] | None = None,
    blocks: int = MINUTES,
    **replaced: Any,
) -> Evidence:
    """Blocks of a minute with these counts; the shadow has what production has, and all are pairs, unless given."""

    def column(value: Any) -> tuple[int, ...]:
        return tuple(np.broadcast_to(np.asarray(value, dtype=np.int64), blocks).tolist())

    shadow = requests if shadow is None else shadow
    pairs = np.minimum(requests, shadow) if pairs is None else pairs
    asked, served = invocations or (requests, shadow)
    nothing = column(0)
    return evidence(
        blocks=blocks,
        seconds=60,
        looks=1,
        mirror=MirrorEvidence(
            configured_share=configured,
            captured_share=captured,
            production=column(requests),
            shadow=column(shadow),
            paired=column(pairs),
            mismatched=column(mismatched),
            sizes=sizes,
        ),
        metrics=MetricsEvidence(
            invocations=TwoSeries(
                production=tuple(map(float, column(asked))), shadow=tuple(map(float, column(served)))
            )
        ),
        measures={
            "invocation_errors": RateMeasure(
                events=column(errors), trials=column(served + np.asarray(errors)), reference_events=nothing,
                reference_trials=nothing,
            )
        },
        **replaced,
    )  # fmt: skip


def found(**kwargs: Any) -> MirrorFinding:
    return examine_mirror(POLICY, mirrored(**kwargs))


def minutes(default: int, **other: tuple[int, int, int]) -> Counts:
    """So many a minute, and in some spans another number."""
    column = np.full(MINUTES, default, dtype=np.int64)
    for begin, end, value in other.values():
        column[begin:end] = value
    return column


def test_a_whole_mirror_is_measured_and_has_no_fault() -> None:
    finding = found()
    assert finding.faults == finding.doubts == ()
    assert finding.observed_share == finding.join_rate == 1.0
    assert finding.measured
    assert finding.measured_by == "captures"
    assert len(finding.hours) == 6
    # The first and the last block that both sides cover do not count.
    assert sum(hour.requests for hour in finding.hours) == 50 * (MINUTES - 2)


@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_too_few_blocks_are_no_fault_but_nothing_is_measured(blocks: int) -> None:
    finding = found(blocks=blocks)
    assert finding.faults == finding.doubts == ()
    assert not finding.measured
    assert finding.share_evidence is None


def test_nothing_at_all_is_no_fault() -> None:
    finding = found(requests=0)
    assert finding.faults == ()
    assert not finding.measured


@pytest.mark.parametrize(
    ("configured", "shadow"),
    [(1.0, 48), (0.5, 50), (0.5, 21), (0.1, 8), (0.1, 3)],
)
def test_a_share_that_is_not_the_configured_one_is_a_fault(configured: float, shadow: int) -> None:
    finding = found(shadow=shadow, configured=configured)
    assert len(finding.faults) == 1
    assert f"{shadow / 50:.1%}" in finding.faults[0]
    assert f"{configured:.1%} are configured" in finding.faults[0]


def test_sampling_ten_percent_is_whole_if_ten_percent_come() -> None:
    drawn = np.random.default_rng(1).binomial(50, 0.1, MINUTES)
    finding = found(shadow=drawn, configured=0.1)
    assert finding.faults == ()
    assert finding.observed_share == pytest.approx(0.1, abs=0.01)
    assert finding.join_rate == 1.0


def test_losses_within_the_tolerance_are_best_effort() -> None:
    assert found(shadow=minutes(50, lost=(0, MINUTES, 50)) - (np.arange(MINUTES) % 3 == 0)).faults == ()


def test_one_broken_hour_is_found_though_all_together_hide_it() -> None:
    # Half an hour's copies are lost, while twenty days were whole.
    whole = mirrored(blocks=480 * 60, requests=2, shadow=2)
    shadow = np.full(480 * 60, 2)
    shadow[12_000:12_060] = 1
    broken = mirrored(blocks=480 * 60, requests=2, shadow=shadow)
    assert examine_mirror(POLICY, whole).faults == ()
    (fault,) = examine_mirror(POLICY, broken).faults
    assert fault == ("from 2026-03-10 08:00 UTC on, 60 of an hour's 120 requests were mirrored, 100.0% are configured")


def test_a_low_join_rate_is_a_fault_in_all_and_in_an_hour() -> None:
    (fault,) = found(pairs=45, mismatched=5).faults
    assert "captures found their partner (90.0%), at least 95.0% are needed" in fault
    (fault,) = found(pairs=minutes(50, bad=(120, 180, 35)), mismatched=minutes(0, bad=(120, 180, 15))).faults
    assert fault.startswith("from 2026-03-02 02:00 UTC on, 2,100 of an hour's 3,000 captures found their partner")
    assert found(pairs=48, mismatched=2).faults == ()


def test_large_requests_that_never_find_their_partner_are_a_fault() -> None:
    def sizes(large: int, paired: int, share: float = 1.0) -> tuple[SizeClass, ...]:
        return (
            SizeClass(at_least=0, production=18_000, shadow=int(18_000 * share), paired=int(18_000 * share)),
            SizeClass(at_least=65_536, production=large, shadow=paired, paired=paired),
        )

    (fault,) = found(sizes=sizes(300, 0)).faults
    assert fault.startswith("of the requests from 65,536 bytes on, 0 of 300 captures found their partner")
    assert found(sizes=sizes(300, 299)).faults == ()
    assert found(sizes=sizes(0, 0)).faults == ()
    # What all sizes share is not held against one of them: sampling, and a shadow that came later.
    assert found(sizes=sizes(300, 30, 0.1), shadow=minutes(5), configured=0.1).faults == ()
    assert len(found(sizes=sizes(3000, 30, 0.1), shadow=minutes(5), configured=0.1).faults) == 1
    assert found(sizes=sizes(300, 200, 0.67)).faults == ()


def test_failures_of_the_shadow_are_not_held_against_the_mirror() -> None:
    assert found(shadow=40, errors=10).faults == ()
    assert len(found(shadow=40, errors=5).faults) > 0
    # They excuse only what is missing in their own hour.
    early = minutes(0, errors=(10, 50, 50))
    assert found(shadow=minutes(50, lost=(10, 50, 0)), errors=early).faults == ()
    assert len(found(shadow=minutes(50, lost=(200, 240, 0)), errors=early).faults) > 0


def test_a_silent_shadow_is_a_fault_wherever_the_silence_is_longer_than_lag_can_explain() -> None:
    for begin, end in ((100, 140), (MINUTES - 30, MINUTES), (340, 345)):
        faults = found(shadow=minutes(50, gap=(begin, end, 0))).faults
        assert any(f"the shadow have a gap of {60 * (end - begin):,} s" in fault for fault in faults), (begin, end)
    assert "from 2026-03-02 01:40:00 UTC on" in found(shadow=minutes(50, gap=(100, 140, 0))).faults[-1]


def test_production_that_is_silent_is_a_fault_as_well() -> None:
    faults = found(requests=minutes(50, gap=(100, 140, 0)), shadow=50).faults
    assert any("the captures of production have a gap of 2,400 s" in fault for fault in faults)
    # A single capture that is lost is best effort, also where it was the only one of its minute.
    alone = minutes(1)
    assert found(requests=minutes(1, lost=(100, 101, 0)), shadow=alone).faults == ()


def test_captures_on_their_way_are_no_fault_within_the_allowed_lag() -> None:
    for late in (1, 5, 10):
        assert found(shadow=minutes(50, late=(MINUTES - late, MINUTES, 0))).faults == ()
    # Nor if the other side's newest are on their way too.
    both = found(
        requests=minutes(50, late=(MINUTES - 2, MINUTES, 0)), shadow=minutes(50, late=(MINUTES - 8, MINUTES, 0))
    )
    assert both.faults == ()
    assert len(found(shadow=minutes(50, late=(MINUTES - 11, MINUTES, 0))).faults) == 1


def test_a_long_allowed_lag_hides_no_gap_in_the_middle() -> None:
    shadow = minutes(50, gap=(100, 105, 0), late=(MINUTES - 10, MINUTES, 0))
    assert any("from 2026-03-02 01:40:00 UTC" in fault for fault in found(shadow=shadow).faults)


def test_half_of_the_newest_captures_missing_is_a_doubt_first_and_a_fault_later() -> None:
    shadow = minutes(50, late=(MINUTES - 8, MINUTES, 25))
    young = mirrored(shadow=shadow)
    finding = examine_mirror(POLICY, young)
    assert finding.faults == ()
    assert len(finding.doubts) > 0
    judgement = judge(POLICY, young, final=False)
    assert judgement.verdict is Verdict.CONTINUE
    assert "not all captures may be there yet" in judgement.reason
    stricter = POLICY.model_copy(update={"maximum_capture_lag_seconds": 60})
    assert len(examine_mirror(stricter, young).faults) > 0


def test_a_shadow_that_never_came_is_a_fault_once_it_should_have() -> None:
    def silent(blocks: int, served: Any) -> tuple[str, ...]:
        return found(blocks=blocks, shadow=0, invocations=(50, served)).faults

    # It serves, by CloudWatch, and nothing is captured.
    assert silent(10, 50) == ()
    assert len(silent(11, 50)) == 1
    # It does not serve yet: an endpoint may take an hour for that.
    assert silent(65, 0) == ()
    assert len(silent(71, 0)) == 1
    assert "gap of 660 s" in silent(71, 0)[0]
    # Before it came nothing was amiss.
    assert found(shadow=minutes(50, start=(0, 120, 0)), invocations=(50, minutes(50, start=(0, 120, 0)))).faults == ()


def test_partial_capture_is_measured_by_cloudwatch() -> None:
    rng = np.random.default_rng(2)
    production, shadow = rng.binomial(50, 0.3, (2, MINUTES))
    pairs = np.minimum(production, shadow)
    captures: dict[str, Any] = {"requests": production, "shadow": shadow, "pairs": pairs, "captured": 0.3}
    whole = found(**captures, invocations=(50, 50))
    assert whole.faults == ()
    assert whole.measured_by == "CloudWatch"
    assert whole.observed_share == 1.0
    assert "50.0%" in found(**captures, invocations=(50, 25)).faults[0]
    # Where each side captures by itself, few are pairs; the least rate is as much smaller.
    few = captures | {"pairs": (0.3 * pairs).round()}
    assert found(**few, invocations=(50, 50)).faults == ()


def test_a_request_counted_before_a_full_minute_on_one_side_is_no_second_request() -> None:
    more = found(captured=0.5, invocations=(1, minutes(1, once=(50, 51, 3))))
    assert more.observed_share is not None
    assert more.observed_share > 1
    assert more.faults == ()
    assert len(found(captured=0.5, invocations=(10, 12)).faults) > 0


def test_cloudwatch_without_figures_measures_nothing() -> None:
    unknown = mirrored(captured=0.5)
    nothing = (None,) * MINUTES
    series = TwoSeries(production=nothing, shadow=nothing)
    finding = examine_mirror(
        POLICY, unknown.model_copy(update={"metrics": unknown.metrics.model_copy(update={"invocations": series})})
    )
    assert finding.observed_share is None
    assert finding.faults == ()


def side(**fates: int) -> SideCensus:
    return SideCensus(objects=1, lines=sum(fates.values()), fates=fates)


def test_captures_without_ids_are_a_fault_and_a_few_of_them_are_not() -> None:
    bare = side(no_inference_id=500)
    (fault,) = found(requests=0, captures=CaptureEvidence(production=bare, shadow=bare)).faults
    assert "callers must send InferenceId" in fault
    mixed = side(no_inference_id=5, paired=495)
    for blocks in (0, 1, 2, 100):
        assert found(blocks=blocks, captures=CaptureEvidence(production=mixed, shadow=mixed)).faults == ()
    assert found(requests=0, captures=CaptureEvidence(production=bare, shadow=side(paired=5))).faults == ()


def test_a_gap_is_told_in_utc_wherever_the_blocks_were_counted() -> None:
    broken = mirrored(shadow=minutes(50, gap=(100, 140, 0)))
    fields = broken.model_dump()
    fields["blocks"]["start"] = START.astimezone(timezone(timedelta(hours=5, minutes=30)))
    moved = Evidence.model_validate(fields)
    assert moved == broken
    assert moved.model_dump_json() == broken.model_dump_json()
    assert examine_mirror(POLICY, moved) == examine_mirror(POLICY, broken)


def test_a_whole_mirror_looked_at_often_is_seldom_called_broken() -> None:
    # Requests come by a daily cycle; a half percent of the captures is lost on either side.
    rng = np.random.default_rng(20260302)
    runs, blocks, step = 100, 300, 3
    broken = 0
    load = 20 * (1 + 0.8 * np.sin(np.arange(blocks) / 45))
    for configured, captured in [(1.0, 1.0), (0.1, 1.0), (1.0, 0.3)] * runs:
        requests = rng.poisson(load)
        copies = rng.binomial(requests, configured)
        if captured == 1:
            production = requests - rng.binomial(requests - copies, 0.005)
            shadow = np.minimum(rng.binomial(copies, 0.995), production)
        else:
            production, shadow = rng.binomial(requests, captured), rng.binomial(copies, captured)
        whole = mirrored(
            production, shadow, configured=configured, captured=captured, blocks=blocks, invocations=(requests, copies)
        )
        ends = [whole.blocks.starts()[at] for at in range(step, blocks, step)]
        broken += any(examine_mirror(POLICY, whole.at(end)).faults for end in ends)
    # With the four kinds of tests at a thousandth each, more than 5 of 300 have a probability of under 0.2 %.
    assert broken <= 5


def test_the_evidence_against_the_share_is_that_of_the_counts() -> None:
    finding = found(shadow=45)
    assert finding.share_evidence is not None
    assert finding.share_evidence > -math.log(1e-3)
    healthy = found().share_evidence
    assert healthy is not None
    assert healthy < 0
