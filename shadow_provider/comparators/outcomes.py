"""What each comparator says of a pair, known from its specification alone: a policy is checked without any data."""

import math
from dataclasses import dataclass
from typing import Literal

from shadow_provider.comparators.spec import (
    ComparatorSpec,
    EmbeddingSpec,
    JsonSpec,
    LabelSpec,
    NumberSpec,
    OwnSpec,
    ProbabilitiesSpec,
    RankingSpec,
    TextSpec,
)
from shadow_provider.comparators.truth_spec import (
    ClassTruthSpec,
    NumberTruthSpec,
    ProbabilitiesTruthSpec,
    RankingTruthSpec,
    TruthSpec,
)


@dataclass(frozen=True)
class Outcome:
    """One figure per pair, NaN where there is none.

    Attributes:
        name: such as "disagrees" or "score_difference".
        kind: `binary` is -1 where production alone did harm, 0 for neither or both, +1 for the candidate alone; in a
            `score` more is worse.
        least: the smallest value that is possible.
        most: the largest; infinite for a score without a bound, which is a description and can be no gate.
        signed: whether no harm is zero: two variants that are equally good have the mean 0. False for differences,
            where only two equal answers are 0.
    """

    name: str
    kind: Literal["binary", "score"]
    least: float
    most: float
    signed: bool = False

    @property
    def bounded(self) -> bool:
        """Whether a gate can be put on it."""
        return math.isfinite(self.least) and math.isfinite(self.most)


def _differs(name: str) -> Outcome:
    return Outcome(name, "binary", -1.0, 1.0)


def _harms(name: str) -> Outcome:
    return Outcome(name, "binary", -1.0, 1.0, signed=True)


def _score(name: str, most: float) -> Outcome:
    return Outcome(name, "score", 0.0, most)


def _loss(name: str, most: float) -> Outcome:
    return Outcome(name, "score", -most, most, signed=True)


def outcomes_of(spec: ComparatorSpec) -> tuple[Outcome, ...]:
    """The outcomes of a comparator. The first one says whether the two answers differ, but for embeddings and own."""
    if isinstance(spec, LabelSpec):
        shift = () if spec.score is None else (_score("score_difference", spec.score_most - spec.score_least),)
        return _differs("disagrees"), *shift
    if isinstance(spec, NumberSpec):
        most = math.inf if spec.most_difference is None else spec.most_difference
        return _differs("outside_tolerance"), _score("absolute_difference", most), _score("relative_difference", 2.0)
    if isinstance(spec, ProbabilitiesSpec):
        distances = _score("jensen_shannon", 1.0), _score("largest_difference", 1.0)
        return _differs("argmax_disagrees"), _harms("invalid"), *distances
    if isinstance(spec, RankingSpec):
        names = ("overlap_loss", "rbo_distance", "kendall_distance")
        return _differs("top_k_differs"), *(_score(name, 1.0) for name in names)
    if isinstance(spec, TextSpec):
        embedding = (_score("embedding_distance", 2.0),) if spec.embed else ()
        lengths = _score("chrf_distance", 1.0), _score("length_difference", 1.0)
        return _differs("differs"), _harms("empty"), _harms("refuses"), *lengths, *embedding
    if isinstance(spec, EmbeddingSpec):
        return _differs("dimension_mismatch"), _score("cosine_distance", 2.0), _score("norm_difference", 1.0)
    if isinstance(spec, JsonSpec):
        return _differs("differs"), _harms("schema_violation")
    assert isinstance(spec, OwnSpec)
    return tuple(Outcome(each.name, each.kind, *each.bounds, each.bounds[0] < 0) for each in spec.outcomes)


_AGREEMENT = {
    "label": "disagrees",
    "number": "outside_tolerance",
    "probabilities": "argmax_disagrees",
    "ranking": "top_k_differs",
    "text": "differs",
    "json": "differs",
}


def disagreement(spec: ComparatorSpec) -> str | None:
    """The outcome that says whether two answers agree; None where a comparator knows no such thing."""
    return _AGREEMENT.get(spec.kind)


def truth_outcomes_of(spec: TruthSpec) -> tuple[Outcome, ...]:
    """The outcomes of a comparison with the truth: the candidate's loss minus production's."""
    if isinstance(spec, ClassTruthSpec):
        return (_harms("wrong"),)
    if isinstance(spec, NumberTruthSpec):
        most = math.inf if spec.most_error is None else spec.most_error
        return _loss("absolute_error", most), _loss("squared_error", most**2)
    if isinstance(spec, RankingTruthSpec):
        return (_loss("ndcg_loss", 1.0),)
    brier = 2.0 if isinstance(spec, ProbabilitiesTruthSpec) else 1.0
    return _loss("brier_loss", brier), _loss("log_loss", -math.log(spec.clip))
