"""Runs a DAG file's DAG once by Airflow, in a process of its own, and reports its tasks as they go.

``dag.test()`` takes over signal handlers and logging, so it does not run in the demo's own process.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_POLL_SECONDS = 0.25
_ENDED = frozenset({"success", "failed", "upstream_failed", "skipped"})

# What the child runs: the DAG file is imported as Airflow would import it, then its DAG is run once.
_CHILD = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("demo_dag", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["demo_dag"] = module
spec.loader.exec_module(module)
run = module.dag.test(run_conf=json.loads(sys.argv[2]))
sys.exit(0 if str(run.state) == "success" else 3)
"""


@dataclass(frozen=True)
class DagRun:
    """A run that has ended.

    Attributes:
        run_id: Airflow's id of the run.
        state: ``success`` or ``failed``.
        tasks: state by task id.
        log: everything that Airflow printed.
    """

    run_id: str
    state: str
    tasks: Mapping[str, str]
    log: Path


class AirflowHome:
    """An Airflow of the demo's own: a folder with a SQLite database, used by this demo only.

    Args:
        directory: where ``AIRFLOW_HOME`` is.
        dags: the DAGs folder.
        connection_uri: what ``aws_default`` is.

    Attributes:
        environment: of every Airflow process; may be added to.
    """

    def __init__(self, directory: Path, dags: Path, connection_uri: str) -> None:
        self.directory = directory.resolve()
        self.dags = dags.resolve()
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "AIRFLOW"))},
            "AIRFLOW_HOME": str(self.directory),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self._database}",
            "AIRFLOW_CONN_AWS_DEFAULT": connection_uri,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        # Byte code that is not kept makes each import of Airflow twice as slow.
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)

    @property
    def _database(self) -> Path:
        return self.directory / "airflow.db"

    def prepare(self) -> None:
        """Make the database and put the DAGs into it, unless that was done before for this Airflow and these files.

        Raises:
            RuntimeError: Airflow could not do it.
        """
        from importlib.metadata import version

        self.directory.mkdir(parents=True, exist_ok=True)
        migrated = self.directory / f"migrated-{version('apache-airflow')}"
        if not migrated.exists():
            self._database.unlink(missing_ok=True)
            self._airflow("db", "migrate")
            migrated.touch()
        # Airflow 3.1 runs only DAGs that are serialised already; later ones do it themselves in dag.test().
        sources = b"".join(path.read_bytes() for path in sorted(self.dags.glob("*.py")))
        serialised = self.directory / f"serialised-{hashlib.sha256(sources).hexdigest()[:16]}"
        if not serialised.exists():
            self._airflow("dags", "reserialize")
            if not self._query("SELECT 1 FROM serialized_dag LIMIT 1"):
                # Airflow logs a DAG that it cannot take and exits with 0.
                log = (self.directory / "reserialize.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"Airflow could not take the DAGs of {self.dags}:\n{log}")
            serialised.touch()

    def _airflow(self, *arguments: str) -> None:
        log = self.directory / f"{arguments[-1]}.log"
        with log.open("wb") as output:
            done = subprocess.run(
                [sys.executable, "-m", "airflow", *arguments],
                env=self.environment,
                stdout=output,
                stderr=output,
                check=False,
            )
        if done.returncode:
            text = log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"airflow {' '.join(arguments)} failed:\n{text}")

    def run(self, dag_file: Path, conf: Mapping[str, Any], on_task: Callable[[str, str, float], None]) -> DagRun:
        """Run the DAG once.

        Args:
            dag_file: its file.
            conf: the run's Params.
            on_task: called with task id, new state and seconds since the run began, at each change.

        Raises:
            RuntimeError: no run came about at all; the message has the end of Airflow's output.
        """
        log = self.directory / "run.log"
        before = self._newest_run()
        began = time.monotonic()
        with log.open("wb") as output:
            child = subprocess.Popen(
                [sys.executable, "-c", _CHILD, str(dag_file.resolve()), json.dumps(conf)],
                env=self.environment, stdout=output, stderr=output,
            )  # fmt: skip
        seen: dict[str, str] = {}
        try:
            while child.poll() is None:
                self._report(before, seen, on_task, began)
                time.sleep(_POLL_SECONDS)
        finally:
            if child.poll() is None:
                child.kill()  # dag.test swallows SIGTERM
                child.wait()
        self._report(before, seen, on_task, began)
        newest = self._newest_run()
        if newest is None or newest == before:
            raise RuntimeError(f"Airflow did not run the DAG:\n{log.read_text(errors='replace')[-4000:]}")
        return DagRun(run_id=newest, state=self._state_of(newest), tasks=seen, log=log)

    def xcom(self, run_id: str, task_id: str) -> Any:
        """Return a task's result; None if it has none."""
        rows = self._query(
            "SELECT value FROM xcom WHERE run_id = ? AND task_id = ? AND key = 'return_value'", run_id, task_id
        )
        value = rows[0][0] if rows else None
        while isinstance(value, str):  # stored as JSON text within JSON
            value = json.loads(value)
        return value

    def _report(
        self, before: str | None, seen: dict[str, str], on_task: Callable[[str, str, float], None], began: float
    ) -> None:
        run_id = self._newest_run()
        if run_id is None or run_id == before:
            return
        rows = self._query("SELECT task_id, state FROM task_instance WHERE run_id = ? ORDER BY start_date", run_id)
        for task_id, state in rows:
            if state and seen.get(task_id) != state and (state in _ENDED or state in {"running", "deferred"}):
                seen[task_id] = state
                on_task(task_id, state, time.monotonic() - began)

    def _newest_run(self) -> str | None:
        rows = self._query("SELECT run_id FROM dag_run ORDER BY id DESC LIMIT 1")
        return rows[0][0] if rows else None

    def _state_of(self, run_id: str) -> str:
        return str(self._query("SELECT state FROM dag_run WHERE run_id = ?", run_id)[0][0])

    def _query(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=30)) as database:
            return database.execute(statement, values).fetchall()
