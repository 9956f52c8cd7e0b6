"""JSON, path by path: what does the candidate answer otherwise, and where?

The two values are walked together. At a path something

* `changed`: two scalars of one type are not equal, or a list that may come in any order has other elements
* `type_changed`: it is another of object, array, string, number, boolean, null
* is `missing` in the candidate's answer, or `added`
* `length_changed`: a list is longer or shorter (its common beginning is compared all the same)
* is `tolerated`: not equal, but a rule lets it pass

Outcomes: a pair differs if anything but what is tolerated was found; it violates the schema if something is missing
or its type changed. Numbers are equal by value (1 is 1.0). JSON Lines are compared line by line. Counts are pairs by
path, so a path counts once for a pair; elements of a list share the path `[]`.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from shadow_provider.comparators.answers import documents, read_answers, select
from shadow_provider.comparators.contract import Comparison
from shadow_provider.comparators.json_diff import (
    LENGTH,
    MISSING,
    TOLERATED,
    TYPE,
    Finding,
    Rules,
    differences,
    shown_path,
    type_of,
)
from shadow_provider.comparators.keyed import KeyedHistograms
from shadow_provider.comparators.label import UnreadableAnswerError
from shadow_provider.comparators.outcomes import outcomes_of
from shadow_provider.comparators.paired import differing, sided
from shadow_provider.comparators.spec import JsonSpec
from shadow_provider.comparators.summary import PartsSummary, read_pairs, unread_causes
from shadow_provider.comparators.tally import Tally

if TYPE_CHECKING:
    import pyarrow as pa

MOST_PATHS = 2000
SHOWN_PATHS = 200
MOST_FINDINGS = 5000
"""Findings of one pair that are looked at; a hostile answer has no say in how long a look takes."""
_BETWEEN = " : "


@dataclass(frozen=True)
class JsonSummary(PartsSummary):
    """Differences over pairs.

    Attributes:
        differing: pairs that `differ`, and pairs that violate the schema (`violate`).
        tree: pairs by path and what happened there, as "path : what".
        types: pairs by path and change of type, as "path : number → string".
        others: pairs by path where something other than two numbers changed.
        sizes: by path, sizes of the differences of numbers that are not equal.
        parts: by path, the same as parts of the larger number.
    """

    differing: Tally = field(default_factory=Tally)
    tree: Tally = field(default_factory=lambda: Tally(limit=MOST_PATHS))
    types: Tally = field(default_factory=lambda: Tally(limit=MOST_PATHS))
    others: Tally = field(default_factory=lambda: Tally(limit=MOST_PATHS))
    sizes: KeyedHistograms = field(default_factory=KeyedHistograms)
    parts: KeyedHistograms = field(default_factory=KeyedHistograms)

    def by_path(self) -> dict[str, dict[str, int]]:
        """The field tree: pairs by path, by what happened there."""
        paths: dict[str, dict[str, int]] = {}
        for key, count in self.tree.counts.items():
            path, _, what = key.rpartition(_BETWEEN)
            paths.setdefault(path, {})[what] = count
        return paths

    def figures(self) -> dict[str, Any]:
        """The field tree, the paths with most differences first."""
        ranked = sorted(self.by_path().items(), key=lambda item: (-max(item[1].values()), item[0]))
        return {
            "differ": self.differing["differ"],
            "schema_violations": self.differing["violate"],
            "fields": dict(ranked[:SHOWN_PATHS]),
            "fields_complete": self.tree.complete and len(ranked) <= SHOWN_PATHS,
            "type_changes": self.types.most(SHOWN_PATHS),
        }


class JsonComparator:
    """Compares JSON.

    Args:
        spec: how.
    """

    summary_type = JsonSummary

    def __init__(self, spec: JsonSpec) -> None:
        self.name = spec.name
        self.outcomes = outcomes_of(spec)
        self.identity = spec.identity
        self._path = spec.path
        self._rules = Rules(spec.rules)

    def compare(self, production: "pa.RecordBatch", shadow: "pa.RecordBatch") -> Comparison:
        """Compare two batches."""
        left, right = read_answers(production, self._read), read_answers(shadow, self._read)
        both = left.readable & right.readable
        pairs, place, counts = np.unique(
            np.stack([left.which[both], right.which[both]]), axis=1, return_inverse=True, return_counts=True
        )
        notes = _Notes()
        judged = np.zeros((2, pairs.shape[1]), dtype=np.bool_)
        for number, (p, s, count) in enumerate(zip(*pairs.tolist(), counts.tolist(), strict=True)):
            found = self._differences(left.distinct[p] or [], right.distinct[s] or [])
            judged[:, number] = notes.take(found, count, self._rules)
        harm = np.zeros((2, len(both)), dtype=np.bool_)
        harm[:, both] = judged[:, place.ravel()]
        kinds = [("differ", int(harm[0].sum())), ("violate", int(harm[1].sum()))]
        summary = JsonSummary(
            pairs=read_pairs(left.readable, right.readable),
            causes=unread_causes(left.causes, right.causes),
            differing=Tally.of(kinds),
            tree=Tally.of(notes.tree.items(), limit=MOST_PATHS),
            types=Tally.of(notes.types.items(), limit=MOST_PATHS),
            others=Tally.of(notes.others.items(), limit=MOST_PATHS),
            sizes=KeyedHistograms.of(notes.sizes),
            parts=KeyedHistograms.of(notes.parts),
        )
        differs, violates = harm
        values = {
            "differs": differing(left.readable, right.readable, differs),
            "schema_violation": sided(left.readable, right.readable, violates),
        }
        return Comparison(values, (left.readable, right.readable), summary)

    def _read(self, text: str, media: str | None) -> list[Any]:
        values = documents(text, media)
        if values is None:
            raise UnreadableAnswerError("no JSON")
        return values if self._path is None else [select(value, self._path) for value in values]

    def _differences(self, left: list[Any], right: list[Any]) -> Iterator[Finding]:
        if len(left) != len(right):
            yield (), LENGTH, left, right
        for p, s in zip(left, right, strict=False):
            yield from differences(p, s, self._rules)


class _Notes:
    """What was found in a batch."""

    def __init__(self) -> None:
        self.tree: dict[str, int] = defaultdict(int)
        self.types: dict[str, int] = defaultdict(int)
        self.others: dict[str, int] = defaultdict(int)
        self.sizes: dict[str, list[float]] = defaultdict(list)
        self.parts: dict[str, list[float]] = defaultdict(list)

    def take(self, found: Iterator[Finding], count: int, rules: Rules) -> tuple[bool, bool]:
        """Note what was found in equal pairs; whether they differ, and whether they violate the schema."""
        seen: set[tuple[str, str]] = set()
        others: set[str] = set()
        differs = violates = False
        for _, (path, what, p, s) in zip(range(MOST_FINDINGS), found, strict=False):
            differs = differs or what != TOLERATED
            name = shown_path(path)
            seen.add((name, what))
            if what == TYPE:
                types = f"{type_of(p)} → {type_of(s)}"
                self.types[f"{name}{_BETWEEN}{types}"] += count
            elif type_of(p) == type_of(s) == "number":
                self._measure(name, p, s, count)
            else:
                others.add(name)
            allowed = rules.at(path).optional and (what == MISSING or p is None or s is None)
            violates = violates or (what in (TYPE, MISSING) and not allowed)
        for name in others:
            self.others[name] += count
        for name, what in seen:
            self.tree[f"{name}{_BETWEEN}{what}"] += count
        return differs, violates

    def _measure(self, name: str, p: float, s: float, count: int) -> None:
        try:
            size = abs(float(s) - float(p))
        except OverflowError:
            return
        if math.isfinite(size):
            self.sizes[name] += [size] * count
            self.parts[name] += [size / max(abs(p), abs(s))] * count
