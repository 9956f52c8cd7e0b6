"""The engine's one verb: a look at the captures of a deployment."""

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np

from shadow_provider.comparators.contract import Comparator, Summary
from shadow_provider.evidence.engine.blocks import BlockTable, microseconds
from shadow_provider.evidence.engine.database import database
from shadow_provider.evidence.engine.grading import Grading
from shadow_provider.evidence.engine.look import Look, new_objects
from shadow_provider.evidence.engine.model import Captures, Result, Settings, Standing, Wanted
from shadow_provider.evidence.engine.segments import by_pair, segment_evidence
from shadow_provider.evidence.engine.settling import SIDES
from shadow_provider.evidence.engine.sizes import size_classes
from shadow_provider.evidence.engine.state import State
from shadow_provider.evidence.engine.truth import Truth, TruthStanding, truth_result

_COLUMNS = (*SIDES, "paired", "mismatched")


def take_look(
    captures: Captures,
    comparator: Comparator,
    *,
    until: datetime,
    last: bool = False,
    settings: Settings | None = None,
    state: State | None = None,
    truth: Truth | None = None,
    wanted: Wanted | None = None,
) -> Result:
    """Look at the captures.

    With a state, only objects are read that no look has read; what a look knows is kept when it has come to its end,
    unless it is the last one: that settles what may yet come, so a look that repeats it goes on from the one before.

    Args:
        captures: which.
        comparator: turns pairs of answers into figures.
        until: the window's end at this look.
        last: whether no other look follows: then records from `until` on are out of the window, and nothing waits.
        settings: how.
        state: where the looks at this deployment keep what they know; None for a look that stands alone.
        truth: labels of the pairs, if there are any.
        wanted: segments and examples; none if None.

    Raises:
        OtherQuestionError: the state is one of other captures, another comparator, or other wishes.
        ValueError: a setting is wrong, or the end lies before the start. Errors of the store pass through: a part of
            the captures must not be taken for all of them.
    """
    settings, wanted = settings or Settings(), wanted or Wanted()
    if until <= captures.start:
        raise ValueError(f"the window's end ({until}) must be after its start ({captures.start})")
    with tempfile.TemporaryDirectory(prefix="shadow-evidence-", dir=settings.temporary) as name:
        folder = Path(name)
        with database(folder / "spilled", settings.memory_mb, settings.threads) as connection:
            if state is None:
                standing = Standing(BlockTable(captures.start, settings.block_seconds))
            else:
                standing = state.load(connection, captures, settings, comparator, folder, truth, wanted)
            grading = None
            # The store lists the captures while the labels are read.
            with ThreadPoolExecutor(1) as pool:
                listed = pool.submit(new_objects, captures, standing, until)
                if truth is not None:
                    standing.truth = standing.truth or TruthStanding(standing.settled.empty())
                    grading = Grading(connection, truth, standing.truth, captures.start, truth.until or until, last)
                    grading.read()
                new = listed.result()
            look = Look(connection, captures, new, settings, comparator, standing, until, last, folder, grading, wanted)
            provisional, summary = look.run()
            if grading is not None:
                grading.finish()
            if state is not None and not last:
                state.save(connection, captures, settings, comparator, standing, folder, truth, wanted)
            waiting = dict(connection.execute("SELECT side, count(*) FROM carry GROUP BY side").fetchall())
            labels = connection.execute("SELECT count(*) FROM labels").fetchall()[0][0]
    found = _result(look, provisional, summary, [waiting.get(0, 0), waiting.get(1, 0)])
    if truth is None or standing.truth is None:
        return found
    count = found.blocks.count
    pairs = int(standing.settled.column("paired", count).sum())
    return replace(found, truth=truth_result(standing.truth, truth.comparator, labels, pairs, count))


def _result(look: Look, provisional: BlockTable, summary: Summary | None, carried: Sequence[int]) -> Result:
    standing, settled, outcomes = look.standing, look.standing.settled, look.comparator.outcomes
    table = settled.merged(provisional)
    length = settled.seconds * 1_000_000
    count = -(-(microseconds(look.until) - microseconds(settled.start)) // length)
    settled_until = microseconds(look.until) if look.last else standing.horizon
    past = 0 if settled_until is None else max(0, settled_until - microseconds(settled.start))
    overlap = _overlap(table, count)
    fates, places = {}, {}
    for side, name in enumerate(SIDES):
        both = {kind: int(table.column(kind, count).sum()) for kind in ("paired", "mismatched")}
        held = sum(int(provisional.column(kind, count).sum()) for kind in ("paired", "mismatched"))
        alone = settled.column(f"alone/{name}", count)
        missed = int(alone[overlap].sum())
        every = standing.fates[side].counts() | {
            "paired": both["paired"],
            "input_mismatch": both["mismatched"],
            "unpaired": missed,
            "outside_overlap": int(alone.sum()) - missed,
            "waiting": carried[side] - held,
        }
        fates[name] = {fate: number for fate, number in sorted(every.items()) if number}
        places[name] = standing.fates[side].examples()
    return Result(
        blocks=table.blocks(count),
        settled_blocks=min(count, past // length),
        measures=table.measures(outcomes, count),
        summary=summary,
        fates=fates,
        places=places,
        columns={kind: tuple(table.column(kind, count).astype(np.int64).tolist()) for kind in _COLUMNS},
        lines=dict(zip(SIDES, standing.lines, strict=True)),
        strict_lines=standing.strict_lines,
        objects=tuple(standing.objects),
        paired_by=standing.paired_by,
        pairs=int(table.column("paired", count).sum()),
        sizes=size_classes(settled, provisional, overlap, count),
        segments=segment_evidence(table, by_pair(look.wanted.segments), outcomes, count),
        examples=tuple(each.example for each in standing.worst.merged(look.wanted.examples, look.waiting).ranked),
    )


def _overlap(table: BlockTable, count: int) -> slice:
    """The blocks in which a record without a partner is missed: both sides should have been captured.

    These are the blocks between the first and the last that both sides cover, without these two. If one side has
    nothing at all there is no edge to mind.
    """
    production, shadow = (np.flatnonzero(table.column(name, count)) for name in SIDES)
    if not len(production) or not len(shadow):
        return slice(None)
    first, last = max(production[0], shadow[0]), min(production[-1], shadow[-1])
    return slice(int(first) + 1, max(int(first) + 1, int(last)))
