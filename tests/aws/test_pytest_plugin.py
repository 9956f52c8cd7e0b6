"""The pytest plugin as a stranger uses it: in a project of its own, in a pytest process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from shadow_provider.local import LocalAWS, pytest_plugin

ROOT = Path(__file__).parents[2]
PLUGIN = "shadow_provider.local.pytest_plugin"

TESTS = """
import os
import boto3
import pytest
from shadow_provider.local.faults import ApiFault

URLS = set()

def test_a_running_server(local_aws):
    URLS.add(local_aws.endpoint_url)
    s3 = local_aws.boto3_client("s3")
    s3.create_bucket(Bucket="stays")
    local_aws.faults.add(ApiFault(kind="throttle", operation="ListModels"))
    assert [call.operation for call in local_aws.calls()] == ["CreateBucket"]

def test_faults_and_calls_of_the_test_before_are_gone(local_aws):
    URLS.add(local_aws.endpoint_url)
    assert local_aws.faults.list() == []
    assert local_aws.calls() == []
    assert [b["Name"] for b in local_aws.boto3_client("s3").list_buckets()["Buckets"]] == ["stays"]

def test_a_fresh_one_is_empty(fresh_local_aws):
    URLS.add(fresh_local_aws.endpoint_url)
    assert fresh_local_aws.boto3_client("s3").list_buckets()["Buckets"] == []
    fresh_local_aws.boto3_client("s3").create_bucket(Bucket="goes")

def test_a_fresh_one_leaves_nothing(local_aws):
    assert local_aws.boto3_client("s3").list_buckets()["Buckets"] == []

def test_there_was_one_server():
    assert len(URLS) == 1

def test_the_environment_leads_to_it(local_aws_env):
    assert local_aws_env.settings.seed == 42
    boto3.client("s3").create_bucket(Bucket="through-the-environment")
    assert local_aws_env.calls()[-1].principal == "local"
    assert os.environ["AIRFLOW_CONN_AWS_DEFAULT"] == local_aws_env.connection_uri
    assert "AWS_PROFILE" not in os.environ

def test_the_environment_is_as_before():
    assert os.environ["AWS_PROFILE"] == "production"
    assert "AIRFLOW_CONN_AWS_DEFAULT" not in os.environ
"""

CONFTEST = """
import pytest
from shadow_provider.local import LocalSettings

@pytest.fixture(scope="session")
def local_aws_settings():
    return LocalSettings(seed=42)
"""

# What the machine's own configuration could lead astray.
HOSTILE = {"AWS_PROFILE": "production", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1", "AWS_SESSION_TOKEN": "stale"}


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    # pytester gives the process another home; the code under test is still found.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeconftest(CONFTEST)
    return pytester


def test_its_fixtures_do_what_they_say(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    project.makepyfile(TESTS)
    project.runpytest_subprocess("-p", PLUGIN, "-q").assert_outcomes(passed=7)


def test_a_session_that_does_not_ask_for_it_starts_nothing(project: pytest.Pytester) -> None:
    project.makepyfile("""
        import sys

        def test_nothing_was_loaded():
            heavy = {"shadow_provider.local.launcher", "pydantic", "botocore", "boto3", "airflow", "moto", "uvicorn"}
            assert not heavy & set(sys.modules)
    """)
    project.makeconftest("")
    project.runpytest_subprocess("-p", PLUGIN, "-q").assert_outcomes(passed=1)


def test_its_fixtures_are_documented_for_pytest_itself(project: pytest.Pytester) -> None:
    project.makeconftest("")
    listed = project.runpytest_subprocess("-p", PLUGIN, "--fixtures").stdout.str()
    section = listed.partition(f"fixtures defined from {PLUGIN}")[2]
    assert all(name in section for name in ("local_aws_settings", "local_aws [", "fresh_local_aws", "local_aws_env"))
    assert "no docstring available" not in section


def test_the_settings_can_be_overridden_and_have_a_default(project: pytest.Pytester) -> None:
    project.makeconftest("")
    project.makepyfile(
        "def test_default(local_aws): assert (local_aws.settings.seed, local_aws.settings.clock) == (0, 60)"
    )
    project.runpytest_subprocess("-p", PLUGIN, "-q").assert_outcomes(passed=1)


def test_it_may_be_listed_where_it_is_found_already(project: pytest.Pytester) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    # Under another name pytest would refuse the second registration.
    assert declared == {PLUGIN: pytest_plugin.__name__}
    project.makeconftest(f"pytest_plugins = ['{PLUGIN}']\n")
    project.makepyfile("def test_it(): pass")
    project.runpytest_subprocess("-p", PLUGIN, "-q").assert_outcomes(passed=1)


def test_pytest_finds_it_by_itself_where_the_project_is_installed(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What an installer leaves of the entry points, made from those that are declared.
    metadata = project.mkdir("site") / "local_aws_plugin-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: local-aws-plugin\nVersion: 1\n")
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    lines = [f"{name} = {target}" for name, target in declared.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(metadata.parent), os.environ["PYTHONPATH"]]))
    project.makepyfile("def test_seed(local_aws_settings): assert local_aws_settings.seed == 42")
    project.runpytest_subprocess("-q").assert_outcomes(passed=1)
    project.makeconftest(f"pytest_plugins = ['{PLUGIN}']\n{CONFTEST}")
    project.runpytest_subprocess("-q").assert_outcomes(passed=1)


def test_our_own_tests_use_it(local_aws: LocalAWS) -> None:
    assert local_aws.settings.seed == 7


def test_two_sessions_at_once_do_not_meet(project: pytest.Pytester) -> None:
    project.makepyfile("""
        def test_alone(local_aws):
            s3 = local_aws.boto3_client("s3")
            assert s3.list_buckets()["Buckets"] == []
            s3.create_bucket(Bucket="mine")
    """)
    command = [sys.executable, "-m", "pytest", "-p", PLUGIN, "-q", "-p", "no:cacheprovider"]
    sessions = [subprocess.Popen(command, cwd=project.path, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for session in sessions:
        output, _ = session.communicate(timeout=60)
        assert session.returncode == 0, output
