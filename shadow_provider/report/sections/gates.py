"""The gates: what was promised, what is known, and how that came about over the looks."""

from shadow_provider.report.document import Part, Section, Table, table
from shadow_provider.report.limits import Limits
from shadow_provider.report.names import STATES, about_gate, amount, effective, title_of
from shadow_provider.report.text import NOTHING
from shadow_provider.verdict.looks import GateLook
from shadow_provider.verdict.measures import Measure
from shadow_provider.verdict.record import DecisionRecord
from shadow_provider.verdict.render import duration
from shadow_provider.verdict.units import limit, show

HEADINGS = (
    "gate", "state", "estimate", "bounds at all looks", "limit", "n", "effective blocks", "proof so far",
    "still needs", "decides", "why",
)  # fmt: skip
NUMERIC = (2, 3, 4, 5, 6, 7, 8)


def section(record: DecisionRecord, limits: Limits) -> Section:
    """Checklist, cover."""
    judgement = record.judgement
    parts: list[Part] = [
        gate_table("Gates", record, judgement.gates),
        _meanings(judgement.gates),
        _cover(record),
    ]
    return Section(
        "gates",
        "Gates",
        "Each gate is one promise of the policy. It passes when the harm is surely within its limit and fails when it "
        "is surely beyond. The bounds hold at all looks together, so looking often proves nothing by chance. Blocks "
        "that resemble their neighbours count less: effective blocks say how many independent ones they are worth.",
        tuple(parts),
    )


def gate_table(caption: str, record: DecisionRecord, gates: tuple[GateLook, ...]) -> Table:
    """Gates with all their numbers."""
    return table(caption, HEADINGS, (_row(record, gate) for gate in gates), numeric=NUMERIC, state=1)


def _row(record: DecisionRecord, gate: GateLook) -> tuple[str, ...]:
    needs = NOTHING if gate.hours_to_decision is None else duration(gate.hours_to_decision)
    decides = "no" if not gate.blocking else "yes, at any harm" if gate.critical else "yes"
    return (
        title_of(gate),
        STATES[gate.state],
        show(gate.estimate, gate.unit),
        bounds(gate),
        limit(gate.margin, gate.unit),
        amount(gate, _measure(record, gate)),
        effective(gate),
        f"{gate.progress:.0%}",
        needs,
        decides,
        gate.reason,
    )


def bounds(gate: GateLook) -> str:
    """Both bounds in the gate's unit; a bound that is not there yet is open."""
    if gate.estimate is None:
        return NOTHING
    lower = "open" if gate.lower is None else show(gate.lower, gate.unit)
    upper = "open" if gate.upper is None else show(gate.upper, gate.unit)
    return f"{lower} to {upper}"


def _measure(record: DecisionRecord, gate: GateLook) -> Measure | None:
    if gate.segment is None:
        return record.evidence.measures.get(gate.measure)
    return next(
        (
            each.measures.get(gate.measure)
            for each in record.evidence.segments
            if f"{each.segment}={each.value}" == gate.segment
        ),
        None,
    )


def _meanings(gates: tuple[GateLook, ...]) -> Table:
    rows = ((title_of(gate), gate.name, about_gate(gate)) for gate in gates)
    return table("What the numbers are", ("gate", "name in the policy", "number"), rows, code=(1,))


def _cover(record: DecisionRecord) -> Table:
    rows = (
        (each.what, f"{each.have:,.6g}", f"{each.needed:,.6g}", "✓ reached" if each.reached else "✗ not reached")
        for each in record.judgement.cover
    )
    return table("Minimum cover", ("what", "have", "needed for a promotion", "state"), rows, numeric=(1, 2))
