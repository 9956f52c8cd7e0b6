"""Differences of numbers in short: bias, limits of agreement, quantiles."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from shadow_provider.report.charts.canvas import CANDIDATE, FAIL, INK, LINE, MUTED, PRODUCTION, WIDE, draw, quiet

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def limits_of_agreement(key: str, bias: float, limits: tuple[float, float], quantiles: Mapping[str, float]) -> str:
    """Candidate minus production on one axis: the bias with its limits above, the quantiles below."""

    def paint(figure: "Figure") -> None:
        axes = figure.add_axes((0.22, 0.3, 0.75, 0.62))
        quiet(axes, "left")
        axes.set_ylim(-0.6, 1.6)
        axes.axvline(0, color=LINE, linewidth=1.2)
        axes.plot(limits, (1, 1), color=CANDIDATE, linewidth=2, marker="|", markersize=12)
        axes.plot(bias, 1, color=CANDIDATE, marker="o", markersize=8)
        for at in (*limits, bias):
            axes.annotate(f"{at:.4g}", (at, 1), (0, 9), textcoords="offset points", ha="center", color=INK)
        for low, high, width in (("p1", "p99", 1.5), ("p5", "p95", 4.0), ("p25", "p75", 9.0)):
            if low in quantiles and high in quantiles:
                axes.plot((quantiles[low], quantiles[high]), (0, 0), color=PRODUCTION, linewidth=width)
        if "p50" in quantiles:
            axes.plot(quantiles["p50"], 0, marker="D", markersize=6, color=FAIL)
        for row, name in ((1, "bias and limits of agreement"), (0, "quantiles")):
            axes.text(-0.02, row, name, transform=axes.get_yaxis_transform(), ha="right", va="center")
        axes.margins(x=0.08)
        axes.set_xlabel("candidate minus production, in the answer's unit", color=MUTED)

    return draw(key, WIDE, 1.7, paint)
