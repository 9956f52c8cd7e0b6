"""Lines of ground truth: `groundTruthData` with `data` and `encoding`, and `eventMetadata.eventId`.

Nearly all lines of one writer differ in the id and the label alone, and one regular expression reads them. It is made
of a line that was read strictly: whatever matches it is that line with the inside of other JSON strings. An object of
which any line is otherwise is read strictly, line by line.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from shadow_provider.comparators.json_text import loads
from shadow_provider.evidence.engine.shape import holes
from shadow_provider.evidence.lines import BadLineError, member, parse_object

_MEDIA = {"CSV": "text/csv", "JSON": "application/json"}
_PLACES = {"id": ("eventMetadata", "eventId"), "text": ("groundTruthData", "data")}
_PLAIN = r'[^"\\\x00-\x1f]'
_INSIDE = {"id": f"({_PLAIN}+)", "text": rf'({_PLAIN}*(?:\\["\\/bfnrt]{_PLAIN}*)*)'}
_LONGEST = 1 << 16
_KNOWN = 8


@dataclass
class Labels:
    """What an object says.

    Attributes:
        ids: the event id of each label.
        texts: the labels.
        media: their media types.
        bad: fate and number of the lines that are none.
        lines: all of them.
    """

    ids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    media: list[str] = field(default_factory=list)
    bad: list[tuple[str, int]] = field(default_factory=list)
    lines: int = 0


@dataclass(frozen=True)
class _Form:
    """The lines of one writer: names of the groups of a pattern that matches a whole line."""

    pattern: re.Pattern[str]
    groups: tuple[str, ...]
    media: str


class LabelReader:
    """Reads label objects, and remembers the forms of lines that it met. Threads may share it."""

    def __init__(self) -> None:
        self._forms: tuple[_Form, ...] = ()

    def read(self, pieces: Iterable[bytes | None]) -> Labels:
        """The labels of an object: of whole lines, with None for a line that is too long to be kept."""
        found = Labels()
        for content in pieces:
            if content is None:
                found.lines += 1
                found.bad.append(("oversize", found.lines))
            elif not self._read_formed(content, found):
                _read_strictly(content, found)
        return found

    def _read_formed(self, content: bytes, found: Labels) -> bool:
        """Whether all lines have one form; then they are read."""
        try:
            lines = content.decode()
        except UnicodeDecodeError:
            return False
        if not lines.endswith("\n"):
            lines += "\n"
        count = lines.count("\n")
        for form in self._forms:
            if _add(form, lines, count, found):
                return True
        form_learned = _learned(lines[: lines.index("\n")].encode())
        if form_learned is None or not _add(form_learned, lines, count, found):
            return False
        self._forms = (form_learned, *self._forms)[:_KNOWN]
        return True


def _add(form: _Form, lines: str, count: int, found: Labels) -> bool:
    """Add the labels of the lines, if all have this form."""
    if form.pattern.match(lines) is None:
        return False
    rows = form.pattern.findall(lines)
    if len(rows) != count:
        return False
    columns = dict(zip(form.groups, zip(*rows, strict=True), strict=True))
    texts: Sequence[str] = columns["text"]
    if "\\" in lines:
        texts = [loads(f'"{text}"') if "\\" in text else text for text in texts]
    found.ids += columns["id"]
    found.texts += texts
    found.media += [form.media] * count
    found.lines += count
    return True


def _learned(line: bytes) -> _Form | None:
    """The form of a line; None if it is no label, or one that cannot be told from its surroundings."""
    if len(line) > _LONGEST:
        return None
    try:
        record = parse_object(line)
        _, _, media = _label(record)
    except BadLineError:
        return None
    found = sorted(holes(line, record, _PLACES))
    if {name for *_, name in found} != _PLACES.keys() or len(found) != len(_PLACES):
        return None
    pattern, at = "(?m)^", 0
    for start, end, name in found:
        pattern += re.escape(line[at:start].decode()) + _INSIDE[name]
        at = end
    pattern += re.escape(line[at:].decode()) + "\n"
    return _Form(re.compile(pattern), tuple(name for *_, name in found), media)


def _read_strictly(content: bytes, found: Labels) -> None:
    for line in _lines(content):
        found.lines += 1
        try:
            name, text, media = _label(parse_object(line))
        except BadLineError as error:
            found.bad.append((error.cause, found.lines))
            continue
        found.ids.append(name)
        found.texts.append(text)
        found.media.append(media)


def _lines(content: bytes) -> Iterator[bytes]:
    lines = content.split(b"\n")
    yield from lines[:-1] if content.endswith(b"\n") else lines


def _label(record: dict[str, Any]) -> tuple[str, str, str]:
    """Id, label and media type; without lone surrogates, which no other reader would take.

    Raises:
        BadLineError: `wrong_shape` or `unknown_encoding`.
    """
    event_id = member(record, "eventMetadata").get("eventId")
    label = member(record, "groundTruthData")
    data, encoding = label.get("data"), label.get("encoding")
    if not isinstance(event_id, str) or not event_id or not isinstance(data, str):
        raise BadLineError("wrong_shape")
    if not isinstance(encoding, str) or encoding not in _MEDIA:
        raise BadLineError("unknown_encoding")
    writable = (each.encode(errors="backslashreplace").decode() for each in (event_id, data))
    return next(writable), next(writable), _MEDIA[encoding]
