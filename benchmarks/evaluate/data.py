"""Captures as SageMaker writes them, of any number of requests: hourly folders, both variants, and ground truth.

csv: 30 features in, one number out. json: about 1 KB in, a label and ten probabilities out.
"""

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np

Shape = Literal["csv", "json"]
START = datetime(2026, 3, 1, tzinfo=UTC)
ENDPOINT, VARIANTS = "fraud", ("AllTraffic", "Shadow-01")
LINES_AN_OBJECT = 1000
_LABELS = [f"class-{number}" for number in range(10)]


@dataclass(frozen=True)
class Traffic:
    """What is generated.

    Attributes:
        shape: of the payloads.
        pairs: requests, all of them mirrored.
        hours: over which they are spread evenly.
        first_hour: hours after `START` at which they begin.
        seed: of the generator.
    """

    shape: Shape
    pairs: int
    hours: int = 100
    first_hour: int = 0
    seed: int = 7


def write_captures(root: Path, traffic: Traffic) -> int:
    """Write captures under `capture/` and labels under `truth/` of the folder; the bytes of the captures."""
    rng = np.random.default_rng(traffic.seed + traffic.first_hour)
    written = 0
    for number in range(traffic.hours):
        hour = START + timedelta(hours=traffic.first_hour + number)
        share = traffic.pairs * (number + 1) // traffic.hours - traffic.pairs * number // traffic.hours
        for at in range(0, share, LINES_AN_OBJECT):
            count = min(LINES_AN_OBJECT, share - at)
            seconds = 3600 * (at + np.arange(count)) // share
            written += _objects(root, traffic.shape, hour, seconds, rng)
    return written


def _objects(root: Path, shape: Shape, hour: datetime, seconds: np.ndarray, rng: "np.random.Generator") -> int:
    count = len(seconds)
    ids = [str(uuid.UUID(bytes=rng.bytes(16), version=4)) for _ in range(count)]
    times = [f"{hour + timedelta(seconds=int(second)):%Y-%m-%dT%H:%M:%SZ}" for second in seconds]
    inputs = _inputs(shape, rng, count)
    truth = rng.integers(0, 10, count)
    name = f"{hour + timedelta(seconds=int(seconds[0])):%M-%S}-000-{ids[0]}.jsonl"
    folder = f"{hour:%Y/%m/%d/%H}"
    size = 0
    for variant, noise in zip(VARIANTS, (0.05, 0.06), strict=True):
        answers = _answers(shape, rng, truth, noise)
        media, encoding = ("text/csv", "CSV") if shape == "csv" else ("application/json", "JSON")
        lines = [
            _line(media, encoding, given, answer, identity, moment, str(uuid.UUID(bytes=rng.bytes(16), version=4)))
            for given, answer, identity, moment in zip(inputs, answers, ids, times, strict=True)
        ]
        path = root / "capture" / ENDPOINT / variant / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        size += path.write_bytes("".join(lines).encode())
    path = root / "truth" / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = truth if shape == "csv" else [_LABELS[each] for each in truth]
    path.write_text("".join(_truth_line(i, label) for i, label in zip(ids, labels, strict=True)))
    return size


def _inputs(shape: Shape, rng: "np.random.Generator", count: int) -> list[str]:
    if shape == "csv":
        return [",".join(f"{value:.5f}" for value in row) for row in rng.normal(size=(count, 30))]
    features = rng.normal(size=(count, 60))
    return [json.dumps({f"feature_{i}": round(value, 4) for i, value in enumerate(row)}) for row in features.tolist()]


def _answers(shape: Shape, rng: "np.random.Generator", truth: np.ndarray, noise: float) -> list[str]:
    if shape == "csv":
        return [f"{value:.6f}\n" for value in truth / 10 + rng.normal(scale=noise, size=len(truth))]
    said = np.where(rng.random(len(truth)) < noise, rng.integers(0, 10, len(truth)), truth)
    weights = rng.gamma(0.3, size=(len(truth), 10)) + 1e-9
    weights[np.arange(len(truth)), said] += 5
    probabilities = np.round(weights / weights.sum(axis=1, keepdims=True), 6).tolist()
    return [
        json.dumps({"label": _LABELS[label], "probabilities": row})
        for label, row in zip(said, probabilities, strict=True)
    ]


def _line(media: str, encoding: str, given: str, answer: str, identity: str, moment: str, event: str) -> str:
    record = {
        "captureData": {
            "endpointInput": {"observedContentType": media, "mode": "INPUT", "data": given, "encoding": encoding},
            "endpointOutput": {"observedContentType": media, "mode": "OUTPUT", "data": answer, "encoding": encoding},
        },
        "eventMetadata": {"eventId": event, "inferenceId": identity, "inferenceTime": moment},
        "eventVersion": "0",
    }
    return json.dumps(record, separators=(",", ":")) + "\n"


def _truth_line(identity: str, label: object) -> str:
    record = {
        "groundTruthData": {"data": str(label), "encoding": "CSV"},
        "eventMetadata": {"eventId": identity},
        "eventVersion": "0",
    }
    return json.dumps(record, separators=(",", ":")) + "\n"
