"""Lines of JSON that other machines wrote: read strictly, refused with a cause, never in silence."""

import base64
import binascii
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from shadow_provider.comparators.json_text import JsonTextError, loads

_EXAMPLES = 5
_BOM = b"\xef\xbb\xbf"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_DEFAULT_MEDIA = {"CSV": "text/csv", "JSON": "application/json"}


class BadLineError(ValueError):
    """A line that cannot be used.

    Attributes:
        cause: its fate, such as `not_json`.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class FateCounter:
    """Counts what became of lines, and keeps the places of the first few of each abnormal kind, never a payload."""

    def __init__(self) -> None:
        self.fates: Counter[str] = Counter()
        self._places: dict[str, list[str]] = {}

    def count(self, fate: str, place: str | None = None) -> None:
        """Count one line; `place` (`key:line`) for a fate that somebody may want to look at."""
        self.fates[fate] += 1
        if place is not None:
            places = self._places.setdefault(fate, [])
            if len(places) < _EXAMPLES:
                places.append(place)

    def resume(self, fates: Mapping[str, int], examples: Mapping[str, Sequence[str]]) -> None:
        """Go on from what another counter had come to."""
        self.fates.update(fates)
        for fate, places in examples.items():
            self._places[fate] = [*self._places.get(fate, ()), *places][:_EXAMPLES]

    def counts(self) -> dict[str, int]:
        """Lines by fate, sorted by name; fates without lines are absent."""
        return {fate: self.fates[fate] for fate in sorted(self.fates) if self.fates[fate]}

    def examples(self) -> dict[str, tuple[str, ...]]:
        """Places by fate."""
        return {fate: tuple(places) for fate, places in sorted(self._places.items())}


def parse_object(line: bytes) -> dict[str, Any]:
    """One line as a JSON object. A byte order mark and a carriage return at its end are put up with.

    Raises:
        BadLineError: `empty`, `not_utf8`, `not_json` (also two values, NaN, 1e400), `duplicate_keys`, `wrong_shape`.
    """
    content = line.removeprefix(_BOM).strip(b" \t\r")
    if not content:
        raise BadLineError("empty")
    try:
        value = loads(content.decode())
    except UnicodeDecodeError as error:
        raise BadLineError("not_utf8") from error
    except JsonTextError as error:
        raise BadLineError(error.cause) from error
    if not isinstance(value, dict):
        raise BadLineError("wrong_shape")
    return value


def member(value: dict[str, Any], name: str) -> dict[str, Any]:
    """An object inside an object.

    Raises:
        BadLineError: `wrong_shape`: it is missing or no object.
    """
    found = value.get(name)
    if not isinstance(found, dict):
        raise BadLineError("wrong_shape")
    return found


def decoded(data: str, encoding: object) -> bytes:
    """The bytes of a captured payload.

    Raises:
        BadLineError: `unknown_encoding`, or `bad_base64`.
    """
    if encoding in ("CSV", "JSON"):
        # A lone surrogate (an escape in the JSON line) is no text; it must not stop the reading.
        return data.encode(errors="surrogatepass")
    if encoding != "BASE64":
        raise BadLineError("unknown_encoding")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadLineError("bad_base64") from error


def inference_time(value: object) -> datetime:
    """The time of a record.

    Raises:
        BadLineError: `bad_time`.
    """
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise BadLineError("bad_time")
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadLineError("bad_time") from error


def payload(data: dict[str, Any], name: str) -> tuple[bytes, str] | None:
    """Bytes and media type of one direction, or None if it was not captured or is null.

    Raises:
        BadLineError: `wrong_shape`, `unknown_encoding`, `bad_base64`.
    """
    if data.get(name) is None:
        return None
    part = member(data, name)
    text, encoding, media = part.get("data"), part.get("encoding"), part.get("observedContentType")
    if not isinstance(text, str | None) or not isinstance(media, str | None):
        raise BadLineError("wrong_shape")
    if not isinstance(encoding, str) or encoding not in ("CSV", "JSON", "BASE64"):
        raise BadLineError("unknown_encoding")
    return None if text is None else (decoded(text, encoding), media or _DEFAULT_MEDIA.get(encoding, ""))
