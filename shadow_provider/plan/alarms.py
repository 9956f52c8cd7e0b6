"""The CloudWatch alarms that guard a promotion, made from the policy's margins and production's own recent figures.

They watch the new fleet alone, by the dimension ``EndpointConfigName``: an alarm that saw both fleets could be set off
by the old one, and would then call the promotion off (developer guide, auto-rollback configuration).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shadow_provider.plan.serving_figures import ServingFigures, error_gate, latency_gates, latency_limit
from shadow_provider.policy.policy import Policy

_NAMESPACE = "AWS/SageMaker"
# Two of three: a single bad minute of a canary with few requests does not call a promotion off.
_PERIODS, _TO_ALARM = 3, 2


@dataclass(frozen=True)
class Fleet:
    """The fleet to be watched: a variant as one config runs it."""

    endpoint_name: str
    variant_name: str
    config_name: str


@dataclass(frozen=True)
class AlarmPlan:
    """What can be watched.

    Attributes:
        requests: PutMetricAlarm requests, without tags.
        left_out: gates for which there is no alarm, each with the reason.
    """

    requests: tuple[dict[str, Any], ...]
    left_out: tuple[str, ...]


def plan_alarms(policy: Policy, before: ServingFigures, fleet: Fleet, *, prefix: str, period: int) -> AlarmPlan:
    """Say which alarms guard a promotion.

    * Errors: failed requests (4XX and 5XX) by requests, above production's recent rate plus the gate's margin.
    * Latency: the gate's percentile, above ``latency_limit`` of production's recent blocks.

    Each goes off at two of three periods above its limit. Missing data is not breaching: a fleet that has no traffic
    yet has no datapoints, and a promotion must not be called off because CloudWatch is minutes late. That nothing was
    seen is found by the watch after the promotion, which never takes it for a pass.

    Args:
        policy: its blocking gates on ``invocation_error_rate`` and ``model_latency`` are taken.
        before: production's recent figures, latency in blocks as long as the period.
        fleet: what is watched.
        prefix: what the alarms' names begin with.
        period: of the alarms, in seconds.
    """
    requests, left_out = [], []
    gate = error_gate(policy)
    if gate is not None:
        if before.error_rate is None:
            left_out.append(f"{gate.name}: CloudWatch has no recent invocations and errors of production")
        else:
            requests.append(_error_alarm(fleet, f"{prefix}errors", before.error_rate + gate.margin, period))
    for latency in latency_gates(policy):
        limit = latency_limit(before.latency.get(latency.percentile, ()), latency.margin)
        if limit is None:
            left_out.append(
                f"{latency.name}: too few recent periods of {period} s in which production had enough requests for "
                f"{latency.percentile}"
            )
        else:
            requests.append(_latency_alarm(fleet, f"{prefix}latency-", latency.percentile, limit, period))
    return AlarmPlan(tuple(requests), tuple(left_out))


def _error_alarm(fleet: Fleet, name: str, threshold: float, period: int) -> dict[str, Any]:
    counts = {"all": "Invocations", "client": "Invocation4XXErrors", "server": "Invocation5XXErrors"}
    metrics: list[dict[str, Any]] = [
        {
            "Id": each,
            "MetricStat": {
                "Metric": {"Namespace": _NAMESPACE, "MetricName": metric, "Dimensions": _dimensions(fleet)},
                "Period": period,
                "Stat": "Sum",
            },
            "ReturnData": False,
        }
        for each, metric in counts.items()
    ]
    rate = {"Id": "rate", "Expression": "(client + server) / all", "Label": "error rate", "ReturnData": True}
    return {
        **_alarm(name, fleet, "Failed requests (4XX and 5XX) by requests", threshold),
        "Metrics": [*metrics, rate],
    }


def _latency_alarm(fleet: Fleet, prefix: str, percentile: str, threshold: float, period: int) -> dict[str, Any]:
    return {
        **_alarm(f"{prefix}{percentile}", fleet, f"ModelLatency {percentile} in microseconds", threshold),
        "Namespace": _NAMESPACE,
        "MetricName": "ModelLatency",
        "Dimensions": _dimensions(fleet),
        "ExtendedStatistic": percentile,
        "Period": period,
        "EvaluateLowSampleCountPercentile": "ignore",
    }


def _alarm(name: str, fleet: Fleet, what: str, threshold: float) -> dict[str, Any]:
    return {
        "AlarmName": name,
        "AlarmDescription": f"{what} of {fleet.endpoint_name} on {fleet.config_name}: guards its promotion",
        "ActionsEnabled": False,
        "EvaluationPeriods": _PERIODS,
        "DatapointsToAlarm": _TO_ALARM,
        "Threshold": threshold,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }


def _dimensions(fleet: Fleet) -> list[dict[str, str]]:
    values = {
        "EndpointName": fleet.endpoint_name,
        "VariantName": fleet.variant_name,
        "EndpointConfigName": fleet.config_name,
    }
    return [{"Name": name, "Value": value} for name, value in values.items()]
