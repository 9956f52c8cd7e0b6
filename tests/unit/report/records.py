"""Records as a reader meets them: with real comparators' figures, segments, examples, truth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any

import numpy as np

from shadow_provider.comparators.build import comparator
from shadow_provider.comparators.truth import truth_comparator
from shadow_provider.policy.policy import Policy
from shadow_provider.policy.reading import read_policy
from shadow_provider.verdict.evidence import (
    CaptureEvidence,
    CurvePoint,
    Description,
    Evidence,
    Example,
    MirrorEvidence,
    SegmentEvidence,
    SideCensus,
    SizeClass,
)
from shadow_provider.verdict.measures import ScoreMeasure
from shadow_provider.verdict.record import ConfigNames, DecisionRecord, decide
from tests.unit.comparators.batches import CSV, JSON, batch
from tests.unit.verdict.builders import START, evidence, paired


def record(
    observed: Evidence | None = None,
    policy: Policy | dict[str, Any] | str = "balanced",
    *,
    final: bool = False,
    approver: str | None = None,
) -> DecisionRecord:
    return decide(
        deployment_id="churn-2026-03-02",
        incumbent_model="churn-v41",
        candidate_model="churn-v42",
        configs=ConfigNames(
            baseline="churn-config-41", shadow="churn-2026-03-02-shadow", promoted="churn-2026-03-02-promoted"
        ),
        policy=read_policy(policy),
        evidence=observed or evidence(),
        final=final,
    ).model_copy(update={"approver": approver})


def comparison(spec: dict[str, Any], production: Sequence[Any], shadow: Sequence[Any], media: str) -> Description:
    made = comparator(spec)
    found = made.compare(batch(production, media), batch(shadow, media))
    return Description(kind=spec["kind"], name=made.name, figures=found.summary.to_json())


def labels(rng: np.random.Generator, count: int = 20_000) -> tuple[list[str], list[str], list[str]]:
    """True labels, production's and the candidate's."""
    words = np.array(["stays", "leaves", "moves abroad", "unknown"])
    truth = rng.choice(4, count, p=(0.6, 0.25, 0.1, 0.05))
    production, shadow = (np.where(rng.random(count) < 0.04, rng.choice(4, count), truth) for _ in range(2))
    sides = (words[side].tolist() for side in (truth, production, shadow))
    return next(sides), next(sides), next(sides)


def segment(name: str, value: str, pairs: np.ndarray[Any, Any], seed: int, disagreeing: float) -> SegmentEvidence:
    rng = np.random.default_rng(seed)
    return SegmentEvidence(
        segment=name,
        value=value,
        pairs=tuple(pairs.tolist()),
        measures={
            "disagrees": paired(rng, pairs, disagreeing, 0.0),
            "unreadable": paired(rng, pairs, 0.001, 0.001),
        },
    )


def examples(count: int = 6, *, shown: bool = True) -> tuple[Example, ...]:
    return tuple(
        Example(
            outcome="disagrees",
            value=1.0,
            time=START + timedelta(minutes=7 * number),
            production_place=f"capture/churn/AllTraffic/2026/03/02/0{number}/07-12-345-{number}af.jsonl:{311 * number}",
            shadow_place=f"capture/churn/Shadow/2026/03/02/0{number}/07-12-345-{number}be9.jsonl:{309 * number}",
            input_bytes=2048 + number,
            production_characters=47,
            shadow_characters=46,
            production=f'{{"label": "stays", "customer": "***", "score": 0.{91 - number}}}' if shown else None,
            shadow=f'{{"label": "leaves", "customer": "***", "score": 0.{55 + number}}}' if shown else None,
        )
        for number in range(1, count + 1)
    )


@cache
def promoted() -> DecisionRecord:
    """Everything there is: truth, segments, answers, a size class, an approver."""
    rng = np.random.default_rng(3)
    base = evidence(disagreeing=0.012, truth=True)
    pairs = np.array(base.mirror.paired)
    truth, production, shadow = labels(rng)
    described = truth_comparator({"kind": "class"}).compare(batch(production), batch(shadow), batch(truth)).summary
    assert base.truth is not None
    half = pairs // 3
    curve = (("p1", 3100.0, 3080.0), ("p10", 5020.0, 4990.0), ("p50", 8010.0, 8050.0), ("p90", 15_100.0, 15_020.0),
             ("p99", 40_100.0, 41_300.0), ("p99.9", 88_000.0, 97_500.0))  # fmt: skip
    full = base.model_copy(
        update={
            "endpoint_name": "churn",
            "metrics": base.metrics.model_copy(
                update={
                    "curve": tuple(CurvePoint(percentile=p, production=one, shadow=two) for p, one, two in curve),
                    "utilisation": {"CPUUtilization": (41.2, 39.8), "MemoryUtilization": (22.0, None)},
                    "gaps": {"no ModelLatency of the shadow": 3},
                    "notes": ("percentiles of the last two blocks are not there yet",),
                }
            ),
            "comparison": comparison({"kind": "label"}, production, shadow, CSV),
            "truth": base.truth.model_copy(
                update={
                    "labelled": tuple((pairs * 4 // 5).tolist()),
                    "description": Description(kind="class", name="class", figures=described.to_json()),
                    "fates": {"used": int(pairs.sum() * 4 // 5), "unreadable": 3, "no_partner": 219},
                    "examples": {"unreadable": ("truth/2026/03/02/labels.jsonl:77",)},
                }
            ),
            "segments": (
                segment("tier", "gold", half, 1, 0.01),
                segment("tier", "basic", pairs - half, 2, 0.013),
                segment("size", "<1024", half, 3, 0.06),
                segment("size", ">=1024", pairs - half, 4, 0.01),
            ),
            "examples": examples(),
            "mirror": base.mirror.model_copy(
                update={
                    "sizes": (
                        SizeClass(at_least=0, production=19_000, shadow=19_000, paired=19_000),
                        SizeClass(at_least=65_536, production=4_922, shadow=4_922, paired=4_921),
                    )
                }
            ),
            "captures": CaptureEvidence(
                production=side(int(pairs.sum()), 14), shadow=side(int(pairs.sum()), 11), paired_by="inference_id"
            ),
        }
    )
    policy = {
        "based_on": "balanced",
        "examples": {"show": "answers", "mask": ["[0-9]{6,}"]},
        "segments": [
            {"name": "tier", "by": "custom_attribute", "key": "tier", "values": ["gold", "basic"], "declared": True},
            {"name": "size", "by": "payload_size", "edges": [1024]},
        ],
    }
    return record(full, policy, approver="ada@example.com")


def side(lines: int, bad: int) -> SideCensus:
    return SideCensus(
        objects=21,
        lines=lines,
        fates={"paired": lines - bad - 120, "duplicate": 120 - 3, "not_json": bad, "truncated": 3},
        examples={"not_json": ("capture/churn/2026/03/02/04/07-12-345.jsonl:18",)},
    )


@cache
def rejected() -> DecisionRecord:
    """Wrong more often, and slower."""
    return record(evidence(wrong=(0.09, 0.03), slower=0.24, disagreeing=0.03, errors=(0.004, 0.002)), approver=None)


@cache
def inconclusive() -> DecisionRecord:
    """Numbers, too little traffic for the margins, the deadline over."""
    rng = np.random.default_rng(5)
    base = evidence(blocks=48, load=4.0, truth=False, disagreeing=0.03, looks=8)
    pairs = np.array(base.mirror.paired)
    values = rng.gamma(3.0, 40.0, 4_000)
    other = values * np.exp(rng.normal(0.004, 0.02, 4_000))
    spec = {"kind": "number", "relative_tolerance": 0.05}
    difference = np.abs(rng.normal(0.02, 0.01, len(pairs))) * pairs
    measures = {
        **base.measures,
        "outside_tolerance": base.measures["disagrees"],
        "relative_difference": ScoreMeasure(
            counts=tuple(pairs.tolist()),
            totals=tuple(difference.tolist()),
            squares=tuple((difference**2 / np.maximum(pairs, 1)).tolist()),
            least=0.0,
            most=2.0,
        ),
    }
    seen = base.model_copy(
        update={
            "measures": measures,
            "comparison": comparison(spec, [f"{v:.4f}" for v in values], [f"{v:.4f}" for v in other], CSV),
        }
    )
    return record(seen, "regression", final=True)


@cache
def invalid() -> DecisionRecord:
    """A mirror that gave out in the afternoon."""
    base = evidence(slower=0.02)
    there = np.array(base.mirror.production)
    there[160:200] = there[160:200] * 3 // 5
    broken = MirrorEvidence.model_validate(
        base.mirror.model_dump() | {"shadow": tuple(there.tolist()), "paired": tuple(there.tolist())}
    )
    return record(base.model_copy(update={"mirror": broken}))


@cache
def answers() -> dict[str, Description]:
    """Descriptions of every kind of comparator, by kind."""
    probabilities = ["0.7,0.2,0.1", "0.1,0.8,0.1", "0.3,0.3,0.4"]
    documents, changed = (
        [json.dumps({"id": n, "items": [{"sku": "a", "price": n * rise}], "note": note}) for n in range(40)]
        for rise, note in ((1.0, None), (1.1, "x"))
    )
    texts = ["The order is on its way.", "It left on Monday.", ""]
    return {
        "label": comparison({"kind": "label"}, *labels(np.random.default_rng(1), 500)[:2], CSV),
        "label with score": comparison(
            {"kind": "label", "selector": {"path": "label"}, "score": {"path": "score"}},
            ['{"label": "a", "score": 0.9}'] * 3,
            ['{"label": "a", "score": 0.8}', '{"label": "b", "score": 0.2}', "nonsense"],
            JSON,
        ),
        "number": comparison({"kind": "number"}, ["1", "2", "3.5"], ["1", "2.1", "3.4"], CSV),
        "probabilities": comparison({"kind": "probabilities"}, probabilities, probabilities[::-1], CSV),
        "ranking": comparison({"kind": "ranking", "k": 2}, ["a,b,c", "a,b"], ["b,a,c", "a,c"], CSV),
        "text": comparison({"kind": "text"}, texts, [texts[0], "It left on Tuesday.", "Sorry."], "text/plain"),
        "embedding": comparison({"kind": "embedding"}, ["1,0,0", "0,1,0"], ["1,0.1,0", "0,1,0"], CSV),
        "json": comparison({"kind": "json"}, documents, changed, JSON),
        "own": comparison(
            {
                "kind": "own",
                "function": "tests.unit.comparators.own_functions.cents",
                "outcomes": [
                    {"name": "off", "kind": "binary"},
                    {"name": "cents", "kind": "score", "least": 0, "most": 50},
                ],
            },
            ["1.0", "2.0"],
            ["1.0", "2.2"],
            CSV,
        ),
    }


@cache
def everything() -> DecisionRecord:
    """Small, with all that a record can have at once, for tests that change every field."""
    record_ = promoted()
    few = record_.evidence.at(START + timedelta(hours=3))
    made = record(few, record_.policy, approver="ada@example.com")
    mirror = made.judgement.mirror.model_copy(update={"faults": ("the shadow's captures have a gap",)})
    return made.model_copy(
        update={
            "judgement": made.judgement.model_copy(update={"mirror": mirror}),
        }
    )
