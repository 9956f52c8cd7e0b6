import json
from typing import Any

import pytest
from pydantic import ValidationError

from shadow_provider.verdict.evidence import Agreement
from shadow_provider.verdict.judge import judge
from shadow_provider.verdict.record import ConfigNames, DecisionRecord, decide, summary
from shadow_provider.verdict.render import as_text
from tests.unit.verdict.builders import END, POLICY, evidence, metrics, truth, variant


def record(**changes: Any) -> DecisionRecord:
    return decide(
        deployment_id="deployment",
        incumbent_model="old",
        candidate_model="new",
        configs=ConfigNames(baseline="base", shadow="with-shadow", promoted="promoted"),
        policy=POLICY,
        evidence=evidence(**changes),
    )


def test_judging_again_gives_the_same_bytes() -> None:
    first = record(truth=truth(7, 3))
    again = DecisionRecord.model_validate_json(first.canonical_bytes())
    assert again == first
    assert (
        again.judged_again().canonical_bytes() == first.canonical_bytes() == record(truth=truth(7, 3)).canonical_bytes()
    )
    assert first.digest == again.digest
    assert first.created_at == END


def test_the_bytes_are_canonical_json() -> None:
    content = record().canonical_bytes()
    document = json.loads(content)
    assert json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == content
    assert document["schema_version"] == "1"
    assert document["versions"].keys() == {"numpy", "scipy", "shadow_provider"}


def test_other_evidence_gives_other_bytes() -> None:
    digests = {record().digest, record(labels=Agreement(pairs=2000, agreeing=1999)).digest, record(sources=()).digest}
    assert len(digests) == 3
    assert record().inputs_digest != record(sources=()).inputs_digest


def test_a_forged_judgement_is_found_out() -> None:
    honest = record()
    forged = honest.model_copy(update={"judgement": record(labels=Agreement(pairs=2000, agreeing=0)).judgement})
    assert forged.judged_again().judgement != forged.judgement
    with pytest.raises(ValidationError):
        honest.deployment_id = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        DecisionRecord.model_validate(honest.model_dump() | {"schema_version": "2"})


def test_the_summary_fits_an_xcom() -> None:
    short = summary(record())
    assert short == summary(record().judgement)
    assert json.loads(json.dumps(short)) == short
    assert short["verdict"] == "PROMOTE"
    assert short["pairs"] == 2000
    assert short["gates"][0].keys() == {"metric", "state", "estimate", "lower", "upper", "margin"}


def test_the_table_is_aligned_and_has_units() -> None:
    slow = metrics(shadow=variant(scale=2.0))
    text = as_text(judge(POLICY, evidence(metrics=slow)))
    lines = text.splitlines()
    assert lines[0].startswith("REJECT: ")
    table = lines[2:8]
    assert table[0].split() == ["gate", "state", "estimate", "lower", "upper", "limit", "n", "note"]
    assert len({row.index(row.split()[1]) for row in table}) == 1
    assert "+100.0 %" in text
    assert "+0.000 pp" in text
    assert "[not required] no ground truth was given" in text
    assert "ModelLatency of the shadow: p50 22.00 ms, p90 23.60 ms, p99 23.96 ms (2,000 samples)" in lines
    assert "captures of production, 2,000 lines (1 objects): paired 2,000" in lines
    assert all(row == row.rstrip() for row in lines)
