"""Parts of the traffic: by the hour, and which of them a promotion waits for."""

from datetime import UTC, datetime, timedelta

import pytest

from shadow_provider.policy.gates import Agreement
from shadow_provider.policy.policy import Policy
from shadow_provider.policy.segments import OTHER, AttributeSegment, HourSegment
from shadow_provider.verdict.hours import by_hour
from shadow_provider.verdict.looks import look_at_segments
from shadow_provider.verdict.measures import Blocks, PairedMeasure
from tests.unit.verdict.builders import evidence, with_segments

START = datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("start", [START, START.astimezone(datetime.fromisoformat("2026-01-01T00:00+05:30").tzinfo)])
@pytest.mark.parametrize(
    ("edges", "value", "hours"),
    [
        ((8, 20), "08-20", {10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 8, 9}),
        ((8, 20), "20-08", {20, 21, 22, 23, 0, 1, 2, 3, 4, 5, 6, 7}),
        ((0, 6, 12), "12-00", set(range(12, 24))),
        ((0, 6, 12), "00-06", set(range(6))),
    ],
)
def test_a_part_of_the_day_has_the_blocks_that_begin_in_it(
    start: datetime, edges: tuple[int, ...], value: str, hours: set[int]
) -> None:
    blocks = Blocks(start=start, seconds=1800, count=48)
    counts = tuple(range(1, 49))
    measure = PairedMeasure(worse=counts, better=(0,) * 48, pairs=counts)
    found = by_hour(HourSegment(name="day", edges=edges), blocks, counts, {"disagrees": measure})
    assert len(found) == len(edges)
    part = next(each for each in found if each.value == value)
    inside = [(START + timedelta(seconds=1800 * number)).hour in hours for number in range(48)]
    assert part.pairs == tuple(count * here for count, here in zip(counts, inside, strict=True))
    assert part.measures["disagrees"] == measure.of_blocks(inside)
    assert sum(sum(each.pairs) for each in found) == sum(counts)


def test_pairs_of_no_value_that_was_asked_for_decide_nothing() -> None:
    segment = AttributeSegment(name="tier", key="tier", values=("gold",), declared=True)
    policy = Policy(gates=(Agreement(minimum=0.9),), segments=(segment,))
    whole = with_segments(evidence(blocks=200), policy)
    other = whole.segments[0].model_copy(update={"value": OTHER})
    looks = look_at_segments(policy, whole.model_copy(update={"segments": (*whole.segments, other)}))
    assert {look.segment: look.blocking for look in looks} == {"tier=gold": True, f"tier={OTHER}": False}
