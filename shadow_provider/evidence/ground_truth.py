"""Ground truth as Model Monitor's merge job expects it: JSON Lines by the hour in which the labels were collected.

Labels come late, so all hours from the window's start until now are read. The eventId in them is the inferenceId.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from shadow_provider.comparators.label import Labels, UnreadableAnswerError, read_labels
from shadow_provider.evidence.clients import S3Client
from shadow_provider.evidence.lines import BadLineError, FateCounter, decoded, member, parse_object
from shadow_provider.evidence.objects import join_key, jsonl_keys, read_lines, split_uri
from shadow_provider.evidence.window import hours
from shadow_provider.plan.policy import LabelSelector

_MEDIA = {"CSV": "text/csv", "JSON": "application/json"}


@dataclass(slots=True)
class GroundTruth:
    """True labels by inferenceId, of the wanted ids only, and what became of each line that was read."""

    labels: dict[str, Labels] = field(default_factory=dict)
    fates: FateCounter = field(default_factory=FateCounter)
    etags: dict[str, str] = field(default_factory=dict)
    lines: int = 0


def read_ground_truth(
    s3: S3Client, *, ground_truth_s3_uri: str, start: datetime, now: datetime, wanted: Collection[str]
) -> GroundTruth:
    """Read the labels that were collected since the start.

    A second equal label of an id is a `duplicate`. Labels that contradict each other are all `conflicting`, and the id
    has none: nobody knows which is right.

    Args:
        s3: a boto3 client.
        ground_truth_s3_uri: prefix above `yyyy/mm/dd/hh/`.
        start: start of the evidence window.
        now: last hour to look into.
        wanted: ids of the pairs; labels of other requests are counted as `no_pair`.

    Raises:
        ValueError: the URI is none of S3's. Errors of the client pass through.
    """
    bucket, prefix = split_uri(ground_truth_s3_uri)
    truth = GroundTruth()
    places: dict[str, list[str]] = {}
    contradicted: set[str] = set()
    for hour in hours(start, now):
        for key in jsonl_keys(s3, bucket, join_key(prefix, f"{hour:%Y/%m/%d/%H}")):
            for number, line in read_lines(s3, bucket, key, truth.etags):
                truth.lines += 1
                _take(truth, line, f"{key}:{number}", wanted, places, contradicted)
    for event_id in contradicted:
        del truth.labels[event_id]
    for event_id, where in places.items():
        if event_id in contradicted:
            for place in where:
                truth.fates.count("conflicting", place)
        else:
            truth.fates.count("used")
            for place in where[1:]:
                truth.fates.count("duplicate", place)
    return truth


def _take(
    truth: GroundTruth,
    line: bytes,
    place: str,
    wanted: Collection[str],
    places: dict[str, list[str]],
    contradicted: set[str],
) -> None:
    try:
        event_id, labels = parse_truth(line)
    except BadLineError as error:
        truth.fates.count(error.cause, place)
        return
    if event_id not in wanted:
        truth.fates.count("no_pair")
        return
    if truth.labels.setdefault(event_id, labels) != labels:
        contradicted.add(event_id)
    places.setdefault(event_id, []).append(place)


def parse_truth(line: bytes) -> tuple[str, Labels]:
    """One line of ground truth: the id and the true labels, one a row.

    Raises:
        BadLineError: with the line's fate as its cause; in addition to those of `parse_object`: `unknown_encoding`,
            `unreadable_label`.
    """
    record = parse_object(line)
    event_id = member(record, "eventMetadata").get("eventId")
    payload = member(record, "groundTruthData")
    data, encoding = payload.get("data"), payload.get("encoding")
    if not isinstance(event_id, str) or not event_id or not isinstance(data, str):
        raise BadLineError("wrong_shape")
    if not isinstance(encoding, str) or encoding not in _MEDIA:
        raise BadLineError("unknown_encoding")
    try:
        # The selector is that of the answers' shape; a label of the truth stands alone.
        return event_id, read_labels(decoded(data, encoding).decode(), _MEDIA[encoding], LabelSelector())
    except (UnreadableAnswerError, UnicodeDecodeError) as error:
        raise BadLineError("unreadable_label") from error
