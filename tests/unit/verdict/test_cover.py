"""The minimum cover: pairs, time, and hours of the day."""

from datetime import timedelta

import pytest

from shadow_provider.policy.gates import PairedErrorRate
from shadow_provider.policy.policy import Policy
from shadow_provider.verdict.cover import cover_of
from shadow_provider.verdict.evidence import Evidence
from tests.unit.verdict.builders import START, evidence

POLICY = Policy(gates=(PairedErrorRate(margin=0.01),), minimum_pairs=10, minimum_hours=2.0, minimum_day_share=0.5)


def with_pairs(*paired: int, seconds: int = 600, start: timedelta = timedelta()) -> Evidence:
    found = evidence(blocks=len(paired), seconds=seconds)
    blocks = found.blocks.model_copy(update={"start": START + start})
    return found.model_copy(update={"blocks": blocks, "mirror": found.mirror.model_copy(update={"paired": paired})})


def figures(found: Evidence) -> list[float]:
    return [each.have for each in cover_of(POLICY, found)]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (evidence(blocks=0), [0, 0, 0]),
        (with_pairs(0, 0, 0), [0, 0, 0]),
        (with_pairs(7), [7, 0.166667, 1]),
        (with_pairs(*[1] * 12), [12, 2, 2]),
        # Few requests are no less an hour of traffic than many.
        (with_pairs(*[1, 0, 0, 0, 0, 0] * 3), [3, 2.16667, 3]),
        # A night without any is not.
        (with_pairs(1, *[0] * 47, 1), [2, 0.333333, 2]),
        # An hour that has begun counts as seen; days are not added up.
        (with_pairs(1, 1, seconds=600, start=timedelta(minutes=50)), [2, 0.333333, 2]),
        (with_pairs(*[1] * 48, seconds=3600), [48, 48, 24]),
    ],
)
def test_what_there_is(found: Evidence, expected: list[float]) -> None:
    assert figures(found) == expected


def test_what_is_needed_and_whether_it_is_reached() -> None:
    pairs, hours, of_day = cover_of(POLICY, with_pairs(*[1] * 12))
    assert (pairs.reached, hours.reached, of_day.reached) == (True, True, False)
    assert of_day.in_words() == "2 of 12 hours of the day"
    assert cover_of(POLICY, with_pairs(*[1000] * 11))[1].in_words() == "1.83333 of 2 hours with pairs"
