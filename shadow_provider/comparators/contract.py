"""What an engine knows of a comparator: two Arrow batches go in, figures per pair and a mergeable description come out.

Both batches have the columns `text: large_string` (null: not captured) and `media: string`; row i of both is one pair.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from shadow_provider.comparators.outcomes import Outcome

if TYPE_CHECKING:
    import pyarrow as pa


class Summary(Protocol):
    """What is described of many pairs, in little room. Merging is exact: order and grouping do not matter."""

    def merge(self, other: Self) -> Self:
        """The summary of both sets of pairs."""

    def to_json(self) -> dict[str, Any]:
        """Figures that a person reads."""


@dataclass
class Comparison:
    """What came of one batch.

    Attributes:
        values: by outcome's name, one figure per pair.
        readable: of production and of the shadow, whether the answer could be read.
        summary: the mergeable description.
    """

    values: dict[str, NDArray[np.float64]]
    readable: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    summary: Summary


class Comparator(Protocol):
    """One way to hold an answer of the candidate against production's.

    Attributes:
        name: for people.
        identity: all that decides what it says: two comparators of one identity say the same.
        outcomes: the figures that it gives.
    """

    name: str
    identity: str
    outcomes: tuple[Outcome, ...]

    def compare(self, production: "pa.RecordBatch", shadow: "pa.RecordBatch") -> Comparison:
        """Compare two batches of equal length. No payload makes it raise."""
