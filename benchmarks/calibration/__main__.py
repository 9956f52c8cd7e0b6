"""Simulates every scenario and prints how often each rule errs: python -m benchmarks.calibration [--runs N]."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.calibration.rules import FixedSample, Kayenta, Ours, Rule
from benchmarks.calibration.scenarios import DAY, HOUR, LATENCIES, PAIRS, LatencyScenario, PairScenario
from shadow_provider.statistics.proportion import clopper_pearson

ALPHA = 0.05
LOOKS = 120
MINUTES = 2 * DAY
KAYENTA_EVERY = HOUR
RESULT = Path("build/calibration.json")


@dataclass(frozen=True)
class Row:
    """What came of one scenario. Shares are of the runs; times are minutes, medians of the runs that decided.

    Attributes:
        kind: Pairs or latency.
        scenario: Its name.
        runs: Histories for each of the two candidates.
        looks: At each history.
        passed: At the margin: wrongly promoted by ours.
        fixed_passed: The same by the fixed-sample test at the same looks.
        kayenta_passed: The same by Kayenta at the end, none of its hourly looks having failed.
        failed: An identical candidate: wrongly found worse by ours.
        fixed_failed: The same by the fixed-sample test.
        kayenta_failed: The same by Kayenta at some hourly look.
        promoted: An identical candidate: promoted by ours in time.
        minutes: When.
        fixed_minutes: When the fixed-sample test with one look reaches the same share.
    """

    kind: str
    scenario: str
    runs: int
    looks: int
    passed: float
    fixed_passed: float
    kayenta_passed: float
    failed: float
    fixed_failed: float
    kayenta_failed: float
    promoted: float
    minutes: float | None
    fixed_minutes: int | None

    @property
    def allowed(self) -> bool:
        """Whether both of our error rates may be alpha: their exact lower bounds of 99 % are not above it."""
        return all(
            clopper_pearson(round(share * self.runs), self.runs, 0.01)[0] <= ALPHA
            for share in (self.passed, self.failed)
        )


def simulate(kind: str, number: int, runs: int, seed: int) -> Row:
    """All runs of one scenario."""
    scenario: PairScenario | LatencyScenario = (PAIRS if kind == "pairs" else LATENCIES)[number]
    rng = np.random.default_rng([seed, number, kind == "pairs"])
    ends = np.unique(np.linspace(scenario.cover, MINUTES, LOOKS).astype(int)).tolist()
    hours = list(range(scenario.cover, MINUTES + 1, KAYENTA_EVERY))
    ours, fixed, kayenta = Ours(ALPHA), FixedSample(ALPHA), Kayenta()
    counts = dict.fromkeys(("passed", "fixed", "kayenta", "failed", "fixed_failed", "kayenta_failed"), 0)
    times: list[int] = []
    single = np.zeros(len(ends))
    for _ in range(runs):
        history = scenario.draw(rng, scenario.margin, MINUTES)
        counts["passed"] += first(ours, history, ends, scenario.margin) is not None
        counts["fixed"] += first(fixed, history, ends, scenario.margin) is not None
        counts["kayenta"] += not any(kayenta.rejects(history, end) for end in recent(hours))
        history = scenario.draw(rng, 0.0, MINUTES)
        decided = first(ours, history, ends, scenario.margin)
        if decided is not None:
            times.append(decided)
        counts["failed"] += any(ours.rejects(history, end) for end in ends)
        counts["fixed_failed"] += any(fixed.rejects(history, end) for end in ends)
        counts["kayenta_failed"] += any(kayenta.rejects(history, end) for end in recent(hours))
        single += [fixed.promotes(history, end, scenario.margin) for end in ends]
    half = [end for end, share in zip(ends, single / runs, strict=True) if share >= len(times) / runs / 2]
    return Row(
        kind=kind,
        scenario=scenario.name,
        runs=runs,
        looks=len(ends),
        passed=counts["passed"] / runs,
        fixed_passed=counts["fixed"] / runs,
        kayenta_passed=counts["kayenta"] / runs,
        failed=counts["failed"] / runs,
        fixed_failed=counts["fixed_failed"] / runs,
        kayenta_failed=counts["kayenta_failed"] / runs,
        promoted=len(times) / runs,
        minutes=float(np.median(times)) if times else None,
        fixed_minutes=half[0] if half else None,
    )


def first(rule: Rule, history: object, ends: Iterable[int], margin: float) -> int | None:
    """The first look at which a rule promotes."""
    return next((end for end in ends if rule.promotes(history, end, margin)), None)  # type: ignore[arg-type]


def recent(hours: Sequence[int]) -> Sequence[int]:
    """Kayenta is asked in the first day: its rank test is quadratic in the minutes."""
    return [hour for hour in hours if hour <= hours[0] + DAY // 2]


def table(rows: list[Row]) -> Table:
    """The rows as people read them."""
    shown = Table(title=f"Errors at {LOOKS} looks, alpha {ALPHA:.0%}; two days of minutes")
    for name in (
        "scenario",
        "promoted at the margin: ours",
        "fixed sample",
        "Kayenta",
        "identical found worse: ours",
        "fixed sample",
        "Kayenta",
        "identical promoted: ours",
        "after (h)",
        "fixed sample, one look (h)",
        "",
    ):
        shown.add_column(name, justify="left" if name == "scenario" else "right")
    for row in rows:
        low, high = clopper_pearson(round(row.passed * row.runs), row.runs, 0.025)
        shown.add_row(
            f"{row.kind}: {row.scenario}",
            f"{row.passed:.1%} ({low:.1%}-{high:.1%})",
            f"{row.fixed_passed:.0%}",
            f"{row.kayenta_passed:.0%}",
            f"{row.failed:.1%}",
            f"{row.fixed_failed:.0%}",
            f"{row.kayenta_failed:.0%}",
            f"{row.promoted:.0%}",
            "-" if row.minutes is None else f"{row.minutes / 60:.1f}",
            "-" if row.fixed_minutes is None else f"{row.fixed_minutes / 60:.1f}",
            "ok" if row.allowed else "ABOVE ALPHA",
        )
    return shown


def main() -> int:
    """Prints the table; 1 if one of our error rates is surely above alpha."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    tasks = [
        (kind, number) for kind, found in (("pairs", PAIRS), ("latency", LATENCIES)) for number in range(len(found))
    ]
    console = Console(width=180 if not sys.stdout.isatty() else None)
    with ProcessPoolExecutor(given.processes) as pool:
        futures = [pool.submit(simulate, kind, number, given.runs, given.seed) for kind, number in tasks]
        rows = []
        for future in futures:
            rows.append(future.result())
            console.print(f"{rows[-1].kind}: {rows[-1].scenario} done ({len(rows)} of {len(tasks)})", style="dim")
    console.print(table(rows))
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps([asdict(row) for row in rows], indent=1, allow_nan=False))
    wrong = [row.scenario for row in rows if not row.allowed]
    if wrong:
        console.print(f"Above alpha: {', '.join(wrong)}", style="bold red")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
