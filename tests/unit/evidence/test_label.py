import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.comparators.json_text import JsonTextError, loads
from shadow_provider.comparators.label import UnreadableAnswerError, media_kind, normalise, read_labels
from shadow_provider.plan.policy import LabelSelector

DEFAULT = LabelSelector()
CSV, JSON, LINES = "text/csv; charset=utf-8", "application/json", "application/jsonlines"


@pytest.mark.parametrize(
    ("text", "media", "selector", "labels"),
    [
        ("1\n", CSV, DEFAULT, ("1",)),
        ("1,0.9\r\n0,0.8\r\n\r\n", CSV, DEFAULT, ("1", "0")),
        ("0.9,cat", CSV, LabelSelector(column=1), ("cat",)),
        ('"a, b",1', CSV, DEFAULT, ("a, b",)),
        ("1.0", JSON, DEFAULT, ("1",)),
        ('"1"', JSON, DEFAULT, ("1",)),
        ("[1, 0]", JSON, DEFAULT, ("1", "0")),
        ("[[1], [0]]", JSON, DEFAULT, ("1", "0")),
        ('{"label": "cat"}', JSON, DEFAULT, ("cat",)),
        ('{"predicted_label": true}', JSON, DEFAULT, ("true",)),
        ('{"predictions": [3, 4]}', JSON, DEFAULT, ("3", "4")),
        ('{"predictions": [{"predicted_label": 3.0}]}', JSON, DEFAULT, ("3",)),
        ('{"predictions": [{"label": 1}, {"label": 2}]}', JSON, LabelSelector(path="predictions.*.label"), ("1", "2")),
        ('{"predictions": [{"label": 1}, {"label": 2}]}', JSON, LabelSelector(path="predictions.1.label"), ("2",)),
        ('{"a": {"b": [5]}}', "application/vnd.x+json", LabelSelector(path="a.b"), ("5",)),
        ('{"label": 1}\n{"label": 2}\n', LINES, DEFAULT, ("1", "2")),
        ("1\n2", "application/x-ndjson", DEFAULT, ("1", "2")),
    ],
)
def test_labels_of_every_shape(text: str, media: str, selector: LabelSelector, labels: tuple[str, ...]) -> None:
    assert read_labels(text, media, selector) == labels


@pytest.mark.parametrize(
    ("text", "media", "selector"),
    [
        ("", CSV, DEFAULT),
        (" \n", JSON, DEFAULT),
        (",1", CSV, DEFAULT),
        ("1", CSV, LabelSelector(column=1)),
        ("nan", CSV, DEFAULT),
        ("-Infinity", CSV, DEFAULT),
        ("1e400", CSV, DEFAULT),
        ('"1', CSV, DEFAULT),
        ("NaN", JSON, DEFAULT),
        ("1e400", JSON, DEFAULT),
        ("null", JSON, DEFAULT),
        ('""', JSON, DEFAULT),
        ("[]", JSON, DEFAULT),
        ('{"predictions": []}', JSON, DEFAULT),
        ("[[0.1, 0.9]]", JSON, DEFAULT),
        ('{"score": 1}', JSON, DEFAULT),
        ('{"label": {"x": 1}}', JSON, DEFAULT),
        ('{"label": 1, "label": 2}', JSON, DEFAULT),
        ('{"label": 1} {"label": 2}', JSON, DEFAULT),
        ("[" * 100_000, JSON, DEFAULT),
        ('{"a": 1}', JSON, LabelSelector(path="a.b")),
        ('{"a": [1]}', JSON, LabelSelector(path="a.1")),
        ('{"label": 1}\noops\n', LINES, DEFAULT),
        ("1", "image/png", DEFAULT),
        ("1", None, DEFAULT),
    ],
)
def test_what_has_no_label_is_unreadable(text: str, media: str | None, selector: LabelSelector) -> None:
    with pytest.raises(UnreadableAnswerError) as caught:
        read_labels(text, media, selector)
    assert len(str(caught.value)) < 120


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


@settings(derandomize=True)
@given(st.text(), st.sampled_from([CSV, JSON, LINES, "text/plain"]))
def test_no_text_breaks_the_reader(text: str, media: str) -> None:
    try:
        labels = read_labels(text, media, DEFAULT)
    except UnreadableAnswerError:
        return
    assert labels
    assert all(labels)


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
