"""Summaries as sets of mergeable parts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from shadow_provider.comparators.tally import Tally


class Part(Protocol):
    """Something that merges exactly."""

    def merge(self, other: Any) -> Any:
        """Both together."""

    def to_state(self) -> dict[str, Any]:
        """All of it as JSON."""


@dataclass(frozen=True)
class PartsSummary:
    """What all comparators describe; each adds parts of its own as fields.

    Attributes:
        pairs: pairs by what could be read of them.
        causes: why answers could not be read, by side and cause.
    """

    pairs: Tally = field(default_factory=Tally)
    causes: Tally = field(default_factory=Tally)

    def merge(self, other: Self) -> Self:
        """The summary of both sets of pairs."""
        merged = {each.name: getattr(self, each.name).merge(getattr(other, each.name)) for each in fields(self)}
        return type(self)(**merged)

    def figures(self) -> dict[str, Any]:
        """What a comparator's own parts say."""
        return {}

    def to_json(self) -> dict[str, Any]:
        """Figures that a person reads."""
        return {
            "pairs": self.pairs.total,
            "both_readable": self.pairs["both"],
            "production_alone_unreadable": self.pairs["shadow"],
            "candidate_alone_unreadable": self.pairs["production"],
            "both_unreadable": self.pairs["neither"],
            "unreadable_by_cause": dict(self.causes.counts),
            **self.figures(),
        }

    def to_state(self) -> dict[str, Any]:
        """All of it as JSON, from which `from_state` makes an equal summary."""
        return {each.name: getattr(self, each.name).to_state() for each in fields(self)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """What `to_state` wrote."""
        kinds = {each.name: type(getattr(cls(), each.name)) for each in fields(cls)}
        return cls(**{name: kind.from_state(state[name]) for name, kind in kinds.items()})


def read_pairs(production: NDArray[np.bool_], shadow: NDArray[np.bool_]) -> Tally:
    """Pairs by which side could be read."""
    codes = np.bincount(production.astype(np.int64) + 2 * shadow.astype(np.int64), minlength=4).tolist()
    return Tally.of(zip(("neither", "production", "shadow", "both"), codes, strict=True))


def unread_causes(production: Mapping[str, int], shadow: Mapping[str, int]) -> Tally:
    """Why answers could not be read, by side."""
    return Tally.of(
        (f"{side}: {cause}", count)
        for side, causes in (("production", production), ("candidate", shadow))
        for cause, count in causes.items()
    )
