"""Records to pairs and fates: everything that belongs to a time before the horizon is settled, the rest is carried on.

What belongs together is a group: production's and the shadow's record with the same key. Its time is production's, or
the shadow's where production has none.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shadow_provider.comparators.arrow import column, filled, holds
from shadow_provider.evidence.engine.keys import PairedBy, match_inputs

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_ROWS = 65_536
SIDES = ("production", "shadow")
RECORD = "side, object, line, time, inference, event, input, text, media, size, attributes"

_ANSWERS = [f"{side}_{name}" for side in SIDES for name in ("text", "media")]
_PLACES = [f"{side}_{name}" for side in SIDES for name in ("object", "line")]

Booleans = NDArray[np.bool_]
Times = NDArray[np.int64]
Ids = NDArray[np.uint64]


@dataclass(frozen=True)
class Groups:
    """Some groups.

    Attributes:
        times: of the groups, in microseconds.
        production: whether it has production's record.
        shadow: whether it has the shadow's.
        same_input: whether both have the same input; only meaningful where both are there.
        batch: of each side `text` and `media`, with `production_` or `shadow_` before them, and `object` and `line` if
            places are asked for; `size` of the input, production's where it is known, and production's `attributes`;
            `label_id` by which a label finds the pair, 0 where there is none.
    """

    times: Times
    production: Booleans
    shadow: Booleans
    same_input: Booleans
    batch: "pa.RecordBatch"

    @property
    def pairs(self) -> Booleans:
        """Which of them make a pair."""
        return self.production & self.shadow & self.same_input

    @property
    def ids(self) -> Ids:
        """By which labels find them; 0 is none."""
        return filled(self.batch.column("label_id"), 0)

    def where(self, chosen: Booleans) -> "Groups":
        """Some of them."""
        if chosen.all():
            return self
        return Groups(
            self.times[chosen],
            self.production[chosen],
            self.shadow[chosen],
            self.same_input[chosen],
            self.batch.filter(column(chosen)),
        )

    def paired(self) -> "Groups":
        """Only the pairs."""
        return self.where(self.pairs)

    def answers(self) -> tuple["pa.RecordBatch", "pa.RecordBatch"]:
        """Production's and the shadow's answers of the pairs, as comparators take them."""
        import pyarrow as pa

        pairs = self.pairs
        batch = self.batch if pairs.all() else self.batch.filter(column(pairs))
        schema = pa.schema([("text", pa.large_string()), ("media", pa.string())])
        production, shadow = (
            pa.record_batch([batch.column(f"{side}_text"), batch.column(f"{side}_media")], names=["text", "media"])
            for side in SIDES
        )
        return production.cast(schema), shadow.cast(schema)


def own_id(paired_by: PairedBy | None) -> str:
    """The expression that says which record is a copy of which; None if it is not known what to pair by."""
    if paired_by is None:
        return "coalesce(inference, event)"
    return "inference" if paired_by == "inference_id" else "event"


def needed(paired_by: PairedBy) -> str:
    """The column that a record must have."""
    return "input" if paired_by == "input" else own_id(paired_by)


def drop_duplicates(
    connection: "duckdb.DuckDBPyConnection", settled: int | None, place: Callable[[int], str]
) -> list[tuple[int, int, int | None]]:
    """Leave the first record of each id on each side: by time, object, line, then by content.

    What comes too late, after its time was settled, is never kept in place of what came in time. Lines that the fast
    reader read have no number.

    Returns:
        Side, object and line of those that go.
    """
    repeated = connection.execute(
        """
        CREATE OR REPLACE TABLE repeated AS
        SELECT side, id FROM records WHERE id IS NOT NULL GROUP BY side, id HAVING count(*) > 1
        UNION
        SELECT side, id FROM records SEMI JOIN seen USING (side, id) WHERE id IS NOT NULL;
        SELECT count(*) FROM repeated
        """
    ).fetchall()[0][0]
    if not repeated:
        return []
    found = connection.execute(
        """
        SELECT side, object, line, rowid, id, time, input, text,
            EXISTS (FROM seen WHERE seen.side = records.side AND seen.id = records.id) AS known, fresh
        FROM records SEMI JOIN repeated USING (side, id)
        """
    ).fetchall()
    found.sort(
        key=lambda row: (
            *(row[0], row[4]),
            settled is not None and row[9] and row[5] < settled,
            *(row[5], place(row[1]), row[2] or 0, row[6] or 0, row[7] or ""),
        )
    )
    dropped = [
        row
        for number, row in enumerate(found)
        if row[8] or (number and found[number - 1][0] == row[0] and found[number - 1][4] == row[4])
    ]
    connection.execute("DELETE FROM records WHERE rowid IN (SELECT unnest(?))", [[row[3] for row in dropped]])
    return [(row[0], row[1], row[2]) for row in dropped]


def give_keys(connection: "duckdb.DuckDBPyConnection", before: int, after: int) -> None:
    """Where records are paired by input: the key of a pair, or of a record without one, is a record's number."""
    import pyarrow as pa

    connection.execute("UPDATE records SET key = rowid")
    found = connection.execute(
        "SELECT rowid, input, side, time FROM records WHERE input IS NOT NULL ORDER BY time, id, text"
    ).fetchnumpy()
    rows = found["rowid"].astype(np.int64)
    production, shadow = match_inputs(
        found["input"].astype(np.uint64),
        found["side"].astype(np.int64),
        found["time"].astype(np.int64),
        before=before,
        after=after,
    )
    connection.register("matched", pa.table({"production": column(rows[production]), "shadow": column(rows[shadow])}))
    connection.execute(
        """
        UPDATE records SET key = matched.production FROM matched WHERE records.rowid = matched.shadow
        """
    )
    connection.unregister("matched")


def groups(
    connection: "duckdb.DuckDBPyConnection", horizon: int | None, *, with_places: bool = False
) -> Iterator[Groups]:
    """The groups before the horizon, all of them if it is None, a batch at a time."""
    columns = [*_ANSWERS, *(_PLACES if with_places else ())]
    of_sides = ", ".join(f"{name[0]}.{name.partition('_')[2]} AS {name}" for name in columns)
    reader = connection.sql(
        f"""
        SELECT coalesce(p.time, s.time) AS time, p.time IS NOT NULL AS production, s.time IS NOT NULL AS shadow,
            p.input IS NOT DISTINCT FROM s.input AS same_input,
            {of_sides}, coalesce(p.size, s.size) AS size, p.attributes AS attributes,
            coalesce(p.inference, p.event, 0) AS label_id
        FROM (FROM records WHERE side = 0) p FULL JOIN (FROM records WHERE side = 1) s USING (key)
        WHERE $horizon::BIGINT IS NULL OR coalesce(p.time, s.time) < $horizon
        """,  # noqa: S608
        params={"horizon": horizon},
    ).to_arrow_reader(_ROWS)
    for batch in reader:
        production, shadow, same_input = (holds(batch.column(name)) for name in ("production", "shadow", "same_input"))
        times = filled(batch.column("time"), 0)
        yield Groups(times, production, shadow, same_input, batch.select([*columns, "size", "attributes", "label_id"]))


def times_before(connection: "duckdb.DuckDBPyConnection", horizon: int | None) -> tuple[int, int] | None:
    """The first and the last time of a record before the horizon, of all if it is None; None if there is none."""
    first, last = connection.execute(
        "SELECT min(time), max(time) FROM records WHERE $horizon::BIGINT IS NULL OR time < $horizon",
        {"horizon": horizon},
    ).fetchall()[0]
    return None if first is None else (first, last)


def carry_on(connection: "duckdb.DuckDBPyConnection", horizon: int) -> None:
    """Remember the ids of the groups before the horizon, and leave only the other records in `carry`."""
    connection.execute(
        """
        CREATE OR REPLACE TABLE carry AS
        SELECT * EXCLUDE (fresh) FROM records WHERE side = 0 AND time >= $horizon
        UNION ALL
        SELECT * EXCLUDE (fresh) FROM records s WHERE side = 1 AND (
            key IN (SELECT key FROM records WHERE side = 0 AND time >= $horizon)
            OR (time >= $horizon AND NOT EXISTS (
                FROM records p WHERE p.side = 0 AND p.time < $horizon AND p.key = s.key
            ))
        )
        """,
        {"horizon": horizon},
    )
    connection.execute(
        "INSERT INTO seen SELECT side, id, time FROM records ANTI JOIN carry USING (side, id) WHERE id IS NOT NULL"
    )
