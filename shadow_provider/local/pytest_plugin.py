"""pytest fixtures for whoever tests against the local AWS. pytest finds this module by itself once it is installed.

Nothing is imported and nothing runs before a test asks for one of the fixtures.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from shadow_provider.local import LocalAWS, LocalSettings

_RUNNING: pytest.StashKey[LocalAWS] = pytest.StashKey()


@pytest.fixture(scope="session")
def local_aws_settings() -> LocalSettings:
    """How the local AWS behaves. Override it in the conftest.py at the top, since there is one server in a session.

    The default is fast and repeatable: AWS's minutes of waiting pass in seconds, and chance is seeded.
    """
    from shadow_provider.local import LocalSettings

    return LocalSettings(seed=0, clock=60, capture_flush_seconds=0.5)


@pytest.fixture(scope="session")
def local_aws(request: pytest.FixtureRequest, local_aws_settings: LocalSettings) -> Iterator[LocalAWS]:
    """A running local AWS for the whole session; each worker of pytest-xdist has its own.

    After each test that used it, its faults are removed and its call log is emptied. What tests create stays.
    """
    from shadow_provider.local import LocalAWS

    with LocalAWS(local_aws_settings) as running:
        request.config.stash[_RUNNING] = running
        yield running
        del request.config.stash[_RUNNING]


@pytest.fixture
def fresh_local_aws(local_aws: LocalAWS) -> Iterator[LocalAWS]:
    """The same server, with nothing in it: everything is deleted before the test and after it."""
    local_aws.reset()
    yield local_aws
    local_aws.reset()


@pytest.fixture
def local_aws_env(local_aws: LocalAWS, monkeypatch: pytest.MonkeyPatch) -> LocalAWS:
    """The local AWS, and an environment in which boto3, the AWS CLI and Airflow mean it without being told.

    All other AWS variables and the AWS configuration files of the machine are out of sight while the test runs.
    """
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in local_aws.address.environment.items():
        monkeypatch.setenv(name, value)
    if "boto3" in sys.modules:
        # boto3.client() would go on with the credentials that it found at its first use.
        monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    return local_aws


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Removes the faults and calls that a test leaves behind, after its own fixtures are torn down."""
    running = item.config.stash.get(_RUNNING, None)
    if running is not None and "local_aws" in getattr(item, "fixturenames", ()):
        running.faults.clear()
        running.clear_calls()
