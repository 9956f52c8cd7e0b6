"""A judgement for people: sentences for one gate, and an aligned table for a task's log."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shadow_provider.verdict.gates import GateResult, Unit

if TYPE_CHECKING:
    from shadow_provider.verdict.judge import Judgement

_HEADINGS = ("gate", "state", "estimate", "lower", "upper", "limit", "n", "note")
_NUMERIC = frozenset({2, 3, 4, 5, 6})


def show(value: float | None, unit: Unit) -> str:
    """A gate's number with its unit: percentage points for a difference of rates, else percent."""
    if value is None:
        return "-"
    if unit is Unit.RATE_DIFFERENCE:
        return f"{value * 100:+.3f} pp"
    return f"{value * 100:.2f} %" if unit is Unit.SHARE else f"{value * 100:+.1f} %"


def limit_of(gate: GateResult) -> str:
    """The margin as a rule: what the number must stay under, or over."""
    return f"{'>' if gate.unit is Unit.SHARE else '<'} {show(gate.margin, gate.unit)}"


def gate_in_words(gate: GateResult) -> str:
    """One gate in half a sentence, with its numbers."""
    numbers = (show(number, gate.unit) for number in (gate.estimate, gate.lower, gate.upper))
    estimate, lower, upper = numbers
    return f"{gate.metric} {estimate} (bounds {lower} to {upper}, limit {limit_of(gate)}, n {gate.n:,})"


def as_text(judgement: "Judgement") -> str:
    """The judgement as plain text: verdict, table of the gates, mirror, notes, and what would change it."""
    mirror = judgement.mirror
    lines = [
        f"{judgement.verdict.value}: {judgement.reason}",
        "",
        *_table([_HEADINGS, *(_row(gate) for gate in judgement.gates)]),
        "",
        f"pairs {judgement.pairs:,} (minimum {judgement.minimum_pairs:,}), "
        f"mirrored {_percent(mirror.observed_share)} (configured {_percent(mirror.configured_share)}), "
        f"joined {_percent(mirror.join_rate)}",
        *judgement.notes,
        f"what would change it: {judgement.what_would_change}",
    ]
    return "\n".join(lines)


def _row(gate: GateResult) -> tuple[str, ...]:
    note = gate.reason
    if gate.report_only:
        note = f"[report only] {note}"
    elif not gate.blocking:
        note = f"[not required] {note}"
    numbers = (show(number, gate.unit) for number in (gate.estimate, gate.lower, gate.upper))
    return (gate.metric, gate.state.value, *numbers, limit_of(gate), f"{gate.n:,}", note)


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return [
        "  ".join(
            cell.rjust(width) if column in _NUMERIC else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"
