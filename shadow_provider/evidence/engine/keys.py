"""What two records are paired by."""

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import duckdb

PairedBy = Literal["inference_id", "event_id", "input"]

_SHARED = 0.5
"""Share of the smaller side's records that must have a key, or share one, for it to be taken."""

Numbers = NDArray[np.int64]


def choose_key(connection: "duckdb.DuckDBPyConnection", records: str) -> PairedBy | None:
    """What to pair by, from the records at hand; None while one side has none.

    inferenceId, if at least half of each side's records have one; else eventId, if at least half of the smaller side's
    are found on the other side (whether SageMaker gives both copies of a request one eventId is not documented); else
    the input.
    """
    sides = connection.execute(
        f"""
        SELECT side, count(*), count(inference) FROM {records} GROUP BY side
        """  # noqa: S608
    ).fetchall()
    if len(sides) < 2:
        return None
    if all(with_id >= _SHARED * count for _, count, with_id in sides):
        return "inference_id"
    # This takes longer, and is rarely asked.
    (smaller,) = connection.execute(
        f"SELECT min(events) FROM (SELECT count(DISTINCT event) AS events FROM {records} GROUP BY side)"  # noqa: S608
    ).fetchall()[0]
    (shared,) = connection.execute(
        f"""
        SELECT count(*) FROM (
            SELECT event FROM {records} WHERE event IS NOT NULL GROUP BY event HAVING count(DISTINCT side) = 2
        )
        """  # noqa: S608
    ).fetchall()[0]
    return "event_id" if smaller and shared >= _SHARED * smaller else "input"


def match_inputs(
    inputs: NDArray[np.uint64], sides: Numbers, times: Numbers, *, before: int, after: int
) -> tuple[Numbers, Numbers]:
    """Pair records that have the same input, in order of time.

    Each of production's records, oldest first, takes the oldest record of the shadow that is free, has the same input
    and a time from `before` before to `after` after its own.

    Args:
        inputs: digest of the input.
        sides: 0 production, 1 shadow.
        times: in any unit.
        before: in the same unit.
        after: in the same unit.

    Returns:
        Positions of production's and the shadow's record of each pair.
    """
    order = np.lexsort((np.arange(len(inputs)), times, sides, inputs))
    ordered = inputs[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(order) else order
    ends = np.append(starts[1:], len(order))
    shadows = np.add.reduceat(sides[order], starts) if len(starts) else starts
    production: list[int] = []
    shadow: list[int] = []
    for start, end, of_shadow in zip(starts.tolist(), ends.tolist(), shadows.tolist(), strict=True):
        if not 0 < of_shadow < end - start:
            continue
        free = end - of_shadow
        for at in range(start, end - of_shadow):
            moment = times[order[at]]
            while free < end and times[order[free]] < moment - before:
                free += 1
            if free < end and times[order[free]] <= moment + after:
                production.append(int(order[at]))
                shadow.append(int(order[free]))
                free += 1
    return np.array(production, dtype=np.int64), np.array(shadow, dtype=np.int64)
