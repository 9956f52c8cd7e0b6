"""What is asked for beside all pairs: sizes of requests, segments, and the worst disagreements."""

import base64
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from shadow_provider.comparators.outcomes import Outcome
from shadow_provider.evidence.engine.model import Result, Settings, Wanted
from shadow_provider.evidence.engine.segments import attribute
from shadow_provider.evidence.engine.worst import ranked_by
from shadow_provider.policy.examples import Examples
from shadow_provider.policy.segments import OTHER, AttributeSegment, SizeSegment
from tests.unit.evidence.engine.answers import look
from tests.unit.evidence.fakes import PRODUCTION, SHADOW, START, FakeS3, capture, capture_key, line

BY_SIZE = Wanted(segments=(SizeSegment(name="size", edges=(4, 10)),))
BY_TIER = Wanted(segments=(AttributeSegment(name="tier", key="tier", values=("gold", "free")),))
WORST = Wanted(examples=Examples(count=3))


def served(
    *answers: tuple[str | None, str | None],
    given: Sequence[str] = ("1",),
    attributes: Sequence[Any] = (None,),
    minutes: float = 1,
    reader: str = "shape",
) -> FakeS3:
    """A request a minute, with each side's answer to it; None where a side has no record.

    One more line at the end, outside of the window, sees to it that the wanted reader settles all of them.
    """
    s3 = FakeS3()
    for side, variant in enumerate((PRODUCTION, SHADOW)):
        lines = []
        for number, said in enumerate(answers):
            if said[side] is None:
                continue
            document = capture(
                f"id-{number}",
                given=given[number % len(given)],
                answer=said[side],
                time=START + timedelta(minutes=minutes * number),
            )
            if (attribute := attributes[number % len(attributes)]) is not None and side == 0:
                document["eventMetadata"]["customAttributes"] = attribute
            lines.append(line(document))
        s3.put(capture_key(variant), *lines, *OTHER_LINES[reader])
    return s3


OTHER_LINES: dict[str, tuple[bytes, ...]] = {
    "shape": (),
    "parser": (line(dict(reversed(capture("other", time=START - timedelta(days=1)).items()))),),
    "strict": (b"oops",),
}
READERS = pytest.mark.parametrize("reader", OTHER_LINES)


def pairs_by_value(found: Result) -> dict[str, int]:
    return {each.value: sum(each.pairs) for each in found.segments}


@READERS
@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("123", "<4"),
        ("1234", "4-9"),
        ("123456789", "4-9"),
        ("1234567890", ">=10"),
        ("é漢", "4-9"),
        ('"""', "<4"),
        ("\\\n\t", "<4"),
        ("", "<4"),
    ],
)
def test_a_request_is_as_large_as_its_bytes_however_they_are_escaped(given: str, value: str, reader: str) -> None:
    found = look(served(("1", "1"), given=[given], reader=reader), wanted=BY_SIZE)
    assert found.strict_lines == (4 if reader == "strict" else 0)
    assert pairs_by_value(found) == {"<4": 0, "4-9": 0, ">=10": 0} | {value: 1}


@pytest.mark.parametrize("length", range(12))
def test_base64_is_as_large_as_what_it_encodes(length: int) -> None:
    s3 = FakeS3()
    document = capture("x")
    document["captureData"]["endpointInput"] |= {
        "data": base64.b64encode(b"\xff" * length).decode(),
        "encoding": "BASE64",
    }
    for variant in (PRODUCTION, SHADOW):
        s3.put(capture_key(variant), line(document))
    found = look(s3, wanted=Wanted(examples=Examples(count=1), segments=BY_SIZE.segments))
    assert found.strict_lines == 0
    assert pairs_by_value(found)["<4" if length < 4 else "4-9" if length < 10 else ">=10"] == 1


def test_a_request_that_was_not_captured_has_no_size() -> None:
    s3 = FakeS3()
    for variant in (PRODUCTION, SHADOW):
        s3.put(capture_key(variant), line(capture("x", given=None)))
    found = look(s3, wanted=BY_SIZE)
    assert pairs_by_value(found) == {"<4": 0, "4-9": 0, ">=10": 0, OTHER: 1}
    assert found.sizes == ()


@READERS
def test_a_value_has_the_measures_of_its_own_pairs(reader: str) -> None:
    answers = [("1", "2"), ("1", "1"), ("1", "oops"), ("1", "4"), ("1", None)]
    attributes = [["tier=gold"], ["a=b,tier=free"], ["a=b", "tier = gold"], ["tier=new"], ["tier=free"]]
    found = look(served(*answers, attributes=attributes, reader=reader), wanted=BY_TIER)
    parts = {each.value: each for each in found.segments}
    assert {value: part.pairs[:5] for value, part in parts.items()} == {
        "gold": (1, 0, 1, 0, 0),
        "free": (0, 1, 0, 0, 0),
        OTHER: (0, 0, 0, 1, 0),
    }
    for part in parts.values():
        assert part.segment == "tier"
        assert part.measures.keys() == found.measures.keys()
    assert parts["gold"].measures["disagrees"].columns["worse"][:4] == (1, 0, 0, 0)
    assert parts["gold"].measures["unreadable"].columns["worse"][:4] == (0, 0, 1, 0)
    assert parts[OTHER].measures["difference"].columns["totals"][:4] == (0, 0, 0, 3)
    for name, measure in found.measures.items():
        for column, values in measure.columns.items():
            of_parts = zip(*(part.measures[name].columns[column] for part in parts.values()), strict=True)
            assert values == tuple(map(sum, of_parts))


@pytest.mark.parametrize(
    "strange", [{"tier": "gold"}, "tier=gold", [1], None, [], ["tier"], ["tiers=gold"], ["tier=\ud800"]]
)
def test_strange_attributes_are_of_no_value(strange: Any) -> None:
    found = look(served(("1", "1"), attributes=[strange]), wanted=BY_TIER)
    assert pairs_by_value(found) == {"gold": 0, "free": 0, OTHER: 1}


@pytest.mark.parametrize(
    ("attributes", "value"),
    [
        (["tier=gold"], "gold"),
        (["a=tier;tier=gold;tier=free"], "gold"),
        (["a", "b=1", "tier=x=y"], "x=y"),
        (["tier="], ""),
        (["TIER=gold"], None),
        ([], None),
    ],
)
def test_an_attribute_is_what_stands_after_its_key(attributes: list[str], value: str | None) -> None:
    assert attribute(json.dumps(attributes), "tier") == value


def test_what_nobody_asks_for_is_not_there() -> None:
    found = look(served(("1", "1"), attributes=[["tier=gold"]]))
    assert found.segments == ()
    assert found.examples == ()


def test_requests_of_each_size_that_lost_their_partner_are_counted() -> None:
    alone: dict[int, tuple[str | None, str | None]] = dict.fromkeys((7, 9, 14), ("1", None)) | {5: (None, "1")}
    answers = [alone.get(number, ("1", "1")) for number in range(30)]
    given = ["x", "y" * 1024, "z" * 5000]
    found = look(served(*answers, given=given))
    sizes = {each.at_least: (each.production, each.shadow, each.paired) for each in found.sizes}
    # The first and the last block of the overlap, of sizes 0 and 2, are left out.
    assert sizes == {
        0: (9, 8, 8),
        1 << 10: (10, 9, 9),
        1 << 12: (8, 8, 7),
        **{4**i << 10: (0, 0, 0) for i in range(2, 7)},
    }
    assert [each.at_least for each in found.sizes] == sorted(sizes)


def test_what_still_waits_for_its_partner_is_not_missed_yet() -> None:
    answers = [("1", None if number in (2, 50) else "1") for number in range(59)]
    sizes = look(served(*answers), last=False, settings=Settings(memory_mb=256, threads=1)).sizes[0]
    assert (sizes.production, sizes.shadow, sizes.paired) == (56, 55, 55)
    sizes = look(served(*answers)).sizes[0]
    assert (sizes.production, sizes.shadow, sizes.paired) == (57, 55, 55)


def test_captures_outside_of_the_overlap_are_not_missed() -> None:
    answers = [("1", "1" if 10 <= number < 50 else None) for number in range(60)]
    sizes = look(served(*answers, given=["1234"])).sizes[0]
    assert (sizes.production, sizes.shadow, sizes.paired) == (38, 38, 38)


def test_the_worst_disagreements_come_worst_first() -> None:
    answers = [("1", "1"), ("1", "3"), ("1", "oops"), ("1", "9"), ("1", "3"), ("oops", "oops"), ("2", "2.5")]
    found = look(served(*answers, given=["12345"], reader="parser"), wanted=WORST).examples
    assert [(each.outcome, each.value) for each in found] == [("difference", 8), ("difference", 2), ("difference", 2)]
    assert [each.time - START for each in found] == [timedelta(minutes=number) for number in (3, 1, 4)]
    assert found[0].model_dump(exclude={"outcome", "value", "time"}) == {
        "production_place": capture_key(PRODUCTION),
        "shadow_place": capture_key(SHADOW),
        "input_bytes": 5,
        "production_characters": 1,
        "shadow_characters": 1,
        "production": None,
        "shadow": None,
    }


@pytest.mark.parametrize("reader", ["shape", "strict"])
def test_the_other_two_readers_know_the_line(reader: str) -> None:
    found = look(served(("1", "1"), (None, "1"), ("1", "3"), reader=reader), wanted=WORST).examples
    assert (found[0].production_place, found[0].shadow_place) == (
        f"{capture_key(PRODUCTION)}:2",
        f"{capture_key(SHADOW)}:3",
    )


def test_answers_are_masked_and_cut_before_they_are_kept() -> None:
    policy = Examples(count=1, show="answers", mask=(r"[7-9]+",), longest=10)
    found = look(served(("1789", "2" * 50)), wanted=Wanted(examples=policy)).examples
    assert (found[0].production, found[0].shadow) == ("1***", "2" * 9 + "…")
    assert (found[0].production_characters, found[0].shadow_characters) == (4, 50)


def test_pairs_that_agree_are_no_examples() -> None:
    assert look(served(("1", "1"), ("oops", "oops")), wanted=WORST).examples == ()


def outcome(name: str, kind: Any, most: float = 1, *, signed: bool = False) -> Outcome:
    return Outcome(name, kind, -most if signed else 0, most, signed)


def test_examples_are_ranked_by_difference_before_harm() -> None:
    harm, differs = outcome("harm", "binary", signed=True), outcome("differs", "binary")
    endless, score, loss = (
        outcome("endless", "score", float("inf")),
        outcome("score", "score"),
        outcome("loss", "score", signed=True),
    )
    assert ranked_by([harm, differs, endless, loss, score]) == (differs, score)
    assert ranked_by([harm, endless, loss]) == (harm, loss)
    assert ranked_by([endless]) == (None, None)
