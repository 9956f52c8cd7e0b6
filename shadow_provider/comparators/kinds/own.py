"""A user's own function of the two batches.

It takes production's and the candidate's Arrow batch (columns `text` and `media`) and returns a mapping from each
declared outcome's name to an array with one figure per pair: -1, 0 or +1 of a binary outcome, a number within its
bounds of a score, NaN where there is none. It may add `readable_production` and `readable_shadow`, arrays of booleans;
without them an answer counts as readable if it was captured. Where an answer is unreadable by that, the binary outcomes
are that side's harm and scores are NaN, whatever the function said.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from shadow_provider.comparators.arrow import valid
from shadow_provider.comparators.contract import Comparison
from shadow_provider.comparators.imported import imported
from shadow_provider.comparators.keyed import KeyedHistograms
from shadow_provider.comparators.outcomes import Outcome, outcomes_of
from shadow_provider.comparators.paired import Bools, Floats, sided
from shadow_provider.comparators.spec import OwnSpec
from shadow_provider.comparators.spec_reading import ComparatorError
from shadow_provider.comparators.summary import PartsSummary, read_pairs
from shadow_provider.comparators.tally import Tally

if TYPE_CHECKING:
    import pyarrow as pa

READABLE = ("readable_production", "readable_shadow")


@dataclass(frozen=True)
class OwnSummary(PartsSummary):
    """Figures over pairs.

    Attributes:
        binary: pairs by outcome and harm, as "name : +1".
        scores: quantiles of the scores, by outcome.
    """

    binary: Tally = field(default_factory=Tally)
    scores: KeyedHistograms = field(default_factory=KeyedHistograms)

    def figures(self) -> dict[str, Any]:
        """Counts and quantiles."""
        quantiles = {name: each.quantiles() for name, each in self.scores.histograms.items()}
        return {"binary": dict(self.binary.counts), "scores": quantiles}


class OwnComparator:
    """Compares as a user's function does.

    Args:
        spec: which function, and what it gives.

    Raises:
        ComparatorError: there is no such function.
    """

    summary_type = OwnSummary

    def __init__(self, spec: OwnSpec) -> None:
        self.name = spec.name
        self.identity = spec.identity
        self._path = spec.function
        self._function = imported(spec.function)
        self.outcomes = outcomes_of(spec)

    def compare(self, production: "pa.RecordBatch", shadow: "pa.RecordBatch") -> Comparison:
        """Compare two batches.

        Raises:
            ComparatorError: the function failed, or gave something else than was declared.
        """
        try:
            given = self._function(production, shadow)
        except Exception as error:  # A user's function may raise anything.
            raise self._error(f"failed: {type(error).__name__}: {error}") from error
        names = [outcome.name for outcome in self.outcomes]
        if not isinstance(given, Mapping) or {*given} - {*READABLE} != {*names}:
            shown = ", ".join(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
            raise self._error(f"gave {shown}, declared are {', '.join(names)}")
        count = production.num_rows
        readable = [
            self._readable(given, name, batch) for name, batch in zip(READABLE, (production, shadow), strict=True)
        ]
        both = readable[0] & readable[1]
        values: dict[str, Floats] = {}
        for outcome in self.outcomes:
            figures = self._array(given[outcome.name], outcome.name, count)
            self._check(figures[both], outcome)
            if outcome.kind == "binary":
                values[outcome.name] = sided(readable[0], readable[1], figures)
            else:
                values[outcome.name] = np.where(both, figures, np.nan)
        binary = {outcome.name for outcome in self.outcomes if outcome.kind == "binary"}
        summary = OwnSummary(
            pairs=read_pairs(readable[0], readable[1]),
            binary=Tally.of(
                (f"{name} : {sign:+d}", int((values[name] == sign).sum())) for name in binary for sign in (-1, 0, 1)
            ),
            scores=KeyedHistograms.of({name: each.tolist() for name, each in values.items() if name not in binary}),
        )
        return Comparison(values, (readable[0], readable[1]), summary)

    def _readable(self, given: Mapping[str, Any], name: str, batch: "pa.RecordBatch") -> Bools:
        if name not in given:
            return valid(batch.column("text"))
        given_flags: Bools = self._array(given[name], name, batch.num_rows) != 0
        return given_flags

    def _array(self, given: Any, name: str, count: int) -> Floats:
        try:
            figures = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise self._error(f"gave no numbers as {name}") from error
        if figures.shape != (count,):
            raise self._error(f"gave an array of shape {figures.shape} as {name} for {count} pairs")
        return figures

    def _check(self, figures: Floats, outcome: Outcome) -> None:
        known = figures[~np.isnan(figures)]
        if outcome.kind == "binary" and not np.isin(known, (-1.0, 0.0, 1.0)).all():
            raise self._error(f"gave values other than -1, 0 and 1 as {outcome.name}")
        if ((known < outcome.least) | (known > outcome.most) | np.isinf(known)).any():
            raise self._error(f"gave values outside of {outcome.least:g} to {outcome.most:g} as {outcome.name}")

    def _error(self, text: str) -> ComparatorError:
        return ComparatorError(f"comparator: {self._path} {text}")
