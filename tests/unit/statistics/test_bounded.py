"""Bounded scores: e-values whose expectation is at most one, and bounds that behave."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_provider.statistics.bounded import BoundedScores

SCORES = st.lists(st.floats(-1, 1), max_size=200)


def scores_of(values: list[float]) -> BoundedScores:
    array = np.array(values)
    return BoundedScores(len(array), float(array.sum()), float((array * array).sum()), -1, 1)


@pytest.mark.parametrize("points", [(-1.0, 1.0), (-0.2, 0.4), (0.0, 0.05)])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_at_the_mean_itself_the_evidence_is_at_most_one_in_expectation(
    points: tuple[float, float], share: float
) -> None:
    mean = share * points[0] + (1 - share) * points[1]
    expected = 0.0
    for drawn in product((0, 1), repeat=10):
        probability = math.prod(share if side == 0 else 1 - share for side in drawn)
        expected += probability * math.exp(scores_of([points[side] for side in drawn]).evidence_below(mean))
    assert expected <= 1 + 1e-9


@given(SCORES, st.integers(0, 200))
def test_grouping_and_order_do_not_matter(values: list[float], cut: int) -> None:
    first, second = scores_of(values[cut:]), scores_of(values[:cut])
    merged = BoundedScores(
        first.count + second.count, first.total + second.total, first.squares + second.squares, -1, 1
    )
    assert merged.evidence_below(0.1) == pytest.approx(scores_of(values).evidence_below(0.1), abs=1e-9)


@given(SCORES)
def test_bounds_hold_the_mean_and_mirror(values: list[float]) -> None:
    scores = scores_of(values)
    lower, upper = scores.bounds(0.01, 0.05)
    assert -1 <= lower <= upper <= 1
    if scores.mean is not None:
        assert lower - 1e-9 <= scores.mean <= upper + 1e-9
    mirrored = scores_of([-value for value in values])
    assert mirrored.bounds(0.05, 0.01) == pytest.approx((-upper, -lower), abs=1e-9)


@given(SCORES.filter(bool), st.data(), st.floats(-0.9, 0.9))
def test_no_score_that_rises_is_evidence_of_a_lower_mean(
    values: list[float], data: st.DataObject, margin: float
) -> None:
    which = data.draw(st.integers(0, len(values) - 1))
    raised = list(values)
    raised[which] = data.draw(st.floats(values[which], 1))
    before, after = scores_of(values), scores_of(raised)
    assert after.evidence_below(margin) <= before.evidence_below(margin) + 1e-9
    assert after.evidence_above(margin) >= before.evidence_above(margin) - 1e-9


def test_a_score_that_rises_to_what_was_expected_is_harm_all_the_same() -> None:
    # A bold bet on few surprises would pay for the surprise's end: it is not made.
    assert scores_of([0.0] * 30).evidence_below(0.9) < scores_of([0.0] * 29 + [-1.0]).evidence_below(0.9)


def test_the_evidence_is_at_most_what_the_best_bet_and_centre_win_and_not_much_less() -> None:
    rng = np.random.default_rng(4)
    values = np.clip(rng.normal(0.0, 0.1, 2000), -1, 1)
    unit, margin = (values + 1) / 2, 0.52
    bets = np.linspace(0.001, 0.66, 4000)
    price = -np.log1p(-bets) - bets
    best = max(
        (bets * (margin - unit).sum() - price * ((unit - centre) ** 2).sum()).max()
        for centre in np.linspace(0.45, 0.55, 21)
    )
    assert best - 5 <= scores_of(list(values)).evidence_below(2 * margin - 1) <= best + 1e-9


def test_scores_that_hardly_vary_are_known_better_than_those_that_do() -> None:
    rng = np.random.default_rng(3)
    widths = []
    for deviation in (0.02, 0.3):
        lower, upper = scores_of(list(np.clip(rng.normal(0, deviation, 5000), -1, 1))).bounds(0.05, 0.05)
        widths.append(upper - lower)
    assert widths[0] < widths[1] / 3


def test_no_scores_say_nothing() -> None:
    assert scores_of([]).bounds(0.05, 0.05) == (-1, 1)
    assert scores_of([]).mean is None


def test_a_range_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="least must be below most"):
        BoundedScores(1, 0, 0, 1, 1)
