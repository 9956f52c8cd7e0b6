"""From numpy to Arrow and back, as Arrow itself does it, without pandas."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from shadow_provider.comparators.arrow import column, filled, holds, only, repeated, valid

VALUES: list[list[Any]] = [[], [None], [1], [1, None, 3], [None, None], [*range(20), None, 7]]


@pytest.mark.parametrize("kind", [pa.int8(), pa.int64(), pa.uint64(), pa.float64()], ids=str)
@pytest.mark.parametrize("values", VALUES, ids=str)
def test_numbers_come_back_with_what_stands_for_none(values: list[Any], kind: pa.DataType) -> None:
    forms = [pa.array(values, kind), pa.array([9, None, *values, 9], kind).slice(2, len(values))]
    forms += [pa.chunked_array([each, each.slice(0, 1)]) for each in forms]
    forms.append(pa.chunked_array([], kind))
    for each in forms:
        assert filled(each, 5).tolist() == [5 if value is None else value for value in each.to_pylist()]
        assert filled(each, 5).dtype == kind.to_pandas_dtype()
        assert valid(each).tolist() == [value is not None for value in each.to_pylist()]


@pytest.mark.parametrize("values", [[], [None], [True, None, False], [False] * 9 + [True]], ids=str)
def test_what_holds_comes_back(values: list[Any]) -> None:
    for each in (pa.array(values, pa.bool_()), pa.array([True, *values, True], pa.bool_()).slice(1, len(values))):
        assert holds(each).tolist() == [bool(value) for value in values]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 100])
@pytest.mark.parametrize("kind", [np.bool_, np.int8, np.int32, np.int64, np.uint64, np.float64])
def test_numbers_become_a_column(count: int, kind: type) -> None:
    values: NDArray[Any] = (np.arange(2 * count) % 3).astype(kind)[::2]
    missing = np.arange(count) % 4 == 1
    assert column(values).equals(pa.array(values))
    assert column(values, missing=missing).equals(pa.array(values, mask=missing))
    column(values, missing=missing).validate(full=True)


@pytest.mark.parametrize("text", [None, "", "text/csv", "é"])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_text_is_repeated(text: str | None, count: int) -> None:
    found = repeated(text, count)
    found.validate(full=True)
    assert found.equals(pa.array([text] * count, pa.string()))


def test_some_texts_are_left() -> None:
    texts = pa.array(["a", None, "c", "d"], pa.large_string())
    assert only(texts, np.ones(4, dtype=np.bool_)) is texts
    assert only(texts, np.array([True, True, False, True])).to_pylist() == ["a", None, None, "d"]


@pytest.mark.parametrize("shape", ["csv", "json"])
def test_an_evaluation_imports_no_pandas(shape: str, tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from benchmarks.evaluate.data import Traffic, write_captures
from benchmarks.evaluate.ways import engine
shape, root = sys.argv[1:]
write_captures(Path(root), Traffic(shape, 500, 2))
assert engine(shape, root, "2", state=f"{root}/state")["labelled"] > 0
print("pandas" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, shape, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"]
