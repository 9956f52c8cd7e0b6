"""Histograms by key in bounded room, that merge exactly."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from shadow_provider.comparators.log_histogram import LogHistogram
from shadow_provider.comparators.tally import key_rank, tally_key

MOST_KEYS = 500


@dataclass(frozen=True)
class KeyedHistograms:
    """A histogram for each key; of too many keys those with the smallest digests, as in `Tally`.

    Attributes:
        histograms: by key.
    """

    histograms: Mapping[str, LogHistogram] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, list[float]]) -> Self:
        """Of values by key."""
        return cls._bounded(
            {tally_key(key): LogHistogram.of(np.array(each, dtype=np.float64)) for key, each in values.items()}
        )

    @classmethod
    def _bounded(cls, histograms: dict[str, LogHistogram]) -> Self:
        kept = sorted(histograms, key=key_rank)[:MOST_KEYS]
        return cls({key: histograms[key] for key in sorted(kept)})

    def merge(self, other: Self) -> Self:
        """The values of both."""
        merged = dict(self.histograms)
        for key, histogram in other.histograms.items():
            merged[key] = merged[key].merge(histogram) if key in merged else histogram
        return self._bounded(merged)

    def to_state(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {key: histogram.to_state() for key, histogram in self.histograms.items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """What `to_state` wrote."""
        return cls({key: LogHistogram.from_state(each) for key, each in state.items()})
