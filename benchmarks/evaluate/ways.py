"""The ways that are compared, each run as `python -m benchmarks.evaluate.ways WAY ...` in a process of its own.

The last line that each prints is JSON: its result, and the most memory that the process held.
"""

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.evaluate.data import ENDPOINT, START, VARIANTS

COMPARATORS: dict[str, dict[str, Any]] = {
    "csv": {"kind": "number", "absolute_tolerance": 0.1},
    "json": {"kind": "label"},
}


def engine(shape: str, root: str, hours: str, state: str = "", s3: str = "", memory_mb: str = "512") -> dict[str, Any]:
    """This project's engine; with a state it reads what is new, with an endpoint it reads from S3."""
    from shadow_provider.comparators.build import comparator
    from shadow_provider.evidence.engine.engine import take_look
    from shadow_provider.evidence.engine.model import Captures, Settings
    from shadow_provider.evidence.engine.state import State
    from shadow_provider.evidence.engine.store import FolderStore, ReadableStore, S3Store

    store: ReadableStore = FolderStore(Path(root))
    if s3:
        import boto3

        store = S3Store(
            boto3.client(
                "s3", endpoint_url=s3, region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="local"
            ),
            "bench",
        )
    found = take_look(
        Captures(store, "capture", ENDPOINT, *VARIANTS, start=START),
        comparator(COMPARATORS[shape]),
        until=START + timedelta(hours=int(hours)),
        last=not state,
        settings=Settings(block_seconds=300, memory_mb=int(memory_mb)),
        state=State(FolderStore(Path(state)), "state") if state else None,
    )
    return {"pairs": found.pairs, "strict_lines": found.strict_lines}


def notebook(shape: str, root: str) -> dict[str, Any]:
    """As AWS's own shadow notebooks do it: json.loads line by line, DataFrames, a merge, scikit-learn's measures.

    Inputs are decoded and kept, as these notebooks show them beside the answers.
    """
    import pandas as pd
    from sklearn.metrics import accuracy_score, mean_absolute_error

    frames = []
    for variant in VARIANTS:
        rows = []
        for path in sorted((Path(root) / "capture" / ENDPOINT / variant).rglob("*.jsonl")):
            with path.open() as lines:
                for line in lines:
                    record = json.loads(line)
                    data = record["captureData"]
                    given, answer = data["endpointInput"]["data"], data["endpointOutput"]["data"]
                    if shape == "csv":
                        features, said = [float(each) for each in given.split(",")], float(answer)
                    else:
                        features, said = json.loads(given), json.loads(answer)["label"]
                    metadata = record["eventMetadata"]
                    rows.append((metadata["inferenceId"], metadata["inferenceTime"], features, said))
        frames.append(pd.DataFrame(rows, columns=["id", "time", "features", "answer"]))
    merged = frames[0].drop_duplicates("id").merge(frames[1].drop_duplicates("id"), on="id")
    merged["block"] = pd.to_datetime(merged["time_x"]).dt.floor("5min")
    measure = mean_absolute_error if shape == "csv" else accuracy_score
    figure = float(measure(merged["answer_x"], merged["answer_y"]))
    blocks = merged.groupby("block").size()
    return {"pairs": len(merged), "figure": figure, "blocks": len(blocks)}


def _peak_megabytes() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    ways: dict[str, Callable[..., dict[str, Any]]] = {"engine": engine, "notebook": notebook}
    result = ways[sys.argv[1]](*sys.argv[2:])
    print(json.dumps(result | {"peak_mb": round(_peak_megabytes())}))
