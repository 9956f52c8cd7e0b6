"""The same scenario through every client that is supported, each in its own environment.

aiobotocore and the CLI pin botocore, so they cannot share the project's environment: `make test-clients` builds theirs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shadow_provider.local import LocalAWS, LocalSettings
from shadow_provider.local.packing import model_archive

ROOT = Path(__file__).parents[2]
ECHO = "def model_fn(d):\n    pass\n\ndef transform_fn(model, body, kind, accept):\n    return body, kind\n"
RAISING = "def model_fn(d):\n    pass\n\ndef predict_fn(data, model):\n    raise ValueError('no')\n"
CLIENTS = {
    "boto3": ("boto3", Path(sys.executable)),
    "boto3-lowest": ("boto3", None),
    "aiobotocore": ("aiobotocore", None),
    "aiobotocore-lowest": ("aiobotocore", None),
    "awscli": ("awscli", None),
}


@pytest.fixture(scope="module")
def running() -> Iterator[LocalAWS]:
    # A change takes a second: the CLI is not quicker than that with its next call.
    with LocalAWS(LocalSettings(seed=7, capture_flush_seconds=0.2, clock=60, provisioning_seconds=60)) as aws:
        yield aws


@pytest.mark.parametrize("name", CLIENTS)
def test_every_client_can_do_everything(running: LocalAWS, tmp_path: Path, name: str) -> None:
    kind, python = CLIENTS[name]
    python = python or ROOT / f".venv-clients-{name}" / "bin" / "python"
    if not python.exists():
        pytest.fail(f"{python} is not there: make test-clients makes it")
    archives = []
    for model, source in (("good", ECHO), ("raising", RAISING)):
        path = tmp_path / f"{model}.tar.gz"
        path.write_bytes(model_archive(files={"code/inference.py": source}))
        archives.append(str(path))
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PYTHON"))},
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    ran = subprocess.run(
        [python, "-m", "tests.clients.scenario", kind, running.endpoint_url, *archives],
        capture_output=True,
        text=True,
        timeout=180,
        env=environment,
        cwd=ROOT,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    assert len(json.loads(ran.stdout)["called"]) == 29
