"""Compiled in C where the project was installed with a compiler; `compiled` says what is to be called."""

from typing import Any

Buffer = Any

def scan(
    content: Buffer,
    constants: Buffer,
    sizes: Buffer,
    kinds: bytes,
    begins: Buffer,
    times: Buffer,
    edges: Buffer,
    /,
) -> tuple[int, int]: ...
def digests(content: Buffer, starts: Buffer, ends: Buffer, found: Buffer, /) -> None: ...
def texts(content: Buffer, starts: Buffer, ends: Buffer, offsets: Buffer, found: Buffer, escaped: bool, /) -> int: ...
