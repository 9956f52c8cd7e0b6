"""Answers against the truth, against scikit-learn."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    mean_absolute_error,
    ndcg_score,
    roc_auc_score,
    root_mean_squared_error,
)

from shadow_provider.comparators.spec_reading import ComparatorError
from shadow_provider.comparators.truth import kept_truth_summary, truth_comparator
from tests.unit.comparators.batches import ANSWERS, as_json, batch, values

CALM = settings(derandomize=True, deadline=None, max_examples=60)
RNG = np.random.default_rng(7)
SPECS: dict[str, dict[str, Any]] = {
    "class": {"kind": "class"},
    "score": {"kind": "score"},
    "probabilities": {"kind": "probabilities", "classes": ["0", "1"]},
    "number": {"kind": "number", "most_error": 5},
    "ranking": {"kind": "ranking", "k": 2},
}
EVERY = pytest.mark.parametrize("kind", SPECS)


def held(spec: dict[str, Any], production: Any, shadow: Any, truth: Any) -> Any:
    return truth_comparator(spec).compare(
        *(batch([_text(each) for each in side]) for side in (production, shadow, truth))
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) or value is None else repr(value.item() if hasattr(value, "item") else value)


def test_classes() -> None:
    y = RNG.integers(0, 4, 2000)
    p, s = (np.where(RNG.random(2000) < right, y, RNG.integers(0, 5, 2000)) for right in (0.8, 0.7))
    result = held({"kind": "class"}, p, s, y)
    np.testing.assert_array_equal(result.values["wrong"], (s != y).astype(int) - (p != y).astype(int))
    said = result.summary.to_json()
    for side, predicted in (("production", p), ("candidate", s)):
        assert said[side]["accuracy"] == pytest.approx(accuracy_score(y, predicted))
        assert said[side]["f1_macro"] == pytest.approx(f1_score(y, predicted, average="macro"))
        assert said[side]["f1_weighted"] == pytest.approx(f1_score(y, predicted, average="weighted"))
    assert said["coverage"] == 1


def test_what_is_unreadable_is_wrong_and_what_has_no_truth_is_no_figure() -> None:
    result = held({"kind": "class"}, ["a", "nan", "a", "a", "nan", "a\nb"], ["nan", "a", "a", "a", "nan", "a"],
                  ["a", "a", None, "nan", "a", "a\nb"])  # fmt: skip
    assert values(result, "wrong") == [1, -1, None, None, None, 1]
    assert result.summary.to_json()["truth"] == {"no_truth": 1, "unreadable_truth": 1, "unusable": 4}


def test_scores() -> None:
    y = RNG.random(4000) < 0.3
    base = RNG.normal(0, 1, 4000) + 1.5 * y
    p, s = (expit(base + RNG.normal(0, noise, 4000) - 1) for noise in (0.5, 1.0))
    result = held({"kind": "score"}, p, s, y.astype(int))
    said = result.summary.to_json()
    for side, score in (("production", p), ("candidate", s)):
        assert said[side]["brier"] == pytest.approx(brier_score_loss(y, score), rel=1e-12)
        assert said[side]["log_loss"] == pytest.approx(log_loss(y, score), rel=1e-12)
        exact = roc_auc_score(y, score)
        at = ("production", "candidate").index(side)
        assert abs(said["auc"][side] - exact) <= said["auc"]["resolution"][at] < 0.02
        assert abs(said["auc"][side] - exact) < 0.001
    np.testing.assert_allclose(result.values["brier_loss"], (s - y) ** 2 - (p - y) ** 2, atol=1e-12)
    difference, error = delong(p, s, y)
    assert said["auc"]["difference"] == pytest.approx(difference, abs=0.001)
    low, high = said["auc"]["interval_95"]
    assert (high - low) / 2 / 1.96 == pytest.approx(error, rel=0.01)


def test_tied_scores_count_half_and_the_area_is_exact_where_no_bin_is_shared() -> None:
    y = RNG.random(300) < 0.4
    p, s = (np.where(RNG.random(300) < 0.6, 0.2 + 0.5 * y, RNG.choice([0.2, 0.5, 0.7], 300)) for _ in range(2))
    said = held({"kind": "score"}, p, s, y.astype(int)).summary.to_json()["auc"]
    difference, error = delong(p, s, y)
    assert said["difference"] == pytest.approx(difference, abs=1e-12)
    assert said["production"] == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    reach = (said["interval_95"][1] - said["interval_95"][0]) / 2
    assert reach / 1.959963984540054 == pytest.approx(error, rel=1e-9)


def delong(p: Any, s: Any, y: Any) -> tuple[float, float]:
    """As the paper writes it, over all pairs of a positive and a negative."""
    components = []
    for score in (p, s):
        wins = (score[y][:, None] > score[~y][None, :]) + 0.5 * (score[y][:, None] == score[~y][None, :])
        components.append((wins.mean(axis=1), wins.mean(axis=0)))
    positive, negative = (components[1][side] - components[0][side] for side in (0, 1))
    return positive.mean(), np.sqrt(positive.var(ddof=1) / len(positive) + negative.var(ddof=1) / len(negative))


def test_log_losses_are_clipped() -> None:
    result = held({"kind": "score", "clip": 1e-3}, ["1", "0", "1.5"], ["0", "1", "0.5"], ["1", "yes", "1"])
    limit = -np.log(1e-3)
    assert values(result, "log_loss") == pytest.approx([limit + np.log(1 - 1e-3)] * 2 + [None], nan_ok=True)
    assert result.summary.to_json()["unreadable_by_cause"] == {"production: no probability": 1}


def test_probabilities() -> None:
    y = RNG.integers(0, 3, 500)
    p, s = RNG.dirichlet([1] * 3, 500), RNG.dirichlet([1] * 3, 500)
    left, right = ([",".join(map(repr, row.tolist())) for row in each] for each in (p, s))
    result = held({"kind": "probabilities"}, left, right, y)
    said = result.summary.to_json()
    for side, each in (("production", p), ("candidate", s)):
        assert said[side]["log_loss"] == pytest.approx(log_loss(y, each), rel=1e-9)
        assert said[side]["brier"] == pytest.approx(((each - np.eye(3)[y]) ** 2).sum(axis=1).mean(), rel=1e-9)
    names = [["cat", "dog", "eel"][each] for each in y]
    named = held({"kind": "probabilities", "classes": ["cat", "dog", "eel"]}, left, right, names)
    np.testing.assert_allclose(named.values["log_loss"], result.values["log_loss"])
    one, other = (
        as_json([dict(zip(("eel", "dog", "cat"), row[::-1].tolist(), strict=True)) for row in each]) for each in (p, s)
    )
    by_name = truth_comparator({"kind": "probabilities"}).compare(one, other, batch(names))
    np.testing.assert_allclose(by_name.values["brier_loss"], result.values["brier_loss"], atol=1e-12)


def test_a_class_that_is_not_listed_cannot_be_held_against_the_answer() -> None:
    result = held({"kind": "probabilities"}, ["0.5,0.5"] * 3, ["0.5,0.5"] * 3, ["2", "x", "1"])
    assert values(result, "brier_loss") == [None, None, 0]
    assert result.summary.to_json()["truth"] == {"unusable": 2, "used": 1}


def test_numbers() -> None:
    y, p, s = (RNG.normal(0, 1, 1000) for _ in range(3))
    result = held({"kind": "number"}, p, s, y)
    said = result.summary.to_json()
    for side, each in (("production", p), ("candidate", s)):
        assert said[side]["rmse"] == pytest.approx(root_mean_squared_error(y, each), rel=1e-12)
        assert said[side]["mae"] == pytest.approx(mean_absolute_error(y, each), rel=1e-12)
    np.testing.assert_allclose(result.values["absolute_error"], np.abs(s - y) - np.abs(p - y))
    bounded = truth_comparator({"kind": "number", "most_error": 2})
    assert [outcome.most for outcome in bounded.outcomes] == [2, 4]
    assert values(held({"kind": "number", "most_error": 2}, ["0"], ["9"], ["0"]), "squared_error") == [4]


def test_rankings() -> None:
    relevance = RNG.integers(0, 4, 8).astype(float)
    items = [f"i{place}" for place in range(8)]
    order = [RNG.permutation(8) for _ in range(2)]
    one, other = (as_json([[items[place] for place in each]]) for each in order)
    true = as_json([dict(zip(items, relevance, strict=True))])
    result = truth_comparator({"kind": "ranking", "k": 5}).compare(one, other, true)
    exact = [ndcg_score([relevance], [-np.argsort(each).astype(float)], k=5) for each in order]
    assert values(result, "ndcg_loss") == pytest.approx([exact[0] - exact[1]])
    plain = held({"kind": "ranking", "k": 2}, ["a,b,c", "a,b"], ["c,a,b", "x,y"], ["a", "a,b"])
    assert values(plain, "ndcg_loss") == pytest.approx([1 - 1 / np.log2(3), 1])


@EVERY
@given(rows=st.lists(st.tuples(ANSWERS, ANSWERS, ANSWERS), min_size=1, max_size=6), cut=st.integers(0, 6))
@CALM
def test_no_payload_raises_and_parts_merge_to_the_whole(kind: str, rows: Any, cut: int) -> None:
    judge = truth_comparator(SPECS[kind])

    def compare(part: Any, order: tuple[int, ...] = (0, 1, 2)) -> Any:
        return judge.compare(*(batch([row[at][0] for row in part], [row[at][1] for row in part]) for at in order))

    whole = compare(rows)
    for outcome in judge.outcomes:
        known = whole.values[outcome.name]
        known = known[~np.isnan(known)]
        assert ((known >= outcome.least) & (known <= outcome.most)).all()
    parts = [compare(rows[a:b]) for a, b in pairwise((0, min(cut, len(rows)), len(rows)))]
    assert parts[1].summary.merge(parts[0].summary) == whole.summary
    said = whole.summary.to_json()
    assert sum(said["truth"].values()) == len(rows)
    back = kept_truth_summary(kind, json.loads(json.dumps(whole.summary.to_state(), allow_nan=False)))
    assert back == whole.summary
    mirrored, same = compare(rows, (1, 0, 2)), compare(rows, (0, 0, 2))
    for name in whole.values:
        np.testing.assert_allclose(whole.values[name], -mirrored.values[name], atol=1e-12)
        assert np.isin(same.values[name][~np.isnan(same.values[name])], 0).all()


def test_without_both_classes_there_is_no_area() -> None:
    assert "auc" not in held({"kind": "score"}, ["0.1"], ["0.2"], ["1"]).summary.to_json()


def test_errors_name_the_field() -> None:
    with pytest.raises(ComparatorError, match=r"^truth: clip = 0\.5: Input should be less than 0\.01$"):
        truth_comparator({"kind": "score", "clip": 0.5})
