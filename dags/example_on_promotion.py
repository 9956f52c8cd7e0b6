"""Runs when a shadow deployment promoted a model on one endpoint.

The deployment says which asset gets the event: ``shadow_deployment(…, asset="x-sagemaker://endpoint/churn")``. A REJECT
or an INCONCLUSIVE emits none. A ``conclude`` task that is cleared and run again emits the event again: whoever must act
once only keeps the ``deployment_id``.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Asset, task

PROMOTED = Asset("x-sagemaker://endpoint/churn")

with DAG(
    dag_id="example_on_promotion",
    schedule=PROMOTED,
    catchup=False,
    tags=["sagemaker", "shadow", "example"],
    doc_md=__doc__,
) as dag:

    @task(inlets=[PROMOTED])
    def tell(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
        """Say what serves now, with the place of the decision record."""
        told = [event.extra for event in (triggering_asset_events or {}).get(PROMOTED, ())]
        for extra in told:
            print(f"{extra['endpoint']} serves {extra['model']}: {extra['record_uri']}")  # noqa: T201 - a task's log
        return told

    tell()
