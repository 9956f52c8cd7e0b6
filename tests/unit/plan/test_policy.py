import json
from typing import Any

import pytest
from pydantic import ValidationError

from shadow_provider.plan.policy import METRICS, LabelAgreement, ModelLatency, PairedErrorRate, Policy, PolicyError

GATES: list[dict[str, Any]] = [{"metric": "paired_error_rate", "margin": 0.01}]


def test_the_default_has_every_metric_and_only_accuracy_is_optional() -> None:
    policy = Policy.default()
    assert [gate.metric for gate in policy.gates] == list(METRICS)
    assert policy.alpha == 0.05
    assert policy.minimum_pairs == 1000
    assert len(policy.blocking_gates) == len(policy.gates)
    assert policy.reject_alpha == pytest.approx(0.01)


def test_a_policy_comes_from_anything_that_means_it() -> None:
    policy = Policy(gates=(PairedErrorRate(margin=0.01), LabelAgreement(minimum=0.9, report_only=True)))
    document = policy.model_dump(mode="json")
    assert Policy.from_any(policy) is policy
    assert Policy.from_any(document) == policy
    assert Policy.from_any(json.dumps(document)) == policy
    assert Policy.from_any(None) == Policy.default()
    assert Policy.model_validate_json(policy.model_dump_json()) == policy


def test_report_only_gates_do_not_use_up_alpha() -> None:
    policy = Policy(gates=(PairedErrorRate(margin=0.01), LabelAgreement(minimum=0.9, report_only=True)))
    assert policy.reject_alpha == policy.alpha
    reporting = Policy(gates=(ModelLatency(margin=0.1, report_only=True),))
    assert reporting.blocking_gates == ()
    assert reporting.reject_alpha == 0.05


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"gates": GATES, "alfa": 0.1}, ["alfa = 0.1", "no such field", "alpha", "minimum_pairs"]),
        ({"gates": GATES, "alpha": 0.7}, ["alpha = 0.7", "less than or equal to 0.2"]),
        ({"gates": GATES, "alpha": "NaN"}, ["alpha", "finite"]),
        ({"gates": []}, ["gates", "at least 1"]),
        ({}, ["gates", "required"]),
        ({"gates": GATES * 2}, ["gates", "paired_error_rate", "one gate only"]),
        ({"gates": [{"metric": "latency", "margin": 1}]}, ["gates[0].metric = 'latency'", *METRICS]),
        ({"gates": [{"margin": 1}]}, ["gates[0]", "metric is missing", *METRICS]),
        ({"gates": [{"metric": "accuracy", "margin": 0}]}, ["gates[0].margin = 0", "greater than 0"]),
        (
            {"gates": [{"metric": "accuracy", "margn": 0.1, "margin": 0.1}]},
            ["gates[0].margn = 0.1", "minimum_coverage"],
        ),
        ({"gates": [{"metric": "label_agreement", "minimum": 90}]}, ["gates[0].minimum = 90", "less than 1"]),
        ({"gates": [{"metric": "label_agreement"}]}, ["gates[0].minimum", "required"]),
        (
            {"gates": [{"metric": "model_latency", "margin": 0.1, "percentile": "p95"}]},
            ["gates[0].percentile = 'p95'", "'p50', 'p90' or 'p99'"],
        ),
        ({"gates": GATES, "comparator": {"row": 1}}, ["comparator.row = 1", "column, path"]),
        ({"gates": GATES, "minimum_pairs": 0}, ["minimum_pairs = 0"]),
    ],
)
def test_a_mistake_is_one_line_with_field_value_and_rule(document: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(PolicyError) as caught:
        Policy.from_any(document)
    message = str(caught.value)
    assert message.startswith("policy: ")
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"x"'])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        Policy.from_any(text)


def test_a_policy_cannot_be_changed() -> None:
    policy = Policy.default()
    with pytest.raises(ValidationError):
        policy.alpha = 0.1  # type: ignore[misc]
