"""Labels as a record may show them: they are answers, so what hides parts of answers hides parts of labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shadow_provider.policy.examples import HIDDEN, Examples

# Figures of comparators whose keys are labels. Confusions have two, with an arrow between, each cut to 50 characters.
_COUNTED = ("production_labels", "candidate_labels", "confusion")
_SIDES = ("production", "candidate", "difference")
_ARROW = " → "
_CUT = 50


def without_masked(figures: Mapping[str, Any], examples: Examples) -> dict[str, Any]:
    """The figures with the policy's masks applied to labels; rows whose labels become equal are counted together."""
    if not examples.mask:
        return dict(figures)
    shown = dict(figures)
    for name in _COUNTED:
        if isinstance(shown.get(name), Mapping):
            shown[name] = _together(shown[name], examples)
    for side in _SIDES:
        of_side = shown.get(side)
        if isinstance(of_side, Mapping) and isinstance(of_side.get("f1"), Mapping):
            # No sum tells the F1 of two classes together: what a mask touches is left out.
            kept = {label: value for label, value in of_side["f1"].items() if _masked(label, examples) == label}
            shown[side] = {**of_side, "f1": kept}
    return shown


def _together(counts: Mapping[str, int], examples: Examples) -> dict[str, int]:
    together: dict[str, int] = {}
    for key, count in counts.items():
        shown = _ARROW.join(_masked(label, examples) for label in key.split(_ARROW))
        together[shown] = together.get(shown, 0) + count
    return together


def _masked(label: str, examples: Examples) -> str:
    # A mask may not match the first half of what it would have hidden as a whole.
    return HIDDEN if len(label) >= _CUT else examples.masked(label)
