"""What was read out of answers, for whoever asks the same of the same answers a moment later.

Two comparators often do: one holds the answers against each other, one against the truth.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

_kept: ContextVar["dict[Hashable, tuple[pa.Array, Any]] | None"] = ContextVar("kept", default=None)


@contextmanager
def shared_reading() -> Iterator[None]:
    """What is read inside is read once; it is forgotten at the end."""
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def read_once(texts: "pa.Array", what: Hashable, read: Callable[[], T]) -> T:
    """What `read` makes of the texts; what it made of them before, inside of `shared_reading`.

    Args:
        texts: the answers.
        what: tells what is read out of them, and how; the result must depend on nothing else.
        read: reads it.
    """
    kept = _kept.get()
    if kept is None:
        return read()
    # The same memory is the same texts, as long as someone holds it.
    memory = tuple(None if each is None else each.address for each in texts.buffers())
    key = (what, memory, texts.offset, len(texts))
    if key not in kept:
        kept[key] = (texts, read())
    made: T = kept[key][1]
    return made
