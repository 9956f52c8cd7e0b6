"""SHADOW_DEPLOYMENT_DEFAULTS: the reference DAG's defaults from the environment."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DAG_FILE = Path(__file__).parents[2] / "dags" / "shadow_deployment.py"


def load(monkeypatch: pytest.MonkeyPatch, defaults: str) -> ModuleType:
    monkeypatch.setenv("SHADOW_DEPLOYMENT_DEFAULTS", defaults)
    spec = importlib.util.spec_from_file_location("reference_dag_with_defaults", DAG_FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_they_replace_the_files_own_and_leave_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = {"minimum_pairs": 500}
    module = load(monkeypatch, '{"endpoint_name": "prices", "deadline_hours": 2, "policy": {"minimum_pairs": 500}}')
    params = module.dag.params
    assert (params["endpoint_name"], params["deadline_hours"], params["policy"]) == ("prices", 2, policy)
    assert params["sampling_percentage"] == 100
    # The form and its rules are those of the file.
    assert params.get_param("endpoint_name").schema["title"] == "Endpoint"


def test_without_them_the_files_own_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, "").dag.params["endpoint_name"] == "digits"


@pytest.mark.parametrize(
    ("defaults", "message"),
    [
        ('{"endpoint_nam": "digits", "x": 1}', "there is no Param endpoint_nam, x"),
        ('{"sampling_percentage": 0}', "SHADOW_DEPLOYMENT_DEFAULTS: sampling_percentage: 0 is less than"),
        ('["digits"]', "must be a JSON object"),
        ("digits", "is not JSON"),
    ],
)
def test_what_they_cannot_be_is_told_at_import(monkeypatch: pytest.MonkeyPatch, defaults: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(monkeypatch, defaults)
