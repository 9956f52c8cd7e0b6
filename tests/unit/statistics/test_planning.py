"""The planner against simulation, and its limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_provider.statistics.betting import pairs_evidence_below
from shadow_provider.statistics.mixture import log_mixture
from shadow_provider.statistics.planning import blocks_needed, detectable_difference, pairs_needed


@pytest.mark.parametrize(("margin", "discordance", "harm"), [(0.01, 0.02, 0.0), (0.01, 0.05, 0.003), (0.02, 0.02, 0.0)])
def test_that_many_pairs_decide_as_often_as_was_promised(margin: float, discordance: float, harm: float) -> None:
    rng = np.random.default_rng(9)
    pairs = pairs_needed(margin, discordance, 0.05, harm=harm, power=0.8)
    assert pairs is not None
    worse, better = (discordance + harm) / 2, (discordance - harm) / 2
    drawn = rng.multinomial(pairs, [worse, better, 1 - worse - better], size=400)
    decided = np.mean([pairs_evidence_below(margin, int(b), int(c), pairs) >= math.log(20) for b, c, _ in drawn])
    assert 0.74 <= decided <= 0.88


def test_that_many_blocks_decide_as_often_as_was_promised() -> None:
    rng = np.random.default_rng(10)
    blocks = blocks_needed(0.1, 0.2, 0.05, 20.0, power=0.8)
    assert blocks is not None
    means = rng.normal(0, 0.2 / math.sqrt(blocks), 2000)
    totals = (0.1 - means) / 0.2 * blocks
    decided = np.mean([log_mixture(total, blocks, 20.0) >= math.log(20) for total in totals])
    assert 0.77 <= decided <= 0.84


def test_what_cannot_be_shown_has_no_number() -> None:
    assert pairs_needed(0.01, 0.05, 0.05, harm=0.01) is None
    assert blocks_needed(0.1, 0.2, 0.05, 20.0, harm=0.1) is None


@given(st.floats(0.002, 0.05), st.floats(0.0, 0.3))
def test_the_needed_pairs_can_detect_the_margin(margin: float, discordance: float) -> None:
    pairs = pairs_needed(margin, discordance, 0.05)
    assert pairs is not None
    assert detectable_difference(pairs, discordance, 0.05) <= margin * (1 + 1e-6)


def test_never_fewer_than_twelve_blocks() -> None:
    assert blocks_needed(0.1, 0.0, 0.05, 20.0) == 12


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="power"):
        pairs_needed(0.01, 0.1, 0.05, power=1.0)
    with pytest.raises(ValueError, match="margin"):
        pairs_needed(0.0, 0.1, 0.05)
    with pytest.raises(ValueError, match="discordance"):
        pairs_needed(0.01, 0.001, 0.05, harm=0.005)
    with pytest.raises(ValueError, match="deviation"):
        blocks_needed(0.1, -1.0, 0.05, 20.0)
