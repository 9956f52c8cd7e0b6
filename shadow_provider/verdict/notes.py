"""What a reader of a verdict should see beside the gates: latencies as they are, and what became of every line."""

from collections.abc import Mapping

from shadow_provider.verdict.evidence import Evidence

DESCRIPTIVE = ("p50", "p90", "p99")


def describe(evidence: Evidence) -> tuple[str, ...]:
    """Sentences on the evidence: they describe, they decide nothing."""
    curve = [point for point in evidence.metrics.curve if point.percentile in DESCRIPTIVE]
    notes = [
        f"ModelLatency {point.percentile}: production {_milliseconds(point.production)}, the shadow "
        f"{_milliseconds(point.shadow)}"
        for point in curve
    ]
    sides = (("production", evidence.captures.production), ("the shadow", evidence.captures.shadow))
    notes += [
        f"captures of {name}, {census.lines:,} lines ({census.objects:,} objects){_fates(census.fates)}"
        for name, census in sides
    ]
    if evidence.truth is not None:
        notes.append(f"ground truth, {evidence.truth.lines:,} lines{_fates(evidence.truth.fates)}")
    notes += [f"{count:,} blocks without: {cause}" for cause, count in sorted(evidence.metrics.gaps.items())]
    return (*notes, *(f"CloudWatch: {note}" for note in evidence.metrics.notes))


def _milliseconds(microseconds: float | None) -> str:
    return "-" if microseconds is None else f"{microseconds / 1000:.2f} ms"


def _fates(fates: Mapping[str, int]) -> str:
    shown = ", ".join(f"{fate} {count:,}" for fate, count in sorted(fates.items(), key=lambda item: -item[1]))
    return f": {shown}" if shown else ""
