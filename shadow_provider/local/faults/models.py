"""Faults that a running local AWS can be told to have: what goes wrong, where, and how often."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

LONGEST = 86_400.0
CAPACITY_REASON = (
    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. "
    "Please retry using a different ML instance type or after some time."
)


class _Fault(BaseModel):
    """What all faults have in common.

    Attributes:
        times: How often it fires at most; None is without limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    times: int | None = Field(default=None, ge=1)

    @property
    def limit(self) -> int | None:
        """How often it fires at most, once the defaults of its kind are applied."""
        return self.times


class _Counted(_Fault):
    """A fault that meets many calls, requests or records and fires at some of them.

    Attributes:
        nth: Fires only at the n-th that matches, counted from when the fault was added.
        probability: Of firing, each time it matches.
    """

    nth: int | None = Field(default=None, ge=1)
    probability: float = Field(default=1.0, gt=0, le=1)

    @property
    def limit(self) -> int | None:
        """The n-th comes once."""
        return 1 if self.nth is not None else self.times

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> Self:
        if self.nth is not None and (self.times is not None or self.probability < 1):
            raise ValueError("nth excludes times and probability")
        return self


_AnyFault = TypeVar("_AnyFault", bound=_Fault)


def _only(fault: _AnyFault, kind: str, seconds: float | None, wants: str) -> _AnyFault:
    """A length of time belongs to one kind of a fault, which cannot do without."""
    if (kind == wants) != (seconds is not None):
        raise ValueError(f"kind {kind} needs seconds" if kind == wants else f"seconds has no meaning for kind {kind}")
    return fault


class ApiFault(_Counted):
    """What goes wrong with a call of an AWS operation.

    `reset_before` closes the connection without an answer and without having done anything; `reset_after` closes it
    after the operation was carried out. `hold_before` and `hold_after` do not close it: the call waits, before the
    operation is carried out or with its answer after that, until the fault is removed. If the caller goes away
    meanwhile, a call held before is never carried out.

    Attributes:
        service: sagemaker, sagemaker-runtime, monitoring (CloudWatch), s3, sts, ...; a pattern.
        operation: Name of the operation, UpdateEndpoint say; a pattern.
        resource: A name that the call mentions, as the call log shows it; a pattern.
        principal: Access key id; a pattern.
        status: Of server_error: 500 is InternalFailure, 503 is ServiceUnavailable.
        seconds: Of delay: how long the call waits before it is carried out.
    """

    on: Literal["api"] = "api"
    kind: Literal["throttle", "server_error", "expired_token", "reset_before", "reset_after", "delay", "hold_before",
                  "hold_after"]  # fmt: skip
    service: str = "*"
    operation: str = "*"
    resource: str = "*"
    principal: str = "*"
    status: Literal[500, 503] = 500
    seconds: float | None = Field(default=None, gt=0, le=LONGEST)

    @model_validator(mode="after")
    def _delay_has_seconds(self) -> Self:
        return _only(self, self.kind, self.seconds, "delay")


class VariantFault(_Counted):
    """What goes wrong with the model processes of a variant, in whatever deployment of the endpoint.

    Attributes:
        endpoint: Name of the endpoint; a pattern.
        variant: Name of the variant; a pattern.
        kind: `fail_pings`: /ping counts as failed while a process starts. `die`: the process that is to answer a
            request is killed. `hang`: it is stopped, and goes on when the fault is removed. `error`: the model's answer
            is replaced by an error. `latency`: the request waits before the model gets it. `content_type`: the answer
            has another content type. `die` and `hang` fire once unless `times` says otherwise.
        status: Of error: the model's status.
        seconds: Of latency: its length, or its median where sigma is given.
        sigma: Of latency: makes it lognormal, with this standard deviation of the logarithm.
        content_type: Of content_type: what the answer claims to be.
    """

    on: Literal["variant"] = "variant"
    endpoint: str = "*"
    variant: str = "*"
    kind: Literal["fail_pings", "die", "hang", "error", "latency", "content_type"]
    status: int = Field(default=500, ge=400, le=599)
    seconds: float | None = Field(default=None, gt=0, le=LONGEST)
    sigma: float | None = Field(default=None, gt=0, le=10)
    content_type: str = "text/html"

    @property
    def limit(self) -> int | None:
        """A process dies or hangs once, not at every request, unless that is asked for."""
        once = self.times is None and self.kind in ("die", "hang")
        return 1 if once else super().limit

    @model_validator(mode="after")
    def _latency_has_seconds(self) -> Self:
        if self.sigma is not None and self.kind != "latency":
            raise ValueError(f"sigma has no meaning for kind {self.kind}")
        return _only(self, self.kind, self.seconds, "latency")


class EndpointFault(_Fault):
    """How the next change of an endpoint ends, or a maintenance by AWS; fires once unless `times` says otherwise.

    Attributes:
        endpoint: Name of the endpoint; a pattern.
        kind: `rollback`: the new fleet comes up and bakes, then the update rolls back; a change of capacity that is
            to start instances does too. `rollback_failed`: the update ends in UpdateRollbackFailed, after a rolling
            deployment with both fleets serving, else with the old one. `capacity`: no instances are to be had, for a
            creation, an update or a change of capacity. `out_of_service`: a creation or an update ends in
            OutOfService. `system_update`: the endpoint is in SystemUpdating, at once or as soon as it is InService.
        reason: FailureReason; None leaves it empty, as AWS at times does. Capacity errors always have AWS's words.
        seconds: Of system_update: its length in AWS seconds; it ends earlier when the fault is removed.
    """

    on: Literal["endpoint"] = "endpoint"
    endpoint: str = "*"
    kind: Literal["rollback", "rollback_failed", "capacity", "out_of_service", "system_update"]
    reason: str | None = Field(default=None, min_length=1, max_length=1024)
    seconds: float | None = Field(default=None, gt=0, le=LONGEST)

    @property
    def limit(self) -> int | None:
        """The next change, not all to come, unless that is asked for."""
        return 1 if self.times is None else self.times

    @property
    def failure_reason(self) -> str | None:
        """What DescribeEndpoint shows."""
        return CAPACITY_REASON if self.kind == "capacity" else self.reason

    @model_validator(mode="after")
    def _reason_has_a_meaning(self) -> Self:
        if self.kind in ("capacity", "system_update") and self.reason is not None:
            why = ", whose words are AWS's" if self.kind == "capacity" else ""
            raise ValueError(f"reason has no meaning for kind {self.kind}{why}")
        return _only(self, self.kind, self.seconds, "system_update")


class CaptureFault(_Counted):
    """What goes wrong with captured data between the endpoint and S3.

    Attributes:
        endpoint: Name of the endpoint; a pattern.
        variant: Name of the variant; a pattern.
        kind: `missing`: a record is not written. `duplicated`: a record is written twice. `truncated`: an object ends
            in the middle of its last record. `late`: an object appears `seconds` later.
        seconds: Of late.
    """

    on: Literal["capture"] = "capture"
    endpoint: str = "*"
    variant: str = "*"
    kind: Literal["missing", "duplicated", "truncated", "late"]
    seconds: float | None = Field(default=None, gt=0, le=LONGEST)

    @model_validator(mode="after")
    def _late_has_seconds(self) -> Self:
        return _only(self, self.kind, self.seconds, "late")


class MetricsFault(_Counted):
    """What goes wrong with an endpoint's metrics on their way to CloudWatch; fires per value.

    Attributes:
        endpoint: Name of the endpoint; a pattern.
        variant: Name of the variant; a pattern.
        metric: Name of the metric; a pattern.
        kind: `missing`: a value never arrives. `delayed`: it arrives `seconds` later, under its own time.
        seconds: Of delayed.
    """

    on: Literal["metrics"] = "metrics"
    endpoint: str = "*"
    variant: str = "*"
    metric: str = "*"
    kind: Literal["missing", "delayed"]
    seconds: float | None = Field(default=None, gt=0, le=LONGEST)

    @model_validator(mode="after")
    def _delayed_has_seconds(self) -> Self:
        return _only(self, self.kind, self.seconds, "delayed")


class AlarmFault(_Fault):
    """The state that an alarm has, whatever it watches, while the fault is set; without limit unless `times` says so.

    Attributes:
        alarm: Name of the alarm; a pattern.
        kind: The state.
    """

    on: Literal["alarm"] = "alarm"
    alarm: str = "*"
    kind: Literal["OK", "ALARM", "INSUFFICIENT_DATA"]


Fault = ApiFault | VariantFault | EndpointFault | CaptureFault | MetricsFault | AlarmFault
FAULT: TypeAdapter[Fault] = TypeAdapter(Annotated[Fault, Field(discriminator="on")])


class FaultState(BaseModel):
    """A fault that a local AWS has.

    Attributes:
        id: Its id.
        fault: The fault.
        seen: How often it matched.
        fired: How often it went wrong because of it.
        held: Calls that it holds now.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    fault: Annotated[Fault, Field(discriminator="on")]
    seen: int = 0
    fired: int = 0
    held: int = 0
