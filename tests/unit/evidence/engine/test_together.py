"""Objects are read in runs, as their sizes suggest."""

from threading import Barrier, Lock

import duckdb
import pytest

from shadow_provider.evidence.engine import together
from shadow_provider.evidence.engine.store import S3Store, StoredObject
from shadow_provider.evidence.engine.together import Lines, Together
from shadow_provider.evidence.engine.uniform import Shapes
from tests.unit.evidence.fakes import BUCKET, FakeS3, capture, line

GOOD = line(capture("a")) + b"\n"


class Seen:
    """Keeps the numbers of the objects and how many lines each has, by what they were taken as."""

    def __init__(self, objects: int) -> None:
        self.objects = objects
        self.taken: list[tuple[str, int, int]] = []

    def take(self, lines: Lines, cursor: duckdb.DuckDBPyConnection) -> None:
        self.taken += [("shape", *each) for each in zip(lines.objects.tolist(), lines.counts.tolist(), strict=True)]

    def take_other(self, number: int, first_line: int, content: bytes) -> None:
        self.taken.append(("other", number, content.count(b"\n")))

    def take_oversize(self, number: int, line: int) -> None:
        raise AssertionError("no line is so long")


def runs(contents: list[bytes], run_bytes: int, *, known: bool = True, taker: type[Seen] = Seen) -> list[Seen]:
    s3 = FakeS3()
    s3.objects = {f"{number}": content for number, content in enumerate(contents)}
    objects = [StoredObject(key, "", len(content) if known else 0) for key, content in s3.objects.items()]
    reader = Together(S3Store(s3, BUCKET), Shapes(), run_bytes, taker)
    with duckdb.connect() as connection:
        return list(reader.read(connection, objects))


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("run_bytes", [1, 3 * len(GOOD), 1 << 20])
def test_every_object_is_taken_once_and_in_order(run_bytes: int, known: bool) -> None:
    contents = [GOOD * (number % 4) if number != 7 else GOOD + b"oops\n" for number in range(20)]
    found = runs(contents, run_bytes, known=known)
    assert sum(each.objects for each in found) == 20
    wanted = [("shape", number, number % 4) for number in range(20) if number % 4]
    wanted[wanted.index(("shape", 7, 3))] = ("other", 7, 2)
    assert [taken for each in found for taken in each.taken] == wanted


def test_runs_have_the_size_that_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [each.objects for each in runs([GOOD] * 7, 3 * len(GOOD))] == [3, 3, 1]
    assert [each.objects for each in runs([GOOD, GOOD * 9, GOOD, GOOD], 3 * len(GOOD))] == [1, 1, 2]
    assert [each.objects for each in runs([GOOD] * 3, 1)] == [1, 1, 1]
    monkeypatch.setattr(together, "_MOST_OBJECTS", 2)
    assert [each.objects for each in runs([GOOD] * 5, 1 << 20)] == [2, 2, 1]
    assert runs([], 1) == []


def test_an_error_of_the_store_comes_out() -> None:
    reader = Together(S3Store(FakeS3(), BUCKET), Shapes(), 1 << 20, Seen)
    with duckdb.connect() as connection, pytest.raises(KeyError):
        list(reader.read(connection, [StoredObject("gone", "")]))


def test_no_more_threads_look_into_objects_than_there_are_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "_AT_ONCE", 2)
    now, most, meeting = [0], [0], Barrier(2, timeout=10)
    lock = Lock()

    class Busy(Seen):
        def take(self, lines: Lines, cursor: duckdb.DuckDBPyConnection) -> None:
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            # Two are let in; a third one would be counted while they wait for each other.
            meeting.wait()
            with lock:
                now[0] -= 1

    assert len(runs([GOOD] * 20, 1, taker=Busy)) == 20
    assert most[0] == 2
