"""The pairs whose answers differ most. Nothing of a payload is kept beyond what the policy lets be seen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shadow_provider.comparators.outcomes import Outcome
from shadow_provider.evidence.engine.blocks import microseconds, moment_of, rounded
from shadow_provider.evidence.engine.settling import SIDES, Groups
from shadow_provider.policy.examples import Examples
from shadow_provider.verdict.evidence import Example

Figures = Mapping[Outcome, NDArray[np.float64]]
Place = Callable[[int, int | None], str]


@dataclass(frozen=True)
class Ranked:
    """An example and what it is ranked by: first whether the answers differ, then by how much; 0 where not known."""

    differs: float
    score: float
    example: Example

    @property
    def rank(self) -> tuple[Any, ...]:
        """The worst first, the earlier of two that are as bad. What has one rank looks the same as well."""
        each = self.example
        lengths = (each.input_bytes, each.production_characters, each.shadow_characters)
        return (
            *(-self.differs, -self.score, each.time, each.production_place, each.shadow_place),
            *(-1 if length is None else length for length in lengths),
            *(each.production or "", each.shadow or ""),
        )


@dataclass
class Worst:
    """The worst disagreements so far.

    Which are kept depends on the pairs alone, not on their order or on how they are split into looks.

    Attributes:
        ranked: the worst first.
    """

    ranked: list[Ranked] = field(default_factory=list)

    def add(self, policy: Examples, pairs: Groups, figures: Figures, place: Place) -> None:
        """Take in the pairs that are worse than those that are kept, with their figures.

        Args:
            policy: how many are kept, and how much of them.
            pairs: some pairs.
            figures: of the pairs, by the comparator's outcomes.
            place: of an object's number and a line, in words.
        """
        if not policy.count:
            return
        outcomes = ranked_by(tuple(figures))
        differs, score = (_figure(outcome, figures, len(pairs.times)) for outcome in outcomes)
        chosen = self._candidates(policy.count, differs, score, pairs.times)
        more = []
        for at, whether, how_much in zip(
            chosen.tolist(), differs[chosen].tolist(), score[chosen].tolist(), strict=True
        ):
            # A pair without a score (one answer alone could be read) can still differ.
            outcome, value = (outcomes[1], how_much) if how_much > 0 else (outcomes[0], whether)
            assert outcome is not None
            more.append(Ranked(whether, how_much, _example(policy, pairs, at, outcome.name, value, place)))
        self._keep(policy.count, more)

    def merged(self, policy: Examples, other: Self) -> Self:
        """The worst of both."""
        both = type(self)(self.ranked)
        both._keep(policy.count, other.ranked)
        return both

    def to_state(self) -> list[Any]:
        """All of it as JSON."""
        return [[each.differs, each.score, each.example.model_dump(mode="json")] for each in self.ranked]

    @classmethod
    def from_state(cls, state: Sequence[Any]) -> Self:
        """What `to_state` wrote."""
        return cls([Ranked(differs, score, Example.model_validate(found)) for differs, score, found in state])

    def _keep(self, count: int, more: Sequence[Ranked]) -> None:
        self.ranked = sorted([*self.ranked, *more], key=lambda each: each.rank)[:count]

    def _candidates(
        self, count: int, differs: NDArray[np.float64], score: NDArray[np.float64], times: NDArray[np.int64]
    ) -> NDArray[np.intp]:
        """Positions of the pairs that may be among the worst: as many as are kept, and what ties with the last."""
        possible = (differs > 0) | (score > 0)
        if len(self.ranked) == count:
            last = self.ranked[-1]
            possible &= _not_after(differs, score, times, (last.differs, last.score, microseconds(last.example.time)))
        found = np.flatnonzero(possible)
        if len(found) <= count:
            return found
        order = found[np.lexsort((times[found], -score[found], -differs[found]))]
        last_one = order[count - 1]
        ties = _not_after(
            differs[order], score[order], times[order], (differs[last_one], score[last_one], times[last_one])
        )
        return order[ties]


def ranked_by(outcomes: Sequence[Outcome]) -> tuple[Outcome | None, Outcome | None]:
    """What says whether two answers differ, and by how much: the first binary outcome and the first score with a bound.

    One that can only be harm to either side, not difference, is taken where there is no other.
    """
    bounded = sorted((each for each in outcomes if each.bounded), key=lambda each: each.signed)
    first = {each.kind: each for each in reversed(bounded)}
    return first.get("binary"), first.get("score")


def _figure(outcome: Outcome | None, figures: Figures, count: int) -> NDArray[np.float64]:
    """Rounded, so that a sum in another order ranks the same; 0 where there is none, or no harm by the candidate."""
    if outcome is None:
        return np.zeros(count)
    return np.maximum(np.nan_to_num(rounded(outcome, figures[outcome])), 0.0)


def _not_after(
    differs: NDArray[np.float64],
    score: NDArray[np.float64],
    times: NDArray[np.int64],
    last: tuple[float, float, int],
) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (score > last[1]) | ((score == last[1]) & (times <= last[2]))
    found &= differs == last[0]
    found |= differs > last[0]
    return found


def _example(policy: Examples, pairs: Groups, at: int, outcome: str, value: float, place: Place) -> Example:
    found = {name: pairs.batch.column(name)[at].as_py() for name in pairs.batch.schema.names}
    answers = [found[f"{side}_text"] for side in SIDES]
    places = [place(found[f"{side}_object"], found[f"{side}_line"]) for side in SIDES]
    lengths = [None if answer is None else len(answer) for answer in answers]
    return Example(
        outcome=outcome,
        value=value,
        time=moment_of(int(pairs.times[at])),
        production_place=places[0],
        shadow_place=places[1],
        input_bytes=found["size"],
        production_characters=lengths[0],
        shadow_characters=lengths[1],
        production=policy.shown(answers[0]),
        shadow=policy.shown(answers[1]),
    )
