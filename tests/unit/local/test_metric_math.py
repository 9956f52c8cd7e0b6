from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.local.cloudwatch.math_values import MathError, TimeSeries, Value
from shadow_provider.local.cloudwatch.metric_math import evaluate, parse, references


def series(points: dict[float, float], period: int = 60, **others: Any) -> TimeSeries:
    return TimeSeries(points, 0, 600, period, **others)


def value_of(text: str, **values: Value) -> Value:
    return evaluate(parse(text), values, {name: item for name, item in values.items() if isinstance(item, TimeSeries)})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 3 - 2", 5),
        ("100 / 10 / 5", 2),
        ("-2 ^ 2", -4),
        ("2 ^ 3 ^ 2", 512),
        ("2 ^ -1", 0.5),
        ("--3", 3),
        (".5 + 1e2", 100.5),
        ("1 < 2 == 1", 1),
        ("1 + 1 > 1 && 0 || 3 != 3", 0),
        ("1 OR 0 AND 0", 1),
        ("ABS(-3) + CEIL(1.2) + FLOOR(-1.2)", 3),
        ("IF(2 > 1, 5, 6)", 5),
        ("METRIC_COUNT(METRICS())", 0),
        # What is undefined stays so.
        ("0 < 1 / 0", math.nan),
        ("(1 / 0) ^ 0", math.nan),
        ("IF(1 / 0, 1, 2)", math.nan),
        ("(0 - 1) ^ 0.5", math.nan),
        ("10 ^ 999", math.nan),
    ],
)
def test_numbers(text: str, expected: float) -> None:
    assert value_of(text) == pytest.approx(expected, nan_ok=True)


# The grammar of the test: text that means the same in Python, with numbers that cannot overflow.
_numbers = st.one_of(st.integers(0, 99), st.floats(0, 99, allow_nan=False).map(lambda value: round(value, 3)))
_texts = st.recursive(
    st.one_of(_numbers.map(str), st.sampled_from(["a", "b"])),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "<", ">", "<=", ">=", "==", "!="]), inner).map(
            lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
        ),
        # Without parentheses: precedence must be Python's.
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(" ".join),
        inner.map(lambda text: f"-({text})"),
    ),
    max_leaves=12,
)


@given(text=_texts, a=st.floats(-50, 50), b=st.floats(-50, 50))
@settings(derandomize=True, max_examples=400, deadline=None)
def test_arithmetic_is_pythons(text: str, a: float, b: float) -> None:
    try:
        expected = float(eval(text, {"__builtins__": {}}, {"a": a, "b": b}))
    except (ZeroDivisionError, OverflowError):
        expected = math.nan
    found = value_of(f"{text} + 0 * x", x=series({60: 1.0}), a=series({60: a, 120: 1.0}), b=series({60: b, 180: 1.0}))
    assert isinstance(found, TimeSeries)
    # A minute in which something has no finite value is missing, whatever is done with it afterwards.
    if found.points:
        assert found.points == {60: pytest.approx(expected, rel=1e-9, abs=1e-9)}
    else:
        assert not math.isfinite(expected)


@given(
    first=st.dictionaries(st.integers(0, 9), st.floats(-1e6, 1e6)),
    second=st.dictionaries(st.integers(0, 9), st.floats(-1e6, 1e6)),
)
@settings(derandomize=True, max_examples=200, deadline=None)
def test_series_are_matched_by_timestamp(first: dict[int, float], second: dict[int, float]) -> None:
    a = series({60.0 * at: value for at, value in first.items()})
    b = series({60.0 * at: value for at, value in second.items()})
    total, either = value_of("a + b", a=a, b=b), value_of("SUM([a, b])", a=a, b=b)
    assert isinstance(total, TimeSeries)
    assert isinstance(either, TimeSeries)
    assert set(total.points) == set(a.points) & set(b.points)
    assert set(either.points) == set(a.points) | set(b.points)
    assert all(value == a.points[at] + b.points[at] for at, value in total.points.items())
    filled = value_of("FILL(a, 0) + FILL(b, 0)", a=a, b=b)
    assert isinstance(filled, TimeSeries)
    assert list(filled.points) == [60.0 * number for number in range(10)]
    assert {at: filled.points[at] for at in either.points} == pytest.approx(either.points)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 +",
        "(1",
        "1)",
        "a b",
        "1..2",
        "a; b",
        "__import__('os')",
        "a.b",
        "SUM(1)",
        "SUM(a, b)",
        "SUM()",
        "FILL(a)",
        "FILL(a, 'x')",
        "FILL(1, 0)",
        "IF(a)",
        "IF([a], 1, 2)",
        "REPEAT",
        "[1, 2]",
        "[a, b] + [a]",
        "METRICS(1)",
        "METRIC_COUNT(a)",
        "SEARCH('x', 'Sum', 60)",
        "unknown + 1",
        "(" * 1000 + "1" + ")" * 1000,
        "2" + "^2" * 1000,
        "[" * 500,
        "a ! b",
        "ä",
    ],
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(MathError):
        value_of(text, a=series({0: 1.0}), b=series({0: 2.0}))


_tokens = st.sampled_from(
    [
        *"+-*/^()[],<>ab19.",
        "SUM(",
        "FILL(",
        "IF(",
        "CEIL(",
        "LOG(",
        "METRICS()",
        "REPEAT",
        "RATE(",
        "==",
        "AND",
        "1e999",
    ]
)


@given(text=st.one_of(st.text(max_size=30), st.lists(_tokens, max_size=15).map(" ".join)))
@settings(derandomize=True, max_examples=1500, deadline=None)
def test_whatever_is_written_is_evaluated_or_refused(text: str) -> None:
    try:
        found = value_of(text, a=series({0: 1.0, 60: -2.0}), b=series({60: 0.0}))
    except MathError:
        return
    results = found if isinstance(found, list) else [found]
    points = [item.points for item in results if isinstance(item, TimeSeries)]
    assert all(math.isfinite(value) for each in points for value in each.values())


def test_long_flat_expressions_are_no_deep_ones() -> None:
    assert value_of("+".join(["1"] * 1000)) == 1000
    assert value_of("-" * 1001 + "1") == -1


def test_references() -> None:
    found = references(parse("IF(a > -b, [c, SUM(METRICS())], FILL(d, REPEAT)) ^ e"))
    assert sorted(found) == ["a", "b", "c", "d", "e"]


def test_functions_over_time() -> None:
    a = series({0: 1.0, 60: 4.0, 180: 10.0})
    expected: dict[str, dict[float, float]] = {
        "RATE(a)": {60: 3 / 60, 180: 6 / 120},
        "DIFF(a)": {60: 3, 180: 6},
        "RUNNING_SUM(a)": {0: 1, 60: 5, 180: 15},
        "LOG10(a * 10)": {0: 1, 60: math.log10(40), 180: 2},
        "LOG(a - 1)": {60: math.log(3), 180: math.log(9)},
        "a > 3": {0: 0, 60: 1, 180: 1},
        "a * STDDEV(a - a)": {0: 0, 60: 0, 180: 0},
        "a / AVG(a)": {0: 0.2, 60: 0.8, 180: 2},
        # Nothing can be said about no values.
        "a / AVG(IF(a > 99, a))": {},
    }
    for text, points in expected.items():
        found = value_of(text, a=a)
        assert isinstance(found, TimeSeries), text
        assert found.points == pytest.approx(points), text


def test_filling_starts_with_the_first_value() -> None:
    a = TimeSeries({120: 5.0, 240: 7.0}, 0, 360, 60)
    for filling, expected in (
        ("REPEAT", {120: 5, 180: 5, 240: 7, 300: 7}),
        ("LINEAR", {120: 5, 180: 6, 240: 7}),
        ("-1", {0: -1, 60: -1, 120: 5, 180: -1, 240: 7, 300: -1}),
    ):
        found = value_of(f"FILL(a, {filling})", a=a)
        assert isinstance(found, TimeSeries)
        assert found.points == expected
    empty = value_of("FILL(a, REPEAT)", a=TimeSeries({}, 0, 360, 60))
    assert isinstance(empty, TimeSeries)
    assert empty.points == {}
