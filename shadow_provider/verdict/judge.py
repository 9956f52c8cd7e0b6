"""Policy and evidence give a verdict: pure, deterministic, without a clock, and valid at every look.

PROMOTE needs every deciding gate to pass, so no correction is needed for their number (intersection-union); one gate is
enough to REJECT, so the error probability of failing is divided by their number.
"""

import math
from enum import StrEnum

from shadow_provider.policy.gates import Gate
from shadow_provider.policy.policy import Policy, is_on_pairs
from shadow_provider.verdict.cover import Cover, cover_of
from shadow_provider.verdict.evidence import Evidence
from shadow_provider.verdict.looks import GateLook, GateState, look_at, look_at_segments
from shadow_provider.verdict.measures import Frozen
from shadow_provider.verdict.mirror import MirrorFinding, examine_mirror
from shadow_provider.verdict.render import gate_in_words
from shadow_provider.verdict.units import Unit


class Verdict(StrEnum):
    """What becomes of the candidate."""

    PROMOTE = "PROMOTE"
    REJECT = "REJECT"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID = "INVALID"
    CONTINUE = "CONTINUE"

    @property
    def final(self) -> bool:
        """Whether no look follows it."""
        return self is not Verdict.CONTINUE


class Judgement(Frozen):
    """A verdict with everything that led to it.

    Attributes:
        verdict: what becomes of the candidate.
        reason: one sentence that names what decided, with numbers.
        what_would_change: what would have to be different for another verdict.
        pairs: requests of which both answers were captured.
        cover: what the policy asks for before a promotion.
        gates: every gate, also those that only report.
        segments: the gates on pairs in each part of the traffic.
        mirror: whether the evidence could be trusted.
    """

    verdict: Verdict
    reason: str
    what_would_change: str
    pairs: int
    cover: tuple[Cover, ...]
    gates: tuple[GateLook, ...]
    segments: tuple[GateLook, ...] = ()
    mirror: MirrorFinding

    @property
    def deciding(self) -> tuple[GateLook, ...]:
        """The gates that a promotion has to wait for, those of declared segments among them."""
        return tuple(gate for gate in (*self.gates, *self.segments) if gate.blocking)


def judge(policy: Policy, evidence: Evidence, *, final: bool) -> Judgement:
    """Judge the evidence. The same policy and evidence give the same judgement, on any machine.

    Args:
        policy: what was promised.
        evidence: what was observed.
        final: whether no look follows; then what is not decided is INCONCLUSIVE, else CONTINUE.

    Returns:
        INVALID if the mirror or the captures cannot be trusted; REJECT if a deciding gate fails; PROMOTE if all
        deciding gates pass, one of them on pairs, and the cover is reached.
    """
    mirror = examine_mirror(policy, evidence)
    gates = tuple(look_at(gate, policy, evidence) for gate in policy.gates)
    segments = look_at_segments(policy, evidence)
    cover = cover_of(policy, evidence)
    deciding = [gate for gate in (*gates, *segments) if gate.blocking]
    failed = [gate for gate in deciding if gate.state is GateState.FAIL]
    obstacles = _obstacles(policy, evidence, deciding, cover, mirror)
    if mirror.faults:
        verdict, reason = Verdict.INVALID, f"the evidence cannot be trusted: {'; '.join(mirror.faults)}"
        change = "repair the mirroring or the capture, then start again; this evidence stays invalid"
    elif failed:
        verdict = Verdict.REJECT
        reason = f"the candidate fails {_in_words(failed)}"
        change = "another candidate, or a wider margin; more traffic makes the same result only surer"
    elif not obstacles:
        verdict = Verdict.PROMOTE
        closest = min(deciding, key=_room)
        reason = (
            f"all {len(deciding)} deciding gates are proven on {evidence.pairs:,} pairs; "
            f"the closest to its margin is {gate_in_words(closest)}"
        )
        change = "a margin tighter than the bound of a gate"
    else:
        verdict = Verdict.INCONCLUSIVE if final else Verdict.CONTINUE
        reason = f"not proven{'' if final else ' yet'}: {'; '.join(obstacles)}"
        change = "more traffic, or later metrics and labels; for the undecided gates also a wider margin"
    return Judgement(
        verdict=verdict,
        reason=reason,
        what_would_change=change,
        pairs=evidence.pairs,
        cover=cover,
        gates=gates,
        segments=segments,
        mirror=mirror,
    )


def _obstacles(
    policy: Policy,
    evidence: Evidence,
    deciding: list[GateLook],
    cover: tuple[Cover, ...],
    mirror: MirrorFinding,
) -> list[str]:
    """All that stands between the evidence and a PROMOTE."""
    obstacles = [
        f"{gate.shown_name}: {gate.reason}" if gate.estimate is None else f"{gate_in_words(gate)}: {gate.reason}"
        for gate in deciding
        if gate.state is not GateState.PASS
    ]
    obstacles += [f"only {each.in_words()}" for each in cover if not each.reached]
    if mirror.observed_share is None:
        obstacles.append("the share of mirrored requests could not be measured")
    if mirror.join_rate is None:
        obstacles.append("no capture could be joined")
    obstacles += _missing_segments(policy, evidence)
    on_pairs = {gate.name for gate in policy.gates if _decides_on_pairs(gate)}
    if not any(gate.state is GateState.PASS and gate.name in on_pairs for gate in deciding):
        obstacles.append("no deciding gate passed on pairs")
    return obstacles


def _decides_on_pairs(gate: Gate) -> bool:
    return gate.blocking and is_on_pairs(gate)


def _missing_segments(policy: Policy, evidence: Evidence) -> list[str]:
    seen = {(each.segment, each.value) for each in evidence.segments}
    return [
        f"nothing is known of {segment.name}={value}"
        for segment in policy.declared_segments
        for value in segment.values
        if (segment.name, value) not in seen
    ]


def _room(gate: GateLook) -> float:
    """How far the bound that passed stays from the margin, as a part of the margin."""
    bound = gate.lower if gate.unit is Unit.SHARE else gate.upper
    allowed = 1 - gate.margin if gate.unit is Unit.SHARE else gate.margin
    return math.inf if bound is None else abs(gate.margin - bound) / allowed


def _in_words(gates: list[GateLook]) -> str:
    return "; ".join(gate_in_words(gate) for gate in gates)
