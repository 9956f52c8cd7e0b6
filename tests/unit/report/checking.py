"""A strict reader of the page: what it does not know, it refuses."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser
from xml.etree import ElementTree

VOID = {"meta"}
PAGE = {
    "html", "head", "meta", "title", "style", "body", "header", "main", "section", "nav", "div", "p", "strong",
    "h1", "h2", "ul", "li", "a", "dl", "dt", "dd", "figure", "figcaption", "table", "caption", "thead", "tbody", "tr",
    "th", "td",
}  # fmt: skip
DRAWING = {"svg", "g", "path", "use", "defs", "clipPath", "rect", "text"}
ATTRIBUTES = {
    "aria-hidden", "aria-label", "aria-labelledby", "charset", "class", "content", "href", "http-equiv", "id", "lang",
    "name", "role", "scope", "style", "tabindex",
    # of drawings
    "clip-path", "clip-rule", "d", "fill", "height", "opacity", "points", "stroke", "transform", "viewbox", "width",
    "x", "y",
}  # fmt: skip
ELSEWHERE = ("http:", "https:", "//", "javascript:", "data:", "@import", "url(")


class Page(HTMLParser):
    """What is in a page.

    Attributes:
        text: all that a reader sees, cell by cell.
        drawings: the SVG elements, as they stand in the page.
        tables: rows of each table, as numbers of their cells.
        headings: levels in order.
        problems: everything that must not be there.
    """

    def __init__(self, html: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self.drawings: list[str] = []
        self.tables: list[list[int]] = []
        self.headings: list[str] = []
        self.problems: list[str] = []
        self.ids: Counter[str] = Counter()
        self._open: list[str] = []
        self._source = html.decode()
        self.feed(self._source)
        self.close()
        if self._open:
            self.problems.append(f"never closed: {self._open}")
        self.problems += [f"id {name} is not unique" for name, number in self.ids.items() if number > 1]
        self._read_drawings()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in PAGE | {name.lower() for name in DRAWING}:
            self.problems.append(f"<{tag}>")
        for name, value in attrs:
            self._attribute(tag, name, value or "")
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append(0)
        elif tag in ("th", "td"):
            self.tables[-1][-1] += 1
        elif tag in ("h1", "h2"):
            self.headings.append(tag)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.problems.append(f"</{tag}> does not close what is open")

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside == "style":
            self.problems += [f"{each} in the style" for each in ELSEWHERE if each in data]
        elif data.strip():
            self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.problems.append(f"comment {data}")

    def handle_pi(self, data: str) -> None:
        self.problems.append(f"instruction {data}")

    def _attribute(self, tag: str, name: str, value: str) -> None:
        if name not in ATTRIBUTES:
            self.problems.append(f"attribute {name} of <{tag}>")
        if name == "id":
            self.ids[value] += 1
        if name == "href" and not value.startswith("#"):
            self.problems.append(f"address {value}")
        if name == "style" and any(each in value for each in ELSEWHERE):
            self.problems.append(f"style {value}")

    def _read_drawings(self) -> None:
        for piece in self._source.split("<svg")[1:]:
            drawing = "<svg" + piece.partition("</svg>")[0] + "</svg>"
            self.drawings.append(drawing)
            names = {element.tag for element in ElementTree.fromstring(drawing).iter()}
            self.problems += [f"<{name}> in a drawing" for name in names - DRAWING]


def markdown_problems(text: str) -> list[str]:
    """Tables whose rows have other numbers of cells than their heading; HTML and links, which must not be there."""
    problems = []
    cells = 0
    for line in text.splitlines():
        if not line.startswith("|"):
            cells = 0
            found = []
        else:
            found = line.replace("\\\\", "").replace("\\|", "").strip().strip("|").split("|")
        if found and cells and len(found) != cells:
            problems.append(f"{len(found)} cells instead of {cells}: {line[:200]}")
        cells = len(found)
        bare = line.replace("\\\\", "")
        problems += [f"{each} in {line[:200]}" for each in ("<", "http://", "https://", "www.") if each in bare]
        problems += [f"{each} in {line[:200]}" for each in ("](", "`", "@") if each in bare.replace(f"\\{each[0]}", "")]
    return problems
