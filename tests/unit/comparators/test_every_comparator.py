"""What holds of all comparators, whatever the payload."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.comparators.build import comparator, kept_summary
from shadow_provider.comparators.contract import Comparator
from tests.unit.comparators.batches import CSV, HOSTILE, JSON, LINES, PAIRS, PLAIN, SPECS, batch, sides

CALM = settings(derandomize=True, deadline=None, max_examples=60)
EVERY = pytest.mark.parametrize("kind", SPECS)
# Whether two answers differ is the same from both ends.
DISTANCES = {"disagrees", "outside_tolerance", "argmax_disagrees", "top_k_differs", "differs", "dimension_mismatch"}
OWN_HARM = {"empty", "refuses", "invalid"}


def made(kind: str) -> Comparator:
    return comparator(SPECS[kind])


@EVERY
@given(pairs=PAIRS)
@CALM
def test_no_payload_raises_and_every_figure_is_within_its_bounds(kind: str, pairs: Any) -> None:
    judge = made(kind)
    production, shadow = sides(pairs)
    result = judge.compare(production, shadow)
    both = result.readable[0] & result.readable[1]
    assert {*result.values} == {outcome.name for outcome in judge.outcomes}
    for outcome in judge.outcomes:
        figures = result.values[outcome.name]
        assert figures.shape == (len(pairs),)
        known = figures[~np.isnan(figures)]
        assert ((known >= outcome.least) & (known <= outcome.most) & np.isfinite(known)).all()
        if outcome.kind == "binary":
            assert np.isin(known, (-1, 0, 1)).all()
            # Both may do a harm of their own: one is unreadable and the other invalid.
            neither = (0,) if outcome.name in OWN_HARM else ()
            assert np.isin(figures[result.readable[0] & ~result.readable[1]], (1, *neither)).all()
            other_way = 1 if outcome.name in DISTANCES else -1
            assert np.isin(figures[~result.readable[0] & result.readable[1]], (other_way, *neither)).all()
            assert np.isnan(figures[~result.readable[0] & ~result.readable[1]]).all()
            assert not np.isnan(figures[both]).any()
        elif kind != "label with score":
            assert np.isnan(figures[~both]).all()
    json.dumps(result.summary.to_json(), allow_nan=False).encode()


@EVERY
@given(pairs=PAIRS)
@CALM
def test_swapping_the_variants_mirrors_the_sided_outcomes_and_keeps_the_distances(kind: str, pairs: Any) -> None:
    judge = made(kind)
    production, shadow = sides(pairs)
    there, back = judge.compare(production, shadow), judge.compare(shadow, production)
    both = there.readable[0] & there.readable[1]
    assert (there.readable[0] == back.readable[1]).all()
    for outcome in judge.outcomes:
        one, other = there.values[outcome.name], back.values[outcome.name]
        if outcome.kind == "binary" and outcome.name not in DISTANCES:
            np.testing.assert_array_equal(one[~both], -other[~both])
        if outcome.name in DISTANCES:
            np.testing.assert_array_equal(one, other)
        elif outcome.name in OWN_HARM:
            np.testing.assert_array_equal(one[both], -other[both])
        elif outcome.kind == "score" and outcome.name != "chrf_distance":
            np.testing.assert_allclose(one, other, atol=1e-12)


@EVERY
@given(pairs=PAIRS, data=st.data())
@CALM
def test_summaries_merge_to_that_of_the_whole_in_any_order_and_grouping(
    kind: str, pairs: Any, data: st.DataObject
) -> None:
    judge = made(kind)
    whole = judge.compare(*sides(pairs)).summary
    order = data.draw(st.permutations(range(len(pairs))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(pairs)), max_size=3)))
    groups = [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(pairs)], strict=True)]
    parts = [judge.compare(*sides([pairs[place] for place in group])).summary for group in groups]
    while len(parts) > 1:
        one = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
        other = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
        parts.append(one.merge(other))
    assert parts[0] == whole
    assert json.dumps(parts[0].to_json()) == json.dumps(whole.to_json())


@EVERY
@given(pairs=PAIRS)
@CALM
def test_identical_answers_do_no_harm_and_have_no_distance(kind: str, pairs: Any) -> None:
    judge = made(kind)
    same, _ = sides(pairs)
    result = judge.compare(same, same)
    for figures in result.values.values():
        known = figures[~np.isnan(figures)]
        assert (known == 0).all()


@EVERY
@given(pairs=PAIRS)
@CALM
def test_a_figure_does_not_depend_on_the_rest_of_the_batch(kind: str, pairs: Any) -> None:
    judge = made(kind)
    together = judge.compare(*sides(pairs))
    for place, pair in enumerate(pairs):
        alone = judge.compare(*sides([pair]))
        for side in (0, 1):
            assert together.readable[side][place] == alone.readable[side][0]
        for name, figures in together.values.items():
            np.testing.assert_allclose(figures[place], alone.values[name][0], atol=1e-12)


@EVERY
@given(pairs=PAIRS)
@CALM
def test_a_kept_summary_comes_back_as_it_was(kind: str, pairs: Any) -> None:
    summary: Any = made(kind).compare(*sides(pairs)).summary
    state = json.loads(json.dumps(summary.to_state(), allow_nan=False))
    back: Any = kept_summary(SPECS[kind]["kind"], state)
    assert back == summary
    assert back.merge(summary).to_json() == summary.merge(summary).to_json()


@EVERY
@pytest.mark.parametrize("media", [CSV, JSON, LINES, PLAIN])
def test_hostile_answers_are_told_apart_from_good_ones(kind: str, media: str) -> None:
    judge = made(kind)
    result = judge.compare(batch(HOSTILE, media), batch(list(reversed(HOSTILE)), media))
    figures: dict[str, Any] = result.summary.to_json()
    unreadable = sum(int((~side).sum()) for side in result.readable)
    assert sum(figures["unreadable_by_cause"].values()) == unreadable
    assert figures["pairs"] == len(HOSTILE)


@EVERY
def test_an_empty_batch_is_the_neutral_summary(kind: str) -> None:
    judge = made(kind)
    empty = judge.compare(batch([]), batch([]))
    some = judge.compare(batch(["1", "0.3,0.7"]), batch(["1", None]))
    assert empty.summary.merge(some.summary) == some.summary
    assert all(len(figures) == 0 for figures in empty.values.values())


@EVERY
@pytest.mark.parametrize("media", [CSV, JSON])
def test_an_answer_of_six_megabytes_is_read_or_refused(kind: str, media: str) -> None:
    fields = '"score": 1, "predictions": [{"score": 1}], "embedding": [1], "items": ["x"]'
    longest = f'{{"label": "{"x" * 6_000_000}", {fields}}}'
    for text in ("7" * 6_000_000, longest, "[" + "1," * 300_000 + "1]", "1\n" * 50_000):
        result = made(kind).compare(batch([text, "1"], media), batch(["1", text], media))
        assert len(json.dumps(result.summary.to_json())) < 20_000
