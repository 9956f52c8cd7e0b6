"""What the local AWS is measured against and in which states: model processes, endpoints, moto's own server."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from shadow_provider.demo.dataset import held_out_rows
from shadow_provider.demo.models import build_models
from shadow_provider.local import LocalAWS, LocalSettings
from shadow_provider.local.serving.instance import child_environment

BUCKET = "bench"
_ROLE = "arn:aws:iam::123456789012:role/bench"
_START_SECONDS = 60.0
_SLEEPING = """
import time

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    time.sleep(0.5)
    return body, content_type
"""
# What boto3 sends, but for the signature's value.
_HEADERS = """Host: {host}\r
User-Agent: Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux lang/python#3.12 cfg/retry-mode#legacy\r
Content-Type: text/csv\r
Accept: text/csv\r
X-Amzn-SageMaker-Inference-Id: bench-{{n}}\r
X-Amz-Date: 20260101T000000Z\r
Authorization: AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/sagemaker/aws4_request, \
SignedHeaders=accept;content-type;host;x-amz-date;x-amzn-sagemaker-inference-id, Signature={signature}\r
amz-sdk-invocation-id: 3a2c1a52-6c0c-4a55-8d58-6f0ee1b1a7b5\r
amz-sdk-request: attempt=1\r
Content-Length: {length}\r
\r
{body}"""


@dataclass(frozen=True)
class Case:
    """One thing that requests are sent to.

    Attributes:
        name: What the table calls it.
        address: host:port, or the path of a unix socket.
        request: The request, with "{n}" for its number.
        gateway: Whether the local AWS answers it, so that its CPU time counts.
        endpoint: The endpoint's name.
        shadow: The shadow variant's name, if there is one.
    """

    name: str
    address: str
    request: str
    gateway: bool = False
    endpoint: str = ""
    shadow: str = ""


@dataclass(frozen=True)
class Bench:
    """All cases, running.

    Attributes:
        aws: The local AWS.
        gateway: Its process.
        cases: By name.
    """

    aws: LocalAWS
    gateway: psutil.Process
    cases: dict[str, Case]

    def counters(self, case: Case) -> dict[str, int]:
        """What happened to the case's shadow so far."""
        endpoint = next(item for item in self.aws.status()["endpoints"] if item["name"] == case.endpoint)
        return dict(endpoint["counters"][case.shadow])


@contextlib.contextmanager
def running(settings: LocalSettings | None = None) -> Iterator[Bench]:
    """Starts everything: a bare model process, moto's server, and a local AWS with an endpoint for each state.

    The model is the demo's incumbent: scikit-learn's logistic regression on 64 features, a CSV row in, a label out.
    """
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        archive = build_models(Path("build/bench/models"))["incumbent"].path
        row = held_out_rows()[0].body
        aws = stack.enter_context(LocalAWS(settings or LocalSettings(seed=1)))
        bare = stack.enter_context(_bare_model(archive, directory))
        moto = stack.enter_context(_moto_server())
        cases = [
            Case("model", bare, _request("/invocations", "model", row)),
            Case("moto", moto, _request("/endpoints/bench/invocations", moto, row)),
            *_endpoints(aws, archive.read_bytes(), row),
        ]
        yield Bench(aws, psutil.Process(aws.pid), {case.name: case for case in cases})


def _endpoints(aws: LocalAWS, archive: bytes, row: str) -> Iterator[Case]:
    s3, sagemaker = aws.boto3_client("s3"), aws.boto3_client("sagemaker")
    s3.create_bucket(Bucket=BUCKET)
    sleeping = Path(tempfile.mkstemp(suffix=".tar.gz")[1])
    with tarfile.open(sleeping, "w:gz") as packed, tempfile.NamedTemporaryFile("w", suffix=".py") as source:
        source.write(_SLEEPING)
        source.flush()
        packed.add(source.name, "code/inference.py")
    for name, content in (("model", archive), ("sleeping", sleeping.read_bytes())):
        s3.put_object(Bucket=BUCKET, Key=f"{name}.tar.gz", Body=content)
        container = {"Image": "bench", "ModelDataUrl": f"s3://{BUCKET}/{name}.tar.gz"}
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=_ROLE, PrimaryContainer=container)
    sleeping.unlink()
    states: dict[str, tuple[bool, str | None]] = {
        "gateway": (False, None),
        "capture": (True, None),
        "mirror": (True, "model"),
        "slow-shadow": (True, "sleeping"),
        "dead-shadow": (True, "model"),
    }
    for name, (capture, shadow) in states.items():
        sagemaker.create_endpoint_config(**_config(name, capture, shadow))
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    _wait(lambda: all(_in_service(sagemaker, name) for name in states), "an endpoint")
    address = aws.endpoint_url.removeprefix("http://")
    status = {item["name"]: item for item in aws.status()["endpoints"]}
    for pid in status["dead-shadow"]["variants"][1]["pids"]:
        os.kill(pid, signal.SIGSTOP)  # it takes requests and never answers
    for name, (_, shadow) in states.items():
        request = _request(f"/endpoints/{name}/invocations", address, row)
        yield Case(name, address, request, True, name, "shadow" if shadow else "")


def _config(name: str, capture: bool, shadow: str | None) -> dict[str, Any]:
    common = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1, "InitialVariantWeight": 1}
    config: dict[str, Any] = {
        "EndpointConfigName": name,
        "ProductionVariants": [{"VariantName": "production", "ModelName": "model", **common}],
    }
    if shadow is not None:
        config["ShadowProductionVariants"] = [{"VariantName": "shadow", "ModelName": shadow, **common}]
    if capture:
        config["DataCaptureConfig"] = {
            "EnableCapture": True,
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": f"s3://{BUCKET}/captures",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
        }
    return config


def _in_service(sagemaker: Any, name: str) -> bool:
    described = sagemaker.describe_endpoint(EndpointName=name)
    if described["EndpointStatus"] == "Failed":
        raise RuntimeError(described["FailureReason"])
    return bool(described["EndpointStatus"] == "InService")


@contextlib.contextmanager
def _bare_model(archive: Path, directory: Path) -> Iterator[str]:
    model_dir, path = directory / "model", directory / "model.sock"
    with tarfile.open(archive) as packed:
        packed.extractall(model_dir, filter="data")
    arguments = ["--socket", str(path), "--model-dir", str(model_dir), "--parent", str(os.getpid())]
    with _process(["shadow_provider.local.serving.model_server", *arguments]):
        _wait(path.exists, "the bare model process")
        yield str(path)


@contextlib.contextmanager
def _moto_server() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def listens() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    with _process(["moto.server", "-H", "127.0.0.1", "-p", str(port)]):
        _wait(listens, "moto's server")
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def _process(arguments: list[str]) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=child_environment({}),
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()


def _request(target: str, host: str, body: str) -> str:
    headers = _HEADERS.format(host=host, signature="0" * 64, length=len(body), body=body)
    return f"POST {target} HTTP/1.1\r\n{headers.replace('{{n}}', '{n}')}"


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come up")
        time.sleep(0.05)
