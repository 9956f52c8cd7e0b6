"""The runner against Airflow: the rules by themselves, and whole runs beside Airflow's own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shadow_provider.demo.airflow_run import AirflowHome
from tests.aws.conftest import poll
from tests.chaos.cloud import Cloud, running_cloud
from tests.chaos.evidence import put_evidence
from tests.chaos.scenarios import ENDPOINT, SCENARIOS
from tests.chaos.states import next_state, run_state

ROOT = Path(__file__).parents[2]
DAGS = Path(__file__).parent / "dags"


@pytest.mark.parametrize(
    ("rule", "upstream", "expected"),
    [
        ("all_success", [], "run"),
        ("all_success", ["success", "success"], "run"),
        ("all_success", ["success", "skipped"], "skipped"),
        ("all_success", ["skipped", "failed"], "upstream_failed"),
        ("all_success", ["upstream_failed"], "upstream_failed"),
        ("all_done", ["failed", "skipped", "upstream_failed"], "run"),
        ("none_failed", ["skipped", "skipped"], "run"),
        ("none_failed", ["success", "upstream_failed"], "upstream_failed"),
        ("none_failed_min_one_success", ["skipped", "skipped"], "skipped"),
        ("none_failed_min_one_success", ["skipped", "success"], "run"),
        ("one_failed", ["success"], "skipped"),
        ("one_failed", ["success", "failed"], "run"),
    ],
)
def test_what_a_trigger_rule_makes_of_finished_tasks(rule: str, upstream: list[str], expected: str) -> None:
    assert next_state(rule, upstream) == expected


def test_an_unknown_rule_is_not_guessed() -> None:
    with pytest.raises(KeyError):
        next_state("one_done", ["success"])


def test_a_run_is_as_its_leaves() -> None:
    assert run_state(["success", "skipped"]) == "success"
    assert run_state(["success", "upstream_failed"]) == "failed"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with running_cloud() as made:
        yield made


@pytest.fixture(scope="module")
def airflow_home(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> AirflowHome:
    home = AirflowHome(tmp_path_factory.mktemp("airflow"), DAGS, cloud.aws.connection_uri)
    home.environment["SHADOW_TEST_CLOCK_AHEAD"] = "1"
    home.environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    home.prepare()
    return home


def by_the_runner(name: str) -> Any:
    """What a scenario comes to by the runner."""
    command = [sys.executable, "-m", "tests.chaos.undisturbed", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", ["promote", "reject", "broken"])
def test_the_runner_brings_every_task_to_the_state_that_airflow_brings_it_to(
    cloud: Cloud, airflow_home: AirflowHome, tmp_path: Path, name: str
) -> None:
    scenario = SCENARIOS[name]
    ours = by_the_runner(name)
    assert ours["failures"] == []

    cloud.prepare(scenario)
    evidence = threading.Thread(target=lambda: poll(lambda: put_evidence(cloud, scenario), 120))
    with cloud.caller(tmp_path / "log") as failures:
        if scenario.verdict:
            evidence.start()
        run = airflow_home.run(DAGS / "pipeline.py", {"conf": scenario.conf}, lambda *_: None)
    assert failures == []

    text = run.log.read_text(errors="replace")[-3000:]
    assert (ours["state"], run.state) == (scenario.state, scenario.state), text
    assert ours["tasks"] == dict(run.tasks), text
    assert airflow_home.xcom(run.run_id, "shadow_deployment.evaluate") is None or (
        airflow_home.xcom(run.run_id, "shadow_deployment.evaluate")["verdict"] == scenario.verdict
    )
    assert cloud.settled()["EndpointName"] == ENDPOINT
