"""Evidence as tests need it: a healthy day by default, with any part of it replaced."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from shadow_provider.policy.policy import Policy
from shadow_provider.verdict.evidence import (
    CaptureEvidence,
    CurvePoint,
    Description,
    Evidence,
    MetricsEvidence,
    MirrorEvidence,
    SegmentEvidence,
    ShadowCost,
    SideCensus,
    Source,
    TruthEvidence,
    TwoSeries,
)
from shadow_provider.verdict.measures import Blocks, PairedMeasure, RateMeasure, RatioMeasure

START = datetime(2026, 3, 2, tzinfo=UTC)


def paired(rng: np.random.Generator, pairs: np.ndarray, worse: float, better: float) -> PairedMeasure:
    """Discordant pairs at these rates."""
    bad = rng.binomial(pairs, worse)
    good = rng.binomial(pairs - bad, better / (1 - worse))
    return PairedMeasure(worse=tuple(bad.tolist()), better=tuple(good.tolist()), pairs=tuple(pairs.tolist()))


def evidence(
    *,
    blocks: int = 240,
    seconds: int = 300,
    load: float = 100.0,
    seed: int = 1,
    disagreeing: float = 0.01,
    unreadable: tuple[float, float] = (0.001, 0.001),
    wrong: tuple[float, float] = (0.03, 0.03),
    errors: tuple[float, float] = (0.002, 0.002),
    slower: float = 0.0,
    mirrored: float = 1.0,
    truth: bool = True,
    looks: int = 12,
    **replaced: Any,
) -> Evidence:
    """A deployment with these rates; of two rates the first is the candidate's alone, the second production's alone."""
    rng = np.random.default_rng(seed)
    requests = rng.poisson(load * (1 + 0.5 * np.sin(np.arange(blocks) / 40)), blocks)
    pairs = rng.binomial(requests, mirrored) if mirrored < 1 else requests
    nothing = np.zeros(blocks, dtype=np.int64)
    measures: dict[str, Any] = {
        "unreadable": paired(rng, pairs, *unreadable),
        "disagrees": paired(rng, pairs, disagreeing, 0.0),
        "invocation_errors": RateMeasure(
            events=tuple(rng.binomial(pairs, errors[0]).tolist()),
            trials=tuple(pairs.tolist()),
            reference_events=tuple(rng.binomial(requests, errors[1]).tolist()),
            reference_trials=tuple(requests.tolist()),
        ),
    }
    shared = rng.normal(0, 0.1, blocks)
    series = {}
    for percentile, base in (("p50", 8000.0), ("p90", 15000.0), ("p99", 40000.0)):
        production = base * np.exp(shared + rng.normal(0, 0.03, blocks))
        shadow = base * (1 + slower) * np.exp(shared + rng.normal(0, 0.03, blocks))
        measures[f"model_latency_{percentile}"] = RatioMeasure(
            candidate=tuple(shadow.tolist()), reference=tuple(production.tolist())
        )
        series[percentile] = TwoSeries(production=tuple(production.tolist()), shadow=tuple(shadow.tolist()))
    if truth:
        measures["truth_wrong"] = paired(rng, pairs, *wrong)
    grid = Blocks(start=START, seconds=seconds, count=blocks)
    step = max(1, blocks // looks)
    ends = sorted({START + timedelta(seconds=seconds * at) for at in range(step, blocks, step)} | {grid.end})
    fields: dict[str, Any] = {
        "endpoint_name": "digits",
        "production_variant": "AllTraffic",
        "shadow_variant": "Shadow",
        "since": START - timedelta(minutes=5),
        "blocks": grid,
        "looks": tuple(ends),
        "measures": measures,
        "captures": CaptureEvidence(
            production=SideCensus(objects=3, lines=int(requests.sum()), fates={"paired": int(pairs.sum())}),
            shadow=SideCensus(objects=3, lines=int(pairs.sum()), fates={"paired": int(pairs.sum())}),
            paired_by="inference_id",
            settled_blocks=blocks,
        ),
        "mirror": MirrorEvidence(
            configured_share=mirrored,
            captured_share=1.0,
            production=tuple(requests.tolist()),
            shadow=tuple(pairs.tolist()),
            paired=tuple(pairs.tolist()),
            mismatched=tuple(nothing.tolist()),
        ),
        "metrics": MetricsEvidence(
            invocations=TwoSeries(
                production=tuple(map(float, requests.tolist())), shadow=tuple(map(float, pairs.tolist()))
            ),
            errors={"4xx": (3, 2), "5xx": (1, 1), "model": (1, 1)},
            latency=series,
            curve=tuple(
                CurvePoint(percentile=name, production=base, shadow=base * (1 + slower))
                for name, base in (("p10", 5000.0), ("p50", 8000.0), ("p90", 15000.0), ("p99", 40000.0))
            ),
        ),
        "comparison": Description(kind="label", name="label", figures={"rows": int(pairs.sum()), "kappa": 0.98}),
        "truth": TruthEvidence(lines=int(pairs.sum()), fates={"used": int(pairs.sum())}, labelled=tuple(pairs.tolist()))
        if truth
        else None,
        "cost": ShadowCost(instance_type="ml.m5.xlarge", instance_count=1, hours=blocks * seconds / 3600),
        "sources": (Source(kind="captures", location="s3://bucket/captures", objects=6, digest="0" * 64),),
    }
    return Evidence.model_validate(fields | replaced)


def with_segments(whole: Evidence, policy: Policy, *, parts: int = 0, seed: int = 5) -> Evidence:
    """The same evidence with its pairs dealt out evenly to the values of each segment of the policy."""
    rng = np.random.default_rng(seed)
    found = []
    for segment in policy.segments:
        count = parts or len(segment.values)
        for value in segment.values[:count]:
            pairs = tuple(pairs // len(segment.values) for pairs in whole.mirror.paired)
            measures = {
                name: paired(rng, np.array(pairs, dtype=np.int64), *_rates(measure))
                for name, measure in whole.measures.items()
                if isinstance(measure, PairedMeasure) and not name.startswith("truth_")
            }
            found.append(SegmentEvidence(segment=segment.name, value=value, pairs=pairs, measures=dict(measures)))
    return whole.model_copy(update={"segments": tuple(found)})


def _rates(measure: PairedMeasure) -> tuple[float, float]:
    pairs = max(1, sum(measure.pairs))
    return sum(measure.worse) / pairs, sum(measure.better) / pairs
