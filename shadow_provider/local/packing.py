"""A model.tar.gz from a few lines of Python, for tests and first steps."""

from __future__ import annotations

import gzip
import inspect
import io
import tarfile
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

Source = str | Callable[..., Any]
"""The text of a module, or a function that is to stand in it."""


def model_archive(*sources: Source, files: Mapping[str, str | bytes] | None = None) -> bytes:
    """Packs a model as SageMaker takes it: a tar.gz with code/inference.py.

    Example:
        model_archive("def model_fn(d): pass", "def predict_fn(rows, model): return rows.sum(axis=-1)")

    Args:
        sources: What code/inference.py consists of, one after the other: texts, and functions such as model_fn and
            predict_fn. Of a function the source text is taken, with no more than that: what it uses is to be imported
            inside it or stand in another source.
        files: Further files by path, weights or code/requirements.txt say.

    Returns:
        The archive; the same bytes for the same content.

    Raises:
        OSError: The source text of a function cannot be had, as of one typed into a shell.
    """
    texts = [each if isinstance(each, str) else textwrap.dedent(inspect.getsource(each)) for each in sources]
    content: dict[str, str | bytes] = {"code/inference.py": "\n\n".join(texts)} if texts else {}
    packed = io.BytesIO()
    # Without a time of its own, which gzip and tar would write down otherwise.
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as tar,
    ):
        for path, value in {**content, **(files or {})}.items():
            data = value.encode() if isinstance(value, str) else value
            member = tarfile.TarInfo(path)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return packed.getvalue()
