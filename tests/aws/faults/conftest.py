"""A local AWS that tests may break: one for each module, with its faults cleared after each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from botocore.config import Config

from shadow_provider.local import LocalAWS, LocalSettings, model_archive
from tests.aws.conftest import BUCKET, Cloud


@pytest.fixture(scope="module")
def fragile_aws() -> Iterator[LocalAWS]:
    settings = LocalSettings(seed=3, startup_timeout=4, capture_flush_seconds=0.3, drain_timeout=5)
    with LocalAWS(settings) as made:
        made.boto3_client("s3").create_bucket(Bucket=BUCKET)
        yield made


@pytest.fixture
def running(fragile_aws: LocalAWS) -> Iterator[LocalAWS]:
    yield fragile_aws
    fragile_aws.faults.clear()


@pytest.fixture(scope="module")
def cloud(fragile_aws: LocalAWS, unique: Callable[[str], str]) -> Cloud:
    """Its endpoints live as long as the module: each test has its own."""

    @cache
    def client(service: str) -> Any:
        return fragile_aws.boto3_client(service, config=Config(retries={"total_max_attempts": 1}, read_timeout=30))

    def upload(name: str, source: str) -> str:
        key = f"models/{name}/model.tar.gz"
        client("s3").put_object(Bucket=BUCKET, Key=key, Body=model_archive(source))
        return f"s3://{BUCKET}/{key}"

    return Cloud(client, upload, unique)


@pytest.fixture(scope="module")
def model(cloud: Cloud) -> str:
    """A model that echoes."""
    return cloud.model()


@pytest.fixture
def plain(cloud: Cloud, model: str) -> str:
    """An endpoint with one variant v."""
    return cloud.endpoint(cloud.config([cloud.variant("v", model)]))
