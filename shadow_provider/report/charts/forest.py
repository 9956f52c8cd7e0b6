"""The forest plot: all gates against their limits on one axis, whatever their units."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shadow_provider.report.charts.canvas import FAIL, INK, LINE, MUTED, PASS, SURFACE, UNDECIDED, WIDE, draw, quiet
from shadow_provider.report.names import STATES, as_share_of_margin, bounds_of, title_of
from shadow_provider.report.text import short
from shadow_provider.verdict.looks import GateLook, GateState
from shadow_provider.verdict.units import limit, show

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOOKS = {
    GateState.PASS: (PASS, "o", PASS),
    GateState.FAIL: (FAIL, "D", FAIL),
    GateState.UNDECIDED: (UNDECIDED, "s", SURFACE),
    GateState.NO_DATA: (UNDECIDED, "s", SURFACE),
}
_LEAST, _MOST = -2.0, 3.0
_ROW = 0.46


def forest(key: str, gates: Sequence[GateLook]) -> str:
    """The gates as a drawing: estimate and bounds as harm in units of the margin, numbers in the gate's own unit."""
    height = _ROW * len(gates) + 0.58

    def paint(figure: "Figure") -> None:
        head = 0.05 / height
        foot = 0.53 / height
        axes = figure.add_axes((0.26, foot, 0.47, 1 - head - foot))
        low, high = _range(gates)
        axes.set_xlim(low, high)
        axes.set_ylim(len(gates) - 0.5, -0.5)
        quiet(axes, "left")
        axes.axvspan(1, high, color=FAIL, alpha=0.1, linewidth=0)
        axes.axvline(0, color=LINE, linewidth=1)
        axes.axvline(1, color=FAIL, linewidth=1.2, linestyle=(0, (4, 2)))
        ticks = [at for at in (-2, -1, 0, 1, 2, 3) if low <= at <= high]
        axes.set_xticks(ticks, [_tick(at) for at in ticks])
        axes.set_xlabel("harm as a part of what the policy accepts; left is better")
        for row, gate in enumerate(gates):
            _words(axes, row, gate)
            _mark(axes, row, gate, low, high)

    return draw(key, WIDE, height, paint)


def _tick(at: float) -> str:
    return {0: "no harm", 1: "limit"}.get(int(at), f"{at:+d} x limit" if at < 0 else f"{at:d} x limit")


def _range(gates: Sequence[GateLook]) -> tuple[float, float]:
    numbers = [
        as_share_of_margin(number, gate)
        for gate in gates
        for number in (gate.estimate, gate.lower, gate.upper)
        if number is not None
    ]
    return max(_LEAST, min([0.0, *numbers]) - 0.15), min(_MOST, max([1.0, *numbers]) + 0.25)


def _words(axes: "Axes", row: int, gate: GateLook) -> None:
    left, right = axes.get_yaxis_transform(), axes.get_yaxis_transform()
    aside = "" if gate.blocking else " (does not decide)"
    accepted = f"limit {limit(gate.margin, gate.unit)}{aside}"
    axes.text(-0.55, row - 0.17, short(title_of(gate), 36), transform=left, va="center")
    axes.text(-0.55, row + 0.2, accepted, transform=left, va="center", color=MUTED, fontsize=7.5)
    colour = _LOOKS[gate.state][0]
    said = STATES[gate.state] if gate.estimate is None else f"{STATES[gate.state]}: {show(gate.estimate, gate.unit)}"
    axes.text(1.05, row - 0.17, said, transform=right, va="center", color=colour, fontweight="bold")
    axes.text(1.05, row + 0.2, _below(gate), transform=right, va="center", color=MUTED, fontsize=7.5)


def _below(gate: GateLook) -> str:
    return short(gate.reason, 44) if gate.estimate is None else bounds_of(gate)


def _mark(axes: "Axes", row: int, gate: GateLook, low: float, high: float) -> None:
    if gate.estimate is None:
        return
    colour, marker, fill = _LOOKS[gate.state]
    best, worst = ordered(gate)
    start, end = max(low, best), min(high, worst)
    axes.plot((start, end), (row, row), color=colour, linewidth=2, solid_capstyle="butt")
    for at, beyond, arrow in ((start, best < low, "<"), (end, worst > high, ">")):
        # A bound that does not fit, or that is not there yet, ends in an arrow.
        axes.plot(at, row, marker=arrow if beyond else "|", markersize=7, color=colour, clip_on=False)
    at = as_share_of_margin(gate.estimate, gate)
    if low <= at <= high:
        axes.plot(at, row, marker=marker, markersize=8, color=fill, markeredgecolor=colour, markeredgewidth=1.4)
    else:
        beside = (low + 0.12, "left") if at < low else (high - 0.12, "right")
        axes.text(beside[0], row - 0.22, "off the scale", ha=beside[1], va="center", fontsize=7.5, color=INK)


def ordered(gate: GateLook) -> tuple[float, float]:
    """The bounds as harm in units of the margin, the better one first; infinite where there is none."""
    harms = [None if number is None else as_share_of_margin(number, gate) for number in (gate.lower, gate.upper)]
    if gate.unit.value == "share":
        harms.reverse()
    best, worst = harms
    return -math.inf if best is None else best, math.inf if worst is None else worst
