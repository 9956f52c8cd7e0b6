"""What two comparators read out of the same answers is read once, and never for other answers."""

from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from shadow_provider.comparators.build import comparator
from shadow_provider.comparators.kinds import label
from shadow_provider.comparators.shared_reading import read_once, shared_reading
from shadow_provider.comparators.spec import Selector
from shadow_provider.comparators.truth import truth_comparator

TEXTS = pa.array(["a", "b", "a", "c"], pa.large_string())


def reads(*texts: pa.Array, what: str = "x") -> int:
    """How often something is read."""
    made: list[list[str]] = []

    def read(each: pa.Array) -> list[str]:
        made.append(each.to_pylist())
        return made[-1]

    for each in texts:
        assert read_once(each, what, partial(read, each)) == each.to_pylist()
    return len(made)


def test_the_same_texts_are_read_once() -> None:
    with shared_reading():
        assert reads(TEXTS, TEXTS, TEXTS.slice(0)) == 1
        assert reads(TEXTS) == 0
        assert reads(TEXTS, what="y") == 1


def test_other_texts_are_read_anew() -> None:
    with shared_reading():
        assert reads(TEXTS, TEXTS.slice(0, 2), TEXTS.slice(2), pa.array(["a", "b", "a", "c"], pa.large_string())) == 4


def test_nothing_is_kept_outside() -> None:
    assert reads(TEXTS, TEXTS) == 2
    with shared_reading():
        assert reads(TEXTS) == 1
    with shared_reading():
        assert reads(TEXTS) == 1


def test_memory_that_was_given_back_is_not_taken_for_the_same_texts() -> None:
    def text(number: int) -> pa.Array:
        # The next one would get the memory of the last one.
        memory = [np.array([0, 1000]), np.full(1000, 65 + number, dtype=np.uint8)]
        return pa.Array.from_buffers(pa.large_string(), 1, [None, *(pa.py_buffer(each) for each in memory)])

    with shared_reading():
        for number in range(50):
            assert reads(text(number)) == 1


def batch(*texts: str) -> pa.RecordBatch:
    return pa.record_batch(
        [pa.array(texts, pa.large_string()), pa.array(["text/csv"] * len(texts))], names=["text", "media"]
    )


@pytest.mark.parametrize("ignore_case", [False, True])
def test_two_comparators_share_what_they_read_and_find_what_each_finds_alone(
    ignore_case: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    production, shadow, truth = batch("A", "b", "c", "c"), batch("a", "b", "c", "b"), batch("a", "b", "b", "c")
    read = []
    encoded = label._encoded

    def counted(text: pa.Array, kind: str | None, selector: Selector) -> pa.DictionaryArray | None:
        read.append(text)
        return encoded(text, kind, selector)

    monkeypatch.setattr(label, "_encoded", counted)
    compare = comparator({"kind": "label", "ignore_case": ignore_case}).compare
    grade = truth_comparator({"kind": "class"}).compare
    alone = compare(production, shadow), grade(production, shadow, truth)
    assert len(read) == 5
    with shared_reading():
        together = compare(production, shadow), grade(production, shadow, truth)
    assert len(read) == 8
    for one, other in zip(alone, together, strict=True):
        assert one.summary == other.summary
        assert {name: values.tolist() for name, values in one.values.items()} == {
            name: values.tolist() for name, values in other.values.items()
        }
