"""A model's own code behind SageMaker's contract: model_fn, input_fn, predict_fn, output_fn, or transform_fn.

The semantics are those of the sagemaker-inference toolkit: transform_fn excludes the three functions it replaces, any
function may take an extra `context`, text types arrive decoded, an Accept of */* means the default type.
"""

from __future__ import annotations

import importlib.util
import inspect
import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

CSV = "text/csv"
JSON = "application/json"
NPY = "application/x-npy"
_CONTAINER_CODE = "/opt/ml/model/code"


class UnsupportedFormatError(Exception):
    """A content type that the default functions cannot read or write."""

    status_code = 415

    def __init__(self, content_type: str) -> None:
        super().__init__(f"Content type {content_type} is not supported by this framework.")


@dataclass(slots=True)
class ModelAnswer:
    """What the model process answers."""

    status: int
    body: bytes
    content_type: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Context:
    """The extra argument of functions that ask for one.

    Attributes:
        system_properties: `model_dir` and what else the process knows of itself.
        request_headers: Headers of the request, names in lower case; empty in model_fn.
        response_headers: Headers to be sent with the answer.
    """

    system_properties: dict[str, Any]
    request_headers: dict[str, str] = field(default_factory=dict)
    response_headers: dict[str, str] = field(default_factory=dict)

    def get_request_header(self, name: str) -> str | None:
        """A header of the request."""
        return self.request_headers.get(name.lower())


class InferenceHandler:
    """Loads the functions of one model and calls them.

    Args:
        model_dir: The unpacked model data, /opt/ml/model on AWS.
    """

    def __init__(self, model_dir: Path) -> None:
        self._model_dir = model_dir
        self._default_accept = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT") or JSON
        self._model: Any = None
        self._functions: dict[str, Callable[..., Any]] = {}
        self._arguments: dict[str, int] = {}

    def load(self) -> None:
        """Imports the user's module and loads the model.

        Raises:
            FileNotFoundError: There is no such module in the model data.
            ValueError: transform_fn stands beside a function that it replaces.
        """
        module = self._import()
        parts = ("input_fn", "predict_fn", "output_fn")
        own = {name: getattr(module, name) for name in ("model_fn", "transform_fn", *parts) if hasattr(module, name)}
        if "transform_fn" in own and any(part in own for part in parts):
            raise ValueError("Cannot use transform_fn implementation with input_fn, predict_fn, and/or output_fn")
        self._functions = {"input_fn": decode, "output_fn": encode, **own}
        self._arguments = {
            name: len(inspect.signature(function).parameters) for name, function in self._functions.items()
        }
        if "model_fn" not in own:
            raise NotImplementedError("Please provide a model_fn implementation.")
        if "transform_fn" not in own and "predict_fn" not in own:
            raise NotImplementedError("Please provide a predict_fn or transform_fn implementation.")
        self._model = self._call("model_fn", Context({"model_dir": str(self._model_dir)}), str(self._model_dir))

    def invoke(self, body: bytes, headers: dict[str, str]) -> ModelAnswer:
        """Answers one request; exceptions of the model's code pass through."""
        context = Context({"model_dir": str(self._model_dir)}, headers)
        content_type = headers.get("content-type", JSON)
        accept = headers.get("accept", "")
        if accept in ("", "*/*"):
            accept = self._default_accept
        data: str | bytes = body.decode("utf-8") if base_type(content_type) in (CSV, JSON) else body
        if "transform_fn" in self._functions:
            result = self._call("transform_fn", context, self._model, data, content_type, accept)
        else:
            request = self._call("input_fn", context, data, content_type)
            prediction = self._call("predict_fn", context, request, self._model)
            result = self._call("output_fn", context, prediction, accept)
        if isinstance(result, tuple):
            result, accept = result
        answer = result.encode("utf-8") if isinstance(result, str) else bytes(result)
        return ModelAnswer(200, answer, accept, context.response_headers)

    def _call(self, name: str, context: Context, *arguments: Any) -> Any:
        function = self._functions[name]
        if self._arguments[name] == len(arguments) + 1:
            return function(*arguments, context)
        return function(*arguments)

    def _import(self) -> ModuleType:
        directory = os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY") or _CONTAINER_CODE
        code = self._model_dir / "code" if directory == _CONTAINER_CODE else Path(directory)
        program = code / (os.environ.get("SAGEMAKER_PROGRAM") or "inference.py")
        if not program.is_file():
            raise FileNotFoundError(f"the model data has no {program.relative_to(code)} in its code directory ({code})")
        sys.path.insert(0, str(code))
        spec = importlib.util.spec_from_file_location(program.stem, program)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        # As an import would: pickles and dataclasses of the model's code look their module up by name.
        sys.modules[program.stem] = module
        spec.loader.exec_module(module)
        return module


def base_type(content_type: str) -> str:
    """A media type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def decode(data: str | bytes, content_type: str) -> Any:
    """The default input_fn: CSV, JSON or NPY into a numpy array."""
    import numpy as np

    match base_type(content_type):
        case "text/csv":
            return np.genfromtxt(io.StringIO(str(data)), delimiter=",")
        case "application/json":
            return np.array(json.loads(data))
        case "application/x-npy" if isinstance(data, bytes):
            return np.load(io.BytesIO(data), allow_pickle=False)
    raise UnsupportedFormatError(content_type)


def encode(prediction: Any, accept: str) -> str | bytes:
    """The default output_fn: an array (or what becomes one) as CSV, JSON or NPY."""
    import numpy as np

    match base_type(accept):
        case "text/csv":
            text = io.StringIO()
            np.savetxt(text, np.atleast_1d(np.asarray(prediction)), delimiter=",", fmt="%s")
            return text.getvalue()
        case "application/json":
            return json.dumps(prediction, default=lambda value: np.asarray(value).tolist())
        case "application/x-npy":
            packed = io.BytesIO()
            np.save(packed, np.asarray(prediction))
            return packed.getvalue()
    raise UnsupportedFormatError(accept)
