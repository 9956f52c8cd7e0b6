"""Probabilities of classes: do both sides believe the same?

With p and s the two distributions of a row:

* Jensen-Shannon divergence KL(p||m)/2 + KL(s||m)/2 with m = (p + s)/2 and logarithms to base 2, between 0 and 1
  (Lin 1991); its square root is the Jensen-Shannon distance
* largest difference max |p_k - s_k|, between 0 and 1
* argmax disagrees: the likeliest class is another one (of equals, the first), the classes or the numbers of rows differ
* invalid: an entry outside of 0 to 1, or a sum further than `sum_tolerance` from 1; an unreadable answer is invalid too

What is invalid has no divergence. A row that sums to 1 within the tolerance is divided by its sum first.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from shadow_provider.comparators.contract import Comparison
from shadow_provider.comparators.kinds.embedding import dimensions
from shadow_provider.comparators.log_histogram import LogHistogram
from shadow_provider.comparators.moments import Moments
from shadow_provider.comparators.outcomes import outcomes_of
from shadow_provider.comparators.paired import Bools, Floats, alone, any_row, differing, mean_of_rows
from shadow_provider.comparators.spec import ProbabilitiesSpec
from shadow_provider.comparators.summary import PartsSummary, read_pairs, unread_causes
from shadow_provider.comparators.tally import Tally
from shadow_provider.comparators.vectors import Named, Vectors, matrices, read_vectors, row_pairs

if TYPE_CHECKING:
    import pyarrow as pa

_ROUNDING = 1e-9


@dataclass(frozen=True)
class ProbabilitiesSummary(PartsSummary):
    """Distributions over rows.

    Attributes:
        rows: `agree` or `disagree` on the likeliest class, or `other_classes`.
        pairs_with_other_rows: pairs whose answers differ in their number of rows, as `pairs`.
        invalid: answers that are no distribution, by side.
        dimensions: rows by both numbers of classes, as "production → candidate".
        divergence: Jensen-Shannon divergences.
        divergences: quantiles of them.
        largest: quantiles of the largest difference.
    """

    rows: Tally = field(default_factory=Tally)
    pairs_with_other_rows: Tally = field(default_factory=Tally)
    invalid: Tally = field(default_factory=Tally)
    dimensions: Tally = field(default_factory=Tally)
    divergence: Moments = field(default_factory=Moments)
    divergences: LogHistogram = field(default_factory=LogHistogram)
    largest: LogHistogram = field(default_factory=LogHistogram)

    def figures(self) -> dict[str, Any]:
        """Agreement, divergence and validity."""
        return {
            "rows": dict(self.rows.counts),
            "pairs_with_other_rows": self.pairs_with_other_rows.total,
            "invalid": dict(self.invalid.counts),
            "classes": self.dimensions.most(20),
            "jensen_shannon": self.divergence.to_json() | {"quantiles": self.divergences.quantiles()},
            "largest_difference": {"quantiles": self.largest.quantiles()},
        }


class ProbabilitiesComparator:
    """Compares distributions.

    Args:
        spec: how.
    """

    summary_type = ProbabilitiesSummary

    def __init__(self, spec: ProbabilitiesSpec) -> None:
        self.name = spec.name
        self.outcomes = outcomes_of(spec)
        self.identity = spec.identity
        self._spec = spec

    def compare(self, production: "pa.RecordBatch", shadow: "pa.RecordBatch") -> Comparison:
        """Compare two batches."""
        names: dict[Named, int] = {}
        read = [read_vectors(batch, self._spec.selector, names) for batch in (production, shadow)]
        left, right = (with_complement(each) for each in read)
        rows, tolerance = row_pairs(left, right), self._spec.sum_tolerance
        count, owner = len(rows.comparable), rows.owner
        valid = valid_rows(left, tolerance), valid_rows(right, tolerance)
        bad = any_row(~valid[0], left.owner, count), any_row(~valid[1], right.owner, count)
        usable = rows.same & valid[0][rows.production] & valid[1][rows.shadow]
        divergence, largest = (np.full(len(owner), np.nan) for _ in range(2))
        disagrees = ~rows.same
        same = np.flatnonzero(rows.same)
        for places, a in matrices(left, rows.production[same]):
            at = same[places]
            b = next(matrices(right, rows.shadow[at]))[1]
            disagrees[at] = a.argmax(axis=1) != b.argmax(axis=1)
            good = usable[at]
            p, s = (each[good] / each[good].sum(axis=1, keepdims=True) for each in (a, b))
            divergence[at[good]], largest[at[good]] = jensen_shannon(p, s), np.abs(p - s).max(axis=1)
        other_rows = left.readable & right.readable & ~rows.comparable
        differ = int(disagrees.sum()) - int((~rows.same).sum())
        kinds = [("agree", int((~disagrees).sum())), ("disagree", differ), ("other_classes", int((~rows.same).sum()))]
        summary = ProbabilitiesSummary(
            pairs=read_pairs(left.readable, right.readable),
            causes=unread_causes(left.causes, right.causes),
            rows=Tally.of(kinds),
            pairs_with_other_rows=Tally.of([("pairs", int(other_rows.sum()))]),
            invalid=Tally.of([("production", int(bad[0].sum())), ("candidate", int(bad[1].sum()))]),
            dimensions=dimensions(left, right, rows),
            divergence=Moments.of(divergence[usable]),
            divergences=LogHistogram.of(divergence),
            largest=LogHistogram.of(largest),
        )
        harm = alone(bad[0] | ~left.readable, bad[1] | ~right.readable)
        harm[~left.readable & ~right.readable] = np.nan
        values = {
            "argmax_disagrees": differing(left.readable, right.readable, any_row(disagrees, owner, count) | other_rows),
            "invalid": harm,
            "jensen_shannon": mean_of_rows(divergence, owner, count),
            "largest_difference": mean_of_rows(largest, owner, count),
        }
        return Comparison(values, (left.readable, right.readable), summary)


def with_complement(vectors: Vectors) -> Vectors:
    """Rows of one number p without a name become (1 - p, p)."""
    sizes = np.diff(vectors.offsets)
    single = (sizes == 1) & (vectors.names == 0)
    if not single.any():
        return vectors
    at = vectors.offsets[:-1][single]
    values = np.insert(vectors.values, at, 1 - vectors.values[at])
    offsets = np.concatenate(([0], np.cumsum(sizes + single)))
    return Vectors(values, offsets, vectors.owner, vectors.names, vectors.readable, vectors.causes)


def valid_rows(vectors: Vectors, tolerance: float) -> Bools:
    """Which rows are distributions."""
    valid = np.zeros(len(vectors.owner), dtype=np.bool_)
    for places, values in matrices(vectors, np.arange(len(vectors.owner))):
        inside = ((values >= 0) & (values <= 1)).all(axis=1)
        with np.errstate(over="ignore", invalid="ignore"):
            valid[places] = inside & (np.abs(values.sum(axis=1) - 1) <= tolerance + _ROUNDING)
    return valid


def jensen_shannon(p: Floats, s: Floats) -> Floats:
    """Jensen-Shannon divergence of the rows of two matrices, base 2."""
    middle = (p + s) / 2
    with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
        terms = [np.where(each > 0, each * np.log2(each / middle), 0.0) for each in (p, s)]
    divergence: Floats = np.clip((terms[0] + terms[1]).sum(axis=1) / 2, 0.0, 1.0)
    return divergence
