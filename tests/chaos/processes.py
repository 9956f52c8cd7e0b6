"""What Airflow runs in processes of their own: a try of a task, and a trigger. Forked, so that imports are paid once.

A task's try is run by Airflow's own task runner (rendering, XComs, deferral, which errors are retried); only the
supervisor that it talks to is ours.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import sys
import traceback
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

import structlog
from airflow.sdk import DAG
from airflow.sdk.api.datamodels._generated import DagRun, TaskInstanceState, TIRunContext
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance


@dataclass(frozen=True)
class Attempt:
    """One stay of a task in a process: from the start of a try to its end or deferral, or from the deferral on.

    Attributes:
        next_method: where it goes on after a deferral.
        next_kwargs: with what, as Airflow's serialisation has it.
        stale_xcoms: keys that an earlier try pushed.
    """

    task_id: str
    try_number: int
    max_tries: int
    next_method: str | None = None
    next_kwargs: Mapping[str, Any] | None = None
    stale_xcoms: tuple[str, ...] = ()


@dataclass
class Process:
    """A running process and the line to it."""

    pid: int
    line: Connection
    exit_code: int | None = field(default=None)

    def end(self, *numbers: signal.Signals) -> int:
        """Wait for its end, after signals where any are given; its exit code, negative for a signal."""
        if self.exit_code is None:
            for number in numbers:
                os.kill(self.pid, number)
            _, status = os.waitpid(self.pid, 0)
            self.exit_code = os.waitstatus_to_exitcode(status)
            self.line.close()
        return self.exit_code


def fork(work: Callable[[Connection], None], log: Path) -> Process:
    """Run ``work`` in a forked process, with its output in ``log``."""
    ours, theirs = Pipe()
    pid = os.fork()
    if pid:
        theirs.close()
        return Process(pid, ours)
    code = 1
    try:
        ours.close()
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        for number in (1, 2):
            os.dup2(output, number)
        _log_to_output()
        work(theirs)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _log_to_output() -> None:
    # What was set up for the parent (pytest's capture, say) does not lead to our output.
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - for the rest of this process
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    logging.root.handlers = [logging.StreamHandler(sys.stdout)]
    logging.root.setLevel(logging.INFO)
    structlog.configure(
        processors=[structlog.processors.ExceptionRenderer(), structlog.processors.KeyValueRenderer()],
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )


class Supervisor:
    """What a task's process takes for its supervisor: asks the parent, and waits for the answer."""

    def __init__(self, line: Connection) -> None:
        self._line = line

    def send(self, msg: Any) -> Any:
        """Ask, or tell."""
        self._line.send(msg)
        return self._line.recv()


def start_try(dag: DAG, run: DagRun, attempt: Attempt, connection_uri: str, log: Path) -> Process:
    """Begin one stay of a task in a process."""

    def work(line: Connection) -> None:
        os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = connection_uri
        task_runner.SUPERVISOR_COMMS = Supervisor(line)  # type: ignore[assignment]
        ti = _task_instance(dag, run, attempt)
        logger = structlog.get_logger("task")
        logger.info(
            "try", task=attempt.task_id, number=attempt.try_number, resumes=attempt.next_method, pid=os.getpid()
        )
        context = ti.get_template_context()
        state, _, error = task_runner.run(ti, context, logger)
        task_runner.finalize(ti, state, context, logger, error)

    return fork(work, log)


def _task_instance(dag: DAG, run: DagRun, attempt: Attempt) -> RuntimeTaskInstance:
    now = datetime.now(tz=UTC)
    context = TIRunContext(
        dag_run=run,
        max_tries=attempt.max_tries,
        next_method=attempt.next_method,
        next_kwargs=dict(attempt.next_kwargs) if attempt.next_kwargs is not None else None,
        xcom_keys_to_clear=list(attempt.stale_xcoms),
        should_retry=attempt.try_number <= attempt.max_tries,
    )
    return RuntimeTaskInstance.model_construct(
        id=uuid.uuid4(),
        task_id=attempt.task_id,
        dag_id=run.dag_id,
        run_id=run.run_id,
        try_number=attempt.try_number,
        dag_version_id=uuid.uuid4(),
        map_index=-1,
        context_carrier=None,
        task=dag.get_task(attempt.task_id),  # type: ignore[arg-type]  # no task here is mapped
        bundle_instance=None,  # type: ignore[arg-type]  # nothing asks for it
        _ti_context_from_server=context,
        max_tries=attempt.max_tries,
        start_date=now,
        state=TaskInstanceState.RUNNING,
        sentry_integration="",
    )


def start_trigger(classpath: str, arguments: Mapping[str, Any], connection_uri: str, log: Path) -> Process:
    """Begin a trigger as the triggerer makes it from the database; its first event's payload is sent."""

    async def first_event(trigger: Any) -> Any:
        async for event in trigger.run():
            return event.payload
        raise RuntimeError(f"{classpath} ended without an event")

    def work(line: Connection) -> None:
        os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = connection_uri
        module, _, name = classpath.rpartition(".")
        trigger = getattr(importlib.import_module(module), name)(**arguments)
        line.send(asyncio.run(first_event(trigger)))

    return fork(work, log)
