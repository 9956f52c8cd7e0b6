"""Parts of the traffic by themselves."""

from shadow_provider.report.document import Part, Section, table
from shadow_provider.report.limits import Limits
from shadow_provider.report.sections.gates import gate_table, overview
from shadow_provider.report.text import count, share_of
from shadow_provider.verdict.record import DecisionRecord


def section(record: DecisionRecord, limits: Limits) -> Section | None:
    """Pairs of each part, and the gates on pairs in it."""
    segments, gates = record.evidence.segments, record.judgement.segments
    if not segments:
        return None
    rows = (
        (each.segment, each.value, count(sum(each.pairs)), share_of(sum(each.pairs), record.evidence.pairs))
        for each in segments
    )
    parts: list[Part] = [table("Pairs", ("segment", "value", "pairs", "of all"), rows, numeric=(2, 3))]
    parts += overview("The gates in each part of the traffic", "segments", gates, limits)
    if gates:
        parts.append(gate_table("Gates by segment", record, gates))
    return Section(
        "segments",
        "Segments",
        "The gates on pairs in each part of the traffic. Only segments that the policy declares decide; the others "
        "explore, and of many parts one looks bad by chance.",
        tuple(parts),
    )
