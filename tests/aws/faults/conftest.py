"""A local AWS that tests may break: one for each module, with its faults cleared after each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from shadow_provider.local import LocalAWS, LocalSettings
from tests.aws.conftest import Cloud, cloud_of


@pytest.fixture(scope="module")
def fragile_aws() -> Iterator[LocalAWS]:
    settings = LocalSettings(seed=3, startup_timeout=4, capture_flush_seconds=0.3, drain_timeout=5)
    with LocalAWS(settings) as made:
        yield made


@pytest.fixture
def running(fragile_aws: LocalAWS) -> Iterator[LocalAWS]:
    yield fragile_aws
    fragile_aws.faults.clear()


@pytest.fixture(scope="module")
def cloud(fragile_aws: LocalAWS, unique: Callable[[str], str]) -> Cloud:
    """Its endpoints live as long as the module: each test has its own."""
    return cloud_of(fragile_aws, unique)


@pytest.fixture(scope="module")
def model(cloud: Cloud) -> str:
    """A model that echoes."""
    return cloud.model()


@pytest.fixture
def plain(cloud: Cloud, model: str) -> str:
    """An endpoint with one variant v."""
    return cloud.endpoint(cloud.config([cloud.variant("v", model)]))
