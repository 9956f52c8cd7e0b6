"""Drawings: the same for the same figures, whoever runs them, and never larger than they need to be."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.report.charts.canvas import INK, draw
from shadow_provider.report.charts.forest import forest, ordered
from shadow_provider.report.charts.funnel import FunnelLook, funnel
from shadow_provider.report.charts.latency import Shift, block_series, difference_curve
from shadow_provider.report.charts.points import extremes, thinned
from shadow_provider.verdict.looks import GateLook, GateState
from shadow_provider.verdict.units import Unit

CALM = settings(derandomize=True, deadline=None, max_examples=100)


def gate(unit: Unit = Unit.RATE_DIFFERENCE, margin: float = 0.02, **changed: object) -> GateLook:
    fields = {
        "name": "accuracy", "metric": "accuracy", "measure": "truth_wrong", "state": GateState.UNDECIDED, "n": 10,
        "estimate": 0.01, "lower": -0.01, "upper": 0.03, "margin": margin, "unit": unit, "reason": "so it is",
    }  # fmt: skip
    return GateLook.model_validate(fields | changed)


def words(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("text")]


def test_a_users_settings_of_matplotlib_have_no_say_and_are_left_alone() -> None:
    usual = forest("k", [gate()])
    with mpl.rc_context(
        {
            "font.size": 30,
            "svg.fonttype": "path",
            "axes.facecolor": "red",
            "text.parse_math": True,
            "xtick.major.size": 20,
        }
    ):
        assert forest("k", [gate()]) == usual
        assert mpl.rcParams["font.size"] == 30


def test_the_ids_of_two_drawings_never_clash() -> None:
    one, other = (re.findall(r' id="([^"]+)"', forest(key, [gate()])) for key in ("a", "b"))
    assert one
    assert not {*one} & {*other}


def test_text_is_text_and_no_formula() -> None:
    svg = draw("k", 2, 1, lambda figure: figure.text(0.1, 0.5, "<b>$x^2$ & \\frac", color=INK))
    assert words(svg) == ["<b>$x^2$ & \\frac"]
    assert "&lt;b&gt;" in svg


@pytest.mark.parametrize(
    ("unit", "margin", "lower", "upper", "harms"),
    [
        (Unit.RATE_DIFFERENCE, 0.02, -0.02, 0.04, (-1.0, 2.0)),
        (Unit.RELATIVE_CHANGE, 0.1, 0.05, 0.1, (0.5, 1.0)),
        (Unit.SHARE, 0.9, 0.8, 1.0, (0.0, 2.0)),
        (Unit.SHARE, 0.9, None, 0.95, (0.5, math.inf)),
        (Unit.SCORE, 2.0, None, None, (-math.inf, math.inf)),
    ],
)
def test_gates_of_all_units_share_one_axis_of_harm(
    unit: Unit, margin: float, lower: float | None, upper: float | None, harms: tuple[float, float]
) -> None:
    assert ordered(gate(unit, margin, lower=lower, upper=upper)) == pytest.approx(harms)


def test_the_forest_says_states_and_numbers_in_words() -> None:
    gates = [
        gate(state=GateState.PASS),
        gate(state=GateState.FAIL, estimate=4.0, lower=3.0, upper=None),
        gate(state=GateState.NO_DATA, estimate=None, lower=None, upper=None, reason="no ground truth was given"),
    ]
    said = words(forest("k", gates))
    assert "✓ pass: +1.000 pp" in said
    assert "-1.000 pp to +3.000 pp" in said
    assert "✗ fail: +400.000 pp" in said
    assert "off the scale" in said
    assert "no ground truth was given" in said


@pytest.mark.parametrize("unit", Unit)
def test_a_funnel_of_one_look_without_bounds_can_be_drawn(unit: Unit) -> None:
    svg = funnel("k", [FunnelLook(1.0, 0.5, None, None)], 0.9, unit, 50)
    assert "limit" in words(svg)
    assert "nan" not in svg


def test_two_thousand_looks_are_drawn_with_two_hundred_points() -> None:
    looks = [FunnelLook(at / 10, 0.01, -1 / at, 1 / at) for at in range(1, 2001)]
    svg = funnel("k", looks, 0.05, Unit.RATE_DIFFERENCE, 200)
    assert max(path.count("L") for path in re.findall(r' d="([^"]*)"', svg)) <= 2 * 200 + 1
    assert len(svg) < 30_000


def test_a_curve_without_bands_and_a_series_of_gaps_can_be_drawn() -> None:
    assert "+0 ms" in words(difference_curve("k", [Shift("p50", 0.0)]))
    assert "nan" not in block_series("k", [0.0, 1.0, 2.0], [None] * 3, [None, 5.0, None], 30)


@given(st.integers(1, 5000), st.integers(2, 300))
@CALM
def test_thinning_keeps_the_ends_and_no_more_than_asked(count: int, most: int) -> None:
    chosen = thinned(count, most)
    assert chosen[0] == 0
    assert chosen[-1] == count - 1
    assert list(chosen) == sorted({*chosen})
    assert len(chosen) == min(count, most)


@given(st.lists(st.none() | st.floats(0, 100), min_size=1, max_size=500), st.integers(3, 100))
@CALM
def test_of_a_long_series_no_peak_and_no_gap_is_lost(values: list[float | None], most: int) -> None:
    chosen = extremes(values, most)
    assert len(chosen) <= most
    drawn, known = [values[at] for at in chosen], [value for value in values if value is not None]
    assert (None in values) == (None in drawn)
    assert max(known, default=0.0) in [*drawn, 0.0]
    assert min(known, default=0.0) in [*drawn, 0.0]
