"""The slow reader: Python's, strict, line by line. It settles what the fast one must not."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shadow_provider.evidence.lines import BadLineError, FateCounter, inference_time, member, parse_object, payload

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Row:
    """One record; the payloads as they were before SageMaker wrote them.

    Attributes:
        line: in its object, from 1.
        time: microseconds since 1970.
        inference_id: what the caller sent.
        event_id: SageMaker's own.
        given: the input's bytes.
        text: the answer, None if there is none or it is no text.
        media: the answer's media type.
        attributes: the custom attributes as a JSON list of strings; None if there are none, or they are no such list.
    """

    line: int
    time: int
    inference_id: str | None
    event_id: str | None
    given: bytes | None
    text: str | None
    media: str | None
    attributes: str | None


def read_strictly(content: bytes, first_line: int, key: str, fates: FateCounter) -> Iterator[Row]:
    """The good lines; the bad ones get their fate."""
    lines = content.split(b"\n")
    if content.endswith(b"\n"):
        lines.pop()
    for number, line in enumerate(lines, start=first_line):
        try:
            yield row_of(line, number)[0]
        except BadLineError as error:
            fates.count(error.cause, f"{key}:{number}")


def row_of(line: bytes, number: int) -> tuple[Row, dict[str, Any]]:
    """One line's record, and the JSON object that it is.

    Raises:
        BadLineError: with the line's fate as its cause.
    """
    record = parse_object(line)
    metadata, data = member(record, "eventMetadata"), member(record, "captureData")
    inference_id, event_id = metadata.get("inferenceId"), metadata.get("eventId")
    if not isinstance(inference_id, str | None):
        raise BadLineError("wrong_shape")
    moment = inference_time(metadata.get("inferenceTime"))
    given, answer = payload(data, "endpointInput"), payload(data, "endpointOutput")
    row = Row(
        line=number,
        time=(moment - _EPOCH) // _MICROSECOND,
        inference_id=_writable(inference_id),
        event_id=_writable(event_id) if isinstance(event_id, str) else None,
        given=None if given is None else given[0],
        text=None if answer is None else _text(answer[0]),
        media=None if answer is None else _writable(answer[1]),
        attributes=_attributes(metadata.get("customAttributes")),
    )
    return row, record


def _attributes(found: object) -> str | None:
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        return None
    return json.dumps(found)


def _text(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _writable(text: str | None) -> str | None:
    """Without lone surrogates, which no other reader would take; an empty id is none."""
    return text.encode(errors="backslashreplace").decode() if text else None
