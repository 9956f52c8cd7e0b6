"""Embeddings: do both sides point the same way?

With p production's vector and s the candidate's, per row of an answer:

* cosine distance 1 - p·s / (|p| |s|), between 0 and 2; none if one of them is a vector of zeros
* norm difference 1 - min(|p|, |s|) / max(|p|, |s|), between 0 and 1; 0 if both are zero
* dimension mismatch: the two have different lengths, or different names, or the answers have different numbers of rows

Vectors are scaled by their largest value first, so that no square is beyond a double.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from shadow_provider.comparators.contract import Comparison
from shadow_provider.comparators.log_histogram import LogHistogram
from shadow_provider.comparators.moments import Moments
from shadow_provider.comparators.outcomes import outcomes_of
from shadow_provider.comparators.paired import Floats, any_row, differing, mean_of_rows
from shadow_provider.comparators.spec import EmbeddingSpec
from shadow_provider.comparators.summary import PartsSummary, read_pairs, unread_causes
from shadow_provider.comparators.tally import Tally
from shadow_provider.comparators.vectors import Named, RowPairs, Vectors, matrices, read_vectors, row_pairs

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class EmbeddingSummary(PartsSummary):
    """Vectors over rows.

    Attributes:
        rows: `compared`, `mismatched`, or `zero` where a vector has no direction.
        pairs_with_other_rows: pairs whose answers differ in their number of rows, as `pairs`.
        dimensions: rows by both dimensions, as "production → candidate".
        distance: cosine distances.
        distances: quantiles of them.
        norms: quantiles of the candidate's norm over production's.
    """

    rows: Tally = field(default_factory=Tally)
    pairs_with_other_rows: Tally = field(default_factory=Tally)
    dimensions: Tally = field(default_factory=Tally)
    distance: Moments = field(default_factory=Moments)
    distances: LogHistogram = field(default_factory=LogHistogram)
    norms: LogHistogram = field(default_factory=LogHistogram)

    def figures(self) -> dict[str, Any]:
        """Distances, dimensions and norms."""
        return {
            "rows": dict(self.rows.counts),
            "pairs_with_other_rows": self.pairs_with_other_rows.total,
            "dimensions": self.dimensions.most(20),
            "cosine_distance": self.distance.to_json() | {"quantiles": self.distances.quantiles()},
            "norm_ratio": {"quantiles": self.norms.quantiles()},
        }


class EmbeddingComparator:
    """Compares embeddings.

    Args:
        spec: how.
    """

    summary_type = EmbeddingSummary

    def __init__(self, spec: EmbeddingSpec) -> None:
        self.name = spec.name
        self.outcomes = outcomes_of(spec)
        self.identity = spec.identity
        self._spec = spec

    def compare(self, production: "pa.RecordBatch", shadow: "pa.RecordBatch") -> Comparison:
        """Compare two batches."""
        names: dict[Named, int] = {}
        left, right = (read_vectors(batch, self._spec.selector, names) for batch in (production, shadow))
        rows = row_pairs(left, right)
        count = len(rows.comparable)
        distance, norm, ratio = cosines(left, right, rows)
        other_rows = left.readable & right.readable & ~rows.comparable
        known = distance[~np.isnan(distance)]
        mismatched = int((~rows.same).sum())
        kinds = [
            ("compared", len(known)),
            ("mismatched", mismatched),
            ("zero", len(distance) - mismatched - len(known)),
        ]
        summary = EmbeddingSummary(
            pairs=read_pairs(left.readable, right.readable),
            causes=unread_causes(left.causes, right.causes),
            rows=Tally.of(kinds),
            pairs_with_other_rows=Tally.of([("pairs", int(other_rows.sum()))]),
            dimensions=dimensions(left, right, rows),
            distance=Moments.of(known),
            distances=LogHistogram.of(known),
            norms=LogHistogram.of(ratio[np.isfinite(ratio)]),
        )
        values = {
            "dimension_mismatch": differing(
                left.readable, right.readable, any_row(~rows.same, rows.owner, count) | other_rows
            ),
            "cosine_distance": mean_of_rows(distance, rows.owner, count),
            "norm_difference": mean_of_rows(norm, rows.owner, count),
        }
        return Comparison(values, (left.readable, right.readable), summary)


def cosines(left: Vectors, right: Vectors, rows: RowPairs) -> tuple[Floats, Floats, Floats]:
    """Cosine distance, norm difference, and the candidate's norm over production's, by pair of rows; NaN where none."""
    distance, norm, ratio = (np.full(len(rows.same), np.nan) for _ in range(3))
    same = np.flatnonzero(rows.same)
    for places, a in matrices(left, rows.production[same]):
        b = next(matrices(right, rows.shadow[same[places]]))[1]
        at = same[places]
        distance[at], norm[at], ratio[at] = _cosines(a, b)
    return distance, norm, ratio


def _cosines(a: Floats, b: Floats) -> tuple[Floats, Floats, Floats]:
    sizes = np.abs(a).max(axis=1), np.abs(b).max(axis=1)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore", under="ignore"):
        p, s = a / sizes[0][:, None], b / sizes[1][:, None]
        norms = np.sqrt((p * p).sum(axis=1)), np.sqrt((s * s).sum(axis=1))
        cosine = (p * s).sum(axis=1) / (norms[0] * norms[1])
        # Equal vectors are at no distance, whatever the last digit of a sum says.
        distance = np.where((p == s).all(axis=1), 0.0, np.clip(1 - cosine, 0.0, 2.0))
        ratio = (sizes[1] / sizes[0]) * (norms[1] / norms[0])
        norm = 1 - np.minimum(ratio, 1 / ratio)
    one_zero = (sizes[0] == 0) != (sizes[1] == 0)
    norm = np.where((sizes[0] == 0) & (sizes[1] == 0), 0.0, np.where(one_zero, 1.0, norm))
    none = (sizes[0] == 0) | (sizes[1] == 0)
    return np.where(none, np.nan, distance), norm, np.where(none, np.nan, ratio)


def dimensions(left: Vectors, right: Vectors, rows: RowPairs) -> Tally:
    """Rows by both dimensions."""
    sizes = np.diff(left.offsets)[rows.production], np.diff(right.offsets)[rows.shadow]
    both, counts = np.unique(np.stack(sizes), axis=1, return_counts=True)
    return Tally.of((f"{p} → {s}", n) for p, s, n in zip(*both.tolist(), counts.tolist(), strict=True))
