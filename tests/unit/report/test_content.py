"""What the report says, for every verdict and with all that may be missing."""

from __future__ import annotations

from typing import Any

import pytest

from shadow_provider.report import html_report, markdown_report
from shadow_provider.report.markdown import escaped
from shadow_provider.verdict.evidence import CurvePoint, Description, MetricsEvidence, MirrorEvidence, TwoSeries
from shadow_provider.verdict.judge import Verdict
from shadow_provider.verdict.measures import Blocks, PairedMeasure
from shadow_provider.verdict.record import DecisionRecord
from tests.unit.report import records
from tests.unit.report.checking import Page, markdown_problems
from tests.unit.report.records import record
from tests.unit.verdict.builders import START, evidence


def sound(made: DecisionRecord) -> str:
    """The report as Markdown, once both formats have been found whole."""
    page = Page(html_report(made))
    assert page.problems == []
    text = markdown_report(made)
    assert markdown_problems(text) == []
    return text


def rows(text: str, *begin: str) -> list[list[str]]:
    """The cells of the rows that begin with these cells."""
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    return [row for row in cells if tuple(row[: len(begin)]) == begin]


@pytest.mark.parametrize(
    ("made", "verdict", "meaning"),
    [
        (records.promoted, Verdict.PROMOTE, "may take production's place"),
        (records.rejected, Verdict.REJECT, "proven to be worse"),
        (records.inconclusive, Verdict.INCONCLUSIVE, "The deadline came"),
        (records.invalid, Verdict.INVALID, "cannot be trusted"),
        (lambda: record(evidence(blocks=20)), Verdict.CONTINUE, "goes on collecting evidence"),
    ],
)
def test_the_banner_says_the_verdict_why_and_what_would_change_it(made: Any, verdict: Verdict, meaning: str) -> None:
    judged = made()
    assert judged.judgement.verdict is verdict
    text = sound(judged)
    banner = text.partition("\n## ")[0]
    assert f"**{verdict.value}**" in banner
    assert meaning in banner
    assert escaped(judged.judgement.what_would_change) in banner
    html = html_report(judged).decode()
    assert f'<div class="banner {verdict.value.lower()}">' in html
    assert judged.judgement.reason[1:30] in html


def test_invalid_evidence_comes_with_its_faults_before_anything_else() -> None:
    text = sound(records.invalid())
    assert text.index("## Can the evidence be trusted") < text.index("## Gates")
    faults = records.invalid().judgement.mirror.faults
    assert faults
    assert all(f"**Fault: {escaped(fault)}**" in text for fault in faults)
    assert "these states say nothing about the candidate" in text
    assert "these states say nothing" not in sound(records.promoted())


def test_the_checklist_has_every_figure_of_a_gate() -> None:
    made = records.rejected()
    (gate,) = (each for each in made.judgement.gates if each.name == "accuracy")
    (row,) = rows(sound(made), "Wrong answers", "✗ fail")
    assert row[2:7] == [
        f"+{gate.estimate or 0:.3%}".replace("%", " pp"),
        f"+{100 * (gate.lower or 0):.3f} pp to +{100 * (gate.upper or 0):.3f} pp",
        "&#60; +2.000 pp",
        "23,922 pairs",
        f"{gate.effective_blocks:.4g}",
    ]
    (undecided,) = rows(sound(records.inconclusive()), "Unreadable answers", "? undecided")
    assert undecided[7].startswith("about 13")
    assert "(proof 13%)" in undecided[7]


def test_pairs_are_told_apart_by_side_and_in_full_where_the_descriptions_allow() -> None:
    base = evidence()
    unreadable = base.measures["unreadable"]
    assert isinstance(unreadable, PairedMeasure)
    worse, better = sum(unreadable.worse), sum(unreadable.better)
    assert rows(sound(record(base)), "candidate alone unreadable")[0][1] == f"{worse}"
    figures = {
        "pairs": unreadable.n, "candidate_alone_unreadable": worse, "production_alone_unreadable": better,
        "both_unreadable": 7,
    }  # fmt: skip
    text = sound(
        record(base.model_copy(update={"comparison": Description(kind="label", name="label", figures=figures)}))
    )
    fine = unreadable.n - worse - better - 7
    assert rows(text, "production fine") == [["production fine", f"{fine:,}", f"{worse}"]]
    assert rows(text, "production unreadable") == [["production unreadable", f"{better}", "7"]]
    figures["pairs"] -= 1
    other = record(base.model_copy(update={"comparison": Description(kind="label", name="label", figures=figures)}))
    assert rows(sound(other), "production unreadable") == []


def test_wrong_answers_of_both_sides_follow_from_both_accuracies() -> None:
    base = evidence()
    wrong = base.measures["truth_wrong"]
    assert isinstance(wrong, PairedMeasure)
    assert base.truth is not None
    worse, better = sum(wrong.worse), sum(wrong.better)
    sides = {"candidate": worse + 500, "production": better + 500}
    figures: dict[str, Any] = {name: {"accuracy": 1 - errors / wrong.n} for name, errors in sides.items()}
    description = Description(kind="class", name="class", figures={"rows": wrong.n, **figures})
    truth = base.truth.model_copy(update={"description": description})
    text = sound(record(base.model_copy(update={"truth": truth})))
    assert rows(text, "production wrong") == [["production wrong", f"{better:,}", "500"]]
    # Accuracies that do not fit together are of other pairs: nothing follows from them.
    figures["production"] = {"accuracy": 1 - (better + 501) / wrong.n}
    description = Description(kind="class", name="class", figures={"rows": wrong.n, **figures})
    truth = base.truth.model_copy(update={"description": description})
    text = sound(record(base.model_copy(update={"truth": truth})))
    assert rows(text, "production alone wrong")
    assert rows(text, "production wrong") == []


def test_what_describes_a_fixed_sample_says_so() -> None:
    text = sound(record())
    assert "they do not hold at every look" in text
    assert rows(text, "wrong answers")[0][1] == "Tango; McNemar mid-p"
    assert rows(text, "invocation errors")[0][1] == "Newcombe"
    (hodges,) = rows(text, "model latency p90")
    assert hodges[1] == "Hodges-Lehmann, by block"
    assert hodges[2].endswith(" %")


def test_the_latency_curve_has_bands_only_where_blocks_give_them() -> None:
    text = sound(records.promoted())
    assert rows(text, "p99.9") == [["p99.9", "88", "97.5", "+9.5", "+10.8 %", "\\-"]]
    assert " to " in rows(text, "p90")[0][-1]
    assert "They are not bounds of the whole window's own percentile" in text


def test_places_are_shown_but_no_answer_unless_the_policy_lets_it_be_seen() -> None:
    base = evidence()
    hidden = sound(record(base.model_copy(update={"examples": records.examples(shown=False)})))
    assert "The policy shows no payload" in hidden
    assert "What they say" not in hidden
    assert "07-12-345-1af.jsonl:311" in hidden
    assert "What they say" in sound(records.promoted())


@pytest.mark.parametrize("kind", records.answers())
def test_every_comparators_figures_are_shown(kind: str) -> None:
    description = records.answers()[kind]
    text = sound(record(evidence(blocks=24).model_copy(update={"comparison": description})))
    section = text.partition("## How the answers differ")[2].partition("\n## ")[0]
    expected = {
        "label": "Rows by production's label", "label with score": "score shift", "number": "Bland-Altman",
        "probabilities": "jensen shannon", "ranking": "rbo distance", "text": "chrf distance",
        "embedding": "cosine distance", "json": "Pairs by field", "own": "cents",
    }  # fmt: skip
    assert expected[kind] in section
    assert rows(section, "both readable")


def test_a_field_tree_shows_what_happened_at_each_path() -> None:
    text = sound(record(evidence(blocks=24).model_copy(update={"comparison": records.answers()["json"]})))
    (note,) = (row for row in rows(text) if "note" in row[0] and len(row) > 2)
    assert "40" in note


def test_a_confusion_matrix_has_the_counts_of_the_comparator() -> None:
    figures = {"confusion": {"cat → cat": 90, "cat → dog": 7, "dog → dog": 3}, "confusion_complete": True}
    description = Description(kind="label", name="label", figures=figures)
    text = sound(record(evidence(blocks=24).model_copy(update={"comparison": description})))
    assert rows(text, "cat", "90", "7")
    assert rows(text, "dog", "·", "3")
    assert rows(text, "cat → dog", "7", "100.00 %")


@pytest.mark.parametrize(
    "figures",
    [
        {},
        {"confusion": {"a → b → c": 1}},
        {"confusion": {"no arrow": 1, "x → y": "many"}},
        {"confusion": 5, "production_labels": 3},
        {"bias": 1.0, "limits_of_agreement": None},
        {"bias": "x", "limits_of_agreement": ["a"], "difference": 5},
        {"fields": {"a.b": 5, "c": {"changed": None}}, "type_changes": [1]},
        {"fields": [], "deep": {"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}}},
    ],
)
@pytest.mark.parametrize("kind", ["label", "number", "json", "unheard of"])
def test_figures_of_an_unknown_shape_are_shown_as_they_are(kind: str, figures: dict[str, Any]) -> None:
    description = Description(kind=kind, name="x", figures=figures)
    sound(record(evidence(blocks=24).model_copy(update={"comparison": description})))


def missing(**changed: Any) -> DecisionRecord:
    return record(evidence(blocks=24, **changed))


EMPTY = MetricsEvidence(invocations=TwoSeries(production=(None,) * 24, shadow=(None,) * 24))


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(lambda: missing(truth=False), id="no truth"),
        pytest.param(lambda: missing(comparison=None), id="no comparison"),
        pytest.param(lambda: missing(cost=None, sources=()), id="no cost"),
        pytest.param(lambda: missing(metrics=EMPTY), id="no metrics"),
        pytest.param(lambda: missing(measures={}), id="no measures"),
        pytest.param(lambda: record(evidence(blocks=1, looks=1)), id="one block"),
        pytest.param(lambda: record(evidence(load=0.0, blocks=24)), id="no pairs"),
        pytest.param(lambda: record().model_copy(update={"looks": ()}), id="no looks"),
        pytest.param(
            lambda: missing(
                metrics=EMPTY.model_copy(
                    update={
                        "curve": (
                            CurvePoint(percentile="p50", production=None, shadow=5.0),
                            CurvePoint(percentile="p90", production=0.0, shadow=0.0),
                        ),
                        "latency": {"p50": TwoSeries(production=(None,) * 24, shadow=(None,) * 24)},
                        "errors": {"5xx": (None, 3)},
                    }
                )
            ),
            id="metrics of nothing",
        ),
        pytest.param(
            lambda: record(
                evidence(
                    blocks=0,
                    truth=False,
                    measures={},
                    looks=1,
                    mirror=MirrorEvidence(
                        configured_share=1.0, captured_share=1.0, production=(), shadow=(), paired=(), mismatched=()
                    ),
                ).model_copy(update={"blocks": Blocks(start=START, seconds=60, count=0)})
            ),
            id="no block",
        ),
    ],
)
def test_what_is_missing_is_told_and_breaks_nothing(made: Any) -> None:
    text = sound(made())
    assert "NaN" not in text
    assert "None" not in text.replace("None were kept", "")
