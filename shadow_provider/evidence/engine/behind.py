"""Work that another thread does, in the order in which it was given, while its giver goes on."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager


class Behind:
    """One thread's work.

    Args:
        pool: of one thread.
        most: pieces of work that may wait.
    """

    def __init__(self, pool: ThreadPoolExecutor, most: int) -> None:
        self._pool = pool
        self._most = most
        self._waiting: deque[Future[None]] = deque()

    def do(self, work: Callable[[], None]) -> None:
        """Have it done. An error of earlier work comes here, or where it is waited for."""
        while len(self._waiting) >= self._most:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(work))

    def wait(self) -> None:
        """Until all is done."""
        while self._waiting:
            self._waiting.popleft().result()


@contextmanager
def behind(most: int) -> Iterator[Behind]:
    """A thread for as long as the context lasts; whoever leaves it without an error has waited."""
    with ThreadPoolExecutor(1) as pool:
        yield Behind(pool, most)
