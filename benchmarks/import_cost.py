"""Import and DAG parse, as ratios to the amazon provider's own SageMaker operators in the same run.

Each figure is the median of fresh processes, the two sides by turns, so that a noisy machine hits both alike. What
Airflow itself costs (``airflow.sdk`` and the hook base that both import) is measured too and taken off.

    make bench
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 7
ROOT = Path(__file__).parents[1]

FLOOR = (
    "import airflow.sdk, airflow.providers.amazon.aws.operators.base_aws, airflow.providers.amazon.aws.sensors.base_aws"
)
SCRIPTS = {
    "floor": FLOOR,
    "amazon operators": f"{FLOOR}\nimport airflow.providers.amazon.aws.operators.sagemaker\n"
    "import airflow.providers.amazon.aws.sensors.sagemaker",
    "ours": f"{FLOOR}\nimport shadow_provider.task_group",
    "amazon DAG": f"""{FLOOR}
from airflow.sdk import DAG
from airflow.providers.amazon.aws.operators.sagemaker import SageMakerEndpointConfigOperator, SageMakerEndpointOperator
from airflow.providers.amazon.aws.operators.sagemaker import SageMakerModelOperator
from airflow.providers.amazon.aws.sensors.sagemaker import SageMakerEndpointSensor
with DAG("amazon", schedule=None):
    (
        SageMakerModelOperator(task_id="model", config={{}})
        >> SageMakerEndpointConfigOperator(task_id="config", config={{}})
        >> SageMakerEndpointOperator(task_id="endpoint", config={{}})
        >> SageMakerEndpointSensor(task_id="wait", endpoint_name="e")
    )
""",
    "our DAG": f"{FLOOR}\nimport runpy\nrunpy.run_path({str(ROOT / 'dags' / 'shadow_deployment.py')!r})",
}
REPORT = """
import resource, time
began = time.process_time()
exec(compile({script!r}, "script", "exec"))
print(time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def measure(script: str, home: str) -> tuple[float, float]:
    """CPU seconds and peak MiB of a fresh process that runs the script."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["AIRFLOW_HOME"] = home
    done = subprocess.run(
        [sys.executable, "-c", REPORT.format(script=script)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, peak = done.stdout.split()[-2:]
    return float(seconds), float(peak)


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        for script in SCRIPTS.values():  # byte code and caches are made here, not while measuring
            measure(script, home)
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in SCRIPTS}
        for _ in range(ROUNDS):
            for name, script in SCRIPTS.items():
                runs[name].append(measure(script, home))
    middle = {
        name: tuple(statistics.median(column) for column in zip(*figures, strict=True))
        for name, figures in runs.items()
    }
    print(f"{'':18}  CPU s  peak MiB   above the floor: CPU ms      MiB")
    for name, (seconds, peak) in middle.items():
        over_s, over_mib = seconds - middle["floor"][0], peak - middle["floor"][1]
        print(f"{name:18}  {seconds:5.2f}  {peak:8.1f}  {over_s * 1000:23.0f}  {over_mib:7.1f}")
    for ours, theirs in (("ours", "amazon operators"), ("our DAG", "amazon DAG")):
        ratio = (middle[ours][0] - middle["floor"][0]) / (middle[theirs][0] - middle["floor"][0])
        print(f"{ours} / {theirs}: {ratio:.2f} of the CPU time above the floor")


if __name__ == "__main__":
    main()
