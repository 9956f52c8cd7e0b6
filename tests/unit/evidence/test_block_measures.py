from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_provider.evidence.block_figures import Column, Figures, Side
from shadow_provider.evidence.block_measures import (
    BlockMeasures,
    block_measures,
    columns_of,
)
from shadow_provider.statistics.percentiles import fraction, needed_samples
from shadow_provider.verdict.measures import RateMeasure, RatioMeasure

Row = tuple[float | None, ...]


def measured(
    count: int,
    percentiles: tuple[str, ...] = ("p90",),
    *,
    production: Mapping[str, Row] | None = None,
    shadow: Mapping[str, Row] | None = None,
) -> BlockMeasures:
    """Measures of columns such as `shadow={"Invocations": (1, 2)}`; of all others there is none."""
    given = {"production": production or {}, "shadow": shadow or {}}
    columns: dict[Column, Row] = {
        column: given[column.side].get(column.stat if column.stat[0] == "p" else column.metric, (None,) * count)
        for column in columns_of(percentiles)
    }
    return block_measures(Figures(columns), percentiles, count)


def side(invocations: Row, errors: Row) -> dict[str, Row]:
    none = tuple(None if each is None else 0 for each in errors)
    return {"Invocations": invocations, "Invocation5XXErrors": errors, "Invocation4XXErrors": none}


def rate(found: BlockMeasures) -> RateMeasure:
    measure = found.measures["invocation_errors"]
    assert isinstance(measure, RateMeasure)
    return measure


def test_errors_beyond_a_blocks_invocations_count_in_the_next_that_has_room() -> None:
    found = measured(5, shadow=side((3, None, 2, 1, 9), (4, 2, 1, 0, 1)))
    assert rate(found).events == (3, 0, 2, 1, 2)
    assert rate(found).trials == (3, 0, 2, 1, 9)
    assert found.notes == ("shadow: 3 errors beyond the invocations of their block count in a later one",)
    assert found.gaps == {}


def test_errors_without_room_so_far_wait_and_are_told_of() -> None:
    found = measured(1, production=side((3,), (5,)))
    assert rate(found).reference_events == (3,)
    assert found.notes[0].endswith("count in a later one; 2 of them wait for one")


counts = st.lists(st.tuples(st.none() | st.integers(0, 5), st.none() | st.integers(0, 5)), min_size=1, max_size=12)


@given(counts, counts)
def test_no_error_is_lost_and_later_blocks_change_no_earlier_one(
    production: list[tuple[int | None, int | None]], shadow: list[tuple[int | None, int | None]]
) -> None:
    count = min(len(production), len(shadow))

    def upto(number: int) -> BlockMeasures:
        first = [tuple(zip(*rows[:number], strict=True)) for rows in (production, shadow)]
        return measured(number, production=side(*first[0]), shadow=side(*first[1]))

    whole = upto(count)
    left_out = [
        any(invocations and errors is None for invocations, errors in rows)
        for rows in zip(production[:count], shadow[:count], strict=True)
    ]
    assert sum(whole.gaps.values()) == sum(left_out)
    waiting = {note.split(":")[0]: int(note.split("; ")[1].split()[0]) for note in whole.notes if ";" in note}
    for name, rows, events in (
        ("production", production, rate(whole).reference_events),
        ("shadow", shadow, rate(whole).events),
    ):
        known = sum(errors or 0 for (_, errors), out in zip(rows, left_out, strict=False) if not out)
        assert sum(events) + waiting.get(name, 0) == known
    for number in range(1, count):
        earlier, columns = rate(upto(number)), rate(whole).columns
        assert earlier.columns == {name: column[:number] for name, column in columns.items()}


@pytest.mark.parametrize(
    ("percentile", "samples"), [("p50", 10), ("p75", 20), ("p90", 50), ("p95", 100), ("p99", 500), ("p99.9", 5000)]
)
def test_a_percentile_counts_from_five_expected_samples_beyond_it(percentile: str, samples: int) -> None:
    assert needed_samples(percentile) == samples

    def ratios(production: float | None, shadow: float | None) -> tuple[int, int]:
        sides: Any = {
            name: {"ModelLatency": (number,), percentile: (7.0,)}
            for name, number in (("production", production), ("shadow", shadow))
        }
        found = measured(1, (percentile,), **sides)
        measure = found.measures[f"model_latency_{percentile}"]
        assert isinstance(measure, RatioMeasure)
        return measure.n, found.thin_blocks[percentile]

    assert ratios(samples, samples) == (1, 0)
    assert ratios(samples - 1, samples) == ratios(samples, samples - 1) == (0, 1)
    assert ratios(samples, None) == ratios(None, samples) == (0, 1)
    # Without any traffic nothing was too thin.
    assert ratios(None, None) == (0, 0)


@pytest.mark.parametrize("missing", [None, 0.0])
@pytest.mark.parametrize("without", ["production", "shadow"])
def test_enough_samples_without_a_figure_are_a_gap(missing: float | None, without: Side) -> None:
    sides: Any = {
        name: {"ModelLatency": (60,), "p90": (missing if name == without else 7.0,)}
        for name in ("production", "shadow")
    }
    found = measured(1, **sides)
    assert found.gaps == {"a figure of p90 latency": 1}
    assert found.thin_blocks == {"p90": 0}
    assert found.measures["model_latency_p90"] == RatioMeasure(candidate=(None,), reference=(None,))


@pytest.mark.parametrize("text", ["p0", "p0.0", "p100", "99", "p-1", "p1e1", "p.5", "pp5", "p50 ", ""])
def test_what_is_no_percentile_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no percentile"):
        fraction(text)
