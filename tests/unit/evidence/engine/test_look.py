"""What a look says: pairs by their key, measures by block, and who is missing."""

import gc
from datetime import timedelta

import numpy as np
import pytest

from shadow_provider.comparators.outcomes import Outcome
from shadow_provider.evidence.engine.blocks import BlockTable
from shadow_provider.evidence.engine.keys import PairedBy
from shadow_provider.evidence.engine.model import Settings
from shadow_provider.evidence.engine.settling import Groups
from shadow_provider.verdict.measures import PairedMeasure, ScoreMeasure
from tests.unit.evidence.engine.answers import Words, look
from tests.unit.evidence.fakes import PRODUCTION, SHADOW, START, FakeS3, capture, capture_key, line
from tests.unit.evidence.lines_of_captures import WINDOW


def minute(number: float) -> dict[str, object]:
    return {"time": START + timedelta(minutes=number)}


def record(
    event_id: str | None, *, inference_id: str | None = None, given: str = "1", answer: str = "1", at: float = 0
) -> bytes:
    """A captured request at so many seconds after the start."""
    document = capture(inference_id, given=given, answer=answer, time=START + timedelta(seconds=at))
    document["eventMetadata"]["eventId"] = event_id
    if event_id is None:
        del document["eventMetadata"]["eventId"]
    return line(document)


def both(production: list[bytes], shadow: list[bytes]) -> FakeS3:
    s3 = FakeS3()
    s3.put(capture_key(PRODUCTION), *production)
    s3.put(capture_key(SHADOW), *shadow)
    return s3


def test_pairs_become_measures_by_block() -> None:
    answers = [("1", "1", 0), ("1", "2", 1), ("1", "3.5", 1.5), ("1", "oops", 1), ("oops", "1", 59), ("x", "y", 59)]
    production = [
        line(capture(f"{i}", answer=p, time=START + timedelta(minutes=m))) for i, (p, _, m) in enumerate(answers)
    ]
    shadow = [line(capture(f"{i}", answer=s, time=START + timedelta(minutes=m))) for i, (_, s, m) in enumerate(answers)]
    found = look(both(production, shadow))
    assert found.blocks.count == 60
    assert found.settled_blocks == 60
    assert found.pairs == 6
    disagrees, difference, unreadable = (found.measures[name] for name in ("disagrees", "difference", "unreadable"))
    assert isinstance(disagrees, PairedMeasure)
    assert isinstance(difference, ScoreMeasure)
    assert isinstance(unreadable, PairedMeasure)
    assert disagrees.worse[:3] == (0, 2, 0)
    assert disagrees.pairs[:2] == (1, 2)
    assert (difference.counts[1], difference.totals[1], difference.squares[1]) == (2, 3.5, 7.25)
    assert (unreadable.worse[1], unreadable.better[59], unreadable.pairs[59]) == (1, 1, 2)
    assert "any" not in found.measures
    assert found.summary == Words({"1": 4, "oops": 1, "x": 1})


@pytest.mark.parametrize(
    ("production", "shadow", "key", "pairs"),
    [
        ([record("a", inference_id="x")], [record("b", inference_id="x")], "inference_id", 1),
        ([record("a")], [record("a")], "event_id", 1),
        ([record("a"), record("b", given="2")], [record("c"), record("d", given="2")], "input", 2),
        ([record("a")], [record("b", given="2")], "input", 0),
        ([record(None)], [record(None)], "input", 1),
        ([record("a")], [record("b", at=61)], "input", 0),
        ([record("a", at=3)], [record("b")], "input", 0),
        ([record("a", at=2)], [record("b")], "input", 1),
    ],
)
def test_the_key_is_the_best_that_both_sides_have(
    production: list[bytes], shadow: list[bytes], key: PairedBy, pairs: int
) -> None:
    found = look(both(production, shadow))
    assert (found.paired_by, found.pairs) == (key, pairs)
    assert sum(found.fates["production"].values()) == len(production)


def test_repeated_inputs_pair_in_order_and_one_that_is_lost_shifts_no_other() -> None:
    production = [record(f"p{i}", answer=f"{i}", at=100 * i) for i in range(10)]
    shadow = [record(f"s{i}", answer=f"{i}", at=100 * i + 1) for i in range(10) if i != 3]
    found = look(both(production, shadow))
    assert found.pairs == 9
    assert sum(found.measures["disagrees"].columns["worse"]) == 0
    assert found.fates == {"production": {"paired": 9, "unpaired": 1}, "shadow": {"paired": 9}}


def test_copies_of_one_event_are_no_repeated_inputs() -> None:
    found = look(both([record("a"), record("a")], [record("b"), record("b")]))
    assert found.paired_by == "input"
    assert found.fates == {side: {"paired": 1, "duplicate": 1} for side in ("production", "shadow")}


def test_a_chosen_key_is_used() -> None:
    s3 = both([record("a", inference_id="x")], [record("a", inference_id="y")])
    settings = Settings(memory_mb=256, threads=1, paired_by="event_id")
    assert look(s3, settings=settings).pairs == 1


def test_of_copies_the_earliest_stays() -> None:
    production = [record("p", inference_id="x", answer="2", at=9), record("p", inference_id="x", answer="1")]
    found = look(both(production, [record("s", inference_id="x", answer="1")]))
    assert sum(found.measures["disagrees"].columns["worse"]) == 0
    assert found.fates["production"] == {"duplicate": 1, "paired": 1}


def test_the_warm_up_is_left_out_and_counted() -> None:
    lines = [record(f"{i}", inference_id=f"{i}", at=i) for i in range(10)]
    found = look(both(lines, lines), warm_up=timedelta(seconds=4))
    assert found.fates["shadow"] == {"paired": 6, "warm_up": 4}


def test_who_is_missing_is_missed_only_where_both_sides_were_captured() -> None:
    minutes = range(60)
    production = [line(capture(f"{m}", **minute(m))) for m in minutes]  # type: ignore[arg-type]
    shadow = [line(capture(f"{m}", **minute(m))) for m in minutes if 10 <= m < 50 and m != 30]  # type: ignore[arg-type]
    found = look(both(production, shadow))
    assert found.fates["production"] == {"outside_overlap": 20, "paired": 39, "unpaired": 1}
    assert found.columns["shadow"] == tuple(int(10 <= m < 50 and m != 30) for m in minutes)


def test_a_side_without_any_captures_is_missed_by_all() -> None:
    s3 = FakeS3()
    s3.put(capture_key(PRODUCTION), record("a", inference_id="x"))
    found = look(s3)
    assert found.fates == {"production": {"unpaired": 1}, "shadow": {}}
    assert found.paired_by == "inference_id"
    assert look(FakeS3()).measures["unreadable"].n == 0


def test_what_is_not_settled_counts_and_may_yet_find_its_partner() -> None:
    production = [record(f"{i}", inference_id=f"{i}", at=i * 600) for i in range(6)]
    found = look(both(production, production[:2] + production[4:5]), last=False)
    assert found.fates["production"] == {"outside_overlap": 1, "paired": 3, "waiting": 2} or found.fates[
        "production"
    ] == {"unpaired": 1, "paired": 3, "waiting": 2}
    assert found.settled_blocks == 30


@pytest.mark.parametrize("order", range(5))
def test_sums_of_scores_do_not_depend_on_their_order(order: int) -> None:
    outcome = Outcome("score", "score", -1, 1)
    values = np.random.default_rng(1).uniform(-1, 1, 10_000)
    blocks = np.zeros(len(values), dtype=np.int64)
    table = BlockTable(WINDOW.start, 60)
    table.add_outcome(outcome, blocks, values)
    parts = BlockTable(WINDOW.start, 60)
    for part in np.array_split(np.random.default_rng(order).permutation(values), 7):
        more = parts.empty()
        more.add_outcome(outcome, blocks[: len(part)], part)
        parts = more.merged(parts)
    assert parts.to_state() == table.to_state()
    measure = table.measures([outcome], 1)["score"]
    assert isinstance(measure, ScoreMeasure)
    assert measure.totals[0] == pytest.approx(values.sum(), abs=1e-5)
    assert measure.squares[0] == pytest.approx((values**2).sum(), abs=1e-5)


def test_what_was_settled_is_given_back_at_once() -> None:
    """Memory is bounded by batches only if none waits for the garbage collector."""
    ids = [f"id-{number}" for number in range(50)]
    s3 = both(*([record("x", inference_id=each) for each in ids] for _ in range(2)))
    gc.collect()
    gc.disable()
    try:
        assert look(s3).pairs == 50
        assert [each for each in gc.get_objects() if isinstance(each, Groups)] == []
    finally:
        gc.enable()


def test_a_value_outside_of_its_outcome_is_refused() -> None:
    table = BlockTable(WINDOW.start, 60)
    with pytest.raises(ValueError, match="score"):
        table.add_outcome(Outcome("score", "score", 0, 1), np.zeros(1, dtype=np.int64), np.array([1.5]))
