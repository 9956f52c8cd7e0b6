import threading
from functools import partial

import pytest

from shadow_provider.evidence.engine.behind import behind


def test_work_is_done_in_order_by_one_other_thread() -> None:
    done: list[int] = []
    threads = set()

    def work(number: int) -> None:
        done.append(number)
        threads.add(threading.get_ident())

    with behind(2) as worker:
        for number in range(50):
            worker.do(partial(work, number))
        worker.wait()
        assert done == list(range(50))
    assert len(threads) == 1
    assert threads.isdisjoint({threading.get_ident()})


def test_no_more_work_waits_than_may() -> None:
    allowed = threading.Semaphore(0)
    begun: list[int] = []
    given: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        assert allowed.acquire(timeout=10)

    def give() -> None:
        with behind(2) as worker:
            for number in range(4):
                worker.do(partial(work, number))
                given.append(number)
            worker.wait()

    giver = threading.Thread(target=give)
    giver.start()
    for finished in range(4):
        # Those that are finished, the one that is being done, and one more: the fourth waits for its turn.
        giver.join(0.05)
        assert len(given) <= finished + 2
        allowed.release()
    giver.join(10)
    assert begun == given == [0, 1, 2, 3]


def test_an_error_comes_to_who_gave_the_work() -> None:
    def fail() -> None:
        raise OSError("no room")

    def give(pieces: int, *, wait: bool) -> None:
        with behind(1) as worker:
            for _ in range(pieces):
                worker.do(fail)
            if wait:
                worker.wait()

    with pytest.raises(OSError, match="no room"):
        give(1, wait=True)
    with pytest.raises(OSError, match="no room"):
        give(2, wait=False)
