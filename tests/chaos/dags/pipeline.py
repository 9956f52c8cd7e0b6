"""The task group as the chaos tests run it: on a live endpoint, or making its endpoint; everything else is a Param."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param

from shadow_provider.task_group import shadow_deployment
from tests.chaos.evidence import put_clock_ahead


def pipeline(*, new_endpoint: bool = False, guardrails: Mapping[str, Any] | None = None) -> DAG:
    """Build the DAG."""
    made: dict[str, Any] = {}
    if new_endpoint:
        made = {
            "production_container": {"Image": "{{ params.conf.image }}", "ModelDataUrl": "{{ params.conf.incumbent }}"},
            "production_variant": {"instance_type": "ml.m5.xlarge", "initial_instance_count": 1},
        }
    with DAG(
        dag_id="chaos_new" if new_endpoint else "chaos_live",
        schedule=None,
        params={"conf": Param({}, type="object")},
    ) as dag:
        shadow_deployment(
            endpoint_name="{{ params.conf.endpoint_name }}",
            candidate_container={"Image": "{{ params.conf.image }}", "ModelDataUrl": "{{ params.conf.candidate }}"},
            execution_role_arn="{{ params.conf.role }}",
            data_capture={"DestinationS3Uri": "{{ params.conf.captures }}"},
            policy="{{ params.conf.policy | tojson }}",
            deadline="{{ params.conf.deadline }}",
            poll_interval="{{ params.conf.poll_interval }}",
            look_interval="{{ params.conf.look_interval }}",
            capture_lag="{{ params.conf.capture_lag }}",
            watch_minutes="{{ params.conf.watch_minutes }}",
            metric_lag="{{ params.conf.metric_lag }}",
            guardrails=guardrails,
            timeout=60,
            deferrable=True,
            default_args={"retries": 2, "retry_delay": timedelta(0)},
            **made,
        )
    return dag


dag = pipeline()

if os.environ.get("SHADOW_TEST_CLOCK_AHEAD") == "1":
    put_clock_ahead()
