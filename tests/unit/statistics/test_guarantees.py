"""What a verdict may lean on: order and grouping, swapped variants, and harm that never helps."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.statistics.blocks import BlockMean
from shadow_provider.statistics.paired_blocks import PairedBlocks
from shadow_provider.statistics.rate_blocks import RateBlocks
from shadow_provider.statistics.score_blocks import ScoreBlocks

Measure = BlockMean | PairedBlocks | RateBlocks | ScoreBlocks
Series = npt.NDArray[np.float64]
LEVEL = math.log(20)
SEEDS = st.integers(0, 2**32 - 1)
often = settings(derandomize=True, deadline=None, max_examples=150)


def _swing(rng: np.random.Generator, blocks: int) -> Series:
    """One on average: steady, in bursts, or drifting."""
    kind = rng.integers(3)
    if kind == 0:
        return np.ones(blocks)
    if kind == 1:
        return np.where(rng.random(blocks) < 0.1, 10.0, 0.0)
    return np.exp(np.cumsum(rng.normal(0, 0.2, blocks)) - 0.5)


def _paired(rng: np.random.Generator, blocks: int) -> PairedBlocks:
    pairs, base = rng.poisson(80, blocks) + 1, rng.choice([0.0, 0.001, 0.01, 0.05])
    worse = rng.binomial(pairs, np.clip(base * _swing(rng, blocks), 0, 0.5))
    return PairedBlocks(worse, rng.binomial(pairs - worse, base), pairs)


def _rates(rng: np.random.Generator, blocks: int) -> RateBlocks:
    trials, others, base = (
        rng.poisson(80, blocks) + 1,
        rng.poisson(80, blocks) + 1,
        rng.choice([0.0, 0.001, 0.01, 0.05]),
    )
    events = rng.binomial(trials, np.clip(base * _swing(rng, blocks), 0, 0.5))
    return RateBlocks(events, trials, rng.binomial(others, base), others)


def _scores(rng: np.random.Generator, blocks: int) -> ScoreBlocks:
    counts = rng.poisson(80, blocks) + 1
    up = rng.binomial(counts, np.clip(0.5 + 0.05 * (_swing(rng, blocks) - 1), 0, 1))
    totals, squares = 0.2 * (2.0 * up - counts), 0.04 * counts
    return ScoreBlocks(counts, totals.astype(np.float64), squares.astype(np.float64), -1.0, 1.0)


def _mean(rng: np.random.Generator, blocks: int) -> BlockMean:
    weights = rng.poisson(80, blocks) + 1.0
    sums = weights * rng.normal(0.02, 0.1, blocks) * _swing(rng, blocks)
    return BlockMean(weights.astype(np.float64), sums.astype(np.float64))


DRAWS: dict[str, Callable[[np.random.Generator, int], Measure]] = {
    "pairs": _paired,
    "rates": _rates,
    "scores": _scores,
    "mean": _mean,
}
kinds = pytest.mark.parametrize("kind", DRAWS)


def drawn(kind: str, seed: int) -> tuple[Measure, float]:
    """A measure of 12 to 150 blocks, and a margin."""
    rng = np.random.default_rng(seed)
    return DRAWS[kind](rng, int(rng.integers(12, 150))), float(rng.choice([0.003, 0.01, 0.03, 0.1]))


def columns(measure: Measure) -> dict[str, Series]:
    """Its columns by name."""
    return {name: value for name, value in vars(measure).items() if isinstance(value, np.ndarray)}


def with_columns(measure: Measure, changed: dict[str, Series]) -> Measure:
    """The same kind of measure over other blocks."""
    rest = {
        name: value
        for name, value in vars(measure).items()
        if name in ("least", "most", "precision") and not isinstance(value, np.ndarray)
    }
    return type(measure)(**changed, **rest)  # type: ignore[arg-type]


@kinds
@given(SEEDS, st.integers(1, 7))
@often
def test_the_estimate_depends_neither_on_order_nor_on_grouping(kind: str, seed: int, group: int) -> None:
    measure, _ = drawn(kind, seed)
    order = np.random.default_rng(seed).permutation(len(measure.over_time.weights))
    starts = np.arange(0, len(order), group)
    merged = with_columns(
        measure, {name: np.add.reduceat(column[order], starts) for name, column in columns(measure).items()}
    )
    assert merged.estimate == pytest.approx(measure.estimate, rel=1e-9, abs=1e-12)


@given(SEEDS, st.integers(1, 7))
@often
def test_where_nothing_comes_in_clusters_the_counts_of_any_grouping_are_the_same_evidence(
    seed: int, group: int
) -> None:
    """Equal blocks have no dispersion at all, so their groups have none either."""
    rng = np.random.default_rng(seed)
    pairs, worse, better = 200, int(rng.integers(0, 5)), int(rng.integers(0, 5))
    margin = float(rng.choice([0.003, 0.01, 0.03]))

    def blocks(size: int) -> PairedBlocks:
        own, other, both = (np.full(840 // size, size * count) for count in (worse, better, pairs))
        return PairedBlocks(own, other, both)

    fine, coarse = blocks(1), blocks(group)
    assert coarse.clusters == fine.clusters
    assert coarse.bounds(0.05, 0.01) == pytest.approx(fine.bounds(0.05, 0.01), abs=1e-12)
    assert (coarse.evidence_below(margin) >= LEVEL) == (fine.evidence_below(margin) >= LEVEL)


def test_the_order_of_blocks_matters_where_neighbours_resemble_each_other_and_must() -> None:
    """A swing is seen by the order alone: shuffled, the same blocks would claim more than they are worth."""
    rng = np.random.default_rng(1)
    values = np.cumsum(rng.normal(0, 0.02, 400))
    shuffled = rng.permutation(values)
    assert BlockMean.of_series(values).effective < 40 < 200 < BlockMean.of_series(shuffled).effective


@kinds
@given(SEEDS)
@often
def test_swapping_the_variants_mirrors_all_that_is_said(kind: str, seed: int) -> None:
    measure, margin = drawn(kind, seed)
    swapped: Measure
    match measure:
        case BlockMean():
            swapped = BlockMean(measure.weights, -measure.sums)
        case PairedBlocks():
            swapped = PairedBlocks(measure.better, measure.worse, measure.pairs)
        case RateBlocks():
            swapped = RateBlocks(measure.reference_events, measure.reference_trials, measure.events, measure.trials)
        case ScoreBlocks():
            swapped = ScoreBlocks(measure.counts, -measure.totals, measure.squares, -1.0, 1.0)
    lower, upper = measure.bounds(0.01, 0.05)
    assert swapped.bounds(0.05, 0.01) == pytest.approx((-upper, -lower), rel=1e-7, abs=1e-9)
    assert swapped.estimate == pytest.approx(-(measure.estimate or 0.0), abs=1e-12)
    assert swapped.evidence_above(-margin) == pytest.approx(measure.evidence_below(margin), rel=1e-6, abs=1e-6)
    assert swapped.evidence_below(-margin) == pytest.approx(measure.evidence_above(margin), rel=1e-6, abs=1e-6)


@kinds
@given(SEEDS)
@often
def test_no_pattern_of_harm_is_passed_with_more_of_it_seen_than_the_margin_nor_failed_with_less(
    kind: str, seed: int
) -> None:
    """Whatever harm does to the spread, it moves the estimate; and no evidence is found on the other side of it."""
    measure, margin = drawn(kind, seed)
    estimate = measure.estimate
    assert estimate is not None
    for bound in (margin, 0.0, estimate + 1e-9, estimate - 1e-9):
        if estimate >= bound:
            assert measure.evidence_below(bound) < LEVEL
        if estimate <= bound:
            assert measure.evidence_above(bound) < LEVEL
    lower, upper = measure.bounds(0.05, 0.05)
    assert lower <= estimate + 1e-12
    assert estimate - 1e-12 <= upper


def harmed(measure: Measure, harm: int) -> Measure | None:
    """The same harm for each pair of every block, about; None where a block has no room for it."""
    match measure:
        case BlockMean():
            return BlockMean(measure.weights, measure.sums + 0.01 * harm * measure.weights)
        case PairedBlocks():
            more = PairedBlocks(measure.worse + harm, measure.better, measure.pairs)
            return more if (more.worse + more.better <= more.pairs).all() else None
        case RateBlocks():
            events = measure.events + harm
            return (
                RateBlocks(events, measure.trials, measure.reference_events, measure.reference_trials)
                if (events <= measure.trials).all()
                else None
            )
        case ScoreBlocks():
            by = 0.01 * harm
            totals, squares = measure.totals, measure.squares
            return ScoreBlocks(
                measure.counts,
                totals + by * measure.counts,
                squares + 2 * by * totals + by**2 * measure.counts,
                -1.0,
                1.0,
            )


def even(measure: Measure) -> Measure:
    """The same with as many pairs in each block, so that one harm more to a block is the same to all pairs."""
    if isinstance(measure, PairedBlocks):
        return PairedBlocks(measure.worse, measure.better, np.full(len(measure.pairs), 200))
    if isinstance(measure, RateBlocks):
        trials = np.full(len(measure.trials), 200)
        return RateBlocks(measure.events, trials, measure.reference_events, trials)
    return measure


@kinds
@given(SEEDS, st.integers(1, 4))
@often
def test_harm_to_all_pairs_alike_never_lets_the_mean_over_blocks_claim_less_of_it(
    kind: str, seed: int, harm: int
) -> None:
    measure, margin = drawn(kind, seed)
    measure = even(measure)
    worse = harmed(measure, harm)
    assert worse is not None
    for bound in (0.0, margin):
        before, after = measure.over_time, worse.over_time
        assert after.evidence_below(bound) <= before.evidence_below(bound) + 1e-6
        assert after.evidence_above(bound) >= before.evidence_above(bound) - 1e-6
        # What two claims say together is not more than the one.
        assert worse.evidence_below(bound) <= before.evidence_below(bound) + 1e-6


@kinds
@given(SEEDS, st.integers(1, 4))
@often
def test_harm_to_all_pairs_alike_never_turns_a_gate_to_pass_nor_from_failing(kind: str, seed: int, harm: int) -> None:
    measure, margin = drawn(kind, seed)
    measure = even(measure)
    worse = harmed(measure, harm)
    assert worse is not None
    if measure.evidence_below(margin) < LEVEL:
        assert worse.evidence_below(margin) < LEVEL
    if measure.evidence_above(0.0) >= LEVEL:
        assert worse.evidence_above(0.0) >= LEVEL


@given(st.integers(0, 10), st.integers(0, 10), st.sampled_from([0.003, 0.01, 0.03, 0.1]))
@often
def test_of_blocks_that_are_alike_one_error_more_is_never_evidence_of_less(
    events: int, reference: int, margin: float
) -> None:
    trials = np.full(50, 100)

    def rates(own: int, other: int) -> RateBlocks:
        return RateBlocks(np.full(50, own), trials, np.full(50, other), trials)

    before = rates(events, reference)
    for worse in (rates(events + 1, reference), rates(events, max(0, reference - 1))):
        assert worse.evidence_below(margin) <= before.evidence_below(margin) + 1e-9
        assert worse.evidence_above(margin) >= before.evidence_above(margin) - 1e-9


def test_one_harm_in_a_quiet_hour_may_make_a_series_look_steadier_but_not_better() -> None:
    """The known limit, as of Student's t: what is seen of the spread changes too. The estimate rises all the same."""
    better = np.zeros(41, np.int64)
    better[20:22] = 1
    worse, pairs = np.zeros(41, np.int64), np.full(41, 60)
    before = PairedBlocks(worse, better, pairs)
    worse = worse.copy()
    worse[5] = 1
    after = PairedBlocks(worse, better, pairs)
    assert after.over_time.effective > before.over_time.effective
    assert after.evidence_below(0.01) > before.evidence_below(0.01)
    assert (after.estimate or 0.0) > (before.estimate or 0.0)
