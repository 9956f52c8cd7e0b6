"""One look at a deployment: captures, metrics and ground truth go in, the evidence comes out.

What earlier looks have read and settled is kept beside the decision record, so a look costs what is new. A look that
dies has left nothing behind, and the next one gives the same.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from shadow_provider.comparators.build import comparator
from shadow_provider.comparators.truth import truth_comparator
from shadow_provider.evidence.block_figures import KeptMetrics
from shadow_provider.evidence.block_metrics import BlockMetrics, OfBoth, read_block_metrics
from shadow_provider.evidence.clients import CloudWatchClient
from shadow_provider.evidence.engine.engine import take_look
from shadow_provider.evidence.engine.model import Captures, Result, Settings, Wanted
from shadow_provider.evidence.engine.state import State
from shadow_provider.evidence.engine.store import S3Store, StateStore, WritingS3Client
from shadow_provider.evidence.engine.truth import Truth, TruthResult
from shadow_provider.evidence.masked_labels import without_masked
from shadow_provider.evidence.objects import join_key, source, split_uri
from shadow_provider.evidence.window import rounded_up
from shadow_provider.plan.endpoint_config import ShadowRun
from shadow_provider.policy.policy import Policy
from shadow_provider.policy.segments import HourSegment
from shadow_provider.verdict.evidence import (
    CaptureEvidence,
    CurvePoint,
    Description,
    Evidence,
    MetricsEvidence,
    MirrorEvidence,
    SegmentEvidence,
    ShadowCost,
    SideCensus,
    Source,
    TruthEvidence,
    TwoSeries,
)
from shadow_provider.verdict.hours import by_hour
from shadow_provider.verdict.measures import Blocks, Measure

_LOOKS = "looks.json"
_ASKED_OF_CAPTURES = {"comparator", "ground_truth", "warm_up_seconds", "segments", "examples"}


class Remembered(NamedTuple):
    """What looks tell the next one beside the engine's state: their ends, and what CloudWatch answered them."""

    looks: tuple[datetime, ...] = ()
    metrics: KeptMetrics | None = None


@dataclass(frozen=True)
class Kept:
    """Where looks at one deployment keep what they know.

    Attributes:
        store: a bucket or a folder.
        prefix: in it; a folder of its own.
    """

    store: StateStore
    prefix: str

    def state(self, policy: Policy, ground_truth_s3_uri: str | None) -> State:
        """What the engine keeps.

        A task may be run again with another policy, for a longer deadline perhaps. What asks something else of the
        captures than the looks before did has a folder of its own, so everything is read anew for it.
        """
        asked = policy.model_dump(mode="json", include=_ASKED_OF_CAPTURES)
        question = json.dumps([asked, policy.effective_block_seconds, ground_truth_s3_uri], sort_keys=True)
        digest = hashlib.sha256(question.encode()).hexdigest()[:16]
        return State(self.store, f"{self.prefix.strip('/')}/captures-{digest}")

    def looks(self) -> tuple[datetime, ...]:
        """The ends of the looks so far."""
        return self.remembered().looks

    def remembered(self) -> Remembered:
        """What the looks so far left; nothing before the first."""
        if not any(each.key == self._key for each in self.store.listed(self._folder)):
            return Remembered()
        with self.store.opened(self._key) as body:
            found: dict[str, Any] = json.loads(body.read())
        metrics = found["metrics"]
        return Remembered(
            tuple(datetime.fromisoformat(text) for text in found["looks"]),
            None if metrics is None else KeptMetrics.from_json(metrics),
        )

    def remember(self, looks: Sequence[datetime], metrics: KeptMetrics | None) -> None:
        """Write both; after the engine has written, so that no look is counted that did not end."""
        document = {
            "looks": [look.isoformat() for look in looks],
            "metrics": None if metrics is None else metrics.to_json(),
        }
        self.store.write(self._key, json.dumps(document).encode())

    @property
    def _folder(self) -> str:
        return f"{self.prefix.strip('/')}/"

    @property
    def _key(self) -> str:
        return f"{self._folder}{_LOOKS}"


def blocks_until(policy: Policy, since: datetime, until: datetime) -> Blocks:
    """The whole blocks between the start of a deployment and a time.

    They begin at the first multiple of their length after the start, as CloudWatch's periods do.
    """
    seconds = policy.effective_block_seconds
    start = rounded_up(since, seconds)
    return Blocks(start=start, seconds=seconds, count=max(0, (until - start) // timedelta(seconds=seconds)))


def collect(
    *,
    s3: WritingS3Client,
    cloudwatch: CloudWatchClient,
    endpoint_name: str,
    run: ShadowRun,
    policy: Policy,
    until: datetime,
    final: bool = False,
    ground_truth_s3_uri: str | None = None,
    kept: Kept | None = None,
    settled_after: timedelta = Settings.lag,
    memory_mb: int = Settings.memory_mb,
    now: datetime | None = None,
) -> Evidence:
    """Take a look.

    Choose an end that lies a few minutes back: captures and metrics arrive late, and each instance writes its own.

    Args:
        s3: a boto3 client that may read the captures and the ground truth.
        cloudwatch: a boto3 client that may call GetMetricData.
        endpoint_name: the endpoint.
        run: what is compared.
        policy: how it is compared, and in what blocks.
        until: what is later waits for the next look.
        final: whether no other look follows.
        ground_truth_s3_uri: prefix of the labels, None if there are none.
        kept: what earlier looks left; None for a look that stands alone.
        settled_after: how long after a record's time its object may come; labels are held against what is settled.
        memory_mb: what the engine may take before it spills to disk.
        now: until when labels are looked for, and by which CloudWatch's retention is reckoned; the clock if None.

    Raises:
        ValueError: a URI is wrong. Errors of the clients pass through.
    """
    now = now or datetime.now(UTC)
    blocks = blocks_until(policy, run.since, until)
    captures = captures_of(s3, endpoint_name, run, policy, blocks.start)
    result = None
    if blocks.count:
        result = take_look(
            captures,
            comparator(policy.comparator),
            until=blocks.end,
            last=final,
            settings=Settings(block_seconds=blocks.seconds, lag=settled_after, memory_mb=memory_mb),
            state=None if kept is None else kept.state(policy, ground_truth_s3_uri),
            truth=_truth(s3, policy, ground_truth_s3_uri, now),
            wanted=Wanted(policy.segments, policy.examples),
        )
    before = Remembered() if kept is None else kept.remembered()
    metrics = read_block_metrics(
        cloudwatch,
        endpoint_name=endpoint_name,
        production_variant=run.production_variant,
        shadow_variant=run.shadow_variant,
        blocks=blocks,
        percentiles=policy.percentiles,
        kept=before.metrics,
        now=now,
    )
    looks = (*(look for look in before.looks if look < blocks.end), blocks.end)
    if kept is not None and blocks.count:
        kept.remember(looks, metrics.kept)
    return _evidence(endpoint_name, run, policy, blocks, looks, result, metrics, ground_truth_s3_uri)


def captures_of(s3: WritingS3Client, endpoint_name: str, run: ShadowRun, policy: Policy, start: datetime) -> Captures:
    """The captures of both variants from a time on.

    Raises:
        ValueError: the captures' URI is wrong.
    """
    bucket, prefix = split_uri(run.capture_s3_uri)
    return Captures(
        store=S3Store(s3, bucket),
        prefix=prefix,
        endpoint=endpoint_name,
        production=run.production_variant,
        shadow=run.shadow_variant,
        start=start,
        warm_up=timedelta(seconds=policy.warm_up_seconds),
    )


def _truth(s3: WritingS3Client, policy: Policy, uri: str | None, now: datetime) -> Truth | None:
    if uri is None:
        return None
    bucket, prefix = split_uri(uri)
    return Truth(store=S3Store(s3, bucket), prefix=prefix, comparator=truth_comparator(policy.ground_truth), until=now)


def _evidence(
    endpoint_name: str,
    run: ShadowRun,
    policy: Policy,
    blocks: Blocks,
    looks: tuple[datetime, ...],
    result: Result | None,
    metrics: BlockMetrics,
    ground_truth_s3_uri: str | None,
) -> Evidence:
    warm = _warmed_up(policy, blocks)
    nothing = (0,) * blocks.count
    columns = {} if result is None else result.columns
    measures: dict[str, Measure] = {name: measure.of_blocks(warm) for name, measure in metrics.measures.items()}
    if result is not None:
        measures |= result.measures
        measures |= {f"truth_{name}": each for name, each in (result.truth.measures if result.truth else {}).items()}
    return Evidence(
        endpoint_name=endpoint_name,
        production_variant=run.production_variant,
        shadow_variant=run.shadow_variant,
        since=run.since,
        blocks=blocks,
        looks=looks,
        measures=measures,
        segments=() if result is None else _segments(policy, blocks, result),
        captures=CaptureEvidence() if result is None else _captures(endpoint_name, run, result),
        mirror=MirrorEvidence(
            configured_share=run.sampling_percentage / 100,
            captured_share=run.capture_percentage / 100,
            production=columns.get("production", nothing),
            shadow=columns.get("shadow", nothing),
            paired=columns.get("paired", nothing),
            mismatched=columns.get("mismatched", nothing),
            sizes=() if result is None else result.sizes,
        ),
        metrics=_metrics(metrics, warm),
        comparison=_description(policy, policy.comparator, None if result is None else result.summary),
        truth=_truth_evidence(policy, blocks, result, given=ground_truth_s3_uri is not None),
        examples=() if result is None else result.examples,
        cost=ShadowCost(
            instance_type=run.shadow_instance_type,
            instance_count=run.shadow_instance_count,
            hours=float(f"{(looks[-1] - run.since).total_seconds() / 3600:.6g}"),
        ),
        sources=_sources(run, ground_truth_s3_uri, result),
    )


def _segments(policy: Policy, blocks: Blocks, result: Result) -> tuple[SegmentEvidence, ...]:
    hours = [each for each in policy.segments if isinstance(each, HourSegment)]
    of_hours = [part for each in hours for part in by_hour(each, blocks, result.columns["paired"], result.measures)]
    return *of_hours, *result.segments


def _warmed_up(policy: Policy, blocks: Blocks) -> tuple[bool, ...]:
    """Blocks that begin after the warm-up; the engine leaves it out of the captures itself."""
    warm = blocks.start + timedelta(seconds=policy.warm_up_seconds)
    return tuple(start >= warm for start in blocks.starts())


def _captures(endpoint_name: str, run: ShadowRun, result: Result) -> CaptureEvidence:
    destination = split_uri(run.capture_s3_uri)[1]
    prefixes = {
        "production": join_key(destination, endpoint_name, run.production_variant),
        "shadow": join_key(destination, endpoint_name, run.shadow_variant),
    }
    sides = {
        name: SideCensus(
            objects=sum(each.key.startswith(prefix) for each in result.objects),
            lines=result.lines[name],
            fates=result.fates[name],
            examples=result.places[name],
        )
        for name, prefix in prefixes.items()
    }
    return CaptureEvidence(
        production=sides["production"],
        shadow=sides["shadow"],
        paired_by=result.paired_by,
        settled_blocks=result.settled_blocks,
        strict_lines=result.strict_lines,
    )


def _metrics(found: BlockMetrics, warm: Sequence[bool]) -> MetricsEvidence:
    def series(both: OfBoth[tuple[Any, ...]]) -> TwoSeries:
        return TwoSeries(production=both.production, shadow=both.shadow)

    thin = {f"latencies enough of both variants, for {each}": count for each, count in found.thin_blocks.items()}
    return MetricsEvidence(
        # The mirror may be measured by these; the other figures are only shown.
        invocations=series(found.invocations).of_blocks(warm),
        errors={kind: (both.production, both.shadow) for kind, both in found.errors.items()},
        latency={percentile: series(both) for percentile, both in found.latency.items()},
        curve=tuple(
            CurvePoint(percentile=each.percentile, production=each.production, shadow=each.shadow)
            for each in found.latency_curve
        ),
        utilisation={metric: (both.production, both.shadow) for metric, both in found.utilisation.items()},
        gaps={cause: count for cause, count in (found.gaps | thin).items() if count},
        notes=found.notes,
    )


def _description(policy: Policy, spec: Any, summary: Any) -> Description | None:
    if summary is None:
        return None
    return Description(kind=spec.kind, name=spec.name, figures=without_masked(summary.to_json(), policy.examples))


def _truth_evidence(policy: Policy, blocks: Blocks, result: Result | None, *, given: bool) -> TruthEvidence | None:
    if not given:
        return None
    truth: TruthResult | None = None if result is None else result.truth
    if truth is None:
        return TruthEvidence(labelled=(0,) * blocks.count)
    return TruthEvidence(
        lines=truth.lines,
        fates=truth.fates,
        examples=truth.examples,
        labelled=truth.labelled,
        description=_description(policy, policy.ground_truth, truth.summary),
    )


def _sources(run: ShadowRun, ground_truth_s3_uri: str | None, result: Result | None) -> tuple[Source, ...]:
    objects = () if result is None else result.objects
    sources = [source("captures", run.capture_s3_uri, {each.key: each.etag for each in objects})]
    if ground_truth_s3_uri is not None:
        labels = result.truth.objects if result is not None and result.truth is not None else ()
        sources.append(source("ground_truth", ground_truth_s3_uri, {each.key: each.etag for each in labels}))
    return tuple(sources)
