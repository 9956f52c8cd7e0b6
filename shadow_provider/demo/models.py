"""The demo's models: trained in seconds, packed as SageMaker wants them, the same bytes every time.

Four archives come out. ``incumbent`` is what production runs. ``good`` is really better and as fast, ``bad`` is really
worse and slower, and ``broken`` cannot be loaded, so that its endpoint never passes a ping. Nothing is staged: no model
sleeps or answers at random, so a verdict about them is one about real differences.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import json
import platform
import tarfile
import tempfile
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shadow_provider.demo import dataset

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from shadow_provider.demo.dataset import DigitsSplit

DEFAULT_SEED = 7
MODEL_NAMES = ("incumbent", "good", "bad", "broken")
INFERENCE_SOURCE = Path(__file__).with_name("inference") / "inference.py"

_INCUMBENT_ROWS = 300
_SCRAMBLED_DIGITS = (3, 8)
_WASTEFUL_TREES = 100
_MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class ModelArchive:
    """A packed model and what is known of it.

    Attributes:
        name: one of ``MODEL_NAMES``.
        path: the ``model.tar.gz``.
        sha256: of the archive's bytes.
        accuracy: share of the held-out rows that it labels rightly; None for a model that cannot be loaded.
        agreement: share of the held-out rows on which it says what the incumbent says; None likewise.
    """

    name: str
    path: Path
    sha256: str
    accuracy: float | None
    agreement: float | None


@dataclass(frozen=True, slots=True)
class PredictLatency:
    """How long ``predict_fn`` takes for one row, in milliseconds."""

    p50_ms: float
    p90_ms: float


def build_models(directory: Path, seed: int = DEFAULT_SEED) -> dict[str, ModelArchive]:
    """Train and pack the demo models, or reuse what an earlier call left in ``directory``.

    Archives are reused when the manifest beside them was written for the same seed, versions and sources, and their
    bytes are still those it tells of.

    Args:
        directory: where ``<name>/model.tar.gz`` and the manifest go; made when missing.
        seed: of the training. The split of the data has its own (see ``dataset``).

    Returns:
        An archive per name of ``MODEL_NAMES``, in that order.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed (the ``local`` extra brings it).
    """
    directory.mkdir(parents=True, exist_ok=True)
    origin = _origin(seed)
    known = _read_manifest(directory, origin)
    if known is not None:
        return known
    archives = _train_and_pack(directory, seed)
    _write_manifest(directory, origin, archives)
    return archives


def upload_models(archives: Mapping[str, ModelArchive], uri: str, client: Any) -> dict[str, str]:
    """Put each archive at ``<uri>/<name>/model.tar.gz``; one that is already there with the same bytes is left alone.

    Args:
        archives: what ``build_models`` returned.
        uri: ``s3://bucket/prefix``; the bucket must exist.
        client: a boto3 S3 client.

    Returns:
        The S3 URI of each archive.

    Raises:
        ValueError: ``uri`` is not an S3 URI.
        botocore.exceptions.ClientError: S3 refused.
    """
    bucket, prefix = bucket_and_prefix(uri)
    uris = {}
    for name, archive in archives.items():
        key = "/".join(part for part in (prefix, name, "model.tar.gz") if part)
        if _stored_sha256(client, bucket, key) != archive.sha256:
            # put_object, not upload_file: one part, so that the ETag is a function of the bytes alone.
            client.put_object(
                Bucket=bucket,
                Key=key,
                Body=archive.path.read_bytes(),
                ContentType="application/gzip",
                Metadata={"sha256": archive.sha256},
            )
        uris[name] = f"s3://{bucket}/{key}"
    return uris


def load_archive(path: Path, directory: Path) -> tuple[ModuleType, Any]:
    """Unpack an archive into ``directory`` and load it as a container would.

    Returns:
        The module of its ``code/inference.py`` and the model that its ``model_fn`` returned.

    Raises:
        Exception: whatever ``model_fn`` raises.
    """
    with tarfile.open(path) as archive:
        archive.extractall(directory, filter="data")
    spec = importlib.util.spec_from_file_location("shadow_demo_inference", directory / "code" / "inference.py")
    if spec is None or spec.loader is None:  # pragma: no cover - a .py file always has a loader
        raise ImportError(f"{path} has no code/inference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, module.model_fn(str(directory))


def measure_latency(archive: ModelArchive, repetitions: int = 1000) -> PredictLatency:
    """Time the archive's ``predict_fn`` in this process, one held-out row at a time."""
    import numpy as np

    rows = dataset.load_split().held_out_features
    with tempfile.TemporaryDirectory() as scratch:
        module, model = load_archive(archive.path, Path(scratch))
    seconds = np.empty(repetitions)
    for index in range(repetitions):
        row = rows[index % len(rows)][None]
        started = time.perf_counter()
        module.predict_fn(row, model)
        seconds[index] = time.perf_counter() - started
    p50, p90 = np.percentile(seconds, [50, 90]) * 1000
    return PredictLatency(float(p50), float(p90))


def _train_and_pack(directory: Path, seed: int) -> dict[str, ModelArchive]:
    split = dataset.load_split()
    trained = {
        "incumbent": _train_incumbent(split, seed),
        "good": _train_good(split, seed),
        "bad": _train_bad(split, seed),
    }
    answers = {name: model.predict(split.held_out_features) for name, model in trained.items()}
    archives = {}
    for name, model in trained.items():
        path, sha256 = _write_archive(directory, name, _pickled(model))
        archives[name] = ModelArchive(
            name,
            path,
            sha256,
            accuracy=float((answers[name] == split.held_out_labels).mean()),
            agreement=float((answers[name] == answers["incumbent"]).mean()),
        )
    # Half of a real model file: what an upload that broke off leaves.
    whole = _pickled(trained["good"])
    path, sha256 = _write_archive(directory, "broken", whole[: len(whole) // 2])
    archives["broken"] = ModelArchive("broken", path, sha256, accuracy=None, agreement=None)
    return archives


def _train_incumbent(split: DigitsSplit, seed: int) -> Any:
    """A plain linear model that saw only half of the data: decent, with room above it."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=0.05, max_iter=2000, random_state=seed)
    return model.fit(split.train_features[:_INCUMBENT_ROWS], split.train_labels[:_INCUMBENT_ROWS])


def _train_good(split: DigitsSplit, seed: int) -> Any:
    """A quadratic SVM on all of the data: better, and for one row as fast as the linear model."""
    from sklearn.svm import SVC

    return SVC(kernel="poly", degree=2, C=1.0, random_state=seed).fit(split.train_features, split.train_labels)


def _train_bad(split: DigitsSplit, seed: int) -> Any:
    """A forest that learnt two digits from scrambled labels, and walks a hundred trees for each answer."""
    import numpy as np
    from sklearn.ensemble import ExtraTreesClassifier

    rng = np.random.default_rng(seed)
    labels = split.train_labels.copy()
    scrambled = np.flatnonzero(np.isin(labels, _SCRAMBLED_DIGITS))
    labels[scrambled] = rng.integers(0, 10, size=len(scrambled))
    return ExtraTreesClassifier(n_estimators=_WASTEFUL_TREES, random_state=seed).fit(split.train_features, labels)


def _pickled(model: Any) -> bytes:
    import joblib

    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    return buffer.getvalue()


def _write_archive(directory: Path, name: str, pickled: bytes) -> tuple[Path, str]:
    content = _packed({"model.joblib": pickled, "code/inference.py": INFERENCE_SOURCE.read_bytes()})
    path = directory / name / "model.tar.gz"
    path.parent.mkdir(exist_ok=True)
    _replace(path, content)
    return path, hashlib.sha256(content).hexdigest()


def _packed(members: Mapping[str, bytes]) -> bytes:
    """A tar.gz that is a function of its members alone: no time, owner or order of the machine gets in."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in sorted(members):
            info = tarfile.TarInfo(name)
            info.size = len(members[name])
            info.mode = 0o644
            archive.addfile(info, io.BytesIO(members[name]))
    return buffer.getvalue()


def _origin(seed: int) -> dict[str, str | int]:
    """All that decides the bytes of the archives."""
    import joblib
    import numpy as np
    import sklearn

    sources = hashlib.sha256()
    for source in (Path(__file__), Path(dataset.__file__), INFERENCE_SOURCE):
        sources.update(source.read_bytes())
    return {
        "seed": seed,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
        "joblib": joblib.__version__,
        "sources": sources.hexdigest(),
    }


def _read_manifest(directory: Path, origin: Mapping[str, str | int]) -> dict[str, ModelArchive] | None:
    """The archives as an earlier run left them, or None when any of it is missing, damaged or of another origin."""
    try:
        manifest = json.loads((directory / _MANIFEST).read_text(encoding="utf-8"))
        if manifest["origin"] != dict(origin):
            return None
        archives = {}
        for name in MODEL_NAMES:
            entry = manifest["models"][name]
            path = directory / name / "model.tar.gz"
            if hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
                return None
            archives[name] = ModelArchive(name, path, entry["sha256"], entry["accuracy"], entry["agreement"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return archives


def _write_manifest(directory: Path, origin: Mapping[str, str | int], archives: Mapping[str, ModelArchive]) -> None:
    models = {}
    for name, archive in archives.items():
        entry = asdict(archive)
        models[name] = {field: entry[field] for field in ("sha256", "accuracy", "agreement")}
    document = json.dumps({"origin": dict(origin), "models": models}, indent=2) + "\n"
    _replace(directory / _MANIFEST, document.encode())


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; readers never see half of it."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def bucket_and_prefix(uri: str) -> tuple[str, str]:
    """Split ``s3://bucket/prefix``; the prefix comes without slashes around it and may be empty.

    Raises:
        ValueError: it is not an S3 URI.
    """
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc:
        raise ValueError(f"{uri!r} is not an S3 URI such as s3://bucket/prefix")
    return parts.netloc, parts.path.strip("/")


def _stored_sha256(client: Any, bucket: str, key: str) -> str | None:
    from botocore.exceptions import ClientError

    try:
        head = client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        # 403 is what S3 says of a missing key to those who may not list the bucket; the put tells if they may write.
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in (403, 404):
            return None
        raise
    stored: str | None = head.get("Metadata", {}).get("sha256")
    return stored
