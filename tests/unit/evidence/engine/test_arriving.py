"""Objects are read together or in pieces, as their sizes are; what they say is the same."""

from datetime import timedelta

import pytest

from shadow_provider.evidence.engine import parts, together
from shadow_provider.evidence.engine.model import Result, Settings, Wanted
from shadow_provider.policy.examples import Examples
from tests.unit.evidence.engine.answers import look
from tests.unit.evidence.fakes import PRODUCTION, SHADOW, START, FakeS3, capture, capture_key, line

OBJECTS, LINES = 6, 20


def served(*, odd: int | None) -> FakeS3:
    """Objects of some kilobytes, of which one has a line that is none; every other one ends without a line feed."""
    s3 = FakeS3(page_size=100)
    for side, variant in enumerate((PRODUCTION, SHADOW)):
        for number in range(OBJECTS):
            lines = [
                line(
                    capture(
                        f"{number}-{row}",
                        answer=f"{row * (1 + side * (number == 3))}",
                        time=START + timedelta(minutes=number),
                    )
                )
                for row in range(LINES)
            ]
            if number == odd:
                lines[7] = b"oops"
            s3.put(capture_key(variant, name=f"{number}"), *lines, end=b"\n" if number % 2 else b"")
        s3.put(capture_key(variant, name="empty"), end=b"")
    return s3


def found(s3: FakeS3) -> Result:
    return look(s3, settings=Settings(memory_mb=256, threads=1), wanted=Wanted(examples=Examples(count=9)))


@pytest.mark.parametrize("odd", [None, 2])
@pytest.mark.parametrize(("buffer", "part"), [(1 << 20, 1 << 20), (20_000, 20_000), (3_000, 2_000)])
def test_sizes_change_nothing(buffer: int, part: int, odd: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "_LARGEST", buffer)
    monkeypatch.setattr(parts, "PART_BYTES", part)
    result = found(served(odd=odd))
    good = OBJECTS * LINES - (odd is not None)
    assert result.fates["production"] == {"paired": good} | ({} if odd is None else {"not_json": 1})
    assert result.lines == dict.fromkeys(("production", "shadow"), OBJECTS * LINES)
    assert len(result.objects) == 2 * (OBJECTS + 1)
    worst = [(each.production_place, each.shadow_place) for each in result.examples]
    assert worst == [
        tuple(f"{capture_key(variant, name='3')}:{row + 1}" for variant in (PRODUCTION, SHADOW))
        for row in range(10, 19)
    ]


def test_a_line_beyond_all_bounds_is_counted_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "_LARGEST", 3_000)
    monkeypatch.setattr(parts, "PART_BYTES", 2_000)
    monkeypatch.setattr(parts, "LONGEST_LINE", 5_000)
    s3 = served(odd=None)
    key = capture_key(PRODUCTION, name="5")
    s3.objects[key] += b"x" * 9_000 + b"\n" + line(capture("more")) + b"\n"
    s3.objects[capture_key(SHADOW, name="5")] += line(capture("more")) + b"\n"
    result = found(s3)
    assert result.fates["production"] == {"paired": OBJECTS * LINES + 1, "oversize": 1}
    assert result.places["production"]["oversize"] == (f"{key}:{LINES + 1}",)
    assert result.lines["production"] == OBJECTS * LINES + 2
