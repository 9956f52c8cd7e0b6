"""Embeds a shadow deployment in a DAG of one's own: after training, before an announcement, every Monday.

The task group takes templates and results of other tasks wherever it takes values.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.sdk import DAG, task

from shadow_provider.policy.gates import Accuracy, Agreement, InvocationErrorRate, ModelLatency
from shadow_provider.policy.policy import Policy
from shadow_provider.task_group import shadow_deployment

POLICY = Policy(
    minimum_pairs=20_000,
    minimum_hours=24,
    minimum_day_share=1,
    deadline_hours=120,
    gates=(
        InvocationErrorRate(margin=0.001),
        Agreement(minimum=0.95),
        Accuracy(margin=0.005, required=True),
        ModelLatency(percentile="p99", margin=0.10),
    ),
)

with DAG(
    dag_id="example_embedded_shadow_deployment",
    schedule="0 6 * * MON",
    start_date=datetime(2026, 1, 5),  # noqa: DTZ001 - in the timezone of the DAG
    catchup=False,
    max_active_runs=1,
    tags=["sagemaker", "shadow", "example"],
    doc_md=__doc__,
) as dag:

    @task
    def train() -> str:
        """Stand for a training job; return where it put the model."""
        return "s3://my-bucket/models/churn/model.tar.gz"

    @task
    def announce(outcome: dict[str, Any]) -> None:
        """Tell people what serves now."""
        print(f"{outcome['verdict']}: {outcome['reason']}")  # noqa: T201 - a task's log

    trained = train()
    deployment = shadow_deployment(
        endpoint_name="churn",
        candidate_container={
            "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/churn:1",
            "model_data_url": trained,
        },
        execution_role_arn="arn:aws:iam::123456789012:role/sagemaker-execution",
        sampling_percentage=50,
        data_capture={"destination_s3_uri": "s3://my-bucket/captures"},
        ground_truth_s3_uri="s3://my-bucket/ground-truth/churn",
        policy=POLICY,
        deferrable=True,
    )
    announce(deployment.conclude.output)  # type: ignore[arg-type]  # rendered when the task runs
