"""The data of the demo: scikit-learn's own handwritten digits, split once and for all.

The split has a seed of its own that nothing else can change: whatever seed models are trained with, traffic never
sends a row that a model was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPLIT_SEED = 20240
TRAIN_ROWS = 597


@dataclass(frozen=True, slots=True)
class DigitsSplit:
    """8x8 images of digits as rows of 64 numbers (0 to 16), stratified by digit."""

    train_features: NDArray[Any]
    train_labels: NDArray[Any]
    held_out_features: NDArray[Any]
    held_out_labels: NDArray[Any]


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """A request body and the label that is known to be right for it."""

    body: str
    label: str


def load_split() -> DigitsSplit:
    """Load the digits: 597 rows to train with, 1200 held out."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    features, labels = load_digits(return_X_y=True)
    train_x, held_out_x, train_y, held_out_y = train_test_split(
        features, labels, train_size=TRAIN_ROWS, stratify=labels, random_state=SPLIT_SEED
    )
    return DigitsSplit(train_x, train_y, held_out_x, held_out_y)


def held_out_rows() -> list[LabelledRow]:
    """The held-out rows as CSV bodies of one row each, with their labels."""
    split = load_split()
    return [
        LabelledRow(body=",".join(f"{value:g}" for value in row), label=str(int(label)))
        for row, label in zip(split.held_out_features, split.held_out_labels, strict=True)
    ]
