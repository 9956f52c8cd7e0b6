"""Simulates every scenario and prints how often each rule errs: python -m benchmarks.calibration [--runs N]."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from benchmarks.calibration.scenarios import SCENARIOS
from benchmarks.calibration.simulation import ALPHA, LOOKS, Row, simulate

RESULT = Path("build/calibration.json")


def errors(rows: Sequence[Row]) -> list[list[str]]:
    """How often each rule is wrong; ours with its Monte-Carlo interval."""
    head = [
        "history",
        "at the margin, promoted: ours",
        "fixed sample",
        "Kayenta",
        "identical, found worse: ours",
        "fixed sample",
        "Kayenta",
    ]
    return [
        head,
        *(
            [
                f"{row.kind}: {row.scenario}",
                _with_interval(row, row.passed),
                f"{row.fixed_passed:.0%}",
                f"{row.kayenta_passed:.0%}",
                _with_interval(row, row.failed),
                f"{row.fixed_failed:.0%}",
                f"{row.kayenta_failed:.0%}",
            ]
            for row in rows
        ),
    ]


def powers(rows: Sequence[Row]) -> list[list[str]]:
    """How often, and how soon, each rule finds out what is true."""
    head = [
        "history",
        "identical, promoted: ours",
        "after h",
        "fixed sample, one look, h",
        "Kayenta",
        "twice the margin, failed: ours",
        "after h",
        "fixed sample, one look, h",
        "Kayenta",
    ]
    return [
        head,
        *(
            [
                f"{row.kind}: {row.scenario}",
                f"{row.promoted:.0%}",
                _hours(row.minutes),
                _hours(row.fixed_minutes),
                f"{1 - row.kayenta_failed:.0%}",
                f"{row.rejected:.0%}",
                _hours(row.rejected_minutes),
                _hours(row.fixed_rejected_minutes),
                f"{row.kayenta_rejected:.0%}",
            ]
            for row in rows
        ),
    ]


def _with_interval(row: Row, share: float) -> str:
    low, high = row.interval(share)
    return f"{share:.1%} ({low * 100:.1f}-{high * 100:.1f})"


def _hours(minutes: float | None) -> str:
    return "-" if minutes is None else f"{minutes / 60:.1f}"


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table as the documentation has it."""
    rows = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([rows[0], "|---" * len(lines[0]) + "|", *rows[1:]])


def report(rows: Sequence[Row], console: Console) -> int:
    """Prints both tables; 1 if one of our error rates is surely above alpha, else 0."""
    console.print(f"Alpha {ALPHA:.0%}, {rows[0].runs:,} histories of each candidate, up to {rows[0].looks} looks")
    for found in (errors(rows), powers(rows)):
        console.print(f"\n{markdown(found)}", markup=False, highlight=False, soft_wrap=True)
    wrong = [f"{row.kind}: {row.scenario}" for row in rows if not row.allowed]
    if wrong:
        console.print(f"\nAbove alpha: {', '.join(wrong)}", style="bold red")
    return 1 if wrong else 0


def main() -> int:
    """Simulates, prints, keeps the figures in build/calibration.json; 1 if a rate is surely above alpha."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--looks", type=int, default=LOOKS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    tasks = [(kind, number) for kind, found in SCENARIOS.items() for number in range(len(found))]
    console = Console()
    with ProcessPoolExecutor(given.processes) as pool:
        futures = [
            pool.submit(simulate, kind, number, given.runs, given.seed, looks=given.looks) for kind, number in tasks
        ]
        rows = []
        for future in futures:
            rows.append(future.result())
            console.print(f"{rows[-1].kind}: {rows[-1].scenario} done ({len(rows)} of {len(tasks)})", style="dim")
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps([asdict(row) for row in rows], indent=1, allow_nan=False))
    return report(rows, console)


if __name__ == "__main__":
    sys.exit(main())
