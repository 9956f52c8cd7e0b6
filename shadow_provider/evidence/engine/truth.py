"""Ground truth: labels that come late, and not for every pair, meet the pairs that are settled.

An answer waits for its label, and a label for its pair. Labels of one id that contradict each other are all left out,
as long as none has been used yet: what was counted stays counted, and what comes after it is `repeated`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from shadow_provider.comparators.contract import Comparison, Summary
from shadow_provider.comparators.outcomes import Outcome
from shadow_provider.evidence.engine.blocks import BlockTable, microseconds
from shadow_provider.evidence.engine.parts import Oversize, Part, parts
from shadow_provider.evidence.engine.reading import LONGEST_OBJECT, disagreeing
from shadow_provider.evidence.engine.store import ReadableStore, StoredObject
from shadow_provider.evidence.lines import BadLineError, FateCounter, member, parse_object
from shadow_provider.evidence.objects import join_key
from shadow_provider.evidence.window import hours
from shadow_provider.verdict.measures import PairedMeasure, ScoreMeasure

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

TABLES = """
CREATE TABLE answers (
    id UBIGINT, time BIGINT,
    production_text VARCHAR, production_media VARCHAR, shadow_text VARCHAR, shadow_media VARCHAR
);
CREATE TABLE labels (id UBIGINT, text VARCHAR, media VARCHAR, since BIGINT);
CREATE TABLE graded (id UBIGINT, since BIGINT);
CREATE TABLE truth_batch (part INTEGER, id UBIGINT, text VARCHAR, media VARCHAR, odd BOOLEAN, quotes INTEGER);
"""
KEPT = ("answers", "labels", "graded")

_ROWS = 32_768
_BATCH_BYTES = 16 << 20
"""Of labels that are read at once."""

_MEDIA = {"CSV": "text/csv", "JSON": "application/json"}
_COLUMNS = """{
    groundTruthData: 'STRUCT(data JSON, encoding JSON)', eventMetadata: 'STRUCT(eventId JSON)', eventVersion: 'JSON'
}"""
_READ = f"""
INSERT INTO truth_batch
WITH lines AS (
    SELECT file_index AS part, groundTruthData AS label, eventMetadata.eventId AS event, eventVersion AS version
    FROM read_ndjson(?, columns = {_COLUMNS}, ignore_errors = true, maximum_object_size = {LONGEST_OBJECT})
)
SELECT part, id_of(event),
    CASE WHEN contains(label.data, chr(92)) THEN label.data ->> '$' ELSE bare(label.data) END,
    CASE label.encoding WHEN '"CSV"' THEN 'text/csv' ELSE 'application/json' END,
    event IS NULL OR event = '""' OR label.data IS NULL OR label.encoding IS NULL
        OR label.encoding NOT IN ('"CSV"', '"JSON"') OR no_string(label.data) OR odd_string(event)
        OR no_string(version),
    4 + 4 * ((event IS NOT NULL)::INT + (label.data IS NOT NULL)::INT + (label.encoding IS NOT NULL)::INT
        + (version IS NOT NULL)::INT)
FROM lines
"""  # noqa: S608


class TruthComparator(Protocol):
    """Holds both answers against the truth; three batches of equal length as comparators have them."""

    name: str
    identity: str
    outcomes: tuple[Outcome, ...]

    def compare(self, production: "pa.RecordBatch", shadow: "pa.RecordBatch", truth: "pa.RecordBatch") -> Comparison:
        """Compare; a pair without a readable truth has no figure."""


@dataclass(frozen=True)
class Truth:
    """Which labels.

    Attributes:
        store: where they lie.
        prefix: above `yyyy/mm/dd/hh/`, which is the hour in which labels were collected.
        comparator: what is asked of them.
        until: the last hour to look into; that of the look's end if None. Labels come later than captures.
        within: how long an answer and a label wait for each other.
    """

    store: ReadableStore
    prefix: str
    comparator: TruthComparator
    until: datetime | None = None
    within: timedelta = timedelta(days=7)


@dataclass
class TruthStanding:
    """Where the looks have come to with the labels; see `Standing`."""

    table: BlockTable
    summary: Summary | None = None
    fates: FateCounter = field(default_factory=FateCounter)
    objects: list[StoredObject] = field(default_factory=list)
    lines: int = 0


@dataclass(frozen=True)
class TruthResult:
    """What is known of right and wrong.

    Attributes:
        measures: by outcome.
        summary: the comparator's description; None without any label.
        lines: of labels that were read.
        fates: of them; they add up to `lines`.
        examples: places by fate.
        labelled: pairs with a label, by block.
        coverage: share of the settled pairs that have one; None without pairs.
        objects: read so far.
    """

    measures: dict[str, PairedMeasure | ScoreMeasure]
    summary: Summary | None
    lines: int
    fates: dict[str, int]
    examples: dict[str, tuple[str, ...]]
    labelled: tuple[int, ...]
    coverage: float | None
    objects: tuple[StoredObject, ...]


def keep_answers(connection: "duckdb.DuckDBPyConnection", horizon: int | None) -> None:
    """Let the answers of the pairs before the horizon wait for their labels; all pairs if it is None."""
    connection.execute(
        """
        INSERT INTO answers
        SELECT coalesce(p.inference, p.event), p.time, p.text, p.media, s.text, s.media
        FROM (FROM records WHERE side = 0) p JOIN (FROM records WHERE side = 1) s USING (key)
        WHERE p.input IS NOT DISTINCT FROM s.input AND ($horizon::BIGINT IS NULL OR p.time < $horizon)
            AND coalesce(p.inference, p.event) IS NOT NULL
        """,
        {"horizon": horizon},
    )


@dataclass
class Grading:
    """The part of a look that is about labels.

    Attributes:
        connection: with the tables as the last look left them, and the answers of this one.
        truth: which labels.
        standing: brought forward.
        start: of the deployment.
        until: the last hour to look into.
        folder: takes what is spooled.
    """

    connection: "duckdb.DuckDBPyConnection"
    truth: Truth
    standing: TruthStanding
    start: datetime
    until: datetime
    folder: Path

    def run(self) -> None:
        """Read new labels, grade the pairs that have one now, and forget what has waited too long."""
        batch: list[tuple[str, Part | Oversize]] = []
        size = 0
        for number, stored in enumerate(list(self._new_objects()), start=1):
            self.standing.objects.append(stored)
            found = list(parts(self.truth.store, stored.key, self.folder, f"truth-{number}"))
            batch += [(stored.key, each) for each in found]
            size += sum(each.size for each in found if isinstance(each, Part))
            if size >= _BATCH_BYTES:
                self._read(batch)
                batch, size = [], 0
        self._read(batch)
        self._settle()
        self._grade()
        oldest = microseconds(self.until - self.truth.within)
        forgotten = self.connection.execute("DELETE FROM labels WHERE since < ? RETURNING id", [oldest]).fetchall()
        if forgotten:
            self.standing.fates.resume({"no_pair": len(forgotten)}, {})
        self.connection.execute("DELETE FROM answers WHERE time < $oldest", {"oldest": oldest})
        self.connection.execute("DELETE FROM graded WHERE since < $oldest", {"oldest": oldest})

    def _new_objects(self) -> Iterator[StoredObject]:
        known = set(self.standing.objects)
        first = max(self.start, self.until - self.truth.within)
        for hour in hours(first, self.until):
            for each in self.truth.store.listed(join_key(self.truth.prefix, f"{hour:%Y/%m/%d/%H}")):
                if each.key.endswith(".jsonl") and each not in known:
                    yield each

    def _read(self, batch: Sequence[tuple[str, Part | Oversize]]) -> None:
        """The labels of many objects at once: asking the database for each would take longer than reading them."""
        whole = [(key, each) for key, each in batch if isinstance(each, Part)]
        plain = [(key, each) for key, each in whole if each.plain]
        doubtful = [(key, each) for key, each in whole if not each.plain]
        for key, each in batch:
            self.standing.lines += each.lines if isinstance(each, Part) else 1
            if isinstance(each, Oversize):
                self.standing.fates.count("oversize", f"{key}:{each.line}")
        self.connection.execute("TRUNCATE truth_batch")
        if plain:
            self.connection.execute(_READ, [[str(each.file) for _, each in plain]])
            bad = disagreeing(self.connection, "truth_batch", [each for _, each in plain])
            doubtful += [plain[number] for number in bad]
            if bad:
                self.connection.execute("DELETE FROM truth_batch WHERE part IN (SELECT unnest(?))", [bad])
        rows = [row for key, each in doubtful for row in _strict_labels(each, key, self.standing.fates)]
        if rows:
            self.connection.executemany(
                "INSERT INTO truth_batch (id, text, media) VALUES (id_of('\"' || ? || '\"'), ?, ?)", rows
            )
        self.connection.execute(
            "INSERT INTO labels SELECT id, text, media, ? FROM truth_batch", [microseconds(self.until)]
        )
        for _, each in whole:
            each.release()

    def _settle(self) -> None:
        """Leave one label of each id, none where they contradict each other or one was used before."""
        for fate, condition in (
            ("repeated", "id IN (SELECT id FROM graded)"),
            ("conflicting", "id IN (SELECT id FROM labels GROUP BY id HAVING count(DISTINCT text) > 1)"),
            ("duplicate", "rowid NOT IN (SELECT min(rowid) FROM labels GROUP BY id)"),
        ):
            gone = self.connection.execute(f"DELETE FROM labels WHERE {condition}").fetchall()[0][0]  # noqa: S608
            if gone:
                self.standing.fates.resume({fate: gone}, {})

    def _grade(self) -> None:
        import pyarrow as pa

        reader = self.connection.sql(
            """
            SELECT time, production_text, production_media, shadow_text, shadow_media, text, media
            FROM answers JOIN labels USING (id)
            """
        ).to_arrow_reader(_ROWS)
        schema = pa.schema([("text", pa.large_string()), ("media", pa.string())])
        comparator, table = self.truth.comparator, self.standing.table
        for batch in reader:
            blocks = table.index(np.asarray(batch.column("time").to_numpy(zero_copy_only=False)))
            sides = [
                pa.record_batch([batch.column(f"{side}text"), batch.column(f"{side}media")], names=schema.names)
                for side in ("production_", "shadow_", "")
            ]
            comparison = comparator.compare(*(side.cast(schema) for side in sides))
            table.add("labelled", blocks)
            for outcome in comparator.outcomes:
                table.add_outcome(outcome, blocks, comparison.values[outcome.name])
            before = self.standing.summary
            self.standing.summary = comparison.summary if before is None else before.merge(comparison.summary)
        self.connection.execute(
            """
            CREATE OR REPLACE TABLE met AS SELECT id FROM answers SEMI JOIN labels USING (id);
            INSERT INTO graded SELECT id, ? FROM met
            """,
            [microseconds(self.until)],
        )
        used = self.connection.execute("DELETE FROM labels WHERE id IN (FROM met)").fetchall()[0][0]
        self.connection.execute("DELETE FROM answers WHERE id IN (FROM met)")
        if used:
            self.standing.fates.resume({"used": used}, {})


def truth_result(
    standing: TruthStanding, comparator: TruthComparator, waiting: int, pairs: int, count: int
) -> TruthResult:
    """What the looks so far say, of so many settled pairs and blocks; `waiting` labels have no pair yet."""
    fates = standing.fates.counts() | ({"waiting": waiting} if waiting else {})
    labelled = standing.table.column("labelled", count).astype(np.int64)
    return TruthResult(
        measures=standing.table.outcome_measures(comparator.outcomes, count),
        summary=standing.summary,
        lines=standing.lines,
        fates=dict(sorted(fates.items())),
        examples=standing.fates.examples(),
        labelled=tuple(labelled.tolist()),
        coverage=int(labelled.sum()) / pairs if pairs else None,
        objects=tuple(standing.objects),
    )


def _strict_labels(part: Part, key: str, fates: FateCounter) -> Iterator[tuple[str, str, str]]:
    content = part.content
    lines = content.split(b"\n")
    if content.endswith(b"\n"):
        lines.pop()
    for number, line in enumerate(lines, start=part.first_line):
        try:
            yield _label(parse_object(line))
        except BadLineError as error:
            fates.count(error.cause, f"{key}:{number}")


def _label(record: Mapping[str, Any]) -> tuple[str, str, str]:
    event_id = member(dict(record), "eventMetadata").get("eventId")
    label = member(dict(record), "groundTruthData")
    data, encoding = label.get("data"), label.get("encoding")
    if not isinstance(event_id, str) or not event_id or not isinstance(data, str):
        raise BadLineError("wrong_shape")
    if not isinstance(encoding, str) or encoding not in _MEDIA:
        raise BadLineError("unknown_encoding")
    writable = (each.encode(errors="backslashreplace").decode() for each in (event_id, data))
    return next(writable), next(writable), _MEDIA[encoding]
