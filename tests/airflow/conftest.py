"""Real DAG runs against a local AWS: live endpoints with traffic, and an Airflow of their own."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config

from shadow_provider.demo.airflow_run import AirflowHome, DagRun
from shadow_provider.local import LocalAWS, LocalSettings, model_archive
from tests.aws.conftest import poll

ROOT = Path(__file__).parents[2]
BUCKET = "airflow-tests"
ROLE = "arn:aws:iam::123456789012:role/execution"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:1.5"
GROUP = "shadow_deployment."

# A classifier of numbers; the bad one is wrong about every third.
GOOD = """
def model_fn(model_dir): return None
def transform_fn(model, body, content_type, accept):
    return str(int(body) % 10), "text/csv"
"""
BAD = """
def model_fn(model_dir): return None
def transform_fn(model, body, content_type, accept):
    number = int(body)
    return str(number % 10 if number % 3 else 99), "text/csv"
"""
BROKEN = """
def model_fn(model_dir): raise RuntimeError("no weights")
"""

POLICY = {
    "minimum_pairs": 300,
    "block_seconds": 1,
    "look_interval_seconds": 1,
    "gates": [
        {"metric": "invocation_error_rate", "margin": 0.05},
        {"metric": "paired_error_rate", "margin": 0.05},
        {"metric": "agreement", "minimum": 0.9},
    ],
}


@dataclass
class Callers:
    """Callers of one endpoint: they send until told to stop, and remember every failure."""

    runtime: Any
    endpoint: str
    rate: float = 80.0
    sent: int = 0
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> Callers:
        self._threads = [threading.Thread(target=self._send, args=(offset,), daemon=True) for offset in range(2)]
        for thread in self._threads:
            thread.start()
        return self

    def _send(self, offset: int) -> None:
        due = time.monotonic()
        for number in itertools.count(offset, 2):
            due += 2 / self.rate
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            try:
                self.runtime.invoke_endpoint(
                    EndpointName=self.endpoint,
                    ContentType="text/csv",
                    InferenceId=f"{self.endpoint}-{number}",
                    Body=str(number).encode(),
                )
            except Exception as error:
                self.failures.append(repr(error))
            self.sent += 1

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@dataclass
class World:
    """A local AWS with models in it, and what a test does there."""

    aws: LocalAWS
    home: Callable[..., AirflowHome]
    unique: Callable[[str], str]

    def __post_init__(self) -> None:
        once = Config(retries={"total_max_attempts": 1}, max_pool_connections=16)
        self.sagemaker = self.aws.boto3_client("sagemaker")
        self.runtime = self.aws.boto3_client("sagemaker-runtime", config=once)
        self.s3 = self.aws.boto3_client("s3")

    def model_data(self, source: str) -> str:
        key = f"models/{self.unique('data')}/model.tar.gz"
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=model_archive(source))
        return f"s3://{BUCKET}/{key}"

    def live_endpoint(self, source: str = GOOD) -> str:
        """A live endpoint as somebody made it before us: no capture, no tags of ours."""
        name = self.unique("live")
        container = {"Image": IMAGE, "ModelDataUrl": self.model_data(source)}
        self.sagemaker.create_model(ModelName=f"{name}-model", ExecutionRoleArn=ROLE, Containers=[container])
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": f"{name}-model",
            "InstanceType": "ml.m5.xlarge",
            "InitialInstanceCount": 1,
        }
        self.sagemaker.create_endpoint_config(EndpointConfigName=f"{name}-config", ProductionVariants=[variant])
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-config")
        assert self.settled(name)["EndpointStatus"] == "InService"
        return name

    def settled(self, endpoint: str) -> Any:
        def done() -> Any:
            found = self.sagemaker.describe_endpoint(EndpointName=endpoint)
            return found if found["EndpointStatus"] not in ("Creating", "Updating") else None

        return poll(done)

    def serving(self, endpoint: str) -> tuple[str, str, int]:
        """Active config, production's model, and the number of shadow variants."""
        found = self.sagemaker.describe_endpoint(EndpointName=endpoint)
        assert found["EndpointStatus"] == "InService"
        config = self.sagemaker.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
        model = config["ProductionVariants"][0]["ModelName"]
        return found["EndpointConfigName"], model, len(found.get("ShadowProductionVariants", []))

    def names(self, kind: str, containing: str) -> list[str]:
        """Names of all models or endpoint configs whose name contains a text."""
        pages = self.sagemaker.get_paginator(f"list_{kind}").paginate(NameContains=containing)
        key = {"models": "ModelName", "endpoint_configs": "EndpointConfigName"}[kind]
        return sorted(
            item[key] for page in pages for items in page.values() if isinstance(items, list) for item in items
        )

    def callers(self, endpoint: str) -> Callers:
        return Callers(self.runtime, endpoint)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    settings = LocalSettings(seed=11, capture_flush_seconds=0.5, startup_timeout=15, drain_timeout=5, shadow_nice=0,
                             metric_resolution=1)  # fmt: skip
    numbers = itertools.count(1)
    with LocalAWS(settings) as aws:
        aws.boto3_client("s3").create_bucket(Bucket=BUCKET)
        homes: dict[Path, AirflowHome] = {}

        def home(dags: Path, **environment: str) -> AirflowHome:
            if dags not in homes:
                homes[dags] = AirflowHome(tmp_path_factory.mktemp("airflow"), dags, aws.connection_uri)
                homes[dags].prepare()
            homes[dags].environment.update(environment)
            return homes[dags]

        yield World(aws, home, lambda prefix: f"{prefix}-{next(numbers)}")


@pytest.fixture
def run_reference_dag(world: World) -> Callable[[dict[str, Any]], tuple[DagRun, AirflowHome]]:
    """Run dags/shadow_deployment.py once with the given Params."""

    def run(conf: dict[str, Any]) -> tuple[DagRun, AirflowHome]:
        home = world.home(ROOT / "dags")
        defaults = {
            "candidate_image": IMAGE,
            "execution_role_arn": ROLE,
            "capture_s3_uri": f"s3://{BUCKET}/captures",
            "policy": POLICY,
            "deadline_hours": 0.02,
            "poll_interval_seconds": 1.0,
            "capture_lag_seconds": 1.0,
            "watch_minutes": 5 / 60,
            "metric_lag_seconds": 1.0,
        }
        return home.run(ROOT / "dags" / "shadow_deployment.py", defaults | conf, lambda *_: None), home

    return run
