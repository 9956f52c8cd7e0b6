"""The record: canonical, judged again with the same bytes, by another policy, and at every look."""

import json
from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shadow_provider.comparators.spec import NumberSpec
from shadow_provider.policy.errors import PolicyError
from shadow_provider.policy.policy import Policy
from shadow_provider.policy.reading import read_policy
from shadow_provider.policy.segments import HourSegment
from shadow_provider.verdict.evidence import CaptureEvidence, Evidence, SideCensus, SizeClass, Source
from shadow_provider.verdict.judge import Verdict
from shadow_provider.verdict.record import ConfigNames, DecisionRecord, decide, summary
from shadow_provider.verdict.render import as_text, progress
from tests.unit.verdict.builders import START, evidence, with_segments

POLICY = read_policy({"based_on": "balanced", "deadline_hours": 24})


def record(
    policy: Policy = POLICY, *, final: bool = True, found: Evidence | None = None, **rates: Any
) -> DecisionRecord:
    return decide(
        deployment_id="deployment",
        incumbent_model="old",
        candidate_model="new",
        configs=ConfigNames(baseline="base", shadow="with-shadow", promoted="promoted"),
        policy=policy,
        evidence=found or evidence(**rates),
        final=final,
    )


@settings(derandomize=True, deadline=None, max_examples=15)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 60),
    st.floats(0, 0.2),
    st.sampled_from([1.0, 0.3]),
    st.booleans(),
    st.booleans(),
)
def test_a_record_survives_json_and_judging_again_gives_the_same_bytes(
    seed: int, blocks: int, disagreeing: float, mirrored: float, truth: bool, final: bool
) -> None:
    policy = POLICY.model_copy(update={"segments": (HourSegment(name="hours", edges=(6, 22), declared=True),)})
    found = evidence(seed=seed, blocks=blocks, disagreeing=disagreeing, mirrored=mirrored, truth=truth, looks=4)
    first = record(policy, final=final, found=with_segments(found, policy))
    content = first.canonical_bytes()
    again = DecisionRecord.model_validate_json(content)
    assert again == first
    assert again.canonical_bytes() == again.judged_again().canonical_bytes() == content
    assert again.digest == first.digest


def test_the_bytes_are_canonical_json() -> None:
    content = record(disagreeing=0.5).canonical_bytes()
    document = json.loads(content)
    assert json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == content
    assert document["schema_version"] == "2"
    assert document["versions"].keys() == {"numpy", "scipy", "shadow_provider"}
    assert document["created_at"] == "2026-03-02T20:00:00Z"


def test_one_moment_has_one_form_whatever_its_zone() -> None:
    fields = evidence().model_dump()
    zone = timezone(timedelta(hours=-8))
    fields["looks"] = [look.astimezone(zone) for look in fields["looks"]]
    fields["since"] = fields["since"].astimezone(zone)
    fields["blocks"]["start"] = fields["blocks"]["start"].astimezone(zone)
    assert record(found=Evidence.model_validate(fields)).canonical_bytes() == record().canonical_bytes()


def test_other_evidence_gives_other_bytes_and_other_inputs_another_digest() -> None:
    other = Source(kind="captures", location="s3://bucket/captures", objects=6, digest="1" * 64)
    assert len({record().digest, record(seed=2).digest, record(sources=(other,)).digest}) == 3
    assert record().inputs_digest == record(seed=2).inputs_digest != record(sources=(other,)).inputs_digest


def test_a_forged_judgement_is_found_out() -> None:
    honest = record()
    forged = honest.model_copy(update={"judgement": record(disagreeing=0.5).judgement})
    assert forged.judged_again().canonical_bytes() != forged.canonical_bytes()
    with pytest.raises(ValidationError):
        honest.deployment_id = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        DecisionRecord.model_validate(honest.model_dump() | {"schema_version": "1"})


def test_another_policy_judges_the_same_evidence() -> None:
    first = record()
    strict = read_policy({"based_on": "balanced", "gates": [{"metric": "agreement", "minimum": 0.999}]})
    other = first.judged_again(strict)
    assert (first.judgement.verdict, other.judgement.verdict) == (Verdict.PROMOTE, Verdict.REJECT)
    assert other.policy == strict
    assert other.evidence == first.evidence
    assert other.judged_again().canonical_bytes() == other.canonical_bytes()
    assert other.judged_again(POLICY).canonical_bytes() == first.canonical_bytes()
    # What was never measured is no data, and does not pass.
    percentiles = read_policy({"based_on": "balanced", "gates": [{"metric": "model_latency", "percentile": "p75",
                                                                  "margin": 0.1}]})  # fmt: skip
    assert first.judged_again(percentiles).judgement.verdict is Verdict.INCONCLUSIVE


def test_a_policy_that_compares_otherwise_needs_the_captures() -> None:
    with pytest.raises(PolicyError, match=r"^policy: comparator: .* captures anew$"):
        record().judged_again(POLICY.model_copy(update={"comparator": NumberSpec()}))


def test_every_look_stands_in_the_record_as_it_would_have_been_judged() -> None:
    found = evidence(looks=12)
    whole = record(found=found)
    assert [look.end for look in whole.looks] == list(found.looks)
    assert [look.pairs for look in whole.looks] == sorted(look.pairs for look in whole.looks)
    assert whole.looks[0].verdict is Verdict.CONTINUE
    assert whole.looks[-1].verdict is whole.judgement.verdict is Verdict.PROMOTE
    # A deployment that had ended then would have the same.
    for look in (3, 7):
        then = record(found=found.at(found.looks[look]), final=False)
        assert then.looks[-1] == whole.looks[look]
        assert len(then.looks) == look + 1


def test_looks_without_a_new_block_are_one_look() -> None:
    found = evidence(blocks=40, looks=2)
    ends = tuple(START + timedelta(seconds=seconds) for seconds in (30, 100, 6000, 6010, 6299, 6300, 12_000))
    rows = record(found=found.model_copy(update={"looks": ends})).looks
    assert [row.end for row in rows] == [START + timedelta(seconds=seconds) for seconds in (6000, 6300, 12_000)]


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.integers(0, 50), st.integers(0, 299), st.sampled_from([1.0, 0.4]))
def test_evidence_at_a_time_is_what_would_have_been_collected_then(count: int, rest: int, captured: float) -> None:
    policy = POLICY.model_copy(update={"segments": (HourSegment(name="hours", edges=(6, 22)),)})
    sizes = (SizeClass(at_least=0, production=10, shadow=10, paired=10),)
    whole = with_segments(evidence(blocks=50), policy)
    mirror = whole.mirror.model_copy(update={"captured_share": captured, "sizes": sizes})
    whole = whole.model_copy(update={"mirror": mirror})
    end = START + timedelta(seconds=300 * count + rest)
    then = whole.at(end)

    def columns(found: Evidence) -> dict[str, tuple[Any, ...]]:
        measures = {f"{name}.{column}": values for name, each in found.measures.items()
                    for column, values in each.columns.items()}  # fmt: skip
        parts = {f"{part.value}.{name}.{column}": values for part in found.segments
                 for name, each in part.measures.items() for column, values in each.columns.items()}  # fmt: skip
        metrics = {f"{name}.{side}": values for name, series in (("n", found.metrics.invocations),
                   *found.metrics.latency.items()) for side, values in series}  # fmt: skip
        counts = {name: getattr(found.mirror, name) for name in ("production", "shadow", "paired", "mismatched")}
        labelled = found.truth.labelled if found.truth else ()
        return measures | parts | metrics | counts | {"labelled": labelled}

    assert columns(then) == {name: values[:count] for name, values in columns(whole).items()}
    assert then.blocks.count == count
    assert all(look <= end for look in then.looks) or then.looks == whole.looks[:1]
    # It is evidence like any other: it can be written, read, and judged.
    assert Evidence.model_validate_json(then.model_dump_json()) == then
    assert record(found=then).canonical_bytes()
    assert then.at(end) == then
    assert count == 50 or then.mirror.sizes == ()


def test_columns_of_unequal_length_are_refused() -> None:
    fields = evidence(blocks=20).model_dump()
    for name, series in (
        ("invocations", fields["metrics"]["invocations"]),
        ("p50", fields["metrics"]["latency"]["p50"]),
    ):
        kept = series["shadow"]
        series["shadow"] = kept[:-1]
        with pytest.raises(ValidationError, match=f"metrics.{name}.shadow"):
            Evidence.model_validate(fields)
        series["shadow"] = kept


def test_the_summary_fits_an_xcom() -> None:
    short = summary(record())
    assert json.loads(json.dumps(short)) == short
    assert short["verdict"] == "PROMOTE"
    assert short["looks"] == 12
    assert short["gates"][0].keys() == {"name", "state", "estimate", "lower", "upper", "margin"}


def test_the_text_has_a_table_with_units_and_what_would_change_it() -> None:
    slow = record(
        slower=1.0,
        captures=CaptureEvidence(production=SideCensus(objects=1, lines=2000, fates={"paired": 1999, "empty": 1})),
    )
    text = as_text(slow.judgement, slow.notes)
    lines = text.splitlines()
    assert lines[0].startswith("REJECT: the candidate fails model_latency.p90 +")
    table = lines[2:8]
    assert table[0].split()[:6] == ["gate", "state", "estimate", "lower", "upper", "limit"]
    assert len({row.index(row.split()[1]) for row in table}) == 1
    assert "< +15.0 %" in text
    assert "> 95.00 %" in text
    assert "captures of production, 2,000 lines (1 objects): paired 1,999, empty 1" in lines
    assert lines[-1].startswith("what would change it: It would be PROMOTE with model_latency.p90 at a margin above ")
    assert all(row == row.rstrip() for row in lines)
    assert progress(slow.judgement).startswith("REJECT: ")
