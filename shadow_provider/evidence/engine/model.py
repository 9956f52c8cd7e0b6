"""What a look is asked, where the looks stand, and what they say."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from shadow_provider.comparators.contract import Summary
from shadow_provider.evidence.engine.blocks import BlockTable
from shadow_provider.evidence.engine.keys import PairedBy
from shadow_provider.evidence.engine.store import ReadableStore, StoredObject
from shadow_provider.evidence.engine.truth import TruthResult, TruthStanding
from shadow_provider.evidence.engine.worst import Worst
from shadow_provider.evidence.lines import FateCounter
from shadow_provider.policy.examples import Examples
from shadow_provider.policy.segments import AttributeSegment, Segment, SizeSegment
from shadow_provider.verdict.evidence import Example, SegmentEvidence, SizeClass
from shadow_provider.verdict.measures import Blocks, PairedMeasure, ScoreMeasure


@dataclass(frozen=True)
class Captures:
    """Which captures, and what of them.

    Attributes:
        store: where they lie.
        prefix: of the data capture's destination in it.
        endpoint: the endpoint's name.
        production: its production variant.
        shadow: its shadow variant.
        start: records before are out of the window.
        warm_up: how long after the start records are left out and counted.
    """

    store: ReadableStore
    prefix: str
    endpoint: str
    production: str
    shadow: str
    start: datetime
    warm_up: timedelta = timedelta(0)


@dataclass(frozen=True)
class Settings:
    """How to look.

    Attributes:
        block_seconds: length of a block.
        lag: how long after a record's time its object may come; then it is settled without it.
        repeats_within: how long an id is remembered after it was settled: a record with the same id is a duplicate. So
            long do records also wait if the other side has none at all.
        paired_by: what to pair by; chosen from the first captures of both sides if None.
        input_before: where pairs are found by input, how much older the shadow's record may be.
        input_after: and how much younger.
        memory_mb: what DuckDB may take before it spills to disk.
        threads: that DuckDB uses; all cores if None.
        batch_bytes: of captures that are held in memory at a time, about.
        temporary: folder for what is spooled and spilled; the system's if None.
    """

    block_seconds: int = 60
    lag: timedelta = timedelta(minutes=30)
    repeats_within: timedelta = timedelta(hours=6)
    paired_by: PairedBy | None = None
    input_before: timedelta = timedelta(seconds=2)
    input_after: timedelta = timedelta(seconds=60)
    memory_mb: int = 512
    threads: int | None = None
    batch_bytes: int = 32 << 20
    temporary: Path | None = None


@dataclass(frozen=True)
class Wanted:
    """What is asked for beside the measures of all pairs.

    Attributes:
        segments: parts of the traffic; hours of the day among them need no engine and are passed over.
        examples: how many of the worst disagreements, and how much of them; none by default.
    """

    segments: tuple[Segment, ...] = ()
    examples: Examples = field(default_factory=lambda: Examples(count=0))

    @property
    def exact_sizes(self) -> bool:
        """Whether a segment goes by the size of requests."""
        return any(isinstance(each, SizeSegment) for each in self.segments)

    @property
    def attributes(self) -> bool:
        """Whether a segment goes by custom attributes."""
        return any(isinstance(each, AttributeSegment) for each in self.segments)


@dataclass
class Standing:
    """Where the looks have come to: everything but the two tables `carry` and `seen`.

    Attributes:
        settled: blocks of what is settled.
        summary: of the settled pairs; None before the first.
        fates: of single lines by side; those of groups are in the blocks.
        objects: read so far, by number; the side is that of the key's variant.
        lines: read so far by side.
        strict_lines: lines that the strict reader had to settle.
        paired_by: None until it is known.
        horizon: everything before is settled, in microseconds; None before anything is.
        truth: of the labels; None if none are looked at.
        worst: disagreements among the settled pairs.
    """

    settled: BlockTable
    summary: Summary | None = None
    fates: tuple[FateCounter, FateCounter] = field(default_factory=lambda: (FateCounter(), FateCounter()))
    objects: list[StoredObject] = field(default_factory=list)
    lines: list[int] = field(default_factory=lambda: [0, 0])
    strict_lines: int = 0
    paired_by: PairedBy | None = None
    horizon: int | None = None
    truth: TruthStanding | None = None
    worst: Worst = field(default_factory=Worst)


@dataclass(frozen=True)
class Result:
    """What is known after a look.

    Attributes:
        blocks: from the start to the look's end.
        settled_blocks: how many of them can no longer change.
        measures: by outcome, and `unreadable`.
        summary: the comparator's description of all pairs; None without any.
        fates: of the lines by side; they add up to `lines`.
        places: examples of fates (`key:line`, or `key` alone) by side and fate.
        columns: of the groups by block: `production`, `shadow`, `paired`, `mismatched`.
        lines: read so far, by side.
        strict_lines: of which the strict reader settled so many, since the fast one could not be trusted with them.
        objects: read so far.
        paired_by: the key; None while one side has no record.
        pairs: so far.
        truth: of the pairs that are settled; None if no labels were looked at.
        sizes: captures by the size of their request, within the overlap and without those that wait.
        segments: every value that was asked for, and `(other)`; see `Wanted`.
        examples: the worst disagreements, worst first.
    """

    blocks: Blocks
    settled_blocks: int
    measures: dict[str, PairedMeasure | ScoreMeasure]
    summary: Summary | None
    fates: dict[str, dict[str, int]]
    places: dict[str, dict[str, tuple[str, ...]]]
    columns: dict[str, tuple[int, ...]]
    lines: dict[str, int]
    strict_lines: int
    objects: tuple[StoredObject, ...]
    paired_by: PairedBy | None
    pairs: int
    truth: TruthResult | None = None
    sizes: tuple[SizeClass, ...] = ()
    segments: tuple[SegmentEvidence, ...] = ()
    examples: tuple[Example, ...] = ()
