"""Losses of distributions over classes, given the true class."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shadow_provider.comparators.kinds.probabilities import valid_rows, with_complement
from shadow_provider.comparators.label import UnreadableAnswerError, normalise
from shadow_provider.comparators.numbers import Ragged
from shadow_provider.comparators.paired import Bools, Floats, any_row
from shadow_provider.comparators.truth_spec import ProbabilitiesTruthSpec
from shadow_provider.comparators.vectors import Named, matrices, read_vectors


@dataclass(frozen=True)
class ClassLosses:
    """Losses of the rows of one side.

    Attributes:
        owner: for each row, the pair.
        brier: its Brier score, NaN where the pair does not fit.
        log: its log loss.
        fits: for each pair, whether all of its rows are distributions over classes of which one is the true one.
        readable: for each pair, whether the answer could be read.
        causes: why not, with counts.
    """

    owner: NDArray[np.int64]
    brier: Floats
    log: Floats
    fits: Bools
    readable: Bools
    causes: Counter[str]


def truth_of_classes(batch: Any, true: Ragged, words: list[str], spec: ProbabilitiesTruthSpec) -> ClassLosses:
    """The losses of one side.

    Args:
        batch: its answers.
        true: the true labels, as places in `words`.
        words: the labels.
        spec: how.
    """
    names: dict[Named, int] = {}
    vectors = with_complement(read_vectors(batch, spec.selector, names))
    count = len(vectors.readable)
    fits = vectors.readable & true.readable & (vectors.rows_of == true.lengths)
    rows = np.flatnonzero(fits[vectors.owner])
    labels = true.rows(fits).astype(np.int64)
    places = _places(vectors.names[rows], labels, list(names), words, spec)
    sizes = np.diff(vectors.offsets)[rows]
    good = (places >= 0) & (places < sizes) & valid_rows(vectors, spec.sum_tolerance)[rows]
    if spec.classes:
        good &= (vectors.names[rows] != 0) | (sizes == len(spec.classes))
    bad_pairs = any_row(~good, vectors.owner[rows], count)
    brier, log = (np.full(len(vectors.owner), np.nan) for _ in range(2))
    kept = np.flatnonzero(good)
    for at, values in matrices(vectors, rows[kept]):
        chosen = kept[at]
        p = values / values.sum(axis=1, keepdims=True)
        of_truth = p[np.arange(len(p)), places[chosen]]
        brier[rows[chosen]] = np.clip((p * p).sum(axis=1) - 2 * of_truth + 1, 0.0, 2.0)
        log[rows[chosen]] = -np.log(np.clip(of_truth, spec.clip, 1.0))
    return ClassLosses(vectors.owner, brier, log, fits & ~bad_pairs, vectors.readable, vectors.causes)


def _places(
    names: NDArray[np.int64],
    labels: NDArray[np.int64],
    known: list[Named],
    words: list[str],
    spec: ProbabilitiesTruthSpec,
) -> NDArray[np.int64]:
    """For each row the place of the true class among its values, -1 where there is none."""
    pairs, which = np.unique(np.stack([names, labels]), axis=1, return_inverse=True)
    found = [_place(known[name], words[label], spec) for name, label in pairs.T.tolist()]
    return np.array(found, dtype=np.int64)[which.ravel()] if found else np.zeros(0, dtype=np.int64)


def _place(names: Named, label: str, spec: ProbabilitiesTruthSpec) -> int:
    listed = names if names is not None else spec.classes
    if not listed:
        return int(label) if label.isascii() and label.isdigit() and len(label) < 10 else -1
    return next((place for place, name in enumerate(listed) if _normal(name) == label), -1)


def _normal(name: str) -> str | None:
    try:
        return normalise(name)
    except UnreadableAnswerError:
        return None
