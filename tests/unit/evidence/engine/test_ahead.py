import threading

import pytest

from shadow_provider.evidence.engine.ahead import ahead


def test_results_come_in_order_though_they_are_made_together() -> None:
    meeting = threading.Barrier(2, timeout=10)

    def double(number: int) -> int:
        meeting.wait()
        return 2 * number

    assert list(ahead(double, range(6), threads=2, most=4)) == [0, 2, 4, 6, 8, 10]


def test_no_more_wait_than_allowed() -> None:
    asked: list[int] = []

    def noted(number: int) -> int:
        asked.append(number)
        return number

    made = ahead(noted, range(100), threads=2, most=3)
    assert next(made) == 0
    assert len(asked) <= 3
    assert list(made) == list(range(1, 100))


def test_an_error_comes_where_the_result_would() -> None:
    made = ahead(lambda number: 1 // number, [1, 1, 0, 1], threads=2, most=4)
    assert [next(made), next(made)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(made)
