"""The joint distribution of two scores and the truth, from which the area under the ROC curve can be had."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

BINS = 256
_END = math.log((1 - 1e-6) / 1e-6)
_TWO_SIDED_95 = 1.959963984540054


@dataclass(frozen=True)
class PairedAuc:
    """Areas under the ROC curve of both sides on the same cases.

    Attributes:
        production: production's area.
        candidate: the candidate's.
        difference_error: standard error of their difference (DeLong); None where it cannot be had.
        resolution: by how much the areas may be off for scores that share a bin, production's and the candidate's.
        positives: true positives counted.
        negatives: true negatives.
    """

    production: float
    candidate: float
    difference_error: float | None
    resolution: tuple[float, float]
    positives: int
    negatives: int

    def to_json(self) -> dict[str, Any]:
        """Figures to read."""
        difference = self.candidate - self.production
        reach = None if self.difference_error is None else _TWO_SIDED_95 * self.difference_error
        return {
            "production": self.production,
            "candidate": self.candidate,
            "difference": difference,
            "interval_95": None if reach is None else [difference - reach, difference + reach],
            "resolution": list(self.resolution),
            "positives": self.positives,
            "negatives": self.negatives,
        }


@dataclass(frozen=True)
class ScoreGrid:
    """Cases by truth and both scores, in 256 equal steps of the log-odds between 10^-6 and 1 - 10^-6.

    Counts are whole numbers, so merging is exact, in bounded room however many the cases.

    Attributes:
        cells: counts by (truth · 256 + production's bin) · 256 + the candidate's bin.
    """

    cells: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, production: NDArray[np.float64], shadow: NDArray[np.float64], truth: NDArray[np.bool_]) -> Self:
        """Of scores between 0 and 1."""
        keys = (truth.astype(np.int64) * BINS + _bins(production)) * BINS + _bins(shadow)
        unique, counts = np.unique(keys, return_counts=True)
        return cls(dict(zip(unique.tolist(), counts.tolist(), strict=True)))

    def merge(self, other: Self) -> Self:
        """The counts of both."""
        cells = dict(self.cells)
        for key, count in other.cells.items():
            cells[key] = cells.get(key, 0) + count
        return type(self)(dict(sorted(cells.items())))

    def auc(self) -> PairedAuc | None:
        """Both areas and the error of their difference, or None without positives or without negatives.

        The area is the share of (positive, negative) in which the positive scores higher, ties counting half. The
        variance of the difference is that of the structural components (DeLong, DeLong, Clarke-Pearson, Biometrics
        1988). Scores in one bin are ties; half of their share bounds what that can do to an area.
        """
        table = np.zeros(2 * BINS * BINS, dtype=np.int64)
        for key, count in self.cells.items():
            table[key] = count
        negative, positive = table.reshape(2, BINS, BINS)
        m, n = int(positive.sum()), int(negative.sum())
        if not m or not n:
            return None
        of_positive, of_negative, areas, ties = [], [], [], []
        for axis in (1, 0):
            pos, neg = positive.sum(axis=axis), negative.sum(axis=axis)
            of_positive.append((np.cumsum(neg) - neg / 2) / n)
            of_negative.append((m - np.cumsum(pos) + pos / 2) / m)
            areas.append(float((of_positive[-1] * pos).sum() / m))
            ties.append(float((pos * neg).sum() / (m * n) / 2))
        error = None
        if m > 1 and n > 1:
            variance = _variance(positive, of_positive) / m + _variance(negative, of_negative) / n
            error = math.sqrt(max(0.0, variance))
        return PairedAuc(areas[0], areas[1], error, (ties[0], ties[1]), m, n)

    def to_state(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {"cells": {str(key): count for key, count in self.cells.items()}}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """What `to_state` wrote."""
        return cls({int(key): count for key, count in state["cells"].items()})


def _bins(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    inside = np.clip(scores, 1e-6, 1 - 1e-6)
    odds = np.log(inside / (1 - inside))
    bins: NDArray[np.int64] = np.clip(((odds + _END) / (2 * _END) * BINS).astype(np.int64), 0, BINS - 1)
    return bins


def _variance(counts: NDArray[np.int64], components: list[NDArray[np.float64]]) -> float:
    differences = components[1][None, :] - components[0][:, None]
    total = counts.sum()
    mean = (counts * differences).sum() / total
    return float((counts * (differences - mean) ** 2).sum() / (total - 1))
