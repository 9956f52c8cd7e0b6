"""Memory of the local AWS over many requests: metrics and captures must not add up in it.

make bench-memory
python -m benchmarks.local_memory --requests 100000 --case mirror
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict
from typing import Any

from rich.console import Console

from benchmarks.load import Figures, Load
from benchmarks.local_cases import Bench, Case, running
from benchmarks.local_targets import save

CONNECTIONS = 8
# What a million requests may add. Kept alone, one 8-byte value of each would be 8 MiB.
LIMIT_MIB_PER_MILLION = 32.0


def measure(bench: Bench, requests: int, case_name: str) -> dict[str, Any]:
    """The gateway's resident memory while it answers many requests, MiB at 10 %, 50 % and 100 %, and the slope."""
    case = bench.cases[case_name]
    load = Load(case.address, case.request, CONNECTIONS, requests=requests)
    seen: list[tuple[int, float]] = []
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load", json.dumps(asdict(load))], stdout=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None:
            seen.append((requests_of(bench, case), bench.gateway.memory_info().rss / 2**20))
            time.sleep(2)
        assert process.stdout is not None
        figures = Figures(**json.loads(process.stdout.read()))
    seen.append((requests_of(bench, case), bench.gateway.memory_info().rss / 2**20))
    first = seen[0][0]

    def at(share: float) -> float:
        return next(rss for count, rss in seen if count - first >= share * requests * 0.999)

    slope = (at(1.0) - at(0.1)) / (0.9 * requests) * 1e6
    return {"case": case_name, "requests": requests, "10%": at(0.1), "50%": at(0.5), "100%": at(1.0),
            "slope_mib_per_million": slope, **asdict(figures)}  # fmt: skip


def requests_of(bench: Bench, case: Case) -> int:
    endpoint = next(item for item in bench.aws.status()["endpoints"] if item["name"] == case.endpoint)
    return int(endpoint["counters"]["production"]["requests"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--case", choices=("gateway", "capture", "mirror"), default="mirror")
    options = parser.parse_args()
    with running() as bench:
        result = measure(bench, options.requests, options.case)
    save("memory", result)
    Console().print(result)
    return int(result["errors"] > 0 or result["slope_mib_per_million"] > LIMIT_MIB_PER_MILLION)


if __name__ == "__main__":
    sys.exit(main())
