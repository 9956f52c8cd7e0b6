"""Policy and evidence give a verdict: pure, deterministic, without a clock, and valid at every look.

PROMOTE needs every deciding gate to pass, so no correction is needed for their number (intersection-union); one gate is
enough to REJECT, so the error probability of failing is divided by their number.
"""

import math
from enum import StrEnum
from typing import NamedTuple

from shadow_provider.plan.frozen import Frozen
from shadow_provider.policy.policy import Policy, is_on_pairs
from shadow_provider.statistics.long_run import MINIMUM_EFFECTIVE
from shadow_provider.verdict import change
from shadow_provider.verdict.cover import Cover, cover_of
from shadow_provider.verdict.evidence import Evidence
from shadow_provider.verdict.looks import GateLook, GateState, look_at, look_at_segments
from shadow_provider.verdict.mirror import MirrorFinding, examine_mirror
from shadow_provider.verdict.render import gate_in_words
from shadow_provider.verdict.units import Unit

MOST_NAMED = 2
"""Gates that a reason names when more of them have not passed."""


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
        what_would_change: what would have to be different for another verdict, in one or two sentences.
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
    unproven = [gate for gate in deciding if gate.state is not GateState.PASS]
    missing = _missing(policy, evidence, deciding, cover, mirror)
    if mirror.faults:
        verdict, reason = Verdict.INVALID, f"the evidence cannot be trusted: {'; '.join(mirror.faults)}"
        otherwise = change.INVALID
    elif failed:
        verdict = Verdict.REJECT
        reason = f"the candidate fails {'; '.join(gate_in_words(gate) for gate in failed)}"
        otherwise = change.of_reject(failed, alone=len(unproven) == len(failed) and not missing)
    elif not unproven and not missing:
        verdict = Verdict.PROMOTE
        closest = min(deciding, key=_room)
        one = len(deciding) == 1
        reason = (
            f"{'the only deciding gate is' if one else f'all {len(deciding)} deciding gates are'} proven on "
            f"{evidence.pairs:,} pairs; {'it says' if one else 'the closest to its limit is'} {gate_in_words(closest)}"
        )
        otherwise = change.of_promote(closest)
    else:
        verdict = Verdict.INCONCLUSIVE if final else Verdict.CONTINUE
        obstacles = [*_unproven_in_words(unproven), *(each.fact for each in missing)]
        reason = f"not proven{'' if final else ' yet'}{_how_many(unproven, deciding)}: {'; '.join(obstacles)}"
        otherwise = change.of_waiting(unproven, [each.need for each in missing], final=final)
    return Judgement(
        verdict=verdict,
        reason=reason,
        what_would_change=otherwise,
        pairs=evidence.pairs,
        cover=cover,
        gates=gates,
        segments=segments,
        mirror=mirror,
    )


class _Missing(NamedTuple):
    """Something that stands between the evidence and a PROMOTE, and what it takes."""

    fact: str
    need: str


def _how_many(unproven: list[GateLook], deciding: list[GateLook]) -> str:
    return f", {len(unproven)} of {len(deciding)} deciding gates not passed" if unproven else ""


def _unproven_in_words(unproven: list[GateLook]) -> list[str]:
    """The gates that are furthest from passing, with their numbers where there are enough to have any."""
    named = [
        gate_in_words(gate) if gate.effective_blocks >= MINIMUM_EFFECTIVE else f"{gate.shown_name} {gate.reason}"
        for gate in sorted(unproven, key=lambda gate: gate.progress)[:MOST_NAMED]
    ]
    return [*named, f"{len(unproven) - MOST_NAMED} more gates"] if len(unproven) > MOST_NAMED else named


def _missing(
    policy: Policy,
    evidence: Evidence,
    deciding: list[GateLook],
    cover: tuple[Cover, ...],
    mirror: MirrorFinding,
) -> list[_Missing]:
    """What stands between the evidence and a PROMOTE besides gates that have not passed."""
    missing = [
        _Missing(f"only {each.in_words()}", f"{each.needed:,.6g} {each.what}") for each in cover if not each.reached
    ]
    if mirror.observed_share is None:
        missing.append(_Missing("the share of mirrored requests could not be measured", "a measured mirror"))
    if mirror.join_rate is None:
        missing.append(_Missing("no capture could be joined", "captures that join"))
    missing += [
        _Missing(f"not all captures may be there yet: {doubt}", "the captures that may be on their way")
        for doubt in mirror.doubts
    ]
    missing += [
        _Missing(f"nothing is known of {segment}", f"traffic of {segment}")
        for segment in _missing_segments(policy, evidence)
    ]
    on_pairs = {gate.name for gate in policy.gates if is_on_pairs(gate)}
    if not any(gate.name in on_pairs for gate in deciding):
        missing.append(_Missing("no deciding gate is on pairs", "a deciding gate on pairs"))
    return missing


def _missing_segments(policy: Policy, evidence: Evidence) -> list[str]:
    seen = {(each.segment, each.value) for each in evidence.segments}
    return [
        f"{segment.name}={value}"
        for segment in policy.declared_segments
        for value in segment.values
        if (segment.name, value) not in seen
    ]


def _room(gate: GateLook) -> float:
    """How far the bound that passed stays from the margin, as a part of the margin."""
    bound = gate.lower if gate.unit is Unit.SHARE else gate.upper
    allowed = 1 - gate.margin if gate.unit is Unit.SHARE else gate.margin
    return math.inf if bound is None else abs(gate.margin - bound) / allowed
