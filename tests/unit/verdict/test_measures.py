"""Measures by block: what they refuse, what merging keeps, what they say of the same truth."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shadow_provider.verdict.measures import (
    MOST_BLOCKS,
    Blocks,
    Measure,
    PairedMeasure,
    RateMeasure,
    RatioMeasure,
    ScoreMeasure,
    block_seconds,
)

LEVEL = math.log(20)
ADAPTER: TypeAdapter[Any] = TypeAdapter(Measure)


def paired(rng: np.random.Generator, worse: float, better: float, blocks: int = 200) -> PairedMeasure:
    drawn = rng.multinomial(80, [worse, better, 1 - worse - better], size=blocks)
    return PairedMeasure(worse=drawn[:, 0].tolist(), better=drawn[:, 1].tolist(), pairs=[80] * blocks)


def scores(rng: np.random.Generator, mean: float, blocks: int = 200) -> ScoreMeasure:
    drawn = np.clip(rng.normal(mean, 0.1, (blocks, 50)), -1, 1)
    return ScoreMeasure(
        counts=[50] * blocks,
        totals=drawn.sum(axis=1).tolist(),
        squares=(drawn**2).sum(axis=1).tolist(),
        least=-1,
        most=1,
    )


def ratios(rng: np.random.Generator, log_ratio: float, blocks: int = 200) -> RatioMeasure:
    reference = np.exp(rng.normal(10, 0.05, blocks))
    candidate = reference * np.exp(rng.normal(log_ratio, 0.05, blocks))
    return RatioMeasure(candidate=candidate.tolist(), reference=reference.tolist())


def rates(rng: np.random.Generator, rate: float, reference: float, blocks: int = 200) -> RateMeasure:
    return RateMeasure(
        events=rng.binomial(500, rate, blocks).tolist(),
        trials=[500] * blocks,
        reference_events=rng.binomial(500, reference, blocks).tolist(),
        reference_trials=[500] * blocks,
    )


def test_each_kind_knows_an_equal_candidate_from_a_bad_one() -> None:
    rng = np.random.default_rng(1)
    cases: list[tuple[Any, Any, float]] = [
        (paired(rng, 0.02, 0.02), paired(rng, 0.08, 0.02), 0.02),
        (rates(rng, 0.002, 0.002), rates(rng, 0.02, 0.002), 0.005),
        (scores(rng, 0.0), scores(rng, 0.1), 0.03),
        (ratios(rng, 0.0), ratios(rng, 0.2), 0.1),
    ]
    for same, bad, margin in cases:
        good, worse = same.sequential(20.0), bad.sequential(20.0)
        assert good.evidence_below(margin) > LEVEL > good.evidence_above(margin), same.kind
        assert worse.evidence_above(margin) > LEVEL > worse.evidence_below(margin), same.kind
        lower, upper = good.bounds(0.05, 0.05)
        assert lower <= good.estimate <= upper < margin


@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 40))
def test_grouping_blocks_keeps_all_counts(seed: int, factor: int, blocks: int) -> None:
    measure = paired(np.random.default_rng(seed), 0.1, 0.1, blocks)
    coarse = measure.coarser(factor)
    assert coarse.blocks == math.ceil(blocks / factor)
    assert [sum(column) for column in coarse.columns.values()] == [sum(column) for column in measure.columns.values()]
    assert coarse.sequential(20.0).estimate == pytest.approx(measure.sequential(20.0).estimate)
    first = measure.coarser(1).followed_by(measure)
    assert (first.n, first.blocks) == (2 * measure.n, 2 * blocks)


def test_they_survive_json() -> None:
    rng = np.random.default_rng(2)
    for measure in (paired(rng, 0.1, 0.1, 5), rates(rng, 0.1, 0.1, 5), scores(rng, 0.0, 5), ratios(rng, 0.0, 5)):
        assert ADAPTER.validate_json(measure.model_dump_json()) == measure


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "paired", "worse": [1], "better": [0, 0], "pairs": [1, 1]},
        {"kind": "paired", "worse": [1], "better": [1], "pairs": [1]},
        {"kind": "paired", "worse": [-1], "better": [0], "pairs": [1]},
        {"kind": "rates", "events": [2], "trials": [1], "reference_events": [0], "reference_trials": [1]},
        {"kind": "scores", "counts": [1], "totals": [float("nan")], "squares": [0], "least": 0, "most": 1},
        {"kind": "ratios", "candidate": [0.0], "reference": [1.0]},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(wrong)


def test_blocks_without_both_figures_are_left_out_and_percentiles_are_never_averaged() -> None:
    measure = RatioMeasure(candidate=[1.0, None, 2.0], reference=[1.0, 1.0, None])
    assert measure.n == 1
    with pytest.raises(TypeError, match="asked for anew"):
        measure.coarser(2)


def test_the_length_of_blocks_depends_on_the_span_alone() -> None:
    assert block_seconds(timedelta(hours=24)) == 60
    assert block_seconds(timedelta(days=7)) == 600
    assert block_seconds(timedelta(seconds=40), shortest=2) == 2
    for days in (1, 3, 10, 30, 200, 400):
        span = timedelta(days=days)
        assert span.total_seconds() / block_seconds(span) <= MOST_BLOCKS


def test_blocks_follow_each_other() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    blocks = Blocks(start=start, seconds=60, count=3)
    assert blocks.starts()[2] == start + timedelta(minutes=2)
    assert blocks.end == start + timedelta(minutes=3)
