"""The ways that are compared, each run as `python -m benchmarks.evaluate.ways WAY ...` in a process of its own.

The last line that each prints is JSON: its result, and the most memory that the process held.
"""

import json
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.evaluate.data import ENDPOINT, START, VARIANTS

if TYPE_CHECKING:
    from shadow_provider.evidence.engine.model import Result
    from shadow_provider.verdict.evidence import Evidence

_MIRROR = ("production", "shadow", "paired", "mismatched")

POLICIES: dict[str, dict[str, Any]] = {
    "csv": {
        "comparator": {"kind": "number", "absolute_tolerance": 0.3},
        "ground_truth": {"kind": "number", "most_error": 10},
        "gates": [
            {"metric": "paired_error_rate", "margin": 0.01},
            {"metric": "agreement", "minimum": 0.9},
            {"metric": "ground_truth", "outcome": "absolute_error", "margin": 0.05},
        ],
    },
    "json": {
        "comparator": {"kind": "label"},
        "ground_truth": {"kind": "class"},
        "gates": [
            {"metric": "paired_error_rate", "margin": 0.01},
            {"metric": "agreement", "minimum": 0.8},
            {"metric": "accuracy", "margin": 0.05},
        ],
    },
}
"""What is asked of the answers: the same kinds of figures as the notebook's, with margins that the data keep."""


def engine(shape: str, root: str, hours: str, state: str = "", s3: str = "", memory_mb: str = "512") -> dict[str, Any]:
    """This project: captures and labels to a verdict; with a state it reads what is new, with an endpoint from S3."""
    from shadow_provider.comparators.build import comparator
    from shadow_provider.comparators.truth import truth_comparator
    from shadow_provider.evidence.engine.engine import take_look
    from shadow_provider.evidence.engine.model import Captures, Settings
    from shadow_provider.evidence.engine.state import State
    from shadow_provider.evidence.engine.store import FolderStore, ReadableStore, S3Store
    from shadow_provider.evidence.engine.truth import Truth
    from shadow_provider.policy.reading import read_policy
    from shadow_provider.verdict.judge import judge

    policy = read_policy(POLICIES[shape])
    store: ReadableStore = FolderStore(Path(root))
    if s3:
        import boto3

        store = S3Store(
            boto3.client(
                "s3", endpoint_url=s3, region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="local"
            ),
            "bench",
        )
    until = START + timedelta(hours=int(hours))
    found = take_look(
        Captures(store, "capture", ENDPOINT, *VARIANTS, start=START),
        comparator(policy.comparator),
        until=until,
        last=not state,
        settings=Settings(block_seconds=600, memory_mb=int(memory_mb)),
        state=State(FolderStore(Path(state)), "state") if state else None,
        truth=Truth(store, "truth", truth_comparator(policy.ground_truth), until=until),
    )
    judgement = judge(policy, _evidence(found, until), final=not state)
    labelled = 0 if found.truth is None else sum(found.truth.labelled)
    return {
        "pairs": found.pairs,
        "labelled": labelled,
        "strict_lines": found.strict_lines,
        "verdict": judgement.verdict.value,
    }


def _evidence(found: "Result", until: datetime) -> "Evidence":
    from shadow_provider.verdict.evidence import (
        CaptureEvidence,
        Evidence,
        MetricsEvidence,
        MirrorEvidence,
        TruthEvidence,
        TwoSeries,
    )

    nothing = (None,) * found.blocks.count
    truth = found.truth
    return Evidence(
        endpoint_name=ENDPOINT,
        production_variant=VARIANTS[0],
        shadow_variant=VARIANTS[1],
        since=START,
        blocks=found.blocks,
        looks=(until,),
        measures={
            **found.measures,
            **({} if truth is None else {f"truth_{name}": each for name, each in truth.measures.items()}),
        },
        captures=CaptureEvidence(paired_by=found.paired_by),
        mirror=MirrorEvidence(configured_share=1, captured_share=1, **{name: found.columns[name] for name in _MIRROR}),
        metrics=MetricsEvidence(invocations=TwoSeries(production=nothing, shadow=nothing)),
        truth=None if truth is None else TruthEvidence(lines=truth.lines, fates=truth.fates, labelled=truth.labelled),
    )


def notebook(shape: str, root: str) -> dict[str, Any]:
    """As AWS's own shadow notebooks do it: json.loads line by line, DataFrames, merges, scikit-learn's measures.

    Inputs are decoded and kept, as these notebooks show them beside the answers.
    """
    import pandas as pd

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
                        features, said, sure = [float(each) for each in given.split(",")], float(answer), None
                    else:
                        features, answered = json.loads(given), json.loads(answer)
                        said, sure = answered["label"], answered["probabilities"]
                    metadata = record["eventMetadata"]
                    rows.append((metadata["inferenceId"], metadata["inferenceTime"], features, said, sure))
        frames.append(pd.DataFrame(rows, columns=["id", "time", "features", "answer", "probabilities"]))
    truths = []
    for path in sorted((Path(root) / "truth").rglob("*.jsonl")):
        with path.open() as lines:
            for line in lines:
                record = json.loads(line)
                truths.append((record["eventMetadata"]["eventId"], record["groundTruthData"]["data"]))
    labels = pd.DataFrame(truths, columns=["id", "truth"])
    merged = frames[0].drop_duplicates("id").merge(frames[1].drop_duplicates("id"), on="id")
    merged["block"] = pd.to_datetime(merged["time_x"]).dt.floor("10min")
    graded = merged.merge(labels.drop_duplicates("id"), on="id")
    figures = _numbers(graded) if shape == "csv" else _classes(graded)
    blocks = merged.groupby("block").size()
    return {"pairs": len(merged), "labelled": len(graded), "figures": figures, "blocks": len(blocks)}


def _numbers(graded: Any) -> list[float]:
    from sklearn.metrics import mean_absolute_error, mean_squared_error

    truth = graded["truth"].astype(float)
    difference = (graded["answer_y"] - graded["answer_x"]).abs()
    figures = [float(difference.quantile(each)) for each in (0.5, 0.9, 0.99)]
    figures += [float(each) for each in difference.groupby(graded["block"]).mean()]
    for measure in (mean_absolute_error, mean_squared_error):
        figures += [float(measure(truth, graded[name])) for name in ("answer_x", "answer_y")]
    return figures


def _classes(graded: Any) -> list[float]:
    from sklearn.metrics import accuracy_score, cohen_kappa_score

    agrees = graded["answer_x"] == graded["answer_y"]
    figures = [float(each) for each in agrees.groupby(graded["block"]).mean()]
    figures += [float(accuracy_score(graded["truth"], graded[name])) for name in ("answer_x", "answer_y")]
    return [*figures, float(cohen_kappa_score(graded["answer_x"], graded["answer_y"]))]


def _peak_megabytes() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    ways: dict[str, Callable[..., dict[str, Any]]] = {"engine": engine, "notebook": notebook}
    result = ways[sys.argv[1]](*sys.argv[2:])
    print(json.dumps(result | {"peak_mb": round(_peak_megabytes())}))
