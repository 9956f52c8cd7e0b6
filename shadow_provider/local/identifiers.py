"""Identifiers as AWS gives them: random UUIDs, several for each request."""

from __future__ import annotations

import random

# Their only use is to differ, and the operating system's generator costs a system call for each.
_bits = random.Random().getrandbits  # noqa: S311
_VERSION_4 = (0xF000 << 64 | 0xC000 << 48, 0x4000 << 64 | 0x8000 << 48)


def random_id() -> str:
    """A fresh UUID of version 4."""
    cleared, added = _VERSION_4
    text = f"{_bits(128) & ~cleared | added:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
