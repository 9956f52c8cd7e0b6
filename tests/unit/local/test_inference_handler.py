from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shadow_provider.local.serving.inference_handler import InferenceHandler, UnsupportedFormatError, decode, encode


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("inference", None)


def handler(directory: Path, source: str, name: str = "inference.py") -> InferenceHandler:
    (directory / "code").mkdir(exist_ok=True)
    (directory / "code" / name).write_text(source)
    made = InferenceHandler(directory)
    made.load()
    return made


def test_functions_may_take_a_context(tmp_path: Path) -> None:
    source = """
def model_fn(model_dir, context): return context.system_properties["model_dir"] == model_dir
def input_fn(data, content_type, context): return context.get_request_header("X-Mine")
def predict_fn(data, model): return f"{data} {model}"
def output_fn(prediction, accept): return prediction, "text/plain"
"""
    answer = handler(tmp_path, source).invoke(b"", {"x-mine": "yes"})
    assert (answer.status, answer.body, answer.content_type) == (200, b"yes True", "text/plain")


def test_transform_fn_excludes_the_functions_it_replaces(tmp_path: Path) -> None:
    source = "def model_fn(d): 0\ndef transform_fn(m, b, c, a): 0\ndef predict_fn(d, m): 0"
    with pytest.raises(ValueError, match="Cannot use transform_fn"):
        handler(tmp_path, source)


@pytest.mark.parametrize("source", ["", "def model_fn(d): return 0", "def predict_fn(d, m): return 0"])
def test_what_is_missing_stops_the_start(tmp_path: Path, source: str) -> None:
    with pytest.raises(NotImplementedError):
        handler(tmp_path, source)


def test_model_data_without_code_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"inference\.py"):
        InferenceHandler(tmp_path).load()


def test_the_program_and_the_default_accept_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGEMAKER_PROGRAM", "other.py")
    monkeypatch.setenv("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "text/csv")
    made = handler(tmp_path, "def model_fn(d): return 0\ndef transform_fn(m, b, c, a): return a", "other.py")
    assert [made.invoke(b"", {"accept": accept}).body for accept in ("", "*/*", "x/y")] == [b"text/csv"] * 2 + [b"x/y"]
    sys.modules.pop("other", None)


def test_text_is_decoded_and_all_else_is_not(tmp_path: Path) -> None:
    made = handler(tmp_path, "def model_fn(d): 0\ndef transform_fn(m, b, c, a): return type(b).__name__")
    kinds = {"text/csv": b"str", "application/json; charset=utf-8": b"str", "application/x-npy": b"bytes"}
    assert {kind: made.invoke(b"", {"content-type": kind}).body for kind in kinds} == kinds


def test_default_formats() -> None:
    assert decode("1,2\n3,4", "text/csv").tolist() == [[1, 2], [3, 4]]
    assert decode("[1, 2]", "application/json").tolist() == [1, 2]
    array = np.array([[1.5, 2.0]])
    assert decode(encode(array, "application/x-npy"), "application/x-npy").tolist() == [[1.5, 2.0]]
    assert encode(array, "text/csv") == "1.5,2.0\n"
    assert encode({"a": np.float64(2), "b": array}, "application/json") == '{"a": 2.0, "b": [[1.5, 2.0]]}'
    for call in (lambda: decode("", "image/png"), lambda: encode(array, "image/png")):
        with pytest.raises(UnsupportedFormatError):
            call()
