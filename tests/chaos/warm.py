"""What every task's process would have to do first, done once before they are forked."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import boto3
import botocore.loaders
import botocore.session
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

_HEAVY = (
    "duckdb",
    "jinja2",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "numpy",
    "pandas",  # duckdb imports it where it is
    "pyarrow",
    "scipy.stats",
    "shadow_provider.evidence.collect",
    "shadow_provider.evidence.engine.store",
    "shadow_provider.report.build",
    "shadow_provider.report.charts.canvas",
    "shadow_provider.report.charts.forest",
    "shadow_provider.report.page",
    "shadow_provider.triggers.endpoint",
    "shadow_provider.triggers.evidence",
    "shadow_provider.verdict.judge",
    "shadow_provider.verdict.planning",
    "shadow_provider.verdict.record",
    "shadow_provider.verdict.render",
    "airflow.providers.standard.triggers.temporal",
)


def warm_up() -> None:
    """Import what is imported late, and let all boto3 sessions share one loader of service descriptions."""
    for name in _HEAVY:
        importlib.import_module(name)
    loader = botocore.loaders.create_loader()
    loader.search_paths.append(str(Path(boto3.__file__).parent / "data"))
    botocore.session.create_loader = lambda *_: loader
    # Searches the sources of the whole stack for the name of an operator, to be put into the user agent.
    setattr(AwsGenericHook, "_get_caller", lambda *_: "Unknown")  # noqa: B010 - a method, to mypy

    session = boto3.session.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1")
    clients: list[Any] = [
        session.client(name) for name in ("sagemaker", "s3", "cloudwatch", "application-autoscaling", "sts")
    ]
    for client in clients:
        client.close()
