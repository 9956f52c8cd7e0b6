"""What looks leave for the next one: a few files of a generation, and a pointer to it that is written last.

A look that dies leaves the pointer where it was, and is repeated with the same result.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, cast
from uuid import uuid4

from shadow_provider.comparators.contract import Comparator, Summary
from shadow_provider.evidence.engine.blocks import BlockTable
from shadow_provider.evidence.engine.grading import KEPT
from shadow_provider.evidence.engine.model import Captures, Settings, Standing, Wanted
from shadow_provider.evidence.engine.segments import by_pair
from shadow_provider.evidence.engine.store import StateStore, StoredObject
from shadow_provider.evidence.engine.truth import Truth, TruthStanding
from shadow_provider.evidence.engine.worst import Worst
from shadow_provider.evidence.lines import FateCounter

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_FORMAT = 4
_TABLES = ("carry", "seen", *KEPT)


class KeptSummary(Summary, Protocol):
    """A summary that can be kept between looks."""

    def to_state(self) -> dict[str, Any]:
        """All of it as JSON."""

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """What `to_state` wrote."""


class OtherQuestionError(ValueError):
    """The state belongs to other captures, another comparator or other wishes: no look may continue it."""


@dataclass(frozen=True)
class State:
    """Where looks at one deployment keep what they know.

    Of two looks at once, one is lost, and is repeated by the next. A look that dies may leave a few files that no
    pointer leads to.

    Attributes:
        store: a bucket or a folder.
        prefix: in it; a folder of its own.
    """

    store: StateStore
    prefix: str

    def load(
        self,
        connection: "duckdb.DuckDBPyConnection",
        captures: Captures,
        settings: Settings,
        comparator: Comparator,
        folder: Path,
        truth: Truth | None = None,
        wanted: Wanted | None = None,
    ) -> Standing:
        """Where the last look came to, with its tables in the database; a beginning if there was none.

        A state that another version of the engine or of DuckDB wrote is not continued: everything is read anew.

        Raises:
            OtherQuestionError: the state is one of other captures, another comparator, or other wishes.
        """
        beginning = Standing(BlockTable(captures.start, settings.block_seconds))
        current = self._current()
        if current is None or current["versions"] != _versions():
            return beginning
        if current["question"] != _question(captures, settings, comparator, truth, wanted or Wanted()):
            raise OtherQuestionError(f"{self.prefix}: the state is that of {current['question']}")
        generation = str(current["generation"])
        for table in _TABLES:
            path = folder / f"{table}.parquet"
            path.write_bytes(self._read(self._key(generation, f"{table}.parquet")))
            connection.execute(f"INSERT INTO {table} FROM read_parquet(?)", [str(path)])
            path.unlink()
        found = json.loads(self._read(self._key(generation, "standing.json")))
        standing = _standing(found, beginning, comparator)
        if truth is not None and found["truth"] is not None:
            standing.truth = _truth_standing(found["truth"], beginning.settled, truth)
        return standing

    def save(
        self,
        connection: "duckdb.DuckDBPyConnection",
        captures: Captures,
        settings: Settings,
        comparator: Comparator,
        standing: Standing,
        folder: Path,
        truth: Truth | None = None,
        wanted: Wanted | None = None,
    ) -> None:
        """Write the next generation, point to it, and remove the one before the last."""
        current = self._current() or {"number": 0, "generation": None, "before": None}
        number = int(current["number"]) + 1
        # Of two looks at once each writes a generation of its own: files of both would make a state that never was.
        generation = f"{number:06}-{uuid4().hex[:8]}"
        for table in _TABLES:
            path = folder / f"{table}.parquet"
            connection.execute(f"COPY {table} TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
            self.store.write(self._key(generation, f"{table}.parquet"), path.read_bytes())
            path.unlink()
        self.store.write(self._key(generation, "standing.json"), json.dumps(_as_json(standing)).encode())
        pointer = {
            "number": number,
            "generation": generation,
            "before": current["generation"],
            "versions": _versions(),
            "question": _question(captures, settings, comparator, truth, wanted or Wanted()),
        }
        self.store.write(self._pointer, json.dumps(pointer).encode())
        if current["before"] is not None:
            for name in ("standing.json", *(f"{table}.parquet" for table in _TABLES)):
                self.store.delete(self._key(current["before"], name))

    @property
    def _folder(self) -> str:
        return f"{self.prefix.strip('/')}/"

    @property
    def _pointer(self) -> str:
        return f"{self._folder}current.json"

    def _key(self, generation: str, name: str) -> str:
        return f"{self._folder}{generation}/{name}"

    def _current(self) -> dict[str, Any] | None:
        if not any(each.key == self._pointer for each in self.store.listed(self._folder)):
            return None
        current: dict[str, Any] = json.loads(self._read(self._pointer))
        return current

    def _read(self, key: str) -> bytes:
        with self.store.opened(key) as body:
            return body.read()


def _versions() -> dict[str, Any]:
    import duckdb

    # Digests of inputs are DuckDB's own, and may be others in another version.
    return {"format": _FORMAT, "duckdb": duckdb.__version__}


def _question(
    captures: Captures, settings: Settings, comparator: Comparator, truth: Truth | None, wanted: Wanted
) -> dict[str, Any]:
    return {
        "prefix": captures.prefix,
        "endpoint": captures.endpoint,
        "variants": [captures.production, captures.shadow],
        "start": captures.start.isoformat(),
        "warm_up_seconds": captures.warm_up.total_seconds(),
        "block_seconds": settings.block_seconds,
        "comparator": comparator.identity,
        "truth": None if truth is None else [truth.prefix, truth.comparator.identity],
        # Whether a segment decides is no matter of what is counted.
        "segments": [each.model_dump(mode="json", exclude={"declared"}) for each in by_pair(wanted.segments)],
        "examples": wanted.examples.model_dump(mode="json"),
    }


def _as_json(standing: Standing) -> dict[str, Any]:
    summary = cast("KeptSummary | None", standing.summary)
    return {
        "settled": standing.settled.to_state(),
        "summary": None if summary is None else summary.to_state(),
        "fates": [counter.counts() for counter in standing.fates],
        "examples": [counter.examples() for counter in standing.fates],
        "objects": [[each.key, each.etag] for each in standing.objects],
        "lines": standing.lines,
        "strict_lines": standing.strict_lines,
        "paired_by": standing.paired_by,
        "horizon": standing.horizon,
        "truth": None if standing.truth is None else _truth_as_json(standing.truth),
        "worst": standing.worst.to_state(),
    }


def _truth_as_json(standing: TruthStanding) -> dict[str, Any]:
    summary = cast("KeptSummary | None", standing.summary)
    return {
        "table": standing.table.to_state(),
        "summary": None if summary is None else summary.to_state(),
        "fates": standing.fates.counts(),
        "examples": standing.fates.examples(),
        "objects": [[each.key, each.etag] for each in standing.objects],
        "lines": standing.lines,
    }


def _truth_standing(found: Mapping[str, Any], table: BlockTable, truth: Truth) -> TruthStanding:
    fates = FateCounter()
    fates.resume(found["fates"], found["examples"])
    summary: Summary | None = None
    if found["summary"] is not None:
        empty = cast("KeptSummary", truth.comparator.compare(*[_nothing()] * 3).summary)
        summary = empty.from_state(found["summary"])
    return TruthStanding(
        table=table.restored(found["table"]),
        summary=summary,
        fates=fates,
        objects=[StoredObject(key, etag) for key, etag in found["objects"]],
        lines=found["lines"],
    )


def _standing(found: Mapping[str, Any], beginning: Standing, comparator: Comparator) -> Standing:
    counters = (FateCounter(), FateCounter())
    for counter, fates, examples in zip(counters, found["fates"], found["examples"], strict=True):
        counter.resume(fates, examples)
    return Standing(
        settled=beginning.settled.restored(found["settled"]),
        summary=None if found["summary"] is None else _empty_summary(comparator).from_state(found["summary"]),
        fates=counters,
        objects=[StoredObject(key, etag) for key, etag in found["objects"]],
        lines=list(found["lines"]),
        strict_lines=found["strict_lines"],
        paired_by=found["paired_by"],
        horizon=found["horizon"],
        worst=Worst.from_state(found["worst"]),
    )


def _empty_summary(comparator: Comparator) -> KeptSummary:
    """What a comparator says of no pairs: it knows how to become a kept one again."""
    return cast("KeptSummary", comparator.compare(_nothing(), _nothing()).summary)


def _nothing() -> "pa.RecordBatch":
    import pyarrow as pa

    return pa.record_batch([pa.array([], pa.large_string()), pa.array([], pa.string())], names=["text", "media"])
