"""A look from S3 and CloudWatch to the evidence: whole blocks, one beginning for all columns, and looks that add up."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.evidence.collect import Kept, blocks_until, collect
from shadow_provider.evidence.engine.store import FolderStore, S3Store
from shadow_provider.plan.endpoint_config import ShadowRun
from shadow_provider.policy.examples import Examples
from shadow_provider.policy.gates import Accuracy, Agreement, InvocationErrorRate, ModelLatency
from shadow_provider.policy.policy import Policy
from shadow_provider.policy.segments import HourSegment, SizeSegment
from shadow_provider.verdict.evidence import Evidence
from shadow_provider.verdict.judge import Verdict, judge
from shadow_provider.verdict.measures import PairedMeasure, RateMeasure, RatioMeasure
from shadow_provider.verdict.record import ConfigNames, DecisionRecord, decide
from tests.unit.evidence.fakes import (
    BUCKET,
    ENDPOINT,
    PRODUCTION,
    SHADOW,
    START,
    FakeCloudWatch,
    FakeS3,
    capture,
    capture_key,
    line,
    truth,
)

LAG = timedelta(minutes=30)
MINUTES = 100
END = START + timedelta(minutes=MINUTES)
POLICY = Policy(
    gates=(
        Agreement(minimum=0.5),
        InvocationErrorRate(margin=0.1),
        ModelLatency(percentile="p50", margin=0.5),
        Accuracy(margin=0.2),
    ),
    deadline_hours=24,
    minimum_pairs=100,
)
RUN = ShadowRun(
    config_name="config-shadow",
    since=START - timedelta(seconds=20),
    production_variant=PRODUCTION,
    shadow_variant=SHADOW,
    incumbent_model="incumbent",
    candidate_model="candidate",
    sampling_percentage=100.0,
    capture_s3_uri=f"s3://{BUCKET}/capture",
    capture_percentage=100,
    shadow_instance_type="ml.m5.xlarge",
    shadow_instance_count=2,
)


@dataclass
class Traffic:
    """Requests, the objects that they are captured in, and what CloudWatch counts.

    An object has ten minutes of one variant and comes up to twenty minutes after the newest of its records.
    """

    a_minute: int = 10
    minutes: int = MINUTES
    begin: datetime = START
    labelled: bool = False
    objects: list[tuple[datetime, str, list[bytes]]] = field(default_factory=list)
    cloudwatch: FakeCloudWatch = field(default_factory=FakeCloudWatch)

    def __post_init__(self) -> None:
        step = timedelta(minutes=1) / self.a_minute
        moments = [self.begin + number * step for number in range(self.a_minute * self.minutes)]
        numbered = list(enumerate(moments))
        for part, each in groupby(numbered, lambda pair: (pair[1] - START) // timedelta(minutes=10)):
            some = list(each)
            for variant in (PRODUCTION, SHADOW):
                self._captured(variant, part, some)
            if self.labelled:
                lines = [line(truth(f"id-{number}", f"{number % 3}")) for number, _ in some if number % 4]
                key = f"labels/{some[0][1]:%Y/%m/%d/%H}/{part:04}.jsonl"
                self.objects.append((some[-1][1], key, lines))

    def _captured(self, variant: str, part: int, some: Sequence[tuple[int, datetime]]) -> None:
        lines = []
        for number, moment in some:
            shadow = variant == SHADOW
            answer = f"{(number + (shadow and number % 7 == 0)) % 3}"
            lines.append(line(capture(f"id-{number}", time=moment, answer=answer)))
            self.cloudwatch.invocation(variant, moment, 2000 + 100 * shadow + number % 50, failed=number % 40 == 0)
        lines[len(lines) // 2] = lines[len(lines) // 2][:-9] if part == 3 else lines[len(lines) // 2]
        late = timedelta(minutes=9 * (part + (variant == SHADOW)) % 20)
        self.objects.append((some[-1][1] + late, capture_key(variant, some[0][1], f"{part:04}"), lines))

    def at(self, moment: datetime) -> FakeS3:
        """What is in S3 then."""
        s3 = FakeS3(page_size=100)
        for arrival, key, lines in self.objects:
            if arrival <= moment:
                s3.put(key, *lines)
        return s3

    def look(self, until: datetime, *, there: datetime | None = None, **changes: Any) -> Evidence:
        """A look that sees what had come by then."""
        arguments: dict[str, Any] = {
            "s3": self.at(there or until),
            "cloudwatch": self.cloudwatch,
            "endpoint_name": ENDPOINT,
            "run": RUN,
            "policy": POLICY,
            "until": until,
            "settled_after": LAG,
            "memory_mb": 256,
            "now": there or until,
            "ground_truth_s3_uri": f"s3://{BUCKET}/labels" if self.labelled else None,
        }
        return collect(**arguments | changes)


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return Traffic(labelled=True)


def columns(evidence: Evidence) -> dict[str, int]:
    """Lengths of all columns."""
    found = {name: measure.blocks for name, measure in evidence.measures.items()}
    found |= {name: len(getattr(evidence.mirror, name)) for name in ("production", "shadow", "paired", "mismatched")}
    found |= {f"{name}/{side}": len(getattr(series, side))
              for name, series in [("invocations", evidence.metrics.invocations), *evidence.metrics.latency.items()]
              for side in ("production", "shadow")}  # fmt: skip
    return found | ({"labelled": len(evidence.truth.labelled)} if evidence.truth else {})


def record(evidence: Evidence, *, final: bool, policy: Policy = POLICY) -> DecisionRecord:
    return decide(
        deployment_id="d",
        incumbent_model="incumbent",
        candidate_model="candidate",
        configs=ConfigNames(),
        policy=policy,
        evidence=evidence,
        final=final,
    )


# -- blocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [1, 5, 60, 300, 3600])
@pytest.mark.parametrize("after", [0.0, 0.4, 59.0, 100.0])
def test_blocks_begin_at_the_first_multiple_of_their_length(seconds: int, after: float) -> None:
    since = START + timedelta(seconds=after)
    policy = POLICY.model_copy(update={"block_seconds": seconds, "deadline_hours": seconds * 0.5})
    blocks = blocks_until(policy, since, since + timedelta(hours=5))
    assert blocks.seconds == seconds
    assert blocks.start.timestamp() % seconds == 0
    assert timedelta(0) <= blocks.start - since < timedelta(seconds=seconds)


@pytest.mark.parametrize(("after", "count"), [(-900, 0), (0, 0), (59.9, 0), (60, 1), (119.9, 1), (120, 2)])
def test_only_whole_blocks_count(after: float, count: int, traffic: Traffic) -> None:
    blocks = blocks_until(POLICY, RUN.since, START + timedelta(seconds=after))
    assert (blocks.start, blocks.count) == (START, count)


def test_all_columns_have_the_blocks_of_the_look(traffic: Traffic) -> None:
    evidence = traffic.look(END + timedelta(seconds=59), there=END + LAG)
    assert (evidence.blocks.start, evidence.blocks.count) == (START, MINUTES)
    assert set(columns(evidence).values()) == {MINUTES}
    assert set(evidence.measures) >= {
        "unreadable", "disagrees", "invocation_errors", "model_latency_p50", "truth_wrong"}  # fmt: skip
    # Captures and metrics of a request stand in the same block.
    assert set(evidence.mirror.production) == {10, 9}
    errors = evidence.measures["invocation_errors"]
    assert isinstance(errors, RateMeasure)
    assert set(errors.trials) == set(errors.reference_trials) == {10}
    assert evidence.looks == (END,)


# -- looks ------------------------------------------------------------------------------------------------------------


def test_segments_sizes_and_examples_are_part_of_the_evidence(traffic: Traffic) -> None:
    segments = (HourSegment(name="day", edges=(11, 23)), SizeSegment(name="size", edges=(5, 6)))
    policy = POLICY.model_copy(update={"segments": segments, "examples": Examples(count=3)})
    found = traffic.look(END, there=END + LAG, policy=policy, final=True)
    pairs = {(each.segment, each.value): sum(each.pairs) for each in found.segments}
    assert pairs["day", "11-23"] + pairs["day", "23-11"] == pairs["size", "5-5"] == found.pairs
    assert pairs["day", "11-23"] == sum(found.mirror.paired[60:])
    assert [each.production for each in found.mirror.sizes] == [sum(found.mirror.production[1:-1]), *[0] * 7]
    assert len(found.examples) == 3
    assert {each.outcome for each in found.examples} == {"disagrees"}


def same_but_looks(one: Evidence, other: Evidence) -> None:
    """Equal in all but the looks and the places of examples, which are those of the lines that came first."""
    assert one.model_copy(update={"looks": other.looks}) == other


@settings(max_examples=6, deadline=None)
@given(
    minutes=st.lists(st.integers(-10, MINUTES - 1), min_size=1, max_size=3, unique=True).map(sorted),
    final=st.booleans(),
)
def test_many_looks_give_what_one_look_over_all_gives(minutes: list[int], *, final: bool) -> None:
    traffic = Traffic(labelled=True)
    kept = Kept(S3Store(FakeS3(page_size=3), BUCKET), "looks")
    for minute in minutes:
        moment = START + timedelta(minutes=minute)
        found = traffic.look(moment, kept=kept)
        assert found.looks[-1] == max(START, moment)
        for side in (found.captures.production, found.captures.shadow):
            assert sum(side.fates.values()) == side.lines
    # All that settles, and is graded, is the same too: the last look has the same end.
    last = traffic.look(END, there=END + LAG, kept=kept, final=final)
    alone = traffic.look(END, there=END + LAG, final=final)
    same_but_looks(last, alone)
    assert last.looks == (*(START + timedelta(minutes=each) for each in minutes if each > 0), END)
    assert alone.looks == (END,)


def test_a_look_with_the_same_whole_blocks_is_the_same_look(traffic: Traffic) -> None:
    kept = Kept(S3Store(FakeS3(), BUCKET), "looks")
    first = traffic.look(START + timedelta(minutes=50), kept=kept)
    again = traffic.look(START + timedelta(minutes=50, seconds=59), kept=kept)
    assert again.looks == first.looks == kept.looks() == (START + timedelta(minutes=50),)


def test_the_last_look_leaves_nothing_waiting(traffic: Traffic) -> None:
    early = traffic.look(END, there=END)
    assert {"waiting"} & (early.captures.production.fates.keys() | early.captures.shadow.fates.keys())
    assert early.captures.settled_blocks < MINUTES
    last = traffic.look(END, there=END, final=True)
    assert "waiting" not in last.captures.production.fates | last.captures.shadow.fates
    assert last.captures.settled_blocks == MINUTES


class _DyingError(Exception):
    pass


@dataclass(frozen=True)
class _Dying(FolderStore):
    """Dies at a write, before or after it took effect."""

    at: int = 0
    after: bool = False
    written: list[str] = field(default_factory=list)

    def write(self, key: str, content: bytes) -> None:
        dies = len(self.written) == self.at
        self.written.append(key)
        if dies and not self.after:
            raise _DyingError
        super().write(key, content)
        if dies:
            raise _DyingError


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_look_that_dies_at_any_write_is_repeated_with_the_same_result(
    final: bool, after: bool, traffic: Traffic, tmp_path: Path
) -> None:
    early, late = START + timedelta(minutes=60), START + timedelta(minutes=90)
    counting = _Dying(tmp_path / "counting", at=-1)
    traffic.look(early, kept=Kept(counting, "looks"))
    counting.written.clear()
    wanted = traffic.look(late, kept=Kept(counting, "looks"), final=final)
    assert counting.written[-1] == "looks/looks.json"
    for number in range(len(counting.written)):
        root = tmp_path / f"{number}"
        traffic.look(early, kept=Kept(FolderStore(root), "looks"))
        with pytest.raises(_DyingError):
            traffic.look(late, kept=Kept(_Dying(root, at=number, after=after), "looks"), final=final)
        again = traffic.look(late, kept=Kept(FolderStore(root), "looks"), final=final)
        assert again == wanted


def test_a_last_look_is_repeated_with_what_came_meanwhile(traffic: Traffic) -> None:
    """Its end cannot be known to have been reached, so nothing may be settled by it for the one that repeats it."""
    kept = Kept(S3Store(FakeS3(), BUCKET), "looks")
    traffic.look(END, there=END, kept=kept, final=True)
    again = traffic.look(END, there=END + LAG, kept=kept, final=True)
    assert again == traffic.look(END, there=END + LAG, final=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"block_seconds": 300},
        {"deadline_hours": 24 * 30},
        {"warm_up_seconds": 600.0},
        {"comparator": {"kind": "number"}},
        {"ground_truth": {"kind": "number"}, "gates": ({"metric": "agreement", "minimum": 0.5},)},
    ],
)
def test_a_policy_that_asks_another_question_is_answered_from_the_beginning(
    changes: dict[str, Any], traffic: Traffic
) -> None:
    other = Policy.model_validate(POLICY.model_dump(mode="json") | changes)
    kept = Kept(S3Store(FakeS3(), BUCKET), "looks")
    early = START + timedelta(minutes=60)
    traffic.look(early, kept=kept)
    found = traffic.look(END, there=END + LAG, kept=kept, policy=other, final=True)
    same_but_looks(found, traffic.look(END, there=END + LAG, policy=other, final=True))
    # The looks remain: each was a chance to decide.
    assert found.looks[0] == early


def test_a_look_reads_what_is_new_only(traffic: Traffic) -> None:
    class Counting(FakeS3):
        def __init__(self) -> None:
            super().__init__(page_size=100)
            self.got: list[str] = []

        def get_object(self, **kwargs: Any) -> dict[str, Any]:
            self.got.append(kwargs["Key"])
            return super().get_object(**kwargs)

    s3, kept = Counting(), Kept(S3Store(FakeS3(), BUCKET), "looks")
    for moment in (START + timedelta(minutes=60), START + timedelta(minutes=90)):
        before = set(s3.objects)
        s3.objects |= traffic.at(moment).objects
        s3.got.clear()
        traffic.look(moment, s3=s3, kept=kept)
        assert set(s3.got) == set(s3.objects) - before
    assert s3.got


# -- what is in it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("warm_up", [0, 300, 330])
def test_the_warm_up_is_left_out_of_captures_and_of_metrics_alike(warm_up: int, traffic: Traffic) -> None:
    policy = POLICY.model_copy(update={"warm_up_seconds": float(warm_up)})
    evidence = traffic.look(END, there=END + LAG, policy=policy, final=True)
    left_out = -(-warm_up // 60)
    errors, latency, disagrees = (
        evidence.measures[name] for name in ("invocation_errors", "model_latency_p50", "disagrees")
    )
    assert isinstance(errors, RateMeasure)
    assert isinstance(latency, RatioMeasure)
    assert isinstance(disagrees, PairedMeasure)
    # A block that the warm-up ends in has no metrics, since those have no parts of blocks; its captures have.
    whole = warm_up // 60
    for column in (errors.trials, errors.reference_trials):
        assert [bool(each) for each in column] == [False] * left_out + [True] * (MINUTES - left_out)
    assert [each is not None for each in latency.candidate] == [False] * left_out + [True] * (MINUTES - left_out)
    for pairs in (evidence.mirror.production, evidence.mirror.shadow, evidence.mirror.paired, disagrees.pairs):
        assert [bool(each) for each in pairs] == [False] * whole + [True] * (MINUTES - whole)
    assert evidence.captures.production.fates.get("warm_up", 0) == 10 * warm_up // 60


def test_each_line_has_a_fate_and_each_object_is_named(traffic: Traffic) -> None:
    evidence = traffic.look(END, there=END + LAG, final=True)
    for side, variant in ((evidence.captures.production, PRODUCTION), (evidence.captures.shadow, SHADOW)):
        assert (side.objects, side.lines) == (10, 1000)
        assert side.fates == {"not_json": 1, "paired": 999}
        assert side.examples == {"not_json": (f"{capture_key(variant, START + timedelta(minutes=30), '0003')}:51",)}
    captures, labels = evidence.sources
    assert (captures.location, captures.objects) == (RUN.capture_s3_uri, 20)
    assert (labels.location, labels.objects) == (f"s3://{BUCKET}/labels", 10)
    assert captures.etags is not None
    assert set(captures.etags) == {key for key in traffic.at(END + LAG).objects if key.startswith("capture/")}
    assert evidence.cost is not None
    assert evidence.cost.instance_hours == pytest.approx(2 * (MINUTES + 1 / 3) / 60, rel=1e-5)


def test_ground_truth_has_measures_and_coverage(traffic: Traffic) -> None:
    evidence = traffic.look(END, there=END + LAG, final=True)
    assert evidence.truth is not None
    wrong = evidence.measures["truth_wrong"]
    assert isinstance(wrong, PairedMeasure)
    # Every fourth request has no label; production is always right, the candidate is wrong in every seventh.
    lost = 350  # its lines were cut short
    labelled = [number for number in range(10 * MINUTES) if number % 4 and number != lost]
    assert wrong.n == sum(evidence.truth.labelled) == len(labelled)
    assert sum(wrong.worse) == sum(number % 7 == 0 for number in labelled)
    assert sum(wrong.better) == 0
    assert sum(evidence.truth.fates.values()) == evidence.truth.lines == 750
    accuracy = next(each for each in judge(POLICY, evidence, final=True).gates if each.name == "accuracy")
    assert accuracy.estimate == pytest.approx(sum(wrong.worse) / len(labelled))


def test_labels_that_came_by_the_look_count_and_no_later_ones(traffic: Traffic) -> None:
    early = traffic.look(END, there=END, final=True, now=START + timedelta(minutes=30))
    whole = traffic.look(END, there=END, final=True)
    assert early.truth is not None
    assert whole.truth is not None
    assert sum(early.truth.labelled) < sum(whole.truth.labelled)


def test_without_ground_truth_nothing_is_said_of_it() -> None:
    evidence = Traffic(minutes=5).look(START + timedelta(minutes=5), final=True)
    assert evidence.truth is None
    assert not any(name.startswith("truth_") for name in evidence.measures)
    assert [each.kind for each in evidence.sources] == ["captures"]


def test_where_only_a_part_is_captured_all_looks_can_be_judged(traffic: Traffic) -> None:
    """The mirror's share is measured by CloudWatch then, whose columns must end where the look ends."""
    partial = replace(RUN, sampling_percentage=100.0, capture_percentage=40)
    kept = Kept(S3Store(FakeS3(), BUCKET), "looks")
    for minute in (30, 60, MINUTES):
        evidence = traffic.look(START + timedelta(minutes=minute), there=END + LAG, kept=kept, run=partial)
    assert (evidence.mirror.configured_share, evidence.mirror.captured_share) == (1.0, 0.4)
    decided = record(evidence, final=True)
    assert len(decided.looks) == 3
    assert decided.judgement.mirror.measured_by == "CloudWatch"
    assert decided.judgement.mirror.observed_share == pytest.approx(1)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_the_shares_are_those_of_the_configs(share: float) -> None:
    evidence = Traffic(minutes=3).look(
        START + timedelta(minutes=3), run=replace(RUN, sampling_percentage=100 * share), final=True
    )
    assert evidence.mirror.configured_share == share


def test_in_the_warm_up_the_mirror_is_not_measured_by_cloudwatch_either() -> None:
    traffic = Traffic()
    for minute in range(10):
        for _ in range(200):
            # The shadow is warming up: production has traffic of its own that no shadow sees.
            traffic.cloudwatch.invocation(PRODUCTION, START + timedelta(minutes=minute), 2000)
    policy = POLICY.model_copy(update={"warm_up_seconds": 600.0})
    partial = replace(RUN, capture_percentage=40)
    evidence = traffic.look(END, there=END + LAG, run=partial, policy=policy, final=True)
    mirror = judge(policy, evidence, final=True).mirror
    assert mirror.observed_share == pytest.approx(1)


# -- nothing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("seconds", [-3600, -1, 0, 79])
def test_before_the_first_whole_block_there_is_nothing_to_judge_yet(
    seconds: int, final: bool, traffic: Traffic
) -> None:
    kept = Kept(S3Store(FakeS3(), BUCKET), "looks")
    evidence = traffic.look(RUN.since + timedelta(seconds=seconds), final=final, kept=kept)
    assert evidence.blocks.count == 0
    assert set(columns(evidence).values()) == {0}
    assert evidence.looks == (START,)
    assert evidence.cost is not None
    assert evidence.cost.hours == pytest.approx(20 / 3600, rel=1e-5)
    # It was no look: nothing was there to be seen, so nothing could have been decided.
    assert kept.looks() == ()
    decided = record(evidence, final=final)
    assert decided.judgement.verdict is (Verdict.INCONCLUSIVE if final else Verdict.CONTINUE)
    assert DecisionRecord.model_validate_json(decided.canonical_bytes()) == decided
    assert decided.judged_again().canonical_bytes() == decided.canonical_bytes()


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("requests", [0, 10])
def test_without_any_capture_nothing_is_proven(requests: int, final: bool) -> None:
    traffic = Traffic(labelled=True, a_minute=max(requests, 1), minutes=60)
    empty = traffic.look(
        END, s3=FakeS3(), final=final, cloudwatch=traffic.cloudwatch if requests else FakeCloudWatch(),
        kept=Kept(S3Store(FakeS3(), BUCKET), "looks"),
    )  # fmt: skip
    assert set(columns(empty).values()) == {MINUTES}
    assert empty.pairs == empty.captures.production.lines == empty.captures.shadow.objects == 0
    assert empty.comparison is None
    assert empty.truth is not None
    assert sum(empty.truth.labelled) == 0
    assert [(each.objects, each.etags) for each in empty.sources] == [(0, {}), (0, {})]
    decided = record(empty, final=final)
    assert decided.judgement.verdict is (Verdict.INCONCLUSIVE if final else Verdict.CONTINUE)
    assert "no capture could be joined" in decided.judgement.reason
    assert json.loads(decided.canonical_bytes())["evidence"]["mirror"]["paired"] == [0] * MINUTES
