from __future__ import annotations

import importlib
import json
import pkgutil
from importlib.metadata import entry_points
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

import shadow_provider.operators
import shadow_provider.sensors
import shadow_provider.triggers
from shadow_provider.provider_info import get_provider_info

INFO = get_provider_info()
KINDS = ("hooks", "operators", "sensors", "triggers")
MODULES = [module for kind in KINDS for entry in INFO[kind] for module in entry["python-modules"]]


@pytest.fixture(scope="module")
def schema() -> Any:
    """Of the installed Airflow, whichever it is."""
    return json.loads((files("airflow") / "provider_info.schema.json").read_text())


def test_airflow_accepts_it(schema: Any) -> None:
    jsonschema.validate(INFO, schema)


@pytest.mark.parametrize("broken", [{"description": None}, {"operators": ["shadow_provider.operators.model"]}])
def test_the_schema_refuses_what_airflow_could_not_read(schema: Any, broken: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(INFO | broken, schema)


def test_no_key_is_unknown_to_airflow(schema: Any) -> None:
    # The schema itself lets unknown keys pass, and Airflow would ignore them.
    assert set(INFO) - set(schema["properties"]) <= {"package-name"}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_named_has_a_public_class_of_its_own(module: str) -> None:
    imported = importlib.import_module(module)
    own = [name for name, item in vars(imported).items() if getattr(item, "__module__", None) == module]
    assert [name for name in own if name.startswith("SageMakerShadow")]


@pytest.mark.parametrize("name", INFO["extra-links"])
def test_every_class_named_exists(name: str) -> None:
    module, _, cls = name.rpartition(".")
    assert isinstance(getattr(importlib.import_module(module), cls), type)


@pytest.mark.parametrize("package", [shadow_provider.operators, shadow_provider.sensors, shadow_provider.triggers])
def test_no_operator_sensor_or_trigger_is_forgotten(package: Any) -> None:
    found = [f"{package.__name__}.{module.name}" for module in pkgutil.iter_modules(package.__path__)]
    with_classes = {
        module
        for module in found
        for name, item in vars(importlib.import_module(module)).items()
        if name.startswith("SageMakerShadow") and item.__module__ == module
    }
    assert with_classes <= set(MODULES)
    assert with_classes


def test_the_integrations_named_are_declared() -> None:
    declared = {item["integration-name"] for item in INFO["integrations"]}
    assert {entry["integration-name"] for kind in KINDS for entry in INFO[kind]} <= declared


def test_the_entry_point_leads_here() -> None:
    (entry,) = (
        found for found in entry_points(group="apache_airflow_provider") if found.value.startswith("shadow_provider.")
    )
    assert entry.load()() == INFO
    assert entry.dist is not None
    assert entry.dist.name == INFO["package-name"]


def test_nobody_can_change_what_the_next_caller_gets() -> None:
    get_provider_info()["hooks"].clear()
    assert get_provider_info() == INFO
