"""What every client must be able to do with the local AWS, from the bucket to the deletion.

    python -m tests.clients.scenario <client> <endpoint_url> <good model archive> <model archive whose model raises>

Prints one line of JSON: the client's versions and the operations that were called.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.clients.drivers import DRIVERS, Client, Members, RefusedError

ROLE = "arn:aws:iam::123456789012:role/execution"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:1.5"
ARN = "arn:aws:sagemaker:us-east-1:123456789012"
INVOCATIONS = 6


class Scenario:
    """One client's run; names carry the client's own prefix."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self.called: set[str] = set()

    def name(self, what: str) -> str:
        return f"{self._prefix}-{what}"

    def call(self, service: str, operation: str, **request: Any) -> Members:
        self.called.add(f"{service}.{operation}")
        return self._client.call(service, operation, **request)

    def refused(self, code: str, said: str, service: str, operation: str, **request: Any) -> None:
        refusal = self.refusal(service, operation, **request)
        assert refusal is not None, f"{operation} was not refused"
        assert refusal.code == code, refusal
        assert said in refusal.message, refusal

    def refusal(self, service: str, operation: str, **request: Any) -> RefusedError | None:
        try:
            self.call(service, operation, **request)
        except RefusedError as error:
            return error
        return None

    def run(self, good: bytes, raising: bytes) -> None:
        self.buckets_and_models(good, raising)
        self.configs()
        self.endpoint_serves()
        self.metrics_and_captures()
        self.alarms()
        self.lists()
        self.update()
        self.delete()

    def buckets_and_models(self, good: bytes, raising: bytes) -> None:
        bucket = self.name("bucket")
        self.call("s3", "CreateBucket", Bucket=bucket)
        for kind, archive in (("good", good), ("raising", raising)):
            key = f"{kind}/model.tar.gz"
            self.call("s3", "PutObject", Bucket=bucket, Key=key, Body=archive)
            assert self.call("s3", "GetObject", Bucket=bucket, Key=key)["Body"] == archive
            container = {"Image": IMAGE, "ModelDataUrl": f"s3://{bucket}/{key}", "Environment": {"KIND": kind}}
            made = self.call(
                "sagemaker",
                "CreateModel",
                ModelName=self.name(kind),
                ExecutionRoleArn=ROLE,
                PrimaryContainer=container,
                Tags=[{"Key": "owner", "Value": "grün"}],
            )
            assert made["ModelArn"] == f"{ARN}:model/{self.name(kind)}"
        tags = self.call("sagemaker", "ListTags", ResourceArn=made["ModelArn"])["Tags"]
        assert tags == [{"Key": "owner", "Value": "grün"}]
        assert self.call("sts", "GetCallerIdentity")["Account"] == "123456789012"
        self.refused("NoSuchKey", "does not exist", "s3", "GetObject", Bucket=bucket, Key="none")
        missing = f'Could not find model "{ARN}:model/{self.name("none")}".'
        self.refused("ValidationException", missing, "sagemaker", "DescribeModel", ModelName=self.name("none"))

    def variant(self, name: str, model: str, weight: float) -> Members:
        return {
            "VariantName": name,
            "ModelName": self.name(model),
            "InstanceType": "ml.m5.xlarge",
            "InitialInstanceCount": 1,
            "InitialVariantWeight": weight,
        }

    def configs(self) -> None:
        capture = {
            "EnableCapture": True,
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": f"s3://{self.name('bucket')}/captured",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
        }
        for kind, shadow in (("plain", None), ("shadow", "good"), ("broken", "raising")):
            shadows = {"ShadowProductionVariants": [self.variant("shadow", shadow, 1)]} if shadow else {}
            self.call(
                "sagemaker",
                "CreateEndpointConfig",
                EndpointConfigName=self.name(kind),
                ProductionVariants=[self.variant("production", "raising" if kind == "broken" else "good", 1)],
                DataCaptureConfig=capture,
                **shadows,
            )
        described = self.call("sagemaker", "DescribeEndpointConfig", EndpointConfigName=self.name("shadow"))
        assert described["ShadowProductionVariants"][0]["ModelName"] == self.name("good")
        assert described["DataCaptureConfig"]["InitialSamplingPercentage"] == 100
        self.refused(
            "ValidationException",
            "at 'productionVariants.1.member.modelName' failed to satisfy constraint: Member must satisfy regular",
            "sagemaker",
            "CreateEndpointConfig",
            EndpointConfigName=self.name("wrong"),
            ProductionVariants=[{**self.variant("production", "good", 1), "ModelName": "no_model"}],
        )

    def settled(self) -> Members:
        name = self.name("endpoint")

        def done() -> Any:
            described = self.call("sagemaker", "DescribeEndpoint", EndpointName=name)
            return described if described["EndpointStatus"] not in ("Creating", "Updating") else None

        described: Members = poll(done)
        assert described["EndpointStatus"] == "InService", described
        return described

    def invoke(self, body: bytes, **others: Any) -> Members:
        endpoint = self.name("endpoint")
        return self.call(
            "sagemaker-runtime", "InvokeEndpoint", EndpointName=endpoint, ContentType="text/csv", Body=body, **others
        )

    def endpoint_serves(self) -> None:
        request = {"EndpointName": self.name("endpoint"), "EndpointConfigName": self.name("shadow")}
        self.call("sagemaker", "CreateEndpoint", **request)
        self.refused(
            "ValidationException", "Cannot create already existing endpoint", "sagemaker", "CreateEndpoint", **request
        )
        described = self.settled()
        assert described["EndpointConfigName"] == self.name("shadow")
        assert described["ShadowProductionVariants"][0]["VariantName"] == "shadow"
        for number in range(INVOCATIONS):
            answer = self.invoke(
                b"1,%d\n" % number, InferenceId=f"id {number}", CustomAttributes="trace=1", Accept="text/csv"
            )
            assert answer["Body"] == b"1,%d\n" % number
            assert answer["InvokedProductionVariant"] == "production"
        assert self.invoke(b"1", TargetVariant="production")["ContentType"] == "text/csv"
        self.refused(
            "ValidationError",
            "not found",
            "sagemaker-runtime",
            "InvokeEndpoint",
            EndpointName=self.name("none"),
            Body=b"1",
        )

    def metrics_and_captures(self) -> None:
        now = time.time()
        dimensions = [
            {"Name": "EndpointName", "Value": self.name("endpoint")},
            {"Name": "VariantName", "Value": "shadow"},
        ]
        metric = {"Namespace": "AWS/SageMaker", "MetricName": "Invocations", "Dimensions": dimensions}
        query = {"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
        span = {"StartTime": stamp(now - 600), "EndTime": stamp(now + 600)}

        def counted() -> bool:
            found = self.call("cloudwatch", "GetMetricData", MetricDataQueries=[query], **span)["MetricDataResults"]
            return bool(sum(found[0]["Values"]) >= INVOCATIONS)

        poll(counted)
        points = self.call("cloudwatch", "GetMetricStatistics", **metric, **span, Period=60, Statistics=["Sum"])
        assert sum(point["Sum"] for point in points["Datapoints"]) >= INVOCATIONS
        assert self.call("cloudwatch", "ListMetrics", **metric)["Metrics"][0]["MetricName"] == "Invocations"

        def captured() -> bool:
            found = self.call("s3", "ListObjectsV2", Bucket=self.name("bucket"), Prefix="captured/")
            keys = [item["Key"] for item in found.get("Contents", [])]
            return any("/shadow/" in key for key in keys) and any("/production/" in key for key in keys)

        poll(captured)

    def alarms(self) -> None:
        metric = {"Namespace": self.name("own"), "MetricName": "m"}
        data = [
            {"MetricName": "m", "Value": 1.5, "Unit": "Count"},
            {"MetricName": "m", "Values": [2.0], "Counts": [3.0]},
        ]
        self.call("cloudwatch", "PutMetricData", Namespace=metric["Namespace"], MetricData=data)
        alarm = self.name("alarm")
        rule = {"Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0, "Statistic": "Sum"}
        rule["ComparisonOperator"] = "GreaterThanThreshold"
        self.call("cloudwatch", "PutMetricAlarm", AlarmName=alarm, **metric, **rule)
        self.call("cloudwatch", "SetAlarmState", AlarmName=alarm, StateValue="ALARM", StateReason="asked for")
        shown = self.call("cloudwatch", "DescribeAlarms", AlarmNames=[alarm])["MetricAlarms"]
        assert [(one["AlarmName"], one["Threshold"]) for one in shown] == [(alarm, 1.0)]
        assert self.call("cloudwatch", "DescribeAlarmHistory", AlarmName=alarm)["AlarmHistoryItems"]
        self.call("cloudwatch", "DeleteAlarms", AlarmNames=[alarm])
        assert self.call("cloudwatch", "DescribeAlarms", AlarmNames=[alarm])["MetricAlarms"] == []

    def lists(self) -> None:
        seen: list[str] = []
        more: Members = {}
        while True:
            page = self.call(
                "sagemaker", "ListEndpointConfigs", NameContains=self.name(""), MaxResults=2, SortBy="Name", **more
            )
            seen += [row["EndpointConfigName"] for row in page["EndpointConfigs"]]
            if not page.get("NextToken"):
                break
            more = {"NextToken": page["NextToken"]}
        assert seen == [self.name(kind) for kind in ("shadow", "plain", "broken")]
        assert len(self.call("sagemaker", "ListModels", NameContains=self.name(""))["Models"]) == 2
        found = self.call("sagemaker", "ListEndpoints", NameContains=self.name(""), StatusEquals="InService")
        assert len(found["Endpoints"]) == 1

    def update(self) -> None:
        for kind in ("broken", "plain"):
            request = {"EndpointName": self.name("endpoint"), "EndpointConfigName": self.name(kind)}
            self.call("sagemaker", "UpdateEndpoint", **request)
            self.refused(
                "ValidationException", "Cannot update in-progress endpoint", "sagemaker", "UpdateEndpoint", **request
            )
            assert self.settled()["EndpointConfigName"] == self.name(kind)
            if kind == "broken":
                self.refused(
                    "ModelError",
                    "Received server error (500) from primary",
                    "sagemaker-runtime",
                    "InvokeEndpoint",
                    EndpointName=self.name("endpoint"),
                    Body=b"1",
                )
        assert "ShadowProductionVariants" not in self.settled()

    def delete(self) -> None:
        name = self.name("endpoint")
        self.call("sagemaker", "DeleteEndpoint", EndpointName=name)

        def gone() -> bool:
            refusal = self.refusal("sagemaker", "DescribeEndpoint", EndpointName=name)
            return refusal is not None and refusal.code == "ValidationException"

        poll(gone)
        for kind in ("plain", "shadow", "broken"):
            self.call("sagemaker", "DeleteEndpointConfig", EndpointConfigName=self.name(kind))
        for kind in ("good", "raising"):
            self.call("sagemaker", "DeleteModel", ModelName=self.name(kind))


def poll(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Waits until the condition holds and returns its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {condition}"
        time.sleep(0.05)
    return value


def stamp(seconds: float) -> str:
    """A time as all clients take it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def versions() -> dict[str, str]:
    """Of what the client is made of."""
    found = {}
    for package in ("boto3", "aiobotocore", "botocore", "awscli"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    kind, url, *archives = sys.argv[1:]
    scenario = Scenario(DRIVERS[kind](url), f"{kind}-{version(kind).replace('.', '-')}")
    scenario.run(*(Path(archive).read_bytes() for archive in archives))
    sys.stdout.write(json.dumps({"versions": versions(), "called": sorted(scenario.called)}) + "\n")
