"""What a policy masks in answers is masked in labels as well."""

from __future__ import annotations

from shadow_provider.evidence.masked_labels import without_masked
from shadow_provider.policy.examples import Examples

FIGURES = {
    "rows": 6,
    "production_labels": {"card 5555 a": 3, "card 4444 a": 2, "none": 1},
    "candidate_labels": {"none": 6},
    "confusion": {"card 5555 a → none": 3, "card 4444 a → none": 2, "none → none": 1},
    "production": {"accuracy": 0.5, "f1": {"card 5555 a": 0.1, "none": 0.2}},
}


def test_labels_that_a_mask_makes_equal_are_counted_together() -> None:
    shown = without_masked(FIGURES, Examples(mask=(r"\d{4}",)))
    assert shown == {
        "rows": 6,
        "production_labels": {"card *** a": 5, "none": 1},
        "candidate_labels": {"none": 6},
        "confusion": {"card *** a → none": 5, "none → none": 1},
        "production": {"accuracy": 0.5, "f1": {"none": 0.2}},
    }


def test_without_masks_labels_are_shown_as_they_are() -> None:
    assert without_masked(FIGURES, Examples()) == FIGURES


def test_a_label_that_was_cut_is_hidden_as_a_whole() -> None:
    # The mask would match the whole number, of which the cut has left fifteen digits.
    cut = "x" * 35 + "123456789012345"
    shown = without_masked({"confusion": {f"{cut} → ok": 1}}, Examples(mask=(r"\d{16}",)))
    assert shown == {"confusion": {"*** → ok": 1}}
