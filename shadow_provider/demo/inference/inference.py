"""The handlers of the demo models, packed into every archive as ``code/inference.py``.

The same file serves all of them: what differs is the pickled model beside it. It follows SageMaker's container
contract (``model_fn``, ``input_fn``, ``predict_fn``, ``output_fn``) and imports nothing that the pickled model does not
need itself.
"""

import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np

FEATURES = 64
CSV = "text/csv"
JSON = "application/json"


def model_fn(model_dir: str) -> Any:
    """Load the model and let it answer once, so that no caller pays for what the first answer sets up.

    Raises:
        Exception: whatever unpickling raises when the file is missing or damaged. No ping then passes.
    """
    model = joblib.load(Path(model_dir) / "model.joblib")
    model.predict(np.zeros((1, FEATURES)))
    return model


def input_fn(body: bytes | str, content_type: str) -> np.ndarray:
    """Read one or more rows of 64 numbers.

    Args:
        body: CSV with a row a line; or JSON: a row, a list of rows, or ``{"instances": [row, ...]}``.
        content_type: ``text/csv`` or ``application/json``; parameters such as a charset are ignored.

    Raises:
        ValueError: another content type, something that is not a number, or not 64 of them in a row.
    """
    text = body.decode("utf-8") if isinstance(body, bytes | bytearray) else body
    kind = _media_type(content_type)
    if kind == CSV:
        rows = [[float(value) for value in line.split(",")] for line in text.splitlines() if line.strip()]
    elif kind == JSON:
        rows = _json_rows(text)
    else:
        raise ValueError(f"content type {content_type!r} is not supported: send {CSV} or {JSON}")
    if not rows or any(len(row) != FEATURES for row in rows):
        raise ValueError(f"each row must have {FEATURES} numbers, and there must be at least one row")
    return np.asarray(rows, dtype=np.float64)


def predict_fn(data: np.ndarray, model: Any) -> np.ndarray:
    """Tell the digit of each row."""
    return np.asarray(model.predict(data))


def output_fn(prediction: np.ndarray, accept: str) -> tuple[str, str]:
    """Write a label per row: JSON when it is asked for, CSV otherwise.

    Returns:
        The body and its content type.
    """
    labels = [int(label) for label in prediction]
    if _media_type(accept) == JSON:
        return json.dumps({"predictions": labels}), JSON
    return "\n".join(str(label) for label in labels), CSV


def _media_type(header: str | None) -> str:
    return (header or "").split(";", 1)[0].strip().lower()


def _json_rows(text: str) -> list[list[float]]:
    document = json.loads(text)
    rows = document.get("instances") if isinstance(document, dict) else document
    if not isinstance(rows, list) or not rows:
        raise ValueError('JSON must be a row, a list of rows, or {"instances": [row, ...]}')
    return rows if isinstance(rows[0], list) else [rows]
