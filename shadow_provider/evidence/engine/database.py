"""DuckDB as the engine needs it: little memory, spilling to a folder, nothing from the network."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shadow_provider.evidence.engine import grading
from shadow_provider.evidence.engine.reading import MACROS, TABLES, VIEWS

if TYPE_CHECKING:
    import duckdb

LEAST_MEMORY_MB = 256
"""With less, DuckDB cannot join what it has spilled."""

_TABLES = """
CREATE TABLE carry (
    side TINYINT, object INTEGER, line INTEGER, time BIGINT, inference UBIGINT, event UBIGINT, input UBIGINT,
    text VARCHAR, media VARCHAR, size INTEGER, attributes VARCHAR, id UBIGINT, key UBIGINT
);
CREATE TABLE seen (side TINYINT, id UBIGINT, time BIGINT);
"""


@contextmanager
def database(folder: Path, memory_mb: int, threads: int | None) -> Iterator["duckdb.DuckDBPyConnection"]:
    """An empty database in memory that spills to the folder.

    Raises:
        ValueError: less memory than `LEAST_MEMORY_MB`.
    """
    if memory_mb < LEAST_MEMORY_MB:
        raise ValueError(f"memory_mb must be at least {LEAST_MEMORY_MB}, got {memory_mb}")
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_mb}MB",
        "temp_directory": str(folder),
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    if threads is not None:
        config["threads"] = threads
    with duckdb.connect(":memory:", config=config) as connection:
        connection.execute(MACROS + TABLES + VIEWS + _TABLES + grading.TABLES)
        yield connection
