"""The calibration in small, and that it would notice a rule that errs too often."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from benchmarks.calibration import __main__ as calibration
from benchmarks.calibration.scenarios import SCENARIOS
from benchmarks.calibration.simulation import ALPHA, LOOKS, Row, simulate
from shadow_provider.statistics.proportion import clopper_pearson

SMALL = {
    "pairs": ("iid", "AR(1) 0.6", "AR(1) 0.9", "errors at 1e-3"),
    "rates": ("AR(1) 0.6, shared", "errors at 1e-3"),
    "scores": ("AR(1) 0.6", "sessions of ten pairs"),
    "latency": ("AR(1) 0.6", "AR(1) 0.9", "heavy tails (t, 3 df)"),
}


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """A few histories of a day, of every kind of figure, looked at a hundred times."""
    return [
        simulate(kind, number, 9, seed=7, looks=LOOKS, minutes=1440)
        for kind, found in SCENARIOS.items()
        for number, scenario in enumerate(found)
        if scenario.name in SMALL[kind]
    ]


def test_over_all_histories_together_ours_errs_at_most_as_often_as_alpha(rows: list[Row]) -> None:
    runs = sum(row.runs for row in rows)
    assert runs == 9 * sum(len(names) for names in SMALL.values())
    assert all(row.looks >= 100 for row in rows)
    for errors in (sum(row.passed * row.runs for row in rows), sum(row.failed * row.runs for row in rows)):
        assert clopper_pearson(round(errors), runs, 0.025)[0] <= ALPHA


def test_the_same_histories_show_that_a_fixed_sample_errs_far_more_often(rows: list[Row]) -> None:
    runs = sum(row.runs for row in rows)
    for errors in (sum(row.fixed_passed * row.runs for row in rows), sum(row.fixed_failed * row.runs for row in rows)):
        assert clopper_pearson(round(errors), runs, 0.001)[0] > 4 * ALPHA


def test_a_good_candidate_is_promoted_and_a_bad_one_found_out_within_the_day(rows: list[Row]) -> None:
    assert sum(row.promoted for row in rows) / len(rows) > 0.8
    assert sum(row.rejected for row in rows) / len(rows) > 0.6


def test_the_same_seed_gives_the_same_figures() -> None:
    first, again = (simulate("pairs", 0, 2, seed=3, looks=10, minutes=240) for _ in range(2))
    assert first == again


def test_a_rate_that_is_surely_above_alpha_fails_the_calibration(rows: list[Row]) -> None:
    sound = [replace(row, runs=1000, passed=0.05, failed=0.06) for row in rows]
    assert sound[0].interval(0.06)[0] < ALPHA < sound[0].interval(0.066)[0]
    for broken, expected in ((sound[0], 0), (replace(sound[0], passed=0.08), 1), (replace(sound[0], failed=0.08), 1)):
        printed = io.StringIO()
        assert calibration.report([*sound[1:], broken], Console(file=printed, width=200)) == expected
        assert ("Above alpha: pairs: iid" in printed.getvalue()) == bool(expected)


def test_the_tables_have_a_line_for_each_scenario_and_our_errors_with_their_interval(rows: list[Row]) -> None:
    row = replace(rows[0], runs=1000, passed=0.02, failed=0.0)
    for lines in (calibration.errors([row]), calibration.powers([row])):
        assert [len(line) for line in lines] == [len(lines[0])] * 2
        assert lines[1][0] == "pairs: iid"
    assert calibration.errors([row])[1][1] == "2.0% (1.2-3.1)"
    assert calibration.errors([row])[1][4] == "0.0% (0.0-0.4)"
