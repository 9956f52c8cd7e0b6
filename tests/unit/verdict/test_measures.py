"""Measures by block: what they refuse, what merging keeps, what they say of the same truth."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shadow_provider.verdict.measures import (
    Blocks,
    Measure,
    PairedMeasure,
    RateMeasure,
    RatioMeasure,
    ScoreMeasure,
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


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.data())
def test_the_first_blocks_are_what_was_counted_then(seed: int, blocks: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    count = data.draw(st.integers(0, blocks))
    for measure in (paired(rng, 0.1, 0.1, blocks), rates(rng, 0.1, 0.1, blocks), scores(rng, 0.0, blocks)):
        first = measure.first(count)
        assert first.blocks == count
        assert measure.blocks == blocks
        assert type(measure).model_validate(first.model_dump()) == first
        assert {name: column + measure.columns[name][count:] for name, column in first.columns.items()} == (
            measure.columns
        )


def test_some_blocks_keep_their_figures_and_the_others_have_none() -> None:
    rng = np.random.default_rng(3)
    chosen = [True, False, True]
    for measure in (paired(rng, 0.1, 0.1, 3), rates(rng, 0.1, 0.1, 3), scores(rng, 0.0, 3), ratios(rng, 0.0, 3)):
        kept = measure.of_blocks(chosen)
        nothing = None if isinstance(measure, RatioMeasure) else 0
        for name, column in kept.columns.items():
            assert column == (measure.columns[name][0], nothing, measure.columns[name][2])
        assert type(measure).model_validate(kept.model_dump()) == kept


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


def test_blocks_without_both_figures_are_left_out() -> None:
    measure = RatioMeasure(candidate=(1.0, None, 2.0), reference=(1.0, 1.0, None))
    assert measure.n == 1
    assert measure.log_ratios == (0.0,)


def test_blocks_follow_each_other() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    blocks = Blocks(start=start, seconds=60, count=3)
    assert blocks.starts()[2] == start + timedelta(minutes=2)
    assert blocks.end == start + timedelta(minutes=3)


def test_blocks_begin_in_utc_so_that_summer_time_moves_none_of_them() -> None:
    # The clocks of Berlin went from 2 to 3 on that night.
    start = datetime(2026, 3, 29, 1, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    blocks = Blocks(start=start, seconds=3600, count=2)
    assert [each.isoformat() for each in blocks.starts()] == ["2026-03-29T00:30:00+00:00", "2026-03-29T01:30:00+00:00"]
    with pytest.raises(ValidationError):
        Blocks(start=datetime(2026, 3, 29), seconds=60, count=1)  # noqa: DTZ001
