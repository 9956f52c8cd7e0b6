"""What else happens to a run: a person marks a task failed, clears tasks or the whole run, starts a second one.

These need not end as the undisturbed run does, but production must serve, on a config that it has a right to;
nothing may be left that a finished clean-up should have removed; no request may fail; and green must be true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.chaos.campaign import RUN_ID, Calm, fresh_log, make_runner
from tests.chaos.cloud import Cloud
from tests.chaos.end_state import GROUP, EndState, Findings, changes, end_state, wrong_greens
from tests.chaos.interruptions import KillPoint, MarkFailed
from tests.chaos.processes import fork
from tests.chaos.scenarios import Scenario


@dataclass(frozen=True)
class Disturbance:
    """One of them, done to a scenario.

    Attributes:
        scenario: which.
        what: in words.
        run: does it.
    """

    scenario: Scenario
    what: str
    run: Callable[[Cloud, Calm, Path], Findings]


def disturbances(scenario: Scenario, calm: Calm) -> Iterator[Disturbance]:
    """All that are done to a scenario."""
    for point in _last_words(calm.points):
        yield Disturbance(scenario, f"marked failed {point}", _marking_failed(scenario, point))
    if scenario.state != "success":
        return
    tasks = list(dict.fromkeys(point.process for point in calm.points if point.process.startswith("task.")))
    for process in tasks:
        task = GROUP + process.removeprefix("task.")
        yield Disturbance(scenario, f"cleared {task} and downstream", _clearing(scenario, task, downstream=True))
        yield Disturbance(scenario, f"cleared {task} alone", _clearing(scenario, task, downstream=False))
    yield Disturbance(scenario, "two runs at once", _two_at_once(scenario))


def _last_words(points: Sequence[KillPoint]) -> list[KillPoint]:
    """Of each task: before its first call, and after its last change, or its last call where it changes nothing."""
    found: list[KillPoint] = []
    for process in dict.fromkeys(point.process for point in points if point.process.startswith("task.")):
        own = [point for point in points if point.process == process]
        after = [point for point in own if point.when == "after"]
        changing = [point for point in after if point.changes]
        found += [own[0], (changing or after)[-1]]
    return found


def _marking_failed(scenario: Scenario, point: KillPoint) -> Callable[[Cloud, Calm, Path], Findings]:
    def run(cloud: Cloud, calm: Calm, logs: Path) -> Findings:
        log = fresh_log(logs, f"{scenario.name}-marked-failed-{point}")
        cloud.prepare(scenario)
        mark = MarkFailed(cloud, point)
        runner = make_runner(cloud, scenario, log, mark)
        with cloud.caller(log) as failures:
            runner.run()
        mark.end()
        end = end_state(cloud, runner)
        findings = unsafe(scenario, calm, end, failures)
        if mark.struck and runner.state == "success":
            findings.wrong_greens.append(f"{point.process} was marked failed, and the run is green")
        return findings

    return run


def _clearing(scenario: Scenario, task: str, *, downstream: bool) -> Callable[[Cloud, Calm, Path], Findings]:
    def run(cloud: Cloud, calm: Calm, logs: Path) -> Findings:
        log = fresh_log(logs, f"{scenario.name}-cleared-{task}-{'downstream' if downstream else 'alone'}")
        cloud.prepare(scenario)
        runner = make_runner(cloud, scenario, log)
        with cloud.caller(log) as failures:
            runner.run()
            runner.clear(task, downstream=downstream)
            runner.run()
        end = end_state(cloud, runner)
        # What one task alone makes anew, and what its run says then, is the business of who clears it alone.
        findings = unsafe(scenario, calm, end, failures) if downstream else Findings(failed_requests=failures)
        if end.endpoint != calm.end.endpoint:
            findings.other.append(f"the endpoint is {end.endpoint}, not cleared {calm.end.endpoint}")
        return findings

    return run


_CALLERS = ("", "second.")
DOES_NOT_SERVE = "production does not serve"


def unsafe(scenario: Scenario, calm: Calm, end: EndState, failures: Sequence[str]) -> Findings:
    """What must not be at the end of any run, however it was disturbed."""
    findings = wrong_greens(scenario, end)
    findings.failed_requests += failures
    tasks = end.outcome["tasks"]
    brought_back = all(tasks[GROUP + name] in ("success", "skipped") for name in ("rollback", "clean_up"))
    endpoint: dict[str, Any] = dict(end.endpoint or {})
    if endpoint or not scenario.new_endpoint:
        serves = endpoint.get("status") == "InService" and endpoint.get("pending") is None
        if not serves:
            findings.other.append(f"{DOES_NOT_SERVE}: {endpoint}")
        if brought_back and endpoint.get("ShadowProductionVariants"):
            findings.orphans.append(f"the shadow on {endpoint}")
    if brought_back and endpoint:
        # What serves, and the way back to what served before: there is nothing else to keep.
        kept = {*calm.end.resources, *_behind(end, str(endpoint.get("config")))}
        findings.orphans += [
            name
            for name in end.resources
            if name not in kept and not name.startswith("object ") and _is_ours(end, name)
        ]
    return findings


def _behind(end: EndState, config: str) -> set[str]:
    """A config, its models, and the baseline config that its tags name, with its models."""
    found: set[str] = set()
    names = [config]
    while names:
        key = f"endpoint config {names.pop()}"
        content = end.resources.get(key)
        if content is None or key in found:
            continue
        found |= {key, *(f"model {each.get('ModelName')}" for each in content["ProductionVariants"])}
        names += [value for tag, value in content["tags"].items() if tag.endswith("baseline-config")]
    return found


def _is_ours(end: EndState, name: str) -> bool:
    if name.startswith("object "):
        return False  # a decision is kept, whatever became of its deployment
    content = end.resources[name] or {}
    return not name.startswith(("endpoint config", "model")) or any(
        tag.startswith("shadow-provider:") for tag in content.get("tags", ())
    )


def _two_at_once(scenario: Scenario) -> Callable[[Cloud, Calm, Path], Findings]:
    def run(cloud: Cloud, calm: Calm, logs: Path) -> Findings:
        log = fresh_log(logs, f"{scenario.name}-two-at-once")
        cloud.prepare(scenario)
        ids = (RUN_ID, RUN_ID.replace("2026", "2027"))
        runners = [
            make_runner(cloud, scenario, log, run_id=each, caller=caller)
            for each, caller in zip(ids, _CALLERS, strict=True)
        ]
        with cloud.caller(log) as failures:
            processes = [fork(_reporting(runner), log) for runner in runners]
            reports = [process.line.recv() for process in processes]
            for process in processes:
                process.end()
        for runner, states in zip(runners, reports, strict=True):
            for task, state in states.items():
                runner.rows[task].state = state
        findings = Findings(failed_requests=failures)
        ends = [end_state(cloud, runner) for runner in runners]
        endpoint = ends[0].endpoint or {}
        if endpoint.get("status") != "InService" or endpoint.get("pending") or endpoint.get("ShadowProductionVariants"):
            findings.other.append(f"production does not serve alone: {endpoint}")
        if not any(runner.state == "success" for runner in runners):
            findings.other.append(f"neither run got through: {[runner.states for runner in runners]}")
        # One run may lead to a config that the other one led to, but none twice to the same.
        for caller in _CALLERS:
            updates = {
                name: times for name, times in changes(cloud, caller).items() if name.startswith("UpdateEndpoint ")
            }
            findings.double_acts += [f"{caller}{name}: {times} times" for name, times in updates.items() if times > 1]
        return findings

    return run


def _reporting(runner: Any) -> Callable[[Connection], None]:
    def work(line: Connection) -> None:
        runner.run()
        line.send(runner.states)

    return work
