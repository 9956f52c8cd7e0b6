"""What the demo needs before a deployment: the models in S3 and a live endpoint with the incumbent.

Everything here may be called again, also after a call that broke off half way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from shadow_provider.demo.models import upload_models

if TYPE_CHECKING:
    from shadow_provider.demo.models import ModelArchive

ENDPOINT = "digits"
BASELINE_CONFIG = "digits-baseline"
INCUMBENT_MODEL = "digits-incumbent"
VARIANT = "AllTraffic"
BUCKET = "shadow-demo"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:1"
ROLE = "arn:aws:iam::123456789012:role/sagemaker-execution"

_IN_SERVICE_SECONDS = 60.0
_POLL_SECONDS = 0.2
# Updating and rolling back, the old fleet answers.
_SERVING = frozenset({"InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed"})


class EndpointNotServingError(RuntimeError):
    """The live endpoint did not come into service."""


def store_models(archives: Mapping[str, ModelArchive], s3: Any) -> dict[str, str]:
    """Put the archives into the demo's bucket, which is created if it is missing.

    Args:
        archives: what ``build_models`` returned.
        s3: a boto3 S3 client.

    Returns:
        The S3 URI of each archive.
    """
    ensure_bucket(s3, BUCKET)
    return upload_models(archives, f"s3://{BUCKET}/models", s3)


def ensure_bucket(s3: Any, bucket: str) -> None:
    """Create a bucket in the client's region unless it is there.

    Raises:
        botocore.exceptions.ClientError: S3 refused.
    """
    from botocore.exceptions import ClientError

    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        region = s3.meta.region_name
        # S3 refuses its oldest region as a location constraint.
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=bucket, **place)


def create_live_endpoint(sagemaker: Any, timeout: float = _IN_SERVICE_SECONDS) -> str:
    """Create the endpoint that serves the incumbent, with model and config, as far as they are not there yet.

    An endpoint that is there is left as it is, so a candidate that was promoted keeps serving.

    Args:
        sagemaker: a boto3 SageMaker client.
        timeout: seconds to wait for a new endpoint to be in service.

    Returns:
        The name of the endpoint config that serves.

    Raises:
        EndpointNotServingError: it failed or is still being created when the time is over.
        botocore.exceptions.ClientError: SageMaker refused.
    """
    _create(
        sagemaker.create_model,
        ModelName=INCUMBENT_MODEL,
        ExecutionRoleArn=ROLE,
        Containers=[{"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/models/incumbent/model.tar.gz"}],
    )
    _create(
        sagemaker.create_endpoint_config,
        EndpointConfigName=BASELINE_CONFIG,
        ProductionVariants=[
            {
                "VariantName": VARIANT,
                "ModelName": INCUMBENT_MODEL,
                "InstanceType": "ml.m5.xlarge",
                "InitialInstanceCount": 1,
                "InitialVariantWeight": 1,
            }
        ],
    )
    _create(sagemaker.create_endpoint, EndpointName=ENDPOINT, EndpointConfigName=BASELINE_CONFIG)
    deadline = time.monotonic() + timeout
    while (state := sagemaker.describe_endpoint(EndpointName=ENDPOINT))["EndpointStatus"] == "Creating":
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_SECONDS)
    status = state["EndpointStatus"]
    if status not in _SERVING:
        raise EndpointNotServingError(
            f"the incumbent's endpoint {ENDPOINT} is {status}: {state.get('FailureReason', 'no reason given')}"
        )
    return str(state["EndpointConfigName"])


def _create(call: Callable[..., Any], **request: Any) -> None:
    """Create something, unless SageMaker says that it is there."""
    from botocore.exceptions import ClientError

    from shadow_provider.hooks.aws_errors import is_already_existing

    try:
        call(**request)
    except ClientError as error:
        if not is_already_existing(error):
            raise
