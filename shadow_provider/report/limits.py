"""How much of a record a report shows, so that its size is known whatever stood in the payloads."""

from dataclasses import dataclass

MOST_BYTES = 2_000_000
"""No HTML report is larger."""


@dataclass(frozen=True)
class Limits:
    """How much is shown.

    Attributes:
        rows: of a table.
        cell: characters of a cell, a name or a title.
        answer: characters of an answer.
        sentence: characters of a sentence.
        charts: of one kind.
        points: of a line in a chart.
    """

    rows: int
    cell: int
    answer: int
    sentence: int
    charts: int
    points: int


USUAL = Limits(rows=100, cell=200, answer=1000, sentence=2000, charts=12, points=200)

LEVELS = (USUAL, Limits(rows=30, cell=80, answer=200, sentence=1000, charts=6, points=100),
          Limits(rows=10, cell=60, answer=60, sentence=500, charts=2, points=50))  # fmt: skip
"""Tried in order until the report is small enough; the last one always is."""
