"""The noise floor: what differs although nothing was changed, and the tolerances that let it pass.

In an A/A run the candidate is production's own model. What differs then is noise: sampling, clocks, request ids,
floating point on other hardware. Tolerances learnt from it keep later comparisons from calling noise a difference.
"""

from dataclasses import dataclass
from typing import Any

from shadow_provider.comparators.json_diff import ADDED, CHANGED, LENGTH, MISSING, TOLERATED, TYPE
from shadow_provider.comparators.kinds.json_tree import JsonSummary
from shadow_provider.comparators.kinds.number import NumberSummary
from shadow_provider.comparators.log_histogram import ACCURACY
from shadow_provider.comparators.spec import FieldRule, JsonSpec, NumberSpec, path_steps

FEWEST_PAIRS = 100


@dataclass(frozen=True)
class Suggestion:
    """What an A/A run suggests for one field.

    Attributes:
        path: the field; empty for a comparator of one number.
        differing: share of the pairs in which it differs by itself.
        rule: what to write into the specification, as JSON; empty if no rule can be given.
        reason: in a sentence.
    """

    path: str
    differing: float
    rule: dict[str, Any]
    reason: str


def suggest(summary: Any, *, quantile: float = 0.999) -> tuple[Suggestion, ...]:
    """Tolerances from the summary of an A/A run.

    A number gets the quantile of its absolute differences, rounded up by the histogram's 1 %. A JSON field that differs
    gets a tolerance if all of its differences are between two numbers, and is to be ignored otherwise.

    Args:
        summary: of a number or of a JSON comparator.
        quantile: share of the noise that the tolerance should let pass.

    Raises:
        ValueError: fewer than 100 pairs, or a summary of another kind.
    """
    if not isinstance(summary, NumberSummary | JsonSummary):
        raise ValueError(f"no tolerances can be learnt from a {type(summary).__name__}")
    if summary.pairs["both"] < FEWEST_PAIRS:
        raise ValueError(f"{summary.pairs['both']} readable pairs; at least {FEWEST_PAIRS} are needed")
    return _of_number(summary, quantile) if isinstance(summary, NumberSummary) else _of_json(summary, quantile)


def _of_number(summary: NumberSummary, quantile: float) -> tuple[Suggestion, ...]:
    size = summary.size.quantile(quantile)
    rows = summary.size.count
    if not size:
        return ()
    differing = 1 - summary.size.bins.get(0, 0) / rows
    rule = {"absolute_tolerance": _up(size)}
    return (Suggestion("", differing, rule, f"{quantile:.1%} of {rows} rows differ by no more"),)


def _of_json(summary: JsonSummary, quantile: float) -> tuple[Suggestion, ...]:
    pairs, found = summary.pairs["both"], []
    for path, what in summary.by_path().items():
        share = max(what.values()) / pairs
        sizes = summary.sizes.histograms.get(path)
        if not _is_pattern(path):
            found.append(Suggestion(path, share, {}, "differs by itself, but no rule can name this path"))
        elif not {*what} - {CHANGED, TOLERATED} and path not in _mixed(summary) and sizes is not None:
            size = sizes.quantile(quantile)
            assert size is not None
            rule = {"path": path, "absolute_tolerance": _up(size)}
            reason = f"{quantile:.1%} of the numbers that differ do so by no more"
            found.append(Suggestion(path, share, rule, reason))
        elif LENGTH in what and len(what) == 1:
            found.append(
                Suggestion(path, share, {"path": path, "ignore": True}, "the list changes its length by itself")
            )
        else:
            words = [name.replace("_", " ") for name in (CHANGED, TYPE, MISSING, ADDED) if name in what]
            reason = f"is {' or '.join(words) or 'another'} by itself"
            found.append(Suggestion(path, share, {"path": path, "ignore": True}, reason))
    return tuple(sorted(found, key=lambda each: (-each.differing, each.path)))


def _mixed(summary: JsonSummary) -> frozenset[str]:
    return frozenset(summary.others.counts)


def _is_pattern(path: str) -> bool:
    try:
        return path != "$" and bool(path_steps(path)) and "*" not in path
    except ValueError:
        return False


def _up(size: float) -> float:
    """Three digits, and never less than the true quantile, from which the histogram is off by 1 %."""
    return float(f"{size * (1 + 2 * ACCURACY):.3g}")


def with_rules(spec: JsonSpec, suggestions: tuple[Suggestion, ...]) -> JsonSpec:
    """A JSON comparator with the suggested rules after its own."""
    rules = tuple(FieldRule(**each.rule) for each in suggestions if each.rule)
    return spec.model_copy(update={"rules": spec.rules + rules})


def with_tolerance(spec: NumberSpec, suggestions: tuple[Suggestion, ...]) -> NumberSpec:
    """A number comparator with the suggested tolerance, if that is more than its own."""
    suggested = max((each.rule["absolute_tolerance"] for each in suggestions), default=0.0)
    return spec.model_copy(update={"absolute_tolerance": max(spec.absolute_tolerance, suggested)})
