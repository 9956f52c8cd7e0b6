"""Ground truth: how much there is, and how right each variant was."""

from collections.abc import Mapping
from typing import Any

from shadow_provider.report.document import Part, Section, Sentence, Table, table
from shadow_provider.report.figures import figure_table, label_rank, shown
from shadow_provider.report.limits import Limits
from shadow_provider.report.text import count, figure, share_of
from shadow_provider.verdict.evidence import TruthEvidence
from shadow_provider.verdict.record import DecisionRecord


def section(record: DecisionRecord, limits: Limits) -> Section:
    """Coverage, both variants' measures with their difference, fates."""
    truth = record.evidence.truth
    parts: list[Part] = []
    if truth is None:
        parts.append(Sentence("No ground truth was given, so nothing is said of how right the answers are."))
    else:
        parts += _parts(record, truth)
    return Section(
        "truth",
        "Ground truth",
        "Both variants against the same true labels, on pairs that have one. Labels may come late: coverage is the "
        "share of all pairs that have one by now.",
        tuple(parts),
    )


def _parts(record: DecisionRecord, truth: TruthEvidence) -> list[Part]:
    labelled = sum(truth.labelled)
    pairs = record.evidence.pairs
    made: list[Part] = [
        Sentence(f"{labelled:,} of {pairs:,} pairs have a true label (coverage {share_of(labelled, pairs)}).")
    ]
    figures = dict(truth.description.figures) if truth.description is not None else {}
    sides = [figures.pop(name, None) for name in ("production", "candidate", "difference")]
    if all(isinstance(side, Mapping) for side in sides):
        made.append(_measures(*sides))
        made += _by_class(sides[0], sides[1])
    else:
        named = zip(("production", "candidate", "difference"), sides, strict=True)
        figures |= {name: side for name, side in named if side is not None}
    if figures:
        made.append(figure_table("Other figures", figures))
    rows = [(fate.replace("_", " "), count(number)) for fate, number in sorted(truth.fates.items())]
    rows.append(("all lines", count(truth.lines)))
    made.append(table("What became of every line of ground truth", ("fate", "lines"), rows, numeric=(1,)))
    places = [(fate.replace("_", " "), place) for fate, found in sorted(truth.examples.items()) for place in found]
    if places:
        made.append(table("Where such lines stand, by example", ("fate", "object and line"), places, code=(1,)))
    return made


def _measures(production: Mapping[str, Any], candidate: Mapping[str, Any], difference: Mapping[str, Any]) -> Table:
    names = [name for name, value in production.items() if not isinstance(value, Mapping)]
    rows = (
        (
            name.replace("_", " "),
            shown(name, production.get(name)),
            shown(name, candidate.get(name)),
            _signed(difference.get(name)),
        )
        for name in names
    )
    headings = ("measure", "production", "candidate", "candidate minus production")
    return table("Against the truth", headings, rows, numeric=(1, 2, 3))


def _by_class(production: Mapping[str, Any], candidate: Mapping[str, Any]) -> list[Part]:
    one, other = production.get("f1"), candidate.get("f1")
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return []
    labels = sorted(one, key=label_rank)
    rows = ((label, shown("f1", one[label]), shown("f1", other.get(label))) for label in labels)
    return [table("F1 by class", ("true label", "production", "candidate"), rows, numeric=(1, 2))]


def _signed(value: Any) -> str:
    return f"+{figure(value)}" if isinstance(value, int | float) and value > 0 else shown("", value)
