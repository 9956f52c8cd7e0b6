"""Parts of objects into a table of records: DuckDB reads the bulk, the strict reader what DuckDB must not settle."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shadow_provider.evidence.engine.parts import Part
from shadow_provider.evidence.engine.strict import Row, read_strictly
from shadow_provider.evidence.lines import FateCounter

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

LONGEST_OBJECT = 16 << 20
"""Of DuckDB's buffer, in bytes: at least as long as the longest line of a plain part."""

_RECORD = """
    line INTEGER, time BIGINT, inference UBIGINT, event UBIGINT, input UBIGINT, text VARCHAR, media VARCHAR,
    size INTEGER, attributes VARCHAR
"""

TABLES = f"""
CREATE TABLE origins (part INTEGER, side TINYINT, object INTEGER);
CREATE TABLE batch (part INTEGER, {_RECORD}, odd BOOLEAN, quotes INTEGER);
CREATE TABLE certain (side TINYINT, object INTEGER, {_RECORD});
"""

# Every leaf is raw JSON, so that a string is told from anything else.
_DIRECTION = "STRUCT(observedContentType JSON, mode JSON, data JSON, encoding JSON)"
_COLUMNS = f"""{{
    captureData: 'STRUCT(endpointInput {_DIRECTION}, endpointOutput {_DIRECTION})',
    eventMetadata: 'STRUCT(eventId JSON, inferenceId JSON, customAttributes JSON, inferenceTime JSON)',
    eventVersion: 'JSON'
}}"""
_BASE64 = '"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"'
_STRINGS = r'\[("[^"\\]*"(,"[^"\\]*")*)?\]'

# All of them take raw JSON. What is odd is true; false and null both mean that it is not.
MACROS = rf"""
CREATE MACRO no_string(x) AS x::VARCHAR < '"' OR x::VARCHAR >= '#';
CREATE MACRO bare(x) AS substring(x, 2, length(x) - 2);
CREATE MACRO odd_string(x) AS no_string(x) OR contains(x, chr(92));
CREATE MACRO odd_direction(d) AS
    (d IS NOT NULL AND d.encoding IS NULL) OR d.encoding NOT IN ('"CSV"', '"JSON"', '"BASE64"')
    OR no_string(d.data) OR no_string(d.mode) OR odd_string(d.observedContentType)
    OR CASE WHEN d.encoding = '"BASE64"' THEN NOT regexp_full_match(d.data, '{_BASE64}') END;
CREATE MACRO quotes_of(d) AS CASE WHEN d IS NULL THEN 0 ELSE 2 + 4 * (
    (d.observedContentType IS NOT NULL)::INT + (d.mode IS NOT NULL)::INT
    + (d.data IS NOT NULL)::INT + (d.encoding IS NOT NULL)::INT
) END;
CREATE MACRO digest_of_bytes(b) AS coalesce(hash(to_json(TRY(decode(b)))::VARCHAR), hash(b));
CREATE MACRO digest_of(d) AS CASE
    WHEN d.data IS NULL THEN NULL
    WHEN d.encoding = '"BASE64"' THEN digest_of_bytes(from_base64(bare(d.data)))
    ELSE hash(d.data::VARCHAR)
END;
CREATE MACRO size_of(d, exact) AS CASE
    WHEN d.data IS NULL THEN NULL
    WHEN d.encoding = '"BASE64"' THEN
        (strlen(d.data) - 2) // 4 * 3 - ends_with(d.data, '="')::INT - ends_with(d.data, '=="')::INT
    WHEN exact AND contains(d.data, chr(92)) THEN strlen(d.data ->> '$')
    ELSE strlen(d.data) - 2
END;
CREATE MACRO text_of(d) AS CASE
    WHEN d.data IS NULL THEN NULL
    WHEN d.encoding = '"BASE64"' THEN TRY(decode(from_base64(bare(d.data))))
    WHEN contains(d.data, chr(92)) THEN d.data ->> '$'
    ELSE bare(d.data)
END;
CREATE MACRO media_of(d) AS CASE
    WHEN d.data IS NULL THEN NULL
    WHEN length(d.observedContentType) > 2 THEN bare(d.observedContentType)
    WHEN d.encoding = '"CSV"' THEN 'text/csv'
    WHEN d.encoding = '"JSON"' THEN 'application/json'
END;
CREATE MACRO id_of(x) AS CASE WHEN x <> '""' THEN hash(x::VARCHAR) END;
"""

_READ = f"""
INSERT INTO batch
WITH lines AS (
    SELECT file_index AS part, captureData.endpointInput AS given, captureData.endpointOutput AS answer,
        eventMetadata AS meta, eventVersion AS version,
        CASE WHEN length(eventMetadata.inferenceTime) = 22
            THEN try_strptime(eventMetadata.inferenceTime, '"%Y-%m-%dT%H:%M:%SZ"') END AS moment
    FROM read_ndjson(?, columns = {_COLUMNS}, ignore_errors = true, maximum_object_size = {LONGEST_OBJECT})
)
SELECT part::INTEGER AS part, NULL::INTEGER AS line, epoch_us(moment) AS time,
    id_of(meta.inferenceId) AS inference, id_of(meta.eventId) AS event,
    digest_of(given) AS input, text_of(answer) AS text, media_of(answer) AS media,
    size_of(given, ?) AS size, CASE WHEN ? THEN meta.customAttributes::VARCHAR END AS attributes,
    moment IS NULL OR (given IS NULL AND answer IS NULL) OR odd_direction(given) OR odd_direction(answer)
        OR odd_string(meta.inferenceId) OR odd_string(meta.eventId)
        OR no_string(version) OR NOT regexp_full_match(meta.customAttributes, '{_STRINGS}') AS odd,
    4 + quotes_of(given) + quotes_of(answer) + 4 * (
        (meta.inferenceId IS NOT NULL)::INT + (meta.eventId IS NOT NULL)::INT
        + (meta.inferenceTime IS NOT NULL)::INT + (version IS NOT NULL)::INT
    ) + CASE WHEN meta.customAttributes IS NULL THEN 0
        ELSE 2 + length(meta.customAttributes) - length(replace(meta.customAttributes, '"', '')) END AS quotes
FROM lines
"""  # noqa: S608


VIEWS = """
CREATE VIEW arrived AS SELECT side, object, line, time, inference, event, input, text, media, size, attributes
FROM batch JOIN origins USING (part);
CREATE VIEW fresh AS SELECT * FROM certain UNION ALL SELECT * FROM arrived;
"""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part and where it comes from.

    Attributes:
        part: the file.
        side: 0 production, 1 shadow.
        object: number of its object.
        key: the object's key.
    """

    part: Part
    side: int
    object: int
    key: str


def begin(connection: "duckdb.DuckDBPyConnection") -> None:
    """Empty the view `fresh`, which `load` adds to."""
    connection.execute("TRUNCATE certain; TRUNCATE batch; TRUNCATE origins")


def add_records(connection: "duckdb.DuckDBPyConnection", table: "pa.Table") -> None:
    """Put records that were read by their shape into the view `fresh`."""
    connection.register("records_read", table)
    connection.execute("INSERT INTO certain FROM records_read")
    connection.unregister("records_read")


def load(
    connection: "duckdb.DuckDBPyConnection",
    pieces: Sequence[Piece],
    fates: Sequence[FateCounter],
    *,
    exact_sizes: bool = False,
    attributes: bool = False,
) -> int:
    """Put all records of the pieces into the view `fresh`, beside those that are there.

    Lines that cannot be read get their fate. The size of an input is in bytes; in text that has escapes these count as
    they stand in the line, unless exact sizes are asked for: resolving them takes a tenth of the time. Custom
    attributes are left out if they are not asked for.

    Returns:
        How many lines were read strictly.
    """
    connection.execute("INSERT INTO certain FROM arrived; TRUNCATE batch; TRUNCATE origins")
    doubtful = [piece for piece in pieces if not piece.part.plain]
    plain = [piece for piece in pieces if piece.part.plain]
    if plain:
        connection.execute(_READ, [[str(piece.part.file) for piece in plain], exact_sizes, attributes])
        bad = disagreeing(connection, "batch", [piece.part for piece in plain])
        doubtful += [plain[number] for number in bad]
        _keep(connection, plain, bad)
    for piece in doubtful:
        rows = read_strictly(piece.part.content, piece.part.first_line, piece.key, fates[piece.side])
        _insert(connection, piece, rows, attributes=attributes)
    return sum(piece.part.lines for piece in doubtful)


def disagreeing(connection: "duckdb.DuckDBPyConnection", table: str, plain: Sequence[Part]) -> list[int]:
    """Numbers of the parts in which a row is odd, or rows or quotation marks do not add up.

    The table has a row for each line that was read, with `part`, `quotes` and `odd`.
    """
    found = connection.execute(
        f"SELECT part, count(*), sum(quotes)::BIGINT, bool_or(odd) FROM {table} GROUP BY part"  # noqa: S608
    ).fetchall()
    agreeing = {
        number
        for number, rows, quotes, odd in found
        if not odd and rows == plain[number].lines and quotes == plain[number].quotes
    }
    return [number for number in range(len(plain)) if number not in agreeing]


def _keep(connection: "duckdb.DuckDBPyConnection", plain: Sequence[Piece], bad: Sequence[int]) -> None:
    """Say of the rows of the good parts what they are of; no others are seen."""
    taken = set(bad)
    origins = [(number, each.side, each.object) for number, each in enumerate(plain) if number not in taken]
    columns = [list(column) for column in zip(*origins, strict=True)] or [[], [], []]
    connection.execute("INSERT INTO origins SELECT unnest(?), unnest(?), unnest(?)", columns)


def _insert(connection: "duckdb.DuckDBPyConnection", piece: Piece, rows: Iterable[Row], *, attributes: bool) -> None:
    import pyarrow as pa

    kept = list(rows)
    table = pa.table(
        {
            "line": pa.array([row.line for row in kept], pa.int32()),
            "time": pa.array([row.time for row in kept], pa.int64()),
            "inference": pa.array([row.inference_id for row in kept], pa.string()),
            "event": pa.array([row.event_id for row in kept], pa.string()),
            "given": pa.array([row.given for row in kept], pa.large_binary()),
            "text": pa.array([row.text for row in kept], pa.large_string()),
            "media": pa.array([row.media for row in kept], pa.string()),
            "attributes": pa.array([row.attributes if attributes else None for row in kept], pa.string()),
        }
    )
    connection.register("strict_rows", table)
    connection.execute(
        """
        INSERT INTO certain
        SELECT ?::TINYINT, ?::INTEGER, line, time, id_of('"' || inference || '"'), id_of('"' || event || '"'),
            CASE WHEN given IS NOT NULL THEN digest_of_bytes(given) END, text, media, octet_length(given), attributes
        FROM strict_rows
        """,
        [piece.side, piece.object],
    )
    connection.unregister("strict_rows")
