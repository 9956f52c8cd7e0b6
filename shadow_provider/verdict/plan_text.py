"""A plan as plain text. "provable" is the tightest margin that the deadline can prove."""

from typing import TYPE_CHECKING

from shadow_provider.verdict.render import duration, table
from shadow_provider.verdict.units import limit

if TYPE_CHECKING:
    from shadow_provider.verdict.planning import GatePlan, Plan

_HEADINGS = ("gate", "limit", "decides", "needs")
_WITH_TRAFFIC = ("time", "in time", "provable")


def plan_as_text(plan: "Plan") -> str:
    """A sentence, a table of the gates, warnings and assumptions."""
    lines = [in_one_line(plan), "", *table([headings(plan), *rows(plan)], (3, 4))]
    if plan.warnings:
        lines += ["", *(f"warning: {warning}" for warning in plan.warnings)]
    return "\n".join([*lines, "", "supposed:", *(f"  {each}" for each in plan.assumptions)])


def headings(plan: "Plan") -> tuple[str, ...]:
    """The table's headings; what only traffic can tell has no column without it."""
    return _HEADINGS if plan.traffic is None else (*_HEADINGS, *_WITH_TRAFFIC)


def rows(plan: "Plan") -> list[tuple[str, ...]]:
    """The table's rows, in words."""
    found: list[tuple[str, ...]] = []
    for gate in plan.gates:
        decides = "yes" if gate.deciding else "no"
        row: tuple[str, ...] = (gate.name, limit(gate.margin, gate.unit), decides, shown_need(gate))
        if plan.traffic is not None:
            row = (*row, _time(gate), "yes" if gate.reached else "NO", shown_provable(gate))
        found.append(row)
    return found


def in_one_line(plan: "Plan") -> str:
    """What it comes to, in one sentence."""
    if plan.traffic is None:
        needs = ", ".join(f"{gate.name} {shown_need(gate)}" for gate in plan.gates if gate.deciding)
        return f"plan: needs {needs}; the traffic is not known, so hours are not"
    at = f"at {plan.pairs_per_hour:,.4g} pairs an hour"
    if plan.hopeless:
        late = [gate.name for gate in plan.gates if gate.deciding and gate.reached is False] or ["the minimum cover"]
        return f"plan: {at} the deadline of {duration(plan.deadline_hours)} comes before {', '.join(late)}"
    assert plan.hours is not None, "what the deadline reaches has its hours"
    return f"plan: {at} about {duration(plan.hours)} of {duration(plan.deadline_hours)} until a decision"


def shown_need(gate: "GatePlan") -> str:
    """How much a gate needs, with its unit."""
    return f"no number of {gate.counted_in}" if gate.needed is None else f"{gate.needed:,} {gate.counted_in}"


def shown_hours(gate: "GatePlan") -> str:
    """How long a gate needs."""
    return "longer than can be said" if gate.hours is None else f"about {_time(gate)}"


def _time(gate: "GatePlan") -> str:
    return "?" if gate.hours is None else duration(gate.hours)


def shown_provable(gate: "GatePlan") -> str:
    """What the deadline can prove of a gate."""
    return "nothing" if gate.provable is None else limit(gate.provable, gate.unit)
