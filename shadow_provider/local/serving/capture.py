"""Data capture: records of what went in and came out, written to S3 as SageMaker writes them."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from shadow_provider.local.faults.board import FaultBoard
from shadow_provider.local.identifiers import random_id
from shadow_provider.local.moto_bridge import LocalS3, S3MissingError
from shadow_provider.local.serving.invocation import CUSTOM_ATTRIBUTES, Invocation, Outcome
from shadow_provider.local.settings import LocalSettings

logger = logging.getLogger(__name__)

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


@lru_cache(maxsize=8)
def _time_text(epoch_seconds: int) -> str:
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class CapturePlan:
    """A DataCaptureConfig, read.

    Attributes:
        bucket: Destination bucket.
        prefix: Destination key prefix without slashes at its ends.
        share: Share of the invocations that is captured, 0 to 1.
        inputs: Whether requests are captured.
        outputs: Whether answers are captured.
        csv_types: Content types captured as CSV text.
        json_types: Content types captured as JSON text; all others are captured as base64.
        kms_key_id: Key for the objects.
    """

    bucket: str
    prefix: str
    share: float
    inputs: bool
    outputs: bool
    csv_types: frozenset[str]
    json_types: frozenset[str]
    kms_key_id: str | None

    @classmethod
    def of(cls, config: dict[str, Any] | None) -> CapturePlan | None:
        """Reads a DataCaptureConfig; None if there is none or it is switched off."""
        if config is None or not config.get("EnableCapture", True):
            return None
        bucket, _, prefix = config["DestinationS3Uri"].partition("://")[2].partition("/")
        modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
        types = config.get("CaptureContentTypeHeader", {})
        return cls(
            bucket=bucket,
            prefix=prefix.strip("/"),
            share=config["InitialSamplingPercentage"] / 100,
            inputs=bool(modes & {"Input", "InputAndOutput"}),
            outputs=bool(modes & {"Output", "InputAndOutput"}),
            csv_types=frozenset(kind.lower() for kind in types.get("CsvContentTypes", ())),
            json_types=frozenset(kind.lower() for kind in types.get("JsonContentTypes", ())),
            kms_key_id=config.get("KmsKeyId"),
        )

    def encode(self, content_type: str | None, body: bytes) -> tuple[str, str]:
        """A payload as the record's text and the name of its encoding."""
        base = (content_type or "").partition(";")[0].strip().lower()
        encoding = "CSV" if base in self.csv_types else "JSON" if base in self.json_types else "BASE64"
        if encoding != "BASE64":
            try:
                return body.decode("utf-8"), encoding
            except UnicodeDecodeError:
                pass
        return base64.b64encode(body).decode("ascii"), "BASE64"


@dataclass(slots=True)
class _OpenObject:
    """Records that wait to become an object; `opened` is when the first of them came, epoch seconds."""

    opened: float
    lines: list[bytes] = field(default_factory=list)
    size: int = 0


class CaptureWriter:
    """Collects one variant's records and writes them as objects, one after the other for each of its instances.

    An object is closed when it has waited long enough, when it is large enough, or when its hour is over.

    Args:
        plan: What is captured, and where to.
        endpoint: Name of the endpoint.
        variant: Name of the variant.
        s3: The local S3.
        settings: Flush interval and the answers to what AWS leaves open.
        rng: Decides which invocations are captured.
        board: The faults.
    """

    def __init__(
        self,
        plan: CapturePlan,
        endpoint: str,
        variant: str,
        s3: LocalS3,
        settings: LocalSettings,
        rng: random.Random,
        board: FaultBoard | None = None,
    ) -> None:
        self._plan = plan
        self._endpoint, self._variant = endpoint, variant
        self._board = board or FaultBoard()
        self._folder = "/".join(part for part in (plan.prefix, endpoint, variant) if part)
        self._s3 = s3
        self._settings = settings
        self._rng = rng
        self._open: dict[int, _OpenObject] = {}
        self.captured = 0
        self.lost = 0

    def record(self, invocation: Invocation, outcome: Outcome) -> None:
        """Takes an invocation down, if sampling wants it."""
        shared = self._settings.capture_sampling == "per_request"
        draw = invocation.capture_draw if shared else self._rng.random()
        if draw >= self._plan.share:
            return
        data = self._data(invocation, outcome)
        if not data:
            return
        own_id = self._settings.capture_event_id == "independent"
        metadata: dict[str, Any] = {"eventId": random_id() if own_id else invocation.event_id}
        if invocation.inference_id is not None:
            metadata["inferenceId"] = invocation.inference_id
        if (attributes := invocation.headers.get(CUSTOM_ATTRIBUTES)) is not None:
            metadata["customAttributes"] = [attributes]
        metadata["inferenceTime"] = _time_text(int(invocation.received))
        record = {"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}
        self._append(_ENCODER.encode(record).encode() + b"\n", outcome.instance)

    def flush(self, only_older_than: float = 0.0) -> None:
        """Writes the records collected so far.

        Args:
            only_older_than: Seconds that the first of an object's records must have waited.
        """
        now = time.time()
        for instance, waiting in list(self._open.items()):
            if now - waiting.opened >= only_older_than:
                self._close(instance)

    def _close(self, instance: int) -> None:
        closed = self._open.pop(instance)
        if not closed.lines:
            return
        content, count = b"".join(closed.lines), len(closed.lines)
        opened = datetime.fromtimestamp(closed.opened, UTC)
        name = f"{opened:%M-%S}-{opened.microsecond // 1000:03d}-{random_id()}.jsonl"
        key = f"{self._folder}/{opened:%Y/%m/%d/%H}/{name}"
        if self._board.capture:
            self._write_faulty(key, content, count)
        else:
            self._write(key, content, count)

    def _write(self, key: str, content: bytes, count: int) -> None:
        try:
            self._s3.write(self._plan.bucket, key, content, self._plan.kms_key_id)
        except (S3MissingError, OSError) as error:
            self.lost += count
            logger.warning("%d captured records for s3://%s/%s lost: %r", count, self._plan.bucket, key, error)

    def _write_faulty(self, key: str, content: bytes, count: int) -> None:
        late = 0.0
        for fault in self._board.for_capture(self._endpoint, self._variant, "truncated", "late"):
            late += fault.seconds or 0.0
            if fault.kind == "truncated":
                last = content.rfind(b"\n", 0, -1) + 1
                content = content[: (last + len(content)) // 2]
        if late:
            asyncio.get_running_loop().call_later(late, self._write, key, content, count)
        else:
            self._write(key, content, count)

    def _data(self, invocation: Invocation, outcome: Outcome) -> dict[str, Any]:
        if not outcome.ok and self._settings.capture_failed_invocations == "none":
            return {}
        data = {}
        if self._plan.inputs:
            data["endpointInput"] = self._side("INPUT", invocation.headers.get("content-type"), invocation.body)
        if self._plan.outputs and outcome.ok and outcome.response is not None:
            answer = outcome.response
            data["endpointOutput"] = self._side("OUTPUT", answer.headers.get("content-type"), answer.body)
        return data

    def _side(self, mode: str, content_type: str | None, body: bytes) -> dict[str, Any]:
        data, encoding = self._plan.encode(content_type, body)
        return {"observedContentType": content_type, "mode": mode, "data": data, "encoding": encoding}

    def _append(self, line: bytes, instance: int) -> None:
        now = time.time()
        waiting = self._open.get(instance)
        if waiting is not None and now // 3600 != waiting.opened // 3600:
            self._close(instance)  # an object belongs to the hour it was opened in
            waiting = None
        if waiting is None:
            waiting = self._open[instance] = _OpenObject(now)
        waiting.lines += [line] if not self._board.capture else self._faulty_lines(line)
        waiting.size += len(line)
        self.captured += 1
        if waiting.size >= self._settings.capture_object_bytes:
            self._close(instance)

    def _faulty_lines(self, line: bytes) -> list[bytes]:
        faults = self._board.for_capture(self._endpoint, self._variant, "missing", "duplicated")
        kinds = {fault.kind for fault in faults}
        return [] if "missing" in kinds else [line] * (2 if "duplicated" in kinds else 1)
