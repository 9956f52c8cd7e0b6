"""A real request of production's, from its captures: what a smoke request is made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from shadow_provider.evidence.engine.store import ReadableStore
from shadow_provider.evidence.lines import BadLineError, inference_time, member, parse_object, payload
from shadow_provider.evidence.objects import join_key
from shadow_provider.evidence.window import hours

_MOST_HOURS = 48
_MOST_OBJECTS = 20


@dataclass(frozen=True)
class CapturedRequest:
    """A request that was answered.

    Attributes:
        body: what was sent.
        media: its media type, parameters included; empty where it was not captured.
        answer_media: media type of the answer, parameters included; empty where it was not captured.
        attributes: custom attributes that came with it, as one header; empty if there were none.
        place: key of the object and line, for people.
    """

    body: bytes
    media: str
    answer_media: str
    attributes: str
    place: str


def recent_request(
    store: ReadableStore, *, prefix: str, endpoint: str, variant: str, since: datetime, until: datetime
) -> CapturedRequest | None:
    """The newest request up to a time that was captured with its answer, of the last 48 hours and 20 objects.

    Args:
        store: where captures are.
        prefix: that of the capture's destination.
        endpoint: the endpoint.
        variant: the production variant.
        since: captures are looked for from this hour on.
        until: requests that came later are not taken; to the second, as SageMaker writes it.

    Returns:
        None where there is none.
    """
    newest = list(hours(max(since, until - timedelta(hours=_MOST_HOURS)), until))[::-1]
    seen = 0
    for hour in newest:
        listed = store.listed(f"{join_key(prefix, endpoint, variant)}{hour:%Y/%m/%d/%H}/")
        for key in sorted((each.key for each in listed if each.key.endswith(".jsonl")), reverse=True):
            for request in _answered(store, key, until):
                return request
            seen += 1
            if seen == _MOST_OBJECTS:
                return None
    return None


def _answered(store: ReadableStore, key: str, until: datetime) -> Iterator[CapturedRequest]:
    """The requests of an object that have an answer, newest first; what cannot be read is passed over."""
    with store.opened(key) as body:
        lines = body.read().split(b"\n")
    for number in range(len(lines), 0, -1):
        try:
            record = parse_object(lines[number - 1])
            data = member(record, "captureData")
            metadata = member(record, "eventMetadata")
            moment = inference_time(metadata.get("inferenceTime"))
            given, answer = payload(data, "endpointInput"), payload(data, "endpointOutput")
        except BadLineError:
            continue
        if given is not None and answer is not None and moment <= until:
            attributes = _header(metadata.get("customAttributes"))
            yield CapturedRequest(given[0], given[1], answer[1], attributes, f"{key}:{number}")


def _header(attributes: object) -> str:
    """The list of custom attributes as the header that callers send."""
    if not isinstance(attributes, list) or not all(isinstance(each, str) for each in attributes):
        return ""
    return ",".join(attributes)
