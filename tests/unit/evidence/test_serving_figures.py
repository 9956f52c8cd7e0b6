from datetime import timedelta
from typing import Any

import pytest

from shadow_provider.evidence.serving_figures import serving_figures
from shadow_provider.plan.serving_figures import ServingFigures
from tests.unit.evidence.fakes import ENDPOINT, PRODUCTION, START, FakeCloudWatch

MINUTE = timedelta(minutes=1)


def figures(cloudwatch: FakeCloudWatch, minutes: float, **others: Any) -> ServingFigures:
    end = START + minutes * MINUTE
    span: dict[str, Any] = {"start": START, "end": end, "now": end, "seconds": 60, "percentiles": ["p50"], **others}
    return serving_figures(cloudwatch, endpoint_name=ENDPOINT, variant=PRODUCTION, **span)


@pytest.fixture
def serving() -> FakeCloudWatch:
    """12 requests a minute for 10 minutes, then 3; one in twelve fails; each minute is 1 ms slower."""
    made = FakeCloudWatch()
    for minute in range(20):
        for number in range(12 if minute < 10 else 3):
            moment = START + minute * MINUTE + number * timedelta(seconds=5)
            made.invocation(PRODUCTION, moment, 1000.0 * (minute + 1), failed=number == 0)
    return made


def test_requests_errors_and_the_blocks_with_enough_of_them(serving: FakeCloudWatch) -> None:
    found = figures(serving, 20)
    assert (found.invocations, found.errors) == (150, 20)
    assert found.error_rate == pytest.approx(20 / 150)
    # Ten samples make a median; three do not.
    assert found.latency == {"p50": tuple(1000.0 * minute for minute in range(1, 11))}
    assert found.thin_latency == {"p50": tuple(1000.0 * minute for minute in range(1, 21))}
    assert found.notes == ()
    assert len(serving.calls) == 1


def test_a_span_takes_the_blocks_that_it_touches(serving: FakeCloudWatch) -> None:
    found = figures(serving, 2.5, start=START + 1.5 * MINUTE)
    assert found.invocations == 24
    assert found.latency == {"p50": (2000.0, 3000.0)}


def test_no_datapoint_is_not_a_zero(serving: FakeCloudWatch) -> None:
    silent = figures(FakeCloudWatch(), 20)
    assert (silent.invocations, silent.errors, silent.error_rate, silent.latency) == (None, None, None, {"p50": ()})
    del serving.values[PRODUCTION, "Invocation4XXErrors"]
    assert figures(serving, 20).errors is None


def test_only_the_last_day_is_looked_at(serving: FakeCloudWatch) -> None:
    later = figures(serving, 24 * 60 + 5)
    assert later.invocations == 5 * 12 + 30
    empty = figures(serving, 20, start=START + 30 * MINUTE)
    assert empty.invocations is None
    assert "no block between" in empty.notes[0]
