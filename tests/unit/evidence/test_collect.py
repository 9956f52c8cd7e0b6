"""From objects and datapoints to evidence, and on to a verdict."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from shadow_provider.evidence.collect import collect_evidence
from shadow_provider.plan.policy import Policy
from shadow_provider.verdict.evidence import Disagreement, Evidence, EvidenceWindow, PairedTable
from shadow_provider.verdict.judge import Verdict, cover_reached, judge
from tests.unit.evidence.fakes import (
    ENDPOINT,
    PRODUCTION,
    SHADOW,
    START,
    FakeCloudWatch,
    FakeS3,
    capture,
    capture_key,
    line,
    truth,
)

SECONDS = 1200
N = 1200


@dataclass
class Traffic:
    """One request a second; each argument names the requests to which something happens."""

    n: int = N
    disagree: set[int] = field(default_factory=set)
    shadow_unreadable: set[int] = field(default_factory=set)
    shadow_failed: set[int] = field(default_factory=set)
    not_mirrored: set[int] = field(default_factory=set)
    other_input: set[int] = field(default_factory=set)
    without_id: bool = False
    shadow_slower: float = 1.0
    first_mirrored: int = 0
    with_truth: int = 0

    def served(self) -> tuple[FakeS3, FakeCloudWatch]:
        s3, cloudwatch = FakeS3(page_size=1000), FakeCloudWatch()
        cloudwatch.results_a_page = 500
        latencies = np.random.default_rng(3).lognormal(9, 0.2, size=(2, self.n))
        lines: dict[str, list[bytes]] = {PRODUCTION: [], SHADOW: []}
        for i in range(self.n):
            moment = START + timedelta(seconds=i * SECONDS / self.n)
            cloudwatch.invocation(PRODUCTION, moment, float(latencies[0][i]))
            lines[PRODUCTION].append(self._line(i, moment, "1", f"{i}"))
            if i in self.not_mirrored or i < self.first_mirrored:
                continue
            latency = float(latencies[1][i]) * self.shadow_slower
            cloudwatch.invocation(SHADOW, moment, latency, failed=i in self.shadow_failed)
            if i not in self.shadow_failed:
                answer = "oops" * (i in self.disagree) or "1"
                given = "other" if i in self.other_input else f"{i}"
                lines[SHADOW].append(self._line(i, moment, "" if i in self.shadow_unreadable else answer, given))
        for variant, content in lines.items():
            if content:
                s3.put(capture_key(variant), *content)
        if self.with_truth:
            s3.put("truth/2026/03/01/11/x.jsonl", *(line(truth(f"id-{i}", "1")) for i in range(self.with_truth)))
        return s3, cloudwatch

    def _line(self, i: int, moment: datetime, answer: str, given: str) -> bytes:
        inference_id = None if self.without_id else f"id-{i}"
        return line(capture(inference_id, time=moment, answer=answer, given=given))

    def evidence(self, **changes: Any) -> Evidence:
        s3, cloudwatch = self.served()
        arguments: dict[str, Any] = {
            "s3": s3,
            "cloudwatch": cloudwatch,
            "endpoint_name": ENDPOINT,
            "production_variant": PRODUCTION,
            "shadow_variant": SHADOW,
            "capture_s3_uri": "s3://bucket/capture/",
            "window": EvidenceWindow(start=START, end=START + timedelta(seconds=SECONDS + 30)),
            "policy": Policy.default(),
            "ground_truth_s3_uri": "s3://bucket/truth" if self.with_truth else None,
            "now": START + timedelta(hours=3),
        }
        return collect_evidence(**(arguments | changes))


def verdict_of(evidence: Evidence) -> Verdict:
    return judge(Policy.default(), evidence).verdict


def test_a_good_candidate_is_promoted() -> None:
    evidence = Traffic(disagree=set(range(0, N, 50)), with_truth=N).evidence()
    assert evidence.pairs == N
    assert evidence.answers == PairedTable(neither=N)
    assert (evidence.labels.pairs, evidence.labels.agreeing) == (N, N - 24)
    assert evidence.labels.disagreements == (Disagreement(production="1", shadow="oops", count=24),)
    assert evidence.truth
    assert evidence.truth.correct == PairedTable(both=N - 24, production_only=24)
    assert cover_reached(Policy.default(), evidence)
    assert Evidence.model_validate_json(evidence.model_dump_json()) == evidence
    # Two percent less accuracy is the margin itself: not surely below.
    assert verdict_of(evidence) is Verdict.INCONCLUSIVE
    without_truth = Traffic(disagree=set(range(0, N, 50))).evidence()
    assert without_truth.truth is None
    assert verdict_of(without_truth) is Verdict.PROMOTE


@pytest.mark.parametrize(
    ("traffic", "verdict", "words"),
    [
        (Traffic(disagree=set(range(0, N, 4))), Verdict.REJECT, "label_agreement"),
        (Traffic(shadow_unreadable=set(range(0, N, 20))), Verdict.REJECT, "paired_error_rate"),
        (Traffic(shadow_failed=set(range(0, N, 20))), Verdict.REJECT, "invocation_error_rate"),
        (Traffic(shadow_slower=2), Verdict.REJECT, "model_latency"),
        (Traffic(disagree=set(range(N)), with_truth=N), Verdict.REJECT, "accuracy"),
        (Traffic(n=400), Verdict.INCONCLUSIVE, "400 of 1,000 pairs"),
        (Traffic(not_mirrored=set(range(0, N, 10))), Verdict.INVALID, "were mirrored (90.0%), 100.0% are configured"),
        (Traffic(not_mirrored=set(range(N))), Verdict.INVALID, "were mirrored (0.0%)"),
        (Traffic(not_mirrored=set(range(400, N))), Verdict.INVALID, "stop 800 s before production's"),
        (Traffic(without_id=True), Verdict.INVALID, "callers must send InferenceId"),
        (Traffic(other_input=set(range(0, N, 10))), Verdict.INVALID, "found their partner"),
    ],
)
def test_what_is_wrong_is_named(traffic: Traffic, verdict: Verdict, words: str) -> None:
    judgement = judge(Policy.default(), traffic.evidence())
    assert judgement.verdict is verdict
    assert words in judgement.reason


def test_requests_from_before_the_shadow_do_not_count_against_the_mirror() -> None:
    evidence = Traffic(first_mirrored=150).evidence()
    assert evidence.census.production.fates == {"outside_overlap": 150, "paired": N - 150}
    assert evidence.mirror.requests == evidence.mirror.mirrored == N - 150 - 10
    # And of the metrics, only the minutes since then.
    assert evidence.metrics.start == START + timedelta(seconds=120)
    assert verdict_of(evidence) is Verdict.PROMOTE


def test_a_newest_object_that_is_not_there_yet_does_not_count_against_the_mirror() -> None:
    s3, _ = Traffic().served()
    key = capture_key(SHADOW)
    s3.objects[key] = b"\n".join(s3.objects[key].splitlines()[:-60]) + b"\n"
    evidence = Traffic().evidence(s3=s3)
    assert evidence.census.production.fates == {"outside_overlap": 60 - 0, "paired": N - 60}
    assert verdict_of(evidence) is Verdict.PROMOTE


def test_a_sampled_mirror_is_compared_with_its_own_share() -> None:
    half = {int(i) for i in np.flatnonzero(np.random.default_rng(1).random(2 * N) < 0.5)}
    traffic = Traffic(n=2 * N, not_mirrored=half)
    assert traffic.evidence(sampling_percentage=50.0).census.production.fates["unpaired"] > N * 0.9
    assert verdict_of(traffic.evidence(sampling_percentage=50.0)) is Verdict.PROMOTE
    assert verdict_of(traffic.evidence(sampling_percentage=75.0)) is Verdict.INVALID
    assert verdict_of(traffic.evidence(sampling_percentage=25.0)) is Verdict.INVALID


def test_with_partial_capture_the_share_comes_from_cloudwatch() -> None:
    evidence = Traffic(not_mirrored=set(range(0, N, 2))).evidence(capture_percentage=50, sampling_percentage=50.0)
    assert evidence.mirror.share_source == "metrics"
    assert (evidence.mirror.requests, evidence.mirror.mirrored) == (1080, 540)


@pytest.mark.parametrize(
    "wrong",
    [{"sampling_percentage": 0.0}, {"sampling_percentage": 101.0}, {"capture_percentage": 0}, {"capture_s3_uri": "x"}],
)
def test_impossible_arguments_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        Traffic(n=1).evidence(**wrong)


def test_no_metrics_is_no_promotion() -> None:
    evidence = Traffic().evidence(cloudwatch=FakeCloudWatch())
    assert not cover_reached(Policy.default(), evidence)
    assert verdict_of(evidence) is Verdict.INCONCLUSIVE


def test_nothing_at_all_is_inconclusive() -> None:
    evidence = Traffic(n=0).evidence()
    assert evidence.pairs == 0
    assert verdict_of(evidence) is Verdict.INCONCLUSIVE


def test_swapped_variants_swap_the_tables() -> None:
    traffic = Traffic(shadow_unreadable=set(range(9)), disagree=set(range(20, 40)))
    there = traffic.evidence()
    back = traffic.evidence(production_variant=SHADOW, shadow_variant=PRODUCTION)
    assert there.answers.shadow_only == back.answers.production_only == 9
    assert there.labels.agreeing == back.labels.agreeing
    assert there.census.production == back.census.shadow
    assert there.metrics.production.invocations == back.metrics.shadow.invocations


def test_requests_are_valid_by_botocores_own_models() -> None:
    import botocore.session
    from botocore.validate import ParamValidator

    session = botocore.session.get_session()

    def checked(service: str, operation: str, arguments: dict[str, Any]) -> None:
        shape = session.get_service_model(service).operation_model(operation).input_shape
        assert ParamValidator().validate(arguments, shape).generate_report() == ""

    s3, cloudwatch = Traffic(n=600).served()
    evidence = Traffic(n=600).evidence(s3=s3, cloudwatch=cloudwatch, capture_percentage=50)
    assert evidence.pairs == 600
    for call in cloudwatch.calls:
        checked("cloudwatch", "GetMetricData", call)
    checked("s3", "ListObjectsV2", {"Bucket": "b", "Prefix": s3.listed[0], "ContinuationToken": "1"})
