"""All kill points of the scenarios, or a sample of them, each in a world of its own."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from airflow.sdk import DAG

from tests.chaos.cloud import Cloud
from tests.chaos.dags.pipeline import pipeline
from tests.chaos.end_state import EndState, Findings, differences, end_state, wrong_greens
from tests.chaos.evidence import put_evidence
from tests.chaos.interruptions import KillPoint, Kills, kill_points
from tests.chaos.runner import Interruption, Runner
from tests.chaos.scenarios import Scenario
from tests.chaos.sharing import Disturbed

RUN_ID = "manual__2026-01-01T00:00:00+00:00"


@dataclass(frozen=True)
class Calm:
    """An undisturbed run of a scenario.

    Attributes:
        end: what is left.
        points: every point at which a process of it can be killed.
        findings: what is wrong without any disturbance.
    """

    end: EndState
    points: Sequence[KillPoint]
    findings: Findings


@cache
def dag_of(scenario: Scenario) -> DAG:
    """The DAG that a scenario runs."""
    return pipeline(new_endpoint=scenario.new_endpoint, guardrails=scenario.guardrails)


def make_runner(
    cloud: Cloud,
    scenario: Scenario,
    log: Path,
    interruption: Interruption | None = None,
    run_id: str = RUN_ID,
    caller: str = "",
) -> Runner:
    """One run of a scenario, yet to be begun; to AWS its processes have names that begin with the caller's."""
    before = {
        "evaluate": lambda: put_evidence(cloud, scenario),
        "promote": lambda: cloud.set_faults(scenario.while_promoting),
    }
    return Runner(
        dag_of(scenario),
        run_id,
        {"conf": scenario.conf},
        lambda process: cloud.connection_uri(caller + process),
        log,
        interruption,
        before=before,
    )


def fresh_log(directory: Path, name: str) -> Path:
    """An empty file for a run's output."""
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name)[:150]}.log"
    log.unlink(missing_ok=True)
    return log


def run_calm(cloud: Cloud, scenario: Scenario, logs: Path) -> Calm:
    """Run a scenario undisturbed."""
    log = fresh_log(logs, f"{scenario.name}-undisturbed")
    cloud.prepare(scenario)
    runner = make_runner(cloud, scenario, log)
    with cloud.caller(log) as failures:
        runner.run()
    calls = cloud.calls("task.", "trigger.")
    end = end_state(cloud, runner)
    findings = wrong_greens(scenario, end)
    findings.failed_requests += failures
    if (runner.state, end.outcome["verdict"]) != (scenario.state, scenario.verdict):
        findings.other.append(f"{runner.state}, {end.outcome['verdict']}: not what was expected; see {log}")
    return Calm(end, kill_points(calls), findings)


def run_killed(
    cloud: Cloud, scenario: Scenario, calm: Calm, points: Sequence[KillPoint], logs: Path
) -> Disturbed[KillPoint]:
    """Run a scenario with a process killed at each of these points, retried as Airflow does, and look at the end."""
    others = f"-and-{len(points) - 1}-more" if len(points) > 1 else ""
    log = fresh_log(logs, f"{scenario.name}-{points[0]}{others}")
    cloud.prepare(scenario)
    kills = Kills(cloud, points)
    runner = make_runner(cloud, scenario, log, kills)
    with cloud.caller(log) as failures:
        runner.run()
    kills.end()
    end = end_state(cloud, runner)
    findings = differences(calm.end, end, failures)
    findings += wrong_greens(scenario, end)
    if not findings:
        log.unlink()
    return Disturbed(kills.missed, findings)


def sample(points: Sequence[tuple[str, KillPoint]], number: int, seed: int) -> list[tuple[str, KillPoint]]:
    """So many kill points, the same for the same seed; every scenario has its share."""
    chance = random.Random(seed)
    by_scenario = {name: [each for each in points if each[0] == name] for name in dict.fromkeys(p[0] for p in points)}
    shares = [number // len(by_scenario) + (i < number % len(by_scenario)) for i in range(len(by_scenario))]
    return [
        each
        for share, own in zip(shares, by_scenario.values(), strict=True)
        for each in sorted(chance.sample(own, min(share, len(own))))
    ]
