"""Parts of the day: measures of blocks are enough for them."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC

from shadow_provider.policy.segments import HourSegment
from shadow_provider.verdict.evidence import SegmentEvidence
from shadow_provider.verdict.measures import Blocks, Measure


def by_hour(
    segment: HourSegment, blocks: Blocks, pairs: Sequence[int], measures: Mapping[str, Measure]
) -> tuple[SegmentEvidence, ...]:
    """The pairs and measures of each part of the day. A block belongs to the hour in which it begins, in UTC.

    Args:
        segment: the parts.
        blocks: of the deployment.
        pairs: by block.
        measures: of the same blocks, by name.
    """
    # Before the first edge it is still the last part, which began the day before: that is number -1.
    numbers = [bisect_right(segment.edges, start.astimezone(UTC).hour) - 1 for start in blocks.starts()]
    found = []
    for number, value in enumerate(segment.values):
        here = [each % len(segment.edges) == number for each in numbers]
        found.append(
            SegmentEvidence(
                segment=segment.name,
                value=value,
                pairs=tuple(count if inside else 0 for count, inside in zip(pairs, here, strict=True)),
                measures={name: measure.of_blocks(here) for name, measure in measures.items()},
            )
        )
    return tuple(found)
