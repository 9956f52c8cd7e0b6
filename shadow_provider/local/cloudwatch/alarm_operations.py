"""CloudWatch's operations on alarms: requests checked, alarms shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from shadow_provider.local.cloudwatch.alarm_verdict import OPERATORS, TREATMENTS, Rule
from shadow_provider.local.cloudwatch.alarms import Alarm, Alarms, HistoryItem
from shadow_provider.local.cloudwatch.paging import page
from shadow_provider.local.cloudwatch.periods import DAY
from shadow_provider.local.cloudwatch.reading import Queries, checked
from shadow_provider.local.cloudwatch.statistics import is_statistic
from shadow_provider.local.errors import AwsError

_PAGE = 100
_METRIC_MEMBERS = ("MetricName", "Namespace", "Dimensions", "Period", "Unit", "Statistic", "ExtendedStatistic")
_UNSUPPORTED = (
    "ThresholdMetricId",
    "WarmUpConfiguration",
    "EvaluationCriteria",
    "EvaluationInterval",
)
_LISTS = ("OKActions", "AlarmActions", "InsufficientDataActions")


class AlarmOperations:
    """The operations; requests were checked against their shapes.

    Args:
        alarms: The alarms.
        arn_prefix: What stands before an alarm's name in its ARN.
    """

    def __init__(self, alarms: Alarms, arn_prefix: str) -> None:
        self._alarms = alarms
        self._arn_prefix = arn_prefix

    @property
    def operations(self) -> dict[str, Callable[[dict[str, Any]], dict[str, Any]]]:
        """The operations by name."""
        return {
            "PutMetricAlarm": self._put,
            "DescribeAlarms": self._describe,
            "DeleteAlarms": self._delete,
            "SetAlarmState": self._set_state,
            "DescribeAlarmHistory": self._history,
            "ListTagsForResource": self._tags,
        }

    def _put(self, request: dict[str, Any]) -> dict[str, Any]:
        for member in _UNSUPPORTED:
            if member in request:
                raise _refusal(f"The local AWS does not support {member} yet.")
        if "WallClockWindow" in request.get("EvaluationWindow", {}):
            raise _refusal("The local AWS does not support WallClockWindow yet.")
        queries = _queries(request)
        period = _period(request, queries)
        config = {"ActionsEnabled": True, **{name: [] for name in _LISTS}, **request}
        if "Metrics" not in request:
            config.setdefault("Dimensions", [])
        # Tags are no part of what DescribeAlarms shows.
        tags = tuple(config.pop("Tags", ()))
        config["Threshold"] = float(_required(request, "Threshold"))
        self._alarms.put(config, _rule(request), queries, period, tags)
        return {}

    def _tags(self, request: dict[str, Any]) -> dict[str, Any]:
        arn = request["ResourceARN"]
        tags = self._alarms.tags_of(arn.removeprefix(self._arn_prefix)) if arn.startswith(self._arn_prefix) else None
        if tags is None:
            raise AwsError("ResourceNotFoundException", f"{arn} not found", status=404)
        return {"Tags": list(tags)}

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        for member in ("ChildrenOfAlarmName", "ParentsOfAlarmName"):
            if member in request:
                raise _refusal(f"The local AWS does not support {member} yet.")
        names, prefix = request.get("AlarmNames"), request.get("AlarmNamePrefix", "")
        if names and prefix:
            raise _refusal("AlarmNamePrefix and AlarmNames cannot both be specified.")
        wanted = [
            self._shown(alarm)
            for alarm in self._alarms.evaluated()
            if (not names or alarm.name in names)
            and alarm.name.startswith(prefix)
            and request.get("StateValue", alarm.state) == alarm.state
            and _has_action(alarm, request.get("ActionPrefix"))
        ]
        if "MetricAlarm" not in request.get("AlarmTypes", ["MetricAlarm"]):
            wanted = []
        limit = request.get("MaxRecords", _PAGE)
        return {"CompositeAlarms": [], **page("MetricAlarms", wanted, request.get("NextToken"), limit)}

    def _shown(self, alarm: Alarm) -> dict[str, Any]:
        shown = {
            **alarm.config,
            "AlarmArn": self._arn_prefix + alarm.name,
            "AlarmConfigurationUpdatedTimestamp": alarm.configured,
            "StateValue": alarm.state,
            "StateReason": alarm.reason[:1023],
            "StateUpdatedTimestamp": alarm.updated,
            "StateTransitionedTimestamp": alarm.transitioned,
        }
        return shown if alarm.reason_data is None else {**shown, "StateReasonData": alarm.reason_data[:4000]}

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        self._alarms.delete(request["AlarmNames"])
        return {}

    def _set_state(self, request: dict[str, Any]) -> dict[str, Any]:
        data = request.get("StateReasonData")
        try:
            json.loads(data or "{}")
        except ValueError:
            raise AwsError("InvalidFormat", "StateReasonData is not valid JSON.") from None
        self._alarms.set_state(request["AlarmName"], request["StateValue"], request["StateReason"], data)
        return {}

    def _history(self, request: dict[str, Any]) -> dict[str, Any]:
        found = [
            _history_item(item)
            for item in self._alarms.history()
            if request.get("AlarmName", item.alarm) == item.alarm
            and request.get("HistoryItemType", item.kind) == item.kind
            and request.get("StartDate", item.at) <= item.at <= request.get("EndDate", item.at)
        ]
        if request.get("ScanBy", "TimestampDescending") == "TimestampDescending":
            found.reverse()
        if "MetricAlarm" not in request.get("AlarmTypes", ["MetricAlarm"]):
            found = []
        return page("AlarmHistoryItems", found, request.get("NextToken"), request.get("MaxRecords", _PAGE))


def _queries(request: dict[str, Any]) -> Queries:
    """What the alarm watches, as metric data queries."""
    if "Metrics" in request:
        given = [name for name in _METRIC_MEMBERS if name in request]
        if given:
            raise _refusal(f"{given[0]} must not be specified together with Metrics.")
        queries = checked(request["Metrics"], "Metrics")
        if len(queries.returned) != 1:
            raise _refusal("Exactly one element of the metrics list should return data.")
        if len(queries.trees) > 10 or len(queries.periods) > 10 or not queries.periods:
            raise _refusal("An alarm may use from 1 to 10 metrics, and up to 10 expressions.")
        return queries
    if ("Statistic" in request) == ("ExtendedStatistic" in request):
        raise _refusal("Exactly one of Statistic and ExtendedStatistic must be specified.")
    stat = request.get("Statistic") or request["ExtendedStatistic"]
    if not is_statistic(stat):
        raise _refusal(f"The value {stat} for parameter ExtendedStatistic is not supported.")
    metric = {name: _required(request, name) for name in ("Namespace", "MetricName")}
    metric["Dimensions"] = request.get("Dimensions", [])
    wanted = {"Metric": metric, "Period": _required(request, "Period"), "Stat": stat}
    if "Unit" in request:
        wanted["Unit"] = request["Unit"]
    return checked([{"Id": "m1", "MetricStat": wanted}])


def _period(request: dict[str, Any], queries: Queries) -> int:
    """The alarm's period in seconds."""
    for period in queries.periods:
        if period not in (10, 20, 30) and period % 60:
            raise _refusal("Period must be 10, 20, 30 or a multiple of 60.")
    if len(set(queries.periods)) != 1:
        raise _refusal("Metrics list must have the same period for all metrics.")
    period = queries.periods[0]
    span = period * _required(request, "EvaluationPeriods")
    if span > (DAY if period < 3600 else 7 * DAY):
        raise _refusal(
            "Metrics cannot be checked across more than a day, or a week if Period is at least 3600 "
            "(EvaluationPeriods * Period must be <= 86400 or <= 604800)."
        )
    return period


def _rule(request: dict[str, Any]) -> Rule:
    comparison, periods = _required(request, "ComparisonOperator"), _required(request, "EvaluationPeriods")
    if comparison not in OPERATORS:
        raise _refusal(f"The local AWS does not support {comparison} yet.")
    to_alarm = request.get("DatapointsToAlarm", periods)
    if to_alarm > periods:
        raise _refusal("DatapointsToAlarm must be less than or equal to EvaluationPeriods.")
    missing = request.get("TreatMissingData", "missing")
    if missing not in TREATMENTS:
        raise _refusal(f"TreatMissingData must be one of [{', '.join(TREATMENTS)}].")
    low_samples = request.get("EvaluateLowSampleCountPercentile", "evaluate")
    if low_samples not in ("evaluate", "ignore"):
        raise _refusal("EvaluateLowSampleCountPercentile must be one of [evaluate, ignore].")
    return Rule(comparison, float(_required(request, "Threshold")), periods, to_alarm, missing)


def _required(request: dict[str, Any], member: str) -> Any:
    if request.get(member) is None:
        raise AwsError("MissingParameter", f"The parameter {member} is required.")
    return request[member]


def _refusal(message: str) -> AwsError:
    return AwsError("ValidationError", message)


def _has_action(alarm: Alarm, prefix: str | None) -> bool:
    actions = [action for name in _LISTS for action in alarm.config[name]]
    return prefix is None or any(action.startswith(prefix) for action in actions)


def _history_item(item: HistoryItem) -> dict[str, Any]:
    return {
        "AlarmName": item.alarm,
        "AlarmType": "MetricAlarm",
        "Timestamp": item.at,
        "HistoryItemType": item.kind,
        "HistorySummary": item.summary,
        "HistoryData": item.data,
    }
