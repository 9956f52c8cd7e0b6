"""What users may write."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.compute as pc

NOT_A_FUNCTION = 5


def cents(production: Any, shadow: Any) -> dict[str, Any]:
    p, s = (pc.cast(batch.column("text"), "float64").to_numpy(zero_copy_only=False) for batch in (production, shadow))
    return {"off": (s != p).astype(int), "cents": np.minimum(100 * np.abs(s - p), 50)}


def flags(production: Any, shadow: Any) -> dict[str, Any]:
    readable = [text != "bad" for text in production.column("text").to_pylist()]
    return {"off": [0] * shadow.num_rows, "cents": [1.0] * shadow.num_rows, "readable_production": readable}


def broken(production: Any, shadow: Any) -> Any:
    raise KeyError("price")


def short(production: Any, shadow: Any) -> Any:
    return {"off": [0], "cents": [0.0]}


def wild(production: Any, shadow: Any) -> Any:
    return {"off": [7] * shadow.num_rows, "cents": [0.0] * shadow.num_rows}


def nothing(production: Any, shadow: Any) -> Any:
    return None


def letters(texts: list[str]) -> Any:
    return [[text.count("a"), text.count("b")] for text in texts]


def one_vector(texts: list[str]) -> Any:
    return [1.0, 2.0]
