"""What importing the provider loads, seen in processes of their own: this one has loaded everything already."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from shadow_provider.provider_info import get_provider_info

# Rule 8 of docs/architecture.md: these are for the evaluation and the demo, and are imported inside functions.
HEAVY = {
    "duckdb", "matplotlib", "moto", "numpy", "pandas", "pyarrow", "pyspark", "regex", "rich", "scipy", "sklearn",
    "statsmodels", "typer", "uvicorn", "uvloop",
}  # fmt: skip
OURS_HEAVY = {"shadow_provider.local", "shadow_provider.demo", "shadow_provider.cli", "shadow_provider.statistics"}
AMAZON = (
    "airflow.providers.amazon.aws.operators.sagemaker",
    "airflow.providers.amazon.aws.sensors.sagemaker",
    "airflow.providers.amazon.aws.triggers.sagemaker",
)
OURS = (
    "shadow_provider.task_group",
    *(
        module
        for kind in ("hooks", "operators", "sensors", "triggers")
        for entry in get_provider_info()[kind]
        for module in entry["python-modules"]
    ),
)
# Any use of the network fails the import, and boto3 must not even read its configuration to make a client.
PROGRAM = """
import importlib, json, socket, sys

def refuse(*_, **__):
    raise AssertionError("importing must not use the network")

import asyncio, ssl
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = socket.create_connection = refuse
import botocore.session
botocore.session.Session.create_client = refuse
for module in sys.argv[1:]:
    importlib.import_module(module)
print(json.dumps(sorted(sys.modules)))
"""


@cache
def loaded_by(*modules: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, *modules],
        capture_output=True,
        text=True,
        env={**os.environ, "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def packages(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def test_importing_everything_loads_nothing_heavy_and_calls_nobody() -> None:
    added = loaded_by(*OURS) - loaded_by(*AMAZON)
    assert "shadow_provider.task_group" in added
    assert packages(added) & HEAVY == set()


def test_importing_everything_leaves_our_own_heavy_parts_alone() -> None:
    assert loaded_by(*OURS) & OURS_HEAVY == set()


def test_the_packages_added_are_few_and_known() -> None:
    added = packages(loaded_by(*OURS)) - packages(loaded_by(*AMAZON))
    assert added <= {"shadow_provider", "tenacity", "pydantic", "pydantic_core", "asgiref", "yaml", "jmespath"}


@pytest.mark.parametrize("module", ["scipy.stats", "shadow_provider.statistics.paired", "sklearn"])
def test_what_is_heavy_would_be_seen(module: str) -> None:
    seen = loaded_by(*AMAZON, module) - loaded_by(*AMAZON)
    assert packages(seen) & HEAVY or seen & OURS_HEAVY


def test_a_call_to_aws_at_import_would_be_seen() -> None:
    program = PROGRAM.replace("print(", "import boto3\nboto3.client('sagemaker', region_name='us-east-1')\nprint(")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "importing must not use the network" in done.stderr


def test_the_provider_info_itself_loads_next_to_nothing() -> None:
    program = (
        "import sys, json; before = set(sys.modules); import shadow_provider.provider_info as info; "
        "info.get_provider_info(); print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert packages(set(json.loads(done.stdout))) <= {"shadow_provider", *sys.stdlib_module_names}


EVALUATION = """
import json, sys
from pathlib import Path
from benchmarks.evaluate.data import Traffic, write_captures
from benchmarks.evaluate.ways import engine

for shape in ("csv", "json"):
    root = Path(sys.argv[1]) / shape
    write_captures(root, Traffic(shape, 3000, hours=3))
    assert engine(shape, str(root), "3")["labelled"] == 3000
print(json.dumps(sorted(sys.modules)))
"""


def test_a_whole_evaluation_loads_no_more_of_scipy_than_its_special_functions(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", EVALUATION, str(tmp_path)], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "scipy.special" in loaded
    assert (
        loaded & {"scipy.stats", "scipy.optimize", "scipy.sparse", "matplotlib", "jinja2", "boto3", "sklearn"} == set()
    )
