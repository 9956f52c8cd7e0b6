"""The three steps of AWS's page on shadow variants, operator by operator: two models, one config, one endpoint.

Here the endpoint is new, so production is given too. What follows after the wait is left to the reader's own DAG.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from shadow_provider.operators.endpoint import SageMakerShadowEndpointOperator
from shadow_provider.operators.endpoint_config import SageMakerShadowEndpointConfigOperator
from shadow_provider.operators.model import SageMakerShadowModelOperator
from shadow_provider.sensors.endpoint import SageMakerShadowEndpointSensor

ENDPOINT = "{{ params.endpoint_name }}"
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"

with DAG(
    dag_id="example_shadow_steps",
    schedule=None,
    params={
        "endpoint_name": Param("my-endpoint", type="string"),
        "execution_role_arn": Param("arn:aws:iam::123456789012:role/sagemaker-execution", type="string"),
        "bucket": Param("my-bucket", type="string"),
    },
    default_args={"retries": 2},
    tags=["sagemaker", "shadow", "example"],
    doc_md=__doc__,
) as dag:
    production = SageMakerShadowModelOperator(
        task_id="create_production_model",
        endpoint_name=ENDPOINT,
        side="production",
        container={"Image": f"{REGISTRY}/first:1", "ModelDataUrl": "s3://{{ params.bucket }}/first/model.tar.gz"},
        execution_role_arn="{{ params.execution_role_arn }}",
    )
    shadow = SageMakerShadowModelOperator(
        task_id="create_shadow_model",
        endpoint_name=ENDPOINT,
        side="shadow",
        container={"Image": f"{REGISTRY}/second:1", "ModelDataUrl": "s3://{{ params.bucket }}/second/model.tar.gz"},
        execution_role_arn="{{ params.execution_role_arn }}",
    )
    config = SageMakerShadowEndpointConfigOperator(
        task_id="create_endpoint_config",
        endpoint_name=ENDPOINT,
        production_model_name=production.output["model_name"],  # type: ignore[index]
        candidate_model_name=shadow.output["model_name"],  # type: ignore[index]
        production_variant={"InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1, "InitialVariantWeight": 1},
        shadow_variant={"InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1},
        sampling_percentage=100,
        data_capture={"destination_s3_uri": "s3://{{ params.bucket }}/captures"},
    )
    deploy = SageMakerShadowEndpointOperator(
        task_id="deploy_endpoint", endpoint_name=ENDPOINT, wait_for_completion=False
    )
    in_service = SageMakerShadowEndpointSensor(
        task_id="wait_in_service", endpoint_name=ENDPOINT, mode="reschedule", poll_interval=30
    )
    config >> deploy >> in_service
