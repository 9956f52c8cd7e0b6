from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import cast

import pytest

from shadow_provider.local.moto_bridge import LocalS3, S3MissingError
from shadow_provider.local.serving.model_data import ModelDataError, ModelSource, exists, fetch, source_of


class FakeS3:
    def __init__(self, **objects: bytes) -> None:
        self.objects = {f"models/{name}": content for name, content in objects.items()}

    def has(self, bucket: str, key: str) -> bool:
        return key in self.objects

    def keys(self, bucket: str, prefix: str) -> list[str]:
        return [key for key in self.objects if key.startswith(prefix)]

    def read(self, bucket: str, key: str) -> bytes:
        if key not in self.objects:
            raise S3MissingError(key)
        return self.objects[key]


def packed(*members: tarfile.TarInfo) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return content.getvalue()


def file(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = 3
    return member


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


SOURCE = ModelSource("s3://bucket/models/m", compressed=True)


def test_an_archive_is_unpacked(tmp_path: Path) -> None:
    archive = packed(file("code/inference.py"), file("/absolute"))
    fetch(cast(LocalS3, FakeS3(m=archive)), SOURCE, tmp_path / "model")
    assert (tmp_path / "model/code/inference.py").read_bytes() == b"xxx"
    assert (tmp_path / "model/absolute").exists()


@pytest.mark.parametrize(
    "archive",
    [
        packed(file("../outside")),
        packed(link("a", "/etc/passwd")),
        packed(file("a"), link("b", "a", tarfile.LNKTYPE)),
        b"",
        b"no archive",
        packed(file("a"))[:-20],
    ],
    # An archive has a time in it: as an id it would be another one for each process that collects the tests.
    ids=["outside", "symbolic link", "hard link", "empty", "no archive", "truncated"],
)
def test_what_is_unsafe_or_broken_is_refused(tmp_path: Path, archive: bytes) -> None:
    with pytest.raises(ModelDataError, match="Failed to extract model data archive"):
        fetch(cast(LocalS3, FakeS3(m=archive)), SOURCE, tmp_path / "model")
    assert not (tmp_path / "outside").exists()


def test_missing_data_is_said_in_awss_words(tmp_path: Path) -> None:
    with pytest.raises(ModelDataError, match="Failed to download model data"):
        fetch(cast(LocalS3, FakeS3()), SOURCE, tmp_path / "model")


def test_uncompressed_data_is_all_below_the_prefix(tmp_path: Path) -> None:
    s3 = cast(LocalS3, FakeS3(**{"m/code/inference.py": b"a", "m/weights": b"b", "other": b"c"}))
    source = source_of(
        {
            "ModelDataSource": {
                "S3DataSource": {"S3Uri": "s3://bucket/models/m/", "S3DataType": "S3Prefix", "CompressionType": "None"}
            }
        }
    )
    assert source is not None
    assert exists(s3, source)
    fetch(s3, source, tmp_path / "model")
    found = sorted(
        str(path.relative_to(tmp_path / "model")) for path in (tmp_path / "model").rglob("*") if path.is_file()
    )
    assert found == ["code/inference.py", "weights"]
    escaping = cast(LocalS3, FakeS3(**{"m/../../outside": b"a"}))
    with pytest.raises(ModelDataError, match="leads out"):
        fetch(escaping, source, tmp_path / "other")


def test_one_uncompressed_object_is_named_after_the_end_of_its_key(tmp_path: Path) -> None:
    s3 = cast(LocalS3, FakeS3(**{"m/weights": b"b", "m/weights2": b"c"}))
    container = {
        "ModelDataSource": {
            "S3DataSource": {
                "S3Uri": "s3://bucket/models/m/weights",
                "S3DataType": "S3Object",
                "CompressionType": "None",
            }
        }
    }
    source = source_of(container)
    assert source is not None
    assert exists(s3, source)
    fetch(s3, source, tmp_path / "model")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["weights"]
    assert (tmp_path / "model/weights").read_bytes() == b"b"


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("s3://bucket/a/b.tar.gz", ("bucket", "a/b.tar.gz")),
        ("https://bucket.s3.eu-west-1.amazonaws.com/a/b.tar.gz", ("bucket", "a/b.tar.gz")),
        ("https://s3.amazonaws.com/bucket/a/b.tar.gz", ("bucket", "a/b.tar.gz")),
    ],
)
def test_urls_of_model_data(url: str, location: tuple[str, str]) -> None:
    source = source_of({"ModelDataUrl": url})
    assert source is not None
    assert source.location == location
