"""Temporary directories that are removed even if their owner could not do it: by whoever makes the next one."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "local-aws-"
_LOCK = "owner.lock"


@contextmanager
def owned_directory(parent: Path | None = None) -> Iterator[Path]:
    """A temporary directory of this process, removed at the end.

    Those whose owners are gone without having removed them are removed first: each has a lock that ends with its owner.

    Args:
        parent: Where to make it; None takes the system's place for temporary files.
    """
    place = parent or Path(tempfile.gettempdir())
    remove_abandoned(place)
    path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    # Locked before it has its name: nobody may take it for abandoned in between.
    draft = path / f"{_LOCK}.new"
    with draft.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        draft.rename(path / _LOCK)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def remove_abandoned(place: Path) -> None:
    """Removes the directories of this user whose owners are gone.

    Args:
        place: Where they are looked for.
    """
    for path in place.glob(f"{PREFIX}*"):
        try:
            if path.is_symlink() or path.stat().st_uid != os.getuid():
                continue
            with (path / _LOCK).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue  # in use, just being made, or another process removes it
