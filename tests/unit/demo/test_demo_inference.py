import json
from pathlib import Path

import joblib
import numpy as np
import pytest

from shadow_provider.demo.models import INFERENCE_SOURCE, _packed, load_archive


class FirstPixel:
    """A model that is easy to foresee: the label is the first number."""

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, 0].astype(int)


ROWS = [[float(first)] + [0.0] * 63 for first in (7, 3)]
CSV = "\n".join(",".join(f"{value:g}" for value in row) for row in ROWS)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, FirstPixel]:
    directory = tmp_path_factory.mktemp("served")
    from sklearn.dummy import DummyClassifier

    # What is pickled must be importable where it is loaded, hence a model of scikit-learn's for model_fn.
    constant = DummyClassifier(strategy="constant", constant=4).fit(np.zeros((2, 64)), [4, 5])
    joblib.dump(constant, directory / "model.joblib")
    content = {
        "model.joblib": (directory / "model.joblib").read_bytes(),
        "code/inference.py": INFERENCE_SOURCE.read_bytes(),
    }
    (directory / "model.tar.gz").write_bytes(_packed(content))
    module, model = load_archive(directory / "model.tar.gz", directory)
    assert model.predict(np.zeros((1, 64)))[0] == 4
    return module, FirstPixel()


def answer(served: tuple[object, FirstPixel], body: bytes | str, content_type: str, accept: str) -> tuple[str, str]:
    module, model = served
    data = module.input_fn(body, content_type)  # type: ignore[attr-defined]
    result: tuple[str, str] = module.output_fn(module.predict_fn(data, model), accept)  # type: ignore[attr-defined]
    return result


@pytest.mark.parametrize("body", [CSV, CSV.encode(), CSV + "\n", CSV.replace("\n", "\r\n")])
@pytest.mark.parametrize("content_type", ["text/csv", "Text/CSV; charset=utf-8"])
def test_csv_in_csv_out(served: tuple[object, FirstPixel], body: bytes | str, content_type: str) -> None:
    assert answer(served, body, content_type, "text/csv") == ("7\n3", "text/csv")


@pytest.mark.parametrize(
    ("document", "labels"), [(ROWS, [7, 3]), ({"instances": ROWS}, [7, 3]), (ROWS[1], [3]), ([ROWS[0]], [7])]
)
def test_json_in_json_out(served: tuple[object, FirstPixel], document: object, labels: list[int]) -> None:
    body, content_type = answer(served, json.dumps(document), "application/json", "application/json")
    assert json.loads(body) == {"predictions": labels}
    assert content_type == "application/json"


@pytest.mark.parametrize("accept", ["*/*", "", "text/csv"])
def test_csv_goes_out_unless_json_is_asked_for(served: tuple[object, FirstPixel], accept: str) -> None:
    assert answer(served, json.dumps(ROWS), "application/json", accept) == ("7\n3", "text/csv")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("1,2,3", "text/csv"),
        (CSV + ",1", "text/csv"),
        ("", "text/csv"),
        (CSV.replace("7", "seven"), "text/csv"),
        ("[]", "application/json"),
        ('{"rows": []}', "application/json"),
        ("[1, 2]", "application/json"),
        (CSV, "application/x-npy"),
        (CSV, ""),
    ],
)
def test_what_is_no_row_of_64_numbers_is_refused(
    served: tuple[object, FirstPixel], body: str, content_type: str
) -> None:
    with pytest.raises(ValueError, match=r".+"):
        answer(served, body, content_type, "text/csv")


def test_a_missing_model_file_is_an_error(served: tuple[object, FirstPixel], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        served[0].model_fn(str(tmp_path))  # type: ignore[attr-defined]
