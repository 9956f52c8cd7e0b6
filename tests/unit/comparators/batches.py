"""Batches of answers, and answers of every kind of badness."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from shadow_provider.comparators.build import comparator
from shadow_provider.comparators.contract import Comparison

CSV, JSON, LINES, PLAIN = "text/csv", "application/json", "application/jsonlines", "text/plain"

SPECS: dict[str, dict[str, Any]] = {
    "label": {"kind": "label"},
    "label with score": {"kind": "label", "selector": {"path": "label"}, "score": {"path": "score"}},
    "label of a column": {"kind": "label", "selector": {"column": 1}},
    "number": {"kind": "number", "absolute_tolerance": 0.1, "most_difference": 5},
    "number at a path": {"kind": "number", "selector": {"path": "predictions[0].score"}, "relative_tolerance": 0.1},
    "probabilities": {"kind": "probabilities"},
    "ranking": {"kind": "ranking", "k": 2},
    "text": {"kind": "text", "refusals": ["I cannot"]},
    "embedding": {"kind": "embedding", "selector": {"path": "embedding"}},
    "json": {
        "kind": "json",
        "rules": [{"path": "**.score", "absolute_tolerance": 0.1}, {"path": "t", "any_order": True}],
    },
}  # fmt: skip


def batch(texts: Sequence[str | None], media: str | Sequence[str | None] = CSV) -> pa.RecordBatch:
    kinds = [media] * len(texts) if isinstance(media, str) else list(media)
    return pa.record_batch({"text": pa.array(texts, pa.large_string()), "media": pa.array(kinds, pa.string())})


def as_json(values: Sequence[Any]) -> pa.RecordBatch:
    return batch([json.dumps(value) for value in values], JSON)


def compared(spec: dict[str, Any], production: Sequence[Any], shadow: Sequence[Any], media: str = CSV) -> Comparison:
    return comparator(spec).compare(batch(production, media), batch(shadow, media))


def values(comparison: Comparison, name: str) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in comparison.values[name]]


HOSTILE = (
    "", " ", "\n", ",", ",,,", '"', '"a', "a,b\n1", "nan", "NaN", "-inf", "Infinity", "1e400", "-1e400", "1e-400",
    "1_000", " 2.0 ", "١٢", "2", "0x10", "1.5f", "+5", "-0", "0.1,nan", "null", "true", "[]", "{}", "[[]]",
    '{"label": null}',
    '{"score": NaN}', '{"score": 1e400}', '{"a": 1, "a": 2}', '{"label": 1}{"label": 2}', '[1, "a", null]', "\x00",
    '"\\ud800"', '{"label": "\\ud800", "score": 1}', "\ufeff1", "\u2028", "[" * 100_000, '{"a":' * 5_000,
    "[" * 300 + "]" * 300, '{"predictions": [{"score": "1"}]}', '{"predictions": 5}', '{"embedding": [0, 0]}',
    '{"embedding": [1e308, 1e308]}', '{"embedding": [1, true]}', "9" * 5_000, "0." + "0" * 5_000 + "1", "<script>",
    '{"label": {"x": 1}, "score": []}', '{"predictions": [{"score": 1e308}]}', '{"predictions": [{"score": -1e308}]}',
)  # fmt: skip

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(allow_nan=False, width=32), st.text(max_size=3)
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["label", "score", "predictions", "embedding", "items", "t", "text"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
NUMBERS = st.one_of(st.integers(-2, 2).map(str), st.floats(-10, 10).map(repr))
ANSWERS = st.one_of(
    st.tuples(st.sampled_from(HOSTILE), st.sampled_from([CSV, JSON, LINES, PLAIN, None])),
    st.tuples(DOCUMENTS.map(json.dumps), st.sampled_from([JSON, LINES])),
    st.tuples(st.lists(NUMBERS, min_size=1, max_size=3).map(",".join), st.just(CSV)),
    st.tuples(st.text(max_size=8), st.sampled_from([CSV, JSON, LINES, PLAIN, None])),
    st.tuples(st.none(), st.just(CSV)),
)
PAIRS = st.lists(st.tuples(ANSWERS, ANSWERS), min_size=1, max_size=8)


def sides(pairs: Sequence[Any]) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    left, right = ([pair[side] for pair in pairs] for side in (0, 1))
    return tuple(batch([text for text, _ in side], [media for _, media in side]) for side in (left, right))
