import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from shadow_provider.statistics.betting import pairs_evidence_below
from shadow_provider.statistics.mixture import log_mixture
from shadow_provider.statistics.roots import crossing

FUNCTIONS: dict[str, tuple[Callable[[float], float], float, float]] = {
    "a cubic": (lambda x: x**3 - 2, 0, 5),
    "falling": (lambda x: 2 - x**3, 0, 5),
    "steep": (lambda x: math.exp(x) - 10, -50, 50),
    "flat beside the zero": (lambda x: math.atan(1e6 * (x - 0.1)), -1, 1),
    "zero at an end": (lambda x: x, 0, 1),
    "zero at the other end": (lambda x: x - 1, 0, 1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_finds_what_brents_method_finds(name: str) -> None:
    function, low, high = FUNCTIONS[name]
    wanted = brentq(function, low, high, xtol=1e-13)
    assert crossing(function, low, high, within=1e-13) == pytest.approx(wanted, abs=2e-13, rel=1e-14)
    assert crossing(function, high, low, within=1e-13) == pytest.approx(wanted, abs=2e-13, rel=1e-14)


@settings(derandomize=True, deadline=None)
@given(st.integers(1, 10**6), st.floats(0, 1), st.floats(0, 1))
def test_it_finds_the_bounds_of_pairs(pairs: int, discordant: float, worse: float) -> None:
    counts = discordant * worse * pairs, discordant * (1 - worse) * pairs

    def excess(margin: float) -> float:
        return pairs_evidence_below(margin, *counts, pairs) + math.log(0.05)

    low, high = -1 + 1e-12, 1 - 1e-12
    if excess(low) < 0 < excess(high):
        wanted = brentq(excess, low, high, xtol=1e-13)
        assert crossing(excess, low, high, within=1e-13) == pytest.approx(wanted, abs=3e-13)


def test_it_asks_seldom() -> None:
    asked: list[float] = []

    def excess(score: float) -> float:
        asked.append(score)
        return log_mixture(score * 10, 100, 20) + math.log(0.05)

    crossing(excess, 0.0, 1e3, within=1e-9)
    assert len(asked) <= 25


def test_an_infinite_value_is_only_a_sign() -> None:
    assert crossing(lambda x: math.inf if x > 0.3 else x - 0.3, -1, 1, within=1e-12) == pytest.approx(0.3, abs=1e-12)
    assert crossing(lambda x: x - 0.3 if x > 0.3 else -math.inf, -1, 1, within=1e-12) == pytest.approx(0.3, abs=1e-12)


@pytest.mark.parametrize("function", [lambda x: x + 2, lambda x: -x - 2, lambda _: math.nan])
def test_without_a_change_of_sign_there_is_nothing_to_find(function: Callable[[float], float]) -> None:
    with pytest.raises(ValueError, match="no change of sign"):
        crossing(function, 0, 1, within=1e-9)


def test_what_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number at"):
        crossing(lambda x: x if abs(x) == 1 else math.nan, -1, 1, within=1e-9)
