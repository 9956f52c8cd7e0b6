"""What a verdict is made of: counts only, however large the traffic was.

The shape belongs to the judge, who must be able to judge it again years later; `shadow_provider.evidence` fills it from
AWS. What is missing is None and never 0.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

Count = Annotated[int, Field(ge=0)]


class Frozen(BaseModel):
    """Immutable, strict about names, and never NaN or infinite: it must survive JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EvidenceWindow(Frozen):
    """A span of time in UTC: start inclusive, end exclusive.

    Raises:
        ValueError: a time without a zone, or an end that is not after the start.
    """

    start: AwareDatetime
    end: AwareDatetime

    @field_validator("start", "end")
    @classmethod
    def _in_utc(cls, value: datetime) -> datetime:
        return value.astimezone(UTC)

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"the window's end ({self.end}) must be after its start ({self.start})")
        return self

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


class PairedTable(Frozen):
    """How often something holds on both sides of a pair, on one, on neither."""

    both: Count = 0
    production_only: Count = 0
    shadow_only: Count = 0
    neither: Count = 0

    @property
    def pairs(self) -> int:
        """All pairs that were looked at."""
        return self.both + self.production_only + self.shadow_only + self.neither


class Disagreement(Frozen):
    """One kind of disagreement: what production said, what the shadow said, how often."""

    production: str
    shadow: str
    count: Count


class Agreement(Frozen):
    """Labels of the pairs in which at least one side's answer could be read.

    A pair that is readable on one side only does not agree. Pairs readable on neither side are not in `pairs`.
    """

    pairs: Count = 0
    agreeing: Count = 0
    disagreements: tuple[Disagreement, ...] = ()


class TruthEvidence(Frozen):
    """Ground truth: what was read, what became of each line, and who was right in the pairs that have a label.

    An answer that cannot be read is wrong. `fates` add up to `lines`.
    """

    lines: Count = 0
    fates: dict[str, Count] = {}
    examples: dict[str, tuple[str, ...]] = {}
    correct: PairedTable = PairedTable()


class SideCensus(Frozen):
    """What became of each line of one variant's captures; `fates` add up to `lines`.

    `examples` has up to five places (`key:line`) for each fate that is an abnormal one; never a payload.
    """

    objects: Count = 0
    lines: Count = 0
    fates: dict[str, Count] = {}
    examples: dict[str, tuple[str, ...]] = {}
    first: AwareDatetime | None = None
    last: AwareDatetime | None = None


class CaptureCensus(Frozen):
    """The censuses of both variants' captures."""

    production: SideCensus
    shadow: SideCensus


class MirrorEvidence(Frozen):
    """Whether the shadow got what production got.

    Attributes:
        configured_share: share of the requests that should be mirrored, 0..1.
        captured_share: share of the requests that each side captures, 0..1.
        share_source: where requests and mirrored come from: `captures` by id, or `metrics`, whole minutes only.
        requests: production's requests that count for the share; None if it could not be measured.
        mirrored: those of them that the shadow got.
        joinable: the smaller side's captures with an id, in the span that both sides cover.
        joined: how many of them found their partner with the same input.
        production_tail: production's captures after the shadow's last one.
        shadow_tail: the shadow's captures after production's last one.
    """

    configured_share: Annotated[float, Field(gt=0, le=1)]
    captured_share: Annotated[float, Field(gt=0, le=1)]
    share_source: Literal["captures", "metrics"]
    requests: Count | None
    mirrored: Count | None
    joinable: Count
    joined: Count
    production_tail: Count
    shadow_tail: Count


class VariantMetrics(Frozen):
    """CloudWatch's figures of one variant over the whole window. None: CloudWatch has no such figure.

    `latency` holds ModelLatency in microseconds by statistic, such as p50, p99, p88.21.
    """

    invocations: Count | None = None
    errors_4xx: Count | None = None
    errors_5xx: Count | None = None
    model_errors: Count | None = None
    latency_samples: Count | None = None
    latency: dict[str, float | None] = {}

    @property
    def errors(self) -> int | None:
        """Failed invocations, or None if one of the two counts is missing."""
        if self.errors_4xx is None or self.errors_5xx is None:
            return None
        return self.errors_4xx + self.errors_5xx


class MetricsEvidence(Frozen):
    """Both variants' metrics, in one period that covers the window; `notes` name what CloudWatch did not answer."""

    start: AwareDatetime
    end: AwareDatetime
    period_seconds: int
    production: VariantMetrics
    shadow: VariantMetrics
    notes: tuple[str, ...] = ()


class Source(Frozen):
    """The objects that were read: their number, a SHA-256 over their sorted `key ETag` lines, and the list if short."""

    kind: Literal["captures", "ground_truth"]
    location: str
    objects: Count
    digest: str
    etags: dict[str, str] | None = None


class Evidence(Frozen):
    """Everything that a verdict may depend on, next to the policy."""

    endpoint_name: str
    production_variant: str
    shadow_variant: str
    window: EvidenceWindow
    answers: PairedTable
    """Pairs, by where the answer is *unreadable or missing*."""
    labels: Agreement
    truth: TruthEvidence | None = None
    metrics: MetricsEvidence
    census: CaptureCensus
    mirror: MirrorEvidence
    sources: tuple[Source, ...] = ()

    @property
    def pairs(self) -> int:
        """Requests of which both answers were captured."""
        return self.answers.pairs
