"""What is described of answers held against the truth; all over labelled pairs in which both sides can be used."""

import math
from dataclasses import dataclass, field
from typing import Any

from shadow_provider.comparators.moments import Moments
from shadow_provider.comparators.score_grid import ScoreGrid
from shadow_provider.comparators.summary import PartsSummary
from shadow_provider.comparators.tally import Tally

MOST_CLASSES = 10_000
SHOWN_CLASSES = 50


def _labels() -> Tally:
    return Tally(limit=MOST_CLASSES)


@dataclass(frozen=True)
class TruthSummary(PartsSummary):
    """How much truth there is.

    Attributes:
        coverage: pairs by their truth: `used`, `no_truth`, `unreadable_truth`, `unusable` where an answer is unreadable
            or has other rows than the truth.
    """

    coverage: Tally = field(default_factory=Tally)

    def figures(self) -> dict[str, Any]:
        """Coverage, and what a kind measures."""
        share = self.coverage["used"] / self.coverage.total if self.coverage.total else None
        return {"truth": dict(self.coverage.counts), "coverage": share, **self.measures()}

    def measures(self) -> dict[str, Any]:
        """What a kind measures, by side."""
        return {}


@dataclass(frozen=True)
class ClassTruthSummary(TruthSummary):
    """Classes over rows.

    Attributes:
        truth: rows by true label.
        production: rows by production's label.
        shadow: by the candidate's.
        production_hits: rows that production has right, by label.
        shadow_hits: that the candidate has right.
    """

    truth: Tally = field(default_factory=_labels)
    production: Tally = field(default_factory=_labels)
    shadow: Tally = field(default_factory=_labels)
    production_hits: Tally = field(default_factory=_labels)
    shadow_hits: Tally = field(default_factory=_labels)

    def measures(self) -> dict[str, Any]:
        """Accuracy and F1."""
        one = self._of(self.production, self.production_hits)
        other = self._of(self.shadow, self.shadow_hits)
        return {"rows": self.truth.total, "production": one, "candidate": other, "difference": difference(one, other)}

    def _of(self, predicted: Tally, hits: Tally) -> dict[str, Any]:
        """Accuracy, F1 of each class (2 hits / (true + predicted)), their mean (macro) and that weighted by truth."""
        total = self.truth.total
        if not total:
            return {"accuracy": None, "f1_macro": None, "f1_weighted": None}
        accuracy = hits.total / total
        if not (self.truth.complete and predicted.complete):
            return {"accuracy": accuracy, "f1_macro": None, "f1_weighted": None}
        labels = sorted({*self.truth.counts, *predicted.counts})
        f1 = {label: 2 * hits[label] / (self.truth[label] + predicted[label]) for label in labels}
        weighted = math.fsum(f1[label] * self.truth[label] for label in labels) / total
        macro = math.fsum(f1.values()) / len(f1)
        shown = {label: f1[label] for label in self.truth.most(SHOWN_CLASSES)}
        return {"accuracy": accuracy, "f1_macro": macro, "f1_weighted": weighted, "f1": shown}


@dataclass(frozen=True)
class LossSummary(TruthSummary):
    """Losses over rows.

    Attributes:
        production_brier: production's Brier scores.
        shadow_brier: the candidate's.
        production_log: production's log losses.
        shadow_log: the candidate's.
        grid: both scores and the truth, for the area under the ROC curve.
    """

    production_brier: Moments = field(default_factory=Moments)
    shadow_brier: Moments = field(default_factory=Moments)
    production_log: Moments = field(default_factory=Moments)
    shadow_log: Moments = field(default_factory=Moments)
    grid: ScoreGrid = field(default_factory=ScoreGrid)

    def measures(self) -> dict[str, Any]:
        """Brier score, log loss, and the area under the ROC curve of a score."""
        one = {"brier": self.production_brier.mean, "log_loss": self.production_log.mean}
        other = {"brier": self.shadow_brier.mean, "log_loss": self.shadow_log.mean}
        auc = self.grid.auc()
        return {
            "rows": self.production_brier.count,
            "production": one,
            "candidate": other,
            "difference": difference(one, other),
            **({"auc": auc.to_json()} if auc else {}),
        }


@dataclass(frozen=True)
class ErrorSummary(TruthSummary):
    """Errors over rows, prediction minus truth.

    Attributes:
        production: production's errors.
        shadow: the candidate's.
        production_size: their sizes.
        shadow_size: the candidate's.
    """

    production: Moments = field(default_factory=Moments)
    shadow: Moments = field(default_factory=Moments)
    production_size: Moments = field(default_factory=Moments)
    shadow_size: Moments = field(default_factory=Moments)

    def measures(self) -> dict[str, Any]:
        """RMSE, MAE and bias."""
        one = _errors(self.production, self.production_size)
        other = _errors(self.shadow, self.shadow_size)
        rows = {"rows": self.production.count, "not_finite": self.production.not_finite + self.shadow.not_finite}
        return {**rows, "production": one, "candidate": other, "difference": difference(one, other)}


def _errors(errors: Moments, sizes: Moments) -> dict[str, float | None]:
    square = errors.mean_square
    return {"rmse": None if square is None else math.sqrt(square), "mae": sizes.mean, "bias": errors.mean}


@dataclass(frozen=True)
class GainSummary(TruthSummary):
    """NDCG over pairs.

    Attributes:
        production: production's.
        shadow: the candidate's.
    """

    production: Moments = field(default_factory=Moments)
    shadow: Moments = field(default_factory=Moments)

    def measures(self) -> dict[str, Any]:
        """Mean NDCG."""
        one, other = {"ndcg": self.production.mean}, {"ndcg": self.shadow.mean}
        return {"production": one, "candidate": other, "difference": difference(one, other)}


def difference(production: dict[str, Any], candidate: dict[str, Any]) -> dict[str, float | None]:
    """Candidate minus production, for each figure that both have."""
    pairs = ((name, production[name], candidate[name]) for name in production if name != "f1")
    return {name: None if p is None or s is None else s - p for name, p, s in pairs}
