"""Values out of answers: whole columns at a time give what one answer at a time gives."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.comparators.kinds.label import read_labels
from shadow_provider.comparators.numbers import read_numbers
from shadow_provider.comparators.spec import Selector, VectorSelector
from shadow_provider.comparators.vectors import read_vectors
from tests.unit.comparators.batches import CSV, DOCUMENTS, HOSTILE, JSON, LINES, batch

CALM = settings(derandomize=True, deadline=None, max_examples=150)
CELLS = st.one_of(
    st.sampled_from(HOSTILE[:30]),
    st.text(alphabet='0123456789.eE+-_ ,"\n\r\tnainf\u0662\u00a0', max_size=12),
    st.floats().map(repr),
    st.integers().map(str),
)
SHAPES = (
    '{"score": %s, "label": "a"}', '{"predictions": [{"score": %s, "id": 7}]}', ' {"a": null, "score" : %s }\n',
    '{"score": 1, "score": %s}', '{"score": "%s"}', '{"score": %s} {}', '[%s]', '{"big": %s, "score": 1}',
)  # fmt: skip
PATHS = (None, "score", "predictions[0].score", "predictions[*].score", "max([score])", "score || big", "[0]")


def one_by_one(texts: list[str], media: str, selector: Selector) -> list[Any]:
    """With a media type that differs within the batch no column can be read as a whole."""
    kinds = [media if place else "text/html" for place in range(len(texts) + 1)]
    read = read_numbers(batch(["x", *texts], kinds), selector)
    return lists(read)[1:]


def lists(read: Any) -> list[Any]:
    edges = zip(read.offsets[:-1], read.offsets[1:], read.readable, strict=True)
    return [read.values[a:b].tolist() if good else None for a, b, good in edges]


@given(texts=st.lists(CELLS, min_size=1, max_size=6), column=st.integers(0, 2))
@CALM
def test_csv_numbers(texts: list[str], column: int) -> None:
    selector = Selector(column=column)
    assert lists(read_numbers(batch(texts), selector)) == one_by_one(texts, CSV, selector)


@given(
    first=st.sampled_from(SHAPES),
    rest=st.lists(st.tuples(st.sampled_from(SHAPES), CELLS), max_size=5),
    path=st.sampled_from(PATHS),
)
@CALM
def test_json_numbers(first: str, rest: list[tuple[str, str]], path: str | None) -> None:
    texts = [first % "0.5", *(shape % cell for shape, cell in rest), *(first % cell for _, cell in rest)]
    selector = Selector(path=path)
    assert lists(read_numbers(batch(texts, JSON), selector)) == one_by_one(texts, JSON, selector)


@given(documents=st.lists(DOCUMENTS, min_size=1, max_size=5), path=st.sampled_from(PATHS))
@CALM
def test_any_json(documents: list[Any], path: str | None) -> None:
    texts = [json.dumps(each) for each in documents]
    selector = Selector(path=path)
    assert lists(read_numbers(batch(texts, JSON), selector)) == one_by_one(texts, JSON, selector)
    words: dict[str, int] = {}
    quick = lists(read_labels(batch(texts, JSON), selector, words))
    mixed = batch(["x", *texts], ["text/html", *[JSON] * len(texts)])
    assert quick == lists(read_labels(mixed, selector, words))[1:]


@given(texts=st.lists(CELLS, min_size=1, max_size=6), column=st.integers(0, 2))
@CALM
def test_csv_labels(texts: list[str], column: int) -> None:
    words: dict[str, int] = {}
    quick = lists(read_labels(batch(texts), Selector(column=column), words))
    mixed = batch(["x", *texts], ["text/html", *[CSV] * len(texts)])
    assert quick == lists(read_labels(mixed, Selector(column=column), words))[1:]


@given(
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=5),
    first=st.integers(0, 1),
    last=st.sampled_from([None, 1, 2]),
)
@CALM
def test_vectors(rows: list[list[str]], first: int, last: int | None) -> None:
    for media, texts, selector in (
        (CSV, [",".join(row) for row in rows], VectorSelector(first_column=first, last_column=last)),
        (JSON, ['{"v": [0.5, 1]}', *(f'{{"v": [{", ".join(row)}]}}' for row in rows)], VectorSelector(path="v")),
    ):
        quick = read_vectors(batch(texts, media), selector, {})
        slow = read_vectors(batch(["x", *texts], ["text/html", *[media] * len(texts)]), selector, {})
        assert quick.readable.tolist() == slow.readable[1:].tolist()
        assert quick.values.tolist() == slow.values.tolist()
        assert quick.offsets.tolist() == slow.offsets.tolist()
        assert (quick.owner + 1).tolist() == slow.owner.tolist()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1.0), ("+1.5", 1.5), (" 2.0 ", 2.0), ("2.0\r\n", 2.0), ("1e3", 1000.0), (".5", 0.5), ("5.", 5.0),
        ("-0", 0.0),
        ("1_000", None), ("١٢", None), ("\uff12", None), ("0x10", None), ("1.5f", None), ("nan", None), ("inf", None),
        ("1e400", None), ("", None), ("1 2", None), ('"3"', 3.0), ("1e-400", 0.0), ("\u00a01", None),
    ],
)  # fmt: skip
def test_what_is_a_number(text: str, number: float | None) -> None:
    assert lists(read_numbers(batch([text]), Selector())) == [None if number is None else [number]]


@pytest.mark.parametrize("other", ["1e999", "-1e400", "9" * 400, "9" * 5000, "01", "1.", "NaN", "+1", "1_0"])
def test_a_shape_does_not_hide_what_makes_json_unreadable(other: str) -> None:
    texts = ['{"score": 0.5, "other": 1}', f'{{"score": 0.5, "other": {other}}}']
    quick = lists(read_numbers(batch(texts, JSON), Selector(path="score")))
    assert quick == one_by_one(texts, JSON, Selector(path="score"))
    assert quick[0] == [0.5]
    assert quick[1] is None or other == "9" * 400


def test_rows_of_every_format() -> None:
    selector = Selector(column=1, path="score")
    texts = ["a,1\nb,2\n", '{"score": 1}\n{"score": 2}\n', '{"score": [1, 2]}']
    assert lists(read_numbers(batch(texts, [CSV, LINES, JSON]), selector)) == [[1, 2]] * 3


def test_causes_are_counted() -> None:
    read = read_numbers(batch(["nan", "1e999", "x", None, "x"]), Selector())
    assert read.causes == {"not a finite number": 2, "no number where one is expected": 2, "not captured": 1}
    assert not read.readable.any()
    assert len(read.values) == 0


def test_a_mixed_batch_keeps_its_order() -> None:
    texts = ["0.5", "1\n2", None, "3", "4\n5\n6"]
    assert lists(read_numbers(batch(texts), Selector())) == [[0.5], [1, 2], None, [3], [4, 5, 6]]
    vectors = read_vectors(batch(["1,2", "3\n4", None, "5,6"]), VectorSelector(), {})
    assert vectors.owner.tolist() == [0, 1, 1, 3]
    assert np.split(vectors.values, vectors.offsets[1:-1])[3].tolist() == [5, 6]
