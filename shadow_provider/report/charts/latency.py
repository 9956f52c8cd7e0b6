"""Latency of both variants: percentile by percentile, and block by block."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shadow_provider.report.charts.canvas import CANDIDATE, INK, LINE, MUTED, PRODUCTION, SURFACE, WIDE, draw
from shadow_provider.report.charts.points import extremes, or_nan
from shadow_provider.report.text import short

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Shift:
    """How much slower the candidate is at one percentile.

    Attributes:
        percentile: such as `p90`.
        milliseconds: candidate minus production.
        lower: bound of it; None where there is no band.
        upper: likewise.
    """

    percentile: str
    milliseconds: float
    lower: float | None = None
    upper: float | None = None


def difference_curve(key: str, shifts: Sequence[Shift]) -> str:
    """Candidate minus production by percentile, with bands where there are any."""

    def paint(figure: "Figure") -> None:
        axes = figure.add_axes((0.07, 0.2, 0.91, 0.68))
        places = range(len(shifts))
        axes.axhline(0, color=LINE, linewidth=1.2)
        axes.plot(places, [each.milliseconds for each in shifts], color=CANDIDATE, linewidth=1.8, marker="o")
        for place, each in zip(places, shifts, strict=True):
            if each.lower is not None and each.upper is not None:
                axes.fill_between(
                    (place - 0.18, place + 0.18), each.lower, each.upper, color=CANDIDATE, alpha=0.22, linewidth=0
                )
            top = max(each.milliseconds, each.milliseconds if each.upper is None else each.upper)
            axes.annotate(
                f"{each.milliseconds:+.3g} ms",
                (place, top),
                (0, 5),
                textcoords="offset points",
                ha="center",
                color=INK,
                bbox={"facecolor": SURFACE, "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
            )
        axes.margins(x=0.06, y=0.25)
        axes.set_xticks(list(places), [short(each.percentile, 10) for each in shifts])
        axes.set_xlabel("percentile of ModelLatency over the whole window")
        axes.text(0, 1.05, "milliseconds, candidate minus production; below zero is faster", transform=axes.transAxes,
                  color=MUTED)  # fmt: skip

    return draw(key, WIDE, 2.9, paint)


def block_series(
    key: str,
    hours: Sequence[float],
    production: Sequence[float | None],
    candidate: Sequence[float | None],
    most: int,
) -> str:
    """A percentile of both variants by block, in milliseconds. Of a long series each stretch's extremes are drawn."""

    def paint(figure: "Figure") -> None:
        axes = figure.add_axes((0.07, 0.22, 0.91, 0.62))
        sides = (
            ("production", production, PRODUCTION, (0, (3, 1.5))),
            ("candidate", candidate, CANDIDATE, "solid"),
        )
        for name, series, colour, style in sides:
            chosen = extremes(series, most)
            axes.plot(
                [hours[at] for at in chosen],
                [or_nan(series[at]) for at in chosen],
                color=colour,
                linestyle=style,
                linewidth=1.2,
                label=name,
                marker="o" if len(chosen) == 1 else "",
            )
        axes.set_ylim(bottom=0)
        axes.margins(x=0.01)
        axes.set_xlabel("hours since the first block")
        axes.text(0, 1.07, "milliseconds", transform=axes.transAxes, color=MUTED)
        axes.legend(loc="lower right", bbox_to_anchor=(1, 0.98), ncols=2, borderaxespad=0)

    return draw(key, WIDE, 2.1, paint)
