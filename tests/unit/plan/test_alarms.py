from typing import Any

import pytest

from shadow_provider.plan.alarms import AlarmPlan, Fleet, plan_alarms
from shadow_provider.plan.serving_figures import ServingFigures, latency_limit
from shadow_provider.policy.reading import read_policy

FLEET = Fleet("fraud", "AllTraffic", "fraud-promoted-1")
ERRORS = {"metric": "invocation_error_rate", "margin": 0.01}
P90 = {"metric": "model_latency", "percentile": "p90", "margin": 0.5}
BLOCKS = tuple(float(number) for number in range(1000, 1100, 10))


def planned(*gates: dict[str, Any], invocations: int | None = 1000, errors: int | None = 20, **more: Any) -> AlarmPlan:
    before = ServingFigures(invocations, errors, more.get("latency", {"p90": BLOCKS}))
    return plan_alarms(read_policy({"gates": list(gates)}), before, FLEET, prefix="fraud-guard-1-", period=60)


def test_the_error_alarm_stands_at_productions_rate_plus_the_margin_on_the_new_fleet_alone() -> None:
    (made,) = planned(ERRORS).requests
    assert made["AlarmName"] == "fraud-guard-1-errors"
    assert made["Threshold"] == pytest.approx(0.03)
    assert (made["EvaluationPeriods"], made["DatapointsToAlarm"]) == (3, 2)
    assert made["TreatMissingData"] == "notBreaching"
    *counts, rate = made["Metrics"]
    assert [each["MetricStat"]["Metric"]["MetricName"] for each in counts] == [
        "Invocations",
        "Invocation4XXErrors",
        "Invocation5XXErrors",
    ]
    assert {(each["MetricStat"]["Stat"], each["MetricStat"]["Period"], each["ReturnData"]) for each in counts} == {
        ("Sum", 60, False)
    }
    ids = [each["Id"] for each in counts]
    assert (rate["Expression"], rate["ReturnData"]) == (f"({ids[1]} + {ids[2]}) / {ids[0]}", True)
    for each in counts:
        assert each["MetricStat"]["Metric"]["Dimensions"] == [
            {"Name": "EndpointName", "Value": "fraud"},
            {"Name": "VariantName", "Value": "AllTraffic"},
            {"Name": "EndpointConfigName", "Value": "fraud-promoted-1"},
        ]


def test_the_latency_alarm_stands_at_productions_slow_blocks_times_the_margin() -> None:
    (made,) = planned(P90).requests
    assert made["AlarmName"] == "fraud-guard-1-latency-p90"
    assert made["Threshold"] == 1080 * 1.5  # nine of ten blocks are not slower than 1080
    assert (made["MetricName"], made["ExtendedStatistic"], made["Period"]) == ("ModelLatency", "p90", 60)
    assert made["EvaluateLowSampleCountPercentile"] == "ignore"


def test_what_has_no_data_gets_no_alarm_and_is_named() -> None:
    plan = planned(ERRORS, P90, invocations=None, errors=None, latency={"p90": BLOCKS[:4]})
    assert plan.requests == ()
    assert plan.left_out == (
        "invocation_error_rate: CloudWatch has no recent invocations and errors of production",
        "model_latency.p90: too few recent periods of 60 s in which production had enough requests for p90",
    )
    assert [each["AlarmName"] for each in planned(ERRORS, P90, latency={}).requests] == ["fraud-guard-1-errors"]
    # A count of requests without one of errors is not a rate of zero.
    assert planned(ERRORS, errors=None).requests == ()


def test_gates_that_only_report_and_gates_on_answers_give_no_alarm() -> None:
    plan = planned({**ERRORS, "report_only": True}, {"metric": "agreement", "minimum": 0.9})
    assert plan == AlarmPlan((), ())


def test_the_limit_is_not_made_of_a_handful_of_blocks() -> None:
    assert latency_limit(BLOCKS[:4], 0.1) is None
    assert latency_limit([1, 1, 1, 1, 9], 0.0) == 9
    assert latency_limit([9, *[1] * 9], 0.5) == 1.5
