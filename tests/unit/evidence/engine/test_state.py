"""Looks follow each other: in however many looks objects are read, the end is the same."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from shadow_provider.comparators.build import comparator
from shadow_provider.evidence.engine.engine import take_look
from shadow_provider.evidence.engine.model import Result, Settings, Wanted
from shadow_provider.evidence.engine.state import OtherQuestionError, State
from shadow_provider.evidence.engine.store import FolderStore, S3Store
from shadow_provider.policy.examples import Examples
from shadow_provider.policy.segments import AttributeSegment, HourSegment, SizeSegment
from tests.unit.evidence.engine.answers import Numbers, captures
from tests.unit.evidence.fakes import BUCKET, PRODUCTION, SHADOW, START, FakeS3, capture, capture_key, line

LAG = timedelta(minutes=30)
HOURS = 4
END = START + timedelta(hours=HOURS)
WANTED = Wanted(
    segments=(
        SizeSegment(name="size", edges=(3, 2000)),
        AttributeSegment(name="tier", key="tier", values=("gold", "free")),
    ),
    examples=Examples(count=7, show="answers"),
)
SETTINGS = Settings(memory_mb=256, threads=1, block_seconds=300, lag=LAG, batch_bytes=2_500)


class Arriving:
    """Objects with the time at which they are there."""

    def __init__(self) -> None:
        self.objects: list[tuple[datetime, str, list[bytes]]] = []

    def at(self, now: datetime) -> FakeS3:
        s3 = FakeS3(page_size=100)
        for arrival, key, lines in self.objects:
            if arrival <= now:
                s3.put(key, *lines)
        return s3


def traffic(random: Random, *, with_ids: bool, requests: int = 400) -> Arriving:
    """Requests with everything that happens to captures; objects span 12 minutes at most, and come 15 minutes late."""
    lines: dict[tuple[str, int], list[tuple[datetime, bytes]]] = {}
    for number in range(requests):
        moment = START + timedelta(seconds=number * HOURS * 3600 // requests)
        identity = f"id-{number}" if with_ids else None
        for variant, delay in ((PRODUCTION, 0), (SHADOW, random.randrange(-2, 3))):
            fate = random.random()
            if fate < 0.05:
                continue
            given = "other" if fate < 0.08 else f"{number if with_ids else number % 50}"
            given += "," * 3000 * (number % 7 == 0)
            answer = f"{random.randrange(3)}" if fate < 0.95 else "oops"
            for copy in range(2 if 0.1 < fate < 0.2 else 1):
                # A copy says the same, now and then of a later time.
                later = timedelta(seconds=copy * random.choice([0, 300, 2400]))
                time = max(moment + timedelta(seconds=delay), START) + later
                document = capture(identity, given=given, answer=answer, time=time)
                document["eventMetadata"]["eventId"] = f"{variant}-{number}"
                if number % 5:
                    tier = ("tier=gold", "a=1,tier=free", "tier=x")[number % 3]
                    document["eventMetadata"]["customAttributes"] = [tier]
                content = line(document)
                if fate > 0.98:
                    content = content[: random.randrange(len(content))] or b"x"
                slot = min(
                    39, number * 40 // requests + round(later.total_seconds() / 360) + copy * random.randrange(2)
                )
                lines.setdefault((variant, slot), []).append((time, content))
    arriving = Arriving()
    for (variant, slot), records in lines.items():
        first, newest = min(time for time, _ in records), max(time for time, _ in records)
        late = timedelta(seconds=random.randrange(900))
        arriving.objects.append(
            (newest + late, capture_key(variant, first, name=f"{slot:03}"), [each for _, each in records])
        )
    return arriving


def comparable(found: Result) -> dict[str, Any]:
    return {
        "blocks": found.blocks,
        "measures": found.measures,
        "summary": found.summary and found.summary.to_json(),
        "fates": found.fates,
        "columns": found.columns,
        "lines": found.lines,
        "objects": sorted(found.objects),
        "pairs": found.pairs,
        "paired_by": found.paired_by,
        "sizes": found.sizes,
        "segments": found.segments,
        "examples": found.examples,
    }


def alone(arriving: Arriving, settings: Settings = SETTINGS) -> Result:
    store = captures(arriving.at(END + LAG))
    return take_look(store, Numbers(), until=END, last=True, settings=settings, wanted=WANTED)


def seen(arriving: Arriving, now: datetime, state: State, *, last: bool = False) -> Result:
    """A look at what is there by now."""
    return take_look(
        captures(arriving.at(now)),
        Numbers(),
        until=min(now, END) if last else now,
        last=last,
        settings=SETTINGS,
        state=state,
        wanted=WANTED,
    )


@pytest.mark.parametrize("with_ids", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_any_split_into_looks_ends_the_same(seed: int, with_ids: bool, tmp_path: Path) -> None:
    random = Random(seed)
    arriving = traffic(random, with_ids=with_ids)
    state = State(FolderStore(tmp_path), "state")
    moments = sorted(random.sample(range(60, HOURS * 60), random.randrange(1, 9)))
    for minutes in moments:
        now = START + timedelta(minutes=minutes)
        found = seen(arriving, now, state)
        for side, count in found.lines.items():
            assert sum(found.fates[side].values()) == count
    last = seen(arriving, END + LAG, state, last=True)
    whole = alone(arriving, replace(SETTINGS, batch_bytes=1 << 30))
    assert comparable(last) == comparable(whole)
    assert comparable(alone(arriving)) == comparable(whole)
    assert whole.fates["shadow"].keys() >= {"paired", "unpaired", "not_json"}
    assert "late" not in whole.fates["shadow"]
    assert {each.value for each in whole.segments} >= {"<3", ">=2000", "gold", "free", "(other)"}
    assert len(whole.examples) == 7


def test_a_look_reads_only_what_is_new() -> None:
    class Counting(FakeS3):
        def __init__(self) -> None:
            super().__init__(page_size=100)
            self.got: list[str] = []

        def get_object(self, **kwargs: Any) -> dict[str, Any]:
            self.got.append(kwargs["Key"])
            return super().get_object(**kwargs)

    s3 = Counting()
    state = State(S3Store(s3, BUCKET), "evidence/fraud/")
    for hour in range(3):
        moment = START + timedelta(hours=hour)
        for variant in (PRODUCTION, SHADOW):
            s3.put(capture_key(variant, moment), line(capture(f"{hour}", time=moment)))
        s3.got.clear()
        found = take_look(captures(s3), Numbers(), until=moment + timedelta(hours=1), settings=SETTINGS, state=state)
        assert found.pairs == hour + 1
        assert [key for key in s3.got if key.startswith("capture/")] == [
            capture_key(PRODUCTION, moment),
            capture_key(SHADOW, moment),
        ]
        found = take_look(captures(s3), Numbers(), until=moment + timedelta(hours=1), settings=SETTINGS, state=state)
        assert found.pairs == hour + 1
    generations = {key.split("/")[2][:6] for key in s3.objects if key.startswith("evidence/fraud/0")}
    assert generations == {"000005", "000006"}


@pytest.mark.parametrize("failing", range(4))
def test_a_look_that_dies_is_repeated_with_the_same_result(failing: int, tmp_path: Path) -> None:
    class Dying(FolderStore):
        writes = 0

        def write(self, key: str, content: bytes) -> None:
            Dying.writes += 1
            if Dying.writes == failing + 1:
                raise OSError("out of power")
            super().write(key, content)

    arriving = traffic(Random(1), with_ids=True)
    early = START + timedelta(hours=2)
    state = State(FolderStore(tmp_path), "state")
    seen(arriving, early, state)
    later = early + timedelta(hours=1)
    with pytest.raises(OSError, match="power"):
        seen(arriving, later, State(Dying(tmp_path), "state"))
    last = seen(arriving, END + LAG, state, last=True)
    assert comparable(last) == comparable(alone(arriving))


@pytest.mark.parametrize("dies_at", range(1, 7))
def test_of_two_looks_at_once_one_stands_as_a_whole(dies_at: int, tmp_path: Path) -> None:
    """A worker that is taken for dead writes on beside the one that took its place, and dies then."""
    arriving = traffic(Random(2), with_ids=True)
    early, late = START + timedelta(hours=1), START + timedelta(hours=3)
    state = State(FolderStore(tmp_path), "state")

    def one_look(until: datetime, state: State = state, *, last: bool = False) -> Result:
        there = captures(arriving.at(END + LAG if last else until))
        return take_look(there, Numbers(), until=until, last=last, settings=SETTINGS, state=state, wanted=WANTED)

    one_look(early)

    class Overtaken(FolderStore):
        writes = 0

        def write(self, key: str, content: bytes) -> None:
            if not Overtaken.writes:
                one_look(late)
            Overtaken.writes += 1
            if Overtaken.writes == dies_at:
                raise OSError("dead at last")
            super().write(key, content)

    between = START + timedelta(hours=2)
    with suppress(OSError):
        one_look(between, State(Overtaken(tmp_path), "state"))
    assert comparable(one_look(END, last=True)) == comparable(alone(arriving))


def test_what_comes_after_its_time_was_settled_is_late(tmp_path: Path) -> None:
    state = State(FolderStore(tmp_path), "state")
    s3 = FakeS3()
    s3.put(capture_key(PRODUCTION), line(capture("a")), line(capture("b")))
    s3.put(capture_key(SHADOW), line(capture("a")))
    now = START + timedelta(minutes=45)
    take_look(captures(s3), Numbers(), until=now, settings=SETTINGS, state=state)
    s3.put(capture_key(SHADOW, name="late"), line(capture("b")), line(capture("a")))
    found = take_look(captures(s3), Numbers(), until=now, last=True, settings=SETTINGS, state=state)
    assert found.fates["shadow"] == {"duplicate": 1, "late": 1, "paired": 1}
    assert found.fates["production"] == {"outside_overlap": 1, "paired": 1}


def test_a_state_of_another_question_is_refused(tmp_path: Path) -> None:
    state = State(FolderStore(tmp_path), "state")
    now = START + timedelta(minutes=30)
    take_look(captures(FakeS3()), Numbers(), until=now, settings=SETTINGS, state=state)
    with pytest.raises(OtherQuestionError, match="state"):
        take_look(captures(FakeS3(), endpoint="other"), Numbers(), until=now, settings=SETTINGS, state=state)
    others = (
        Wanted(segments=WANTED.segments[:1]),
        Wanted(segments=WANTED.segments[1:]),
        Wanted(examples=Examples(count=1)),
    )
    for wanted in others:
        with pytest.raises(OtherQuestionError, match="state"):
            take_look(captures(FakeS3()), Numbers(), until=now, settings=SETTINGS, state=state, wanted=wanted)
    hours = Wanted(segments=(HourSegment(name="day", edges=(8, 20)),))
    take_look(captures(FakeS3()), Numbers(), until=now, settings=SETTINGS, state=state, wanted=hours)


def test_a_comparator_of_the_same_name_that_asks_something_else_is_refused(tmp_path: Path) -> None:
    state = State(FolderStore(tmp_path), "state")
    now = START + timedelta(minutes=30)

    def took(tolerance: float) -> Result:
        asked = comparator({"kind": "number", "name": "amount", "absolute_tolerance": tolerance})
        return take_look(captures(FakeS3()), asked, until=now, settings=SETTINGS, state=state)

    assert took(0.1).objects == took(0.1).objects
    with pytest.raises(OtherQuestionError, match="state"):
        took(0.2)


def test_what_has_no_other_side_is_settled_in_time_and_so_bounded(tmp_path: Path) -> None:
    state = State(FolderStore(tmp_path), "state")
    settings = replace(SETTINGS, repeats_within=timedelta(hours=2))
    s3 = FakeS3()
    carried = []
    for hour in range(6):
        moment = START + timedelta(hours=hour)
        now = moment + timedelta(hours=1)
        s3.put(capture_key(PRODUCTION, moment), *[line(capture(f"{hour}-{i}", time=moment)) for i in range(10)])
        if hour == 5:
            s3.put(capture_key(SHADOW, moment), line(capture("5-0", time=moment)), line(capture("5-1", time=moment)))
        found = take_look(captures(s3), Numbers(), until=now, settings=settings, state=state)
        assert sum(found.fates["production"].values()) == found.lines["production"] == 10 * (hour + 1)
        carried.append(found.fates["production"].get("waiting", 0))
    assert carried[:5] == [10, 20, 20, 20, 20]
    assert found.paired_by == "inference_id"
    last = take_look(captures(s3), Numbers(), until=now, last=True, settings=settings, state=state)
    assert last.pairs == 2
    assert comparable(last) == comparable(take_look(captures(s3), Numbers(), until=now, last=True, settings=SETTINGS))


def test_a_state_of_another_version_is_begun_anew(tmp_path: Path) -> None:
    state = State(FolderStore(tmp_path), "state")
    s3 = FakeS3()
    s3.put(capture_key(PRODUCTION), line(capture("a")))
    now = START + timedelta(minutes=30)
    take_look(captures(s3), Numbers(), until=now, settings=SETTINGS, state=state)
    pointer = tmp_path / "state" / "current.json"
    pointer.write_text(pointer.read_text().replace('"format": 3', '"format": 0'))
    found = take_look(captures(s3), Numbers(), until=now, settings=SETTINGS, state=state)
    assert found.lines["production"] == 1
