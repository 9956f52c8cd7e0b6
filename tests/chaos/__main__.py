"""All kill points, disturbances and faults of all scenarios, as ``make chaos`` runs them: counts, and what is wrong."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HOME = tempfile.TemporaryDirectory(prefix="shadow-provider-chaos-")
os.environ["AIRFLOW_HOME"] = HOME.name
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"

from tests.chaos.campaign import Calm, run_calm, run_killed, sample  # noqa: E402 - Airflow reads its home when imported
from tests.chaos.cloud import Cloud, running_cloud  # noqa: E402
from tests.chaos.disturbances import disturbances  # noqa: E402
from tests.chaos.end_state import Findings  # noqa: E402
from tests.chaos.evidence import put_clock_ahead  # noqa: E402
from tests.chaos.faults import troubles  # noqa: E402
from tests.chaos.faulty_runs import run_combinations, run_troubled  # noqa: E402
from tests.chaos.journal import Journal, Result  # noqa: E402
from tests.chaos.scenarios import SCENARIOS, Scenario  # noqa: E402
from tests.chaos.sharing import runs_of, share  # noqa: E402
from tests.chaos.warm import warm_up  # noqa: E402

_KINDS = ("all", "kills", "disturbances", "faults", "combinations")
# Of each scenario; each is a number of runs, as hypothesis chooses them for its number.
_COMBINATIONS = 10
_TOLD_EVERY = 20

Job = tuple[str, str, Any]


def main() -> int:
    """Run, print, and return the exit code."""
    asked = _arguments()
    began = time.monotonic()
    warm_up()
    put_clock_ahead()
    calms: dict[str, Calm] = dict(_spread([("calm", name, None) for name in asked.scenario], {}, asked))
    jobs: list[Job] = []
    if asked.what in ("all", "kills"):
        jobs += _kills(calms, asked)
    if asked.what in ("all", "disturbances"):
        jobs += [
            ("disturb", name, each.what)
            for name, calm in calms.items()
            for each in disturbances(SCENARIOS[name], calm)
            if re.search(asked.match or "", each.what)
        ]
    if asked.what in ("all", "faults"):
        jobs += _faults(calms, asked)
    if asked.what in ("all", "combinations") and not asked.sample and not asked.match:
        jobs += [("fault", name, number) for name in calms for number in range(_COMBINATIONS)]
    totals: dict[tuple[str, str], Findings] = defaultdict(Findings)
    numbers: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for name, calm in calms.items():
        totals["kill", name] += calm.findings
        _tell("undisturbed", name, calm.findings)
    for (kind, name, what), result in _results(jobs, calms, asked, began):
        for i, number in enumerate((1, result.asked, result.reached)):
            numbers[kind, name][i] += number
        totals[kind, name] += result.findings
        _tell(_words(what), name, result.findings)
    _print_counts(totals, numbers)
    print(f"{len(jobs)} disturbed runs in {(time.monotonic() - began) / 60:.1f} min")
    return 1 if any(totals.values()) else 0


def _results(
    jobs: list[Job], calms: dict[str, Calm], asked: argparse.Namespace, began: float
) -> Iterator[tuple[Job, Result]]:
    """The results that are known from before, and all others as they come."""
    journal = Journal(asked.logs / "journal.jsonl", resume=asked.resume)
    before = {job: journal.done[run] for job in jobs if (run := _run(job)) in journal.done}
    yield from before.items()
    open_jobs = [job for job in jobs if job not in before]
    for done, (job, result) in enumerate(_spread(open_jobs, calms, asked), start=len(before) + 1):
        journal.add(_run(job), result)
        if done % _TOLD_EVERY == 0:
            minutes = (time.monotonic() - began) / 60
            print(f"{done} of {len(jobs)} runs after {minutes:.0f} min", file=sys.stderr, flush=True)
        yield job, result


def _run(job: Job) -> str:
    kind, name, what = job
    return f"{kind} {name}: {_words(what)}"


def _words(what: Any) -> str:
    return ", ".join(str(each) for each in what) if isinstance(what, tuple) else str(what)


def _kills(calms: dict[str, Calm], asked: argparse.Namespace) -> list[Job]:
    """Each kill point of each scenario; where only some are asked for, each in a run of its own."""
    points = [
        (name, point)
        for name, calm in calms.items()
        for point in calm.points
        if (point.changes or not asked.changes_only) and re.search(asked.match or "", str(point))
    ]
    if asked.sample:
        points = sample(points, asked.sample, asked.seed)
    if asked.sample or asked.match:
        return [("kill", name, (point,)) for name, point in points]
    return [
        ("kill", name, run)
        for name in calms
        for run in runs_of([point for scenario, point in points if scenario == name])
    ]


def _faults(calms: dict[str, Calm], asked: argparse.Namespace) -> list[Job]:
    """Each fault of each scenario; where only some are asked for, each in a run of its own."""
    known = {name: list(troubles(SCENARIOS[name], calm.points)) for name, calm in calms.items()}
    if not asked.sample and not asked.match:
        runs = [(name, run) for name, each in known.items() for run in runs_of(each)]
        return [("fault", name, tuple(each.what for each in run)) for name, run in runs]
    single: list[Job] = [
        ("fault", name, (each.what,))
        for name, own in known.items()
        for each in own
        if re.search(asked.match or "", each.what)
    ]
    return random.Random(asked.seed).sample(single, min(asked.sample, len(single))) if asked.sample else single


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS), help="only these")
    parser.add_argument("--what", choices=_KINDS, default="all")
    parser.add_argument("--changes-only", action="store_true", help="only around calls that change something")
    parser.add_argument("--match", help="only what this regular expression is found in, each in a run of its own")
    parser.add_argument("--sample", type=int, default=0, help="so many kill points, and so many faults, instead of all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes, each with its own local AWS")
    parser.add_argument("--logs", type=Path, default=Path("build/chaos"), help="where logs of wrong runs are kept")
    parser.add_argument("--resume", action="store_true", help="go on where the same code was cut off (same --logs)")
    asked = parser.parse_args()
    asked.scenario = asked.scenario or list(SCENARIOS)
    return asked


def _spread(jobs: list[Job], calms: dict[str, Calm], asked: argparse.Namespace) -> Iterator[tuple[Any, Any]]:
    """Do the jobs in processes with a local AWS each; results as they come."""
    waiting: Any = multiprocessing.get_context("fork").SimpleQueue()
    done: Any = multiprocessing.get_context("fork").SimpleQueue()

    parent = os.getpid()

    def work() -> None:
        with running_cloud() as cloud:
            # Whoever was asked to stop is not survived by those who work for it.
            while os.getppid() == parent and (number := waiting.get()) is not None:
                done.put(_do(cloud, jobs[number], calms, asked.logs))

    workers = [multiprocessing.get_context("fork").Process(target=work) for _ in range(min(asked.jobs, len(jobs)))]
    for worker in workers:
        worker.start()
    for number in [*range(len(jobs)), *(None for _ in workers)]:
        waiting.put(number)
    for _ in jobs:
        yield done.get()
    for worker in workers:
        worker.join()


def _do(cloud: Cloud, job: Job, calms: dict[str, Calm], logs: Path) -> tuple[Any, Any]:
    kind, name, what = job
    scenario = SCENARIOS[name]
    try:
        if kind == "calm":
            return name, run_calm(cloud, scenario, logs)
        if kind == "fault":
            return job, _in_trouble(cloud, scenario, calms[name], what, logs)
        if kind == "kill":
            return job, share(what, lambda points: run_killed(cloud, scenario, calms[name], points, logs))
        (found,) = (each for each in disturbances(scenario, calms[name]) if each.what == what)
        return job, Result(1, 1, found.run(cloud, calms[name], logs))
    except Exception as error:
        if kind == "calm":
            raise
        return job, Result(1, 0, Findings(other=[f"the run could not be watched: {error!r}"]))


def _in_trouble(cloud: Cloud, scenario: Scenario, calm: Calm, what: Any, logs: Path) -> Result:
    if isinstance(what, int):
        return Result(1, 1, run_combinations(cloud, scenario, calm, what, logs))
    happening = [each for each in troubles(scenario, calm.points) if each.what in what]
    return share(happening, lambda some: run_troubled(cloud, scenario, calm, some, logs))


def _tell(what: str, name: str, findings: Findings) -> None:
    if findings:
        print(f"{name}, {what}:", *str(findings).splitlines(), sep="\n    ", flush=True)


def _print_counts(totals: dict[tuple[str, str], Findings], numbers: dict[tuple[str, str], list[int]]) -> None:
    of_runs = ("runs", "disturbances", "reached")
    of_ends = ("wrong greens", "orphans", "double acts", "failed requests", "other differences")
    print(f"{'':24}", *(f"{column:>18}" for column in (*of_runs, *of_ends)), sep="")
    for (kind, name), own in sorted(numbers.items()):
        counts = [*own, *(len(found) for found in vars(totals[kind, name]).values())]
        print(f"{kind + ' ' + name:24}", *(f"{count:>18}" for count in counts), sep="")


if __name__ == "__main__":
    sys.exit(main())
