"""The task group with waits on workers, and with a try that dies just after each change it makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.airflow.conftest import BAD, BUCKET, GOOD, GROUP, IMAGE, POLICY, ROLE, World
from tests.airflow.dags.pipelines import CHANGES

DAGS = Path(__file__).parent / "dags"


def run_pipeline(world: World, endpoint: str, source: str, expected: str, **environment: str) -> str:
    home = world.home(DAGS, **environment)
    conf = {
        "endpoint_name": endpoint,
        "image": IMAGE,
        "candidate": world.model_data(source),
        "role": ROLE,
        "captures": f"s3://{BUCKET}/captures",
        "policy": POLICY,
        "deadline": 60,
        "poll_interval": 1,
        "capture_lag": 1,
        "watch_minutes": 0.05,
    }
    callers = world.callers(endpoint).start()
    try:
        run = home.run(DAGS / "pipelines.py", {"conf": conf}, lambda *_: None)
    finally:
        callers.stop()
    assert callers.failures == []
    assert run.state == "success", run.log.read_text(errors="replace")[-6000:]
    decision = home.xcom(run.run_id, GROUP + "evaluate")
    assert decision["verdict"] == expected, decision["reason"] + run.log.read_text(errors="replace")[-6000:]
    return run.log.read_text(errors="replace")


def test_waits_on_workers_reach_the_same_end(world: World) -> None:
    endpoint = world.live_endpoint()
    log = run_pipeline(world, endpoint, GOOD, "PROMOTE", SHADOW_TEST_DEFERRABLE="0")

    assert "running trigger in line" not in log
    assert world.serving(endpoint)[1].startswith(f"{endpoint}-candidate-")


@pytest.mark.parametrize(("source", "verdict"), [(GOOD, "PROMOTE"), (BAD, "REJECT")])
def test_a_task_whose_first_try_died_after_its_change_finds_its_way(
    world: World, tmp_path: Path, source: str, verdict: str
) -> None:
    endpoint = world.live_endpoint()
    log = run_pipeline(
        world, endpoint, source, verdict, SHADOW_TEST_DEFERRABLE="1", SHADOW_TEST_DEATH_MARKS=str(tmp_path)
    )

    died = {path.name for path in tmp_path.iterdir()}
    assert died >= {"ensure_model", "ensure_endpoint_config", "update_endpoint", "write_document_once"}
    assert died <= set(CHANGES)
    assert all(f"died just after {verb}" in log for verb in died)
    config, model, shadows = world.serving(endpoint)
    assert shadows == 0
    if verdict == "PROMOTE":
        assert world.names("endpoint_configs", endpoint) == sorted([f"{endpoint}-config", config])
        assert world.names("models", endpoint) == sorted([f"{endpoint}-model", model])
    else:
        assert (config, model) == (f"{endpoint}-config", f"{endpoint}-model")
        assert world.names("endpoint_configs", endpoint) == [f"{endpoint}-config"]
        assert world.names("models", endpoint) == [f"{endpoint}-model"]
