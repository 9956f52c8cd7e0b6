"""`judge` and `report`: a record on a disk is all they need."""

import json
from pathlib import Path
from typing import Any

import pytest

import shadow_provider
from shadow_provider.policy.reading import read_policy
from shadow_provider.verdict.record import ConfigNames, decide
from tests.unit.cli.calling import call, said_wrong
from tests.unit.verdict.builders import evidence

RECORD = decide(
    deployment_id="d-1",
    incumbent_model="old",
    candidate_model="new",
    configs=ConfigNames(baseline="before", shadow="during"),
    policy=read_policy("balanced"),
    evidence=evidence(),
    final=False,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "record.json"
    file.write_bytes(RECORD.canonical_bytes())
    return file


def changed(path: Path, change: Any) -> None:
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False))


class TestSameBytes:
    def test_an_untouched_record_gives_the_same_bytes(self, path: Path) -> None:
        result = call("judge", str(path))
        assert result.exit_code == 0, result.output
        assert f"same bytes: SHA-256 {RECORD.digest}; PROMOTE" in result.stdout

    def test_as_json(self, path: Path) -> None:
        said = json.loads(call("judge", str(path), "--json").stdout)
        assert said == {"same": True, "digest": RECORD.digest, "verdict": "PROMOTE", "differences": []}

    def test_another_verdict_written_into_it_is_found(self, path: Path) -> None:
        changed(path, lambda document: document["judgement"].update(verdict="REJECT"))
        result = call("judge", str(path))
        assert result.exit_code == 1
        assert 'judgement.verdict: the record says "REJECT", its evidence "PROMOTE"' in result.stderr
        assert f"another version wrote it: {shadow_provider.__version__} did" in result.stderr

    def test_other_evidence_shows_in_the_gates_and_the_looks(self, path: Path) -> None:
        def worsen(document: dict[str, Any]) -> None:
            document["evidence"]["measures"]["disagrees"]["worse"][-1] += 3

        changed(path, worsen)
        result = call("judge", str(path), "--json")
        assert result.exit_code == 1
        said = json.loads(result.stdout)
        assert not said["same"]
        assert any(line.startswith("judgement.gates[2].estimate") for line in said["differences"])
        assert any(line.startswith("looks[") for line in said["differences"])

    def test_other_inputs_than_the_digest_says_are_found(self, path: Path) -> None:
        changed(path, lambda document: document["evidence"]["sources"][0].update(digest="1" * 64))
        result = call("judge", str(path))
        assert result.exit_code == 1
        assert "inputs_digest" in result.stderr

    def test_another_form_of_the_same_content_is_not_the_same_bytes(self, path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_bytes()), indent=2))
        result = call("judge", str(path))
        assert result.exit_code == 1
        assert "written in another form" in result.stderr

    def test_many_differences_are_cut(self, path: Path) -> None:
        def worsen(document: dict[str, Any]) -> None:
            for look in document["looks"]:
                look["pairs"] += 1
                for gate in look["gates"]:
                    gate["progress"] = 0.123

        changed(path, worsen)
        lines = call("judge", str(path)).stderr.splitlines()
        assert len(lines) == 23
        assert lines[-2].startswith("  and ")


class TestAnotherPolicy:
    def test_differences_are_shown_gate_by_gate(self, path: Path) -> None:
        result = call("judge", str(path), "--policy", "conservative")
        assert result.exit_code == 0, result.output
        assert "by its own policy: PROMOTE" in result.stdout
        assert "by conservative: CONTINUE" in result.stdout
        assert "agreement: " in result.stdout
        assert "limit > 95.00 % -> limit > 99.00 %" in result.stdout
        assert "model_latency.p99: only after" in result.stdout

    def test_of_a_file_as_json(self, path: Path, tmp_path: Path) -> None:
        policy = tmp_path / "mine.yaml"
        policy.write_text("based_on: balanced\ngates: [{metric: agreement, minimum: 0.999}]\n")
        said = json.loads(call("judge", str(path), "--policy", str(policy), "--json").stdout)
        assert (said["before"]["verdict"], said["after"]["verdict"]) == ("PROMOTE", "REJECT")
        assert next(each["name"] for each in said["gates"] if each["changed"]) == "invocation_error_rate"
        assert said["notes"] == []

    def test_answers_that_were_compared_otherwise_cannot_be_judged(self, path: Path) -> None:
        line = said_wrong(call("judge", str(path), "--policy", "regression"), 2)
        assert "comparator: is not the one by which this record's evidence was made" in line

    def test_other_blocks_are_not_made_of_these(self, path: Path, tmp_path: Path) -> None:
        policy = tmp_path / "mine.json"
        policy.write_text(json.dumps({"based_on": "balanced", "block_seconds": 3600}))
        assert "blocks stay 300 s long" in call("judge", str(path), "--policy", str(policy)).stdout

    def test_an_unknown_one_names_the_ready_made(self, path: Path) -> None:
        line = said_wrong(call("judge", str(path), "--policy", "strict"), 2)
        assert "strict is no file, and no ready-made policy; these are balanced, " in line


@pytest.mark.parametrize("command", [("judge",), ("report", "--output", "x.html")])
class TestUnreadable:
    def test_no_such_file(self, command: tuple[str, ...], tmp_path: Path) -> None:
        assert "No such file" in said_wrong(call(*command, str(tmp_path / "none.json")), 2)

    @pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b'{"verdict": "PROMOTE"}', b"[" * 100_000])
    def test_what_is_no_record(self, command: tuple[str, ...], path: Path, content: bytes) -> None:
        path.write_bytes(content)
        assert said_wrong(call(*command, str(path)), 2) == f"{path} is no decision record"

    def test_another_schema_names_the_version_that_wrote_it(self, command: tuple[str, ...], path: Path) -> None:
        path.write_text(json.dumps({"schema_version": "1", "versions": {"shadow_provider": "0.0.9"}}))
        line = said_wrong(call(*command, str(path)), 2)
        assert "schema version 1; this version reads 2" in line
        assert "(0.0.9)" in line

    def test_half_a_record_names_what_is_wrong(self, command: tuple[str, ...], path: Path) -> None:
        changed(path, lambda document: document["evidence"]["mirror"].update(configured_share=7))
        line = said_wrong(call(*command, str(path)), 2)
        assert "is no whole decision record: evidence (mirror.configured_share)" in line

    def test_missing_credentials_are_one_line(
        self, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        line = said_wrong(call(*command, "s3://bucket/record.json", "--region", "us-east-1"), 2)
        assert "credentials" in line

    def test_an_unknown_profile_is_one_line(self, command: tuple[str, ...]) -> None:
        assert "nobody" in said_wrong(call(*command, "s3://bucket/record.json", "--profile", "nobody"), 2)


class TestReport:
    def test_html_and_markdown_by_the_name_of_the_file(self, path: Path, tmp_path: Path) -> None:
        for name, begin in (("r.html", "<!doctype html>"), ("r.md", "# ")):
            file = tmp_path / name
            result = call("report", str(path), "--output", str(file))
            assert result.exit_code == 0, result.output
            assert file.read_text().lower().startswith(begin)
            assert str(file) in result.stdout

    def test_another_kind_of_file_is_refused_before_anything_is_read(self, tmp_path: Path) -> None:
        line = said_wrong(call("report", "none.json", "--output", str(tmp_path / "r.pdf")), 2)
        assert line.endswith("r.pdf is neither .html nor .md")
