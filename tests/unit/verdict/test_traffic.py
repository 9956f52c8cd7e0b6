import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from shadow_provider.verdict.traffic import LEAST_CHANGES, HourOfTraffic, Traffic, block_to_block, traffic

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def of(*hours: tuple[int, int | None]) -> Traffic:
    listed = [HourOfTraffic(START + number * HOUR, *hour) for number, hour in enumerate(hours)]
    return traffic(START, START + 24 * HOUR, listed, {})


def test_hours_without_data_do_not_lower_the_mean() -> None:
    found = of((100, 1), (300, 2), (50, 0))
    assert (found.hours, found.invocations_per_hour) == (3, 150)
    assert (found.busiest, found.quietest) == (
        HourOfTraffic(START + HOUR, 300, 2),
        HourOfTraffic(START + 2 * HOUR, 50, 0),
    )
    assert found.error_rate == pytest.approx(3 / 450)


def test_the_error_rate_is_of_hours_that_have_both_counts() -> None:
    assert of((100, 1), (900, None)).error_rate == pytest.approx(0.01)
    assert of((900, None)).error_rate is None
    assert of((0, 0)).error_rate is None
    assert of((2, 3)).error_rate == 1


def test_without_data_nothing_is_known() -> None:
    found = of()
    assert (found.hours, found.invocations_per_hour, found.busiest, found.quietest) == (0, None, None, None)
    assert found.error_rate is None


def test_the_deviation_is_that_of_a_ratio_of_two_variants() -> None:
    random = np.random.default_rng(3)
    production, candidate = (np.exp(random.normal(9, 0.1, 4000)) for _ in range(2))
    expected = np.std(np.log(candidate / production))
    assert block_to_block(production.tolist()) == pytest.approx(expected, rel=0.05)


def test_only_neighbouring_blocks_are_compared_and_a_few_say_nothing() -> None:
    wave = [1.0, 2.0] * 20
    assert block_to_block(wave) == pytest.approx(math.log(2), rel=0.05)
    assert block_to_block([each for value in wave for each in (value, None)]) is None
    assert block_to_block(wave[: LEAST_CHANGES + 1]) is not None
    assert block_to_block(wave[:LEAST_CHANGES]) is None
    # A percentile of zero has no logarithm.
    assert block_to_block([*wave[: LEAST_CHANGES + 1], 0.0]) == block_to_block(wave[: LEAST_CHANGES + 1])


def test_a_length_without_a_deviation_is_not_there() -> None:
    found = traffic(START, START + HOUR, [], {"p50": {60: [1.0, 2.0] * 10, 300: [1.0]}}, ["note"])
    assert found.latency["p50"].keys() == {60}
    assert found.notes == ("note",)
