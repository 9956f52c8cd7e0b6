"""The command `sagemaker-shadow local` as a person uses it, and the commands that talk to a running server."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shadow_provider.local import LocalAWS, LocalSettings, model_archive
from tests.aws.conftest import ECHO, IMAGE, ROLE, poll
from tests.aws.test_processes import Running, alive

COMMAND = [sys.executable, "-m", "shadow_provider.cli"]


def run(*arguments: str, url: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    if url is not None:
        environment["AWS_ENDPOINT_URL"] = url
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=environment, check=False)


class Terminal:
    """A command in a terminal of its own, and all that it wrote."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.pid, self._fd = pty.fork()
        if not self.pid:
            os.environ.update(environment)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
            os.execv(COMMAND[0], [*COMMAND, *arguments])
        self.written = b""

    def read(self) -> str:
        while select.select([self._fd], [], [], 0.02)[0]:
            try:
                self.written += os.read(self._fd, 1 << 16)
            except OSError:  # it is closed on the other side
                break
        return self.written.decode()

    def shows(self, text: str) -> bool:
        return text in self.read()

    def ended(self) -> int:
        """Its exit code, once it has ended."""

        def done() -> Any:
            self.read()  # it could not end with its last words unread
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return (os.waitstatus_to_exitcode(status),) if pid else None

        (code,) = poll(done)
        return int(code)

    def close(self) -> None:
        os.close(self._fd)
        self._fd = -1

    def discard(self) -> None:
        """After a test that failed in the middle."""
        if self._fd >= 0:
            self.close()
        with contextlib.suppress(ChildProcessError):
            if not os.waitpid(self.pid, os.WNOHANG)[0]:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)


@pytest.fixture
def terminal_of() -> Iterator[Callable[..., Terminal]]:
    made: list[Terminal] = []

    def make(*arguments: str, **environment: str) -> Terminal:
        made.append(Terminal(*arguments, **environment))
        return made[-1]

    yield make
    for terminal in made:
        terminal.discard()


def ready(terminal: Terminal) -> str:
    """The URL that the server tells, once its view is there."""
    poll(lambda: terminal.shows("no endpoints yet"))
    found = re.search(r"Local AWS ready.*?(http://[\d.:]+)", terminal.read())
    assert found is not None
    return found[1]


def deploy(url: str) -> Running:
    """Makes an endpoint with a shadow."""
    running = Running(url)
    s3, sagemaker = running.boto3_client("s3"), running.boto3_client("sagemaker")
    s3.create_bucket(Bucket="models")
    s3.put_object(Bucket="models", Key="m.tar.gz", Body=model_archive(ECHO))
    container = {"Image": IMAGE, "ModelDataUrl": "s3://models/m.tar.gz"}
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    common = {"ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(
        EndpointConfigName="prices-v2",
        ProductionVariants=[{"VariantName": "main", **common}],
        ShadowProductionVariants=[{"VariantName": "candidate", "InitialVariantWeight": 0.5, **common}],
    )
    sagemaker.create_endpoint(EndpointName="prices", EndpointConfigName="prices-v2")
    poll(lambda: sagemaker.describe_endpoint(EndpointName="prices")["EndpointStatus"] == "InService")
    return running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_in_a_terminal_it_shows_what_happens_and_leaves_nothing(
    number: signal.Signals, tmp_path: Path, terminal_of: Callable[..., Terminal]
) -> None:
    terminal = terminal_of("local", "--port", "0", TMPDIR=str(tmp_path), AWS_PROFILE="production")
    url = ready(terminal)
    running = deploy(url)
    pids = [pid for variant in running.status()["endpoints"][0]["variants"] for pid in variant["pids"]]
    runtime = running.boto3_client("sagemaker-runtime")
    for _ in range(20):
        runtime.invoke_endpoint(EndpointName="prices", Body=b"1", ContentType="text/csv")
    poll(lambda: all(terminal.shows(text) for text in ("candidate", "InService", "sagemaker:CreateEndpoint ")))
    poll(lambda: terminal.shows("prices is InService with prices-v2"), 5)  # a line of the log, above the view
    os.kill(terminal.pid, number)
    assert terminal.ended() == 0
    assert terminal.written.count(b"\x1b[?25l") == terminal.written.count(b"\x1b[?25h"), "the cursor is back"
    assert "Traceback" not in terminal.read()
    terminal.close()
    assert not any(alive(pid) for pid in pids)
    assert list(tmp_path.iterdir()) == []


def test_when_its_terminal_is_gone_so_is_all_that_it_started(
    tmp_path: Path, terminal_of: Callable[..., Terminal]
) -> None:
    terminal = terminal_of("local", "--port", "0", TMPDIR=str(tmp_path))
    url = ready(terminal)
    pids = [pid for variant in deploy(url).status()["endpoints"][0]["variants"] for pid in variant["pids"]]
    terminal.close()  # the kernel hangs up on its processes
    poll(lambda: os.waitpid(terminal.pid, os.WNOHANG)[0])
    poll(lambda: not any(alive(pid) for pid in pids))
    poll(lambda: not list(tmp_path.iterdir()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_elsewhere_it_logs_lines_with_times(number: signal.Signals, tmp_path: Path) -> None:
    told, log = tmp_path / "ready.json", tmp_path / "log"
    with (tmp_path / "out").open("w") as out, log.open("w") as errors:
        options = ["--port", "0", "--ready-file", str(told), "--set", "region=eu-west-1"]
        command = subprocess.Popen([*COMMAND, "local", *options], stdout=out, stderr=errors)
        poll(told.exists)
        url = json.loads(told.read_text())["endpoint_url"]
        deploy(url)
        command.send_signal(number)
        assert command.wait(20) == 0
    assert not told.exists(), "it is there while the server is"
    shown = (tmp_path / "out").read_text()
    assert "\x1b[" not in shown
    assert f"export AWS_ENDPOINT_URL={url}" in shown
    assert "checks no signatures" in shown
    assert f"{url}/_local/status" in shown
    lines = [line for line in log.read_text().splitlines() if "is InService" in line]
    assert len(lines) == 1
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO ", lines[0])


def test_the_log_can_go_to_a_file(tmp_path: Path, terminal_of: Callable[..., Terminal]) -> None:
    log = tmp_path / "server.log"
    terminal = terminal_of("local", "--port", "0", "--log-file", str(log))
    url = ready(terminal)
    deploy(url)
    poll(lambda: terminal.shows("candidate"))
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.ended() == 0
    terminal.close()
    assert "prices is InService" in log.read_text()
    assert "prices is InService" not in terminal.written.decode()


def test_it_starts_in_three_seconds(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    started = time.monotonic()
    command = subprocess.Popen(
        [*COMMAND, "local", "--port", "0", "--ready-file", str(ready)], stdout=subprocess.DEVNULL
    )
    poll(ready.exists)
    taken = time.monotonic() - started
    command.terminate()
    command.wait(20)
    assert taken < 3


def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("local", "--port", str(port))
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Error: Cannot listen on 127.0.0.1, port {port}: Address already in use. Choose another")


@pytest.fixture(scope="module")
def server() -> Iterator[LocalAWS]:
    with LocalAWS(LocalSettings(seed=2, startup_timeout=15)) as running:
        deploy(running.endpoint_url)
        yield running


@pytest.fixture
def url(server: LocalAWS) -> Iterator[str]:
    server.clear_calls()
    yield server.endpoint_url
    server.faults.clear()


def test_faults_are_set_shown_and_removed(server: LocalAWS, url: str) -> None:
    pairs = ("kind=throttle", "operation=List*", "probability=0.5", "service=sagemaker")
    added = run("fault", "add", "api", *pairs, url=url)
    assert (added.returncode, added.stderr) == (0, "")
    (state,) = server.faults.list()
    assert state.fault.model_dump(exclude_defaults=True) == {
        "kind": "throttle", "operation": "List*", "probability": 0.5, "service": "sagemaker",
    }  # fmt: skip
    assert added.stdout == f"{state.id}: api kind=throttle probability=0.5 service=sagemaker operation='List*'\n"
    also = run("fault", "add", '{"on": "variant", "kind": "error", "status": 503, "nth": 3}', "--json", url=url)
    assert json.loads(also.stdout)["fault"]["status"] == 503
    listed = run("fault", "list", url=url).stdout
    assert "variant kind=error nth=3 status=503" in listed
    assert [each["id"] for each in json.loads(run("fault", "list", "--json", url=url).stdout)] == [
        each.id for each in server.faults.list()
    ]
    assert run("fault", "remove", state.id, url=url).returncode == 0
    again = run("fault", "remove", state.id, url=url)
    assert (again.returncode, again.stderr) == (1, f"Error: There is no fault {state.id}.\n")
    assert run("fault", "clear", url=url).stdout == "1 removed\n"
    assert run("fault", "list", url=url).stdout == "No faults are set.\n"


def test_calls_are_shown_and_filtered(server: LocalAWS, url: str) -> None:
    sagemaker = server.boto3_client("sagemaker")
    sagemaker.describe_endpoint(EndpointName="prices")
    sagemaker.list_models()
    lines = run("calls", url=url).stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["sagemaker:DescribeEndpoint", "sagemaker:ListModels"]
    assert lines[0].endswith("200 prices")
    (one,) = run("calls", "--exclude", "List*", "--json", url=url).stdout.splitlines()
    assert json.loads(one)["operation"] == "DescribeEndpoint"
    assert len(run("calls", "--limit", "1", url=url).stdout.splitlines()) == 1
    assert run("calls", "--resource", "nobody", url=url).stdout == ""
    assert run("calls", "--clear", url=url).returncode == 0
    assert server.calls() == []


def test_calls_are_followed_until_ctrl_c(server: LocalAWS, url: str) -> None:
    command = subprocess.Popen([*COMMAND, "calls", "--follow", "--url", url], stdout=subprocess.PIPE, text=True)
    assert command.stdout is not None
    sagemaker = server.boto3_client("sagemaker")
    for name in ("ListModels", "ListEndpoints"):
        getattr(sagemaker, {"ListModels": "list_models", "ListEndpoints": "list_endpoints"}[name])()
        assert f"sagemaker:{name} 200" in command.stdout.readline()
    command.send_signal(signal.SIGINT)
    rest, _ = command.communicate(timeout=10)
    assert (rest, command.returncode) == ("", 0)


def test_the_view_of_a_server_that_runs_elsewhere(url: str, terminal_of: Callable[..., Terminal]) -> None:
    shown = run("watch", url=url)
    assert shown.returncode == 0
    assert "prices InService prices-v2" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    terminal = terminal_of("watch", "--url", url)
    poll(lambda: terminal.shows("candidate"))
    os.kill(terminal.pid, signal.SIGINT)
    assert terminal.ended() == 0
    terminal.close()


@pytest.mark.parametrize("command", [["fault", "list"], ["calls"], ["watch"], ["reset"], ["fault", "clear"]])
def test_where_no_local_aws_is_one_line_says_so(command: list[str]) -> None:
    done = run(*command, url="http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr == "Error: no local AWS answers at http://127.0.0.1:9: [Errno 111] Connection refused\n"


def test_reset_empties_it() -> None:
    with LocalAWS() as running:
        running.boto3_client("s3").create_bucket(Bucket="bucket")
        assert run("reset", url=running.endpoint_url).returncode == 0
        assert running.boto3_client("s3").list_buckets()["Buckets"] == []
