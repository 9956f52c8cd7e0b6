"""Betting on counts: exact expectations by enumeration, and the properties that a verdict leans on."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr
from scipy.stats import multinomial

from shadow_provider.statistics import betting
from shadow_provider.statistics.betting import (
    pairs_bounds,
    pairs_evidence_above,
    pairs_evidence_below,
    proportion_bounds,
)
from shadow_provider.statistics.paired import tango_interval
from shadow_provider.statistics.proportion import clopper_pearson

MARGINS = st.floats(-0.5, 0.5)


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int, int]:
    pairs = draw(st.integers(0, 5000))
    worse = draw(st.integers(0, pairs))
    return worse, draw(st.integers(0, pairs - worse)), pairs


@pytest.mark.parametrize("margin", [-0.2, 0.0, 0.01, 0.3])
@pytest.mark.parametrize("better", [0.2, 0.25, 0.3])
@pytest.mark.parametrize("beyond", [0.0, 0.1])
def test_the_wealth_does_not_grow_on_average_while_the_margin_is_not_kept(
    margin: float, better: float, beyond: float
) -> None:
    worse = better + margin + beyond
    pairs = 12
    law = multinomial(pairs, [worse, better, 1 - worse - better])
    expected = sum(
        law.pmf([b, c, pairs - b - c]) * math.exp(pairs_evidence_below(margin, b, c, pairs))
        for b, c in product(range(pairs + 1), repeat=2)
        if b + c <= pairs
    )
    assert expected <= 1 + 1e-12
    if beyond == 0:
        assert expected == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("errors", "trials"), [(0, 50), (0, 3000), (3, 400), (40, 1000), (200, 40_000)])
@pytest.mark.parametrize("margin", [0.01, 0.05, 0.2])
def test_the_crowd_wins_nearly_as_much_as_who_knew_the_best_bet(errors: int, trials: int, margin: float) -> None:
    """With hindsight, a bet on a plain rate wins trials x the Kullback-Leibler divergence, and none wins more."""
    rate = errors / trials
    divergence = float(rel_entr(rate, margin) + rel_entr(1 - rate, 1 - margin))
    best = trials * divergence if rate < margin else 0.0
    found = pairs_evidence_below(margin, errors, 0, trials)
    # Not to know the bet costs the logarithm of a gambler's share, and that the next one's bet is not quite the best.
    assert best * 0.94 - 4.5 <= found <= best + 1e-9


def test_the_wealth_is_won_pair_by_pair_in_whatever_order() -> None:
    rng = np.random.default_rng(1)
    scores = rng.permutation(np.repeat([1, -1, 0], [7, 4, 200]))
    margin = 0.05
    for order in (scores, scores[::-1]):
        wealth = betting._FUNDS.copy()
        for score in order:
            wealth *= 1 + betting._BOLDNESS / (1 - margin) * (margin - score)
        assert pairs_evidence_below(margin, 7, 4, 211) == pytest.approx(math.log(wealth.sum()), rel=1e-12)


@given(counts(), MARGINS)
def test_swapping_the_variants_mirrors_the_evidence(found: tuple[int, int, int], margin: float) -> None:
    worse, better, pairs = found
    assert pairs_evidence_above(margin, worse, better, pairs) == pairs_evidence_below(-margin, better, worse, pairs)


@given(counts(), MARGINS)
def test_more_harm_never_is_evidence_of_less(found: tuple[int, int, int], margin: float) -> None:
    worse, better, pairs = found
    before = pairs_evidence_below(margin, worse, better, pairs)
    if better:
        assert pairs_evidence_below(margin, worse, better - 1, pairs) <= before + 1e-9
        assert pairs_evidence_below(margin, worse + 1, better - 1, pairs) <= before + 1e-9
    if worse + better < pairs:
        assert pairs_evidence_below(margin, worse + 1, better, pairs) <= before + 1e-9


@given(counts(), MARGINS, st.floats(0, 0.4))
def test_a_wider_margin_is_easier_to_keep(found: tuple[int, int, int], margin: float, more: float) -> None:
    worse, better, pairs = found
    assert (
        pairs_evidence_below(margin, worse, better, pairs)
        <= pairs_evidence_below(margin + more, worse, better, pairs) + 1e-9
    )


@given(counts(), st.sampled_from([0.001, 0.01, 0.05]))
def test_bounds_are_where_the_evidence_turns(found: tuple[int, int, int], alpha: float) -> None:
    worse, better, pairs = found
    lower, upper = pairs_bounds(worse, better, pairs, alpha, alpha)
    assert -1 <= lower <= upper <= 1
    needed = -math.log(alpha)
    if upper < 1:
        assert pairs_evidence_below(upper, worse, better, pairs) == pytest.approx(needed, abs=1e-4)
    if lower > -1:
        assert pairs_evidence_above(lower, worse, better, pairs) == pytest.approx(needed, abs=1e-4)
    if pairs:
        assert lower <= (worse - better) / pairs <= upper


@given(counts().filter(lambda found: found[2] > 0))
def test_looking_at_will_costs_width_but_not_everything(found: tuple[int, int, int]) -> None:
    worse, better, pairs = found
    lower, upper = pairs_bounds(worse, better, pairs, 0.05, 0.05)
    fixed_lower, fixed_upper = tango_interval(worse, better, pairs, 0.05)
    estimate = (worse - better) / pairs
    if pairs >= 500 and min(worse, better) >= 20:
        assert upper - estimate >= fixed_upper - estimate
        assert upper - lower <= 2.2 * (fixed_upper - fixed_lower)


def test_nothing_seen_is_nothing_known() -> None:
    assert pairs_evidence_below(0.1, 0, 0, 0) == pytest.approx(0, abs=1e-12)
    assert pairs_bounds(0, 0, 0, 0.05, 0.05) == (-1.0, 1.0)


def test_no_error_in_three_thousand_bounds_the_rate() -> None:
    lower, upper = proportion_bounds(0, 3000, 0.05, 0.05)
    exact = clopper_pearson(0, 3000, 0.05)[1]
    assert lower == 0
    assert exact < upper < 2 * exact


@pytest.mark.parametrize(("margin", "worse", "better", "pairs"), [(1.0, 0, 0, 1), (0.1, 2, 0, 1), (0.1, -1, 0, 1)])
def test_counts_that_cannot_be_are_refused(margin: float, worse: int, better: int, pairs: int) -> None:
    with pytest.raises(ValueError, match="must"):
        pairs_evidence_below(margin, worse, better, pairs)
