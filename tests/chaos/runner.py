"""Runs a DAG once as Airflow does, without a scheduler: every stay of a task and every trigger in a process of its own.

One thing happens at a time, in the order of the DAG. What Airflow keeps in its database is kept here: states, tries,
XComs, deferrals. A process that dies is a task to be retried, whoever killed it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing import connection
from pathlib import Path
from typing import Any, Protocol

from airflow.sdk import DAG
from airflow.sdk.api.datamodels._generated import DagRun
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import comms

from tests.chaos.processes import Attempt, Process, start_trigger, start_try
from tests.chaos.serialization import deserialized, serialized
from tests.chaos.states import FINISHED, next_state, run_state


class Interruption(Protocol):
    """Something that ends a process from outside."""

    @property
    def signals(self) -> Sequence[Any]:
        """What to wait for beside the process; empty if nothing is to come any more."""

    def strike(self, process: Process) -> str | None:
        """End the process at once, now that a signal came; the task's state then, None if it is to be retried."""


class Nothing:
    """No interruption."""

    signals: Sequence[Any] = ()

    def strike(self, process: Process) -> str | None:
        raise AssertionError("nothing was to come")


@dataclass
class TaskRow:
    """What Airflow's database knows of a task in a run."""

    state: str | None = None
    tries: int = 0
    max_tries: int = 0
    xcoms: dict[str, Any] = field(default_factory=dict)
    outlet_events: list[Any] = field(default_factory=list)
    deferred: comms.DeferTask | None = None
    resume: tuple[str, Any] | None = None


class Runner:
    """One run of a DAG.

    Args:
        dag: the DAG.
        run_id: of the run.
        conf: its Params.
        connection_uri: the AWS connection of a process, by what the process is: ``task.plan``, ``trigger.evaluate``.
        log: everything that the processes print.
        interruption: ends one process or more.
        before: what the world does just before a task starts, by the task's id without its group.
    """

    def __init__(
        self,
        dag: DAG,
        run_id: str,
        conf: Mapping[str, Any],
        connection_uri: Callable[[str], str],
        log: Path,
        interruption: Interruption | None = None,
        before: Mapping[str, Callable[[], Any]] | None = None,
    ) -> None:
        self.dag = dag
        self.run_id = run_id
        self.conf = conf
        self.rows = {task.task_id: TaskRow(max_tries=task.retries or 0) for task in dag.topological_sort()}
        self.interruption: Interruption = interruption or Nothing()
        self.deaths: list[str] = []
        self._connection_uri = connection_uri
        self._log = log
        self._before = dict(before or {})

    @property
    def states(self) -> dict[str, str | None]:
        """State by task id."""
        return {task_id: row.state for task_id, row in self.rows.items()}

    @property
    def state(self) -> str:
        """The run's state, by its leaves."""
        return run_state([str(self.rows[task.task_id].state) for task in self.dag.leaves])

    def result(self, task_id: str) -> Any:
        """What a task returned."""
        return self.rows[task_id].xcoms.get("return_value")

    def run(self) -> str:
        """Run every task that is not finished, in the DAG's order; the run's state."""
        for task in self.dag.topological_sort():
            row = self.rows[task.task_id]
            if row.state in FINISHED:
                continue
            upstream = [str(self.rows[name].state) for name in task.upstream_task_ids]
            decided = next_state(str(getattr(task.trigger_rule, "value", task.trigger_rule)), upstream)
            if decided == "run":
                self._run_task(task.task_id)
            else:
                row.state = decided
        return self.state

    def do_before(self, task: str, more: Callable[[], None]) -> None:
        """Let something else happen just before a task starts, after what happens there anyway."""
        already = self._before.get(task, lambda: None)

        def both() -> None:
            already()
            more()

        self._before[task] = both

    def clear(self, task_id: str, *, downstream: bool = True) -> None:
        """Make a finished task, and what depends on it, run again with all its retries, as clearing does."""
        task = self.dag.get_task(task_id)
        ids = {task_id, *(task.get_flat_relative_ids(upstream=False) if downstream else ())}
        for each in ids:
            row = self.rows[each]
            row.state, row.deferred, row.resume = None, None, None
            row.max_tries = row.tries + (self.dag.get_task(each).retries or 0)

    def _run_task(self, task_id: str) -> None:
        row = self.rows[task_id]
        self._before.get(self._short(task_id), lambda: None)()
        while row.state not in FINISHED:
            if row.state == "deferred":
                self._wait_in_trigger(task_id, row)
            else:
                self._stay(task_id, row)

    def _stay(self, task_id: str, row: TaskRow) -> None:
        """Let the task be in a process once."""
        resume, row.resume = row.resume, None
        stale: tuple[str, ...] = ()
        if resume is None and row.state != "up_for_reschedule":
            row.tries += 1
            stale = tuple(row.xcoms)
        row.state = "running"
        attempt = Attempt(
            task_id,
            row.tries,
            row.max_tries,
            next_method=resume[0] if resume else None,
            next_kwargs=resume[1] if resume else None,
            stale_xcoms=stale,
        )
        name = f"task.{self._short(task_id)}"
        process = start_try(self.dag, self._dag_run(), attempt, self._connection_uri(name), self._log)
        forced = self._attend(process, lambda message: self._answer(task_id, row, message))
        if forced is not None:
            row.state = forced
        elif row.state == "running":
            # The process is gone without a word: Airflow retries what has retries left.
            self.deaths.append(task_id)
            row.state = "up_for_retry" if row.tries <= row.max_tries else "failed"

    def _wait_in_trigger(self, task_id: str, row: TaskRow) -> None:
        deferred = row.deferred
        assert deferred is not None
        payload: list[Any] = []
        arguments = deserialized(deferred.trigger_kwargs)
        name = f"trigger.{self._short(task_id)}"
        while not payload:
            process = start_trigger(deferred.classpath, arguments, self._connection_uri(name), self._log)
            forced = self._attend(process, payload.append)
            if forced is not None:
                row.state = forced
                return
            if not payload:
                # A triggerer that dies loses nothing: another takes its triggers from the database.
                assert process.end() < 0, f"the trigger of {task_id} failed; see {self._log}"
                self.deaths.append(name)
        row.resume = (deferred.next_method, serialized(deserialized(deferred.next_kwargs) | {"event": payload[0]}))
        row.state = "scheduled"

    def _attend(self, process: Process, answer: Callable[[Any], Any]) -> str | None:
        """Answer a process until it ends; the state that an interruption wants the task to have, if it wants one."""
        while True:
            ready = connection.wait([process.line, *self.interruption.signals])
            if any(each is not process.line for each in ready):
                return self.interruption.strike(process)
            try:
                message = process.line.recv()
            except (EOFError, ConnectionResetError):
                process.end()
                return None
            reply = answer(message)
            try:
                process.line.send(reply)
            except BrokenPipeError:
                process.end()
                return None

    def _answer(self, task_id: str, row: TaskRow, message: Any) -> Any:  # noqa: C901 - one case a message
        match message:
            case comms.GetXCom(task_id=other, key=key):
                return comms.XComResult(key=key, value=self.rows[other].xcoms.get(key))
            case comms.GetXComSequenceSlice(task_id=other, key=key):
                found = self.rows[other].xcoms
                return comms.XComSequenceSliceResult(root=[found[key]] if key in found else [])
            case comms.SetXCom(key=key, value=value):
                row.xcoms[key] = json.loads(json.dumps(value))
            case comms.DeleteXCom(key=key):
                row.xcoms.pop(key, None)
            case comms.GetConnection(conn_id=conn_id):
                return comms.ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND, detail={"conn_id": conn_id})
            case comms.ValidateInletsAndOutlets():
                return comms.InactiveAssetsResult(inactive_assets=[])
            case comms.SucceedTask():
                row.state = "success"
                row.outlet_events += message.outlet_events or []
            case comms.RetryTask():
                row.state = "up_for_retry"
            case comms.DeferTask():
                row.state, row.deferred = "deferred", message
            case comms.RescheduleTask(reschedule_date=date):
                row.state = "up_for_reschedule"
                time.sleep(max(0.0, (date - datetime.now(tz=UTC)).total_seconds()))
            case comms.TaskState(state=state):
                row.state = str(state.value)
            case _ if type(message).__name__.startswith("Get"):
                raise NotImplementedError(f"{task_id} asks for {type(message).__name__}")
        return None

    @staticmethod
    def _short(task_id: str) -> str:
        return task_id.rpartition(".")[2]

    def _dag_run(self) -> DagRun:
        moment = datetime.now(tz=UTC)
        known: dict[str, Any] = {
            "dag_id": self.dag.dag_id,
            "run_id": self.run_id,
            "logical_date": moment,
            "data_interval_start": moment,
            "data_interval_end": moment,
            "run_after": moment,
            "start_date": moment,
            "end_date": None,
            "run_type": "manual",
            "state": "running",
            "conf": dict(self.conf),
            "consumed_asset_events": [],
            "partition_key": None,
        }
        return DagRun(**{name: value for name, value in known.items() if name in DagRun.model_fields})
