"""`plan`, `evaluate`, `judge` and `report` on endpoints that this project did not make."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

from shadow_provider.evidence.window import rounded_down
from shadow_provider.local import LocalAWS
from shadow_provider.verdict.record import DecisionRecord
from tests.aws.conftest import BUCKET, ECHO, poll
from tests.aws.test_block_metrics import MINUTE, put, request_metrics
from tests.unit.cli.calling import call, said_wrong

NOISY = """
import json, random
def model_fn(d): return None
def transform_fn(m, b, c, a): return json.dumps({"score": float(b) + random.uniform(-0.1, 0.1)}), "application/json"
"""
POLICY = {
    "gates": [{"metric": "agreement", "minimum": 0.9}, {"metric": "paired_error_rate", "margin": 0.2}],
    "minimum_pairs": 10,
    "deadline_hours": 0.5,
    "block_seconds": 1,
}


@dataclass(frozen=True)
class Shadowed:
    """An endpoint with a shadow, and requests that both variants have answered and captured."""

    name: str
    prefix: str
    requests: int
    since: datetime
    end: datetime
    credentials: tuple[str, ...]

    def call(self, command: str, *options: str) -> Result:
        return call(command, *options, *self.credentials)

    def evaluate(self, *options: str) -> Result:
        window = ("--since", self.since.isoformat(), "--until", self.end.isoformat())
        return self.call("evaluate", self.name, *window, *options)


def shadowed(cloud: Any, local_aws: LocalAWS, source: str, bodies: list[bytes]) -> Shadowed:
    prefix = f"captures-{time.time_ns()}"
    model = cloud.model(source)
    config = cloud.config(
        [cloud.variant("AllTraffic", model)],
        [cloud.variant("Candidate", model)],
        DataCaptureConfig=cloud.capture_config(prefix),
    )
    name = cloud.endpoint(config)
    since = datetime.now(UTC) - timedelta(seconds=5)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda item: cloud.invoke(name, item[1], InferenceId=f"r{item[0]}"), enumerate(bodies)))

    last = time.time()

    def captured() -> bool:
        lines: list[int] = [body.count(b"\n") for body in cloud.objects(f"{prefix}/{name}/").values()]
        return sum(lines) == 2 * len(bodies)

    poll(captured)
    # Only whole blocks count: the last request's must be over.
    poll(lambda: int(time.time()) > int(last))
    options = ("--endpoint-url", local_aws.endpoint_url, "--region", "us-east-1")
    return Shadowed(name, prefix, len(bodies), since, datetime.now(UTC), options)


@pytest.fixture
def credentials(local_aws: LocalAWS, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in local_aws.address.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def endpoint(cloud: Any, local_aws: LocalAWS, credentials: None) -> Shadowed:
    return shadowed(cloud, local_aws, ECHO, [b"%d\n" % (number % 3) for number in range(60)])


@pytest.fixture
def policy(tmp_path: Path) -> str:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(POLICY))
    return str(file)


class TestPlan:
    @pytest.fixture
    def busy(self, cloud: Any, credentials: None) -> str:
        """An endpoint with 3,600 requests in each of the last three whole hours, by what CloudWatch says."""
        name: str = cloud.endpoint(cloud.config([cloud.variant("AllTraffic", cloud.model())]))
        end = rounded_down(datetime.now(UTC), 3600)
        random = np.random.default_rng(3)
        for minute in range(180):
            latencies = random.lognormal(9, 0.3, 60).tolist()
            put(cloud, name, "AllTraffic", end - (minute + 1) * MINUTE, request_metrics(latencies, minute % 2))
        return name

    def plan(self, local_aws: LocalAWS, *options: str) -> Result:
        return call("plan", *options, "--endpoint-url", local_aws.endpoint_url, "--region", "us-east-1")

    def test_productions_own_traffic_is_planned_with(self, local_aws: LocalAWS, busy: str) -> None:
        said = json.loads(self.plan(local_aws, busy, "--hours", "3", "--sampling-percentage", "50", "--json").stdout)
        assert said["pairs_per_hour"] == 1800
        assert said["traffic"]["error_rate"] == pytest.approx(1 / 120)
        by_name = {gate["name"]: gate for gate in said["gates"]}
        assert "production's rate of late" in by_name["paired_error_rate"]["supposed"]
        assert "own change between blocks of 300 s" in by_name["model_latency.p90"]["supposed"]

    def test_a_deadline_out_of_reach_has_its_own_exit_code(self, local_aws: LocalAWS, busy: str) -> None:
        result = self.plan(local_aws, busy, "--variant", "AllTraffic", "--hours", "3", "--policy", "conservative")
        assert result.exit_code == 3, result.output
        assert "warning: invocation_error_rate: needs about" in result.stdout

    def test_an_endpoint_without_traffic_can_prove_nothing(self, local_aws: LocalAWS, cloud: Any, busy: str) -> None:
        silent = cloud.endpoint(cloud.config([cloud.variant("AllTraffic", cloud.model())]))
        result = self.plan(local_aws, silent)
        assert result.exit_code == 3, result.output
        assert "production had no traffic" in result.stdout

    def test_an_endpoint_that_is_not_there_is_one_line(self, local_aws: LocalAWS, credentials: None) -> None:
        assert "Could not find endpoint" in said_wrong(self.plan(local_aws, "nothing"))


class TestEvaluate:
    def test_a_look_pairs_what_both_variants_answered_and_its_record_is_judged_the_same(
        self, endpoint: Shadowed, policy: str, tmp_path: Path, cloud: Any
    ) -> None:
        record, report = tmp_path / "record.json", tmp_path / "report.html"
        written = ("--record", str(record), "--report", str(report))
        result = endpoint.evaluate("--policy", policy, *written)
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("CONTINUE: ")
        made = DecisionRecord.model_validate_json(record.read_bytes())
        assert made.judgement.pairs == endpoint.requests
        assert made.evidence.captures.paired_by == "inference_id"
        assert made.evidence.mirror.configured_share == 1
        assert endpoint.name in report.read_text()
        cloud.s3.put_object(Bucket=BUCKET, Key="records/one.json", Body=record.read_bytes())
        uri = f"s3://{BUCKET}/records/one.json"
        assert f"same bytes: SHA-256 {made.digest}" in endpoint.call("judge", uri).stdout
        assert endpoint.call("report", uri, "--output", str(tmp_path / "again.html")).exit_code == 0
        assert (tmp_path / "again.html").read_bytes() == report.read_bytes()

    def test_a_later_look_knows_what_an_earlier_one_read(
        self, endpoint: Shadowed, policy: str, tmp_path: Path, cloud: Any
    ) -> None:
        kept = ("--policy", policy, "--state", str(tmp_path / "state"))
        first = json.loads(endpoint.evaluate(*kept, "--json").stdout)
        for key in cloud.objects(f"{endpoint.prefix}/"):
            cloud.s3.delete_object(Bucket=BUCKET, Key=key)
        again = json.loads(endpoint.evaluate(*kept, "--json").stdout)
        assert again["pairs"] == first["pairs"] == endpoint.requests

    def test_the_last_look_is_inconclusive_where_nothing_is_proven(self, endpoint: Shadowed, policy: str) -> None:
        result = endpoint.evaluate("--policy", policy, "--final")
        assert result.exit_code == 4, result.output

    def test_no_captures_are_told_with_the_place(self, endpoint: Shadowed, policy: str) -> None:
        result = endpoint.evaluate("--policy", policy, "--capture-s3-uri", f"s3://{BUCKET}/elsewhere")
        assert result.exit_code == 2
        assert f"no captures of AllTraffic or Candidate under s3://{BUCKET}/elsewhere" in result.stderr

    def test_a_window_without_a_whole_block_is_told(self, endpoint: Shadowed) -> None:
        result = endpoint.evaluate()
        assert result.exit_code == 2
        assert "not one whole block of 600 s" in result.stderr

    def test_a_missing_bucket_is_one_line(self, endpoint: Shadowed, policy: str) -> None:
        result = endpoint.evaluate("--policy", policy, "--capture-s3-uri", "s3://not-there/x")
        assert result.exit_code == 2
        assert "NoSuchBucket" in result.stderr.splitlines()[-1]

    def test_an_endpoint_that_is_not_there_is_one_line(self, local_aws: LocalAWS, credentials: None) -> None:
        result = call("evaluate", "nothing", "--endpoint-url", local_aws.endpoint_url, "--region", "us-east-1")
        assert "Could not find endpoint" in said_wrong(result, 2)


def test_the_noise_floor_of_equal_models_becomes_a_tolerance(
    cloud: Any, local_aws: LocalAWS, credentials: None, tmp_path: Path
) -> None:
    import yaml

    endpoint = shadowed(cloud, local_aws, NOISY, [b"%d" % number for number in range(120)])
    policy = tmp_path / "policy.json"
    comparator = {"kind": "json"}
    gates = [{"metric": "agreement", "minimum": 0.9}]
    policy.write_text(json.dumps(POLICY | {"comparator": comparator, "gates": gates}))
    result = endpoint.evaluate("--policy", str(policy), "--noise-floor")
    assert result.exit_code == 0, result.output
    (rule,) = yaml.safe_load(result.stdout)["comparator"]["rules"]
    assert rule["path"] == "score"
    assert 0.1 < rule["absolute_tolerance"] < 0.21
    assert "# score: differs in 100.00% of the pairs by itself" in result.stdout
    policy.write_text(json.dumps(POLICY | {"gates": gates} | yaml.safe_load(result.stdout)))
    record = tmp_path / "record.json"
    assert endpoint.evaluate("--policy", str(policy), "--record", str(record)).exit_code == 0
    made = DecisionRecord.model_validate_json(record.read_bytes())
    assert made.judgement.gates[0].estimate == 1.0


class TestRecords:
    @pytest.mark.parametrize("place", [f"{BUCKET}/none.json", "not-there/none.json", BUCKET])
    def test_an_object_that_is_not_there_is_one_line_that_names_it(
        self, local_aws: LocalAWS, credentials: None, place: str
    ) -> None:
        options = ("--endpoint-url", local_aws.endpoint_url, "--region", "us-east-1")
        assert f"s3://{place}" in said_wrong(call("judge", f"s3://{place}", *options), 2)
