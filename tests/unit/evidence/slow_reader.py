"""An oracle for the engine: captures and labels read line by line, strictly, as plainly as it can be written."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from shadow_provider.evidence.lines import BadLineError, inference_time, member, parse_object, payload
from tests.unit.evidence.fakes import BUCKET, FakeS3


@dataclass(frozen=True)
class Record:
    """A good line."""

    time: datetime
    place: tuple[str, int]
    given: bytes | None


@dataclass
class Side:
    """One variant's records by inferenceId, the first of several with the same one."""

    records: dict[str, Record] = field(default_factory=dict)
    fates: Counter[str] = field(default_factory=Counter)


def lines_of(s3: FakeS3, prefix: str) -> Iterator[tuple[str, int, bytes]]:
    """All lines below a prefix, in order."""
    for item in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ()):
        if item["Key"].endswith(".jsonl"):
            content = s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
            lines = content.split(b"\n")
            for number, line in enumerate(lines[:-1] if content.endswith(b"\n") else lines, start=1):
                yield item["Key"], number, line


def read_side(s3: FakeS3, prefix: str, start: datetime, end: datetime) -> Side:
    """The records of one variant in the window."""
    side = Side()
    for key, number, line in lines_of(s3, prefix):
        try:
            inference_id, record = _record(line, key, number)
        except BadLineError as error:
            side.fates[error.cause] += 1
            continue
        if not start <= record.time < end:
            side.fates["out_of_window"] += 1
        elif inference_id is None:
            side.fates["no_inference_id"] += 1
        elif inference_id in side.records:
            side.fates["duplicate"] += 1
            first = min(side.records[inference_id], record, key=lambda each: (each.time, each.place))
            side.records[inference_id] = first
        else:
            side.records[inference_id] = record
    return side


def _record(line: bytes, key: str, number: int) -> tuple[str | None, Record]:
    record = parse_object(line)
    metadata, data = member(record, "eventMetadata"), member(record, "captureData")
    inference_id = metadata.get("inferenceId")
    if not isinstance(inference_id, str | None):
        raise BadLineError("wrong_shape")
    time = inference_time(metadata.get("inferenceTime"))
    given, _ = payload(data, "endpointInput"), payload(data, "endpointOutput")
    digest = None if given is None else hashlib.sha256(given[0]).digest()
    return inference_id or None, Record(time, (key, number), digest)


def pair_up(production: Side, shadow: Side) -> None:
    """Give every record its fate; `alone` has no partner, wherever it stands."""
    for inference_id, record in production.records.items():
        partner = shadow.records.get(inference_id)
        if partner is None:
            production.fates["alone"] += 1
            continue
        fate = "paired" if record.given == partner.given else "input_mismatch"
        production.fates[fate] += 1
        shadow.fates[fate] += 1
    shadow.fates["alone"] += sum(inference_id not in production.records for inference_id in shadow.records)


def truth_fates(s3: FakeS3, prefix: str, wanted: Collection[str]) -> Counter[str]:
    """What becomes of each line of ground truth."""
    fates: Counter[str] = Counter()
    labels: dict[str, list[str]] = {}
    for _, _, line in lines_of(s3, prefix):
        try:
            record = parse_object(line)
            event_id, label = member(record, "eventMetadata").get("eventId"), member(record, "groundTruthData")
            data, encoding = label.get("data"), label.get("encoding")
            if not isinstance(event_id, str) or not event_id or not isinstance(data, str):
                raise BadLineError("wrong_shape")
            if encoding not in ("CSV", "JSON"):
                raise BadLineError("unknown_encoding")
        except BadLineError as error:
            fates[error.cause] += 1
            continue
        if event_id in wanted:
            labels.setdefault(event_id, []).append(data)
        else:
            fates["no_pair"] += 1
    for given in labels.values():
        if len({*given}) > 1:
            fates["conflicting"] += len(given)
        else:
            fates["used"] += 1
            fates["duplicate"] += len(given) - 1
    return +fates
