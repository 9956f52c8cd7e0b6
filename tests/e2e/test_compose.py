"""The Compose stack for real: built, started, used by its APIs as a person uses its pages, and removed.

Not part of the default run, since it needs a Docker engine and minutes: ``pytest tests/e2e/test_compose.py``. The
variables that docker-compose.yaml reads choose the images; COMPOSE chooses the command. See docs/docker-compose.md.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = "sagemaker-shadow-e2e"
FIGURES = ROOT / "build" / "compose-e2e.json"
DAG = "shadow_deployment"
ENDPOINT = "digits"
ONE_SHOTS = frozenset({"secrets", "airflow-init", "demo-setup"})
SERVERS = frozenset({"postgres", "api-server", "scheduler", "dag-processor", "triggerer", "local-aws", "traffic"})

BUILD_SECONDS = 1800
HEALTHY_SECONDS = 300
RUN_SECONDS = 420


def compose_command() -> list[str]:
    if chosen := os.environ.get("COMPOSE"):
        return shlex.split(chosen)
    if not shutil.which("docker"):
        return []
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if plugin.returncode == 0:
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else []


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def poll(condition: Callable[[], Any], seconds: float, on_timeout: Callable[[], str]) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s:\n{on_timeout()}"
        time.sleep(1)
    return value


@dataclass
class Stack:
    """The project as Compose runs it, on ports of its own."""

    command: list[str]
    airflow_port: int = field(default_factory=free_port)
    aws_port: int = field(default_factory=free_port)
    figures: dict[str, Any] = field(default_factory=dict)

    def compose(self, *arguments: str, timeout: float = 300) -> str:
        environment = {**os.environ, "AIRFLOW_PORT": str(self.airflow_port), "LOCAL_AWS_PORT": str(self.aws_port)}
        done = subprocess.run(
            [*self.command, "-p", PROJECT, *arguments],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{arguments}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def containers(self) -> dict[str, dict[str, Any]]:
        """What the engine knows of each service's container."""
        ids = subprocess.run(
            ["docker", "ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}"],
            capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        found = subprocess.run(["docker", "inspect", *ids], capture_output=True, text=True, check=True).stdout
        return {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in json.loads(found)}

    def states(self) -> dict[str, str]:
        """healthy, unhealthy or starting of what runs; "exited 0" and the like of what has ended."""
        states = {}
        for service, container in self.containers().items():
            state = container["State"]
            health = state.get("Health", {}).get("Status", state["Status"])
            states[service] = health if state["Status"] == "running" else f"exited {state['ExitCode']}"
        return states

    def logs(self) -> str:
        return f"{self.states()}\n{self.compose('logs', '--no-color', '--tail', '40')[-12000:]}"

    def is_up(self) -> bool:
        states = self.states()
        return {name for name, state in states.items() if state == "exited 0"} == ONE_SHOTS and {
            name for name, state in states.items() if state == "healthy"
        } == SERVERS

    def read(self, service: str, path: str) -> str:
        return self.compose("exec", "-T", service, "cat", path)

    def traffic(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads(self.read("traffic", "/var/lib/sagemaker-shadow/traffic.json"))
        return summary

    @property
    def password(self) -> str:
        password: str = json.loads(self.read("api-server", "/secrets/airflow/passwords.json"))["admin"]
        return password

    @cached_property
    def token(self) -> str:
        body = {"username": "admin", "password": self.password}
        token: str = self.http("POST", "/auth/token", body, token=None)["access_token"]
        return token

    def http(self, method: str, path: str, body: Any = None, *, token: str | None) -> Any:
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.airflow_port}{path}",
            method=method, headers=headers, data=None if body is None else json.dumps(body).encode(),
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def api(self, method: str, path: str, body: Any = None) -> Any:
        return self.http(method, f"/api/v2{path}", body, token=self.token)

    def run_dag(self, conf: dict[str, Any]) -> DagRun:
        """Press Trigger, with these fields of the form changed, and wait for the end."""
        poll(lambda: self.api("GET", f"/dags?dag_id_pattern={DAG}")["dags"], 60, self.logs)
        begun = time.monotonic()
        run_id = self.api("POST", f"/dags/{DAG}/dagRuns", {"logical_date": None, "conf": conf})["dag_run_id"]
        path = f"/dags/{DAG}/dagRuns/{quote(run_id)}"
        state = poll(lambda: self._end_of(path), RUN_SECONDS, self.logs)
        tasks = self.api("GET", f"{path}/taskInstances")["task_instances"]
        return DagRun(self, path, state, time.monotonic() - begun, {each["task_id"]: each for each in tasks})

    def _end_of(self, path: str) -> str | None:
        state: str = self.api("GET", path)["state"]
        return state if state in {"success", "failed"} else None

    @cached_property
    def sagemaker(self) -> Any:
        import boto3

        return boto3.client(
            "sagemaker",
            endpoint_url=f"http://127.0.0.1:{self.aws_port}",
            region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="local",
        )  # fmt: skip

    def serving(self) -> tuple[str, str]:
        """The endpoint's config and production model, once it is in service."""
        state = self.sagemaker.describe_endpoint(EndpointName=ENDPOINT)
        assert state["EndpointStatus"] == "InService"
        config = self.sagemaker.describe_endpoint_config(EndpointConfigName=state["EndpointConfigName"])
        return state["EndpointConfigName"], config["ProductionVariants"][0]["ModelName"]


@dataclass(frozen=True)
class DagRun:
    stack: Stack
    path: str
    state: str
    seconds: float
    tasks: dict[str, dict[str, Any]]

    @property
    def states(self) -> dict[str, str]:
        return {name.rpartition(".")[2]: task["state"] for name, task in self.tasks.items()}

    def task(self, name: str) -> str:
        return f"{self.path}/taskInstances/{DAG}.{name}"

    def decision(self) -> Any:
        return self.stack.api("GET", f"{self.task('evaluate')}/xcomEntries/return_value")["value"]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    command = compose_command()
    if not command:
        pytest.skip("needs docker and Compose")
    stack = Stack(command)
    stack.compose("down", "--volumes", "--remove-orphans")
    try:
        begun = time.monotonic()
        stack.compose("build", timeout=BUILD_SECONDS)
        stack.figures["build_seconds"] = round(time.monotonic() - begun, 1)
        begun = time.monotonic()
        stack.compose("up", "--detach", timeout=HEALTHY_SECONDS)
        poll(stack.is_up, HEALTHY_SECONDS, stack.logs)
        stack.figures["healthy_seconds"] = round(time.monotonic() - begun, 1)
        yield stack
    finally:
        FIGURES.parent.mkdir(exist_ok=True)
        FIGURES.write_text(json.dumps(stack.figures, indent=2) + "\n")
        stack.compose("down", "--volumes", "--remove-orphans")


def test_ports_are_published_on_the_loopback_address_only(stack: Stack) -> None:
    published = {
        service: {binding["HostIp"] for bindings in ports.values() for binding in bindings or []}
        for service, container in stack.containers().items()
        if (ports := container["NetworkSettings"]["Ports"]) and any(ports.values())
    }
    assert published == {"api-server": {"127.0.0.1"}, "local-aws": {"127.0.0.1"}}


def test_secrets_are_in_files_that_only_their_owner_reads_and_nowhere_else(stack: Stack) -> None:
    names = ["sql_alchemy_conn", "fernet_key", "jwt_secret", "api_secret_key", "passwords.json"]
    paths = [f"/secrets/airflow/{name}" for name in names]
    modes = stack.compose("exec", "-T", "api-server", "stat", "--format=%a %U", *paths).splitlines()
    assert modes == ["600 airflow"] * len(names)
    secrets = [stack.read("api-server", path) for path in paths[:-1]]
    secrets += [stack.password, secrets[0].split(":")[2].partition("@")[0]]
    known = json.dumps(list(stack.containers().values())) + stack.compose("logs", "--no-color")
    assert [path for path, secret in zip([*paths, "database"], secrets, strict=True) if secret in known] == []


def test_airflow_has_the_reference_dag_and_nothing_that_runs_by_itself(stack: Stack) -> None:
    dags = poll(lambda: stack.api("GET", "/dags")["dags"], 60, stack.logs)
    assert [(dag["dag_id"], dag["is_paused"], dag["timetable_periodic"]) for dag in dags] == [(DAG, False, False)]
    assert stack.api("GET", "/importErrors")["import_errors"] == []


def test_the_api_wants_the_password(stack: Stack) -> None:
    for path, body in [("/auth/token", {"username": "admin", "password": "admin"}), ("/api/v2/dags", None)]:
        with pytest.raises(urllib.error.HTTPError) as refusal:
            stack.http("POST" if body else "GET", path, body, token=None)
        refusal.value.close()
        assert refusal.value.code == 401


def test_trigger_without_filling_in_the_form_ends_in_promote(stack: Stack) -> None:
    assert stack.serving() == ("digits-baseline", "digits-incumbent")
    run = stack.run_dag({})
    memory = subprocess.run(
        ["docker", "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}"],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    stack.figures |= {"run_seconds": round(run.seconds, 1), "memory": [line for line in memory if PROJECT in line]}
    assert run.state == "success", run.states
    decision = run.decision()
    assert decision["verdict"] == "PROMOTE", decision
    assert run.states["rollback"] == "skipped"
    config, model = stack.serving()
    assert (config.startswith("digits-promoted-"), model.startswith("digits-candidate-")) == (True, True)
    traffic = stack.traffic()
    stack.figures |= {"pairs": decision["pairs"], "requests_sent": traffic["requests_sent"]}
    assert traffic["requests_failed"] == 0, traffic["failures_by_cause"]


def test_logs_of_tasks_can_be_read_in_the_ui(stack: Stack) -> None:
    runs = stack.api("GET", f"/dags/{DAG}/dagRuns")["dag_runs"]
    path = f"/dags/{DAG}/dagRuns/{quote(runs[0]['dag_run_id'])}/taskInstances/{DAG}.evaluate/logs/1"
    assert "PROMOTE" in json.dumps(stack.api("GET", path)["content"])


def test_a_worse_candidate_is_rejected_and_rolled_back(stack: Stack) -> None:
    before = stack.serving()
    run = stack.run_dag({"candidate_model_data_url": "s3://shadow-demo/models/bad/model.tar.gz"})
    assert run.decision()["verdict"] == "REJECT"
    assert (run.state, run.states["promote"]) == ("success", "skipped")
    assert stack.serving() == before
    assert stack.traffic()["requests_failed"] == 0


def test_a_second_up_changes_nothing(stack: Stack) -> None:
    before = stack.serving(), stack.password
    stack.compose("up", "--detach", timeout=HEALTHY_SECONDS)
    poll(stack.is_up, HEALTHY_SECONDS, stack.logs)
    assert (stack.serving(), stack.password) == before


def test_a_new_start_keeps_airflows_database_and_its_secrets(stack: Stack) -> None:
    password = stack.password
    runs = stack.api("GET", f"/dags/{DAG}/dagRuns")["total_entries"]
    stack.compose("down")
    stack.compose("up", "--detach", timeout=HEALTHY_SECONDS)
    poll(stack.is_up, HEALTHY_SECONDS, stack.logs)
    assert stack.password == password
    assert stack.api("GET", f"/dags/{DAG}/dagRuns")["total_entries"] == runs
    # The local AWS forgot everything, and was given its endpoint again.
    assert stack.serving() == ("digits-baseline", "digits-incumbent")
