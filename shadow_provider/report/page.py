"""A document as one HTML file: no scripts, no address of anything outside, light and dark, made to be printed too."""

from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from shadow_provider.report.document import Chart, Document, Table


def render(document: Document) -> bytes:
    """The whole document in UTF-8. All is escaped but the drawings, which `charts.canvas` made of escaped text."""
    return _template().render(document=document, style=_read("report.css")).encode()


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.tests["table"] = lambda part: isinstance(part, Table)
    environment.tests["chart"] = lambda part: isinstance(part, Chart)
    environment.filters["state"] = _state
    return environment.from_string(_read("report.html.jinja"))


def _state(cell: str) -> str:
    """The class of a cell with a state: the word in it, in lower case."""
    return "".join(character for character in cell.lower() if character.isalpha() and character.isascii())


def _read(name: str) -> str:
    return (files("shadow_provider.report") / "templates" / name).read_text(encoding="utf-8")
