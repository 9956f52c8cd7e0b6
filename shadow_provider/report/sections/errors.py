"""Pairs in which something went wrong, by side, and what a single look at a fixed sample would say."""

import math
from collections.abc import Iterator
from itertools import islice

import numpy as np

from shadow_provider.comparators.outcomes import Outcome, outcomes_of, truth_outcomes_of
from shadow_provider.report.document import Part, Section, Sentence, Table, table
from shadow_provider.report.limits import Limits
from shadow_provider.report.text import NOTHING, count, share_of
from shadow_provider.statistics.hodges_lehmann import hodges_lehmann, signed_rank_bounds
from shadow_provider.statistics.paired import mcnemar_mid_p, tango_interval
from shadow_provider.statistics.proportion import newcombe_difference
from shadow_provider.verdict.measures import PairedMeasure, RateMeasure, RatioMeasure
from shadow_provider.verdict.record import DecisionRecord
from shadow_provider.verdict.units import Unit, show

ONE_SIDED = 0.025
"""Of the intervals that describe: 95 % on both sides together."""

MOST_CHANGE = 1e9


def section(record: DecisionRecord, limits: Limits) -> Section | None:
    """Two by two for each kind of harm; descriptive intervals."""
    harms = dict(islice(_harms(record), limits.rows))
    parts: list[Part] = [_two_by_two(record, name, measure) for name, measure in harms.items()]
    rows = [*_fixed_sample(record, harms)]
    if rows:
        headings = ("figure", "method", "estimate", "95 % interval", "p value")
        parts.append(table("As a fixed sample: description only", headings, rows, numeric=(2, 3, 4)))
        parts.append(
            Sentence(
                "These rows are what a single planned look at independent pairs would say. They describe: they do not "
                "hold at every look, they take neighbouring pairs as independent, and they decide nothing."
            )
        )
    if not parts:
        return None
    return Section(
        "errors",
        "Errors, pair by pair",
        "Both variants answered the same requests. Only pairs in which one side alone went wrong tell them apart.",
        tuple(parts),
    )


def _harms(record: DecisionRecord) -> Iterator[tuple[str, PairedMeasure]]:
    """The measures in which either side can do harm: in others a pair only differs."""

    def sided(outcomes: tuple[Outcome, ...], before: str = "") -> list[str]:
        return [f"{before}{each.name}" for each in outcomes if each.kind == "binary" and each.signed]

    policy, measures = record.policy, record.evidence.measures
    names = [
        "unreadable",
        *sided(outcomes_of(policy.comparator)),
        *sided(truth_outcomes_of(policy.ground_truth), "truth_"),
    ]
    for name in dict.fromkeys(names):
        measure = measures.get(name)
        if isinstance(measure, PairedMeasure):
            yield name, measure


_WORDS = {"unreadable": "unreadable", "truth_wrong": "wrong"}


def _two_by_two(record: DecisionRecord, name: str, measure: PairedMeasure) -> Table:
    word = _WORDS.get(name, name.replace("_", " "))
    worse, better, rest = sum(measure.worse), sum(measure.better), measure.n
    rest -= worse + better
    both = _both(record, name, measure)
    caption = f"Pairs by what is {word}, of {measure.n:,}"
    if both is None:
        rows = [
            (f"candidate alone {word}", count(worse), share_of(worse, measure.n)),
            (f"production alone {word}", count(better), share_of(better, measure.n)),
            ("both or neither (not told apart)", count(rest), share_of(rest, measure.n)),
        ]
        return table(caption, ("pairs", "number", "share"), rows, numeric=(1, 2))
    rows = [
        ("production fine", count(rest - both), count(worse)),
        (f"production {word}", count(better), count(both)),
    ]
    return table(caption, ("", "candidate fine", f"candidate {word}"), rows, numeric=(1, 2))


def _both(record: DecisionRecord, name: str, measure: PairedMeasure) -> int | None:
    """Pairs in which both sides went wrong, where the descriptions are of the same pairs and agree with the measure."""
    worse, better = sum(measure.worse), sum(measure.better)
    if name == "unreadable" and record.evidence.comparison is not None:
        figures = record.evidence.comparison.figures
        keys = ("pairs", "candidate_alone_unreadable", "production_alone_unreadable")
        both = figures.get("both_unreadable")
        same = tuple(figures.get(key) for key in keys) == (measure.n, worse, better)
        return both if same and isinstance(both, int) and 0 <= both <= measure.n - worse - better else None
    truth = record.evidence.truth
    if name == "truth_wrong" and truth is not None and truth.description is not None:
        figures = truth.description.figures
        if figures.get("rows") != measure.n:
            return None
        wrong = [_wrong(figures.get(side), measure.n) for side in ("candidate", "production")]
        if None in wrong:
            return None
        one, other = ((each or 0) - alone for each, alone in zip(wrong, (worse, better), strict=True))
        return one if one == other and 0 <= one <= measure.n - worse - better else None
    return None


def _wrong(side: object, rows: int) -> int | None:
    accuracy = side.get("accuracy") if isinstance(side, dict) else None
    return round((1 - accuracy) * rows) if isinstance(accuracy, int | float) else None


def _fixed_sample(record: DecisionRecord, harms: dict[str, PairedMeasure]) -> Iterator[tuple[str, ...]]:
    for name, measure in harms.items():
        if measure.n:
            worse, better = sum(measure.worse), sum(measure.better)
            interval = tango_interval(worse, better, measure.n, ONE_SIDED)
            shown = _shown((worse - better) / measure.n, interval, Unit.RATE_DIFFERENCE)
            p_value = mcnemar_mid_p(worse, better)
            yield (
                f"{_WORDS.get(name, name.replace('_', ' '))} answers",
                "Tango; McNemar mid-p",
                *shown,
                f"{p_value:.3g}",
            )
    for name, other in sorted(record.evidence.measures.items()):
        if isinstance(other, RateMeasure):
            columns = (other.events, other.trials, other.reference_events, other.reference_trials)
            events, trials, reference_events, reference_trials = map(sum, columns)
            if trials and reference_trials:
                interval = newcombe_difference(events, trials, reference_events, reference_trials, ONE_SIDED)
                estimate = events / trials - reference_events / reference_trials
                yield name.replace("_", " "), "Newcombe", *_shown(estimate, interval, Unit.RATE_DIFFERENCE), NOTHING
        elif isinstance(other, RatioMeasure):
            logarithms = np.array(other.log_ratios, dtype=np.float64)
            centre = hodges_lehmann(logarithms)
            if centre is not None:
                lower, upper = (_as_change(bound) for bound in signed_rank_bounds(logarithms, ONE_SIDED))
                shown = _shown(_as_change(centre), (lower, upper), Unit.RELATIVE_CHANGE)
                yield name.replace("_", " "), "Hodges-Lehmann, by block", *shown, NOTHING


def _as_change(logarithm: float) -> float:
    """A log-ratio as a relative change; infinite where it is too large for one."""
    return math.expm1(logarithm) if logarithm < math.log(MOST_CHANGE) else math.inf


def _shown(estimate: float, interval: tuple[float, float], unit: Unit) -> tuple[str, str]:
    lower, upper = (show(bound, unit) if math.isfinite(bound) else "open" for bound in interval)
    return show(estimate, unit), f"{lower} to {upper}"
