"""Measures of parts of the traffic: pairs by the size of their request, or by what callers say in custom attributes.

Hours of the day need no reading: they are told from the blocks, see `shadow_provider.verdict.hours`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shadow_provider.comparators.outcomes import Outcome
from shadow_provider.evidence.engine.blocks import UNREADABLE, BlockTable, Index
from shadow_provider.evidence.engine.settling import Groups
from shadow_provider.evidence.engine.sizes import sizes_of
from shadow_provider.policy.segments import OTHER, AttributeSegment, HourSegment, Segment, SizeSegment
from shadow_provider.verdict.evidence import SegmentEvidence
from shadow_provider.verdict.measures import PairedMeasure

PairSegment = SizeSegment | AttributeSegment

_SEPARATOR = re.compile("[,;]")


def by_pair(segments: Sequence[Segment]) -> tuple[PairSegment, ...]:
    """The segments that must be told pair by pair."""
    return tuple(each for each in segments if not isinstance(each, HourSegment))


def attribute(attributes: str, key: str) -> str | None:
    """The value of a key in custom attributes, a JSON list of strings such as `country=de,tier=gold`.

    SageMaker does not say how several attributes are written in the one header: they may be parted by commas or
    semicolons, or stand in strings of their own. Of a key that comes twice the first value counts.
    """
    for text in json.loads(attributes):
        for part in _SEPARATOR.split(text):
            name, found, value = part.partition("=")
            if found and name.strip() == key:
                return str(value.strip())
    return None


def add_segments(
    table: BlockTable,
    segments: Sequence[PairSegment],
    pairs: Groups,
    blocks: Index,
    figures: Mapping[Outcome, NDArray[np.float64]],
) -> None:
    """Add the figures of pairs to the columns of their values; `UNREADABLE` is one of the figures and counts them."""
    for segment in segments:
        numbers = _numbers(segment, pairs)
        for number in np.flatnonzero(np.bincount(numbers)).tolist():
            here = numbers == number
            for outcome, values in figures.items():
                table.add_outcome(_of_part(segment, number, outcome), blocks[here], values[here])


def segment_evidence(
    table: BlockTable, segments: Sequence[PairSegment], outcomes: Sequence[Outcome], count: int
) -> tuple[SegmentEvidence, ...]:
    """Every value that was asked for, and `(other)` where there are such pairs."""
    found = []
    for segment in segments:
        for number, value in enumerate((*segment.values, OTHER)):
            asked = [_of_part(segment, number, outcome) for outcome in (UNREADABLE, *outcomes)]
            measures = {
                name.rpartition("/")[2]: measure for name, measure in table.outcome_measures(asked, count).items()
            }
            every = measures[UNREADABLE.name]
            assert isinstance(every, PairedMeasure)
            if value != OTHER or every.n:
                found.append(SegmentEvidence(segment=segment.name, value=value, pairs=every.pairs, measures=measures))
    return tuple(found)


def _numbers(segment: PairSegment, pairs: Groups) -> NDArray[np.int64]:
    """Which of the segment's values each pair has; the number after the last one is that of `(other)`."""
    other = len(segment.values)
    if isinstance(segment, SizeSegment):
        sizes = sizes_of(pairs)
        return np.where(sizes < 0, other, np.searchsorted(segment.edges, sizes, side="right"))
    known = {value: number for number, value in enumerate(segment.values)}
    # Callers that are alike send the same text: each different one is read once a batch.
    texts = pairs.batch.column("attributes").dictionary_encode()
    values = [attribute(text, segment.key) for text in texts.dictionary.to_pylist()]
    numbers = [other if value is None else known.get(value, other) for value in values]
    every: NDArray[np.int64] = np.array([*numbers, other])[np.asarray(texts.indices.fill_null(len(values)))]
    return every


def _of_part(segment: PairSegment, number: int, outcome: Outcome) -> Outcome:
    return replace(outcome, name=f"segment/{segment.name}/{number}/{outcome.name}")
