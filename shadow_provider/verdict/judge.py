"""Policy and evidence give a verdict: pure, deterministic, without a clock.

The intervals are those of a sample of fixed size. They hold because only one look is taken, once the cover is reached,
and the cover depends on counts of requests alone, never on how the candidate does: ask `cover_reached` as often as you
like, and `judge` once.
"""

import math
from enum import StrEnum

from shadow_provider.plan.policy import Accuracy, InvocationErrorRate, ModelLatency, Policy
from shadow_provider.verdict.evidence import Evidence, Frozen
from shadow_provider.verdict.gates import GateResult, GateState, judge_gate
from shadow_provider.verdict.latency import needed_samples
from shadow_provider.verdict.mirror import MirrorFinding, examine_mirror
from shadow_provider.verdict.notes import describe
from shadow_provider.verdict.render import gate_in_words

PAIRED_METRICS = frozenset({"paired_error_rate", "label_agreement", "accuracy"})
"""Metrics that compare answers; without one of them nothing is known of what the candidate says."""


class Verdict(StrEnum):
    """What becomes of the candidate."""

    PROMOTE = "PROMOTE"
    REJECT = "REJECT"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID = "INVALID"


class Judgement(Frozen):
    """A verdict with everything that led to it.

    Attributes:
        verdict: what becomes of the candidate.
        reason: one sentence that names what decided, with numbers.
        what_would_change: what would have to be different for another verdict.
        pairs: requests of which both answers were captured.
        minimum_pairs: how many the policy asks for.
        gates: every gate, also those that only report.
        mirror: whether the evidence could be trusted.
        notes: what else a reader should see: latencies, and what became of every line.
    """

    verdict: Verdict
    reason: str
    what_would_change: str
    pairs: int
    minimum_pairs: int
    gates: tuple[GateResult, ...]
    mirror: MirrorFinding
    notes: tuple[str, ...] = ()


def missing_cover(policy: Policy, evidence: Evidence) -> tuple[str, ...]:
    """What is still missing before the one look may be taken, in words; nothing if it may. Depends on counts only."""
    missing = []
    if evidence.pairs < policy.minimum_pairs:
        missing.append(f"{evidence.pairs:,} of {policy.minimum_pairs:,} pairs")
    if not evidence.mirror.requests or not evidence.mirror.joinable:
        # Much traffic can bring the pairs within seconds, too short a span to tell a whole mirror from a broken one.
        missing.append("a longer span of captures on both sides, to measure the mirror")
    sides = (("production", evidence.metrics.production), ("the shadow", evidence.metrics.shadow))
    for gate in policy.blocking_gates:
        if isinstance(gate, InvocationErrorRate):
            # Metrics come minutes later than captures: wait until they are about as many.
            needed = max(1, math.ceil(policy.minimum_join_rate * evidence.pairs))
            missing += [
                f"CloudWatch's counts of {name} ({metrics.invocations or 0:,} of {needed:,} invocations)"
                for name, metrics in sides
                if metrics.errors is None or (metrics.invocations or 0) < needed
            ]
        elif isinstance(gate, ModelLatency):
            samples = needed_samples(gate, policy)
            missing += [
                f"{metrics.latency_samples or 0:,} of {samples:,} latency samples of {name}"
                for name, metrics in sides
                if (metrics.latency_samples or 0) < samples
            ]
        elif isinstance(gate, Accuracy) and gate.required:
            labelled = evidence.truth.correct.pairs if evidence.truth else 0
            if labelled == 0 or labelled < gate.minimum_coverage * evidence.pairs:
                missing.append(f"true labels ({labelled:,} of {evidence.pairs:,} pairs)")
    return tuple(missing)


def cover_reached(policy: Policy, evidence: Evidence) -> bool:
    """Whether there is enough to take the one look; until then, or the deadline, the caller collects again.

    Only counts of requests, samples and labels enter, so waiting for it does not bias the intervals.
    """
    return not missing_cover(policy, evidence)


def judge(policy: Policy, evidence: Evidence) -> Judgement:
    """Judge the evidence. The same policy and evidence give the same judgement, on any machine.

    INVALID if the mirror or the captures cannot be trusted; REJECT if a deciding gate fails; PROMOTE if all deciding
    gates pass, one of them on pairs, and the cover is reached; else INCONCLUSIVE.
    """
    mirror = examine_mirror(policy, evidence)
    gates = tuple(judge_gate(gate, policy, evidence) for gate in policy.gates)
    failed = [gate for gate in gates if gate.state is GateState.FAIL and gate.blocking]
    obstacles = _obstacles(policy, evidence, gates, mirror)
    if mirror.faults:
        verdict, reason = Verdict.INVALID, f"the evidence cannot be trusted: {'; '.join(mirror.faults)}"
        change = "repair the mirroring or the capture, then start again; this evidence stays invalid"
    elif failed:
        verdict = Verdict.REJECT
        reason = f"the candidate fails {_names(failed)}: {_in_words(failed)}"
        change = "another candidate, or a wider margin; more traffic makes the same result only surer"
    elif obstacles:
        verdict, reason = Verdict.INCONCLUSIVE, f"not proven: {'; '.join(obstacles)}"
        change = "more traffic, or later metrics and labels; for the undecided gates also a wider margin"
    else:
        verdict = Verdict.PROMOTE
        passed = [gate for gate in gates if gate.blocking]
        reason = f"{_names(passed)} pass on {evidence.pairs:,} pairs: {_in_words(passed)}"
        change = "a margin tighter than the bound of a gate"
    return Judgement(
        verdict=verdict,
        reason=reason,
        what_would_change=change,
        pairs=evidence.pairs,
        minimum_pairs=policy.minimum_pairs,
        gates=gates,
        mirror=mirror,
        notes=describe(evidence),
    )


def _obstacles(
    policy: Policy, evidence: Evidence, gates: tuple[GateResult, ...], mirror: MirrorFinding
) -> tuple[str, ...]:
    """All that stands between the evidence and a PROMOTE."""
    obstacles = [
        f"{gate.metric}: {gate.reason}" if gate.state is GateState.NO_DATA else gate_in_words(gate)
        for gate in gates
        if gate.blocking and gate.state is not GateState.PASS
    ]
    obstacles += [f"still missing: {what}" for what in missing_cover(policy, evidence)]
    if mirror.share_p_value is None:
        obstacles.append("the share of mirrored requests could not be measured")
    if mirror.join_rate is None:
        obstacles.append("no capture could be joined")
    if not any(gate.state is GateState.PASS and gate.blocking and gate.metric in PAIRED_METRICS for gate in gates):
        obstacles.append("no deciding gate passed on pairs")
    return tuple(obstacles)


def _names(gates: list[GateResult]) -> str:
    return ", ".join(gate.metric for gate in gates)


def _in_words(gates: list[GateResult]) -> str:
    return "; ".join(gate_in_words(gate) for gate in gates)
