"""Fewer points for a line, so that a drawing stays small however long the series is."""

import math
from collections.abc import Sequence


def thinned(count: int, most: int) -> tuple[int, ...]:
    """Which of `count` points are drawn: the first, the last, and those evenly between."""
    if count <= most:
        return tuple(range(count))
    return tuple(sorted({round(at * (count - 1) / (most - 1)) for at in range(most)}))


def extremes(values: Sequence[float | None], most: int) -> tuple[int, ...]:
    """Which points of a ragged series are drawn: of each stretch the lowest, the highest, and a gap if there is one.

    So no peak and no gap is lost. At most `most`, which is at least 3.
    """
    if len(values) <= most:
        return tuple(range(len(values)))
    size = math.ceil(len(values) / (most // 3))
    chosen: set[int] = set()
    for start in range(0, len(values), size):
        stretch = range(start, min(start + size, len(values)))
        known = [(value, at) for at in stretch if (value := values[at]) is not None]
        if known:
            chosen |= {min(known)[1], max(known)[1]}
        if len(known) < len(stretch):
            chosen.add(next(at for at in stretch if values[at] is None))
    return tuple(sorted(chosen))


def or_nan(value: float | None) -> float:
    """What matplotlib leaves a gap for."""
    return math.nan if value is None else value
