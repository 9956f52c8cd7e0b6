"""Evidence that is there at once: captures and metrics put where SageMaker puts them, and a clock that is ahead.

A verdict needs a dozen blocks of at least a second. The captures of fifteen seconds after the shadow config was made
are written before the evaluation begins, and its processes believe that these have passed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from shadow_provider.evidence.window import rounded_up
from shadow_provider.operators import evaluate
from tests.chaos.scenarios import BUCKET, ENDPOINT, Scenario

_BLOCKS = 15
_A_BLOCK = 10
_AHEAD = timedelta(seconds=20)


def _ahead() -> datetime:
    return datetime.now(tz=UTC) + _AHEAD


def put_clock_ahead(put: Callable[[Any, str, Any], None] = setattr) -> None:
    """For this process and those that it forks."""
    put(evaluate, "now", _ahead)


def put_evidence(cloud: Any, scenario: Scenario) -> bool:
    """Write the evidence of the deployment whose shadow runs; whether there is one."""
    found = cloud.sagemaker.describe_endpoint(EndpointName=ENDPOINT)
    shadows = found.get("ShadowProductionVariants")
    if not shadows:
        return False
    config = cloud.sagemaker.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
    start = rounded_up(config["CreationTime"], 1)
    production = config["ProductionVariants"][0]["VariantName"]
    for variant, agrees in ((production, True), (shadows[0]["VariantName"], scenario.agrees)):
        objects: dict[str, str] = {}
        metrics: list[dict[str, Any]] = []
        for block in range(_BLOCKS):
            at = start + timedelta(seconds=block)
            key = f"captures/{ENDPOINT}/{variant}/{at:%Y/%m/%d/%H}/evidence-{config['CreationTime']:%H%M%S%f}.jsonl"
            lines = [_line(f"{block}-{number}", at, number, agrees=agrees) for number in range(_A_BLOCK)]
            objects[key] = objects.get(key, "") + "".join(lines)
            metrics += _metrics(variant, at)
        for key, body in objects.items():
            cloud.s3.put_object(Bucket=BUCKET, Key=key, Body=body.encode())
        cloud.cloudwatch.put_metric_data(Namespace="AWS/SageMaker", MetricData=metrics)
    return True


def _metrics(variant: str, at: datetime) -> list[dict[str, Any]]:
    dimensions = [{"Name": "EndpointName", "Value": ENDPOINT}, {"Name": "VariantName", "Value": variant}]
    zeros = [0.0] * _A_BLOCK
    values = {
        "Invocations": [1.0] * _A_BLOCK,
        "Invocation4XXErrors": zeros,
        "Invocation5XXErrors": zeros,
        "InvocationModelErrors": zeros,
        "ModelLatency": [2000.0 + number for number in range(_A_BLOCK)],
    }
    return [
        {"MetricName": name, "Dimensions": dimensions, "Timestamp": at, "Values": each} for name, each in values.items()
    ]


def _line(inference_id: str, at: datetime, number: int, *, agrees: bool) -> str:
    data = {"observedContentType": "text/csv", "encoding": "CSV"}
    record = {
        "captureData": {
            "endpointInput": {**data, "mode": "INPUT", "data": str(number)},
            "endpointOutput": {**data, "mode": "OUTPUT", "data": str(number % 10) if agrees else "99"},
        },
        "eventMetadata": {
            "eventId": f"event-{inference_id}",
            "inferenceId": inference_id,
            "inferenceTime": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        },
        "eventVersion": "0",
    }
    return json.dumps(record) + "\n"
