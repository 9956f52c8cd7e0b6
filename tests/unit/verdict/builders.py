"""Evidence made by hand: healthy unless told otherwise."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shadow_provider.plan.policy import Policy
from shadow_provider.verdict.evidence import (
    Agreement,
    CaptureCensus,
    Evidence,
    EvidenceWindow,
    MetricsEvidence,
    MirrorEvidence,
    PairedTable,
    SideCensus,
    Source,
    TruthEvidence,
    VariantMetrics,
)
from shadow_provider.verdict.latency import wanted_percentiles

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
END = START + timedelta(hours=1)
POLICY = Policy.default()
PAIRS = 2000


def latencies(samples: int | None, scale: float = 1.0, policy: Policy = POLICY) -> dict[str, float | None]:
    """Percentiles of a flat distribution from 10 to 12 ms, in microseconds."""
    return {name: scale * (10_000 + 20 * float(name[1:])) for name in wanted_percentiles(policy, samples)}


def variant(
    invocations: int | None = PAIRS, errors: int | None = 0, samples: int | None = PAIRS, scale: float = 1.0
) -> VariantMetrics:
    return VariantMetrics(
        invocations=invocations,
        errors_4xx=None if errors is None else 0,
        errors_5xx=errors,
        model_errors=errors,
        latency_samples=samples,
        latency=latencies(samples, scale),
    )


def mirror(pairs: int = PAIRS, **changes: Any) -> MirrorEvidence:
    figures: dict[str, Any] = {
        "configured_share": 1.0,
        "captured_share": 1.0,
        "share_source": "captures",
        "requests": pairs,
        "mirrored": pairs,
        "joinable": pairs,
        "joined": pairs,
        "production_tail": 0,
        "shadow_tail": 0,
    }
    return MirrorEvidence(**(figures | changes))


def side(pairs: int = PAIRS, **changes: Any) -> SideCensus:
    figures: dict[str, Any] = {
        "objects": 1,
        "lines": pairs,
        "fates": {"paired": pairs},
        "first": START,
        "last": END - timedelta(seconds=1),
    }
    return SideCensus(**(figures | changes))


def answers(pairs: int = PAIRS, worse: int = 0, better: int = 0, unreadable: int = 0) -> PairedTable:
    return PairedTable(
        both=unreadable, shadow_only=worse, production_only=better, neither=pairs - worse - better - unreadable
    )


def truth(production_only: int = 0, shadow_only: int = 0, pairs: int = PAIRS) -> TruthEvidence:
    correct = PairedTable(
        both=pairs - production_only - shadow_only, production_only=production_only, shadow_only=shadow_only
    )
    return TruthEvidence(lines=pairs, fates={"used": pairs}, correct=correct)


def evidence(pairs: int = PAIRS, **changes: Any) -> Evidence:
    figures: dict[str, Any] = {
        "endpoint_name": "endpoint",
        "production_variant": "AllTraffic",
        "shadow_variant": "shadow",
        "window": EvidenceWindow(start=START, end=END),
        "answers": answers(pairs),
        "labels": Agreement(pairs=pairs, agreeing=pairs),
        "metrics": metrics(),
        "census": CaptureCensus(production=side(pairs), shadow=side(pairs)),
        "mirror": mirror(pairs),
        "sources": (Source(kind="captures", location="s3://b/c", objects=1, digest="d", etags={"k": "e"}),),
    }
    return Evidence(**(figures | changes))


def metrics(production: VariantMetrics | None = None, shadow: VariantMetrics | None = None) -> MetricsEvidence:
    return MetricsEvidence(
        start=START, end=END, period_seconds=3600, production=production or variant(), shadow=shadow or variant()
    )
