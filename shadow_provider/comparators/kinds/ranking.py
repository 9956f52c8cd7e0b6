"""Rankings: are the same items at the top, in the same order?

With P and S the two lists, best first, per row of an answer:

* top k differs: the sets of the first k items are not equal
* overlap loss 1 - |P_k ∩ S_k| / max(|P_k|, |S_k|), with P_k the first k items
* RBO distance 1 - RBO_ext, the extrapolated rank-biased overlap for lists of unequal length with persistence p
  (Webber, Moffat, Zobel, ACM TOIS 28(4), 2010, equation 32)
* Kendall distance (1 - tau)/2 with tau-b over the items that both have; a list has no ties, so tau-b is
  (concordant - discordant) / (n(n-1)/2); none for fewer than two common items

All scores are between 0 and 1. An item twice in one list makes it unreadable.
"""

from bisect import bisect, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from shadow_provider.comparators.answers import csv_rows, documents, read_answers, select
from shadow_provider.comparators.contract import Comparison
from shadow_provider.comparators.label import UnreadableAnswerError, normalise
from shadow_provider.comparators.log_histogram import LogHistogram
from shadow_provider.comparators.moments import Moments
from shadow_provider.comparators.outcomes import outcomes_of
from shadow_provider.comparators.paired import differing
from shadow_provider.comparators.spec import RankingSpec, VectorSelector
from shadow_provider.comparators.summary import PartsSummary, read_pairs, unread_causes
from shadow_provider.comparators.tally import Tally
from shadow_provider.comparators.vectors import cells_of, usual_list

if TYPE_CHECKING:
    import pyarrow as pa

Ranking = tuple[str, ...]
Rankings = tuple[Ranking, ...]
RANKING_KEYS = ("ranking", "items", "ids", "recommendations", "documents")


@dataclass(frozen=True)
class RankingSummary(PartsSummary):
    """Rankings over pairs.

    Attributes:
        top: pairs by their top: `same`, `differs`, or `other_rows` where the numbers of rows differ.
        overlap: overlap losses.
        rbo: RBO distances.
        rbos: quantiles of them.
        kendall: Kendall distances.
    """

    top: Tally = field(default_factory=Tally)
    overlap: Moments = field(default_factory=Moments)
    rbo: Moments = field(default_factory=Moments)
    rbos: LogHistogram = field(default_factory=LogHistogram)
    kendall: Moments = field(default_factory=Moments)

    def figures(self) -> dict[str, Any]:
        """Overlap, RBO and Kendall."""
        return {
            "top_k": dict(self.top.counts),
            "overlap_loss": self.overlap.to_json(),
            "rbo_distance": self.rbo.to_json() | {"quantiles": self.rbos.quantiles()},
            "kendall_distance": self.kendall.to_json(),
        }


class RankingComparator:
    """Compares rankings.

    Args:
        spec: how.
    """

    summary_type = RankingSummary

    def __init__(self, spec: RankingSpec) -> None:
        self.name = spec.name
        self.outcomes = outcomes_of(spec)
        self.identity = spec.identity
        self._spec = spec

    def compare(self, production: "pa.RecordBatch", shadow: "pa.RecordBatch") -> Comparison:
        """Compare two batches."""
        reader = partial(read_rankings, selector=self._spec.selector, depth=self._spec.depth)
        left, right = read_answers(production, reader), read_answers(shadow, reader)
        count = len(left.readable)
        figures = np.full((4, count), np.nan)
        known: dict[tuple[int, int], tuple[float, ...]] = {}
        both = left.readable & right.readable
        for pair in np.flatnonzero(both).tolist():
            key = int(left.which[pair]), int(right.which[pair])
            if key not in known:
                known[key] = self._figures(left.distinct[key[0]] or (), right.distinct[key[1]] or ())
            figures[:, pair] = known[key]
        differs, overlap, rbo, kendall = figures
        other_rows = both & np.isnan(overlap)
        tops = [("differs", int((differs[both & ~other_rows] == 1).sum())), ("same", int((differs == 0).sum()))]
        summary = RankingSummary(
            pairs=read_pairs(left.readable, right.readable),
            causes=unread_causes(left.causes, right.causes),
            top=Tally.of([*tops, ("other_rows", int(other_rows.sum()))]),
            overlap=Moments.of(overlap[~np.isnan(overlap)]),
            rbo=Moments.of(rbo[~np.isnan(rbo)]),
            rbos=LogHistogram.of(rbo),
            kendall=Moments.of(kendall[~np.isnan(kendall)]),
        )
        values = {
            "top_k_differs": differing(left.readable, right.readable, differs),
            "overlap_loss": overlap,
            "rbo_distance": rbo,
            "kendall_distance": kendall,
        }
        return Comparison(values, (left.readable, right.readable), summary)

    def _figures(self, left: Rankings, right: Rankings) -> tuple[float, ...]:
        if len(left) != len(right):
            return 1.0, np.nan, np.nan, np.nan
        rows = [
            (overlap_loss(p, s, self._spec.k), 1 - rbo(p, s, self._spec.p), kendall_distance(p, s))
            for p, s in zip(left, right, strict=True)
        ]
        means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        return float(any(row[0] > 0 for row in rows)), *means


def overlap_loss(p: Ranking, s: Ranking, k: int) -> float:
    """Part of the first k items that the two do not share."""
    top = set(p[:k]), set(s[:k])
    return 1 - len(top[0] & top[1]) / max(len(top[0]), len(top[1]))


def rbo(one: Ranking, other: Ranking, p: float) -> float:
    """Extrapolated rank-biased overlap of two lists without items that come twice."""
    if one == other:
        return 1.0
    shorter, longer = sorted((one, other), key=len)
    s, l_ = len(shorter), len(longer)
    seen_short: set[str] = set()
    seen_long: set[str] = set()
    overlap, at_s, total = 0, 0, 0.0
    for depth in range(1, l_ + 1):
        item = longer[depth - 1]
        seen_long.add(item)
        overlap += item in seen_short
        if depth <= s:
            seen_short.add(shorter[depth - 1])
            overlap += shorter[depth - 1] in seen_long
        if depth == s:
            at_s = overlap
        agreement = overlap / depth
        if depth > s:
            agreement += at_s * (depth - s) / (s * depth)
        total += agreement * p**depth
    value = (1 - p) / p * total + ((overlap - at_s) / l_ + at_s / s) * p**l_
    return min(1.0, max(0.0, value))


def kendall_distance(p: Ranking, s: Ranking) -> float:
    """Part of the pairs of common items that the two order differently; NaN for fewer than two."""
    place = {item: index for index, item in enumerate(s)}
    common = [place[item] for item in p if item in place]
    count = len(common)
    if count < 2:
        return float("nan")
    return _inversions(common) / (count * (count - 1) / 2)


def _inversions(values: Sequence[int]) -> int:
    seen: list[int] = []
    found = 0
    for value in values:
        found += len(seen) - bisect(seen, value)
        insort(seen, value)
    return found


def read_rankings(text: str, media: str | None, selector: VectorSelector, depth: int) -> Rankings:
    """The lists of an answer, one a row.

    Raises:
        UnreadableAnswerError: there is none, an item is no scalar, or one comes twice.
    """
    values = documents(text, media)
    rows: list[list[Any]] = []
    if values is None:
        rows = [list(cells_of(row, selector)) for row in csv_rows(text)]
    else:
        for value in values:
            found = select(value, selector.path) if selector.path is not None else usual_list(value, RANKING_KEYS)
            if not isinstance(found, list) or not found:
                raise UnreadableAnswerError("no list of items")
            rows += found if all(isinstance(each, list) for each in found) else [found]
    return tuple(_ranking(row, depth) for row in rows)


def _ranking(row: list[Any], depth: int) -> Ranking:
    items = tuple(normalise(None if isinstance(item, list | dict) else item) for item in row[:depth])
    if not items:
        raise UnreadableAnswerError("no list of items")
    if len(set(items)) < len(items):
        raise UnreadableAnswerError("an item comes twice")
    return items
