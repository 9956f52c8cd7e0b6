"""Data capture objects of one variant: every line read gets a fate, the good ones become small records.

A record keeps no payload: a digest of the input, and the labels of the answer. What SageMaker wrote badly (the line,
its encoding) is the line's fault and the line is left out, counted. What the model answered badly stays, as an answer
that cannot be read, and counts against its side.
"""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shadow_provider.comparators.label import Labels, UnreadableAnswerError, read_labels
from shadow_provider.evidence.clients import S3Client
from shadow_provider.evidence.lines import BadLineError, FateCounter, decoded, member, parse_object
from shadow_provider.evidence.objects import join_key, jsonl_keys, read_lines, split_uri
from shadow_provider.evidence.window import hours
from shadow_provider.plan.policy import LabelSelector
from shadow_provider.verdict.evidence import EvidenceWindow

_LATE = timedelta(hours=1)
"""An object may be named an hour beside its records' times: the hours around the window are listed as well."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_DEFAULT_MEDIA = {"CSV": "text/csv", "JSON": "application/json"}


@dataclass(frozen=True, slots=True)
class Capture:
    """One captured request and answer.

    Attributes:
        time: inferenceTime, in whole seconds as SageMaker writes it.
        key: the object.
        line: the line in it, from 1.
        input_digest: of encoding and data of the input; None if the input was not captured.
        labels: the answer's labels; None if it is missing or cannot be read.
    """

    time: datetime
    key: str
    line: int
    input_digest: bytes | None
    labels: Labels | None

    @property
    def place(self) -> str:
        """Where it stands, for the examples."""
        return f"{self.key}:{self.line}"

    @property
    def order(self) -> tuple[datetime, str, int]:
        """The first of several with the same id is kept, in this order."""
        return self.time, self.key, self.line


@dataclass(slots=True)
class SideCaptures:
    """One variant's captures within the window, by inferenceId, and the fates of all lines that are already settled.

    `lines` is the number of lines read; the fates of the records in `by_id` are given by the pairing.
    """

    by_id: dict[str, Capture] = field(default_factory=dict)
    fates: FateCounter = field(default_factory=FateCounter)
    etags: dict[str, str] = field(default_factory=dict)
    lines: int = 0
    first: datetime | None = None
    last: datetime | None = None


def read_captures(
    s3: S3Client,
    *,
    capture_s3_uri: str,
    endpoint_name: str,
    variant: str,
    window: EvidenceWindow,
    selector: LabelSelector,
) -> SideCaptures:
    """Read all captures of one variant in the window.

    Args:
        s3: a boto3 client.
        capture_s3_uri: DestinationS3Uri of the endpoint's data capture, with or without a slash at its end.
        endpoint_name: the endpoint.
        variant: the variant.
        window: records with an inferenceTime outside of it are counted and left out.
        selector: where the label stands in an answer.

    Raises:
        ValueError: the URI is none of S3's. Errors of the client (access, a broken connection) pass through: a part of
            the captures must not be taken for all of them.
    """
    bucket, destination = split_uri(capture_s3_uri)
    prefix = join_key(destination, endpoint_name, variant)
    side = SideCaptures()
    for hour in hours(window.start - _LATE, window.end + _LATE):
        for key in jsonl_keys(s3, bucket, f"{prefix}{hour:%Y/%m/%d/%H}/"):
            for number, line in read_lines(s3, bucket, key, side.etags):
                side.lines += 1
                _take(side, line, key, number, window, selector)
    return side


def _take(
    side: SideCaptures, line: bytes, key: str, number: int, window: EvidenceWindow, selector: LabelSelector
) -> None:
    place = f"{key}:{number}"
    try:
        inference_id, capture = parse_capture(line, key, number, selector)
    except BadLineError as error:
        side.fates.count(error.cause, place)
        return
    if capture.time not in window:
        side.fates.count("out_of_window")
        return
    side.first = min(side.first or capture.time, capture.time)
    side.last = max(side.last or capture.time, capture.time)
    if inference_id is None:
        side.fates.count("no_inference_id", place)
        return
    known = side.by_id.get(inference_id)
    if known is None:
        side.by_id[inference_id] = capture
        return
    kept, dropped = sorted((known, capture), key=lambda each: each.order)
    side.by_id[inference_id] = kept
    side.fates.count("duplicate", dropped.place)


def parse_capture(line: bytes, key: str, number: int, selector: LabelSelector) -> tuple[str | None, Capture]:
    """One line of a capture object: the inferenceId, if the caller sent one, and the record.

    Raises:
        BadLineError: with the line's fate as its cause; in addition to those of `parse_object`: `bad_time`,
            `unknown_encoding`, `bad_base64`.
    """
    record = parse_object(line)
    metadata = member(record, "eventMetadata")
    data = member(record, "captureData")
    inference_id = metadata.get("inferenceId")
    if inference_id is not None and not isinstance(inference_id, str):
        raise BadLineError("wrong_shape")
    return inference_id or None, Capture(
        time=inference_time(metadata.get("inferenceTime")),
        key=key,
        line=number,
        input_digest=_input_digest(data),
        labels=_labels(data, selector),
    )


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


def _input_digest(data: dict[str, Any]) -> bytes | None:
    given = payload(data, "endpointInput")
    return None if given is None else hashlib.sha256(given[0]).digest()[:16]


def _labels(data: dict[str, Any], selector: LabelSelector) -> Labels | None:
    answer = payload(data, "endpointOutput")
    if answer is None:
        return None
    try:
        return read_labels(answer[0].decode(), answer[1], selector)
    except (UnreadableAnswerError, UnicodeDecodeError):
        return None
