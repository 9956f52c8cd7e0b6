"""A policy from what a person gave, and what is said of a mistake in it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from shadow_provider.plan.errors import PlanError
from shadow_provider.policy.errors import PolicyError
from shadow_provider.policy.gates import GATES as METRICS
from shadow_provider.policy.gates import Agreement, PairedErrorRate
from shadow_provider.policy.policy import Policy
from shadow_provider.policy.reading import read_policy, read_policy_file
from shadow_provider.policy.ready_made import READY_MADE, balanced, regression
from shadow_provider.policy.segments import AttributeSegment, HourSegment, SizeSegment

GATES: list[dict[str, Any]] = [{"metric": "paired_error_rate", "margin": 0.01}]
NUMBER = {"kind": "number"}
YAML = """
# Answers must hardly change, by day and by night.
alpha: 1e-2
comparator: {kind: number, relative_tolerance: 0.02}
gates:
  - {metric: paired_error_rate, margin: 0.001, critical: yes}
  - metric: agreement
    minimum: 0.99
  - {metric: model_latency, percentile: p99, margin: 0.1, report_only: true}
segments:
  - {by: hour_of_day, name: time_of_day, edges: [6, 22], declared: true}
"""


def message_of(value: Any) -> str:
    with pytest.raises(PolicyError) as caught:
        read_policy(value)
    message = str(caught.value)
    assert message.startswith("policy: ")
    assert "\n" not in message
    return message


def test_a_policy_comes_from_anything_that_means_it() -> None:
    policy = Policy(gates=(PairedErrorRate(margin=0.01), Agreement(minimum=0.9, report_only=True)))
    document = policy.model_dump(mode="json")
    assert read_policy(policy) is policy
    assert read_policy(document) == policy
    assert read_policy(json.dumps(document)) == policy
    assert read_policy(json.dumps(document, indent=2)) == policy
    assert read_policy(yaml.safe_dump(document)) == policy
    assert read_policy(None) == read_policy(" balanced\n") == balanced()
    assert Policy.model_validate_json(policy.model_dump_json()) == policy


@pytest.mark.parametrize("name", READY_MADE)
def test_ready_made_policies_are_known_by_name_and_survive_being_written(name: str) -> None:
    policy = read_policy(name)
    assert policy == READY_MADE[name]()
    document = policy.model_dump(mode="json")
    assert read_policy(json.dumps(document)) == read_policy(yaml.safe_dump(document)) == policy
    assert (READY_MADE[name].__doc__ or "").strip()


def test_yaml_is_read_as_a_person_writes_it() -> None:
    policy = read_policy(YAML)
    assert policy.alpha == 0.01
    assert [(gate.name, gate.critical, gate.blocking) for gate in policy.gates] == [
        ("paired_error_rate", True, True),
        ("agreement", False, True),
        ("model_latency.p99", False, False),
    ]
    assert policy.declared_segments[0].values == ("06-22", "22-06")


def test_a_policy_is_read_from_a_file_and_a_missing_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(YAML, encoding="utf-8")
    assert read_policy_file(path) == read_policy(YAML)
    with pytest.raises(PolicyError, match=r"policy: .*nowhere\.yaml cannot be read"):
        read_policy_file(tmp_path / "nowhere.yaml")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PolicyError, match="cannot be read"):
        read_policy_file(path)


def test_a_policy_may_be_based_on_a_ready_made_one() -> None:
    policy = read_policy({"based_on": "regression", "minimum_pairs": 9, "gates": GATES})
    assert policy.minimum_pairs == 9
    assert policy.comparator == regression().comparator
    assert [gate.name for gate in policy.gates] == ["paired_error_rate"]
    assert read_policy("based_on: latency_only\nalpha: 0.01").alpha == 0.01
    # The base's gates have to fit what replaces its comparator.
    assert "relative_difference" in message_of({"based_on": "regression", "comparator": {"kind": "label"}})


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"gates": GATES, "alfa": 0.1}, ["alfa = 0.1", "no such field", "alpha", "based_on", "minimum_pairs"]),
        ({"gates": GATES, 1: 2}, ["1 = 2", "no such field"]),
        ({"gates": GATES, "alpha": 0.7}, ["alpha = 0.7", "less than or equal to 0.2"]),
        ({"gates": GATES, "alpha": 0}, ["alpha = 0:", "greater than or equal to 0.000000001"]),
        ({"gates": GATES, "alpha": "NaN"}, ["alpha", "finite"]),
        ({"gates": []}, ["gates = []", "at least 1"]),
        ({"gates": 3}, ["gates = 3", "list"]),
        ({"gates": ["agreement"]}, ["gates[0] = 'agreement': Input should be a mapping"]),
        ({}, ["gates", "required"]),
        ({"gates": GATES * 2}, ["gates", "more than one gate paired_error_rate"]),
        ({"gates": [{"metric": "latency", "margin": 1}]}, ["gates[0].metric = 'latency'", *METRICS]),
        ({"gates": [{"margin": 1}]}, ["gates[0]", "metric is missing", *METRICS]),
        ({"gates": [{"metric": "accuracy", "margin": 0}]}, ["gates[0].margin = 0", "greater than 0"]),
        ({"gates": [{"metric": "paired_error_rate", "margin": 1}]}, ["gates[0].margin = 1", "less than 1"]),
        ({"gates": [*GATES, {"metric": "accuracy", "margn": 0.1}]}, ["gates[1].margn = 0.1", "minimum_coverage"]),
        ({"gates": [{"metric": "agreement", "minimum": 90}]}, ["gates[0].minimum = 90", "less than 1"]),
        ({"gates": [{"metric": "agreement"}]}, ["gates[0].minimum", "required"]),
        ({"gates": [{"metric": "agreement", "minimum": 0.9, "critical": True}]}, ["gates[0].critical = True"]),
        ({"gates": [{"metric": "model_latency", "margin": 0.1, "percentile": "p42"}]}, ["percentile = 'p42'", "'p50'"]),
        ({"gates": [{"metric": "model_latency", "margin": 11}]}, ["gates[0].margin = 11", "less than or equal to 10"]),
        (
            {"gates": [{"metric": "agreement", "minimum": 0.9}], "comparator": {"kind": "embedding"}},
            ["gates[0].metric = agreement", "embedding"],
        ),
        (
            {"gates": [{"metric": "comparator", "outcome": "chrf_distance", "margin": 0.1}]},
            ["gates[0].outcome = 'chrf_distance'", "allowed: disagrees"],
        ),
        (
            {"gates": [{"metric": "comparator", "outcome": "absolute_difference", "margin": 1}], "comparator": NUMBER},
            ["gates[0].outcome = 'absolute_difference'", "no bound", "greatest value"],
        ),
        (
            {"gates": [{"metric": "comparator", "outcome": "relative_difference", "margin": 2}], "comparator": NUMBER},
            ["gates[0].margin = 2", "never above 2"],
        ),
        (
            {"gates": [{"metric": "comparator", "outcome": "disagrees", "margin": 0.1, "critical": True}]},
            ["gates[0].critical = True", "lower margin"],
        ),
        (
            {"gates": [{"metric": "accuracy", "margin": 0.1}], "ground_truth": NUMBER},
            ["gates[0].metric = accuracy", "kind class"],
        ),
        (
            {"gates": [{"metric": "ground_truth", "outcome": "log_loss", "margin": 0.1}]},
            ["gates[0].outcome = 'log_loss'", "truth class", "allowed: wrong"],
        ),
        ({"gates": GATES, "comparator": {"kind": "lable"}}, ["comparator.kind = 'lable'", "label", "json"]),
        ({"gates": GATES, "comparator": {"kind": "label", "row": 1}}, ["comparator.row = 1", "selector", "score"]),
        (
            {"gates": GATES, "comparator": {"kind": "label", "selector": {"colum": 1}}},
            ["comparator.selector.colum = 1: there is no such field"],
        ),
        ({"gates": GATES, "ground_truth": {"kind": "class", "truth": {"path": "["}}}, ["ground_truth.truth.path"]),
        ({"gates": GATES, "minimum_pairs": 0}, ["minimum_pairs = 0"]),
        ({"gates": GATES, "block_seconds": 7}, ["block_seconds = 7", "1, 5, 10, 30, 60"]),
        ({"gates": GATES, "minimum_hours": 12, "deadline_hours": 12}, ["minimum_hours = 12", "deadline_hours = 12"]),
        (
            {"gates": GATES, "minimum_day_share": 1, "deadline_hours": 8},
            ["minimum_day_share = 1", "deadline_hours = 8"],
        ),
        ({"gates": GATES, "warm_up_seconds": 3600, "deadline_hours": 1}, ["warm_up_seconds = 3600"]),
        ({"gates": GATES, "examples": {"mask": ["("]}}, ["examples.mask[0] = '('", "no regular expression"]),
        ({"gates": GATES, "examples": {"shown": 1}}, ["examples.shown = 1", "count, show, mask, longest"]),
        (
            {"gates": GATES, "segments": [{"by": "hour_of_day", "name": "x", "edges": [5, 24]}]},
            ["segments[0].edges[1] = 24: Input should be less than or equal to 23"],
        ),
        (
            {"gates": GATES, "segments": [{"by": "payload_size", "name": "x", "edges": [9, 2]}]},
            ["segments[0]", "edges must ascend"],
        ),
        ({"gates": GATES, "segments": [{"by": "country", "name": "x"}]}, ["segments[0].by = 'country'", "hour_of_day"]),
        (
            {"gates": GATES, "segments": [{"by": "payload_size", "name": "x", "edges": [9]}] * 2},
            ["segments: more than one segment x"],
        ),
        (
            {"gates": GATES, "segments": [{"by": "custom_attribute", "name": "x", "key": "k", "values": ["(other)"]}]},
            ["segments[0]", "(other)"],
        ),
        ({"based_on": "balancd"}, ["based_on = 'balancd'", "balanced"]),
        ("balancd", ["'balancd'", "balanced", "llm_text"]),
        ("gates: [", ["neither YAML nor JSON"]),
        ('{"alpha": 0.1, "alpha": 0.05, "gates": []}', ["'alpha' stands twice"]),
        ("gates:\n- {metric: agreement, minimum: 0.1, minimum: 0.9}", ["'minimum' stands twice"]),
        ("&all [*all]", ["must be a mapping"]),
        ("", ["must be a mapping"]),
        ("3", ["must be a mapping", "3"]),
        ([], ["must be a mapping"]),
    ],
)
def test_a_mistake_is_one_line_with_field_value_and_rule(document: Any, words: list[str]) -> None:
    message = message_of(document)
    for word in words:
        assert word in message, message


def test_an_error_of_a_policy_is_an_error_of_the_plan() -> None:
    assert issubclass(PolicyError, PlanError)


def test_a_value_that_is_long_is_cut_in_the_message() -> None:
    assert len(message_of({"gates": GATES, "comparator": "x" * 100_000})) < 300


def test_parts_of_the_traffic_have_names() -> None:
    assert HourSegment(name="x", edges=(0, 8, 16)).values == ("00-08", "08-16", "16-00")
    assert SizeSegment(name="x", edges=(1024,)).values == ("<1024", ">=1024")
    assert SizeSegment(name="x", edges=(10, 20, 30)).values == ("<10", "10-19", "20-29", ">=30")
    assert AttributeSegment(name="x", key="tier", values=("gold", "free")).values == ("gold", "free")
