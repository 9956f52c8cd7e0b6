"""`evaluate` with SageMaker's answers and the evidence replaced; with real captures see tests/aws."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from shadow_provider.evidence.collect import Kept
from shadow_provider.evidence.engine.store import FolderStore
from shadow_provider.verdict.evidence import CaptureEvidence, Evidence
from shadow_provider.verdict.record import DecisionRecord
from tests.unit.cli.calling import call, said_wrong
from tests.unit.verdict.builders import evidence

SINCE = datetime(2026, 3, 1, tzinfo=UTC)
CONFIG: dict[str, Any] = {
    "EndpointConfigName": "digits-shadow",
    "CreationTime": SINCE,
    "ProductionVariants": [{"VariantName": "AllTraffic", "ModelName": "old", "InitialVariantWeight": 1.0}],
    "ShadowProductionVariants": [
        {
            "VariantName": "Shadow",
            "ModelName": "new",
            "InitialVariantWeight": 0.5,
            "InstanceType": "ml.m5.xlarge",
            "InitialInstanceCount": 2,
        }
    ],
    "DataCaptureConfig": {"DestinationS3Uri": "s3://bucket/captures", "InitialSamplingPercentage": 80},
}


class StubSession:
    """boto3's, of an endpoint that runs `config`; of none at all if it is an error."""

    def __init__(self, config: dict[str, Any] | Exception) -> None:
        self.config = config
        self.made: list[Any] = []

    def client(self, service: str, endpoint_url: str | None) -> Any:
        self.made.append((service, endpoint_url))
        return self

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:  # noqa: N803 - boto3's own name
        if isinstance(self.config, Exception):
            raise self.config
        return {"EndpointName": EndpointName, "EndpointConfigName": self.config["EndpointConfigName"]}

    def describe_endpoint_config(self, EndpointConfigName: str) -> Any:  # noqa: N803
        assert isinstance(self.config, dict)
        assert EndpointConfigName == self.config["EndpointConfigName"]
        return self.config


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> StubSession:
    made = StubSession(CONFIG)
    monkeypatch.setattr("boto3.Session", lambda **_: made)
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What collect was asked; it finds a healthy candidate."""
    return finds(monkeypatch, evidence())


def finds(monkeypatch: pytest.MonkeyPatch, found: Evidence) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []

    def collect(**arguments: Any) -> Evidence:
        seen.append(arguments)
        return found

    monkeypatch.setattr("shadow_provider.evidence.collect.collect", collect)
    return seen


def no_such_endpoint() -> ClientError:
    error: Any = {"Error": {"Code": "ValidationException", "Message": 'Could not find endpoint "digits".'}}
    return ClientError(error, "DescribeEndpoint")


ALL_GIVEN = (
    *("--production-variant", "A", "--shadow-variant", "B", "--capture-s3-uri", "s3://other/place"),
    *("--since", "2026-03-01T12:00:00+01:00"),
)


@pytest.mark.usefixtures("session")
class TestWhatIsCompared:
    def test_the_endpoint_says_what_no_option_does(self, asked: list[dict[str, Any]]) -> None:
        result = call("evaluate", "digits")
        assert result.exit_code == 0, result.output
        (seen,) = asked
        run = seen["run"]
        assert (run.config_name, run.since) == ("digits-shadow", SINCE)
        assert (run.production_variant, run.shadow_variant) == ("AllTraffic", "Shadow")
        assert (run.incumbent_model, run.candidate_model) == ("old", "new")
        assert (run.sampling_percentage, run.capture_percentage) == (50.0, 80)
        assert (run.shadow_instance_type, run.shadow_instance_count) == ("ml.m5.xlarge", 2)
        assert run.capture_s3_uri == "s3://bucket/captures"
        assert (seen["endpoint_name"], seen["final"], seen["kept"]) == ("digits", False, None)
        age = datetime.now(UTC) - seen["until"]
        assert timedelta(minutes=5) <= age < timedelta(minutes=6)

    def test_options_come_before_it(self, asked: list[dict[str, Any]]) -> None:
        options = ("--until", "2026-03-02T00:00:00", "--sampling-percentage", "10", "--ground-truth-s3-uri", "s3://t/u")
        result = call("evaluate", "digits", *ALL_GIVEN, *options, "--final")
        assert result.exit_code == 0, result.output
        run = asked[0]["run"]
        assert (run.production_variant, run.shadow_variant, run.candidate_model) == ("A", "B", "unknown")
        assert (run.capture_s3_uri, run.sampling_percentage) == ("s3://other/place", 10)
        assert run.since == datetime(2026, 3, 1, 11, tzinfo=UTC)
        assert asked[0]["until"] == datetime(2026, 3, 2, tzinfo=UTC)
        assert asked[0]["ground_truth_s3_uri"] == "s3://t/u"
        assert asked[0]["final"] is True

    def test_an_endpoint_that_is_gone_can_be_evaluated_when_all_is_given(
        self, session: StubSession, asked: list[dict[str, Any]]
    ) -> None:
        session.config = no_such_endpoint()
        assert call("evaluate", "digits", *ALL_GIVEN).exit_code == 0
        assert asked[0]["run"].config_name == ""
        assert "Could not find endpoint" in said_wrong(call("evaluate", "digits", *ALL_GIVEN[:-2]), 2)

    @pytest.mark.usefixtures("asked")
    def test_other_troubles_of_sagemaker_are_not_taken_for_that(self, session: StubSession) -> None:
        denied: Any = {"Error": {"Code": "AccessDeniedException", "Message": "no"}}
        session.config = ClientError(denied, "DescribeEndpoint")
        assert "AccessDenied" in said_wrong(call("evaluate", "digits", *ALL_GIVEN), 2)

    @pytest.mark.usefixtures("asked")
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (
                {"ShadowProductionVariants": []},
                "has no shadow variant; name the one of the captures by --shadow-variant",
            ),
            ({"ProductionVariants": CONFIG["ProductionVariants"] * 2}, "choose one by --production-variant"),
            ({"DataCaptureConfig": None}, "captures nothing; where its captures lie is --capture-s3-uri"),
        ],
    )
    def test_what_cannot_be_read_off_the_endpoint_names_the_option(
        self, session: StubSession, change: dict[str, Any], words: str
    ) -> None:
        session.config = CONFIG | change
        assert words in said_wrong(call("evaluate", "digits"), 2)

    @pytest.mark.usefixtures("asked")
    def test_a_window_that_has_not_begun_is_told(self, session: StubSession) -> None:
        session.config = CONFIG | {"CreationTime": datetime.now(UTC) - timedelta(minutes=1)}
        assert "nothing to look at yet" in said_wrong(call("evaluate", "digits"), 2)

    @pytest.mark.usefixtures("asked")
    def test_a_time_that_is_still_to_come_is_refused(self) -> None:
        assert "still to come" in said_wrong(call("evaluate", "digits", "--until", "2999-01-01"), 2)

    @pytest.mark.usefixtures("asked")
    def test_what_is_no_time_is_refused(self) -> None:
        result = call("evaluate", "digits", "--since", "yesterday")
        assert result.exit_code == 2
        assert "no ISO time" in result.stderr


@pytest.mark.usefixtures("session")
class TestVerdict:
    @pytest.mark.parametrize(
        ("found", "options", "verdict", "code"),
        [
            ({}, (), "PROMOTE", 0),
            ({"blocks": 6}, (), "CONTINUE", 0),
            ({"blocks": 6}, ("--final",), "INCONCLUSIVE", 4),
            ({"disagreeing": 0.3}, (), "REJECT", 1),
            ({"captures": "silent"}, (), "INVALID", 5),
        ],
    )
    def test_every_verdict_has_its_exit_code(
        self, monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], options: tuple[str, ...], verdict: str, code: int
    ) -> None:
        made = evidence(**{name: value for name, value in found.items() if value != "silent"})
        if "captures" in found:
            nothing = (0,) * made.blocks.count
            mirror = made.mirror.model_copy(update={"shadow": nothing, "paired": nothing})
            made = made.model_copy(update={"mirror": mirror})
        finds(monkeypatch, made)
        result = call("evaluate", "digits", *options)
        assert result.stdout.startswith(f"{verdict}: "), result.output
        assert result.exit_code == code

    @pytest.mark.usefixtures("asked")
    def test_record_and_report_are_written(self, tmp_path: Path) -> None:
        record, report = tmp_path / "r.json", tmp_path / "r.html"
        result = call("evaluate", "digits", "--record", str(record), "--report", str(report), "--policy", "balanced")
        assert result.exit_code == 0, result.output
        written = DecisionRecord.model_validate_json(record.read_bytes())
        assert (written.deployment_id, written.configs.shadow) == (None, "digits-shadow")
        assert (written.incumbent_model, written.candidate_model) == ("old", "new")
        assert report.read_text().lower().startswith("<!doctype html>")
        assert call("judge", str(record)).exit_code == 0

    @pytest.mark.usefixtures("asked")
    def test_as_json_nothing_else_is_on_standard_output(self, tmp_path: Path) -> None:
        record = tmp_path / "r.json"
        said = json.loads(call("evaluate", "digits", "--json", "--record", str(record)).stdout)
        assert said["verdict"] == "PROMOTE"
        assert said["digest"] == DecisionRecord.model_validate_json(record.read_bytes()).digest

    def test_what_a_look_knows_is_kept_in_a_folder_or_a_bucket(
        self, session: StubSession, asked: list[dict[str, Any]], tmp_path: Path
    ) -> None:
        for place in (str(tmp_path), "s3://bucket/state/", "s3://bucket"):
            assert call("evaluate", "digits", "--state", place).exit_code == 0
        folder, some, whole = (seen["kept"] for seen in asked)
        assert folder == Kept(FolderStore(tmp_path), "looks")
        assert [(each.store.client, each.store.bucket) for each in (some, whole)] == [(session, "bucket")] * 2
        assert [some.prefix, whole.prefix] == ["state", "looks"]


@pytest.mark.usefixtures("session")
class TestTrouble:
    def test_no_captures_at_all_is_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        finds(monkeypatch, evidence(captures=CaptureEvidence()))
        result = call("evaluate", "digits")
        assert result.exit_code == 2
        assert "no captures of AllTraffic or Shadow under s3://bucket/captures/digits" in result.stderr

    def test_what_a_user_can_put_right_is_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def collect(**_: Any) -> Evidence:
            raise EndpointConnectionError(endpoint_url="http://x")

        monkeypatch.setattr("shadow_provider.evidence.collect.collect", collect)
        result = call("evaluate", "digits")
        assert result.exit_code == 2
        assert result.stderr.splitlines()[-1].startswith("Error: Could not connect")

    def test_a_report_of_another_kind_is_refused_before_the_look(self, asked: list[dict[str, Any]]) -> None:
        assert "neither .html nor .md" in said_wrong(call("evaluate", "digits", "--report", "r.pdf"), 2)
        assert asked == []

    def test_labels_have_no_noise_floor(self) -> None:
        result = call("evaluate", "digits", "--noise-floor")
        assert result.exit_code == 2
        assert "comparator of kind label has no tolerances" in result.stderr
