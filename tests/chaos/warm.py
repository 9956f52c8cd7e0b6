"""What every task's process would have to do first, done once before they are forked."""

from __future__ import annotations

import atexit
import gc
import importlib
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import botocore.client
import botocore.hooks
import botocore.loaders
import botocore.session
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

_HEAVY = (
    "airflow.sdk.execution_time.cache",
    "airflow.sdk.execution_time.supervisor",
    "duckdb",
    "jinja2.ext",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "matplotlib.style",
    "numpy",
    "pandas",  # duckdb imports it where it is
    "pyarrow.pandas_compat",
    "scipy.stats",
    "shadow_provider.evidence.collect",
    "shadow_provider.evidence.engine.store",
    "shadow_provider.evidence.production_guard",
    "shadow_provider.evidence.recent_request",
    "shadow_provider.evidence.traffic",
    "shadow_provider.report.build",
    "shadow_provider.report.charts.canvas",
    "shadow_provider.report.charts.forest",
    "shadow_provider.report.page",
    "shadow_provider.triggers.endpoint",
    "shadow_provider.triggers.evidence",
    "shadow_provider.verdict.judge",
    "shadow_provider.verdict.planning",
    "shadow_provider.verdict.production_guard",
    "shadow_provider.verdict.record",
    "shadow_provider.verdict.render",
    "shadow_provider.verdict.watch",
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

    _share_what_botocore_derives()
    session = boto3.session.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1")
    clients: list[Any] = [
        session.client(name) for name in ("sagemaker", "s3", "cloudwatch", "application-autoscaling", "sts")
    ]
    for client in clients:
        client.close()
    # What is there now is there for good: no process that is forked needs to look through it, and to copy it by that.
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)


def _share_what_botocore_derives() -> None:
    """What follows from the service descriptions alone is derived only once: classes of clients, names of events."""
    classes: dict[str, type] = {}
    create_class = botocore.client.ClientCreator._create_client_class

    def once(creator: Any, service: str, model: Any) -> type:
        if service not in classes:
            classes[service] = create_class(creator, service, model)
        return classes[service]

    setattr(botocore.client.ClientCreator, "_create_client_class", once)  # noqa: B010 - a method, to mypy

    aliases: dict[str, str] = {}
    begin = botocore.hooks.EventAliaser.__init__

    def begin_with_aliases(emitter: Any, *args: Any, **kwargs: Any) -> None:
        begin(emitter, *args, **kwargs)
        emitter._alias_name_cache = aliases

    setattr(botocore.hooks.EventAliaser, "__init__", begin_with_aliases)  # noqa: B010 - a method, to mypy

    setattr(botocore.hooks, "accepts_kwargs", cache(botocore.hooks.accepts_kwargs))  # noqa: B010
