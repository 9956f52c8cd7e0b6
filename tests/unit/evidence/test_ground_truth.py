from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.evidence.ground_truth import GroundTruth, read_ground_truth
from tests.unit.evidence.fakes import START, FakeS3, line, truth

NOW = START + timedelta(hours=5)


def key(hours: int = 0, name: str = "a") -> str:
    return f"truth/{START + timedelta(hours=hours):%Y/%m/%d/%H}/{name}.jsonl"


def read(s3: FakeS3, wanted: set[str] | None = None) -> GroundTruth:
    return read_ground_truth(
        s3, ground_truth_s3_uri="s3://bucket/truth/", start=START, now=NOW, wanted=wanted or {"a", "b", "c"}
    )


def test_late_labels_are_found_and_what_is_doubtful_is_left_out() -> None:
    s3 = FakeS3()
    s3.put(key(), line(truth("a", "1")), line(truth("b", "1")), line(truth("c", "2.0")), line(truth("x", "1")))
    s3.put(key(4), line(truth("a", "1.0")), line(truth("b", "2")), line(truth("b", "1")))
    s3.put(key(6), line(truth("c", "3")))
    found = read(s3)
    assert found.labels == {"a": ("1",), "c": ("2",)}
    assert found.fates.counts() == {"conflicting": 3, "duplicate": 1, "no_pair": 1, "used": 2}
    assert found.fates.examples()["conflicting"] == (f"{key()}:2", f"{key(4)}:2", f"{key(4)}:3")
    assert found.lines == 7
    assert found.etags.keys() == {key(), key(4)}


@pytest.mark.parametrize(
    ("content", "fate"),
    [
        (b"", "empty"),
        (line(truth("a", "1"))[:-3], "not_json"),
        (b"\xff", "not_utf8"),
        (b"[]", "wrong_shape"),
        (line({"groundTruthData": {"data": "1", "encoding": "CSV"}}), "wrong_shape"),
        (line(truth("", "1")), "wrong_shape"),
        (line(truth("a", "1") | {"groundTruthData": {"data": 1, "encoding": "CSV"}}), "wrong_shape"),
        (line(truth("a", "1", "BASE64")), "unknown_encoding"),
        (line(truth("a", "")), "unreadable_label"),
        (line(truth("a", "nan")), "unreadable_label"),
        (line(truth("a", "\ud800")), "unreadable_label"),
    ],
)
def test_bad_lines_have_their_fate(content: bytes, fate: str) -> None:
    s3 = FakeS3()
    s3.put(key(), content, line(truth("b", "1")))
    found = read(s3)
    assert found.fates.counts() == {fate: 1, "used": 1}
    assert found.fates.examples()[fate] == (f"{key()}:1",)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abxy"), st.sampled_from(["1", "2", "nan"]))))
def test_fates_add_up_to_the_lines_read(labels: list[tuple[str, str]]) -> None:
    s3 = FakeS3()
    if labels:
        s3.put(key(), *(line(truth(*each)) for each in labels))
    found = read(s3)
    assert sum(found.fates.counts().values()) == found.lines == len(labels)
    assert len(found.labels) == found.fates.counts().get("used", 0)
