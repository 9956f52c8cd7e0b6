"""Labels in memory, for the pairs that are settled next."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shadow_provider.comparators.arrow import column, filled
from shadow_provider.evidence.engine.settling import Booleans, Ids

if TYPE_CHECKING:
    import pyarrow as pa

_TRUTH = ("text", "media")


@dataclass(frozen=True)
class AtHand:
    """Labels of which no two have the same id.

    Attributes:
        labels: with `id`, `text` and `media`.
        ids: theirs, in ascending order.
        rows: where each of these ids has its label.
        used: of each id, whether it was found.
    """

    labels: "pa.Table"
    ids: Ids
    rows: NDArray[np.int64]
    used: Booleans

    @classmethod
    def of(cls, labels: "pa.Table") -> "AtHand | None":
        """Of some labels; None if two have the same id."""
        ids = filled(labels.column("id"), 0)
        rows = np.argsort(ids)
        ordered = ids[rows]
        if (ordered[1:] == ordered[:-1]).any():
            return None
        return cls(labels.combine_chunks(), ordered, rows, np.zeros(len(ids), dtype=np.bool_))

    def find(self, ids: Ids) -> tuple[Booleans, "pa.RecordBatch"]:
        """Which of the ids have a label, and these labels in their order as comparators take them."""
        # Looked up in ascending order, neighbours are near each other in memory, which is faster.
        order = np.argsort(ids)
        at = np.empty(len(ids), dtype=np.int64)
        at[order] = np.searchsorted(self.ids, ids[order])
        found = at < len(self.ids)
        found[found] = self.ids[at[found]] == ids[found]
        at = at[found]
        self.used[at] = True
        truth = self.labels.select(_TRUTH).take(column(self.rows[at])).combine_chunks()
        return found, truth.to_batches()[0] if len(at) else _none(truth)

    @property
    def met(self) -> Ids:
        """The ids that were found."""
        return self.ids[self.used]

    @property
    def others(self) -> "pa.Table":
        """The labels that were not found."""
        return self.labels.take(column(np.sort(self.rows[~self.used])))


def _none(labels: "pa.Table") -> "pa.RecordBatch":
    import pyarrow as pa

    return pa.record_batch([pa.nulls(0, each.type) for each in labels.schema], schema=labels.schema)
