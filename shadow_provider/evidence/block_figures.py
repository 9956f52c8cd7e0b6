"""CloudWatch's figures of both variants by block: which of them a look must ask for, and which an earlier one keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, Self

from shadow_provider.evidence.metric_reader import Asked, Points, Series, Span
from shadow_provider.evidence.window import kept_since
from shadow_provider.verdict.measures import Blocks

SETTLED_AFTER = timedelta(minutes=15)
"""Blocks that had ended less than this before a look are asked for again by the next one.

CloudWatch shows a datapoint minutes after its period and may still add to it; AWS gives no bound, but says that a new
metric can take up to 15 minutes to be listed.
"""

_FORMAT = 1

Side = Literal["production", "shadow"]
SIDES: tuple[Side, Side] = ("production", "shadow")


class Column(NamedTuple):
    """One statistic of one variant by block."""

    side: Side
    metric: str
    stat: str


class Question(NamedTuple):
    """What the figures are of. Only what answers the same question can be continued."""

    endpoint_name: str
    production: str
    shadow: str
    start: datetime
    seconds: int


@dataclass(frozen=True)
class KeptMetrics:
    """Figures of the blocks that earlier looks read completely, from the first block on.

    Attributes:
        question: what they are of.
        read_at: the latest look that read some.
        columns: the figures; None where CloudWatch had none.
        expired: numbers of blocks that CloudWatch did not keep any more when they were first asked for.
    """

    question: Question
    read_at: datetime
    columns: Mapping[Column, tuple[float | None, ...]]
    expired: frozenset[int] = frozenset()

    @property
    def count(self) -> int:
        """How many blocks."""
        return len(next(iter(self.columns.values())))

    def to_json(self) -> dict[str, Any]:
        """All of it in JSON's types."""
        return {
            "format": _FORMAT,
            "question": {**self.question._asdict(), "start": self.question.start.isoformat()},
            "read_at": self.read_at.isoformat(),
            "columns": {"/".join(column): list(figures) for column, figures in self.columns.items()},
            "expired": sorted(self.expired),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self | None:
        """What `to_json` gave; None if another version of this module wrote it, so that everything is read anew."""
        if document.get("format") != _FORMAT:
            return None
        question = document["question"]
        return cls(
            Question(**{**question, "start": datetime.fromisoformat(question["start"]).astimezone(UTC)}),
            datetime.fromisoformat(document["read_at"]).astimezone(UTC),
            {Column(*name.split("/")): tuple(figures) for name, figures in document["columns"].items()},
            frozenset(document["expired"]),
        )


@dataclass(frozen=True)
class Figures:
    """All figures that a look has.

    Attributes:
        columns: by block; None where CloudWatch has none.
        expired: numbers of blocks that were too old to be asked for.
        unanswered: columns that CloudWatch did not answer completely this time.
        unanswered_from: from which block on they have nothing for that reason.
    """

    columns: Mapping[Column, tuple[float | None, ...]]
    expired: frozenset[int] = frozenset()
    unanswered: frozenset[Column] = frozenset()
    unanswered_from: int = 0

    def answered(self, columns: Sequence[Column], block: int) -> bool:
        """Whether CloudWatch's word on all these columns of a block is known, be it that there is nothing."""
        return block < self.unanswered_from or self.unanswered.isdisjoint(columns)


@dataclass(frozen=True)
class Reading:
    """What one look must ask for.

    Attributes:
        question: what the figures are of.
        blocks: all blocks that are wanted.
        columns: all columns that are wanted.
        kept: what earlier looks left; None if there is nothing that this one could continue.
        first: the first block that is not simply taken over.
        available: the first block that is asked for: CloudWatch no longer has those before it.
    """

    question: Question
    blocks: Blocks
    columns: tuple[Column, ...]
    kept: KeptMetrics | None
    first: int
    available: int

    @classmethod
    def after(
        cls, question: Question, blocks: Blocks, columns: Sequence[Column], kept: KeptMetrics | None, now: datetime
    ) -> Self:
        """What is left to ask after earlier looks.

        Those blocks are asked for that no look has read, and those that had ended less than `SETTLED_AFTER` before the
        latest look, unless that one was at the same time as this.
        """
        if kept is not None and not (kept.question == question and kept.columns.keys() >= set(columns)):
            kept = None
        first = 0
        if kept is not None:
            age = kept.read_at - SETTLED_AFTER - blocks.start
            settled = max(0, age // timedelta(seconds=blocks.seconds))
            first = min(kept.count if kept.read_at == now else min(settled, kept.count), blocks.count)
        expiry = kept_since(blocks.seconds, now)
        too_old = max(0, -((blocks.start - expiry) // timedelta(seconds=blocks.seconds)))
        return cls(question, blocks, tuple(columns), kept, first, min(max(first, too_old), blocks.count))

    @property
    def span(self) -> Span | None:
        """The time range to ask for; None if nothing is."""
        if self.available >= self.blocks.count:
            return None
        start = self.blocks.start + timedelta(seconds=self.blocks.seconds * self.available)
        return Span(start, self.blocks.end, self.blocks.seconds)

    @property
    def series(self) -> dict[Series, Column]:
        """The series to ask for."""
        names = {"production": self.question.production, "shadow": self.question.shadow}
        return {Series(names[column.side], column.metric, column.stat): column for column in self.columns}

    def figures(self, answers: Mapping[Asked, Points | None]) -> Figures:
        """Kept figures and new ones together."""
        before = self.kept.count if self.kept is not None else 0
        expired = frozenset(range(max(self.first, before), self.available))
        if self.kept is not None:
            expired |= {block for block in self.kept.expired if block < self.blocks.count}
        starts = self.blocks.starts()[self.available :]
        # A datapoint at any other time would be of another period: which block it belongs to is not known.
        columns, unanswered = {}, set()
        for series, column in self.series.items():
            points = answers.get((self.span, series)) if self.span is not None else {}
            if points is None or not points.keys() <= set(starts):
                unanswered.add(column)
                points = {}
            older = self.kept.columns[column][: self.available] if self.kept is not None else ()
            older += (None,) * (self.available - len(older))
            columns[column] = older + tuple(points.get(start) for start in starts)
        return Figures(columns, expired, frozenset(unanswered), self.available)

    def to_keep(self, figures: Figures, complete: bool, now: datetime) -> KeptMetrics | None:
        """What the next look may take over.

        Args:
            figures: of this look.
            complete: whether CloudWatch answered all that was asked; nothing new is kept otherwise.
            now: the time of this look.
        """
        if self.first == self.blocks.count:
            return self.kept
        if complete:
            return KeptMetrics(self.question, now, figures.columns, figures.expired)
        if self.kept is None or not self.first:
            return None
        older = {column: self.kept.columns[column][: self.first] for column in self.columns}
        return KeptMetrics(
            self.question,
            self.kept.read_at,
            older,
            frozenset(block for block in self.kept.expired if block < self.first),
        )
