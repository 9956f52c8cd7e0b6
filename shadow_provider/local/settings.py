from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, field_validator

ACCESS_KEY = "local"
SECRET_KEY = "local"  # noqa: S105 - nothing checks it

# AWS's names of the quotas that can be set; the first stands for one quota per instance type.
QUOTA_OF_INSTANCE_TYPE = "{} for endpoint usage"
QUOTA_ACROSS_ENDPOINTS = "Number of instances across active endpoints"
QUOTA_PER_ENDPOINT = "Maximum number of instances per endpoint"
_QUOTA = re.compile(
    rf"{QUOTA_OF_INSTANCE_TYPE.format(r'ml[.][a-z0-9-]+[.][a-z0-9]+')}|{QUOTA_ACROSS_ENDPOINTS}|{QUOTA_PER_ENDPOINT}"
)


class LocalSettings(BaseModel):
    """How the local AWS behaves. Durations are seconds.

    Of AWS's waits, `clock` seconds pass in one second here; request timing is never changed by it. Those durations say
    "AWS seconds".

    What AWS does not document is a named setting here, so that a test can be run under each answer.

    Attributes:
        host: Address to listen on. No signature is checked, so anything but loopback opens it to the network.
        port: TCP port; 0 takes a free one.
        advertise_host: Host name to put into the endpoint_url where clients reach the server under another name than
            `host` (a compose service, say).
        region: The one region all ARNs carry.
        account_id: The one account all ARNs carry.
        clock: AWS seconds that pass in one second here: 60 makes a minute of waiting a second.
        startup_timeout: How long a model process may take to answer GET /ping with 200, in AWS seconds; a variant's
            ContainerStartupHealthCheckTimeoutInSeconds overrides it. AWS: 8 minutes.
        startup_floor: However fast the clock goes, a process gets this many real seconds: it needs them to load.
        provisioning_seconds: Added to every create and update, in place of the minutes that instances take on AWS, in
            AWS seconds.
        invocation_timeout: How long a model may take to answer. AWS: 60 s.
        drain_timeout: How long a fleet that no longer gets traffic may finish what it has, before it is stopped.
        max_payload_bytes: Largest body of InvokeEndpoint. AWS documents 25 MB, its service model says 6,291,456.
        capture_flush_seconds: How long captured records wait before they are written to S3 as one object.
        capture_object_bytes: Captured records of this size become an object before their time is over.
        capture_failed_invocations: What is captured of a call the model failed: its "input", or "none" of it. AWS's
            behaviour is unknown.
        capture_sampling: Whether capture sampling is decided for each variant ("independent") or once for a request
            ("per_request"). AWS's behaviour is unknown.
        capture_event_id: Whether the two variants' records of one request have their own eventId ("independent") or
            the same ("shared"). AWS's behaviour is unknown.
        rollback_failure_reason: Whether an update that an alarm or its time limit rolled back leaves a FailureReason
            ("set") or none ("empty"). Both have been seen on AWS.
        rollback_status: The status while an update rolls back, "Updating" or "RollingBack". AWS's behaviour is unknown.
        alarm_at_start: Whether an alarm that is in ALARM when a deployment starts rolls it back ("rollback"), or counts
            only after it has been in another state ("ignore"). AWS's behaviour is unknown.
        guardrails_with_shadow: What a DeploymentConfig does while the old or the new configuration has a shadow:
            nothing, the update is all at once without baking ("all_at_once"), what it does otherwise ("supported"), or
            the update is "refused". AWS's behaviour is unknown.
        shadow_weight_update: Whether UpdateEndpointWeightsAndCapacities changes a shadow ("supported") or is "refused".
            AWS's behaviour is unknown.
        mirror_share: How the share of requests that a shadow gets follows from the weights: min(1, shadow weight /
            production weight) ("ratio") or min(1, shadow weight) ("shadow_weight"). AWS publishes no formula; both
            agree where the production weight is 1.
        target_variant_shadow: Whether a TargetVariant that names a shadow is "refused", as one that does not exist, or
            "served": the shadow's answer goes to the caller, production is not asked. AWS's behaviour is unknown.
        same_config_update: What UpdateEndpoint to the configuration that is already active does: a "full_update", or it
            is "refused". AWS's behaviour is unknown.
        config_consistency_seconds: How long CreateEndpoint and UpdateEndpoint do not yet see a new endpoint
            configuration, in AWS seconds. AWS: reads may be eventually consistent.
        mirror_queue_size: Copies on their way to one shadow variant before further ones are dropped (and counted).
        shadow_nice: Niceness of shadow processes, so that mirroring does not cost the caller CPU time on this machine.
        metric_resolution: Timestamps of endpoint metrics are rounded down to this, in AWS seconds. AWS: 60 s, or what
            MetricPublishFrequencyInSeconds says.
        metric_lag_seconds: How long after the end of its period a value of any metric can be seen, by readers and by
            alarms, in AWS seconds; with 0 it can be seen at once. AWS: probably 1 to 3 minutes.
        idle_metrics: Whether a period without an invocation has no datapoint of the metrics that count something
            ("none") or zeros ("zero"). AWS's behaviour is unknown.
        quotas: Service quotas by AWS's names: "ml.m5.xlarge for endpoint usage", "Number of instances across active
            endpoints", "Maximum number of instances per endpoint". What is not named is unlimited: AWS's own defaults
            (0 to 4 instances) would stop most tests.
        model_package_approval: Whether CreateModel refuses a model package version that is not Approved ("required", as
            AWS documents) or takes any ("not_required").
        autoscaling_on_delete: Whether DeleteEndpoint deregisters the endpoint's scalable targets ("deregister") or is
            refused while there are any ("refuse", as on AWS for a caller without the permission).
        call_log_size: Calls that the call log keeps; older ones are forgotten.
        seed: Seed of mirror sampling, capture sampling, the choice of variant and the probabilities of faults; None
            draws a fresh one.
        work_dir: Where model data and model logs are kept while running; None makes a temporary directory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    advertise_host: str | None = None
    region: str = "us-east-1"
    account_id: str = Field(default="123456789012", pattern=r"^\d{12}$")
    clock: float = Field(default=1.0, gt=0, le=3600)
    startup_timeout: float = Field(default=480.0, gt=0)
    startup_floor: float = Field(default=10.0, ge=0)
    provisioning_seconds: float = Field(default=0.0, ge=0)
    invocation_timeout: float = Field(default=60.0, gt=0)
    drain_timeout: float = Field(default=10.0, ge=0)
    max_payload_bytes: int = Field(default=25 * 1024 * 1024, gt=0)
    capture_flush_seconds: float = Field(default=5.0, gt=0)
    capture_object_bytes: int = Field(default=4 * 1024 * 1024, ge=1)
    capture_failed_invocations: Literal["input", "none"] = "input"
    capture_sampling: Literal["independent", "per_request"] = "independent"
    capture_event_id: Literal["independent", "shared"] = "independent"
    rollback_failure_reason: Literal["set", "empty"] = "set"
    rollback_status: Literal["Updating", "RollingBack"] = "Updating"
    alarm_at_start: Literal["rollback", "ignore"] = "rollback"
    guardrails_with_shadow: Literal["all_at_once", "supported", "refused"] = "all_at_once"
    shadow_weight_update: Literal["supported", "refused"] = "supported"
    mirror_share: Literal["ratio", "shadow_weight"] = "ratio"
    target_variant_shadow: Literal["refused", "served"] = "refused"
    same_config_update: Literal["full_update", "refused"] = "full_update"
    config_consistency_seconds: float = Field(default=0.0, ge=0)
    mirror_queue_size: int = Field(default=256, ge=1)
    shadow_nice: int = Field(default=15, ge=0, le=19)
    metric_resolution: int = Field(default=60, ge=1)
    metric_lag_seconds: float = Field(default=0.0, ge=0)
    idle_metrics: Literal["none", "zero"] = "none"
    quotas: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    model_package_approval: Literal["required", "not_required"] = "required"
    autoscaling_on_delete: Literal["deregister", "refuse"] = "deregister"
    call_log_size: int = Field(default=10_000, ge=1)
    seed: int | None = None
    work_dir: Path | None = None

    @field_validator("quotas")
    @classmethod
    def _known_quotas(cls, quotas: dict[str, int]) -> dict[str, int]:
        unknown = sorted(name for name in quotas if _QUOTA.fullmatch(name) is None)
        if unknown:
            raise ValueError(f"unknown quotas: {', '.join(unknown)}")
        return quotas

    def real(self, aws_seconds: float) -> float:
        """How long one of AWS's waits is here, in seconds."""
        return aws_seconds / self.clock

    def startup_window(self, aws_seconds: float | None) -> float:
        """How long a model process may take to start, in seconds.

        Args:
            aws_seconds: The variant's own window; None takes AWS's.
        """
        window = self.startup_timeout if aws_seconds is None else aws_seconds
        # Only what the clock takes away is given back: a window that is short without it stays short.
        return max(self.real(window), min(window, self.startup_floor))


@dataclass(frozen=True)
class LocalAddress:
    """Where a running local AWS is reached."""

    endpoint_url: str
    region: str
    pid: int

    @classmethod
    def of(cls, settings: LocalSettings, port: int) -> LocalAddress:
        """The address under which clients reach a server of these settings that listens on `port`."""
        host = settings.advertise_host or settings.host
        if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            host = "127.0.0.1"
        if ":" in host:
            host = f"[{host}]"
        return cls(endpoint_url=f"http://{host}:{port}", region=settings.region, pid=os.getpid())

    @property
    def connection_uri(self) -> str:
        """Airflow connection URI of type aws.

        The amazon provider does not use the connection's endpoint_url for AssumeRole, hence the entry for sts.
        """
        extra = {
            "endpoint_url": self.endpoint_url,
            "region_name": self.region,
            "service_config": {"sts": {"endpoint_url": self.endpoint_url}},
        }
        return f"aws://{ACCESS_KEY}:{SECRET_KEY}@/?" + urlencode({"__extra__": json.dumps(extra)})

    @property
    def environment(self) -> dict[str, str]:
        """Variables that point boto3, the AWS CLI and Airflow at the local AWS."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AIRFLOW_CONN_AWS_DEFAULT": self.connection_uri,
        }

    def to_json(self) -> str:
        """The content of the ready file."""
        return json.dumps({"endpoint_url": self.endpoint_url, "connection_uri": self.connection_uri, "pid": self.pid})
