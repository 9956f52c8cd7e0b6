"""Evaluation against AWS's notebook way, against the limit of parsing, over sizes, over looks, and from S3.

    make bench-evaluate                         100,000 and 1,000,000 pairs
    make bench-evaluate BENCH_ARGS=--quick      10,000 and 100,000 pairs: whether it runs; its ratios are start-up
    make bench-evaluate BENCH_ARGS=--large      also 10,000,000 pairs

Each way runs in a process of its own, all on the same files, which are read once before so that none reads a colder
disk. A goal is judged at 1,000,000 pairs and more; below, start-up weighs more than data.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.evaluate.data import ENDPOINT, START, VARIANTS, Shape, Traffic, write_captures

ROOT = Path(__file__).parents[2]
HOURS = 100
NOTEBOOK = {"csv": 20.0, "json": 25.0}
PARSE, PEAK_MB, LINEAR, LOOK, FROM_S3 = 8.0, 600, 1.2, 1.5, 1.5
SHAPES: tuple[Shape, ...] = ("csv", "json")
JUDGED = 1_000_000


@dataclass(frozen=True)
class Run:
    """A process: how long it took, in seconds, and what it said."""

    seconds: float
    said: dict[str, Any]


@dataclass
class Report:
    """Rows of the table, and whether a goal was missed."""

    rows: list[tuple[str, ...]] = field(default_factory=list)
    missed: bool = False

    def add(
        self, what: str, measured: str, *, ratio: float | None = None, goal: str = "", met: bool | None = None
    ) -> None:
        """One row; `met` is None where nothing is promised."""
        verdict = "" if met is None else "met" if met else "MISSED"
        self.rows.append((what, measured, "" if ratio is None else f"{ratio:.2f}", goal, verdict))
        self.missed |= met is False
        print(*self.rows[-1], sep="  ", file=sys.stderr, flush=True)

    def show(self) -> None:
        table = Table("what", "measured", "ratio", "goal", "", title="evaluation")
        for row in self.rows:
            table.add_row(*row)
        Console(width=120).print(table)


def run(arguments: Sequence[str], stdin: str | None = None) -> Run:
    started = time.perf_counter()
    done = subprocess.run(arguments, input=stdin, capture_output=True, text=True, cwd=ROOT, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{arguments}: {done.stderr[-2000:]}")
    return Run(seconds, json.loads(done.stdout.strip().splitlines()[-1]))


def way(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.evaluate.ways", *arguments]


def median(arguments: Sequence[str], rounds: int, stdin: str | None = None) -> Run:
    runs = sorted((run(arguments, stdin) for _ in range(rounds)), key=lambda each: each.seconds)
    return Run(statistics.median(each.seconds for each in runs), max((each.said for each in runs), key=_peak))


def _peak(said: dict[str, Any]) -> float:
    return float(said.get("peak_mb", 0))


def built_limit(folder: Path) -> Path:
    """The bare parser: its C++ source comes with the source distribution of pysimdjson."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "limit"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*pip, "--no-build-isolation", "pysimdjson==7.0.2", "-d", str(folder)], check=True)
    with tarfile.open(next(folder.glob("pysimdjson-*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    source = next(folder.glob("pysimdjson-*/simdjson"))
    code = ROOT / "benchmarks" / "evaluate" / "limit.cpp"
    flags = ["-O3", "-march=native", "-std=c++17", "-pthread"]
    subprocess.run(
        ["g++", *flags, f"-I{source}", "-o", str(program), str(code), str(source / "simdjson.cpp")], check=True
    )
    return program


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench-evaluate")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="10,000 and 100,000 pairs")
    size.add_argument("--large", action="store_true", help="also 10,000,000 pairs, on 60 GB of disk")
    parser.add_argument("--shape", choices=SHAPES, action="append", help="both by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="for the data; a temporary one by default")
    arguments = parser.parse_args()
    sizes = [10_000, 100_000] if arguments.quick else [100_000, 1_000_000]
    if arguments.large:
        sizes.append(10_000_000)
    report = Report()
    with tempfile.TemporaryDirectory(prefix="bench-evaluate-", dir=arguments.folder) as name:
        folder = Path(name)
        limit = built_limit(folder / "limit")
        for shape in arguments.shape or SHAPES:
            measure(shape, sizes, arguments.rounds, folder, limit, report)
    report.show()
    return int(report.missed)


def measure(shape: Shape, sizes: Sequence[int], rounds: int, folder: Path, limit: Path, report: Report) -> None:
    judged = max(each for each in sizes if each <= JUDGED)
    times: dict[int, float] = {}
    for pairs in sizes:
        root = folder / shape / str(pairs)
        size = write_captures(root, Traffic(shape, pairs, HOURS))
        ours = median(way("engine", shape, str(root), str(HOURS)), rounds)
        times[pairs] = ours.seconds
        _check(ours, pairs)
        peak = ours.said["peak_mb"]
        text = f"{ours.seconds:.2f} s for {size / 1e9:.2f} GB"
        report.add(f"{shape}, {pairs:,} pairs", text)
        report.add("  peak memory", f"{peak} MB", goal=f"<= {PEAK_MB} MB", met=peak <= PEAK_MB)
        if pairs == judged:
            least = run(way("engine", shape, str(root), str(HOURS), "", "", "256")).said
            met = least["pairs"] == pairs and least["peak_mb"] <= PEAK_MB
            report.add("  peak memory, 256 MB allowed", f"{least['peak_mb']} MB", goal=f"<= {PEAK_MB} MB", met=met)
            binding = pairs >= JUDGED
            against(shape, root, ours, limit, rounds, report, binding=binding)
            from_s3(shape, root, ours, rounds, report, binding=binding)
        shutil.rmtree(root)
    smallest, *others = sizes
    for pairs in others:
        # What starting costs is in both; it makes the larger one look better, so it is taken off both.
        start = run(way("engine", shape, str(folder / "nothing"), "1")).seconds
        ratio = (times[pairs] - start) / max(times[smallest] - start, 0.01) / (pairs / smallest)
        met = ratio <= LINEAR if pairs >= JUDGED else None
        report.add(
            f"{shape}, {pairs:,} pairs: time a pair, to {smallest:,}", "", ratio=ratio, goal=f"<= {LINEAR}", met=met
        )
    looks(shape, judged, rounds, folder, report)


def _check(ours: Run, pairs: int) -> None:
    """Refuse to measure something that was not done."""
    said = ours.said
    if (said["pairs"], said["labelled"], said["verdict"]) != (pairs, pairs, "PROMOTE"):
        raise RuntimeError(f"of {pairs} pairs, each with a label: {said}")


def against(shape: Shape, root: Path, ours: Run, limit: Path, rounds: int, report: Report, *, binding: bool) -> None:
    theirs = run(way("notebook", shape, str(root)))
    ratio = theirs.seconds / ours.seconds
    text = f"{theirs.seconds:.1f} s, {theirs.said['peak_mb']} MB"
    met = ratio >= NOTEBOOK[shape] if binding else None
    report.add("  AWS's notebook way", text, ratio=ratio, goal=f">= {NOTEBOOK[shape]:.0f}", met=met)
    paths = "\n".join(str(path) for path in sorted((root / "capture").rglob("*.jsonl")))
    bare = median([str(limit), "2"], rounds, paths)
    ratio = ours.seconds / bare.seconds
    met = ratio <= PARSE if binding else None
    report.add("  bare simdjson, 2 threads", f"{bare.seconds:.2f} s", ratio=ratio, goal=f"<= {PARSE:.0f}", met=met)


def from_s3(shape: Shape, root: Path, ours: Run, rounds: int, report: Report, *, binding: bool) -> None:
    from shadow_provider.local import LocalAWS

    with LocalAWS() as aws:
        s3 = aws.boto3_client("s3")
        s3.create_bucket(Bucket="bench")
        for path in root.rglob("*.jsonl"):
            s3.upload_file(str(path), "bench", path.relative_to(root).as_posix())
        remote = median(way("engine", shape, str(root), str(HOURS), "", aws.endpoint_url), rounds)
    ratio = remote.seconds / ours.seconds
    met = ratio <= FROM_S3 if binding else None
    report.add("  from the local S3", f"{remote.seconds:.2f} s", ratio=ratio, goal=f"<= {FROM_S3}", met=met)


def looks(shape: Shape, pairs: int, rounds: int, folder: Path, report: Report) -> None:
    """A look over one new hour, after a hundred that are settled and alone."""
    after, alone = [], []
    hour = pairs // HOURS
    for number in range(rounds):
        root, state, fresh = (folder / f"{shape}-{name}-{number}" for name in ("looks", "state", "fresh"))
        write_captures(root, Traffic(shape, pairs, HOURS))
        run(way("engine", shape, str(root), str(HOURS), str(state)))
        write_captures(root, Traffic(shape, hour, 1, first_hour=HOURS))
        after.append(run(way("engine", shape, str(root), str(HOURS + 1), str(state))).seconds)
        for variant in VARIANTS:
            for path in (root / "capture" / ENDPOINT / variant).rglob("*.jsonl"):
                if path.parent.relative_to(root / "capture" / ENDPOINT / variant).as_posix() < _last_hour():
                    path.unlink()
        alone.append(run(way("engine", shape, str(root), str(HOURS + 1), str(fresh))).seconds)
        shutil.rmtree(root)
    ratio = statistics.median(after) / statistics.median(alone)
    text = f"{statistics.median(after):.2f} s, alone {statistics.median(alone):.2f} s"
    report.add(f"{shape}, a look over one hour after {HOURS}", text, ratio=ratio, goal=f"<= {LOOK}", met=ratio <= LOOK)


def _last_hour() -> str:
    from datetime import timedelta

    return f"{START + timedelta(hours=HOURS):%Y/%m/%d/%H}"


if __name__ == "__main__":
    sys.exit(main())
