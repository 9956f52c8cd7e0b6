"""Formulas against other people's code and published figures."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.chrf import CHRF
from scipy.spatial.distance import cosine, jensenshannon
from scipy.stats import kendalltau
from sklearn.metrics import cohen_kappa_score, confusion_matrix

from shadow_provider.comparators.build import comparator
from shadow_provider.comparators.chrf import chrf
from shadow_provider.comparators.kinds.ranking import kendall_distance, rbo
from shadow_provider.comparators.spec_reading import ComparatorError
from tests.unit.comparators.batches import JSON, LINES, PLAIN, as_json, batch, compared, values

CALM = settings(derandomize=True, deadline=None, max_examples=150)
RNG = np.random.default_rng(4)
HERE = "tests.unit.comparators.own_functions"


def figures(result: Any) -> dict[str, Any]:
    return result.summary.to_json()  # type: ignore[no-any-return]


class TestLabel:
    def test_kappa_and_confusion(self) -> None:
        p, s = RNG.integers(0, 4, 3000), RNG.integers(0, 4, 3000)
        s = np.where(RNG.random(3000) < 0.7, p, s)
        said = figures(compared({"kind": "label"}, [f"{each}" for each in p], [f"{each}.0\n" for each in s]))
        assert said["kappa"] == pytest.approx(cohen_kappa_score(p, s), abs=1e-12)
        table = confusion_matrix(p, s)
        assert said["confusion"] == {f"{i} → {j}": table[i, j] for i in range(4) for j in range(4)}
        assert said["agreement"] == pytest.approx((p == s).mean())

    def test_a_pair_with_many_rows_counts_once(self) -> None:
        result = compared({"kind": "label"}, ["a\nb\nc", "a\nb", "a"], ["a\nx\ny", "a", "a"])
        assert values(result, "disagrees") == [1, 1, 0]
        assert figures(result)["rows"] == 4
        assert figures(result)["pairs_with_other_rows"] == 1

    def test_scores_shift(self) -> None:
        spec = {"kind": "label", "score": {"column": 1}}
        result = compared(spec, ["a,0.5", "a,0.5", "a,7", "b,x"], ["a,0.75", "b,0.25", "a,1", "b,1"])
        assert values(result, "disagrees") == [0, 1, 0, 0]
        assert values(result, "score_difference") == [0.25, 0.25, None, None]
        assert figures(result)["scores"] == {"compared": 2, "out_of_bounds": 1, "unreadable": 1}
        assert figures(result)["score_shift"]["mean"] == 0

    def test_case_may_not_matter(self) -> None:
        assert values(compared({"kind": "label"}, ["Cat"], ["cat"]), "disagrees") == [1]
        assert values(compared({"kind": "label", "ignore_case": True}, ["Cat"], ["cat"]), "disagrees") == [0]


class TestNumber:
    def test_bias_limits_and_quantiles(self) -> None:
        p = RNG.normal(10, 3, 5000)
        s = p + RNG.normal(0.2, 0.5, 5000)
        said = figures(compared({"kind": "number"}, list(map(repr, p.tolist())), list(map(repr, s.tolist()))))
        d = s - p
        assert said["bias"] == pytest.approx(d.mean(), rel=1e-12)
        reach = 1.96 * d.std(ddof=1)
        assert said["limits_of_agreement"] == pytest.approx([d.mean() - reach, d.mean() + reach], rel=1e-9)
        for name, value in said["absolute_difference"]["quantiles"].items():
            exact = np.quantile(np.abs(d), float(name[1:]) / 100, method="inverted_cdf")
            assert value == pytest.approx(exact, rel=0.0101)

    @given(p=st.floats(-1e6, 1e6), s=st.floats(-1e6, 1e6), absolute=st.floats(0, 10), relative=st.floats(0, 0.99))
    @CALM
    def test_the_tolerance_is_that_of_math_isclose(self, p: float, s: float, absolute: float, relative: float) -> None:
        spec = {"kind": "number", "absolute_tolerance": absolute, "relative_tolerance": relative}
        inside = math.isclose(p, s, rel_tol=relative, abs_tol=absolute)
        assert values(compared(spec, [repr(p)], [repr(s)]), "outside_tolerance") == [0 if inside else 1]

    def test_scores(self) -> None:
        spec = {"kind": "number", "most_difference": 5}
        result = compared(spec, ["1", "0", "-1", "1\n2", "1e308"], ["1.5", "0", "1", "2\n2", "-1e308"])
        assert values(result, "absolute_difference") == [0.5, 0, 2, 0.5, 5]
        assert values(result, "relative_difference") == pytest.approx([1 / 3, 0, 2, 0.25, 2])
        assert figures(result)["difference"]["not_finite"] == 1

    def test_a_difference_beyond_doubles_is_no_figure(self) -> None:
        result = compared({"kind": "number"}, ["1e308", "1"], ["-1e308", "2"])
        assert values(result, "absolute_difference") == [None, 1]
        assert values(result, "outside_tolerance") == [1, 1]


class TestProbabilities:
    def test_divergence(self) -> None:
        p, s = RNG.dirichlet([0.3] * 5, 500), RNG.dirichlet([0.3] * 5, 500)
        spec = {"kind": "probabilities", "selector": {"path": "p"}}
        made = comparator(spec)
        result = made.compare(as_json([{"p": row.tolist()} for row in p]), as_json([{"p": row.tolist()} for row in s]))
        exact = jensenshannon(p, s, base=2, axis=1) ** 2
        np.testing.assert_allclose(result.values["jensen_shannon"], exact, atol=1e-9)
        np.testing.assert_allclose(result.values["largest_difference"], np.abs(p - s).max(axis=1), atol=1e-12)
        np.testing.assert_array_equal(result.values["argmax_disagrees"], p.argmax(axis=1) != s.argmax(axis=1))

    def test_validity_is_a_harm_of_its_own(self) -> None:
        result = compared({"kind": "probabilities"}, ["0.5,0.5", "0.5,0.4", "2,-1"], ["0.5,0.9", "0.5,0.5", "nan,1"])
        assert values(result, "invalid") == [1, -1, 0]
        assert values(result, "jensen_shannon") == [None, None, None]
        assert values(result, "argmax_disagrees") == [1, 0, 1]

    def test_named_classes_are_matched_by_name_and_single_numbers_are_completed(self) -> None:
        made = comparator({"kind": "probabilities"})
        same = made.compare(as_json([{"a": 0.3, "b": 0.7}]), as_json([{"b": 0.7, "a": 0.3}]))
        assert values(same, "jensen_shannon") == [0]
        other = made.compare(as_json([{"a": 0.3, "b": 0.7}]), as_json([{"a": 0.3, "c": 0.7}]))
        assert values(other, "argmax_disagrees") == [1]
        single = compared({"kind": "probabilities"}, ["0.25", "0.5"], ["0.75", "0.5"])
        assert values(single, "argmax_disagrees") == [1, 0]
        assert values(single, "jensen_shannon")[0] == pytest.approx(
            jensenshannon([0.25, 0.75], [0.75, 0.25], base=2) ** 2
        )


RANKINGS = st.lists(st.sampled_from("abcdefghij"), unique=True, min_size=1, max_size=8).map(tuple)


class TestRanking:
    @given(p=RANKINGS, s=RANKINGS)
    @CALM
    def test_kendall(self, p: tuple[str, ...], s: tuple[str, ...]) -> None:
        common = [item for item in p if item in s]
        if len(common) < 2:
            assert math.isnan(kendall_distance(p, s))
        else:
            tau = kendalltau([p.index(item) for item in common], [s.index(item) for item in common]).statistic
            assert kendall_distance(p, s) == pytest.approx((1 - tau) / 2, abs=1e-12)

    @given(p=RANKINGS, s=RANKINGS, persistence=st.floats(0.1, 0.97))
    @CALM
    def test_rbo_is_the_sum_over_extrapolated_agreements(
        self, p: tuple[str, ...], s: tuple[str, ...], persistence: float
    ) -> None:
        short, long = sorted((p, s), key=len)
        overlap = [len({*short[:d]} & {*long[:d]}) for d in range(len(long) + 1)]
        at_short = overlap[len(short)]

        def agreement(d: int) -> float:
            # Beyond the shorter list it goes on to agree as it did at its end; beyond both, they go on as they did.
            d = min(d, len(long))
            beyond = max(0, d - len(short))
            return (overlap[d] + at_short * beyond / len(short)) / d

        endless = (1 - persistence) * sum(persistence ** (d - 1) * agreement(d) for d in range(1, 1500))
        assert rbo(p, s, persistence) == pytest.approx(endless, abs=1e-9)

    def test_outcomes(self) -> None:
        spec = {"kind": "ranking", "k": 2}
        made = comparator(spec)
        result = made.compare(as_json([["a", "b", "c"]] * 4), as_json([["b", "a", "c"], ["c", "a"], ["x"], ["a", "a"]]))
        assert values(result, "top_k_differs") == [0, 1, 1, 1]
        assert values(result, "overlap_loss") == [0, 0.5, 1, None]
        assert values(result, "kendall_distance") == pytest.approx([1 / 3, 1, None, None], nan_ok=True)
        assert figures(result)["unreadable_by_cause"] == {"candidate: an item comes twice": 1}


class TestText:
    @given(p=st.text(alphabet="abc d", max_size=12), s=st.text(alphabet="abc d", max_size=12))
    @CALM
    def test_chrf_is_sacrebleus(self, p: str, s: str) -> None:
        if p.split() and s.split():
            exact = CHRF(word_order=0).sentence_score(s, [p]).score / 100
            assert chrf(p, s) == pytest.approx(exact, abs=1e-12)

    def test_a_sentence(self) -> None:
        # sacrebleu 2.6.0, chrF2|nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no
        reference = "It is a guide to action that ensures that the military will forever heed Party commands"
        hypothesis = "It is a guide to action which ensures that the military always obeys the commands of the party"
        exact = CHRF().sentence_score(hypothesis, [reference]).score / 100
        assert chrf(reference, hypothesis) == pytest.approx(exact, abs=1e-12)
        assert 0.6 < exact < 0.7

    def test_normalisation(self) -> None:
        pairs = [("ﬁne  day\n", "fine day"), ("\uff28i", "Hi"), ("Hi", "hi"), ("a b", "ab")]
        result = compared({"kind": "text"}, [p for p, _ in pairs], [s for _, s in pairs], PLAIN)
        assert values(result, "differs") == [0, 0, 1, 1]
        calm = compared({"kind": "text", "ignore_case": True}, ["Hi"], ["hi"], PLAIN)
        assert values(calm, "differs") == [0]
        strict = compared({"kind": "text", "nfkc": False, "collapse_whitespace": False}, ["\uff28i"], ["Hi"], PLAIN)
        assert values(strict, "differs") == [1]

    def test_refusals_and_emptiness_have_a_side(self) -> None:
        spec = {"kind": "text", "refusals": ["i cannot"]}
        result = compared(spec, ["yes", "I cannot say", " ", "ok"], ["Sorry, I CANNOT", "yes", "", "ok"], PLAIN)
        assert values(result, "refuses") == [1, -1, 0, 0]
        assert values(result, "empty") == [0, 0, 0, 0]
        assert figures(result)["refusals"] == {"production": 2, "candidate": 2}

    def test_embeddings_by_a_users_function(self) -> None:
        result = compared({"kind": "text", "embed": f"{HERE}.letters"}, ["aab", "ab", "x"], ["abb", "ab", "x"], PLAIN)
        assert values(result, "embedding_distance") == pytest.approx([cosine([2, 1], [1, 2]), 0, 0])
        with pytest.raises(
            ComparatorError, match=r"own_functions\.one_vector gave an array of shape \(2,\) for 2 texts"
        ):
            compared({"kind": "text", "embed": f"{HERE}.one_vector"}, ["a"], ["b"], PLAIN)


class TestEmbedding:
    def test_cosine_and_norm(self) -> None:
        p, s = RNG.normal(size=(50, 7)), RNG.normal(size=(50, 7))
        made = comparator({"kind": "embedding"})
        result = made.compare(as_json(p.tolist()), as_json(s.tolist()))
        exact = [cosine(a, b) for a, b in zip(p, s, strict=True)]
        np.testing.assert_allclose(result.values["cosine_distance"], exact, atol=1e-12)
        norms = np.linalg.norm(p, axis=1), np.linalg.norm(s, axis=1)
        exact_norm = 1 - np.minimum(*norms) / np.maximum(*norms)
        np.testing.assert_allclose(result.values["norm_difference"], exact_norm, atol=1e-12)

    def test_dimensions_zeros_and_great_numbers(self) -> None:
        result = compared(
            {"kind": "embedding"}, ["1,2", "0,0", "1e300,1e300", "0,0"], ["1,2,3", "1,1", "1e308,1e308", "0,0"]
        )
        assert values(result, "dimension_mismatch") == [1, 0, 0, 0]
        assert values(result, "cosine_distance") == pytest.approx([None, None, 0, None], nan_ok=True)
        assert values(result, "norm_difference") == pytest.approx([None, 1, 1, 0], nan_ok=True)
        assert figures(result)["dimensions"] == {"2 → 2": 3, "2 → 3": 1}


class TestJson:
    def rules(self, *rules: dict[str, Any]) -> dict[str, Any]:
        return {"kind": "json", "rules": list(rules)}

    def test_the_field_tree(self) -> None:
        p = [{"a": 1, "b": "x", "c": [1, 2], "d": None}, {"a": 1}, {"a": 1}]
        s = [{"a": 2, "b": 5, "c": [1, 3, 4], "e": {}}, {"a": 1.0}, {"a": True}]
        result = comparator({"kind": "json"}).compare(as_json(p), as_json(s))
        assert values(result, "differs") == [1, 0, 1]
        assert values(result, "schema_violation") == [1, 0, 1]
        assert figures(result)["fields"] == {
            "a": {"changed": 1, "type_changed": 1},
            "b": {"type_changed": 1},
            "c": {"length_changed": 1},
            "c[]": {"changed": 1},
            "d": {"missing": 1},
            "e": {"added": 1},
        }
        assert figures(result)["type_changes"] == {"a : number → boolean": 1, "b : string → number": 1}

    @pytest.mark.parametrize(
        ("rule", "p", "s"),
        [
            ({"path": "id", "ignore": True}, {"id": "x", "v": 1}, {"id": 7, "v": 1}),
            ({"path": "id", "ignore": True}, {"id": "x", "v": 1}, {"v": 1}),
            ({"path": "v[].s", "absolute_tolerance": 0.1}, {"v": [{"s": 1}]}, {"v": [{"s": 1.05}]}),
            ({"path": "**", "relative_tolerance": 0.1}, {"v": [{"s": 100}]}, {"v": [{"s": 105}]}),
            ({"path": "*.t", "ignore_case": True}, {"v": {"t": "A"}}, {"v": {"t": "a"}}),
            ({"path": "v", "any_order": True}, {"v": [1, {"a": 2}, 1]}, {"v": [{"a": 2}, 1, 1.0]}),
        ],
    )
    def test_a_rule_lets_a_difference_pass(self, rule: dict[str, Any], p: Any, s: Any) -> None:
        left, right = as_json([p]), as_json([s])
        assert values(comparator(self.rules()).compare(left, right), "differs") == [1]
        assert values(comparator(self.rules(rule)).compare(left, right), "differs") == [0]

    def test_order_may_not_matter_but_number_does(self) -> None:
        made = comparator(self.rules({"path": "v", "any_order": True}))
        result = made.compare(as_json([{"v": [1, 1, 2]}, {"v": [1]}]), as_json([{"v": [1, 2, 2]}, {"v": [1, 1]}]))
        assert values(result, "differs") == [1, 1]
        near = self.rules({"path": "v", "any_order": True}, {"path": "v[]", "absolute_tolerance": 0.1})
        assert values(
            comparator(near).compare(as_json([{"v": [1, 2]}]), as_json([{"v": [2.05, 1.05]}])), "differs"
        ) == [0]

    def test_the_first_rule_that_fits_holds(self) -> None:
        rules = self.rules({"path": "a.b"}, {"path": "a.*", "ignore": True})
        result = comparator(rules).compare(as_json([{"a": {"b": 1}}]), as_json([{"a": {"b": 2}}]))
        assert values(result, "differs") == [1]

    def test_an_optional_path_is_no_violation(self) -> None:
        made = comparator(self.rules({"path": "d", "optional": True}))
        result = made.compare(as_json([{"d": 1}, {"d": 1}, {"d": 1}]), as_json([{}, {"d": None}, {"d": "x"}]))
        assert values(result, "schema_violation") == [0, 0, 1]
        assert values(result, "differs") == [1, 1, 1]

    def test_lines_and_paths(self) -> None:
        lines = compared({"kind": "json"}, ['{"a":1}\n{"a":2}'] * 2, ['{"a":1}\n{"a":3}', '{"a":1}'], LINES)
        assert values(lines, "differs") == [1, 1]
        assert figures(lines)["fields"] == {"$": {"length_changed": 1}, "a": {"changed": 1}}
        part = compared({"kind": "json", "path": "a"}, ['{"a":1,"b":1}'], ['{"a":1,"b":2}'], JSON)
        assert values(part, "differs") == [0]


class TestOwn:
    spec: dict[str, Any] = {  # noqa: RUF012
        "kind": "own",
        "function": f"{HERE}.cents",
        "outcomes": [{"name": "off", "kind": "binary"}, {"name": "cents", "kind": "score", "least": 0, "most": 50}],
    }

    def test_its_figures_are_taken(self) -> None:
        result = compared(self.spec, ["1", "2", "3", None], ["1", "2.25", None, None])
        assert values(result, "off") == [0, 1, 1, None]
        assert values(result, "cents") == [0, 25, None, None]
        assert figures(result)["binary"] == {"off : +0": 1, "off : +1": 2}

    def test_it_may_say_what_is_readable(self) -> None:
        result = compared({**self.spec, "function": f"{HERE}.flags"}, ["bad", "1"], ["1", "1"])
        assert values(result, "off") == [-1, 0]

    @pytest.mark.parametrize(
        ("function", "message"),
        [
            ("missing", "cannot be imported: AttributeError"),
            ("NOT_A_FUNCTION", "is no function but int"),
            ("broken", "failed: KeyError: 'price'"),
            ("short", "gave an array of shape (1,) as off for 2 pairs"),
            ("wild", "gave values other than -1, 0 and 1 as off"),
            ("nothing", "gave NoneType, declared are off, cents"),
            ("letters", "failed: TypeError"),
        ],
    )
    def test_errors_name_the_path(self, function: str, message: str) -> None:
        with pytest.raises(ComparatorError) as caught:
            compared({**self.spec, "function": f"{HERE}.{function}"}, ["1", "2"], ["1", "2"])
        assert f"{HERE}.{function} {message}" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"kind": "vibes"}, "comparator: kind = 'vibes': there is no such kind; allowed: label, number, "),
        ({}, "comparator: kind = {}: the field kind is missing; allowed: label, "),
        ("[1]", "comparator: not a JSON object: but list"),
        (
            {"kind": "number", "tolerance": 1},
            "comparator: tolerance = 1: there is no such field; allowed: kind, name, ",
        ),
        ({"kind": "number", "absolute_tolerance": -1}, "comparator: absolute_tolerance = -1: Input should be greater"),
        (
            {"kind": "number", "absolute_tolerance": "1"},
            "comparator: absolute_tolerance = '1': Input should be a valid",
        ),
        ({"kind": "label", "selector": {"path": "a["}}, "comparator: selector.path = 'a[': no JMESPath: "),
        ({"kind": "json", "rules": [{"path": "a..b"}]}, "comparator: rules[0].path = 'a..b': no path pattern; "),
        ({"kind": "own", "outcomes": []}, "comparator: function: Field required (and 1 more)"),
        ({"kind": "ranking", "k": 0}, "comparator: k = 0: Input should be greater than or equal to 1"),
    ],
)
def test_errors_are_one_line_that_name_field_value_and_rule(value: Any, message: str) -> None:
    with pytest.raises(ComparatorError) as caught:
        comparator(value)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_comparator_may_be_given_as_json_text() -> None:
    text = json.dumps({"kind": "json", "rules": [{"path": "**", "relative_tolerance": 0.5}]})
    assert values(comparator(text).compare(batch(["1"], JSON), batch(["1.2"], JSON)), "differs") == [0]
