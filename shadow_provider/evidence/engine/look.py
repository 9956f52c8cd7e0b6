"""One look at the captures of a deployment: what is new is read, what is old enough is settled, the rest is carried on.

What is settled never changes: a record that comes after its time was settled is `late`. Up to then it does not matter
in which look an object was read.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shadow_provider.comparators.contract import Comparator, Summary
from shadow_provider.evidence.engine.blocks import UNREADABLE, BlockTable, microseconds, moment_of
from shadow_provider.evidence.engine.grading import Grading
from shadow_provider.evidence.engine.keys import PairedBy, choose_key
from shadow_provider.evidence.engine.listing import listed_by_hour
from shadow_provider.evidence.engine.model import Captures, Settings, Standing, Wanted
from shadow_provider.evidence.engine.parts import Oversize, Part, parts
from shadow_provider.evidence.engine.reading import Piece, begin, load
from shadow_provider.evidence.engine.segments import add_segments, by_pair
from shadow_provider.evidence.engine.settling import (
    RECORD,
    Groups,
    carry_on,
    drop_duplicates,
    give_keys,
    groups,
    needed,
    own_id,
)
from shadow_provider.evidence.engine.sizes import add_sizes
from shadow_provider.evidence.engine.store import StoredObject
from shadow_provider.evidence.engine.uniform import Shapes
from shadow_provider.evidence.engine.worst import Worst
from shadow_provider.evidence.objects import join_key

if TYPE_CHECKING:
    import duckdb

NEIGHBOUR = timedelta(hours=1)
"""An object may be named up to an hour beside its records' times."""

_AHEAD = 16
"""Objects that are fetched while others are read."""

_THREADS = 4

_STEP = 3
"""Batches that are settled at a time: what is not old enough is carried on from step to step, which costs as much."""

_WITHOUT_ID = {"inference_id": "no_inference_id", "event_id": "no_event_id", "input": "no_input"}
_USUAL = ("out_of_window", "warm_up")


@dataclass(frozen=True, slots=True, order=True)
class _New:
    hour: datetime
    side: int
    stored: StoredObject


@dataclass
class Look:
    """A look in the making.

    Attributes:
        connection: with `carry` and `seen` as the last look left them.
        captures: what to read.
        settings: how.
        comparator: turns batches of pairs into figures.
        standing: where the last look came to; it is brought forward.
        until: records from here on wait for another look, or are out of the window if this is the last.
        last: whether no other look follows: then everything is settled.
        folder: takes what is spooled.
        grading: holds the settled pairs against their labels; None if there are none.
        wanted: what else is asked for.
        waiting: the worst disagreements of this look among the pairs that are not settled.
        shapes: of the lines met so far.
    """

    connection: "duckdb.DuckDBPyConnection"
    captures: Captures
    settings: Settings
    comparator: Comparator
    standing: Standing
    until: datetime
    last: bool
    folder: Path
    grading: Grading | None = None
    wanted: Wanted = field(default_factory=Wanted)
    waiting: Worst = field(default_factory=Worst)
    shapes: Shapes = field(default_factory=Shapes)

    def run(self) -> tuple[BlockTable, Summary | None]:
        """Read, settle and reduce; what is not settled yet is reduced apart, and given back."""
        new = self._new_objects()
        batch: list[Piece] = []
        size = taken = 0
        for number, pieces in enumerate(self._fetched(new), start=1):
            batch += pieces
            size += sum(piece.part.size for piece in pieces)
            if number == len(new):
                break
            if size >= self.settings.batch_bytes:
                self._take_in(batch)
                batch, size, taken = [], 0, taken + size
            if taken >= _STEP * self.settings.batch_bytes and new[number].hour > new[number - 1].hour:
                self._step(batch, microseconds(new[number].hour - NEIGHBOUR))
                batch, size, taken = [], 0, 0
        return self._step(batch, None)

    def _new_objects(self) -> list[_New]:
        """Objects that no look has read, by hour."""
        first = self.captures.start
        if self.standing.horizon is not None:
            first = max(first, moment_of(self.standing.horizon))
        known = set(self.standing.objects)
        new: list[_New] = []
        for side, variant in enumerate((self.captures.production, self.captures.shadow)):
            prefix = join_key(self.captures.prefix, self.captures.endpoint, variant).rstrip("/")
            listed = listed_by_hour(self.captures.store, prefix, first - NEIGHBOUR, self.until + NEIGHBOUR)
            new += [
                _New(hour, side, each) for hour, each in listed if each.key.endswith(".jsonl") and each not in known
            ]
        return sorted(new)

    def _fetched(self, new: Sequence[_New]) -> Iterator[list[Piece]]:
        """The pieces of each object, in order; a few objects are fetched ahead."""
        with ThreadPoolExecutor(_THREADS) as pool:
            waiting: deque[Future[list[Part | Oversize]]] = deque()
            for at, each in enumerate(new):
                while len(waiting) < _AHEAD and at + len(waiting) < len(new):
                    waiting.append(pool.submit(self._fetch, new[at + len(waiting)]))
                yield self._arrived(each, waiting.popleft().result())

    def _fetch(self, new: _New) -> list[Part | Oversize]:
        name = f"{new.side}-{abs(hash(new.stored)):x}"
        return list(parts(self.captures.store, new.stored.key, self.folder, name, self.shapes))

    def _arrived(self, new: _New, found: Sequence[Part | Oversize]) -> list[Piece]:
        number = len(self.standing.objects)
        self.standing.objects.append(new.stored)
        pieces: list[Piece] = []
        for each in found:
            if isinstance(each, Oversize):
                self.standing.lines[new.side] += 1
                self.standing.fates[new.side].count("oversize", f"{new.stored.key}:{each.line}")
            else:
                self.standing.lines[new.side] += each.lines
                pieces.append(Piece(each, new.side, number, new.stored.key))
        return pieces

    def _step(self, batch: Sequence[Piece], horizon: int | None) -> tuple[BlockTable, Summary | None]:
        """Take a batch in, and settle what lies before the horizon; without one, this is the look's last step."""
        self._take_in(batch)
        provisional = self.standing.settled.empty()
        if self.standing.paired_by is None:
            self.standing.paired_by = self._key(final=self.last and horizon is None)
        self._records()
        self._leave_out(self.standing.paired_by)
        summary = self._settle(self.standing.paired_by, horizon, provisional)
        return provisional, summary

    def _take_in(self, batch: Sequence[Piece]) -> None:
        self.standing.strict_lines += load(
            self.connection,
            batch,
            self.standing.fates,
            exact_sizes=self.wanted.exact_sizes,
            attributes=self.wanted.attributes,
        )
        for piece in batch:
            piece.part.release()

    def _key(self, *, final: bool) -> PairedBy | None:
        chosen = self.settings.paired_by or choose_key(
            self.connection,
            "(SELECT side, inference, event FROM fresh UNION ALL SELECT side, inference, event FROM carry)",
        )
        return "inference_id" if chosen is None and final else chosen

    def _records(self) -> None:
        """All that is not settled, in one table, with the id by which a copy is told and the key of its pair."""
        own = own_id(self.standing.paired_by)
        self.connection.execute(
            f"""
            CREATE OR REPLACE TABLE records AS
            SELECT {RECORD}, {own} AS id, {own} AS key, false AS fresh FROM carry
            UNION ALL
            SELECT {RECORD}, {own}, {own}, true FROM fresh
            """  # noqa: S608
        )
        begin(self.connection)

    def _leave_out(self, paired_by: PairedBy | None) -> None:
        """Give the records that make no group their fate, and let them go."""
        without_id = "" if paired_by is None else f"WHEN {needed(paired_by)} IS NULL THEN '{_WITHOUT_ID[paired_by]}'"
        start = microseconds(self.captures.start)
        fate = f"""CASE
            WHEN time < {start} OR ({self.last} AND time >= {microseconds(self.until)}) THEN 'out_of_window'
            WHEN time < {microseconds(self.captures.start + self.captures.warm_up)} THEN 'warm_up'
            {without_id}
        END"""
        self._drop(fate)

    def _drop(self, fate: str) -> None:
        """Count the records that have a fate, which is an SQL expression, and delete them."""
        found = self.connection.execute(
            f"SELECT side, {fate} AS fate, count(*), min(object, 5) FROM records GROUP BY ALL HAVING fate IS NOT NULL"  # noqa: S608
        ).fetchall()
        for side, name, count, objects in found:
            places = {} if name in _USUAL else {name: [self._place(number) for number in objects]}
            self.standing.fates[side].resume({name: count}, places)
        if found:
            self.connection.execute(f"DELETE FROM records WHERE {fate} IS NOT NULL")  # noqa: S608

    def _place(self, number: int, line: int | None = None) -> str:
        key = self.standing.objects[number].key
        return key if line is None else f"{key}:{line}"

    def _settle(self, paired_by: PairedBy | None, step: int | None, provisional: BlockTable) -> Summary | None:
        """Settle the groups before the horizon; in the look's last step, reduce the other ones provisionally."""
        settled = self.standing.horizon
        for side, number, line in drop_duplicates(self.connection, settled, self._place):
            self.standing.fates[side].count("duplicate", self._place(number, line))
        if settled is not None:
            self._drop(f"CASE WHEN fresh AND time < {settled} THEN 'late' END")
        if paired_by == "input":
            before, after = (each // timedelta(microseconds=1) for each in self._tolerance)
            give_keys(self.connection, before, after)
        horizon = self._horizon(step)
        end = microseconds(self.until)
        summary: Summary | None = None
        if self.grading is not None:
            self.grading.begin(horizon)
        for each in groups(
            self.connection, horizon if step is not None else None, with_places=self.wanted.examples.count > 0
        ):
            old = np.ones(len(each.times), dtype=bool) if horizon is None else each.times < horizon
            certain = each.where(old)
            self.standing.summary = self._reduce(
                certain, self.standing.settled, self.standing.summary, self.standing.worst
            )
            if self.grading is not None:
                self.grading.grade(certain)
            if not old.all():
                summary = self._reduce(each.where(~old & (each.times < end)), provisional, summary, self.waiting)
        if self.grading is not None:
            self.grading.keep(horizon)
        if horizon is None:
            self.connection.execute("TRUNCATE carry")
        else:
            carry_on(self.connection, horizon)
            self._forget(horizon)
            self.standing.horizon = horizon
        return _merged(self.standing.summary, summary)

    @property
    def _tolerance(self) -> tuple[timedelta, timedelta]:
        return self.settings.input_before, self.settings.input_after

    def _horizon(self, step: int | None) -> int | None:
        """Before it everything is settled; it never goes back. None settles all."""
        if self.last and step is None:
            return None
        settled = self.standing.horizon
        allowed = microseconds(self.until - self.settings.lag)
        wanted = allowed if step is None else min(step, allowed)
        if self.standing.paired_by is None:
            # One side has nothing yet, so what to pair by is open. The other side waits, but not for ever.
            wanted -= self.settings.repeats_within // timedelta(microseconds=1)
        return wanted if settled is None else max(settled, wanted)

    def _forget(self, horizon: int) -> None:
        oldest = horizon - self.settings.repeats_within // timedelta(microseconds=1)
        self.connection.execute("DELETE FROM seen WHERE time < ?", [oldest])

    def _reduce(self, some: Groups, table: BlockTable, summary: Summary | None, worst: Worst) -> Summary | None:
        blocks = table.index(some.times)
        pairs = some.pairs
        table.add("production", blocks[some.production])
        table.add("shadow", blocks[some.shadow])
        table.add("paired", blocks[pairs])
        table.add("mismatched", blocks[some.production & some.shadow & ~some.same_input])
        table.add("alone/production", blocks[~some.shadow])
        table.add("alone/shadow", blocks[~some.production])
        add_sizes(table, some, blocks)
        if not pairs.any():
            return summary
        some, blocks = some.paired(), blocks[pairs]
        comparison = self.comparator.compare(*some.answers())
        figures = {outcome: comparison.values[outcome.name] for outcome in self.comparator.outcomes}
        worst.add(self.wanted.examples, some, figures, self._place)
        production, shadow = comparison.readable
        figures[UNREADABLE] = production.astype(np.float64) - shadow.astype(np.float64)
        for outcome, values in figures.items():
            table.add_outcome(outcome, blocks, values)
        add_segments(table, by_pair(self.wanted.segments), some, blocks, figures)
        return _merged(summary, comparison.summary)


def _merged(one: Summary | None, other: Summary | None) -> Summary | None:
    if one is None or other is None:
        return one or other
    return one.merge(other)
