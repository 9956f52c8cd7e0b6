"""Figures of unknown shape, as a comparator or a user's own function gives them, as tables."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from shadow_provider.report.document import Table, table
from shadow_provider.report.text import NOTHING, count, figure, percent

DEEPEST = 6
_SHARES = frozenset({"agreement", "coverage"})


def shown(name: str, value: Any) -> str:
    """One figure as text; a list as its members, nothing as a dash."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float):
        return percent(value) if name in _SHARES and 0 <= value <= 1 else figure(value)
    if isinstance(value, list | tuple):
        return ", ".join(shown("", each) for each in value[:20]) + (", …" if len(value) > 20 else "")
    return str(value)


def flat(figures: Mapping[str, Any], before: str = "", depth: int = 1) -> Iterator[tuple[str, str]]:
    """Name and text of every figure, those of mappings within with the names on the way to them."""
    for name, value in figures.items():
        path = f"{before}{str(name).replace('_', ' ')}"
        if isinstance(value, Mapping) and value and depth < DEEPEST:
            yield from flat(value, f"{path} / ", depth + 1)
        else:
            yield path, shown(str(name), value) if not isinstance(value, Mapping) else NOTHING


def figure_table(caption: str, figures: Mapping[str, Any]) -> Table:
    """All figures, one a row."""
    return table(caption, ("figure", "value"), flat(figures), numeric=(1,))


def quantile_table(caption: str, figures: Mapping[str, Any]) -> tuple[Table | None, dict[str, Any]]:
    """Distributions side by side, and the figures that are none.

    A distribution is a mapping with `quantiles` in it, or one whose names are all percentiles.
    """
    found: dict[str, Mapping[str, Any]] = {}
    rest: dict[str, Any] = {}
    for name, value in figures.items():
        inner = value.get("quantiles") if isinstance(value, Mapping) else None
        if isinstance(inner, Mapping):
            found[name] = inner
            left = {key: each for key, each in value.items() if key != "quantiles"}
            rest |= {name: left} if left else {}
        elif isinstance(value, Mapping) and value and all(_is_percentile(key) for key in value):
            found[name] = value
        else:
            rest[name] = value
    names = sorted({key for each in found.values() for key in each}, key=percentile_rank)[:12]
    if not names:
        return None, dict(figures)
    rows = ((name.replace("_", " "), *(shown(key, each.get(key)) for key in names)) for name, each in found.items())
    return table(caption, ("figure", *names), rows, numeric=range(1, len(names) + 1)), rest


def moment_table(caption: str, figures: Mapping[str, Any]) -> tuple[Table | None, dict[str, Any]]:
    """Means and spreads side by side, and the figures that are none: mappings of single figures, one of them `mean`."""
    found = {
        name: value
        for name, value in figures.items()
        if isinstance(value, Mapping)
        and "mean" in value
        and not any(isinstance(each, Mapping | list) for each in value.values())
    }
    names = list(dict.fromkeys(key for each in found.values() for key in each))[:12]
    if not names:
        return None, dict(figures)
    headings = ("figure", *(name.replace("_", " ") for name in names))
    rows = ((name.replace("_", " "), *(shown(key, each.get(key)) for key in names)) for name, each in found.items())
    rest = {name: value for name, value in figures.items() if name not in found}
    return table(caption, headings, rows, numeric=range(1, len(names) + 1)), rest


def percentile_rank(name: str) -> tuple[float, str]:
    """By which percentiles are sorted: p5 before p10; what is none comes last."""
    found = re.fullmatch(r"p(\d{1,3}(?:\.\d{1,6})?)", name)
    return (float(found[1]) if found else math.inf), name


def _is_percentile(name: str) -> bool:
    return percentile_rank(name)[0] < math.inf


def label_rank(label: str) -> tuple[bool, float, str]:
    """By which labels are sorted: numbers by size, before all others."""
    try:
        number = float(label)
    except ValueError:
        number = math.nan
    return (False, number, label) if math.isfinite(number) else (True, 0.0, label)
