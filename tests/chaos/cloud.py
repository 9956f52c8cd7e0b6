"""The local AWS of the chaos tests: made anew for each run, with a caller that never stops."""

from __future__ import annotations

import http.client
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from shadow_provider.local import LocalAWS, LocalSettings, model_archive
from shadow_provider.local.control.calls import Call
from shadow_provider.local.faults import CaptureFault, Fault
from tests.chaos.processes import fork
from tests.chaos.scenarios import BUCKET, ENDPOINT, GOOD, IMAGE, ROLE, Scenario

SETTINGS = LocalSettings(
    seed=3,
    capture_flush_seconds=0.2,
    startup_timeout=15,
    drain_timeout=5,
    shadow_nice=0,
    metric_resolution=1,
    call_log_size=100_000,
)
_CALLS_PER_SECOND = 15
_SETTLE_SECONDS = 60


class Cloud:
    """What the harness itself does in AWS.

    Args:
        aws: the local AWS; only this harness uses it.
    """

    def __init__(self, aws: LocalAWS) -> None:
        self.aws = aws
        self.sagemaker = aws.boto3_client("sagemaker")
        self.s3 = aws.boto3_client("s3")
        self.cloudwatch = aws.boto3_client("cloudwatch")
        self.autoscaling = aws.boto3_client("application-autoscaling")

    def connection_uri(self, name: str) -> str:
        """The Airflow connection of a process; its name is the access key, so its calls can be told from all others."""
        return self.aws.connection_uri.replace("aws://local:", f"aws://{name}:", 1)

    def prepare(self, scenario: Scenario) -> None:
        """Forget everything, and make what a scenario starts from."""
        self.aws.reset()
        self.s3.create_bucket(Bucket=BUCKET)
        for name, source in (("incumbent", GOOD), ("candidate", scenario.candidate)):
            body = model_archive(source)
            self.s3.put_object(Bucket=BUCKET, Key=f"models/{name}/model.tar.gz", Body=body)
        if not scenario.new_endpoint:
            self._live_endpoint()
        # The evidence is put there, see tests/chaos/evidence.py; what is captured beside it would come at its own time.
        self.aws.faults.add(CaptureFault(kind="missing"))
        self.aws.clear_calls()

    def set_faults(self, faults: Sequence[Fault]) -> None:
        """Let something go wrong from now on; each fault counts once in a run, however often this is asked for."""
        known = [state.fault for state in self.aws.faults.list()]
        for fault in faults:
            if fault not in known:
                self.aws.faults.add(fault)

    def _live_endpoint(self) -> None:
        """A live endpoint as somebody made it before us: no capture, no tags of ours."""
        container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/models/incumbent/model.tar.gz"}
        self.sagemaker.create_model(ModelName="theirs", ExecutionRoleArn=ROLE, Containers=[container])
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": "theirs",
            "InstanceType": "ml.m5.xlarge",
            "InitialInstanceCount": 1,
        }
        self.sagemaker.create_endpoint_config(EndpointConfigName="theirs", ProductionVariants=[variant])
        self.sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName="theirs")
        assert self.settled()["EndpointStatus"] == "InService"

    def settled(self) -> Any:
        """DescribeEndpoint once nothing is under way; None if there is no endpoint."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while self.sagemaker.list_endpoints(NameContains=ENDPOINT)["Endpoints"]:
            found = self.sagemaker.describe_endpoint(EndpointName=ENDPOINT)
            if found["EndpointStatus"] not in ("Creating", "Updating", "RollingBack", "SystemUpdating", "Deleting"):
                return found
            assert time.monotonic() < deadline, f"the endpoint does not come to rest: {found}"
            time.sleep(0.05)
        return None

    def calls(self, *prefixes: str) -> list[Call]:
        """The calls of processes whose names begin so, in their order."""
        return [call for call in self.aws.calls() if call.principal.startswith(prefixes)]

    @contextmanager
    def caller(self, log: Path) -> Iterator[list[str]]:
        """Somebody who sends requests all the time; the failures are known when the with block has ended.

        Where the endpoint does not exist yet, they begin as soon as it answers for the first time.
        """
        failures: list[str] = []
        process = fork(lambda line: _call(self.aws.endpoint_url, line), log)
        try:
            yield failures
            process.line.send("stop")
            failures += process.line.recv()
        finally:
            process.end(signal.SIGKILL)


def _call(endpoint_url: str, line: Connection) -> None:
    address = urlsplit(endpoint_url)
    failures: list[str] = []
    answered = False
    number = 0
    server = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    due = time.monotonic()
    while True:
        due += 1 / _CALLS_PER_SECOND
        if line.poll(max(0.0, due - time.monotonic())):
            line.recv()
            line.send(failures)
            return
        number += 1
        headers = {"Content-Type": "text/csv", "X-Amzn-SageMaker-Inference-Id": f"{os.getpid()}-{number}"}
        try:
            server.request("POST", f"/endpoints/{ENDPOINT}/invocations", str(number), headers)
            answer = server.getresponse()
            said = answer.read().decode(errors="replace")
            failed = None if answer.status == 200 else f"{answer.status}: {said}"
        except (OSError, http.client.HTTPException) as error:
            server.close()
            failed = repr(error)
        answered = answered or failed is None
        if failed and answered:
            failures.append(f"request {number}: {failed}")


@contextmanager
def running_cloud() -> Iterator[Cloud]:
    """A local AWS and what the harness does in it."""
    with LocalAWS(SETTINGS) as aws:
        yield Cloud(aws)
