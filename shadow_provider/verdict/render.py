"""A judgement as plain text, for logs and terminals."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from shadow_provider.verdict.looks import GateLook
from shadow_provider.verdict.units import limit, show

if TYPE_CHECKING:
    from shadow_provider.verdict.judge import Judgement

_HEADINGS = ("gate", "state", "estimate", "lower", "upper", "limit", "provable", "n", "evidence", "still needs", "note")
_NUMERIC = frozenset({2, 3, 4, 5, 6, 7, 8, 9})


def gate_in_words(gate: GateLook) -> str:
    """One gate in half a sentence, with its numbers."""
    estimate, lower, upper = (show(number, gate.unit) for number in (gate.estimate, gate.lower, gate.upper))
    return (
        f"{gate.shown_name} {estimate} (bounds {lower} to {upper}, limit {limit(gate.margin, gate.unit)}, n {gate.n:,})"
    )


def as_text(judgement: "Judgement", notes: Sequence[str] = ()) -> str:
    """The judgement as plain text: verdict, table of the gates, mirror, notes, and what would change it."""
    mirror = judgement.mirror
    lines = [
        f"{judgement.verdict.value}: {judgement.reason}",
        "",
        *table([_HEADINGS, *(_row(gate) for gate in (*judgement.gates, *judgement.segments))], _NUMERIC),
        "",
        "; ".join(cover.in_words() for cover in judgement.cover if cover.needed),
        f"mirrored {_percent(mirror.observed_share)} (configured {_percent(mirror.configured_share)}), "
        f"joined {_percent(mirror.join_rate)}",
        *notes,
        f"what would change it: {judgement.what_would_change}",
    ]
    return "\n".join(lines)


def progress(judgement: "Judgement") -> str:
    """One line for a log between looks: pairs, gates, time to decision."""
    pairs = judgement.cover[0]
    gates = ", ".join(
        f"{gate.shown_name} {gate.state.value.lower()} {gate.progress:.0%}" for gate in judgement.deciding
    )
    hours = [gate.hours_to_decision for gate in judgement.deciding if gate.hours_to_decision is not None]
    when = f"; about {duration(max(hours))} to go" if hours else ""
    return f"{judgement.verdict.value}: {pairs.have:,.0f} pairs ({pairs.needed:,.0f} needed); {gates}{when}"


def duration(hours: float) -> str:
    """Hours as a person says them."""
    if hours < 1 / 60:
        return f"{hours * 3600:.0f} s"
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def _row(gate: GateLook) -> tuple[str, ...]:
    note = gate.reason if gate.blocking else f"[does not decide] {gate.reason}"
    numbers = (show(number, gate.unit) for number in (gate.estimate, gate.lower, gate.upper))
    needs = "-" if gate.hours_to_decision is None else duration(gate.hours_to_decision)
    return (
        gate.shown_name,
        gate.state.value,
        *numbers,
        limit(gate.margin, gate.unit),
        "-" if gate.provable is None else limit(gate.provable, gate.unit),
        f"{gate.n:,}",
        f"{gate.progress:.0%}",
        needs,
        note,
    )


def table(rows: Sequence[Sequence[str]], numeric: Collection[int]) -> list[str]:
    """Lines of a table in plain text; the columns of these numbers stand to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if column in numeric else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"
