"""S3 and CloudWatch in memory, as small as the reading side needs them, and captures to put into them."""

import base64
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

BUCKET, ENDPOINT, PRODUCTION, SHADOW = "bucket", "endpoint", "AllTraffic", "shadow"
START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


class FakeS3:
    def __init__(self, page_size: int = 2) -> None:
        self.objects: dict[str, bytes] = {}
        self.listed: list[str] = []
        self.page_size = page_size

    def put(self, key: str, *lines: bytes, end: bytes = b"\n") -> None:
        self.objects[key] = b"\n".join(lines) + end

    def list_objects_v2(self, **kwargs: Any) -> dict[str, Any]:
        assert kwargs["Bucket"] == BUCKET
        self.listed.append(kwargs["Prefix"])
        after = kwargs.get("StartAfter", "")
        keys = sorted(key for key in self.objects if key.startswith(kwargs["Prefix"]) and key > after)
        first = int(kwargs.get("ContinuationToken", 0))
        page: dict[str, Any] = {"IsTruncated": first + self.page_size < len(keys)}
        if keys:
            page["Contents"] = [
                {"Key": key, "ETag": _etag(self.objects[key]), "Size": len(self.objects[key])}
                for key in keys[first : first + self.page_size]
            ]
        if page["IsTruncated"]:
            page["NextContinuationToken"] = str(first + self.page_size)
        return page

    def get_object(self, **kwargs: Any) -> dict[str, Any]:
        content = self.objects[kwargs["Key"]]
        return {"Body": io.BytesIO(content), "ETag": _etag(content)}

    def put_object(self, **kwargs: Any) -> dict[str, Any]:
        self.objects[kwargs["Key"]] = kwargs["Body"]
        return {"ETag": _etag(kwargs["Body"])}

    def delete_object(self, **kwargs: Any) -> dict[str, Any]:
        self.objects.pop(kwargs["Key"], None)
        return {}


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


class FakeCloudWatch:
    """Answers GetMetricData from raw values; periods are counted from the start."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], list[tuple[datetime, float]]] = defaultdict(list)
        self.calls: list[dict[str, Any]] = []
        self.status: Callable[[str], str] = lambda _: "Complete"
        self.results_a_page = 7
        self.messages: list[dict[str, str]] = []

    def put(self, variant: str, metric: str, moment: datetime, value: float) -> None:
        self.values[variant, metric].append((moment, value))

    def invocation(self, variant: str, moment: datetime, latency: float, *, failed: bool = False) -> None:
        self.put(variant, "Invocations", moment, 1)
        self.put(variant, "Invocation4XXErrors", moment, 0)
        self.put(variant, "Invocation5XXErrors", moment, float(failed))
        self.put(variant, "InvocationModelErrors", moment, float(failed))
        self.put(variant, "ModelLatency", moment, latency)

    def get_metric_data(self, **kwargs: Any) -> dict[str, Any]:
        self.calls.append(kwargs)
        queries = kwargs["MetricDataQueries"]
        assert len(queries) <= 500
        assert kwargs["ScanBy"] == "TimestampAscending"
        first = int(kwargs.get("NextToken", 0))
        page: dict[str, Any] = {
            "MetricDataResults": [self._result(q, kwargs) for q in queries[first : first + self.results_a_page]],
            "Messages": self.messages,
        }
        if first + self.results_a_page < len(queries):
            page["NextToken"] = str(first + self.results_a_page)
        return page

    def _result(self, query: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
        stat = query["MetricStat"]
        assert stat["Period"] in (1, 5, 10, 20, 30) or stat["Period"] % 60 == 0
        utilisation = stat["Metric"]["MetricName"].endswith("Utilization")
        assert stat["Metric"]["Namespace"] == ("/aws/sagemaker/Endpoints" if utilisation else "AWS/SageMaker")
        dimensions = {each["Name"]: each["Value"] for each in stat["Metric"]["Dimensions"]}
        assert dimensions["EndpointName"] == ENDPOINT
        buckets: dict[datetime, list[float]] = defaultdict(list)
        for moment, value in self.values[dimensions["VariantName"], stat["Metric"]["MetricName"]]:
            if request["StartTime"] <= moment < request["EndTime"]:
                number = (moment - request["StartTime"]) // timedelta(seconds=stat["Period"])
                buckets[request["StartTime"] + number * timedelta(seconds=stat["Period"])].append(value)
        return {
            "Id": query["Id"],
            "Timestamps": sorted(buckets),
            "Values": [_statistic(stat["Stat"], buckets[moment]) for moment in sorted(buckets)],
            "StatusCode": self.status(stat["Metric"]["MetricName"]),
        }


def _statistic(name: str, values: list[float]) -> float:
    if name in ("Sum", "Average"):
        return sum(values) / (1 if name == "Sum" else len(values))
    return float(len(values)) if name == "SampleCount" else float(np.percentile(values, float(name[1:])))


def capture(
    inference_id: str | None = "id-1",
    *,
    time: datetime | str = START,
    given: str | None = "1,2,3",
    answer: str | None = "1",
    encoding: str = "CSV",
    media: str = "text/csv",
) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if given is not None:
        data["endpointInput"] = {"observedContentType": "text/csv", "mode": "INPUT", "data": given, "encoding": "CSV"}
    if answer is not None:
        text = base64.b64encode(answer.encode()).decode() if encoding == "BASE64" else answer
        data["endpointOutput"] = {"observedContentType": media, "mode": "OUTPUT", "data": text, "encoding": encoding}
    metadata = {"eventId": "e", "inferenceTime": time if isinstance(time, str) else f"{time:%Y-%m-%dT%H:%M:%SZ}"}
    if inference_id is not None:
        metadata["inferenceId"] = inference_id
    return {"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}


def line(document: Any) -> bytes:
    return json.dumps(document).encode()


def capture_key(variant: str, moment: datetime = START, name: str = "00-00-000-a", prefix: str = "capture") -> str:
    return f"{prefix}/{ENDPOINT}/{variant}/{moment:%Y/%m/%d/%H}/{name}.jsonl"


def truth(inference_id: str, label: str, encoding: str = "CSV") -> dict[str, Any]:
    return {
        "groundTruthData": {"data": label, "encoding": encoding},
        "eventMetadata": {"eventId": inference_id},
        "eventVersion": "0",
    }
