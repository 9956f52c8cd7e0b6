"""What a verdict is made of: a table of blocks and what it rests on, small however large the traffic was.

The shape belongs to the judge, who must be able to judge it again years later; `shadow_provider.evidence` fills it from
AWS. What is missing is None and never 0.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from shadow_provider.plan.frozen import Frozen
from shadow_provider.verdict.measures import Blocks, Count, Measure, UtcTime

Counts = tuple[Count, ...]
Figures = tuple[float | None, ...]


class SideCensus(Frozen):
    """What became of each line of one variant's captures; `fates` add up to `lines`.

    `examples` has up to five places (`key:line`) for each fate that is an abnormal one; never a payload.
    """

    objects: Count = 0
    lines: Count = 0
    fates: dict[str, Count] = Field(default_factory=dict)
    examples: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class CaptureEvidence(Frozen):
    """What was read of the captures.

    Attributes:
        production: census of production's lines.
        shadow: census of the shadow's.
        paired_by: the key of the pairs; None while one side has none.
        settled_blocks: blocks that no later look can change.
        strict_lines: lines that only the strict reader could settle.
    """

    production: SideCensus = SideCensus()
    shadow: SideCensus = SideCensus()
    paired_by: Literal["inference_id", "event_id", "input"] | None = None
    settled_blocks: Count = 0
    strict_lines: Count = 0


class SizeClass(Frozen):
    """Captures by the size of their request: do large ones find their partner as often as small ones?

    Attributes:
        at_least: bytes; the class ends where the next one begins.
        production: production's captures.
        shadow: the shadow's.
        paired: pairs.
    """

    at_least: Count
    production: Count
    shadow: Count
    paired: Count


class MirrorEvidence(Frozen):
    """Whether the shadow got what production got, by block.

    Attributes:
        configured_share: share of the requests that should be mirrored, 0..1.
        captured_share: share of the requests that each side captures, 0..1.
        production: production's captures.
        shadow: the shadow's captures.
        paired: captures of both sides that are of one request with one input.
        mismatched: captures of both sides with one id and different inputs.
        sizes: the same by size of the request.
    """

    configured_share: Annotated[float, Field(gt=0, le=1)]
    captured_share: Annotated[float, Field(gt=0, le=1)]
    production: Counts
    shadow: Counts
    paired: Counts
    mismatched: Counts
    sizes: tuple[SizeClass, ...] = ()


class TwoSeries(Frozen):
    """A figure of both variants by block; None where there is none."""

    production: Figures
    shadow: Figures

    def first(self, count: int) -> "TwoSeries":
        """The first blocks."""
        return TwoSeries.model_construct(production=self.production[:count], shadow=self.shadow[:count])

    def of_blocks(self, chosen: Sequence[bool]) -> "TwoSeries":
        """The figures of some blocks; the others have none."""
        return TwoSeries(production=_where(chosen, self.production), shadow=_where(chosen, self.shadow))


def _where(chosen: Sequence[bool], figures: Figures) -> Figures:
    return tuple(figure if here else None for figure, here in zip(figures, chosen, strict=True))


class CurvePoint(Frozen):
    """A percentile of both variants' ModelLatency over the whole window, in microseconds."""

    percentile: str
    production: float | None
    shadow: float | None


class MetricsEvidence(Frozen):
    """What CloudWatch says besides what the gates are judged by.

    Attributes:
        invocations: of both variants by block.
        errors: failed invocations by kind (`4xx`, `5xx`, `model`) of both variants, over the window.
        latency: percentiles of ModelLatency in microseconds by block.
        curve: percentiles over the whole window, ascending.
        utilisation: averages by metric (`CPUUtilization`) of both variants.
        gaps: blocks that were left out, by cause.
        notes: what CloudWatch did not answer, in words.
    """

    invocations: TwoSeries
    errors: dict[str, tuple[Count | None, Count | None]] = Field(default_factory=dict)
    latency: dict[str, TwoSeries] = Field(default_factory=dict)
    curve: tuple[CurvePoint, ...] = ()
    utilisation: dict[str, tuple[float | None, float | None]] = Field(default_factory=dict)
    gaps: dict[str, Count] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def first(self, count: int) -> "MetricsEvidence":
        """The series of the first blocks; what is told of the window stays."""
        latency = {name: series.first(count) for name, series in self.latency.items()}
        return self.model_copy(update={"invocations": self.invocations.first(count), "latency": latency})


class Description(Frozen):
    """What a comparator says of all pairs together: figures that a person reads, which decide nothing."""

    kind: str
    name: str
    figures: dict[str, Any]


class TruthEvidence(Frozen):
    """Ground truth: what was read, what became of each line, and how many pairs have a label, by block.

    `fates` add up to `lines`.
    """

    lines: Count = 0
    fates: dict[str, Count] = Field(default_factory=dict)
    examples: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    labelled: Counts
    description: Description | None = None


class SegmentEvidence(Frozen):
    """The pairs of one value of a segment, by block."""

    segment: str
    value: str
    pairs: Counts
    measures: dict[str, Measure]


class Example(Frozen):
    """A pair whose answers differ most, with as much of them as the policy lets be seen.

    Attributes:
        outcome: what they differ in.
        value: how much.
        time: of production's record.
        production_place: `key:line` of it, or `key`.
        shadow_place: of the shadow's.
        input_bytes: size of the request.
        production_characters: length of production's answer; None if there was none.
        shadow_characters: of the shadow's.
        production: the answer, masked and cut; None if it may not be shown.
        shadow: likewise.
    """

    outcome: str
    value: float
    time: UtcTime
    production_place: str
    shadow_place: str
    input_bytes: Count | None = None
    production_characters: Count | None = None
    shadow_characters: Count | None = None
    production: str | None = None
    shadow: str | None = None


class ShadowCost(Frozen):
    """What the shadow took.

    Attributes:
        instance_type: of the shadow's instances; None if serverless or unknown.
        instance_count: at the last look.
        hours: from the shadow config's making to the last look.
    """

    instance_type: str | None = None
    instance_count: Count
    hours: Annotated[float, Field(ge=0)]

    @property
    def instance_hours(self) -> float:
        """Instances times hours: at most what is billed for the shadow so far, if their number did not change."""
        return self.instance_count * self.hours


class Source(Frozen):
    """The objects that were read: their number, a SHA-256 over their sorted `key ETag` lines, and the list if short."""

    kind: Literal["captures", "ground_truth"]
    location: str
    objects: Count
    digest: str
    etags: dict[str, str] | None = None


class Evidence(Frozen):
    """Everything that a verdict may depend on, next to the policy.

    Attributes:
        endpoint_name: the endpoint.
        production_variant: its production variant.
        shadow_variant: its shadow variant.
        since: when the shadow config was made.
        blocks: the blocks up to the last look's end; all columns are as long.
        looks: the ends of all looks, the last one's at the end.
        measures: what gates are judged by, by name: `unreadable`, `invocation_errors`, `model_latency_<percentile>`,
            the comparator's outcomes, and those of the truth with `truth_` before them.
        segments: the comparator's measures of parts of the traffic.
        captures: what was read.
        mirror: whether it can be trusted.
        metrics: what CloudWatch says.
        comparison: the comparator's description; None without pairs.
        truth: None if no ground truth was given.
        examples: the worst disagreements, worst first.
        cost: of the shadow; None if unknown.
        sources: what was read.
    """

    endpoint_name: str
    production_variant: str
    shadow_variant: str
    since: UtcTime
    blocks: Blocks
    looks: Annotated[tuple[UtcTime, ...], Field(min_length=1)]
    measures: dict[str, Measure]
    segments: tuple[SegmentEvidence, ...] = ()
    captures: CaptureEvidence
    mirror: MirrorEvidence
    metrics: MetricsEvidence
    comparison: Description | None = None
    truth: TruthEvidence | None = None
    examples: tuple[Example, ...] = ()
    cost: ShadowCost | None = None
    sources: tuple[Source, ...] = ()

    @model_validator(mode="after")
    def _equally_long(self) -> Self:
        count = self.blocks.count
        lengths = {name: measure.blocks for name, measure in self.measures.items()}
        lengths |= {f"mirror.{name}": len(getattr(self.mirror, name)) for name in _MIRROR_COLUMNS}
        for name, series in (("invocations", self.metrics.invocations), *self.metrics.latency.items()):
            lengths |= {f"metrics.{name}.{side}": len(column) for side, column in series}
        for segment in self.segments:
            where = f"{segment.segment}={segment.value}"
            lengths[where] = len(segment.pairs)
            lengths |= {f"{where}.{name}": measure.blocks for name, measure in segment.measures.items()}
        if self.truth is not None:
            lengths["truth.labelled"] = len(self.truth.labelled)
        wrong = {name: length for name, length in lengths.items() if length != count}
        if wrong:
            raise ValueError(f"columns that do not have {count} blocks: {wrong}")
        if list(self.looks) != sorted(set(self.looks)):
            raise ValueError("looks must ascend")
        return self

    @property
    def pairs(self) -> int:
        """Requests of which both answers were captured."""
        return sum(self.mirror.paired)

    def at(self, end: datetime) -> "Evidence":
        """The evidence as it was at a look that ended then, by what is known now: its whole blocks.

        What is told of all blocks together (fates, descriptions, examples) stays that of the last look, but for the
        sizes of requests, which the mirror is judged by: they are left out.
        """
        count = max(0, min(self.blocks.count, (end - self.blocks.start) // timedelta(seconds=self.blocks.seconds)))
        if count == self.blocks.count:
            return self
        mirror: dict[str, Any] = {name: getattr(self.mirror, name)[:count] for name in _MIRROR_COLUMNS} | {"sizes": ()}
        segments = tuple(
            each.model_copy(
                update={"pairs": each.pairs[:count], "measures": {k: m.first(count) for k, m in each.measures.items()}}
            )
            for each in self.segments
        )
        truth = self.truth and self.truth.model_copy(update={"labelled": self.truth.labelled[:count]})
        return self.model_copy(
            update={
                "blocks": self.blocks.model_copy(update={"count": count}),
                "looks": tuple(look for look in self.looks if look <= end) or self.looks[:1],
                "measures": {name: measure.first(count) for name, measure in self.measures.items()},
                "segments": segments,
                "mirror": self.mirror.model_copy(update=mirror),
                "metrics": self.metrics.first(count),
                "truth": truth,
            }
        )


_MIRROR_COLUMNS = ("production", "shadow", "paired", "mismatched")
