"""The sequential test of a share: false alarms over many looks, and broken mirrors found."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from shadow_provider.statistics.sample_ratio import share_evidence


@pytest.mark.parametrize(("low", "high"), [(0.5, 0.5), (0.48, 0.52), (0.98, 1.0), (0.0, 0.05)])
@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_within_the_interval_the_evidence_is_at_most_one_in_expectation(low: float, high: float, where: float) -> None:
    truth = low + where * (high - low)
    trials = 400
    chances = binom(trials, truth).pmf(np.arange(trials + 1))
    values = [math.exp(min(share_evidence(x, trials, low, high), 600)) for x in range(trials + 1)]
    assert float(chances @ np.array(values)) <= 1 + 1e-9


@pytest.mark.parametrize("share", [0.05, 0.5, 0.98])
@pytest.mark.parametrize("trials", [1, 30, 5000])
def test_for_a_single_share_it_is_the_ratio_of_a_beta_binomial_and_a_binomial(share: float, trials: int) -> None:
    from scipy.stats import betabinom

    for successes in {0, trials // 3, trials}:
        expected = betabinom.logpmf(successes, trials, 50 * share, 50 * (1 - share)) - binom.logpmf(
            successes, trials, share
        )
        assert share_evidence(successes, trials, share, share) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_mirror_that_drops_a_tenth_is_found_and_a_sound_one_is_left_alone() -> None:
    rng = np.random.default_rng(4)
    alarms = {0.5: 0, 0.45: 0}
    for truth in alarms:
        for _ in range(200):
            mirrored = np.cumsum(rng.random(20_000) < truth)
            evidence = (share_evidence(int(mirrored[n - 1]), n, 0.495, 0.505) for n in range(100, 20_001, 100))
            alarms[truth] += any(value >= math.log(1000) for value in evidence)
    assert alarms[0.5] <= 2
    assert alarms[0.45] == 200


def test_one_missing_where_all_must_be_there_is_proof() -> None:
    assert share_evidence(999, 1000, 1.0, 1.0) == math.inf
    assert share_evidence(1000, 1000, 1.0, 1.0) <= 0


def test_nothing_seen_is_nothing_known() -> None:
    assert share_evidence(0, 0, 0.4, 0.6) == pytest.approx(0)


@pytest.mark.parametrize(("successes", "trials", "low", "high"), [(2, 1, 0, 1), (1, 2, 0.6, 0.4), (1, 2, -0.1, 0.4)])
def test_what_cannot_be_is_refused(successes: int, trials: int, low: float, high: float) -> None:
    with pytest.raises(ValueError, match="must"):
        share_evidence(successes, trials, low, high)
