"""Writes the table in docs/reliability.md anew: python -m tests.aws.comparison.page, from real runs."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from airflow.providers.amazon import __version__ as amazon_version
from airflow.sdk.bases.operator import ExecutorSafeguard

from shadow_provider.local import LocalAWS, LocalSettings
from tests.aws.comparison.contenders import CONTENDERS
from tests.aws.comparison.outcomes import Outcome
from tests.aws.comparison.scenarios import SCENARIOS, Scenario, stage
from tests.aws.conftest import Cloud, cloud_of

PAGE = Path(__file__).parents[3] / "docs/reliability.md"
BEGIN, END = "<!-- comparison: begin -->\n", "<!-- comparison: end -->\n"
SETTINGS = LocalSettings(seed=5, startup_timeout=15, drain_timeout=2)
# As each comes out of the box: the operator polls 36,000 times, its trigger 480 times, each 30 s apart.
PATIENCE = {"SageMakerEndpointOperator": "12.5 days", "SageMakerEndpointOperator, deferrable": "4 hours"}

OURS = [who for who in CONTENDERS if "Shadow" in who]
THEIRS = [who for who in CONTENDERS if who not in OURS]


def wrong(scenario: Scenario, outcome: Outcome) -> bool:
    """Whether a task said success of something that was not asked for."""
    served = (outcome.status, outcome.config) == ("InService", "new")
    return outcome.said == "success" and not (served and scenario.asked_for)


def cell(scenario: Scenario, contender: str, outcome: Outcome | None) -> str:
    """What the table says of one task in one scenario."""
    if outcome is None:
        return "-"
    if outcome.said == "waiting":
        return f"polls on, for up to {PATIENCE[contender]}"
    if outcome.said == "failure":
        return f"fails: {outcome.words}"
    if not wrong(scenario, outcome):
        return "success"
    if outcome.status != "InService":
        return f"**success**, and the endpoint is {outcome.status}"
    return "**success**, and the old config serves" if outcome.config == "old" else "**success**: it replaced the model"


def row(key: str, outcomes: Mapping[str, Outcome | None]) -> str:
    """One line of the table. Our operator, in both its ways, and our sensor share a cell: they must say the same.

    Raises:
        AssertionError: they do not.
    """
    scenario = SCENARIOS[key]
    ours = {cell(scenario, who, outcomes[who]) for who in OURS if outcomes[who] is not None}
    assert len(ours) == 1, ours
    return "| " + " | ".join([scenario.title, *(cell(scenario, who, outcomes[who]) for who in THEIRS), *ours]) + " |"


def head() -> list[str]:
    """The first two lines of the table."""
    theirs = [f"`{who}`" if "," not in who else f"the same, {who.split(', ')[1]}" for who in THEIRS]
    columns = ["what happens", *theirs, "ours: operator, deferrable or not, and sensor"]
    return ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]


def rows_of_page() -> tuple[str, dict[str, str]]:
    """The version of the amazon provider that the page speaks of, and its rows by their titles."""
    text = PAGE.read_text()
    version, _, rest = text[text.index(BEGIN) + len(BEGIN) : text.index(END)].partition("\n")
    titles = {scenario.title: key for key, scenario in SCENARIOS.items()}
    lines = [line for line in rest.splitlines() if line.startswith("| ")]
    return version, {titles[line.split(" | ")[0][2:]]: line for line in lines[1:]}


def version_line() -> str:
    """What stands above the table."""
    return f"With version {amazon_version} of the amazon provider; `E` is the endpoint, `old` and `new` its configs:"


def play_all(running: LocalAWS, cloud: Cloud, key: str) -> dict[str, Outcome | None]:
    """Run every task through one scenario; None where the scenario is nothing for it."""
    names = {who: f"{key.replace('_', '-')}-{number}" for number, who in enumerate(CONTENDERS)}
    return {who: play(running, cloud, key, who, name) for who, name in names.items()}


def play(running: LocalAWS, cloud: Cloud, key: str, contender: str, name: str) -> Outcome | None:
    """Run one task through one scenario."""
    scenario = SCENARIOS[key]
    if contender.endswith("Sensor") and (scenario.killed or not scenario.asked_for):
        return None
    begun = stage(cloud, scenario, name)
    begun.faults = [running.faults.add(fault) for fault in scenario.faults(name)]
    return CONTENDERS[contender](begun)


@contextmanager
def cast() -> Iterator[tuple[LocalAWS, Cloud]]:
    """A local AWS of one's own, which the environment leads to."""
    numbers = itertools.count(1)
    with LocalAWS(SETTINGS) as running:
        os.environ.update(running.address.environment)
        ExecutorSafeguard.test_mode = True
        yield running, cloud_of(running, lambda prefix: f"{prefix}-{next(numbers)}")


def main() -> None:
    """Run everything and write the table."""
    with cast() as (running, cloud):
        lines = [
            row(
                key,
                {
                    who: play(running, cloud, key, who, f"{key.replace('_', '-')}-{n}")
                    for n, who in enumerate(CONTENDERS)
                },
            )
            for key in SCENARIOS
        ]
    text = PAGE.read_text()
    table = "\n".join([version_line(), "", *head(), *lines])
    PAGE.write_text(text[: text.index(BEGIN) + len(BEGIN)] + table + "\n" + text[text.index(END) :])


if __name__ == "__main__":
    main()
