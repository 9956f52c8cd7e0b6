"""Class labels: does the candidate say the same?

Labels are equal if they are equal text, or numbers of equal value (1, 1.0, "1"). A pair disagrees if any of its rows
does, or if the numbers of rows differ.

* agreement: share of rows with equal labels
* Cohen's kappa = (po - pe) / (1 - pe), with po the agreement and pe = sum over labels of production's share times the
  candidate's (Cohen 1960), over rows; None if pe is 1 or if there were too many different labels to count
* confusion: rows by production's and the candidate's label
* score difference |s - p| of the scores, if asked for: mean over the rows of a pair; its sign is described too
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from shadow_provider.comparators.answers import cells, json_value, read_answers
from shadow_provider.comparators.arrow import column, filled
from shadow_provider.comparators.contract import Comparison
from shadow_provider.comparators.json_shape import is_steady, like_first
from shadow_provider.comparators.kinds.number import aligned
from shadow_provider.comparators.label import LABEL_KEYS, UnreadableAnswerError, normalise
from shadow_provider.comparators.log_histogram import LogHistogram
from shadow_provider.comparators.moments import Moments
from shadow_provider.comparators.numbers import (
    FARTHEST_COLUMN,
    Ragged,
    csv_cell,
    find_one,
    only_kind,
    read_numbers,
    short,
    with_single,
)
from shadow_provider.comparators.outcomes import outcomes_of
from shadow_provider.comparators.paired import Floats, any_row, differing, mean_of_rows
from shadow_provider.comparators.shared_reading import read_once
from shadow_provider.comparators.spec import LabelSpec, Selector
from shadow_provider.comparators.summary import PartsSummary, read_pairs, unread_causes
from shadow_provider.comparators.tally import Tally

if TYPE_CHECKING:
    import pyarrow as pa

MOST_LABELS = 10_000
MOST_CELLS = 2_000
SHOWN_CELLS = 100
_CELL = r'(?P<x>[^,"\r\n]*[^,"\s][^,"\r\n]*)'


@dataclass(frozen=True)
class LabelSummary(PartsSummary):
    """Labels over rows.

    Attributes:
        rows: by whether they agree: `agree` or `disagree`.
        pairs_with_other_rows: pairs whose answers differ in their number of rows, as `pairs`.
        production: rows by production's label.
        shadow: rows by the candidate's label.
        confusion: rows by both, as "production → candidate".
        shift: the candidate's score minus production's.
        shifts: quantiles of it.
        scores: pairs by their scores: `compared`, `unreadable`, `out_of_bounds`.
    """

    rows: Tally = field(default_factory=Tally)
    pairs_with_other_rows: Tally = field(default_factory=Tally)
    production: Tally = field(default_factory=lambda: Tally(limit=MOST_LABELS))
    shadow: Tally = field(default_factory=lambda: Tally(limit=MOST_LABELS))
    confusion: Tally = field(default_factory=lambda: Tally(limit=MOST_CELLS))
    shift: Moments = field(default_factory=Moments)
    shifts: LogHistogram = field(default_factory=LogHistogram)
    scores: Tally = field(default_factory=Tally)

    @property
    def agreement(self) -> float | None:
        """Share of rows with equal labels."""
        return self.rows["agree"] / self.rows.total if self.rows.total else None

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa."""
        total = self.rows.total
        if not total or not (self.production.complete and self.shadow.complete):
            return None
        chance = sum(count * self.shadow[label] for label, count in self.production.counts.items())
        return (self.rows["agree"] * total - chance) / (total * total - chance) if chance < total * total else None

    def figures(self) -> dict[str, Any]:
        """Agreement, kappa and confusion."""
        scores = {"scores": dict(self.scores.counts), "score_shift": self.shift.to_json()} if self.scores.total else {}
        return {
            "rows": self.rows.total,
            "rows_that_disagree": self.rows["disagree"],
            "pairs_with_other_rows": self.pairs_with_other_rows.total,
            "agreement": self.agreement,
            "kappa": self.kappa,
            "production_labels": self.production.most(SHOWN_CELLS),
            "candidate_labels": self.shadow.most(SHOWN_CELLS),
            "confusion": self.confusion.most(SHOWN_CELLS),
            "confusion_complete": self.confusion.complete and len(self.confusion.counts) <= SHOWN_CELLS,
            **scores,
            **({"score_shift_quantiles": self.shifts.quantiles()} if self.scores.total else {}),
        }


class LabelComparator:
    """Compares class labels.

    Args:
        spec: how.
    """

    summary_type = LabelSummary

    def __init__(self, spec: LabelSpec) -> None:
        self.name = spec.name
        self.identity = spec.identity
        self._spec = spec
        self.outcomes = outcomes_of(spec)

    def compare(self, production: "pa.RecordBatch", shadow: "pa.RecordBatch") -> Comparison:
        """Compare two batches."""
        codes: dict[str, int] = {}
        left, right = (
            read_labels(batch, self._spec.selector, codes, ignore_case=self._spec.ignore_case)
            for batch in (production, shadow)
        )
        p, s, owner, comparable = aligned(left, right)
        count = len(comparable)
        differ = p != s
        other_rows = left.readable & right.readable & ~comparable
        disagrees = differing(left.readable, right.readable, any_row(differ, owner, count) | other_rows)
        values = {"disagrees": disagrees}
        scored: dict[str, Any] = {}
        if self._spec.score is not None:
            values["score_difference"], scored = self._scores(production, shadow, self._spec.score)
        words = list(codes)
        summary = LabelSummary(
            pairs=read_pairs(left.readable, right.readable),
            causes=unread_causes(left.causes, right.causes),
            rows=Tally.of([("agree", int((~differ).sum())), ("disagree", int(differ.sum()))]),
            pairs_with_other_rows=Tally.of([("pairs", int(other_rows.sum()))]),
            production=_counted(p, words),
            shadow=_counted(s, words),
            confusion=_confusion(p, s, words),
            **scored,
        )
        return Comparison(values, (left.readable, right.readable), summary)

    def _scores(
        self, production: "pa.RecordBatch", shadow: "pa.RecordBatch", selector: Selector
    ) -> tuple[Floats, dict[str, Any]]:
        left, right = read_numbers(production, selector), read_numbers(shadow, selector)
        p, s, owner, comparable = aligned(left, right)
        least, most = self._spec.score_least, self._spec.score_most
        inside = (p >= least) & (p <= most) & (s >= least) & (s <= most)
        values = mean_of_rows(np.where(inside, np.abs(s - p), np.nan), owner, len(comparable))
        compared = int((~np.isnan(values)).sum())
        kinds = [
            ("compared", compared),
            ("out_of_bounds", int(comparable.sum()) - compared),
            ("unreadable", int((~comparable).sum())),
        ]
        shift = (s - p)[inside]
        return values, {"shift": Moments.of(shift), "shifts": LogHistogram.of(shift), "scores": Tally.of(kinds)}


def read_labels(
    batch: "pa.RecordBatch", selector: Selector, codes: dict[str, int], *, ignore_case: bool = False
) -> Ragged:
    """The labels of each answer as numbers, which `codes` gives and remembers.

    One label out of plain CSV, or out of JSON of one shape, is had from whole columns and read once for each different
    label; all other answers are read once for each different text, with the same result.
    """
    known: dict[tuple[type, Any], float] = {}

    def code(value: Any) -> float:
        if isinstance(value, list | dict):
            raise UnreadableAnswerError("no scalar where a label is expected")
        key = type(value), value
        if key not in known:
            label = normalise(value)
            known[key] = float(codes.setdefault(label.casefold() if ignore_case else label, len(codes)))
        return known[key]

    def read(text: str, media: str | None) -> Floats:
        found = cells(text, media, selector.column, selector.path, LABEL_KEYS)
        return np.array([code(value) for value in found], dtype=np.float64)

    single, quick = _quick(batch, selector, code)
    slow = read_answers(batch.filter(column(~quick)), read)
    return with_single(single, quick, Ragged.of(slow.distinct, slow.which, slow.causes))


def _quick(batch: "pa.RecordBatch", selector: Selector, code: Callable[[Any], float]) -> tuple[Floats, Any]:

    text, kind = batch.column("text"), only_kind(batch)
    encoded = read_once(text, ("label", kind, selector.column, selector.path), lambda: _encoded(text, kind, selector))
    if encoded is None:
        return np.zeros(0), np.zeros(batch.num_rows, dtype=np.bool_)
    values = np.array([_or_nan(code, cell, kind) for cell in encoded.dictionary.to_pylist()] + [np.nan])
    single = values[filled(encoded.indices, -1)]
    return single, ~np.isnan(single)


def _encoded(text: "pa.Array", kind: str | None, selector: Selector) -> "pa.DictionaryArray | None":
    """The text of one label per answer where that can be had from whole columns, null elsewhere."""
    import pyarrow.compute as pc

    found = None
    if kind == "csv" and selector.column <= FARTHEST_COLUMN:
        found = csv_cell(text, selector.column, _CELL)
    elif kind == "json" and (selector.path is None or is_steady(selector.path)):
        found = like_first(short(text), partial(find_one, path=selector.path, keys=LABEL_KEYS), want="scalar")
    return None if found is None else pc.dictionary_encode(found)


def _or_nan(code: Callable[[Any], float], cell: str, kind: str | None) -> float:
    try:
        return code(cell if kind == "csv" else json_value(cell))
    except UnreadableAnswerError:
        return np.nan


def _counted(labels: Floats, words: list[str]) -> Tally:
    counts = np.bincount(labels.astype(np.int64), minlength=len(words)).tolist()
    return Tally.of(zip(words, counts, strict=True), limit=MOST_LABELS)


def _confusion(p: Floats, s: Floats, words: list[str]) -> Tally:
    cells_, counts = np.unique(p.astype(np.int64) * len(words) + s.astype(np.int64), return_counts=True)
    named = (
        (f"{words[cell // len(words)][:50]} → {words[cell % len(words)][:50]}", count)
        for cell, count in zip(cells_.tolist(), counts.tolist(), strict=True)
    )
    return Tally.of(named, limit=MOST_CELLS)
