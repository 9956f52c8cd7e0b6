"""Traffic through real boto3 clients, against a server that speaks just enough of AWS."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shadow_provider.demo.dataset import LabelledRow
from shadow_provider.demo.traffic import TrafficSettings, run_traffic


class FakeAWS(ThreadingHTTPServer):
    """Answers InvokeEndpoint, each third time with an error, and keeps the objects that are put."""

    daemon_threads = True

    def __init__(self) -> None:
        self.invocations: list[tuple[str, dict[str, str], bytes]] = []
        self.objects: dict[str, bytes] = {}
        self.enough = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: FakeAWS
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.server.invocations.append((self.path, {k.lower(): v for k, v in self.headers.items()}, self.body()))
        number = len(self.server.invocations)
        if number == 30:
            self.server.enough.set()
        if number % 3 == 0:
            self.answer(500, b'{"Message": "no"}', {"x-amzn-errortype": "InternalFailure"})
        else:
            self.answer(200, b"7", {"Content-Type": "text/csv"})

    def do_PUT(self) -> None:
        self.server.objects[self.path] = self.body()
        self.answer(200, b"", {"ETag": '"0"'})

    def body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeAWS]:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with FakeAWS() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def labels_written(aws: FakeAWS) -> list[dict[str, Any]]:
    # The body may carry the SDK's checksum trailer; the records are the lines that are JSON objects.
    lines = b"\n".join(aws.objects.values()).decode().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_each_failure_is_one_request_and_one_count(aws: FakeAWS) -> None:
    settings = TrafficSettings(
        endpoint_name="digits",
        rate=300,
        count=30,
        endpoint_url=aws.url,
        region="us-east-1",
        ground_truth_uri="s3://l/p",
    )
    summary = run_traffic(settings, stop=threading.Event(), rows=[LabelledRow("1,2", "7")])
    assert summary.requests_sent == len(aws.invocations) == 30, "an SDK that retries would send more"
    assert summary.failures_by_cause == {"InternalFailure": 10}
    path, headers, body = aws.invocations[0]
    assert path == "/endpoints/digits/invocations"
    assert body == b"1,2"
    assert headers["content-type"] == headers["accept"] == "text/csv"
    sent = {headers["x-amzn-sagemaker-inference-id"] for _, headers, _ in aws.invocations}
    assert {record["eventMetadata"]["eventId"] for record in labels_written(aws)} == sent
    assert len(sent) == 30


@pytest.mark.parametrize(("options", "code"), [([], 0), (["--fail-on-error"], 1)])
def test_sigterm_ends_the_command_cleanly(aws: FakeAWS, tmp_path: Path, options: list[str], code: int) -> None:
    summary_path = tmp_path / "summary.json"
    command = [sys.executable, "-m", "shadow_provider.cli", "traffic", "digits", "--rate", "200", *options]
    command += ["--endpoint-url", aws.url, "--region", "us-east-1", "--ground-truth", "s3://l/p"]
    process = subprocess.Popen(
        [*command, "--summary", str(summary_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ
    )
    try:
        assert aws.enough.wait(60)
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == code, errors.decode()
    summary = json.loads(summary_path.read_text())
    assert summary["ended_at"] is not None
    assert summary["requests_sent"] == len(aws.invocations) >= 30
    assert summary["requests_sent"] == summary["requests_succeeded"] + summary["requests_failed"]
    assert summary["ground_truth_written"] == summary["requests_sent"] == len(labels_written(aws))
    assert b"failed with InternalFailure" in output
