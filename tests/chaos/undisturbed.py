"""One scenario, undisturbed, in a process that nothing else has threads in: `python -m tests.chaos.undisturbed NAME`.

Forking is safe only there: a lock that another thread holds is never given back in the child. The last line that is
printed is JSON: the run's state, the tasks' states, and failed requests.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

HOME = tempfile.TemporaryDirectory(prefix="shadow-provider-undisturbed-")
os.environ["AIRFLOW_HOME"] = HOME.name
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"

from tests.chaos.campaign import make_runner  # noqa: E402 - Airflow reads its home when imported
from tests.chaos.cloud import running_cloud  # noqa: E402
from tests.chaos.evidence import put_clock_ahead  # noqa: E402
from tests.chaos.scenarios import SCENARIOS  # noqa: E402
from tests.chaos.warm import warm_up  # noqa: E402


def main(name: str) -> None:
    """Run it."""
    warm_up()
    put_clock_ahead()
    log = Path(HOME.name) / "log"
    with running_cloud() as cloud:
        cloud.prepare(SCENARIOS[name])
        runner = make_runner(cloud, SCENARIOS[name], log)
        with cloud.caller(log) as failures:
            runner.run()
    print(json.dumps({"state": runner.state, "tasks": runner.states, "failures": failures}))


if __name__ == "__main__":
    main(sys.argv[1])
