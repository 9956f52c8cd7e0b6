"""Where the objects of the local S3 are: on disk, in one file without a name, not in memory.

moto keeps an object in memory until it is large, then in a temporary file of its own that stays open. A million
captured requests are too much for the one, thousands of large objects too many descriptors for the other.
"""

from __future__ import annotations

import copy
import hashlib
import os
import tempfile
import threading
import weakref
from bisect import insort
from collections import deque
from functools import cache
from pathlib import Path
from typing import Any

# Smaller contents stay in memory: beside what moto keeps of an object they do not count.
_IN_MEMORY = 1024


class Extent:
    """A content in the file; its room is free again when nobody refers to it any more.

    Args:
        file: Where it is.
        offset: From which byte on.
        length: How many bytes.
    """

    __slots__ = ("_file", "_length", "_offset")

    def __init__(self, file: ObjectFile, offset: int, length: int) -> None:
        self._file, self._offset, self._length = file, offset, length

    def __deepcopy__(self, _memo: dict[int, Any]) -> Extent:
        return self  # it never changes

    def __del__(self) -> None:
        self._file.let_go(self._offset, self._length)

    def read(self) -> bytes:
        """The content."""
        return self._file.read(self._offset, self._length)


class ObjectFile:
    """Contents of any number of objects behind one descriptor.

    The file has no name: however the process ends, its room on the disk is given back. Any thread may use it.

    Args:
        directory: Decides on which disk it is.
    """

    def __init__(self, directory: Path) -> None:
        with tempfile.TemporaryFile(dir=directory) as file:
            self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        self._lock = threading.Lock()
        self._end = 0
        self._free: list[tuple[int, int]] = []  # where each gap begins and ends; no two touch
        self._let_go: deque[tuple[int, int]] = deque()

    @property
    def size(self) -> int:
        """Bytes up to the end of the last content."""
        return self._end

    def store(self, content: bytes) -> Extent:
        """Keeps a content.

        Raises:
            OSError: The disk is full.
        """
        with self._lock:
            self._collect()
            extent = Extent(self, self._take(len(content)), len(content))
        view, at = memoryview(content), extent._offset
        while view:
            written = os.pwrite(self._descriptor, view, at)
            view, at = view[written:], at + written
        return extent

    def read(self, offset: int, length: int) -> bytes:
        """The bytes of an extent."""
        parts = []
        while length and (part := os.pread(self._descriptor, length, offset)):
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def let_go(self, offset: int, length: int) -> None:
        """Frees an extent at the next opportunity; it comes from the garbage collector, so it must not wait."""
        self._let_go.append((offset, offset + length))

    def _take(self, length: int) -> int:
        for number, (begin, end) in enumerate(self._free):
            if end - begin >= length:
                self._free[number : number + 1] = [(begin + length, end)] if end - begin > length else []
                return begin
        begin, self._end = self._end, self._end + length
        return begin

    def _collect(self) -> None:
        if not self._let_go:
            return
        while self._let_go:
            insort(self._free, self._let_go.popleft())
        joined: list[tuple[int, int]] = []
        for begin, end in self._free:
            if joined and joined[-1][1] == begin:
                joined[-1] = (joined[-1][0], end)
            else:
                joined.append((begin, end))
        if joined and joined[-1][1] == self._end:
            self._end = joined.pop()[0]
            os.ftruncate(self._descriptor, self._end)
        self._free = joined


def keep_objects_on_disk(directory: Path) -> None:
    """Lets moto's S3 keep the contents of its objects in a file on the disk of a directory."""
    from moto.s3 import models

    stored_key = _stored_key()
    stored_key.storage = ObjectFile(directory)
    models.FakeKey = stored_key  # type: ignore[misc]
    forget_what_is_gone()


def forget_what_is_gone() -> None:
    """Lets moto forget what is deleted or overwritten in S3; to be called again whenever moto was reset.

    moto keeps a list of everything that it ever made, for a page that the local AWS does not offer.
    """
    from moto.core.model_instances import model_data

    models: list[Any] = [*model_data["s3"].values(), _stored_key()]
    for model in models:
        model.instances_tracked = deque(maxlen=0)


@cache
def _stored_key() -> Any:
    from moto.s3.models import FakeKey

    class StoredKey(FakeKey):
        """An object of moto's S3, its content where `storage` keeps it. The base's own buffer stays empty."""

        storage: ObjectFile
        _content: Extent | bytes

        @property
        def value(self) -> bytes:
            return self._content.read() if isinstance(self._content, Extent) else self._content

        @value.setter
        def value(self, content: bytes | bytearray | str) -> None:
            raw = content.encode() if isinstance(content, str) else bytes(content)
            self._content = self.storage.store(raw) if len(raw) > _IN_MEMORY else raw
            self.contentsize = len(raw)

        @property
        def etag(self) -> str:
            if self._etag is None:
                self._etag = hashlib.md5(self.value, usedforsecurity=False).hexdigest()
            return f'"{self._etag}"'

        def dispose(self, garbage: bool = False) -> None:
            # Someone may still read it; its room is free when nobody refers to it.
            self.disposed = True

        def __deepcopy__(self, memo: dict[int, Any]) -> Any:
            # moto copies all versions of all objects to list them.
            made = copy.copy(self)
            memo[id(self)] = made
            return made

        def __getstate__(self) -> dict[str, Any]:
            return self.__dict__.copy()

        def __setstate__(self, state: dict[str, Any]) -> None:
            self.__dict__.update(state)

    return StoredKey
