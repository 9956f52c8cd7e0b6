"""Production's answers, the candidate's and the truth, and which pairs can be used."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from shadow_provider.comparators.arrow import valid
from shadow_provider.comparators.numbers import Ragged
from shadow_provider.comparators.paired import Bools
from shadow_provider.comparators.summary import read_pairs, unread_causes
from shadow_provider.comparators.tally import Tally

Batch = Any
"""A `pa.RecordBatch`; pyarrow has no types."""


@dataclass(frozen=True)
class Sides:
    """Which pairs can be used.

    Attributes:
        left: production's answers.
        right: the candidate's.
        truth: the true values.
        fits: for each side, the pairs whose answer and truth can be read and have equally many rows.
    """

    left: Any
    right: Any
    truth: Any
    fits: tuple[Bools, Bools]

    @property
    def used(self) -> Bools:
        """Pairs that fit on both sides."""
        return self.fits[0] & self.fits[1]

    @property
    def unlabelled(self) -> Bools:
        """Pairs of which nothing can be said: no truth, or no answer that can be read."""
        known: Bools = ~self.truth.readable | ~(self.left.readable | self.right.readable)
        return known

    def described(self, missing: Bools) -> dict[str, Any]:
        """The parts that every summary has."""
        known, readable = self.truth.readable, (self.left.readable, self.right.readable)
        kinds = {
            "used": self.used,
            "no_truth": missing,
            "unreadable_truth": ~missing & ~known,
            "unusable": known & ~self.used,
        }
        causes = unread_causes(self.left.causes, self.right.causes)
        return {
            "pairs": read_pairs(*readable),
            "causes": causes,
            "coverage": Tally.of((name, int(each.sum())) for name, each in kinds.items()),
        }


def missing_truth(truth: Batch) -> Bools:
    """Pairs without a truth so far."""
    return ~valid(truth.column("text"))


def ragged_sides(left: Ragged, right: Ragged, truth: Ragged) -> Sides:
    """The sides of answers and truths that are one value a row."""
    fits = [side.readable & truth.readable & (side.lengths == truth.lengths) for side in (left, right)]
    return Sides(left, right, truth, (fits[0], fits[1]))


def owners(truth: Ragged, used: Bools) -> Any:
    """For each row of the used pairs, the pair."""
    return np.repeat(np.flatnonzero(used), truth.lengths[used])
