from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.evidence.engine.listing import listed_by_hour
from shadow_provider.evidence.engine.store import FolderStore, S3Store, StateStore
from shadow_provider.evidence.window import hours
from tests.unit.evidence.fakes import BUCKET, FakeS3

START = datetime(2026, 2, 27, 22, 30, tzinfo=UTC)


def filled(count: int) -> FakeS3:
    s3 = FakeS3(page_size=7)
    for hour in hours(START, START + timedelta(hours=count)):
        s3.put(f"a/{hour:%Y/%m/%d/%H}/one.jsonl", b"1")
        s3.put(f"a/{hour:%Y/%m/%d/%H}/two/deep.jsonl", b"1")
        s3.put(f"ab/{hour:%Y/%m/%d/%H}/other.jsonl", b"1")
    return s3


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(0, 80), st.integers(0, 80))
def test_it_lists_what_is_in_the_folder_of_each_hour(first: int, count: int) -> None:
    s3 = filled(90)
    begin, end = START + timedelta(hours=first), START + timedelta(hours=first + count)
    found = list(listed_by_hour(S3Store(s3, BUCKET), "a", begin, end))
    wanted = [
        (hour, each) for hour in hours(begin, end) for each in S3Store(s3, BUCKET).listed(f"a/{hour:%Y/%m/%d/%H}/")
    ]
    assert found == wanted


def test_without_a_prefix_the_years_are_at_the_top() -> None:
    s3 = FakeS3()
    s3.put(f"{START:%Y/%m/%d/%H}/x.jsonl", b"1")
    assert len(list(listed_by_hour(S3Store(s3, BUCKET), "", START, START))) == 1


def test_no_more_pages_are_asked_for_than_have_the_hours() -> None:
    s3 = filled(90)
    found = list(listed_by_hour(S3Store(s3, BUCKET), "a", START + timedelta(hours=40), START + timedelta(hours=49)))
    assert len(found) == 20
    # Twenty keys in pages of seven, and one that lies behind them.
    assert s3.listed == ["a/"] * 3


@pytest.mark.parametrize("store", ["folder", "s3"])
def test_every_store_begins_where_it_is_told_to(store: str, tmp_path: Path) -> None:
    keys = ["a/1/x", "a/1/y", "a/10/x", "a/2", "a/2/x", "b/1"]
    s3 = FakeS3(page_size=2)
    writable: StateStore = FolderStore(tmp_path) if store == "folder" else S3Store(s3, BUCKET)
    for key in keys:
        # A folder has no room for a file of the same name.
        if store == "s3" or key != "a/2":
            writable.write(key, b"1")
    under = [each.key for each in writable.listed("a/")]
    for after in ["", "a/1", "a/1/x", "a/1/xx", "a/10/", "a/2", "a/2/x", "b"]:
        assert [each.key for each in writable.listed("a/", after=after)] == [key for key in under if key > after]


def test_what_lies_beside_the_hours_of_a_day_is_of_no_hour() -> None:
    s3 = FakeS3()
    day = START.replace(day=28, hour=0, minute=0)
    for name in ("x.jsonl", "24/x.jsonl", "7/x.jsonl", "007/x.jsonl", "0a/x.jsonl", "23", "23/x.jsonl", "\uff123/x"):
        s3.put(f"a/2026/02/28/{name}", b"1")
    found = list(listed_by_hour(S3Store(s3, BUCKET), "a", day, day + timedelta(hours=23)))
    assert [(hour.hour, each.key) for hour, each in found] == [(23, "a/2026/02/28/23/x.jsonl")]
