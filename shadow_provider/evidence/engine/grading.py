"""Ground truth: labels that come late, and not for every pair, meet the pairs that are settled.

An answer waits for its label, and a label for its pair. Labels of one id that contradict each other are all left out,
as long as none has been used yet: what was counted stays counted, and what comes after it is `repeated`.

A look reads its labels first. A pair that is settled while its label is there is graded at once; only the other ones
are kept, and meet all labels when the look has settled what it can.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shadow_provider.comparators.arrow import column, filled
from shadow_provider.evidence.engine.at_hand import AtHand
from shadow_provider.evidence.engine.blocks import microseconds
from shadow_provider.evidence.engine.labels import Labels, read_labels
from shadow_provider.evidence.engine.listing import listed_by_hour
from shadow_provider.evidence.engine.settling import SIDES, Groups, Ids, Times
from shadow_provider.evidence.engine.store import StoredObject
from shadow_provider.evidence.engine.truth import Truth, TruthStanding

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

TABLES = """
CREATE TABLE answers (
    id UBIGINT, time BIGINT,
    production_text VARCHAR, production_media VARCHAR, shadow_text VARCHAR, shadow_media VARCHAR
);
CREATE TABLE labels (id UBIGINT, text VARCHAR, media VARCHAR, since BIGINT, hour BIGINT);
CREATE TABLE graded (id UBIGINT, since BIGINT);
CREATE TABLE met (id UBIGINT);
"""
KEPT = ("answers", "labels", "graded")

_ROWS = 32_768
_HELD = 64 << 20
"""Bytes of labels that are kept in memory; more are put into the database, so many at a time."""

_HOUR = 3_600_000_000
"""In microseconds."""


@dataclass
class Grading:
    """The part of a look that is about labels.

    First `read`; for the pairs that are settled next `begin`, `grade` and `end`; when all is settled, `finish`.

    Attributes:
        connection: with the tables as the last look left them.
        truth: which labels.
        standing: brought forward.
        start: of the deployment.
        until: the last hour to look into.
        last: whether no other look follows: then no label waits.
        held: whether the labels of this look are in memory, for all pairs at once.
    """

    connection: "duckdb.DuckDBPyConnection"
    truth: Truth
    standing: TruthStanding
    start: datetime
    until: datetime
    last: bool
    _at_hand: AtHand | None = field(default=None, init=False)
    held: bool = field(default=False, init=False)

    def read(self) -> None:
        """Read the new labels, and leave one of each id.

        They stay in memory if they are few enough, there are no others, and there is no doubt about any.
        """
        new = list(self._new_objects())
        hours = np.array([hour for hour, _ in new], dtype=np.int64)
        batch: list[Labels] = []
        may_hold = not self.connection.execute("SELECT EXISTS (FROM labels) OR EXISTS (FROM graded)").fetchall()[0][0]
        for found in read_labels(self.truth.store, self.connection, [stored for _, stored in new]):
            self.standing.lines += found.lines
            for fate, number, line in found.bad:
                self.standing.fates.count(fate, f"{new[number][1].key}:{line}")
            batch.append(found)
            if sum(each.size for each in batch) >= _HELD:
                self._insert(batch, hours)
                batch, may_hold = [], False
        self.standing.objects += [stored for _, stored in new]
        self.held = may_hold and self._hold(batch, hours)
        if not self.held:
            self._insert(batch, hours)
            self._settle()

    def _hold(self, batch: Sequence[Labels], hours: NDArray[np.int64]) -> bool:
        """Whether the labels can be kept in memory, which they are then."""
        import pyarrow as pa

        tables = [_with_hours(table, hours) for each in batch for table in each.tables]
        if tables and not any(each.others for each in batch):
            self._at_hand = AtHand.of(pa.concat_tables(tables))
        return self._at_hand is not None

    def _new_objects(self) -> Iterator[tuple[int, StoredObject]]:
        """Objects that no look has read, with the hour that they are of."""
        known = set(self.standing.objects)
        first = max(self.start, self.until - self.truth.within)
        for hour, each in listed_by_hour(self.truth.store, self.truth.prefix, first, self.until):
            if each.key.endswith(".jsonl") and each not in known:
                yield microseconds(hour), each

    def _insert(self, batch: Sequence[Labels], hours: NDArray[np.int64]) -> None:
        """Put labels into the database, with the hours of their objects."""
        import pyarrow as pa

        tables = [_with_hours(table, hours) for each in batch for table in each.tables]
        if tables:
            self._insert_table("id", pa.concat_tables(tables))
        others = [label for each in batch for label in each.others]
        if others:
            columns = zip(*((each.id, each.text, each.media, hours[each.object]) for each in others), strict=True)
            types = [pa.large_string(), pa.large_string(), pa.string(), pa.int64()]
            arrays = [pa.array(values, type_) for values, type_ in zip(columns, types, strict=True)]
            self._insert_table("id_of('\"' || id || '\"')", pa.table(arrays, names=["id", "text", "media", "hour"]))

    def _insert_table(self, digest: str, labels: "pa.Table") -> None:
        """Put labels into the database; the digest of their id is an SQL expression."""
        self.connection.register("new_labels", labels)
        self.connection.execute(
            f"INSERT INTO labels SELECT {digest}, text, media, ?, hour FROM new_labels",  # noqa: S608
            [microseconds(self.until)],
        )
        self.connection.unregister("new_labels")

    def _settle(self) -> None:
        """Leave one label of each id, none where they contradict each other or one was used before."""
        self._drop("repeated", "id IN (SELECT id FROM graded)")
        several = "SELECT id FROM labels GROUP BY id HAVING count(*) > 1"
        if self.connection.execute(f"SELECT EXISTS ({several})").fetchall()[0][0]:
            self._drop("conflicting", "id IN (SELECT id FROM labels GROUP BY id HAVING count(DISTINCT text) > 1)")
            self._drop("duplicate", "rowid NOT IN (SELECT min(rowid) FROM labels GROUP BY id)")

    def _drop(self, fate: str, condition: str) -> None:
        """Delete the labels of which a condition is true, and count them."""
        gone = self.connection.execute(f"DELETE FROM labels WHERE {condition}").fetchall()[0][0]  # noqa: S608
        if gone:
            self.standing.fates.resume({fate: gone}, {})

    def begin(self, first: int, last: int) -> None:
        """Have the labels at hand that were collected when the pairs of some times were served, or soon after."""
        if not self.held:
            labels = self.connection.sql(
                "SELECT id, text, media FROM labels WHERE hour BETWEEN $first AND $last",
                params={"first": first // _HOUR * _HOUR, "last": last + _HOUR},
            )
            self._at_hand = AtHand.of(labels.to_arrow_table())

    def grade(self, some: Groups) -> None:
        """Grade those of some settled pairs whose label is at hand; the answers of others wait."""
        assert self._at_hand is not None
        found, truth = self._at_hand.find(some.ids)
        self._keep(some.where(~found & (some.ids != 0)))
        if found.any():
            some = some.where(found)
            self._reduce(some.times, *some.answers(), truth)

    def _keep(self, pairs: Groups) -> None:
        import pyarrow as pa

        if len(pairs.times):
            names = [f"{side}_{name}" for side in SIDES for name in ("text", "media")]
            waiting = pairs.batch.select(["label_id", *names]).append_column("time", column(pairs.times))
            columns = ", ".join(names)
            # The connection itself is giving groups.
            with self.connection.cursor() as cursor:
                cursor.register("waiting", pa.Table.from_batches([waiting]))
                cursor.execute(f"INSERT INTO answers SELECT label_id, time, {columns} FROM waiting")  # noqa: S608

    def end(self) -> None:
        """Note which pairs were graded since `begin`."""
        if self._at_hand is not None and not self.held:
            self._remember_met(self._at_hand.met)

    def _remember_met(self, ids: Ids) -> None:
        """That the pairs of these ids are graded."""
        import pyarrow as pa

        if len(ids):
            self.connection.execute("TRUNCATE met")
            self.connection.register("met_now", pa.table([column(ids)], names=["id"]))
            self.connection.execute("INSERT INTO met FROM met_now")
            self.connection.unregister("met_now")
            self._remember()

    def finish(self) -> None:
        """Grade what has waited and has its label now, and forget what has waited too long."""
        if self._at_hand is not None and self.held:
            met = self._at_hand.met
            self.standing.fates.resume({"used": len(met)}, {})
            if not self.last:
                self._remember_met(met)
            self._insert_table("id", self._at_hand.others)
        self._grade_answers()
        self._drop("used", "id IN (SELECT id FROM graded)")
        oldest = microseconds(self.until - self.truth.within)
        self._drop("no_pair", "true" if self.last else f"since < {oldest}")
        self.connection.execute("DELETE FROM answers WHERE time < $oldest", {"oldest": oldest})
        self.connection.execute("DELETE FROM graded WHERE since < $oldest", {"oldest": oldest})

    def _grade_answers(self) -> None:
        reader = self.connection.sql(
            """
            SELECT time, production_text, production_media, shadow_text, shadow_media, text, media
            FROM answers JOIN labels USING (id)
            """
        ).to_arrow_reader(_ROWS)
        for batch in reader:
            sides = [
                batch.select([f"{side}text", f"{side}media"]).rename_columns(["text", "media"]).cast(_schema())
                for side in ("production_", "shadow_", "")
            ]
            self._reduce(filled(batch.column("time"), 0), *sides)
        self.connection.execute("TRUNCATE met; INSERT INTO met SELECT id FROM answers SEMI JOIN labels USING (id)")
        self.connection.execute("DELETE FROM answers WHERE id IN (FROM met)")
        self._remember()

    def _remember(self) -> None:
        """That the pairs in `met` are graded."""
        self.connection.execute("INSERT INTO graded SELECT id, ? FROM met", [microseconds(self.until)])

    def _reduce(
        self, times: Times, production: "pa.RecordBatch", shadow: "pa.RecordBatch", truth: "pa.RecordBatch"
    ) -> None:
        comparator, table = self.truth.comparator, self.standing.table
        comparison = comparator.compare(production, shadow, truth)
        blocks = table.index(times)
        table.add("labelled", blocks)
        for outcome in comparator.outcomes:
            table.add_outcome(outcome, blocks, comparison.values[outcome.name])
        before = self.standing.summary
        self.standing.summary = comparison.summary if before is None else before.merge(comparison.summary)


def _with_hours(labels: "pa.Table", hours: NDArray[np.int64]) -> "pa.Table":
    """Labels with the hour of their object instead of its number."""
    of_labels = column(hours[filled(labels.column("object"), 0)])
    return labels.set_column(labels.schema.get_field_index("object"), "hour", of_labels)


def _schema() -> "pa.Schema":
    """Of answers and labels, as comparators take them."""
    import pyarrow as pa

    return pa.schema([("text", pa.large_string()), ("media", pa.string())])
