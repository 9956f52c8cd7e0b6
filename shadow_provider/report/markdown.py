"""A document as GitHub's Markdown. Charts become the words that describe them."""

import re

from shadow_provider.report.document import Chart, Document, Part, Section, Sentence, Table

_SPECIAL = re.compile(r"[\\`*_\[\]|~#$!@&<>]|://|www\.|^(?:[-+](?=[-\s]|$)|=|\d+[.)](?=\s|$))", re.IGNORECASE)
"""What Markdown, or a page that shows it, would take for something else than text."""


def escaped(text: str) -> str:
    """Text that is shown as it is, also in a cell of a table: no markup, HTML, link or mention comes of it."""
    return _SPECIAL.sub(_harmless, text)


def _harmless(found: re.Match[str]) -> str:
    return "".join(
        character if character.isalnum() else f"&#{ord(character)};" if character in "&<>@:/" else f"\\{character}"
        for character in found[0]
    )


def render(document: Document) -> str:
    """The whole document."""
    banner = document.banner
    lines = [
        f"# {escaped(document.title)}",
        "",
        f"**{escaped(banner.verdict)}**: {escaped(banner.meaning)}",
        "",
        f"> {escaped(banner.reason)}",
        "",
        f"What would change it: {escaped(banner.change)}",
        "",
        *_table(Table("", ("", ""), banner.facts)),
    ]
    for section in document.sections:
        lines += _section(section)
    return "\n".join(lines) + "\n"


def _section(section: Section) -> list[str]:
    lines = ["", f"## {escaped(section.title)}", "", escaped(section.about)]
    for part in section.parts:
        lines += ["", *_part(part)]
    return lines


def _part(part: Part) -> list[str]:
    if isinstance(part, Sentence):
        return [f"**{escaped(part.text)}**" if part.warning else escaped(part.text)]
    if isinstance(part, Chart):
        return [f"*{escaped(part.title)}:* {escaped(part.description)}"]
    left_out = [] if not part.left_out else ["", f"{part.left_out:,} more rows are in the record."]
    return [f"**{escaped(part.caption)}**", "", *_table(part), *left_out]


def _table(table: Table) -> list[str]:
    rules = ["---:" if column in table.numeric else "---" for column in range(len(table.headings))]
    rows = [table.headings, *table.rows]
    cells = [[escaped(cell) for cell in row] for row in rows]
    return [_row(cells[0]), _row(rules), *(_row(row) for row in cells[1:])]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
