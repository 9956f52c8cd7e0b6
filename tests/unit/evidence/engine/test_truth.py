"""Labels meet the pairs that are settled: late, for a part of them, in whatever order they come."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from shadow_provider.comparators.contract import Comparison
from shadow_provider.comparators.outcomes import Outcome
from shadow_provider.evidence.engine import grading
from shadow_provider.evidence.engine.engine import take_look
from shadow_provider.evidence.engine.model import Result, Settings
from shadow_provider.evidence.engine.state import State
from shadow_provider.evidence.engine.store import FolderStore, S3Store
from shadow_provider.evidence.engine.truth import Truth, TruthResult
from shadow_provider.verdict.measures import PairedMeasure
from tests.unit.evidence.engine.answers import Numbers, Words, captures
from tests.unit.evidence.fakes import BUCKET, PRODUCTION, SHADOW, START, FakeS3, capture, capture_key, line, truth
from tests.unit.evidence.slow_reader import truth_fates

SETTINGS = Settings(memory_mb=256, threads=1, block_seconds=600)
END = START + timedelta(hours=2)
NOW = START + timedelta(hours=9)


@pytest.fixture(autouse=True, params=["memory", "database"])
def labels_kept_in(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds of both ways: a few labels stay in memory, many are put into the database."""
    if request.param == "database":
        monkeypatch.setattr(grading, "_HELD", 0)


class Right:
    """Whether each side said what was true."""

    name = identity = "right"
    outcomes: tuple[Outcome, ...] = (Outcome("wrong", "binary", -1, 1),)

    def compare(self, production: pa.RecordBatch, shadow: pa.RecordBatch, truth: pa.RecordBatch) -> Comparison:
        mine, other, true = (
            np.array(each.column("text").to_pylist(), dtype=object) for each in (production, shadow, truth)
        )
        wrong = (other != true).astype(np.float64) - (mine != true).astype(np.float64)
        everything = np.ones(len(wrong), dtype=bool)
        return Comparison({"wrong": wrong}, (everything, everything), Words({"labels": len(wrong)}))


def served(count: int = 12) -> FakeS3:
    """A request every ten minutes; production says 1, the shadow 2 for every third."""
    s3 = FakeS3(page_size=100)
    moments = [START + timedelta(minutes=10 * number) for number in range(count)]
    for variant, step in ((PRODUCTION, 99), (SHADOW, 3)):
        for number, moment in enumerate(moments):
            answer = "2" if number % step == step - 1 else "1"
            s3.put(
                capture_key(variant, moment, name=f"{number}"),
                line(capture(f"id-{number}", answer=answer, time=moment)),
            )
    return s3


def put_labels(s3: FakeS3, hour: int, *lines: bytes, name: str = "a") -> None:
    s3.put(f"truth/{START + timedelta(hours=hour):%Y/%m/%d/%H}/{name}.jsonl", *lines)


def look(
    s3: FakeS3,
    until: datetime = END,
    *,
    last: bool = True,
    state: State | None = None,
    settings: Settings = SETTINGS,
) -> tuple[Result, TruthResult]:
    asked = Truth(S3Store(s3, BUCKET), "truth", Right(), until=NOW)
    found = take_look(captures(s3), Numbers(), until=until, last=last, settings=settings, state=state, truth=asked)
    assert found.truth is not None
    assert sum(found.truth.fates.values()) == found.truth.lines
    return found, found.truth


def test_labels_say_who_was_right_and_how_many_there_are() -> None:
    s3 = served()
    put_labels(s3, 3, *(line(truth(f"id-{number}", "1")) for number in range(6)))
    put_labels(s3, 8, line(truth("id-8", "2")), line(truth("elsewhere", "2")))
    _, found = look(s3)
    wrong = found.measures["wrong"]
    assert isinstance(wrong, PairedMeasure)
    assert [number for number in range(12) if wrong.worse[number]] == [2, 5]
    assert [number for number in range(12) if wrong.better[number]] == [8]
    assert found.labelled == (1,) * 6 + (0, 0, 1, 0, 0, 0)
    assert found.coverage == 7 / 12
    assert found.fates == {"no_pair": 1, "used": 7}
    assert found.summary == Words({"labels": 7})


@pytest.mark.parametrize("moments", [[30], [45, 100], [20, 40, 60, 80, 100, 119]])
def test_in_however_many_looks_labels_come_the_end_is_the_same(moments: list[int], tmp_path: Path) -> None:
    s3 = served()
    labels = [line(truth(f"id-{number}", "1")) for number in range(0, 12, 2)]
    state = State(FolderStore(tmp_path), "state")
    for at, minutes in enumerate(moments):
        put_labels(s3, at, labels[at % len(labels)], name=f"{at}")
        look(s3, START + timedelta(minutes=minutes), last=False, state=state)
    put_labels(s3, 7, *(each for at, each in enumerate(labels) if at >= len(moments)), b"oops")
    _, found = look(s3, state=state)
    _, alone = look(s3)
    assert (found.measures, found.summary, found.labelled) == (alone.measures, alone.summary, alone.labelled)
    assert found.fates == alone.fates == {"not_json": 1, "used": 6}
    assert found.lines == alone.lines == 7


def test_labels_that_contradict_each_other_are_left_out() -> None:
    s3 = served()
    put_labels(s3, 3, *(line(truth(*each)) for each in (("id-0", "1"), ("id-0", "2"), ("id-1", "1"), ("id-1", "1"))))
    _, found = look(s3)
    assert found.fates == {"conflicting": 2, "duplicate": 1, "used": 1}


def test_a_label_that_comes_after_one_was_used_changes_nothing(tmp_path: Path) -> None:
    s3 = served()
    state = State(FolderStore(tmp_path), "state")
    put_labels(s3, 1, line(truth("id-0", "1")))
    look(s3, START + timedelta(minutes=60), last=False, state=state)
    put_labels(s3, 2, line(truth("id-0", "2")))
    _, found = look(s3, state=state)
    assert found.fates == {"repeated": 1, "used": 1}


GOOD = line(truth("id-0", "1"))
LINES: dict[str, bytes] = {
    "good": GOOD,
    "truncated": GOOD[:-3],
    "empty": b"",
    "no UTF-8": b"\xff",
    "an array": b"[]",
    "two": GOOD + GOOD,
    "a comma": GOOD[:-1] + b",}",
    "a key twice": GOOD[:-1] + b', "eventVersion": "0"}',
    "no event": line({"groundTruthData": {"data": "1", "encoding": "CSV"}}),
    "an empty id": line(truth("", "1")),
    "data that is a number": GOOD.replace(b'"1"', b"1"),
    "an unknown encoding": line(truth("id-0", "1", "BASE64")),
    "an unknown key": GOOD[:-1] + b', "more": [1]}',
    "JSON": line(truth("id-0", "1", "JSON")),
    "an escaped id": GOOD.replace(b"id-0", b"i\\u0064-0"),
    "NaN": GOOD.replace(b'"0"', b"NaN"),
}


@pytest.mark.parametrize("name", LINES)
def test_a_line_of_labels_has_the_fate_that_the_strict_reader_gives_it(name: str) -> None:
    s3 = served()
    put_labels(s3, 3, line(truth("id-3", "1")), LINES[name], line(truth("id-4", "1")))
    _, found = look(s3)
    assert found.fates == truth_fates(s3, "truth/", {f"id-{n}" for n in range(12)})


def test_a_label_without_a_pair_waits_until_no_look_follows(tmp_path: Path) -> None:
    s3 = served()
    state = State(FolderStore(tmp_path), "state")
    put_labels(s3, 1, line(truth("elsewhere", "1")))
    _, first = look(s3, START + timedelta(minutes=60), last=False, state=state)
    assert first.fates == {"waiting": 1}
    _, found = look(s3, state=state)
    assert found.fates == {"no_pair": 1}


@pytest.mark.parametrize("hour", [0, 1, 2, 8])
def test_it_does_not_matter_how_soon_labels_come_and_in_how_many_steps_pairs_are_settled(hour: int) -> None:
    s3 = served()
    labels = [line(truth(f"id-{number}", "1")) for number in range(0, 12, 2)]
    put_labels(s3, hour, *labels, line(truth("id-1", "1")), line(truth("id-1", "2")))
    stepwise = replace(SETTINGS, batch_bytes=500)
    _, found = look(s3, settings=stepwise)
    assert found.fates == {"conflicting": 2, "used": 6}
    assert found.labelled == (1, 0) * 6
    _, whole = look(s3)
    assert (found.measures, found.summary) == (whole.measures, whole.summary)


def test_a_label_counts_for_every_pair_of_its_id_that_is_there() -> None:
    s3 = FakeS3()
    for variant in (PRODUCTION, SHADOW):
        for number, minute in enumerate((5, 15, 100)):
            moment = START + timedelta(minutes=minute)
            record = capture("same", answer="1", time=moment)
            record["eventMetadata"]["eventId"] = f"event-{number}"
            s3.put(capture_key(variant, moment, name=f"{number}"), line(record))
    put_labels(s3, 0, line(truth("same", "1")))
    settings = replace(SETTINGS, paired_by="event_id", batch_bytes=500)
    _, found = look(s3, settings=settings)
    assert found.fates == {"used": 1}
    assert sum(found.labelled) == 3
