"""Each end of a change, told by the amazon provider's operator and sensor and by ours, from the same local AWS.

What is asserted of theirs is how they are today: should one of them be mended, the table has to be written anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from airflow.sdk.bases.operator import ExecutorSafeguard

from shadow_provider.local import LocalAWS
from tests.aws.comparison import page
from tests.aws.comparison.scenarios import SCENARIOS
from tests.aws.conftest import Cloud, cloud_of


@pytest.fixture(scope="module")
def running() -> Iterator[LocalAWS]:
    with LocalAWS(page.SETTINGS) as made, pytest.MonkeyPatch.context() as patch:
        for name, value in made.address.environment.items():
            patch.setenv(name, value)
        patch.setattr(ExecutorSafeguard, "test_mode", True)
        yield made


@pytest.fixture(scope="module")
def theatre(running: LocalAWS, unique: Callable[[str], str]) -> Cloud:
    return cloud_of(running, unique)


@pytest.mark.parametrize("key", SCENARIOS)
def test_no_end_but_the_one_asked_for_is_success_to_us_and_the_page_tells_what_each_says(
    running: LocalAWS, theatre: Cloud, key: str
) -> None:
    scenario = SCENARIOS[key]
    outcomes = page.play_all(running, theatre, key)
    for who in page.OURS:
        outcome = outcomes[who]
        if outcome is None:
            continue
        assert not page.wrong(scenario, outcome), outcome
        # Neither a wrong green nor a wrong red, and no end is waited for when it has come.
        should = "success" if scenario.fault is None and scenario.asked_for else "failure"
        assert outcome.said == should, outcome
    version, rows = page.rows_of_page()
    told = page.row(key, outcomes)
    if version == page.version_line():
        assert rows[key] == told, "python -m tests.aws.comparison.page writes the table anew"
    else:
        # Another version of the amazon provider than the page speaks of: it is held to what is ours.
        assert rows[key].split(" | ")[-1] == told.split(" | ")[-1]


def test_the_page_speaks_of_every_scenario() -> None:
    _, rows = page.rows_of_page()
    assert set(rows) == set(SCENARIOS)
    assert page.head()[0] in page.PAGE.read_text()
