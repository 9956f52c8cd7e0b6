"""A report before it has a format: sections of sentences, tables and charts, all as plain text.

Sections put in what they have, however long it is and whoever wrote it; `fitted` makes every text and table short
enough, and the renderers escape. So no section can forget to.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from shadow_provider.plan.plain_text import plain
from shadow_provider.report.limits import Limits


@dataclass(frozen=True)
class Sentence:
    """A paragraph.

    Attributes:
        text: of it.
        warning: whether a reader must not miss it.
    """

    text: str
    warning: bool = False

    def fitted(self, limits: Limits) -> "Sentence":
        """It with no more characters than allowed."""
        return replace(self, text=plain(self.text, limits.sentence))


@dataclass(frozen=True)
class Table:
    """A table, each cell a text.

    Attributes:
        caption: what it shows.
        headings: of the columns.
        rows: as many cells each as there are headings; the first one names the row.
        numeric: columns of numbers.
        code: columns of payload or names of objects, shown in a fixed width.
        words: columns of several words, which are kept from being squeezed.
        state: the column with a state, if there is one.
        left_out: rows that were not taken in.
        payload: whether cells are answers, which may be longer than others.
    """

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()
    code: frozenset[int] = frozenset()
    words: frozenset[int] = frozenset()
    state: int | None = None
    left_out: int = 0
    payload: bool = False

    def fitted(self, limits: Limits) -> "Table":
        """The first rows, each cell short."""
        longest = limits.answer if self.payload else limits.cell
        return replace(
            self,
            caption=plain(self.caption, limits.cell),
            headings=tuple(plain(heading, limits.cell) for heading in self.headings),
            rows=tuple(tuple(plain(cell, longest) for cell in row) for row in self.rows[: limits.rows]),
            left_out=self.left_out + max(0, len(self.rows) - limits.rows),
        )


@dataclass(frozen=True)
class Chart:
    """A chart and what it shows in words.

    Attributes:
        title: above it.
        description: for who does not see it: what it shows, and what is to be seen.
        svg: makes the drawing, by `charts.canvas` alone; only asked where it is shown.
        wide: whether it takes the whole width of the page.
    """

    title: str
    description: str
    svg: Callable[[], str]
    wide: bool = True

    def fitted(self, limits: Limits) -> "Chart":
        """It with words no longer than allowed."""
        title, description = plain(self.title, limits.cell), plain(self.description, limits.sentence)
        return replace(self, title=title, description=description)


Part = Sentence | Table | Chart


@dataclass(frozen=True)
class Section:
    """A part of the report under one heading.

    Attributes:
        anchor: its id in the page.
        title: its heading.
        about: how to read it, in a sentence or two.
        parts: from top to bottom.
    """

    anchor: str
    title: str
    about: str
    parts: tuple[Part, ...]

    def fitted(self, limits: Limits) -> "Section":
        """It with all its parts within the limits."""
        return replace(
            self,
            title=plain(self.title, limits.cell),
            about=plain(self.about, limits.sentence),
            parts=tuple(part.fitted(limits) for part in self.parts),
        )


@dataclass(frozen=True)
class Banner:
    """What a reader sees first.

    Attributes:
        verdict: in one word.
        meaning: what that word means for the endpoint.
        reason: the one sentence.
        change: what would change it.
        facts: names and values.
    """

    verdict: str
    meaning: str
    reason: str
    change: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Document:
    """The whole report.

    Attributes:
        title: of it.
        banner: the verdict.
        sections: in order.
    """

    title: str
    banner: Banner
    sections: tuple[Section, ...]

    def fitted(self, limits: Limits) -> "Document":
        """It with every text and table within the limits."""
        banner = replace(
            self.banner,
            reason=plain(self.banner.reason, limits.sentence),
            change=plain(self.banner.change, limits.sentence),
            facts=tuple((name, plain(value, limits.cell)) for name, value in self.banner.facts),
        )
        sections = tuple(section.fitted(limits) for section in self.sections)
        return replace(self, title=plain(self.title, limits.cell), banner=banner, sections=sections)


def table(
    caption: str,
    headings: Iterable[str],
    rows: Iterable[Iterable[str]],
    *,
    numeric: Iterable[int] = (),
    code: Iterable[int] = (),
    words: Iterable[int] = (),
    state: int | None = None,
    payload: bool = False,
) -> Table:
    """A table out of any iterables."""
    return Table(
        caption=caption,
        headings=tuple(headings),
        rows=tuple(tuple(row) for row in rows),
        numeric=frozenset(numeric),
        code=frozenset(code),
        words=frozenset(words),
        state=state,
        payload=payload,
    )
