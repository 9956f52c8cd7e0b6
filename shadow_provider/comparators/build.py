"""From a specification to the comparator that does it."""

from collections.abc import Mapping
from typing import Any

from shadow_provider.comparators.contract import Comparator
from shadow_provider.comparators.kinds.embedding import EmbeddingComparator
from shadow_provider.comparators.kinds.json_tree import JsonComparator
from shadow_provider.comparators.kinds.label import LabelComparator
from shadow_provider.comparators.kinds.number import NumberComparator
from shadow_provider.comparators.kinds.own import OwnComparator
from shadow_provider.comparators.kinds.probabilities import ProbabilitiesComparator
from shadow_provider.comparators.kinds.ranking import RankingComparator
from shadow_provider.comparators.kinds.text import TextComparator
from shadow_provider.comparators.spec import ComparatorSpec, comparator_spec
from shadow_provider.comparators.summary import PartsSummary

_CLASSES: dict[str, Any] = {
    "label": LabelComparator,
    "number": NumberComparator,
    "probabilities": ProbabilitiesComparator,
    "ranking": RankingComparator,
    "text": TextComparator,
    "embedding": EmbeddingComparator,
    "json": JsonComparator,
    "own": OwnComparator,
}


def comparator(value: ComparatorSpec | Mapping[str, Any] | str) -> Comparator:
    """The comparator for a specification, or for a mapping or JSON text of one.

    Raises:
        ComparatorError: it is no usable specification, or a function that it names cannot be had.
    """
    spec = comparator_spec(value)
    made: Comparator = _CLASSES[spec.kind](spec)
    return made


def kept_summary(kind: str, state: Mapping[str, Any]) -> PartsSummary:
    """The summary that a comparator of a kind wrote with `to_state`."""
    kept: PartsSummary = _CLASSES[kind].summary_type.from_state(state)
    return kept
