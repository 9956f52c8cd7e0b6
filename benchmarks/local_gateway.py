"""Speed of the local AWS: what a caller waits longer than for the bare model process, and what a request costs.

Raw HTTP from a process of its own (benchmarks/load.py), loopback, kept connections. All cases take turns within each
round, so that a noisy machine hits them alike; a figure is the median over the rounds, and a difference is taken
within each round first.

    make bench-local
    python -m benchmarks.local_gateway --quick
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict

import psutil
from rich.console import Console

from benchmarks.load import Figures, Load
from benchmarks.local_cases import Bench, Case, running
from benchmarks.local_targets import CONNECTIONS, RATE, Run, Runs, save, show, targets

CLOSED = ("model", "gateway", "capture", "mirror", "moto")
OPEN = ("model", "gateway", "capture", "mirror", "slow-shadow", "dead-shadow")


def measure(bench: Bench, case: Case, load: Load) -> Run:
    """Sends the load in a process of its own."""
    before = bench.gateway.cpu_times()
    counted = bench.counters(case) if case.shadow else {}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", json.dumps(asdict(load))], capture_output=True, text=True, check=True
    )
    figures = Figures(**json.loads(done.stdout))
    if case.shadow:
        time.sleep(0.2)  # copies follow the answers
    after = bench.gateway.cpu_times()
    now = bench.counters(case) if case.shadow else {}
    cpu = (after.user + after.system - before.user - before.system) / max(1, figures.requests) * 1e6
    return Run(
        figures,
        cpu if case.gateway else None,
        now.get("mirrored", 0) - counted.get("mirrored", 0),
        now.get("dropped", 0) - counted.get("dropped", 0),
    )


def rounds(bench: Bench, count: int, seconds: float) -> Runs:
    """All cases under all loads, by turns."""
    plan = [(name, f"c={n}", Load("", "", n, seconds)) for n in CONNECTIONS for name in CLOSED]
    plan += [(name, f"{RATE:.0f}/s", Load("", "", seconds=3 * seconds, rate=RATE)) for name in OPEN]
    runs: Runs = {(name, label): [] for name, label, _ in plan}
    for case in bench.cases.values():  # connections, caches and byte code are made here, not while measuring
        measure(bench, case, Load(case.address, case.request, 2, 0.3))
    for number in range(count):
        print(f"round {number + 1} of {count}", file=sys.stderr)
        # Backwards every other time: what one case leaves behind must not always hit the same other one.
        for name, label, load in plan if number % 2 == 0 else reversed(plan):
            case = bench.cases[name]
            made = Load(case.address, case.request, load.connections, load.seconds, load.rate)
            runs[name, label].append(measure(bench, case, made))
    return runs


class OthersShare:
    """The share of the machine's CPU time that processes other than the benchmark's took since this was made."""

    def __init__(self) -> None:
        self._started, self._before = time.monotonic(), self._others()

    def __call__(self) -> float:
        """The share so far, 0 to 1."""
        available = (time.monotonic() - self._started) * (os.cpu_count() or 1)
        return max(0.0, self._others() - self._before) / available

    @staticmethod
    def _others() -> float:
        busy = psutil.cpu_times()
        own = sum(os.times()[:4])  # with the load generators, which have ended
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                own += sum(process.cpu_times()[:2])
        return float(busy.user + busy.nice + busy.system - own) if hasattr(busy, "nice") else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three shorter rounds instead of five")
    options = parser.parse_args()
    console = Console(width=120)
    with running() as bench:
        count, seconds = (3, 0.7) if options.quick else (5, 1.0)
        share = OthersShare()
        runs = rounds(bench, count, seconds)
        others = share()
    promised = targets(runs)
    show(console, runs, promised, count, others)
    listed = [{"case": name, "load": label, "runs": [asdict(run) for run in several]}
              for (name, label), several in runs.items()]  # fmt: skip
    told = [{**asdict(item), "verdict": item.verdict(others)} for item in promised]
    save("speed", {"others": others, "targets": told, "runs": listed})
    return int(any(target.verdict(others) == "fail" for target in promised))


if __name__ == "__main__":
    sys.exit(main())
