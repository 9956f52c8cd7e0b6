"""One local AWS for all tests, and models small enough to start in a tenth of a second."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
from botocore.config import Config

from shadow_provider.local import LocalAWS, LocalSettings, model_archive
from tests.aws.answers import check_answers

BUCKET = "models-and-captures"
ROLE = "arn:aws:iam::123456789012:role/execution"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:1.5"

ECHO = """
def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    return body, content_type
"""

NUMBERED = "def model_fn(d): return {n}\ndef transform_fn(m, b, c, a): return str(m), 'text/csv'"

CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


def poll(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Waits until the condition holds and returns its value; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {condition}"
        time.sleep(0.02)
    return value


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., Any]:
    return poll


@pytest.fixture(scope="session")
def local_aws_settings() -> LocalSettings:
    return LocalSettings(seed=7, capture_flush_seconds=0.5, startup_timeout=15, drain_timeout=5)


@pytest.fixture(scope="session")
def local_aws(local_aws: LocalAWS) -> LocalAWS:
    """The plugin's, with the bucket that everything here is put into."""
    local_aws.boto3_client("s3").create_bucket(Bucket=BUCKET)
    return local_aws


@pytest.fixture(scope="session")
def aws(local_aws: LocalAWS) -> Callable[[str], Any]:
    """Clients that never retry: a test must see the first answer. Every answer of SageMaker must have its shape."""

    @cache
    def client(service: str) -> Any:
        config = Config(retries={"total_max_attempts": 1}, max_pool_connections=64, read_timeout=30)
        made = local_aws.boto3_client(service, config=config)
        if service == "sagemaker":
            check_answers(made)
        return made

    return client


@pytest.fixture(scope="session")
def unique() -> Callable[[str], str]:
    numbers = itertools.count(1)
    return lambda prefix: f"{prefix}-{next(numbers)}"


@pytest.fixture(scope="session")
def make_model_archive(aws: Callable[[str], Any]) -> Callable[..., str]:
    """Uploads a model.tar.gz with code/inference.py and returns its S3 URI."""

    def make(name: str, inference_source: str) -> str:
        key = f"models/{name}/model.tar.gz"
        aws("s3").put_object(Bucket=BUCKET, Key=key, Body=model_archive(inference_source))
        return f"s3://{BUCKET}/{key}"

    return make


class Cloud:
    """The calls that most tests need, as plain boto3."""

    def __init__(self, aws: Callable[[str], Any], make_model_archive: Any, unique: Callable[[str], str]) -> None:
        self.sagemaker = aws("sagemaker")
        self.runtime = aws("sagemaker-runtime")
        self.s3 = aws("s3")
        self.cloudwatch = aws("cloudwatch")
        self.bucket = BUCKET
        self._archive = make_model_archive
        self._unique = unique
        self.endpoints: list[str] = []

    def model(self, source: str = ECHO, **container: Any) -> str:
        name = self._unique("model")
        container.setdefault("ModelDataUrl", self._archive(name, source))
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, Containers=[{"Image": IMAGE, **container}])
        return name

    @staticmethod
    def variant(name: str, model: str, **changes: Any) -> dict[str, Any]:
        return {
            "VariantName": name,
            "ModelName": model,
            "InstanceType": "ml.m5.xlarge",
            "InitialInstanceCount": 1,
            "InitialVariantWeight": 1,
            **changes,
        }

    def config(
        self, production: list[dict[str, Any]], shadow: list[dict[str, Any]] | None = None, **others: Any
    ) -> str:
        name = self._unique("config")
        shadows = {"ShadowProductionVariants": shadow} if shadow else {}
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=production, **shadows, **others
        )
        return name

    def capture_config(self, prefix: str, percentage: int = 100) -> dict[str, Any]:
        return {
            "EnableCapture": True,
            "InitialSamplingPercentage": percentage,
            "DestinationS3Uri": f"s3://{BUCKET}/{prefix}",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {
                "CsvContentTypes": ["text/csv"],
                "JsonContentTypes": ["application/json"],
            },
        }

    def endpoint(self, config: str, *, wait: bool = True, **others: Any) -> str:
        name = self._unique("endpoint")
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config, **others)
        self.endpoints.append(name)
        if wait:
            described = self.settled(name)
            assert described["EndpointStatus"] == "InService", described.get("FailureReason")
        return name

    def describe(self, name: str) -> Any:
        return self.sagemaker.describe_endpoint(EndpointName=name)

    def settled(self, name: str) -> Any:
        """DescribeEndpoint once no change is under way."""

        def done() -> Any:
            described = self.describe(name)
            return described if described["EndpointStatus"] not in CHANGING else None

        return poll(done)

    def gone(self, name: str) -> bool:
        listed = self.sagemaker.list_endpoints(NameContains=name)["Endpoints"]
        return name not in [endpoint["EndpointName"] for endpoint in listed]

    def delete(self, name: str) -> None:
        self.sagemaker.delete_endpoint(EndpointName=name)
        poll(lambda: self.gone(name))

    def invoke(self, name: str, body: bytes = b"1,2\n", **others: Any) -> Any:
        options = {"ContentType": "text/csv", **others}
        return self.runtime.invoke_endpoint(EndpointName=name, Body=body, **options)

    def objects(self, prefix: str) -> dict[str, bytes]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return {key: self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


def cloud_of(running: LocalAWS, unique: Callable[[str], str]) -> Cloud:
    """The same for a local AWS of one's own; its clients never retry either."""

    @cache
    def client(service: str) -> Any:
        config = Config(retries={"total_max_attempts": 1}, max_pool_connections=64, read_timeout=30)
        return running.boto3_client(service, config=config)

    def upload(name: str, source: str) -> str:
        key = f"models/{name}/model.tar.gz"
        client("s3").put_object(Bucket=BUCKET, Key=key, Body=model_archive(source))
        return f"s3://{BUCKET}/{key}"

    client("s3").create_bucket(Bucket=BUCKET)
    return Cloud(client, upload, unique)


@contextmanager
def traffic(cloud: Cloud, name: str, **options: Any) -> Iterator[list[Any]]:
    """Callers that never stop; gives the list of their answers, or of the exceptions they got.

    Args:
        cloud: where.
        name: the endpoint.
        options: of each request, as InvokeEndpoint names them.
    """
    seen: list[Any] = []
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            try:
                seen.append(cloud.invoke(name, **options)["Body"].read())
            except Exception as error:
                seen.append(error)
            time.sleep(0.005)

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    try:
        yield seen
    finally:
        stop.set()
        for caller in callers:
            caller.join()


@pytest.fixture
def cloud(
    aws: Callable[[str], Any], make_model_archive: Callable[..., str], unique: Callable[[str], str]
) -> Iterator[Any]:
    made = Cloud(aws, make_model_archive, unique)
    yield made
    for name in made.endpoints:
        if not made.gone(name) and made.settled(name):
            made.sagemaker.delete_endpoint(EndpointName=name)


@pytest.fixture
def status(local_aws: LocalAWS) -> Callable[[str], Any]:
    """What the status page says of an endpoint."""
    return lambda name: next(item for item in local_aws.status()["endpoints"] if item["name"] == name)
