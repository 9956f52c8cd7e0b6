"""The confidence funnel: how a gate's bounds closed in on the truth over the looks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shadow_provider.report.charts.canvas import CANDIDATE, FAIL, LINE, MUTED, NARROW, draw
from shadow_provider.report.charts.points import or_nan, thinned
from shadow_provider.verdict.units import Unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SCALE = {Unit.RATE_DIFFERENCE: 100.0, Unit.SHARE: 100.0, Unit.RELATIVE_CHANGE: 100.0, Unit.SCORE: 1.0}
_NAMES = {
    Unit.RATE_DIFFERENCE: "percentage points",
    Unit.SHARE: "percent of pairs",
    Unit.RELATIVE_CHANGE: "percent",
    Unit.SCORE: "score",
}


@dataclass(frozen=True)
class FunnelLook:
    """A gate at one look.

    Attributes:
        hours: of evidence until then.
        estimate: in the gate's unit; None without data.
        lower: bound; None while there is none.
        upper: likewise.
    """

    hours: float
    estimate: float | None
    lower: float | None
    upper: float | None


def funnel(key: str, looks: Sequence[FunnelLook], margin: float, unit: Unit, most: int) -> str:
    """A gate's estimate and bounds at each look, with its limit."""
    scale = _SCALE[unit]
    drawn = [looks[at] for at in thinned(len(looks), most)]
    hours = [look.hours for look in drawn]
    estimate, lower, upper = (
        [or_nan(getattr(look, name)) * scale for look in drawn] for name in ("estimate", "lower", "upper")
    )

    def paint(figure: "Figure") -> None:
        axes = figure.add_axes((0.12, 0.2, 0.86, 0.7))
        bottom, top = _range(drawn[-1], margin, unit)
        limit = margin * scale
        beyond = (bottom, limit) if unit is Unit.SHARE else (limit, top)
        axes.axhspan(*beyond, color=FAIL, alpha=0.1, linewidth=0)
        axes.axhline(limit, color=FAIL, linewidth=1.2, linestyle=(0, (4, 2)))
        axes.axhline(scale if unit is Unit.SHARE else 0, color=LINE, linewidth=1)
        axes.fill_between(hours, lower, upper, color=CANDIDATE, alpha=0.2, linewidth=0)
        axes.plot(hours, estimate, color=CANDIDATE, linewidth=1.6, marker="o" if len(drawn) <= 40 else "", markersize=3)
        axes.plot((hours[-1], hours[-1]), (lower[-1], upper[-1]), color=CANDIDATE, linewidth=2)
        axes.plot(hours[-1], estimate[-1], marker="o", markersize=6, color=CANDIDATE, clip_on=False)
        axes.set_ylim(bottom, top)
        axes.set_xlim(0, hours[-1] * 1.03)
        axes.text(0, 1.04, _NAMES[unit], transform=axes.transAxes, color=MUTED)
        # The label stands on the bad side, which the band seldom reaches.
        side = "top" if unit is Unit.SHARE else "bottom"
        axes.text(hours[-1] * 0.01, limit, "limit", color=FAIL, va=side)
        axes.set_xlabel("hours of evidence")

    return draw(key, NARROW, 2.3, paint)


def _range(last: FunnelLook, margin: float, unit: Unit) -> tuple[float, float]:
    """From what matters at the end, so that the first, wide bounds do not flatten everything."""
    scale = _SCALE[unit]
    known = [number * scale for number in (last.estimate, last.lower, last.upper) if number is not None]
    known += [margin * scale, scale if unit is Unit.SHARE else 0.0]
    low, high = min(known), max(known)
    room = 0.3 * (high - low)
    return low - room, high + room
