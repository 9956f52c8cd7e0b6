"""Numbers: how far the candidate's answer is from production's.

With p production's number and s the candidate's, per row of an answer:

* difference d = s - p; absolute |d|, at most `most_difference` if that is given
* relative difference |d| / max(|p|, |s|), 0 if both are 0; between 0 and 2
* outside tolerance: |d| > max(absolute_tolerance, relative_tolerance · max(|p|, |s|)), the rule of `math.isclose`

A pair's score is the mean over its rows; a pair is outside if any row is, or if the numbers of rows differ.

Described besides: bias = mean of d, limits of agreement = bias ± 1.96 standard deviations of d (Bland and Altman,
Lancet 1986), quantiles of d, |d| and the relative difference to 1 %.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from shadow_provider.comparators.contract import Comparison
from shadow_provider.comparators.log_histogram import LogHistogram
from shadow_provider.comparators.moments import Moments
from shadow_provider.comparators.numbers import Ragged, read_numbers
from shadow_provider.comparators.outcomes import outcomes_of
from shadow_provider.comparators.paired import Floats, any_row, differing, mean_of_rows
from shadow_provider.comparators.spec import NumberSpec
from shadow_provider.comparators.summary import PartsSummary, read_pairs, unread_causes
from shadow_provider.comparators.tally import Tally

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class NumberSummary(PartsSummary):
    """Differences over rows.

    Attributes:
        rows: by what they are: `within` or `outside` of the tolerance.
        pairs_with_other_rows: pairs whose answers differ in their number of rows, as `pairs`.
        difference: candidate minus production.
        signed: quantiles of the difference.
        size: quantiles of its size.
        relative: quantiles of the relative difference.
        production: the values themselves.
        shadow: the candidate's.
    """

    rows: Tally = field(default_factory=Tally)
    pairs_with_other_rows: Tally = field(default_factory=Tally)
    difference: Moments = field(default_factory=Moments)
    signed: LogHistogram = field(default_factory=LogHistogram)
    size: LogHistogram = field(default_factory=LogHistogram)
    relative: LogHistogram = field(default_factory=LogHistogram)
    production: Moments = field(default_factory=Moments)
    shadow: Moments = field(default_factory=Moments)

    def figures(self) -> dict[str, Any]:
        """Bias, limits of agreement, quantiles."""
        bias, spread = self.difference.mean, self.difference.deviation
        limits = None if bias is None or spread is None else [bias - 1.96 * spread, bias + 1.96 * spread]
        return {
            "rows": self.rows.total,
            "rows_outside_tolerance": self.rows["outside"],
            "pairs_with_other_rows": self.pairs_with_other_rows.total,
            "bias": bias,
            "limits_of_agreement": limits,
            "difference": self.difference.to_json() | {"quantiles": self.signed.quantiles()},
            "absolute_difference": {"quantiles": self.size.quantiles()},
            "relative_difference": {"quantiles": self.relative.quantiles()},
            "production": self.production.to_json(),
            "candidate": self.shadow.to_json(),
        }


class NumberComparator:
    """Compares numbers.

    Args:
        spec: how.
    """

    summary_type = NumberSummary

    def __init__(self, spec: NumberSpec) -> None:
        self.name = spec.name
        self.identity = spec.identity
        self._spec = spec
        self.outcomes = outcomes_of(spec)

    def compare(self, production: "pa.RecordBatch", shadow: "pa.RecordBatch") -> Comparison:
        """Compare two batches."""
        left, right = read_numbers(production, self._spec.selector), read_numbers(shadow, self._spec.selector)
        p, s, owner, comparable = aligned(left, right)
        count = len(comparable)
        size, relative, outside = self._rows(p, s)
        other_rows = left.readable & right.readable & ~comparable
        differs = any_row(outside, owner, count) | other_rows
        with np.errstate(over="ignore"):
            difference = s - p
        summary = NumberSummary(
            pairs=read_pairs(left.readable, right.readable),
            causes=unread_causes(left.causes, right.causes),
            rows=Tally.of([("outside", int(outside.sum())), ("within", int((~outside).sum()))]),
            pairs_with_other_rows=Tally.of([("pairs", int(other_rows.sum()))]),
            difference=Moments.of(difference),
            signed=LogHistogram.of(difference),
            size=LogHistogram.of(np.abs(difference)),
            relative=LogHistogram.of(relative),
            production=Moments.of(p),
            shadow=Moments.of(s),
        )
        values = {
            "outside_tolerance": differing(left.readable, right.readable, differs),
            "absolute_difference": finite_or_nan(mean_of_rows(size, owner, count)),
            "relative_difference": mean_of_rows(relative, owner, count),
        }
        return Comparison(values, (left.readable, right.readable), summary)

    def _rows(self, p: Floats, s: Floats) -> tuple[Floats, Floats, Any]:
        largest = np.maximum(np.abs(p), np.abs(s))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            size = np.abs(s - p)
            relative = np.where(largest > 0, np.abs(s / largest - p / largest), 0.0)
            within = size <= np.maximum(self._spec.absolute_tolerance, self._spec.relative_tolerance * largest)
        if self._spec.most_difference is not None:
            size = np.minimum(size, self._spec.most_difference)
        return size, np.minimum(relative, 2.0), ~within


def aligned(left: Ragged, right: Ragged) -> tuple[Floats, Floats, Any, Any]:
    """Rows of the pairs that are readable and equally long: both sides' values, whose they are, and which pairs."""
    comparable = left.readable & right.readable & (left.lengths == right.lengths)
    owner = np.repeat(np.flatnonzero(comparable), left.lengths[comparable])
    return left.rows(comparable), right.rows(comparable), owner, comparable


def finite_or_nan(values: Floats) -> Floats:
    """Infinite figures are none: they would poison every sum."""
    return np.where(np.isfinite(values), values, np.nan)
