"""A small comparator, and a look at captures in memory."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pyarrow as pa

from shadow_provider.comparators.contract import Comparison
from shadow_provider.comparators.outcomes import Outcome
from shadow_provider.evidence.engine.engine import take_look
from shadow_provider.evidence.engine.model import Captures, Result, Settings, Wanted
from shadow_provider.evidence.engine.store import S3Store
from tests.unit.evidence.fakes import BUCKET, ENDPOINT, PRODUCTION, SHADOW, FakeS3
from tests.unit.evidence.lines_of_captures import WINDOW


@dataclass(frozen=True)
class Words:
    """How often production said what."""

    counts: Mapping[str, int] = field(default_factory=dict)

    def merge(self, other: Self) -> Self:
        return type(self)(dict(Counter(self.counts) + Counter(other.counts)))

    def to_json(self) -> dict[str, Any]:
        return dict(sorted(self.counts.items()))

    def to_state(self) -> dict[str, Any]:
        return dict(self.counts)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        return cls(dict(state))


class Numbers:
    """Answers that are numbers: whether they differ, and by how much."""

    name = identity = "numbers"
    outcomes: tuple[Outcome, ...] = (
        Outcome("disagrees", "binary", -1, 1),
        Outcome("difference", "score", 0, 10),
        Outcome("any", "score", 0, np.inf),
    )

    def compare(self, production: pa.RecordBatch, shadow: pa.RecordBatch) -> Comparison:
        mine, other = (
            np.array([_number(text) for text in batch.column("text").to_pylist()], dtype=np.float64)
            for batch in (production, shadow)
        )
        differs = np.where(np.isnan(mine) | np.isnan(other), np.nan, (mine != other).astype(np.float64))
        difference = np.minimum(np.abs(mine - other), 10)
        words = Counter(str(text) for text in production.column("text").to_pylist())
        values = {"disagrees": differs, "difference": difference, "any": difference}
        return Comparison(values, (~np.isnan(mine), ~np.isnan(other)), Words(dict(words)))


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")


def captures(s3: FakeS3, **changes: Any) -> Captures:
    arguments: dict[str, Any] = {
        "store": S3Store(s3, BUCKET),
        "prefix": "capture",
        "endpoint": ENDPOINT,
        "production": PRODUCTION,
        "shadow": SHADOW,
        "start": WINDOW.start,
    }
    return Captures(**arguments | changes)


def look(
    s3: FakeS3, *, last: bool = True, settings: Settings | None = None, wanted: Wanted | None = None, **changes: Any
) -> Result:
    return take_look(
        captures(s3, **changes),
        Numbers(),
        until=WINDOW.end,
        last=last,
        settings=settings or Settings(memory_mb=256, threads=1),
        wanted=wanted,
    )
