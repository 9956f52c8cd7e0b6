"""The mirror by hour: how much of the traffic the shadow got, and how many captures found their partner."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shadow_provider.report.charts.canvas import CANDIDATE, LINE, MUTED, PRODUCTION, WIDE, draw
from shadow_provider.report.charts.points import extremes, or_nan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Shares = Sequence[float | None]


def shares_by_hour(
    key: str, hours: Sequence[float], mirrored: Shares, joined: Shares, configured: float, most: int
) -> str:
    """Both shares by hour, in percent, with the configured one."""

    def paint(figure: "Figure") -> None:
        axes = figure.add_axes((0.07, 0.22, 0.91, 0.62))
        lines = (
            ("captures that found their partner", joined, PRODUCTION, (0, (3, 1.5)), "s"),
            ("requests that were mirrored", mirrored, CANDIDATE, "solid", "o"),
        )
        for name, shares, colour, style, marker in lines:
            chosen = extremes(shares, most)
            axes.plot(
                [hours[at] for at in chosen],
                [100 * or_nan(shares[at]) for at in chosen],
                color=colour, linestyle=style, linewidth=1.4, label=name,
                marker=marker if len(chosen) <= 48 else "", markersize=3.5,
            )  # fmt: skip
        axes.axhline(100 * configured, color=LINE, linewidth=1.2)
        least = min((100 * share for share in (*mirrored, *joined, configured) if share is not None), default=90.0)
        axes.set_ylim(max(-2.0, min(least - 5, 90)), 102)
        axes.margins(x=0.02)
        axes.set_xlabel("hours since the first block")
        axes.text(0, 1.07, "percent; the thin line is the configured share", transform=axes.transAxes, color=MUTED)
        axes.legend(loc="lower right", bbox_to_anchor=(1, 0.98), ncols=2, borderaxespad=0)

    return draw(key, WIDE, 2.1, paint)
