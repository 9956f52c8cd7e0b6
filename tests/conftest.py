"""Gives Airflow a home of its own before anything imports it: tests never read or write the user's."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

# Found by itself where the project is installed; this is for where it is only on the path.
pytest_plugins = ["pytester", "shadow_provider.local.pytest_plugin"]

_HOME = Path(tempfile.mkdtemp(prefix="shadow-provider-airflow-"))

os.environ["AIRFLOW_HOME"] = str(_HOME)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
    os.environ.pop(name, None)


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    shutil.rmtree(_HOME, ignore_errors=True)
