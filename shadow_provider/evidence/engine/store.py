"""Where captures, labels and the engine's own state lie: S3 through a client that is given, or a folder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from shadow_provider.evidence.clients import S3Client
from shadow_provider.evidence.engine.fetching import Fetcher, fetcher


@dataclass(frozen=True, slots=True, order=True)
class StoredObject:
    """One object: its key, and the ETag that changes with its content.

    Attributes:
        key: of the object.
        etag: of the object.
        size: in bytes, as far as it is known; 0 else.
    """

    key: str
    etag: str
    size: int = field(default=0, compare=False)


class ReadableStore(Protocol):
    """Objects that can be listed and read."""

    def listed(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        """The objects under a prefix that ends with a slash or is empty, in order of their keys.

        Args:
            prefix: of all keys.
            after: the keys up to this one are left out.
        """

    def opened(self, key: str) -> BinaryIO:
        """An object to read from; the reader closes it. Raises the store's own error if there is none."""

    def local_path(self, key: str) -> Path | None:
        """A file that has the object's content already, if there is one."""


class StateStore(ReadableStore, Protocol):
    """A store that can be written to as well."""

    def write(self, key: str, content: bytes) -> None:
        """Write an object as a whole: a reader sees all of it or nothing."""

    def delete(self, key: str) -> None:
        """Take an object away; one that is not there is no error."""


class WritingS3Client(S3Client, Protocol):
    """The reading and the writing verbs of boto3's S3 client."""

    def put_object(self, **kwargs: Any) -> Any:
        """Write an object."""

    def delete_object(self, **kwargs: Any) -> Any:
        """Delete an object."""


@dataclass(frozen=True)
class S3Store:
    """A bucket, through a boto3 client: its credentials, endpoint and retries are used."""

    client: WritingS3Client
    bucket: str

    @cached_property
    def _fetcher(self) -> Fetcher | None:
        return fetcher(self.client, self.bucket)

    def listed(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        """The objects under a prefix."""
        request: dict[str, Any] = {"Bucket": self.bucket, "Prefix": prefix}
        if after:
            request["StartAfter"] = after
        while True:
            page = self.client.list_objects_v2(**request)
            for item in page.get("Contents", ()):
                yield StoredObject(item["Key"], str(item.get("ETag", "")).strip('"'), item.get("Size", 0))
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def opened(self, key: str) -> BinaryIO:
        """The object's body."""
        fetched = None if self._fetcher is None else self._fetcher.opened(key)
        body: BinaryIO = fetched or self.client.get_object(Bucket=self.bucket, Key=key)["Body"]
        return body

    def local_path(self, key: str) -> Path | None:
        """None: it must be fetched."""
        return None

    def write(self, key: str, content: bytes) -> None:
        """Put an object."""
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)

    def delete(self, key: str) -> None:
        """Delete an object."""
        self.client.delete_object(Bucket=self.bucket, Key=key)


@dataclass(frozen=True)
class FolderStore:
    """A folder; keys are paths below it."""

    root: Path

    def listed(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        """The files below a folder."""
        for key, status in sorted(each for each in _files(self.root / prefix, prefix) if each[0] > after):
            yield StoredObject(key, f"{status.st_size}-{status.st_mtime_ns}", status.st_size)

    def opened(self, key: str) -> BinaryIO:
        """The file."""
        return (self.root / key).open("rb")

    def local_path(self, key: str) -> Path | None:
        """The file itself."""
        return self.root / key

    def write(self, key: str, content: bytes) -> None:
        """Write the file beside its place and move it there."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.partial")
        beside.write_bytes(content)
        beside.replace(path)

    def delete(self, key: str) -> None:
        """Remove the file."""
        (self.root / key).unlink(missing_ok=True)


def _files(folder: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """The files below a folder, with the prefix before their names."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(folder / entry.name, f"{prefix}{entry.name}/")
            elif entry.is_file():
                yield f"{prefix}{entry.name}", entry.stat()
