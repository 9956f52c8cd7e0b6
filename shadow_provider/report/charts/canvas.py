"""A drawing of matplotlib as a piece of an HTML page.

It is drawn in colours that stand for their meaning and are replaced by the page's variables, so it follows light, dark
and print. Text stays text. The same figures give the same drawing: ids come from a fixed salt, there is no date, and a
user's matplotlib settings have no say.
"""

import re
import warnings
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as Xml

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, LINE, SURFACE = "#010101", "#020202", "#030303", "#040404"
PASS, FAIL, UNDECIDED = "#050505", "#060606", "#070707"
CANDIDATE, PRODUCTION = "#080808", "#090909"
_VARIABLES = {
    INK: "ink", MUTED: "muted", LINE: "line", SURFACE: "surface", PASS: "pass", FAIL: "fail", UNDECIDED: "undecided",
    CANDIDATE: "candidate", PRODUCTION: "production",
}  # fmt: skip

WIDE = 9.6
"""Inches of a drawing that takes the page's width."""
NARROW = 4.7
"""Of one that takes half of it."""

_SETTINGS: Any = {
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "shadow_provider",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}

_COLOUR = re.compile("|".join(_VARIABLES))
_FONT = re.compile(r"font: (?:(bold|[1-9]00) )?([\d.]+px) [^;]*")
_FAMILY = re.compile(r"font-family: [^;]*;? ?")
"""The page's own font is wanted. Older matplotlib writes one `font`, newer its parts."""
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_GEOMETRY = ("d", "points", "x", "y", "transform", "width", "height", "viewBox")
_REFERENCE = re.compile(r"url\(#([^)]+)\)|^#(.+)$")


def draw(key: str, width: float, height: float, paint: Callable[["Figure"], object]) -> str:
    """A drawing as an `svg` element.

    Args:
        key: that no other drawing of the page has; the ids begin with it.
        width: inches.
        height: inches.
        paint: puts the content on the figure, in the colours of this module only. All its text must be `plain`.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    buffer = BytesIO()
    with mpl.rc_context(), warnings.catch_warnings():
        # Letters that the measuring font lacks are drawn by the reader's.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        figure = Figure(figsize=(width, height))
        FigureCanvasSVG(figure)
        paint(figure)
        figure.savefig(buffer, format="svg")
    return _for_page(buffer.getvalue(), key)


def _for_page(svg: bytes, key: str) -> str:
    root = Xml.fromstring(svg)  # noqa: S314 - matplotlib wrote it a moment ago
    used = {found[1] or found[2] for element in root.iter() for found in _references(element)}
    for parent in root.iter():
        for child in list(parent):
            if _local(child.tag) in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = dict(_attributes(element, key, used))
        if element.tag != "text":
            element.text = None
        element.tail = None
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    # The figure around it says in words what is drawn.
    root.attrib["aria-hidden"] = "true"
    return Xml.tostring(root, encoding="unicode")


def _attributes(element: Xml.Element, key: str, used: set[str]) -> Iterator[tuple[str, str]]:
    for name, value in element.attrib.items():
        local = _local(name)
        if local == "id":
            if value in used:
                yield "id", f"{key}-{value}"
        elif local == "style":
            yield "style", _style(value)
        elif local in _GEOMETRY:
            yield local, _LONG_NUMBER.sub(lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), value)
        elif local in ("href", "clip-path"):
            yield local, value.replace("#", f"#{key}-")
        elif local != "version":
            yield local, value


def _references(element: Xml.Element) -> Iterator[re.Match[str]]:
    for value in element.attrib.values():
        found = _REFERENCE.search(value)
        if found:
            yield found


def _style(style: str) -> str:
    def size(found: re.Match[str]) -> str:
        return f"font-size: {found[2]}" + (f"; font-weight: {found[1]}" if found[1] else "")

    unfamiliar = _FAMILY.sub("", _FONT.sub(size, style))
    return _COLOUR.sub(lambda found: f"var(--{_VARIABLES[found[0]]})", unfamiliar)


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def quiet(axes: "Axes", *sides: str) -> None:
    """Take away the frame on some sides, with their ticks."""
    for side in sides:
        axes.spines[side].set_visible(False)
    if "left" in sides:
        axes.tick_params(left=False, labelleft=False)
    if "bottom" in sides:
        axes.tick_params(bottom=False, labelbottom=False)
