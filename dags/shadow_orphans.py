"""Looks once a day for what dead deployments left, by tag: configs, models, alarms, shadows that still run, leases.

It only lists, as warnings in the log and in its XCom, unless the Param remove says otherwise; what an endpoint uses is
never removed. SHADOW_ORPHANS_SCHEDULE (cron, in the environment of Airflow's processes) replaces the schedule.
"""

from __future__ import annotations

import os

from airflow.sdk import DAG, Param

from shadow_provider.operators.orphans import SageMakerShadowOrphansOperator

with DAG(
    dag_id="shadow_orphans",
    schedule=os.environ.get("SHADOW_ORPHANS_SCHEDULE") or "@daily",
    catchup=False,
    max_active_runs=1,
    params={
        "endpoint_name": Param(None, "Empty: all.", type=["null", "string"], title="Endpoint"),
        "older_than_hours": Param(
            24.0, "From which age on what has no lease is given up.", type="number", exclusiveMinimum=0,
            title="Older than (hours)",
        ),
        "lease_s3_uri": Param(
            None, "Where the leases lie. Empty: beside each endpoint's captures.", type=["null", "string"],
            pattern="^s3://[^/]+(/.*)?$", title="Leases",
        ),
        "remove": Param(False, "Delete what nothing uses.", type="boolean", title="Remove"),
        "aws_conn_id": Param("aws_default", "Airflow connection to AWS.", type="string", title="AWS connection"),
        "region_name": Param(None, "Empty: the connection's.", type=["null", "string"], title="Region"),
    },
    tags=["sagemaker", "shadow"],
    doc_md=__doc__,
) as dag:  # fmt: skip
    SageMakerShadowOrphansOperator(
        task_id="find_orphans",
        endpoint_name=dag.param("endpoint_name", None),
        older_than="{{ params.older_than_hours * 3600 }}",
        lease_s3_uri=dag.param("lease_s3_uri", None),
        remove=dag.param("remove", False),
        aws_conn_id=dag.param("aws_conn_id", "aws_default"),
        region_name=dag.param("region_name", None),
        retries=2,
    )
