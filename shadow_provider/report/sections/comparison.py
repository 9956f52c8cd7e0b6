"""What the comparator says of all pairs together, by its kind."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from shadow_provider.report.charts.agreement import limits_of_agreement
from shadow_provider.report.document import Chart, Part, Section, Sentence, table
from shadow_provider.report.figures import figure_table, label_rank, moment_table, quantile_table
from shadow_provider.report.limits import Limits
from shadow_provider.report.text import count, figure, share_of
from shadow_provider.verdict.record import DecisionRecord

MOST_LABELS = 12
_ARROW = " → "
_WHAT = ("changed", "type_changed", "missing", "added", "length_changed", "tolerated")
_READING = (
    "pairs", "both_readable", "production_alone_unreadable", "candidate_alone_unreadable", "both_unreadable",
    "unreadable_by_cause",
)  # fmt: skip


def section(record: DecisionRecord, limits: Limits) -> Section | None:
    """Figures by kind, with a table for all that no kind has a form of its own for."""
    comparison = record.evidence.comparison
    if comparison is None:
        return None
    figures = dict(comparison.figures)
    reading = {name: figures.pop(name) for name in _READING if name in figures}
    parts: list[Part] = []
    form = _FORMS.get(comparison.kind)
    if form is not None:
        parts += form(figures)
    quantiles, rest = quantile_table("Quantiles", figures)
    moments, rest = moment_table("Means and spreads", rest)
    parts += [each for each in (quantiles, moments) if each is not None]
    parts += [figure_table("Figures", rest)] if rest else []
    parts += [figure_table("What could be read", reading)] if reading else []
    return Section(
        "comparison",
        f"How the answers differ ({comparison.name})",
        f"What the comparator of kind {comparison.kind} says of all pairs together. It describes; what decides are the "
        "gates.",
        tuple(parts),
    )


def _labels(figures: dict[str, Any]) -> list[Part]:
    """Confusion matrix of the most frequent labels; what it shows is taken out of the figures."""
    confusion = _counted(figures.get("confusion"))
    if not confusion:
        return []
    del figures["confusion"]
    complete = figures.pop("confusion_complete", True)
    cells: dict[tuple[str, str], int] = {}
    for key, number in confusion.items():
        production, arrow, candidate = key.partition(_ARROW)
        if not arrow or _ARROW in candidate:
            # A label with an arrow of its own: which part is whose cannot be told.
            return [_changes(confusion)]
        cells[production, candidate] = number
    totals: dict[str, int] = {}
    for (production, candidate), number in cells.items():
        for label in {production, candidate}:
            totals[label] = totals.get(label, 0) + number
    labels = sorted(sorted(totals, key=lambda label: (-totals[label], label))[:MOST_LABELS], key=label_rank)
    rows = []
    for own in labels:
        row = [cells.get((own, other), 0) for other in labels]
        rows.append((own, *(count(number) if number else "·" for number in row)))
    made: list[Part] = [
        table(
            "Rows by production's label (down) and the candidate's (across)",
            ("production", *labels),
            rows,
            numeric=range(1, len(labels) + 1),
        )
    ]
    if len(totals) > len(labels) or not complete:
        made.append(Sentence(f"Only the {len(labels)} labels that came most often are shown."))
    changes = {f"{own}{_ARROW}{other}": number for (own, other), number in cells.items() if own != other}
    made += [_changes(changes)] if changes else []
    return [*made, *_counts(figures)]


def _counts(figures: dict[str, Any]) -> list[Part]:
    """How often each side says what."""
    one, other = (_counted(figures.get(f"{side}_labels")) for side in ("production", "candidate"))
    if not one or not other:
        return []
    del figures["production_labels"], figures["candidate_labels"]
    labels = sorted({**one, **other}, key=label_rank)
    rows = ((label, count(one.get(label, 0)), count(other.get(label, 0))) for label in labels)
    return [table("Rows by label", ("label", "production", "candidate"), rows, numeric=(1, 2))]


def _counted(value: Any) -> dict[str, int] | None:
    """Counts by name; None for anything else: a record may come from another version."""
    if not isinstance(value, Mapping) or not all(isinstance(number, int) for number in value.values()):
        return None
    return dict(value)


def _changes(cells: Mapping[str, int]) -> Part:
    total = sum(cells.values())
    ranked = sorted(cells.items(), key=lambda item: (-item[1], item[0]))[:20]
    rows = ((key, count(number), share_of(number, total)) for key, number in ranked)
    return table("Most frequent changes of label", ("production → candidate", "rows", "of these"), rows, numeric=(1, 2))


def _numbers(figures: dict[str, Any]) -> list[Part]:
    """Bias and limits of agreement."""
    bias: Any = figures.get("bias")
    limits = figures.get("limits_of_agreement")
    if not isinstance(limits, list) or [isinstance(each, float | int) for each in (bias, *limits)] != [True] * 3:
        return []
    difference = figures.get("difference")
    quantiles = difference.get("quantiles") if isinstance(difference, Mapping) else None
    known = {
        name: float(value)
        for name, value in (quantiles if isinstance(quantiles, Mapping) else {}).items()
        if isinstance(value, float | int)
    }
    described = (
        f"The candidate's number is {figure(bias)} more than production's on average (bias). If differences are about "
        f"normal, 95 % of them lie between {figure(limits[0])} and {figure(limits[1])} (limits of agreement)."
    )
    chart = partial(limits_of_agreement, "agreement", bias, (limits[0], limits[1]), known)
    return [
        Chart(
            "Bland-Altman in short: bias, limits of agreement, quantiles",
            f"{described} Below, bars from the 1st to the 99th, the 5th to the 95th and the 25th to the 75th "
            "percentile of the differences, with the median.",
            chart,
        ),
        Sentence(f"{described} Single pairs are not kept, so there is no cloud of points."),
    ]


def _tree(figures: dict[str, Any]) -> list[Part]:
    """The field tree of JSON answers."""
    found = figures.get("fields")
    fields = {path: _counted(each) for path, each in found.items()} if isinstance(found, Mapping) else {}
    known = {path: each for path, each in fields.items() if each is not None}
    if not known or len(known) < len(fields):
        return []
    del figures["fields"]
    complete = figures.pop("fields_complete", True)
    used = [what for what in _WHAT if any(what in each for each in known.values())]
    rows = []
    for path, each in sorted(known.items()):
        depth = path.count(".") + path.count("[]")
        rows.append((f"{'· ' * depth}{path}", *(count(each[what]) if what in each else "·" for what in used)))
    made: list[Part] = [
        table(
            "Pairs by field and what happened there",
            ("field", *(what.replace("_", " ") for what in used)),
            rows,
            numeric=range(1, len(used) + 1),
            code=(0,),
        )
    ]
    types = _counted(figures.get("type_changes"))
    if types:
        del figures["type_changes"]
        made.append(
            table(
                "Changes of type",
                ("field : production → candidate", "pairs"),
                ((key, count(number)) for key, number in types.items()),
                numeric=(1,),
                code=(0,),
            )
        )
    if not complete:
        made.append(Sentence(f"Only the {len(known)} fields that differ most often are shown."))
    return made


_FORMS: dict[str, Callable[[dict[str, Any]], list[Part]]] = {"label": _labels, "number": _numbers, "json": _tree}
