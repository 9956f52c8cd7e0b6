"""The shape that lines of one writer share: the same bytes around a few strings that differ."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from shadow_provider.comparators.json_text import JsonTextError, loads
from shadow_provider.evidence.engine.gather import Bytes
from shadow_provider.evidence.engine.strict import row_of
from shadow_provider.evidence.lines import BadLineError

GIVEN, ANSWER, EVENT, INFERENCE, TIME = "given", "answer", "event", "inference", "time"
_PLACES = {
    GIVEN: ("captureData", "endpointInput", "data"),
    ANSWER: ("captureData", "endpointOutput", "data"),
    EVENT: ("eventMetadata", "eventId"),
    INFERENCE: ("eventMetadata", "inferenceId"),
    TIME: ("eventMetadata", "inferenceTime"),
}
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
LONGEST = 1 << 20
"""Of a line that a shape is learned from, in bytes."""


@dataclass(frozen=True)
class Run:
    """A piece of a line of which everything stands where it stood in the line that was learned from.

    Attributes:
        pattern: its bytes, zero in the holes.
        fixed: all bits where the pattern must stand, none in the holes.
        holes: name, first byte and width of each.
    """

    pattern: Bytes
    fixed: Bytes
    holes: tuple[tuple[str, int, int], ...]

    @property
    def width(self) -> int:
        """Bytes."""
        return len(self.pattern)


@dataclass(frozen=True)
class Shape:
    """A line with holes.

    A line of the same constants is a good one if what fills the holes is the inside of JSON strings, for it is then the
    line that was read strictly with other strings in it.

    Attributes:
        holes: names of what fills them, in their order.
        constants: before, between and after the holes, with the quotation marks around them; one more than holes.
        widths: of the holes, in the line that was learned from: a guess where they will be.
        quotes: quotation marks in the constants.
        media: the answer's media type.
        attributes: the custom attributes, which all lines of the shape have alike.
    """

    holes: tuple[str, ...]
    constants: tuple[bytes, ...]
    widths: tuple[int, ...]
    quotes: int
    media: str | None
    attributes: str | None

    @cached_property
    def payloads(self) -> tuple[int, ...]:
        """Numbers of the holes whose widths say nothing: the payloads."""
        return tuple(number for number, name in enumerate(self.holes) if name in (GIVEN, ANSWER))

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """What stands before, between and after the payloads; one more than these."""
        edges = (-1, *self.payloads, len(self.holes))
        return tuple(self._run(first + 1, last) for first, last in pairwise(edges))

    def _run(self, first: int, last: int) -> Run:
        """The constants of these numbers, the last one with them, and the holes between."""
        pattern, fixed = bytearray(), bytearray()
        holes = []
        for number in range(first, last + 1):
            pattern += self.constants[number]
            fixed += b"\xff" * len(self.constants[number])
            if number < last:
                width = self.widths[number]
                holes.append((self.holes[number], len(pattern), width))
                pattern += bytes(width)
                fixed += bytes(width)
        return Run(np.frombuffer(pattern, np.uint8), np.frombuffer(fixed, np.uint8), tuple(holes))


def learned(line: bytes) -> Shape | None:
    """The shape of a line without its line feed; None if the line is not one of those that are read by their shape.

    These are good lines with a time, whose payloads are text.
    """
    if len(line) > LONGEST:
        return None
    try:
        row, record = row_of(line, 1)
    except BadLineError:
        return None
    data = record["captureData"]
    if any((data.get(name) or {}).get("encoding") == "BASE64" for name in ("endpointInput", "endpointOutput")):
        return None
    found = shape_of(line, record, _PLACES, media=row.media, attributes=row.attributes)
    return found if found is not None and TIME in found.holes else None


def shape_of(
    line: bytes,
    record: dict[str, Any],
    places: Mapping[str, tuple[str, ...]],
    *,
    media: str | None,
    attributes: str | None = None,
) -> Shape | None:
    """The shape of a line; None if one of the strings that it has cannot be told from its surroundings.

    Args:
        line: one JSON object, which was read strictly.
        record: what it says.
        places: by name of the hole, the keys that lead to each string that may differ.
        media: the answer's media type.
        attributes: the custom attributes.
    """
    found = sorted(_holes(line, record, places))
    names = tuple(name for *_, name in found)
    if any(name not in names and _found(record, place) is not None for name, place in places.items()):
        return None
    edges = [0, *(edge for start, end, _ in found for edge in (start, end)), len(line)]
    constants = tuple(line[edges[at] : edges[at + 1]] for at in range(0, len(edges), 2))
    if b"\\" in b"".join(constants):
        return None
    quotes = sum(each.count(b'"') for each in constants)
    return Shape(names, constants, tuple(end - start for start, end, _ in found), quotes, media, attributes)


def _holes(
    line: bytes, record: dict[str, Any], places: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[int, int, str]]:
    """Start, end and name of the inside of each string that may differ: putting another there changes just that.

    Args:
        line: one JSON object.
        record: what it says.
        places: by name, the keys that lead to each string.
    """
    strings = list(_STRING.finditer(line))
    for name, place in places.items():
        value = _found(record, place)
        if not isinstance(value, str):
            continue
        other = value + "?"
        for string in strings:
            if _read(string.group()) == value:
                changed = line[: string.start()] + json.dumps(other).encode() + line[string.end() :]
                if _found(_read(changed), place) == other:
                    yield string.start() + 1, string.end() - 1, name


def _read(line: bytes) -> Any:
    try:
        return loads(line.decode())
    except (JsonTextError, UnicodeDecodeError):
        return None


def _found(record: Any, place: tuple[str, ...]) -> Any:
    for name in place:
        record = record.get(name) if isinstance(record, dict) else None
    return record
