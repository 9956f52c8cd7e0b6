"""Rankings against relevant items."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from shadow_provider.comparators.answers import Read, csv_rows, documents, finite, read_answers
from shadow_provider.comparators.contract import Comparison
from shadow_provider.comparators.kinds.ranking import Ranking, Rankings, read_rankings
from shadow_provider.comparators.label import UnreadableAnswerError, normalise
from shadow_provider.comparators.moments import Moments
from shadow_provider.comparators.outcomes import truth_outcomes_of
from shadow_provider.comparators.paired import Bools
from shadow_provider.comparators.truth_sides import Batch, Sides, missing_truth
from shadow_provider.comparators.truth_spec import RankingTruthSpec
from shadow_provider.comparators.truth_summaries import GainSummary


class RankingTruth:
    """Rankings against relevant items.

    Args:
        spec: how.
    """

    summary_type = GainSummary

    def __init__(self, spec: RankingTruthSpec) -> None:
        self.name = spec.name
        self.outcomes = truth_outcomes_of(spec)
        self.identity = spec.identity
        self._spec = spec

    def compare(self, production: Batch, shadow: Batch, truth: Batch) -> Comparison:
        """Compare three batches."""
        reader = partial(read_rankings, selector=self._spec.selector, depth=self._spec.k)
        left, right = read_answers(production, reader), read_answers(shadow, reader)
        true = read_answers(truth, _relevance)
        fits = [self._single(side) & true.readable for side in (left, right)]
        sides = Sides(left, right, true, (fits[0], fits[1]))
        gains = np.full((2, len(sides.used)), np.nan)
        for pair in np.flatnonzero(sides.used).tolist():
            relevance = true.distinct[true.which[pair]] or {}
            for number, side in enumerate((left, right)):
                rows = side.distinct[side.which[pair]] or ((),)
                gains[number, pair] = ndcg(rows[0], relevance, self._spec.k)
        summary = GainSummary(
            **sides.described(missing_truth(truth)),
            production=Moments.of(gains[0][sides.used]),
            shadow=Moments.of(gains[1][sides.used]),
        )
        return Comparison({"ndcg_loss": gains[0] - gains[1]}, (left.readable, right.readable), summary)

    def _single(self, side: Read[Rankings]) -> Bools:
        single = np.array([rows is not None and len(rows) == 1 for rows in side.distinct], dtype=np.bool_)
        return single[side.which] if len(single) else np.zeros(0, dtype=np.bool_)


def ndcg(ranking: Ranking, relevance: Mapping[str, float], k: int) -> float:
    """Normalised discounted cumulative gain at k; some relevance must be above 0."""
    best = sorted(relevance.values(), reverse=True)
    gains = (relevance.get(item, 0.0) for item in ranking)
    return min(1.0, _dcg(gains, k) / _dcg(best, k))


def _dcg(gains: Any, k: int) -> float:
    return math.fsum(gain / math.log2(place + 2) for place, gain in zip(range(k), gains, strict=False))


def _relevance(text: str, media: str | None) -> dict[str, float]:
    values = documents(text, media)
    given: Any = csv_rows(text)[0] if values is None else values[0]
    if isinstance(given, list):
        given = {normalise(None if isinstance(item, list | dict) else item): 1.0 for item in given}
    if not isinstance(given, dict):
        raise UnreadableAnswerError("no relevant items")
    relevance = {normalise(item): finite(value) for item, value in given.items()}
    if any(value < 0 or value > 1e100 for value in relevance.values()) or not any(relevance.values()):
        raise UnreadableAnswerError("no relevant items")
    return relevance
