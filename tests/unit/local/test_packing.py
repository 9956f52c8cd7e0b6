from __future__ import annotations

import io
import tarfile
import time

import pytest

from shadow_provider.local import model_archive


def predict_fn(data: list[float], model: float) -> list[float]:
    return [value * model for value in data]


def unpacked(archive: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        found = {member.name: tar.extractfile(member) for member in tar}
        return {name: file.read().decode() for name, file in found.items() if file is not None}


def test_texts_and_functions_make_up_the_module() -> None:
    def model_fn(model_dir: str) -> float:
        return 2.0

    files = unpacked(model_archive("import math", model_fn, predict_fn, files={"code/requirements.txt": b"numpy\n"}))
    assert files["code/requirements.txt"] == "numpy\n"
    module: dict[str, object] = {}
    exec(files["code/inference.py"], module)
    load, predict = module["model_fn"], module["predict_fn"]
    assert callable(load)
    assert callable(predict)
    assert predict([1.0, 2.0], load("")) == [2.0, 4.0]
    assert "math" in module


def test_without_a_source_only_the_files_are_in_it() -> None:
    assert unpacked(model_archive(files={"weights": "1"})) == {"weights": "1"}


def test_the_same_content_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    first = model_archive("x = 1", files={"a": "b"})
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert model_archive("x = 1", files={"a": "b"}) == first
    assert model_archive("x = 2", files={"a": "b"}) != first
