"""What an A/A run teaches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shadow_provider.comparators.build import comparator
from shadow_provider.comparators.kinds.json_tree import JsonComparator
from shadow_provider.comparators.kinds.number import NumberComparator
from shadow_provider.comparators.noise import suggest, with_rules, with_tolerance
from shadow_provider.comparators.spec import JsonSpec, NumberSpec
from tests.unit.comparators.batches import as_json, compared

RNG = np.random.default_rng(9)


def answers(rng: Any, count: int = 400) -> list[dict[str, Any]]:
    """One model asked twice: scores tremble, ids are new, the order of tags is chance."""
    return [
        {
            "id": f"{rng.integers(1e9)}",
            "score": 0.5 + rng.normal(0, 1e-3),
            "label": "a",
            "tags": [1] * int(rng.integers(1, 3)),
        }
        for _ in range(count)
    ]


def test_a_trembling_number_gets_a_tolerance_that_lets_it_pass() -> None:
    p = RNG.normal(5, 1, 2000)
    s = p + RNG.normal(0, 0.01, 2000)
    one, other = (list(map(repr, each.tolist())) for each in (p, s))
    spec = NumberSpec()
    found = suggest(compared(spec.model_dump(), one, other).summary, quantile=0.99)
    exact = np.quantile(np.abs(s - p), 0.99)
    assert exact <= found[0].rule["absolute_tolerance"] <= 1.04 * exact
    assert found[0].differing == 1
    tolerant = compared(with_tolerance(spec, found).model_dump(), one, other)
    assert 0 < np.mean(tolerant.values["outside_tolerance"]) <= 0.01


def test_a_json_field_gets_the_rule_that_suits_it() -> None:
    production, shadow = as_json(answers(RNG)), as_json(answers(RNG))
    strict = JsonComparator(JsonSpec()).compare(production, shadow)
    assert np.mean(strict.values["differs"]) == 1
    found = {each.path: each.rule for each in suggest(strict.summary, quantile=1)}
    assert found["id"] == {"path": "id", "ignore": True}
    assert 0.002 < found["score"]["absolute_tolerance"] < 0.01
    assert found["tags"] == {"path": "tags", "ignore": True}
    assert "label" not in found
    tolerant = JsonComparator(with_rules(JsonSpec(), suggest(strict.summary, quantile=1))).compare(production, shadow)
    assert np.mean(tolerant.values["differs"]) == 0


def test_a_field_that_is_a_number_only_sometimes_is_ignored() -> None:
    p, s = [{"v": 1.0}, {"v": "x"}] * 100, [{"v": 1.1}, {"v": "y"}] * 100
    found = suggest(comparator({"kind": "json"}).compare(as_json(p), as_json(s)).summary)
    assert [each.rule for each in found] == [{"path": "v", "ignore": True}]


def test_equal_answers_need_no_rule() -> None:
    assert suggest(compared({"kind": "number"}, ["1"] * 200, ["1"] * 200).summary) == ()


def test_too_little_is_no_ground_for_a_tolerance() -> None:
    with pytest.raises(ValueError, match="3 readable pairs; at least 100 are needed"):
        suggest(NumberComparator(NumberSpec()).compare(as_json([1] * 3), as_json([1] * 3)).summary)
    with pytest.raises(ValueError, match="learnt from a LabelSummary"):
        suggest(compared({"kind": "label"}, ["a"], ["a"]).summary)
