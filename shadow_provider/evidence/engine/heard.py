"""Ids of records that were settled in memory: a copy that comes later must be told by them."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from shadow_provider.evidence.engine.settling import Booleans, Ids

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_HELD = 64 << 20
"""Bytes that are kept in memory; what is more goes to the database."""

_ID = 8
"""Bytes of an id."""


@dataclass
class Heard:
    """The ids of a look, as long as the database need not know them.

    Attributes:
        settled: their records: `side`, `inference` and `time`.
        ids: theirs, each batch in ascending order.
        oldest: records from before are forgotten, in microseconds.
    """

    settled: "list[pa.Table]" = field(default_factory=list)
    ids: list[Ids] = field(default_factory=list)
    oldest: int | None = None

    def knows(self, ids: Ids) -> Booleans:
        """Which of the ids, in ascending order, were heard of; also what is long forgotten may be among them."""
        found = np.zeros(len(ids), dtype=np.bool_)
        for known in self.ids:
            at = np.searchsorted(known, ids)
            within = at < len(known)
            found[within] |= known[at[within]] == ids[within]
        return found

    def add(self, connection: "duckdb.DuckDBPyConnection", settled: "pa.Table", ids: Ids) -> None:
        """Records that are settled, and their ids in ascending order."""
        self.settled.append(settled)
        self.ids.append(ids)
        if sum(each.nbytes for each in self.settled) + _ID * sum(map(len, self.ids)) > _HELD:
            self.tell(connection)

    def tell(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Have the database know them: it settles what is in doubt, and is asked from then on."""
        import pyarrow as pa

        if self.settled:
            connection.register("settled", pa.concat_tables(self.settled))
            connection.execute("INSERT INTO seen SELECT side, inference, time FROM settled")
            connection.unregister("settled")
            self.settled, self.ids = [], []
        if self.oldest is not None:
            connection.execute("DELETE FROM seen WHERE time < ?", [self.oldest])
