"""What a reader of a verdict should see beside the gates: latencies as they are, and what became of every line."""

from collections.abc import Mapping

from shadow_provider.verdict.evidence import Evidence, VariantMetrics
from shadow_provider.verdict.latency import DESCRIPTIVE


def describe(evidence: Evidence) -> tuple[str, ...]:
    """Sentences on the evidence: they describe, they decide nothing."""
    notes = [
        f"ModelLatency of {name}: {_latencies(metrics)}"
        for name, metrics in (("production", evidence.metrics.production), ("the shadow", evidence.metrics.shadow))
    ]
    notes += [
        f"captures of {name}, {census.lines:,} lines ({census.objects:,} objects){_fates(census.fates)}"
        for name, census in (("production", evidence.census.production), ("the shadow", evidence.census.shadow))
    ]
    if evidence.truth is not None:
        notes.append(f"ground truth, {evidence.truth.lines:,} lines{_fates(evidence.truth.fates)}")
    return (*notes, *(f"CloudWatch: {note}" for note in evidence.metrics.notes))


def _latencies(metrics: VariantMetrics) -> str:
    values = ((name, metrics.latency.get(name)) for name in DESCRIPTIVE)
    shown = ", ".join(f"{name} -" if value is None else f"{name} {value / 1000:.2f} ms" for name, value in values)
    return f"{shown} ({metrics.latency_samples or 0:,} samples)"


def _fates(fates: Mapping[str, int]) -> str:
    shown = ", ".join(f"{fate} {count:,}" for fate, count in sorted(fates.items(), key=lambda item: -item[1]))
    return f": {shown}" if shown else ""
