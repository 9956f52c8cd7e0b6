from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from shadow_provider.local.object_storage import Extent, ObjectFile


def test_contents_come_back_whatever_is_stored_and_dropped_in_between(tmp_path: Path) -> None:
    file, rng = ObjectFile(tmp_path), random.Random(5)
    kept: list[tuple[bytes, Extent]] = []
    for _ in range(3000):
        if kept and rng.random() < 0.5:
            kept.pop(rng.randrange(len(kept)))
        content = rng.randbytes(rng.randrange(1, 5000))
        kept.append((content, file.store(content)))
    assert all(extent.read() == content for content, extent in kept)
    # What was dropped was used again: three thousand contents took more than this.
    held = sum(len(content) for content, _ in kept)
    assert file.size < max(3 * held, 500_000)


def test_room_is_used_again_and_given_back_to_the_disk(tmp_path: Path) -> None:
    file = ObjectFile(tmp_path)
    first, second, third = (file.store(letter * 1000) for letter in (b"a", b"b", b"c"))
    del first, second
    # The two gaps are one: this fits into neither alone.
    fourth = file.store(b"d" * 2000)
    assert file.size == 3000
    assert (third.read(), fourth.read()) == (b"c" * 1000, b"d" * 2000)
    del third, fourth
    last = file.store(b"e")
    assert (file.size, last.read()) == (1, b"e")


def test_an_overwritten_content_stays_for_who_still_reads_it(tmp_path: Path) -> None:
    file = ObjectFile(tmp_path)
    objects = {"key": file.store(b"old" * 500)}
    reader = objects["key"]
    objects["key"] = file.store(b"new" * 500)
    assert (reader.read(), objects["key"].read()) == (b"old" * 500, b"new" * 500)


def test_any_thread_may_use_it_and_it_takes_one_descriptor_and_no_name(tmp_path: Path) -> None:
    before = psutil.Process().num_fds()
    file = ObjectFile(tmp_path)

    def work(number: int) -> bool:
        contents = [f"{number}/{index}".encode() * 300 for index in range(300)]
        extents = [file.store(content) for content in contents]
        return [extent.read() for extent in extents] == contents

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
    assert psutil.Process().num_fds() == before + 1
    assert list(tmp_path.iterdir()) == []


def test_room_of_a_content_that_could_not_be_written_is_free_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = ObjectFile(tmp_path)

    def full(*_: object) -> int:
        raise OSError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="full"):
            file.store(b"x" * 1000)
    assert file.store(b"y" * 10).read() == b"y" * 10
    assert file.size == 10
