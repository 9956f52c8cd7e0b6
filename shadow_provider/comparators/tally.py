"""Counts by key in bounded room, that merge exactly."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

LONGEST_KEY = 120
"""Characters; of a longer key the beginning and a digest are kept."""


def tally_key(text: str) -> str:
    """A key that is short and can be written as UTF-8, whatever stood in the payload."""
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= LONGEST_KEY:
        return text
    return f"{text[: LONGEST_KEY - 20]}…{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"


def key_rank(key: str) -> bytes:
    """By which keys are kept where there are too many: a digest, which no order of merging changes."""
    return hashlib.blake2b(key.encode(), digest_size=8).digest()


@dataclass(frozen=True)
class Tally:
    """How often each key was counted.

    Of more than `limit` keys those with the smallest digests are kept (a bottom-k sample of the keys). A key that is
    among the smallest of all is among the smallest of each part, so the counts of the kept keys are exact and do not
    depend on how the parts were merged.

    Attributes:
        counts: by key.
        total: of all keys, kept or not.
        limit: how many keys are kept.
        complete: whether no key was dropped.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    total: int = 0
    limit: int = 1000
    complete: bool = True

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, int]], limit: int = 1000) -> Self:
        """Count keys; keys that are too long are shortened, none with a count of 0 is kept."""
        counts: dict[str, int] = {}
        for key, count in pairs:
            if count:
                name = tally_key(key)
                counts[name] = counts.get(name, 0) + int(count)
        return cls._bounded(counts, sum(counts.values()), limit, complete=True)

    @classmethod
    def _bounded(cls, counts: dict[str, int], total: int, limit: int, *, complete: bool) -> Self:
        if len(counts) > limit:
            counts = {key: counts[key] for key in sorted(counts, key=key_rank)[:limit]}
            complete = False
        return cls(dict(sorted(counts.items())), total, limit, complete)

    def __getitem__(self, key: str) -> int:
        return self.counts.get(key, 0)

    def merge(self, other: Self) -> Self:
        """The counts of both."""
        counts = dict(self.counts)
        for key, count in other.counts.items():
            counts[key] = counts.get(key, 0) + count
        limit = min(self.limit, other.limit)
        return self._bounded(counts, self.total + other.total, limit, complete=self.complete and other.complete)

    def most(self, count: int) -> dict[str, int]:
        """The keys counted most often, at most so many."""
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return dict(ranked[:count])

    def to_state(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {"counts": dict(self.counts), "total": self.total, "limit": self.limit, "complete": self.complete}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """What `to_state` wrote."""
        return cls(dict(state["counts"]), state["total"], state["limit"], state["complete"])
