"""What would have to be different for another verdict: which gate, and at which limit, by the bounds that it has.

A limit that is chosen after the data promises nothing; these sentences tell how far the evidence is from another
verdict, they are no advice to move the limit.
"""

import math
from collections.abc import Sequence

from shadow_provider.verdict.looks import GateLook, GateState
from shadow_provider.verdict.render import duration
from shadow_provider.verdict.units import Unit, show

INVALID = "Mirroring or capture must be repaired, then the deployment starts again; this evidence stays invalid."


def of_reject(failed: Sequence[GateLook], *, alone: bool) -> str:
    """What would make it no REJECT.

    Args:
        failed: gates that fail.
        alone: whether nothing else stands against a PROMOTE.
    """
    known = [
        f"{gate.shown_name} {'not critical and ' if gate.critical else ''}at {limit}"
        for gate in failed
        if (limit := passing_limit(gate)) is not None
    ]
    if len(known) < len(failed):
        return "Only another candidate: no limit would let this one pass."
    edge = None if len(failed) > 1 or failed[0].critical else failing_limit(failed[0])
    stays = "" if edge is None else f", and stays REJECT at {edge}"
    outcome = "PROMOTE" if alone else "no REJECT"
    return f"It would be {outcome} with {_joined(known)}{stays}; more traffic makes the same result only surer."


def of_promote(closest: GateLook) -> str:
    """What would make it no PROMOTE.

    Args:
        closest: the gate whose bound is closest to its limit.
    """
    limit = _limit(closest, _passing(closest), tighter=True)
    if limit is None:
        return f"No limit is too tight for it: even {closest.shown_name}, the closest one, shows no harm at all."
    reject = failing_limit(closest)
    return (
        f"{closest.shown_name} would not be proven at {limit}{f', and would be REJECT at {reject}' if reject else ''}."
    )


def of_waiting(unproven: Sequence[GateLook], needs: Sequence[str], *, final: bool) -> str:
    """What would decide it.

    Args:
        unproven: the deciding gates that have not passed.
        needs: what else a PROMOTE needs, such as "1,000 pairs".
        final: whether the deadline has come.
    """
    undecided = [gate for gate in unproven if gate.state is GateState.UNDECIDED]
    sentences = [_undecided(undecided, final=final)] if undecided else []
    silent = [gate.shown_name for gate in unproven if gate.state is GateState.NO_DATA]
    needs = [*([f"figures for {_joined(silent)}"] if silent else []), *needs]
    if needs:
        sentences.append(f"PROMOTE {'also ' if undecided else ''}needs {_joined(needs)}.")
    return " ".join(sentences)


def _undecided(gates: Sequence[GateLook], *, final: bool) -> str:
    # A time that nobody knows is the longest.
    gate = max(gates, key=lambda each: math.inf if each.hours_to_decision is None else each.hours_to_decision)
    limits = [
        f"{verb} at {limit}"
        for verb, limit in (("pass", passing_limit(gate)), ("fail", failing_limit(gate)))
        if limit is not None
    ]
    hours = gate.hours_to_decision
    about = f"about {duration(hours)} more" if hours else "more"
    would = f"{about} of the same traffic would {'have decided' if final else 'decide'}"
    if not limits:
        return f"{would[0].upper()}{would[1:]} {gate.shown_name}."
    return f"{gate.shown_name} would {_joined(limits)}; {would} it."


def passing_limit(gate: GateLook) -> str | None:
    """The limits at which a gate would pass, in words; None if there is none."""
    return _limit(gate, _passing(gate), tighter=False)


def failing_limit(gate: GateLook) -> str | None:
    """The limits at which a gate would fail if it were not critical, in words; None if there is none."""
    return _limit(gate, gate.upper if gate.unit is Unit.SHARE else gate.lower, tighter=True)


def _passing(gate: GateLook) -> float | None:
    return gate.lower if gate.unit is Unit.SHARE else gate.upper


def _limit(gate: GateLook, bound: float | None, *, tighter: bool) -> str | None:
    """Limits on the tighter or the wider side of a bound; None if a policy could have none there."""
    if bound is None:
        return None
    share, rate = gate.unit is Unit.SHARE, gate.unit is Unit.RATE_DIFFERENCE
    if share:
        if bound >= 1 if tighter else bound <= 0:
            return None
        return f"a minimum {'above' if tighter else 'below'} {show(bound, gate.unit)}"
    if bound <= 0 if tighter else rate and bound >= 1:
        return None
    if bound <= 0:
        return "any margin"
    return f"a margin {'below' if tighter else 'above'} {show(bound, gate.unit)}"


def _joined(parts: Sequence[str]) -> str:
    return " and ".join(parts) if len(parts) < 3 else f"{', '.join(parts[:-1])} and {parts[-1]}"
