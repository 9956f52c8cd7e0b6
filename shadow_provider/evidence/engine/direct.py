"""Groups that need no database: records in memory that are paired by inferenceId and about which there is no doubt.

A record is in doubt if another one of its side has its id, if one of its id was settled before or is in the database,
if it has none, and if it or its partner came late or lies outside of the window. These go to the database, which
settles them by the whole rule. Records of one id go there together, so neither way needs to know of the other one's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shadow_provider.comparators.arrow import column, filled, valid
from shadow_provider.evidence.engine.heard import Heard
from shadow_provider.evidence.engine.reading import add_records
from shadow_provider.evidence.engine.records import nothing
from shadow_provider.evidence.engine.settling import SIDES, Booleans, Groups, Times

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_ROWS = 65_536
_ANSWER = ("text", "media")

Rows = NDArray[np.int64]
Ids = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which times are settled, in microseconds.

    Attributes:
        start: records before are left to the database.
        end: records from here on are as well; None for no end.
        settled: a new record before is late; None if nothing was settled before.
        horizon: groups before are settled, the others wait; None to settle all.
    """

    start: int
    end: int | None
    settled: int | None
    horizon: int | None


@dataclass
class Direct:
    """Records in memory, as `records` makes them.

    Attributes:
        new: those that came since the last step.
        waiting: those of earlier steps, whose time has not come.
        heard: ids of what was settled.
        size: bytes that they take; kept, since a look asks after each run, and adding up all columns anew is slow.
    """

    new: "list[pa.Table]" = field(default_factory=list)
    waiting: "pa.Table" = field(default_factory=lambda: nothing())
    size: int = 0
    heard: Heard = field(default_factory=Heard)

    def add(self, arrived: "Sequence[pa.Table]", size: int) -> None:
        """Records that came, and the bytes that they take."""
        self.new += arrived
        self.size += size

    def records(self) -> "pa.Table":
        """All of them, those that wait first."""
        import pyarrow as pa

        return pa.concat_tables([self.waiting, *self.new])

    def leave(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Give all records to the database."""
        _carry(connection, self.waiting)
        for each in self.new:
            add_records(connection, each)
        self._keep(nothing())

    def settle(self, connection: "duckdb.DuckDBPyConnection", bounds: Bounds) -> "Undoubted":
        """What can be settled; what is in doubt goes to the database, the rest goes on waiting."""
        records, fresh = self.records().combine_chunks(), self.waiting.num_rows
        self._keep(nothing())
        found = _Found.of(records)
        times = found.times
        doubtful = (times < bounds.start) | ~found.with_id
        if bounds.end is not None:
            doubtful |= times >= bounds.end
        if bounds.settled is not None:
            doubtful[fresh:] |= times[fresh:] < bounds.settled
        doubt = found.groups_of(doubtful) | ~found.alike
        ids = found.ids[found.any_row]
        doubt |= self.heard.knows(ids) | _known(connection, ids)
        old = ~doubt if bounds.horizon is None else ~doubt & (found.group_times < bounds.horizon)
        doubtful, settled = doubt[found.group], old[found.group]
        if doubtful.any():
            _carry(connection, records.slice(0, fresh).filter(column(doubtful[:fresh])))
            add_records(connection, records.slice(fresh).filter(column(doubtful[fresh:])))
        rest = ~(doubtful | settled)
        if rest.any():
            self._keep(records.filter(column(rest)))
        if settled.any():
            of_settled = records.select(["side", "inference", "time"]).filter(column(settled))
            self.heard.add(connection, of_settled, ids[old])
        return Undoubted(records, found.production[old], found.shadow[old])

    def _keep(self, waiting: "pa.Table") -> None:
        """These wait, and no others."""
        self.new, self.waiting, self.size = [], waiting, int(waiting.nbytes)


@dataclass(frozen=True, slots=True)
class _Found:
    """Records by their id.

    Attributes:
        ids: of the records.
        with_id: whether they have one.
        times: of the records.
        group: number of the records' groups.
        any_row: one record of each group.
        production: of each group production's record, -1 if there is none.
        shadow: of each group the shadow's.
        alike: whether a group is as it should be: at most one record of each side.
    """

    ids: Ids
    with_id: Booleans
    times: Times
    group: Rows
    any_row: Rows
    production: Rows
    shadow: Rows
    alike: Booleans

    @classmethod
    def of(cls, records: "pa.Table") -> "_Found":
        """What some records are."""
        ids, with_id = _numbers(records, "inference")
        sides, times = _numbers(records, "side")[0], _numbers(records, "time")[0].astype(np.int64)
        order = np.argsort(ids)
        ordered = ids[order]
        begins = np.flatnonzero(np.concatenate((np.ones(min(1, len(ids)), np.bool_), ordered[1:] != ordered[:-1])))
        sizes = np.diff(begins, append=len(ids))
        group = np.empty(len(ids), dtype=np.int64)
        group[order] = np.repeat(np.arange(len(begins)), sizes)
        one = order[begins]
        # The next record in order, where the group has one.
        two = np.where(sizes > 1, order[np.minimum(begins + 1, len(ids) - 1)], -1)
        swapped = sides[one] == 1
        production, shadow = np.where(swapped, two, one), np.where(swapped, one, two)
        alike = (sizes == 1) | ((sizes == 2) & (sides[one] != sides[two]))
        return cls(ids.astype(np.uint64), with_id, times, group, one, production, shadow, alike)

    @property
    def group_times(self) -> Times:
        """Production's, or the shadow's where production has none."""
        times: Times = self.times[np.where(self.production >= 0, self.production, self.shadow)]
        return times

    def groups_of(self, chosen: Booleans) -> Booleans:
        """The groups that have any of the records."""
        found = np.zeros(len(self.any_row), dtype=np.bool_)
        found[self.group[chosen]] = True
        return found


@dataclass(frozen=True, slots=True)
class Undoubted:
    """Groups that are settled.

    Attributes:
        records: some records.
        production: of each group production's row, -1 if there is none.
        shadow: of each group the shadow's.
    """

    records: "pa.Table"
    production: Rows
    shadow: Rows

    @property
    def times(self) -> Times:
        """Production's, or the shadow's where production has none."""
        times = _numbers(self.records, "time")[0].astype(np.int64)
        found: Times = times[np.where(self.production >= 0, self.production, self.shadow)]
        return found

    def groups(self, *, with_places: bool = False) -> Iterator[Groups]:
        """A batch at a time."""
        # Neighbours in memory come one after the other, which is faster.
        order = np.argsort(np.maximum(self.production, self.shadow))
        for at in range(0, len(order), _ROWS):
            some = order[at : at + _ROWS]
            yield self._groups(self.production[some], self.shadow[some], with_places=with_places)

    def _groups(self, production: Rows, shadow: Rows, *, with_places: bool) -> Groups:
        import pyarrow as pa
        import pyarrow.compute as pc

        names = [*_ANSWER, *(("object", "line") if with_places else ())]
        asked = self.records.select([*names, "time", "inference", "input", "size", "attributes"])
        sides = [asked.take(column(rows, missing=rows < 0)) for rows in (production, shadow)]
        (inputs, has_input), (others, has_other) = (_numbers(each, "input") for each in sides)
        both = [
            (f"{side}_{name}", each.column(name)) for side, each in zip(SIDES, sides, strict=True) for name in names
        ]
        both.append(("size", pc.coalesce(*(each.column("size") for each in sides))))
        both.append(("attributes", sides[0].column("attributes")))
        both.append(("label_id", column(filled(sides[0].column("inference"), 0))))
        batch = pa.table(dict(both)).combine_chunks().to_batches()[0]
        times = np.where(production >= 0, *(_numbers(each, "time")[0] for each in sides)).astype(np.int64)
        same = (inputs == others) & (has_input == has_other)
        return Groups(times, production >= 0, shadow >= 0, same, batch)


def _known(connection: "duckdb.DuckDBPyConnection", ids: Ids) -> Booleans:
    """Which of the ids the database has, or had when they were settled."""
    import pyarrow as pa

    tables = "FROM seen) OR EXISTS (FROM fresh) OR EXISTS (FROM carry"
    if not connection.execute(f"SELECT EXISTS ({tables})").fetchall()[0][0]:
        return np.zeros(len(ids), dtype=np.bool_)
    connection.register("asked", pa.table({"id": column(ids)}))
    found = connection.execute(
        """
        FROM asked SEMI JOIN (
            SELECT id FROM seen UNION ALL SELECT inference FROM fresh UNION ALL SELECT inference FROM carry
        ) known USING (id)
        """
    ).fetchnumpy()
    connection.unregister("asked")
    return np.isin(ids, np.asarray(found["id"], dtype=np.uint64))


def _carry(connection: "duckdb.DuckDBPyConnection", records: "pa.Table") -> None:
    """Records that waited here go on waiting in the database."""
    if records.num_rows:
        connection.register("waited", records)
        connection.execute("INSERT INTO carry SELECT *, inference, inference FROM waited")
        connection.unregister("waited")


def _numbers(table: "pa.Table", name: str) -> tuple[NDArray[np.generic], Booleans]:
    """A column of whole numbers, 0 where there is none, and where there is one."""
    found = table.column(name)
    return filled(found, 0), valid(found)
