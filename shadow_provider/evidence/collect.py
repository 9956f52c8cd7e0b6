"""All evidence of one deployment in one call: captures, metrics and ground truth go in, counts come out."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from shadow_provider.comparators.label import Labels
from shadow_provider.evidence.captures import SideCaptures, read_captures
from shadow_provider.evidence.clients import CloudWatchClient, S3Client
from shadow_provider.evidence.ground_truth import GroundTruth, read_ground_truth
from shadow_provider.evidence.metrics import mirrored_share, read_metrics
from shadow_provider.evidence.objects import source
from shadow_provider.evidence.pairing import Pair, Pairing, pair_up
from shadow_provider.plan.policy import Policy
from shadow_provider.verdict.evidence import (
    Agreement,
    Disagreement,
    Evidence,
    EvidenceWindow,
    MirrorEvidence,
    PairedTable,
    Source,
    TruthEvidence,
)

_DISAGREEMENTS = 20
_LONGEST_LABEL = 64


def collect_evidence(
    *,
    s3: S3Client,
    cloudwatch: CloudWatchClient,
    endpoint_name: str,
    production_variant: str,
    shadow_variant: str,
    capture_s3_uri: str,
    window: EvidenceWindow,
    policy: Policy,
    ground_truth_s3_uri: str | None = None,
    sampling_percentage: float = 100.0,
    capture_percentage: int = 100,
    now: datetime | None = None,
) -> Evidence:
    """Collect the evidence of a window.

    Choose an end that lies a few minutes back: captures and metrics arrive late, and each instance writes its own.

    Args:
        s3: a boto3 client that may read the captures and the ground truth.
        cloudwatch: a boto3 client that may call GetMetricData.
        endpoint_name: the endpoint.
        production_variant: its production variant.
        shadow_variant: its shadow variant.
        capture_s3_uri: DestinationS3Uri of the endpoint's data capture.
        window: what to look at; from the shadow's first capture on, if that is later.
        policy: where labels stand, and which percentiles are needed.
        ground_truth_s3_uri: prefix of the labels, None if there are none.
        sampling_percentage: share of the requests that the shadow should get, above 0 to 100.
        capture_percentage: InitialSamplingPercentage of the data capture, 1 to 100.
        now: until when labels are looked for, and by which CloudWatch's retention is reckoned; the clock if None.

    Raises:
        ValueError: a percentage or a URI is wrong. Errors of the clients pass through.
    """
    if not 0 < sampling_percentage <= 100:
        raise ValueError(f"sampling_percentage must lie within (0, 100], got {sampling_percentage}")
    if not 1 <= capture_percentage <= 100:
        raise ValueError(f"capture_percentage must lie within 1..100, got {capture_percentage}")
    now = now or datetime.now(UTC)
    production, shadow = (
        read_captures(
            s3,
            capture_s3_uri=capture_s3_uri,
            endpoint_name=endpoint_name,
            variant=variant,
            window=window,
            selector=policy.comparator,
        )
        for variant in (production_variant, shadow_variant)
    )
    pairing = pair_up(production, shadow)
    truth = None
    if ground_truth_s3_uri is not None:
        truth = read_ground_truth(
            s3, ground_truth_s3_uri=ground_truth_s3_uri, start=window.start, now=now, wanted=pairing.pairs.keys()
        )
    share = None
    if capture_percentage < 100:
        share = mirrored_share(
            cloudwatch,
            endpoint_name=endpoint_name,
            production_variant=production_variant,
            shadow_variant=shadow_variant,
            overlap=pairing.overlap,
            now=now,
        )
    metrics = read_metrics(
        cloudwatch,
        endpoint_name=endpoint_name,
        production_variant=production_variant,
        shadow_variant=shadow_variant,
        policy=policy,
        start=shadow.first or window.start,
        end=window.end,
        now=now,
    )
    return Evidence(
        endpoint_name=endpoint_name,
        production_variant=production_variant,
        shadow_variant=shadow_variant,
        window=window,
        answers=_table((pair.production is None, pair.shadow is None) for pair in pairing.pairs.values()),
        labels=_agreement(pairing.pairs.values()),
        truth=_truth(pairing, truth) if truth else None,
        metrics=metrics,
        census=pairing.census,
        mirror=_mirror(pairing, share, sampling_percentage, capture_percentage),
        sources=_sources(capture_s3_uri, production, shadow, ground_truth_s3_uri, truth),
    )


def _table(holds: Iterable[tuple[bool, bool]]) -> PairedTable:
    counts = Counter(holds)
    return PairedTable(
        both=counts[True, True],
        production_only=counts[True, False],
        shadow_only=counts[False, True],
        neither=counts[False, False],
    )


def _agreement(pairs: Iterable[Pair]) -> Agreement:
    readable = [pair for pair in pairs if pair.production is not None or pair.shadow is not None]
    kinds = Counter(
        (_shown(pair.production), _shown(pair.shadow)) for pair in readable if pair.production != pair.shadow
    )
    ranked = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))[:_DISAGREEMENTS]
    return Agreement(
        pairs=len(readable),
        agreeing=len(readable) - kinds.total(),
        disagreements=tuple(Disagreement(production=p, shadow=s, count=count) for (p, s), count in ranked),
    )


def _shown(labels: Labels | None) -> str:
    text = "(unreadable)" if labels is None else " ".join(labels)
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…"


def _truth(pairing: Pairing, truth: GroundTruth) -> TruthEvidence:
    labelled = ((pairing.pairs[event_id], label) for event_id, label in truth.labels.items())
    return TruthEvidence(
        lines=truth.lines,
        fates=truth.fates.counts(),
        examples=truth.fates.examples(),
        correct=_table((pair.production == label, pair.shadow == label) for pair, label in labelled),
    )


def _mirror(
    pairing: Pairing, share: tuple[int, int] | None, sampling_percentage: float, capture_percentage: int
) -> MirrorEvidence:
    by_captures = capture_percentage == 100
    requests, mirrored = (pairing.requests, pairing.mirrored) if by_captures else (share or (None, None))
    return MirrorEvidence(
        configured_share=sampling_percentage / 100,
        captured_share=capture_percentage / 100,
        share_source="captures" if by_captures else "metrics",
        requests=requests,
        mirrored=mirrored,
        joinable=pairing.joinable,
        joined=pairing.joined,
        production_tail=pairing.production_tail,
        shadow_tail=pairing.shadow_tail,
    )


def _sources(
    capture_s3_uri: str,
    production: SideCaptures,
    shadow: SideCaptures,
    ground_truth_s3_uri: str | None,
    truth: GroundTruth | None,
) -> tuple[Source, ...]:
    sources = [source("captures", capture_s3_uri, production.etags | shadow.etags)]
    if ground_truth_s3_uri is not None and truth is not None:
        sources.append(source("ground_truth", ground_truth_s3_uri, truth.etags))
    return tuple(sources)
