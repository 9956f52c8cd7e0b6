"""The task group in other ways than the reference DAG: waits on workers, and calls that die once."""

from __future__ import annotations

import functools
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Param

from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.task_group import shadow_deployment

CHANGES = (
    "ensure_model",
    "ensure_endpoint_config",
    "create_endpoint",
    "update_endpoint",
    "write_document_once",
    "delete_model",
    "delete_endpoint_config",
)


def die_once_after(verb: str, marks: Path) -> None:
    """Let the first call of a verb take effect and then end the try, as if the worker had died just after it."""
    original = getattr(SageMakerShadowHook, verb)

    @functools.wraps(original)
    def dying(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        mark = marks / verb
        if not mark.exists():
            mark.touch()
            raise RuntimeError(f"died just after {verb}")
        return result

    setattr(SageMakerShadowHook, verb, dying)


if marks := os.environ.get("SHADOW_TEST_DEATH_MARKS"):
    for name in CHANGES:
        die_once_after(name, Path(marks))

CONF = Param({}, type="object")


def pipeline(dag_id: str, *, deferrable: bool) -> DAG:
    """Build the whole pipeline from one Param with everything in it."""
    with DAG(dag_id=dag_id, schedule=None, params={"conf": CONF}) as dag:
        shadow_deployment(
            endpoint_name="{{ params.conf.endpoint_name }}",
            candidate_container={
                "Image": "{{ params.conf.image }}",
                "ModelDataUrl": "{{ params.conf.candidate }}",
                "Environment": {"SETTING": "{{ var.value.get('shadow_test_setting', 'none') }}"},
            },
            execution_role_arn="{{ params.conf.role }}",
            data_capture={"DestinationS3Uri": "{{ params.conf.captures }}"},
            policy="{{ params.conf.policy | tojson }}",
            deadline="{{ params.conf.deadline }}",
            poll_interval="{{ params.conf.poll_interval }}",
            look_interval="{{ params.conf.poll_interval }}",
            capture_lag="{{ params.conf.capture_lag }}",
            watch_minutes="{{ params.conf.watch_minutes }}",
            metric_lag="{{ params.conf.capture_lag }}",
            deferrable=deferrable,
            default_args={"retries": 3, "retry_delay": timedelta(0)},
        )
    return dag


dag = pipeline("pipeline", deferrable=os.environ.get("SHADOW_TEST_DEFERRABLE") == "1")
