"""From a model's definition to a directory on disk: fetch from the local S3, unpack safely."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shadow_provider.local.moto_bridge import LocalS3, S3MissingError


class ModelDataError(Exception):
    """The model data cannot be had; the text is what AWS puts into FailureReason."""


@dataclass(frozen=True)
class ModelSource:
    """Where a container's model data lies.

    Attributes:
        uri: S3 URI of one object, or of a prefix.
        compressed: Whether it is one tar.gz.
        single: Whether it is one object; a tar.gz always is.
    """

    uri: str
    compressed: bool
    single: bool = True

    @property
    def location(self) -> tuple[str, str]:
        """Bucket and key (or prefix)."""
        bucket, _, key = self.uri.removeprefix("s3://").partition("/")
        return bucket, key


def source_of(container: dict[str, Any]) -> ModelSource | None:
    """The model data of a container definition, None if it names none."""
    if url := container.get("ModelDataUrl"):
        archive = container.get("Mode") != "MultiModel"
        return ModelSource(_as_s3(url), compressed=archive, single=archive)
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if source is None:
        return None
    archive = source["CompressionType"] == "Gzip"
    single = archive or source["S3DataType"] == "S3Object"
    return ModelSource(_as_s3(source["S3Uri"]), compressed=archive, single=single)


def _as_s3(url: str) -> str:
    # CreateModel also takes https://<bucket>.s3.<region>.amazonaws.com/<key> and the path-style form.
    if not url.startswith("https://"):
        return url
    host, _, path = url.removeprefix("https://").partition("/")
    if host.startswith("s3"):
        return f"s3://{path}"
    return f"s3://{host.partition('.s3')[0]}/{path}"


def exists(s3: LocalS3, source: ModelSource) -> bool:
    """Whether there is anything at the model data's place."""
    bucket, key = source.location
    try:
        return s3.has(bucket, key) if source.single else bool(s3.keys(bucket, key))
    except S3MissingError:
        return False


def fetch(s3: LocalS3, source: ModelSource, into: Path) -> None:
    """Puts the model data into a new directory.

    Args:
        s3: The local S3.
        source: Where the data lies.
        into: The directory to make; /opt/ml/model on AWS.

    Raises:
        ModelDataError: The data is missing, or is no tar.gz that may be unpacked.
    """
    into.mkdir(parents=True)
    bucket, key = source.location
    try:
        if not source.single:
            _copy_prefix(s3, bucket, key, into)
            return
        content = s3.read(bucket, key)
    except S3MissingError:
        raise ModelDataError(
            f'Failed to download model data for container "container_1" from URL: "{source.uri}". Please ensure that '
            "there is an object located at the URL and that the role passed to CreateModel has permissions to download "
            "the object."
        ) from None
    if not source.compressed:
        # AWS: the last part of the key is the name of the file.
        (into / key.rpartition("/")[2]).write_bytes(content)
        return
    try:
        _unpack(content, into)
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise ModelDataError(
            f'Failed to extract model data archive for container "container_1" from URL "{source.uri}". Please ensure '
            f"that the object located at the URL is a valid tar.gz archive. ({error})"
        ) from error


def _copy_prefix(s3: LocalS3, bucket: str, prefix: str, into: Path) -> None:
    for key in s3.keys(bucket, prefix):
        target = (into / key.removeprefix(prefix).lstrip("/")).resolve()
        if into.resolve() not in target.parents:
            raise ModelDataError(f'The key "{key}" leads out of the model directory.')
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(s3.read(bucket, key))


def _unpack(archive: bytes, into: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            if member.issym() or member.islnk():
                # SageMaker: the archive must not contain symbolic links.
                raise ValueError(f"the archive contains a link: {member.name}")
            tar.extract(member, into, filter="data")
