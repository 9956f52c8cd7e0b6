"""From a record to its report: which sections there are, in which order, and how much of the record fits."""

from collections.abc import Callable

from shadow_provider.report import markdown as markdown_format
from shadow_provider.report import page
from shadow_provider.report.document import Banner, Document, Section
from shadow_provider.report.limits import LEVELS, MOST_BYTES, USUAL, Limits
from shadow_provider.report.names import MEANINGS
from shadow_provider.report.sections import (
    comparison,
    errors,
    examples,
    gates,
    latency,
    mirror,
    origin,
    segments,
    truth,
)
from shadow_provider.report.text import count, moment
from shadow_provider.verdict.judge import Verdict
from shadow_provider.verdict.record import DecisionRecord
from shadow_provider.verdict.render import duration

_SECTIONS: tuple[Callable[[DecisionRecord, Limits], Section | None], ...] = (
    gates.section,
    gates.funnels,
    segments.section,
    errors.section,
    comparison.section,
    truth.section,
    latency.section,
    examples.section,
    mirror.section,
    origin.cost,
    origin.policy,
    origin.origin,
)


def html(record: DecisionRecord) -> bytes:
    """The record as HTML, with less of it shown where it would be too large."""
    made, record = b"", _as_stored(record)
    for limits in LEVELS:
        made = page.render(document(record, limits))
        if len(made) <= MOST_BYTES:
            break
    return made


def markdown(record: DecisionRecord) -> str:
    """The record as Markdown."""
    return markdown_format.render(document(_as_stored(record), USUAL))


def document(record: DecisionRecord, limits: Limits) -> Document:
    """All that the report says, before it has a format."""
    # Where the evidence cannot be trusted, why not comes before what it says.
    first = [mirror.section] if record.judgement.verdict is Verdict.INVALID else []
    found = (make(record, limits) for make in dict.fromkeys([*first, *_SECTIONS]))
    made = Document(
        title=f"Shadow deployment of {record.candidate_model} on {record.evidence.endpoint_name}",
        banner=_banner(record),
        sections=tuple(section for section in found if section is not None),
    )
    return made.fitted(limits)


def _as_stored(record: DecisionRecord) -> DecisionRecord:
    """The record with its mappings in the order in which they are stored: equal records give equal reports."""
    return DecisionRecord.model_validate_json(record.canonical_bytes())


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _banner(record: DecisionRecord) -> Banner:
    evidence, judgement = record.evidence, record.judgement
    hours = evidence.blocks.count * evidence.blocks.seconds / 3600
    return Banner(
        verdict=judgement.verdict.value,
        meaning=MEANINGS[judgement.verdict],
        reason=_sentence(judgement.reason),
        change=judgement.what_would_change,
        facts=(
            ("Candidate", record.candidate_model),
            ("In production", record.incumbent_model),
            ("Endpoint", evidence.endpoint_name),
            ("Evidence until", moment(record.created_at)),
            ("Observed", f"{duration(hours)} in {evidence.blocks.count:,} blocks of {evidence.blocks.seconds:,} s"),
            ("Pairs", count(judgement.pairs)),
            ("Looks", count(len(record.looks))),
            ("Approved by", record.approver or "nobody was asked"),
        ),
    )
