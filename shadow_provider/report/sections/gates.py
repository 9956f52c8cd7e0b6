"""The gates: what was promised, what is known, and how that came about over the looks."""

from collections.abc import Sequence
from functools import partial

from shadow_provider.report.charts.forest import forest
from shadow_provider.report.charts.funnel import FunnelLook, funnel
from shadow_provider.report.document import Chart, Part, Section, Sentence, Table, table
from shadow_provider.report.limits import Limits
from shadow_provider.report.names import STATES, about_gate, amount, bounds_of, effective, title_of
from shadow_provider.report.text import NOTHING, plural
from shadow_provider.verdict.looks import GateLook, GateState
from shadow_provider.verdict.measures import Measure
from shadow_provider.verdict.record import DecisionRecord
from shadow_provider.verdict.render import duration
from shadow_provider.verdict.units import limit, show

HEADINGS = (
    "gate", "state", "estimate", "bounds at all looks", "limit", "n", "effective blocks", "still needs", "decides",
    "why",
)  # fmt: skip
DISTRUST = "The evidence cannot be trusted, so these states say nothing about the candidate."
MOST_DRAWN = 30
NUMERIC = (2, 3, 4, 5, 6)


def section(record: DecisionRecord, limits: Limits) -> Section:
    """Checklist, cover."""
    judgement = record.judgement
    parts: list[Part] = [
        *_distrust(record),
        gate_table("Checklist", record, judgement.gates),
        *overview("All gates against their limits", "forest", judgement.gates, limits),
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


def _distrust(record: DecisionRecord) -> list[Part]:
    return [Sentence(DISTRUST, warning=True)] if record.judgement.mirror.faults else []


def funnels(record: DecisionRecord, limits: Limits) -> Section | None:
    """Each gate over the looks: those that decide first."""
    judgement = record.judgement
    gates = sorted((*judgement.gates, *judgement.segments), key=lambda gate: (not gate.blocking, bool(gate.segment)))
    looked = {(each.name, each.segment) for look in record.looks for each in look.gates}
    known = [
        gate
        for gate in gates
        if gate.estimate is not None and (gate.blocking or gate.segment is None) and (gate.name, gate.segment) in looked
    ]
    if not known:
        return None
    parts = _distrust(record)
    parts += [_funnel(record, gate, f"funnel-{number}", limits) for number, gate in enumerate(known[: limits.charts])]
    if len(known) > limits.charts:
        parts.append(Sentence(f"{len(known) - limits.charts:,} more gates are in the record."))
    return Section(
        "looks",
        "How it came about",
        "Each gate at every look: the line is the estimate, the band its bounds, the dashed line the limit. A gate "
        "passes when the whole band is on the good side of the limit. The first, widest bounds may be off the scale.",
        tuple(parts),
    )


def _funnel(record: DecisionRecord, gate: GateLook, key: str, limits: Limits) -> Chart:
    start = record.evidence.blocks.start
    found = [
        ((look.end - start).total_seconds() / 3600, each)
        for look in record.looks
        for each in look.gates
        if (each.name, each.segment) == (gate.name, gate.segment)
    ]
    looks = [FunnelLook(hours, each.estimate, each.lower, each.upper) for hours, each in found]
    since = next((hours for hours, each in found if each.state is gate.state), None)
    when = "" if since is None else f"; {STATES[gate.state]} was first reached after {duration(since)}"
    return Chart(
        f"{title_of(gate)}: {STATES[gate.state]}",
        f"The estimate over {plural(len(looks), 'look')} ends at {show(gate.estimate, gate.unit)} with bounds "
        f"{bounds_of(gate)}; the limit is {limit(gate.margin, gate.unit)}{when}.",
        partial(funnel, key, looks, gate.margin, gate.unit, limits.points),
        wide=False,
    )


def overview(title: str, key: str, gates: Sequence[GateLook], limits: Limits) -> list[Part]:
    """The forest plot of the first gates, and how many more there are."""
    drawn = gates[: min(MOST_DRAWN, limits.rows)]
    made: list[Part] = [Chart(title, described(drawn), partial(forest, key, drawn))] if drawn else []
    if len(gates) > len(drawn):
        made.append(Sentence(f"The chart shows the first {len(drawn)} of {len(gates):,} gates."))
    return made


def described(gates: Sequence[GateLook]) -> str:
    """A forest plot in words."""
    found = "; ".join(f"{title_of(gate)} {STATES[gate.state]}, {bounds_of(gate)}" for gate in gates)
    return f"Estimate and bounds of {plural(len(gates), 'gate')} as parts of their limits: {found}."


def gate_table(caption: str, record: DecisionRecord, gates: tuple[GateLook, ...]) -> Table:
    """Gates with all their numbers."""
    return table(caption, HEADINGS, (_row(record, gate) for gate in gates), numeric=NUMERIC, words=(7, 9), state=1)


def _row(record: DecisionRecord, gate: GateLook) -> tuple[str, ...]:
    decides = "no" if not gate.blocking else "yes, at any harm" if gate.critical else "yes"
    return (
        title_of(gate),
        STATES[gate.state],
        show(gate.estimate, gate.unit),
        bounds_of(gate),
        limit(gate.margin, gate.unit),
        amount(gate, _measure(record, gate)),
        effective(gate),
        _needs(gate),
        decides,
        gate.reason,
    )


def _needs(gate: GateLook) -> str:
    """Time to the decision as things go, and how much of the proof is there."""
    if gate.state is not GateState.UNDECIDED:
        return NOTHING
    # A forecast of no time at all, of a gate that is undecided, is none.
    time = f"about {duration(gate.hours_to_decision)}" if gate.hours_to_decision else "no forecast"
    return f"{time} (proof {gate.progress:.0%})"


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
    rows = ((title_of(gate), gate.name, about_gate(gate), _provable(gate)) for gate in gates)
    headings = ("gate", "name in the policy", "number", "tightest limit that could be proven by now")
    return table("What the numbers are", headings, rows, code=(1,))


def _provable(gate: GateLook) -> str:
    """What this much evidence can tell of a candidate that is as good as production."""
    return NOTHING if gate.provable is None else limit(gate.provable, gate.unit)


def _cover(record: DecisionRecord) -> Table:
    rows = (
        (each.what, f"{each.have:,.6g}", f"{each.needed:,.6g}", "✓ reached" if each.reached else "✗ not reached")
        for each in record.judgement.cover
    )
    return table("Minimum cover", ("what", "have", "needed for a promotion", "state"), rows, numeric=(1, 2))
