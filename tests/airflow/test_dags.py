"""Every DAG that we ship imports, serialises and keeps Airflow's manners at parse."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "dags").glob("*.py"))


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"dag_file_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def serialised(dag: Any) -> dict[str, Any]:
    from airflow.serialization import serialized_objects

    # Airflow 3.1 and 3.3 have it under different names.
    found = vars(serialized_objects)
    return dict((found.get("DagSerialization") or found["SerializedDAG"]).to_dict(dag))


def test_there_are_dags() -> None:
    assert [path.stem for path in FILES] == [
        "example_embedded",
        "example_on_promotion",
        "example_steps",
        "shadow_deployment",
        "shadow_orphans",
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_dag_imports_and_serialises(path: Path) -> None:
    dag = load(path).dag
    document = json.dumps(serialised(dag))
    assert all(task_id in document for task_id in dag.task_ids)
    dag.validate()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_parsing_a_dag_talks_to_nobody(path: Path) -> None:
    """No AWS client, no connection, no Variable: the file is parsed with all of them made to fail."""
    script = f"""
import socket, sys
def refuse(*args, **kwargs): raise AssertionError("a DAG file opened a connection")
import airflow.sdk, airflow.providers.amazon.aws.hooks.base_aws as base_aws
socket.socket.connect = refuse
base_aws.SessionFactory.create_session = refuse
airflow.sdk.Variable.get = refuse
airflow.sdk.Connection.get = refuse
import runpy
runpy.run_path({str(path)!r})
heavy = {{"scipy", "sklearn", "moto", "duckdb", "pandas"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_group_is_chained_as_designed() -> None:
    dag = load(ROOT / "dags" / "shadow_deployment.py").dag

    def after(task: str) -> set[str]:
        return {name.rpartition(".")[2] for name in dag.get_task(f"shadow_deployment.{task}").downstream_task_ids}

    assert after("plan") == {"hold_endpoint"}
    # Its result, the place of the lease, goes to all that may change the endpoint.
    assert after("hold_endpoint") == {
        "create_production_model", "create_shadow_model", "create_endpoint_config", "deploy_endpoint",
        "wait_in_service", "autoscale_shadow", "wait_for_evidence", "evaluate", "promote",
        "watch_promotion", "rollback", "release_endpoint",
    }  # fmt: skip
    assert after("create_production_model") == {"create_endpoint_config"}
    assert after("create_shadow_model") == {"create_endpoint_config"}
    assert "deploy_endpoint" in after("create_endpoint_config")
    assert after("deploy_endpoint") == {"wait_in_service"}
    assert after("wait_in_service") == {"autoscale_shadow"}
    assert after("autoscale_shadow") == {"wait_for_evidence"}
    assert after("wait_for_evidence") == {"evaluate"}
    assert after("evaluate") == {"promote", "conclude"}
    assert after("promote") == {"watch_promotion", "conclude"}
    assert after("watch_promotion") == {"rollback", "conclude"}
    assert after("rollback") == {"clean_up", "conclude"}
    assert after("clean_up") == {"conclude", "release_endpoint"}
    assert after("conclude") == after("release_endpoint") == set()
    assert dag.get_task("shadow_deployment.release_endpoint").trigger_rule == "all_done"
    assert dag.get_task("shadow_deployment.rollback").trigger_rule == "all_done"


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("sampling_percentage", 0, "sampling_percentage=0"),
        ("endpoint_name", "my_endpoint", "endpoint_name='my_endpoint'"),
        ("candidate_container", {"image": "i", "mode": "MultiModel"}, "mode='MultiModel'"),
        ("shadow_variant", {"ServerlessConfig": {"MaxConcurrency": 1}}, "serverless"),
        ("policy", {"gates": [{"metric": "speed", "margin": 0.1}]}, "gates[0].metric"),
        ("deadline", -1, "deadline=-1"),
        ("shadow_autoscaling", {"min_capacity": 2, "max_capacity": 1, "invocations_per_instance": 9}, "min_capacity=2"),
        ("production_guard", {"latency_margin": 0}, "production_guard.latency_margin=0"),
        ("promote_infrastructure", "candidate", "promote_infrastructure='candidate'"),
        ("guardrails", {"strategy": "ROLLING", "step_percent": 60}, "step_percent=60: MaximumBatchSize"),
        ("watch_minutes", -1, "watch_minutes=-1: must be 0 to 1440"),
        ("smoke_test", "maybe", "smoke_test='maybe': must be one of if_captured, required, off"),
        ("metric_lag", -1, "metric_lag=-1: must be a duration above zero"),
        ("data_capture", {"destination_s3_uri": "bucket/prefix"}, "destination_s3_uri='bucket/prefix'"),
    ],
)
def test_a_bad_argument_fails_at_parse_and_names_itself(argument: str, value: Any, message: str) -> None:
    from airflow.sdk import DAG

    from shadow_provider.task_group import shadow_deployment

    good: dict[str, Any] = {
        "endpoint_name": "endpoint",
        "candidate_container": {"image": "image:1", "model_data_url": "s3://bucket/model.tar.gz"},
        "execution_role_arn": "arn:aws:iam::123456789012:role/execution",
    }
    with DAG("bad"), pytest.raises(ValueError, match="=") as error:
        shadow_deployment(**(good | {argument: value}))
    assert message in str(error.value)
