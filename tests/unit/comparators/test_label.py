import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.comparators.json_text import JsonTextError, loads
from shadow_provider.comparators.label import media_kind, normalise

CSV, JSON, LINES = "text/csv; charset=utf-8", "application/json", "application/jsonlines"


@pytest.mark.parametrize(
    ("values", "label"),
    [
        (["1", "1.0", 1, 1.0, "1e0", " 1 ", "+1", "01"], "1"),
        (["0", "-0", 0.0, -0.0, "0e5"], "0"),
        ([0.1, "0.10", ".1", "1e-1"], "0.1"),
        ([10**17, "1e17"], "1" + "0" * 17),
        (["cat", " cat"], "cat"),
    ],
)
def test_equal_values_give_equal_labels(values: list[object], label: str) -> None:
    assert {normalise(value) for value in values} == {label}


def test_what_only_looks_alike_stays_apart() -> None:
    assert len({normalise(value) for value in ["1", "\uff11", "\u0661", "1a", True, "0.1", 0.1 + 1e-16]}) == 7


@settings(derandomize=True)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_and_its_text_are_one_label(value: float) -> None:
    assert normalise(value) == normalise(repr(value))
    assert float(normalise(value)) == value


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("{", "not_json"),
        ("1 2", "not_json"),
        ("NaN", "not_json"),
        ("-1e999", "not_json"),
        ('{"a":1,"a":1}', "duplicate_keys"),
    ],
)
def test_json_is_read_strictly(text: str, cause: str) -> None:
    with pytest.raises(JsonTextError) as caught:
        loads(text)
    assert caught.value.cause == cause


def test_media_kinds() -> None:
    assert [media_kind(media) for media in (CSV, "application/JSON", LINES, "a/b", None)] == [
        "csv",
        "json",
        "lines",
        None,
        None,
    ]
