"""Answers against the truth: which side is right, and by how much each is wrong.

The batch of truths has the columns of the others (`text`, `media`); row i is the truth of pair i, null where there is
none yet. A pair without a readable truth has no figure. Of the others:

* class: `wrong`, +1 where the candidate alone is wrong, -1 where production alone is. A pair is wrong if any of its
  rows is, if it is unreadable, or if it has other rows than the truth
* score: `brier_loss`, the difference of (p - y)², and `log_loss`, that of -ln of the probability of what was true,
  with probabilities kept `clip` from 0 and 1
* probabilities: the same with the Brier score over all classes, sum of (p_k - y_k)², between 0 and 2
* number: `absolute_error` and `squared_error`, at most `most_error` and its square if that is given
* ranking: `ndcg_loss`, production's NDCG@k minus the candidate's. DCG@k is the sum over places i of
  relevance / log2(i + 1), NDCG divides by that of the best order

Differences are the candidate's minus production's mean over the rows of a pair, so more is worse. They need both sides;
an answer that cannot be used has none, and is counted.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from shadow_provider.comparators.contract import Comparison
from shadow_provider.comparators.kinds.label import read_labels
from shadow_provider.comparators.kinds.number import finite_or_nan
from shadow_provider.comparators.label import normalise
from shadow_provider.comparators.moments import Moments
from shadow_provider.comparators.numbers import Ragged, read_numbers
from shadow_provider.comparators.outcomes import Outcome, truth_outcomes_of
from shadow_provider.comparators.paired import Bools, Floats, any_row, mean_of_rows
from shadow_provider.comparators.score_grid import ScoreGrid
from shadow_provider.comparators.tally import Tally
from shadow_provider.comparators.truth_classes import truth_of_classes
from shadow_provider.comparators.truth_ranking import RankingTruth
from shadow_provider.comparators.truth_sides import Batch, Sides, missing_truth, owners, ragged_sides
from shadow_provider.comparators.truth_spec import (
    ClassTruthSpec,
    NumberTruthSpec,
    ProbabilitiesTruthSpec,
    ScoreTruthSpec,
    TruthSpec,
    truth_spec,
)
from shadow_provider.comparators.truth_summaries import (
    MOST_CLASSES,
    ClassTruthSummary,
    ErrorSummary,
    LossSummary,
    TruthSummary,
)

if TYPE_CHECKING:
    import pyarrow as pa


class TruthComparator(Protocol):
    """One way to hold both answers against the truth."""

    name: str
    identity: str
    outcomes: tuple[Outcome, ...]

    def compare(self, production: "pa.RecordBatch", shadow: "pa.RecordBatch", truth: "pa.RecordBatch") -> Comparison:
        """Compare three batches of equal length. No payload makes it raise."""


def truth_comparator(value: TruthSpec | Mapping[str, Any] | str) -> TruthComparator:
    """The comparator for a specification, or for a mapping or JSON text of one.

    Raises:
        ComparatorError: it is no usable specification.
    """
    spec = truth_spec(value)
    made: TruthComparator = _CLASSES[spec.kind](spec)
    return made


def kept_truth_summary(kind: str, state: Mapping[str, Any]) -> TruthSummary:
    """The summary that a comparator of a kind wrote with `to_state`."""
    kept: TruthSummary = _CLASSES[kind].summary_type.from_state(state)
    return kept


class ClassTruth:
    """Predicted classes against true ones.

    Args:
        spec: how.
    """

    summary_type = ClassTruthSummary

    def __init__(self, spec: ClassTruthSpec) -> None:
        self.name = spec.name
        self.outcomes = truth_outcomes_of(spec)
        self.identity = spec.identity
        self._spec = spec

    def compare(self, production: Batch, shadow: Batch, truth: Batch) -> Comparison:
        """Compare three batches."""
        words: dict[str, int] = {}
        selectors = (self._spec.selector, self._spec.selector, self._spec.truth)
        left, right, true = (
            read_labels(batch, selector, words, ignore_case=self._spec.ignore_case)
            for batch, selector in zip((production, shadow, truth), selectors, strict=True)
        )
        sides = ragged_sides(left, right, true)
        wrong = [self._wrong(side, true, fits) for side, fits in zip((left, right), sides.fits, strict=True)]
        harm = wrong[1].astype(np.float64) - wrong[0]
        harm[sides.unlabelled] = np.nan
        y, p, s = (each.rows(sides.used).astype(np.int64) for each in (true, left, right))
        names = list(words)

        def counted(labels: Any) -> Tally:
            counts = np.bincount(labels, minlength=len(names)).tolist()
            return Tally.of(zip(names, counts, strict=True), limit=MOST_CLASSES)

        summary = ClassTruthSummary(
            **sides.described(missing_truth(truth)),
            truth=counted(y),
            production=counted(p),
            shadow=counted(s),
            production_hits=counted(y[y == p]),
            shadow_hits=counted(y[y == s]),
        )
        return Comparison({"wrong": harm}, (left.readable, right.readable), summary)

    def _wrong(self, side: Ragged, true: Ragged, fits: Bools) -> Bools:
        differ = side.rows(fits) != true.rows(fits)
        return ~fits | any_row(differ, owners(true, fits), len(fits))


class ScoreTruth:
    """The probability of one class against the truth.

    Args:
        spec: how.
    """

    summary_type = LossSummary

    def __init__(self, spec: ScoreTruthSpec) -> None:
        self.name = spec.name
        self.outcomes = truth_outcomes_of(spec)
        self.identity = spec.identity
        self._spec = spec
        self._positive = normalise(spec.positive)

    def compare(self, production: Batch, shadow: Batch, truth: Batch) -> Comparison:
        """Compare three batches."""
        words = {self._positive: 0}
        sides = ragged_sides(
            _probability(read_numbers(production, self._spec.selector)),
            _probability(read_numbers(shadow, self._spec.selector)),
            read_labels(truth, self._spec.truth, words),
        )
        y = sides.truth.rows(sides.used) == 0
        scores = [side.rows(sides.used) for side in (sides.left, sides.right)]
        brier = [(score - y) ** 2 for score in scores]
        logs = [self._log_loss(score, y) for score in scores]
        summary = _loss_summary(sides, truth, brier, logs, ScoreGrid.of(scores[0], scores[1], y))
        owner = owners(sides.truth, sides.used)
        values = {
            "brier_loss": mean_of_rows(brier[1] - brier[0], owner, len(sides.used)),
            "log_loss": mean_of_rows(logs[1] - logs[0], owner, len(sides.used)),
        }
        return Comparison(values, (sides.left.readable, sides.right.readable), summary)

    def _log_loss(self, scores: Floats, y: Bools) -> Floats:
        clipped = np.clip(scores, self._spec.clip, 1 - self._spec.clip)
        loss: Floats = -np.log(np.where(y, clipped, 1 - clipped))
        return loss


class ProbabilitiesTruth:
    """Probabilities of classes against true classes.

    Args:
        spec: how.
    """

    summary_type = LossSummary

    def __init__(self, spec: ProbabilitiesTruthSpec) -> None:
        self.name = spec.name
        self.outcomes = truth_outcomes_of(spec)
        self.identity = spec.identity
        self._spec = spec

    def compare(self, production: Batch, shadow: Batch, truth: Batch) -> Comparison:
        """Compare three batches."""
        words: dict[str, int] = {}
        true = read_labels(truth, self._spec.truth, words)
        read = [truth_of_classes(batch, true, list(words), self._spec) for batch in (production, shadow)]
        sides = Sides(read[0], read[1], true, (read[0].fits, read[1].fits))
        keep = [sides.used[side.owner] for side in read]
        brier = [side.brier[kept] for side, kept in zip(read, keep, strict=True)]
        logs = [side.log[kept] for side, kept in zip(read, keep, strict=True)]
        owner = owners(true, sides.used)
        values = {
            "brier_loss": mean_of_rows(brier[1] - brier[0], owner, len(sides.used)),
            "log_loss": mean_of_rows(logs[1] - logs[0], owner, len(sides.used)),
        }
        summary = _loss_summary(sides, truth, brier, logs, ScoreGrid())
        return Comparison(values, (read[0].readable, read[1].readable), summary)


class NumberTruth:
    """Predicted numbers against true ones.

    Args:
        spec: how.
    """

    summary_type = ErrorSummary

    def __init__(self, spec: NumberTruthSpec) -> None:
        self.name = spec.name
        self.outcomes = truth_outcomes_of(spec)
        self.identity = spec.identity
        self._spec = spec

    def compare(self, production: Batch, shadow: Batch, truth: Batch) -> Comparison:
        """Compare three batches."""
        left, right = (read_numbers(batch, self._spec.selector) for batch in (production, shadow))
        sides = ragged_sides(left, right, read_numbers(truth, self._spec.truth))
        owner, count = owners(sides.truth, sides.used), len(sides.used)
        most = math.inf if self._spec.most_error is None else self._spec.most_error
        with np.errstate(over="ignore", invalid="ignore"):
            errors = [side.rows(sides.used) - sides.truth.rows(sides.used) for side in (left, right)]
            sizes = [np.minimum(np.abs(error), most) for error in errors]
            values = {
                "absolute_error": finite_or_nan(mean_of_rows(sizes[1] - sizes[0], owner, count)),
                "squared_error": finite_or_nan(mean_of_rows(sizes[1] ** 2 - sizes[0] ** 2, owner, count)),
            }
        # A row that is beyond doubles on one side must not count on the other alone.
        good = (np.abs(errors[0]) <= 1e154) & (np.abs(errors[1]) <= 1e154)
        p, s = (np.where(good, error, np.inf) for error in errors)
        summary = ErrorSummary(
            **sides.described(missing_truth(truth)),
            production=Moments.of(p),
            shadow=Moments.of(s),
            production_size=Moments.of(np.abs(p)),
            shadow_size=Moments.of(np.abs(s)),
        )
        return Comparison(values, (left.readable, right.readable), summary)


def _loss_summary(sides: Sides, truth: Batch, brier: list[Floats], logs: list[Floats], grid: ScoreGrid) -> LossSummary:
    return LossSummary(
        **sides.described(missing_truth(truth)),
        production_brier=Moments.of(brier[0]),
        shadow_brier=Moments.of(brier[1]),
        production_log=Moments.of(logs[0]),
        shadow_log=Moments.of(logs[1]),
        grid=grid,
    )


def _probability(numbers: Ragged) -> Ragged:
    """Answers with a number outside of 0 to 1 are unreadable."""
    outside = (numbers.values < 0) | (numbers.values > 1)
    bad = any_row(outside, np.repeat(np.arange(len(numbers.readable)), numbers.lengths), len(numbers.readable))
    if not bad.any():
        return numbers
    lengths = np.where(bad, 0, numbers.lengths)
    causes = numbers.causes.copy()
    causes["no probability"] += int(bad.sum())
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    return Ragged(numbers.rows(~bad), offsets, numbers.readable & ~bad, causes)


_CLASSES: dict[str, Any] = {
    "class": ClassTruth,
    "score": ScoreTruth,
    "probabilities": ProbabilitiesTruth,
    "number": NumberTruth,
    "ranking": RankingTruth,
}
