"""One look at the captures of a deployment: what is new is read, what is old enough is settled, the rest is carried on.

What is settled never changes: a record that comes after its time was settled is `late`. Up to then it does not matter
in which look an object was read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shadow_provider.comparators.contract import Comparator, Summary
from shadow_provider.comparators.shared_reading import shared_reading
from shadow_provider.evidence.engine.arriving import Arrivals, Arrived, New
from shadow_provider.evidence.engine.behind import Behind, behind
from shadow_provider.evidence.engine.blocks import UNREADABLE, BlockTable, microseconds, moment_of
from shadow_provider.evidence.engine.direct import Bounds, Direct
from shadow_provider.evidence.engine.grading import Grading
from shadow_provider.evidence.engine.keys import PairedBy, choose_key
from shadow_provider.evidence.engine.listing import listed_by_hour
from shadow_provider.evidence.engine.model import Captures, Settings, Standing, Wanted
from shadow_provider.evidence.engine.reading import Piece, begin, load
from shadow_provider.evidence.engine.records import Asked
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
    times_before,
)
from shadow_provider.evidence.engine.sizes import add_sizes
from shadow_provider.evidence.engine.worst import Worst
from shadow_provider.evidence.objects import join_key

if TYPE_CHECKING:
    import duckdb

NEIGHBOUR = timedelta(hours=1)
"""An object may be named up to an hour beside its records' times."""

_STEP = 3
"""Batches that are settled at a time: what is not old enough is carried on from step to step, which costs as much."""

_AS_RECORDS = 4
"""Bytes of captures that take as long to settle as a byte of records in memory."""

_BEHIND = 2
"""Batches of settled groups that may wait to be reduced, while more is read and settled."""

_WITHOUT_ID = {"inference_id": "no_inference_id", "event_id": "no_event_id", "input": "no_input"}
_USUAL = ("out_of_window", "warm_up")


def new_objects(captures: Captures, standing: Standing, until: datetime) -> list[New]:
    """Objects that no look has read, by hour, as far as they may have records from before `until`."""
    first = captures.start
    if standing.horizon is not None:
        first = max(first, moment_of(standing.horizon))
    known = set(standing.objects)
    new: list[New] = []
    for side, variant in enumerate((captures.production, captures.shadow)):
        prefix = join_key(captures.prefix, captures.endpoint, variant).rstrip("/")
        listed = listed_by_hour(captures.store, prefix, first - NEIGHBOUR, until + NEIGHBOUR)
        new += [New(hour, side, each) for hour, each in listed if each.key.endswith(".jsonl") and each not in known]
    return sorted(new)


@dataclass
class Look:
    """A look in the making.

    Attributes:
        connection: with `carry` and `seen` as the last look left them.
        captures: what they are.
        new: what to read.
        settings: how.
        comparator: turns batches of pairs into figures.
        standing: where the last look came to; it is brought forward.
        until: records from here on wait for another look, or are out of the window if this is the last.
        last: whether no other look follows: then everything is settled.
        folder: takes what is spooled.
        grading: holds the settled pairs against their labels; None if there are none.
        wanted: what else is asked for.
        waiting: the worst disagreements of this look among the pairs that are not settled.
        direct: records in memory, which need no database as long as there is no doubt about them.
    """

    connection: "duckdb.DuckDBPyConnection"
    captures: Captures
    new: Sequence[New]
    settings: Settings
    comparator: Comparator
    standing: Standing
    until: datetime
    last: bool
    folder: Path
    grading: Grading | None = None
    wanted: Wanted = field(default_factory=Wanted)
    waiting: Worst = field(default_factory=Worst)
    direct: Direct = field(default_factory=Direct)
    _behind: Behind = field(init=False)

    def run(self) -> tuple[BlockTable, Summary | None]:
        """Read, settle and reduce; what is not settled yet is reduced apart, and given back."""
        with behind(_BEHIND) as self._behind:
            return self._run(self.new)

    def _run(self, new: Sequence[New]) -> tuple[BlockTable, Summary | None]:
        arrivals = Arrivals(
            self.captures.store, self.folder, len(self.standing.objects), self.settings.batch_bytes, self._asked()
        )
        batch: list[Piece] = []
        size = taken = number = 0
        stepped = new[0].hour if new else None
        for arrived in arrivals.read(self.connection, new):
            self._count(arrived, new[number : number + arrived.objects])
            number += arrived.objects
            batch += arrived.pieces
            read = sum(piece.part.size for piece in arrived.pieces)
            size += read
            in_memory = sum(table.nbytes for table in arrived.records)
            self.direct.add(arrived.records, in_memory)
            taken += read + _AS_RECORDS * in_memory
            if number == len(new):
                break
            if size >= self.settings.batch_bytes:
                self._take_in(batch)
                batch, size = [], 0
            if self.direct.size >= _STEP * self.settings.batch_bytes:
                self.direct.leave(self.connection)
            if taken >= _STEP * self.settings.batch_bytes and new[number].hour != stepped:
                stepped = new[number].hour
                self._step(batch, microseconds(stepped - NEIGHBOUR))
                arrivals.asked = self._asked()
                batch, size, taken = [], 0, 0
        return self._step(batch, None)

    def _asked(self) -> Asked:
        return Asked(
            exact_sizes=self.wanted.exact_sizes,
            attributes=self.wanted.attributes,
            # Once all are paired by inferenceId no other id is asked for.
            events=self.standing.paired_by != "inference_id",
        )

    def _count(self, arrived: Arrived, new: Sequence[New]) -> None:
        """Note what was read."""
        self.standing.objects += [each.stored for each in new]
        for side, lines in enumerate(arrived.lines):
            self.standing.lines[side] += lines
        for side, key, line in arrived.oversize:
            self.standing.fates[side].count("oversize", f"{key}:{line}")

    def _step(self, batch: Sequence[Piece], horizon: int | None) -> tuple[BlockTable, Summary | None]:
        """Take a batch in, and settle what lies before the horizon; without one, this is the look's last step."""
        self._take_in(batch)
        provisional = self.standing.settled.empty()
        if self.standing.paired_by is None:
            self.standing.paired_by = self._key(final=self.last and horizon is None)
        if self.standing.paired_by == "inference_id":
            self._settle_directly(horizon)
        if horizon is None or self.standing.paired_by != "inference_id":
            self.direct.leave(self.connection)
        settled_until = self._horizon(horizon)
        summary: Summary | None = None
        if horizon is None:
            self._behind.wait()
        if self.connection.execute("SELECT EXISTS (FROM fresh) OR EXISTS (FROM carry)").fetchall()[0][0]:
            self.direct.heard.tell(self.connection)
            self._records()
            self._leave_out(self.standing.paired_by)
            self._behind.wait()
            summary = self._settle(self.standing.paired_by, settled_until, provisional, everything=horizon is None)
        if settled_until is not None:
            self._forget(settled_until)
            self.standing.horizon = settled_until
        if horizon is None and not self.last:
            self.direct.heard.tell(self.connection)
        return provisional, _merged(self.standing.summary, summary)

    def _settle_directly(self, step: int | None) -> None:
        """Settle what needs no database."""
        start = self.captures.start + max(self.captures.warm_up, timedelta(0))
        end = microseconds(self.until) if self.last else None
        bounds = Bounds(microseconds(start), end, self.standing.horizon, self._horizon(step))
        undoubted = self.direct.settle(self.connection, bounds)
        times = undoubted.times
        if not len(times):
            return
        if self.grading is not None:
            self.grading.begin(int(times.min()), int(times.max()))
        for each in undoubted.groups(with_places=self.wanted.examples.count > 0):
            self._behind.do(partial(self._add, each))
        if self.grading is not None and not self.grading.held:
            self._behind.wait()
            self.grading.end()

    def _add(self, settled: Groups) -> None:
        """Reduce groups that are settled, and hold them against their labels."""
        standing = self.standing
        pairs = settled.paired()
        with shared_reading():
            standing.summary = self._reduce(settled, pairs, standing.settled, standing.summary, standing.worst)
            if self.grading is not None:
                self.grading.grade(pairs)

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
        self.connection.register("direct", self.direct.records())
        chosen = self.settings.paired_by or choose_key(
            self.connection,
            """(
                SELECT side, inference, event FROM fresh UNION ALL SELECT side, inference, event FROM carry
                UNION ALL SELECT side, inference, event FROM direct
            )""",
        )
        self.connection.unregister("direct")
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

    def _settle(
        self, paired_by: PairedBy | None, horizon: int | None, provisional: BlockTable, *, everything: bool
    ) -> Summary | None:
        """Settle the groups before the horizon; if everything is wanted, reduce the other ones provisionally."""
        settled = self.standing.horizon
        for side, number, line in drop_duplicates(self.connection, settled, self._place):
            self.standing.fates[side].count("duplicate", self._place(number, line))
        if settled is not None:
            self._drop(f"CASE WHEN fresh AND time < {settled} THEN 'late' END")
        if paired_by == "input":
            before, after = (each // timedelta(microseconds=1) for each in self._tolerance)
            give_keys(self.connection, before, after)
        end = microseconds(self.until)
        summary: Summary | None = None
        times = None if self.grading is None else times_before(self.connection, horizon)
        if self.grading is not None and times is not None:
            self.grading.begin(*times)
        for each in groups(
            self.connection, None if everything else horizon, with_places=self.wanted.examples.count > 0
        ):
            old = np.ones(len(each.times), dtype=bool) if horizon is None else each.times < horizon
            if old.any():
                self._add(each.where(old))
            if not old.all():
                rest = each.where(~old & (each.times < end))
                summary = self._reduce(rest, rest.paired(), provisional, summary, self.waiting)
        if self.grading is not None and times is not None:
            self.grading.end()
        if horizon is None:
            self.connection.execute("TRUNCATE carry")
        else:
            carry_on(self.connection, horizon)
        return summary

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
        self.direct.heard.oldest = oldest

    def _reduce(
        self, some: Groups, pairs: Groups, table: BlockTable, summary: Summary | None, worst: Worst
    ) -> Summary | None:
        """Some groups, and the pairs among them."""
        blocks = table.index(some.times)
        paired = some.pairs
        table.add("production", blocks[some.production])
        table.add("shadow", blocks[some.shadow])
        table.add("paired", blocks[paired])
        table.add("mismatched", blocks[some.production & some.shadow & ~some.same_input])
        table.add("alone/production", blocks[~some.shadow])
        table.add("alone/shadow", blocks[~some.production])
        add_sizes(table, some, blocks)
        if not len(pairs.times):
            return summary
        blocks = blocks[paired]
        comparison = self.comparator.compare(*pairs.answers())
        figures = {outcome: comparison.values[outcome.name] for outcome in self.comparator.outcomes}
        worst.add(self.wanted.examples, pairs, figures, self._place)
        production, shadow = comparison.readable
        figures[UNREADABLE] = production.astype(np.float64) - shadow.astype(np.float64)
        for outcome, values in figures.items():
            table.add_outcome(outcome, blocks, values)
        add_segments(table, by_pair(self.wanted.segments), pairs, blocks, figures)
        return _merged(summary, comparison.summary)


def _merged(one: Summary | None, other: Summary | None) -> Summary | None:
    if one is None or other is None:
        return one or other
    return one.merge(other)
