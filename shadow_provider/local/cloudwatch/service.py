"""CloudWatch's operations on metrics, on the metric store; those on alarms stand in cloudwatch_alarms."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from shadow_provider.local.cloudwatch.alarm_operations import AlarmOperations
from shadow_provider.local.cloudwatch.alarms import Alarms
from shadow_provider.local.cloudwatch.math_values import MathError, TimeSeries, Value
from shadow_provider.local.cloudwatch.metric_store import Dimensions, MetricStore, SeriesKey, StatisticSet
from shadow_provider.local.cloudwatch.paging import offset, page, token_for
from shadow_provider.local.cloudwatch.reading import (
    DAY,
    TWO_HOURS_AHEAD,
    MetricReader,
    checked,
    dimensions_of,
    expression_error,
)
from shadow_provider.local.cloudwatch.statistics import is_percentile
from shadow_provider.local.errors import AwsError, ValidationException, unknown_operation
from shadow_provider.local.settings import LocalSettings
from shadow_provider.local.validation import service_model, validate

MAX_DATAPOINTS = 100_800
MAX_STATISTICS_DATAPOINTS = 1440
METRICS_PAGE = 500
_TWO_WEEKS_BACK = 14 * DAY
# Values beyond this are refused, as are NaN and the infinities (documentation of MetricDatum).
_LARGEST = 2.0**360


class CloudWatch:
    """The operations; requests and answers as JSON 1.0 has them, times as epoch seconds.

    Attributes:
        alarms: The alarms, for other parts of the local AWS that act on their states.

    Args:
        store: Where the values are, and the time of day.
        settings: Region and account of the alarms' ARNs; the defaults if None.
    """

    def __init__(self, store: MetricStore, settings: LocalSettings | None = None) -> None:
        settings = settings or LocalSettings()
        self.alarms = Alarms(store)
        self._store = store
        self._reader = MetricReader(store)
        self._operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "PutMetricData": self._put_metric_data,
            "ListMetrics": self._list_metrics,
            "GetMetricData": self._get_metric_data,
            "GetMetricStatistics": self._get_metric_statistics,
            **AlarmOperations(
                self.alarms, f"arn:aws:cloudwatch:{settings.region}:{settings.account_id}:alarm:"
            ).operations,
        }

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Answers an operation.

        Raises:
            AwsError: In AWS's words, UnknownOperationException for what is not implemented.
        """
        handler = self._operations.get(operation)
        if handler is None:
            raise unknown_operation(operation)
        shape = service_model("cloudwatch").operation_model(operation).input_shape
        assert shape is not None
        try:
            known = validate(shape, request)
        except ValidationException as error:
            # CloudWatch's code differs from SageMaker's.
            raise AwsError("ValidationError", error.message) from None
        return handler(known)

    def _put_metric_data(self, request: dict[str, Any]) -> dict[str, Any]:
        if "EntityMetricData" in request:
            raise AwsError("InvalidParameterValue", "The local AWS does not support EntityMetricData yet.")
        data = request.get("MetricData")
        if not data:
            raise AwsError("MissingParameter", "The parameter MetricData is required.")
        if len(data) > 1000:
            raise AwsError("InvalidParameterValue", "The collection MetricData must not have a size greater than 1000.")
        for add in [self._prepare(request["Namespace"], datum, f"MetricData.member.{n}") for n, datum in _count(data)]:
            add()
        return {}

    def _prepare(self, namespace: str, datum: dict[str, Any], path: str) -> Callable[[], None]:
        """Checks one datum; the returned call stores it, so that a refused request stores nothing."""
        now = self._store.now()
        timestamp = datum.get("Timestamp", now)
        if not now - _TWO_WEEKS_BACK <= timestamp <= now + TWO_HOURS_AHEAD:
            raise AwsError(
                "InvalidParameterValue",
                f"The parameter {path}.Timestamp must specify a time no more than two weeks in the past and no more "
                "than two hours in the future.",
            )
        timestamp -= timestamp % (1 if datum.get("StorageResolution") == 1 else 60)
        key = SeriesKey(
            namespace, datum["MetricName"], dimensions_of(datum.get("Dimensions")), datum.get("Unit", "None")
        )
        summed = datum.get("StatisticValues")
        values = [datum["Value"]] if "Value" in datum else datum.get("Values")
        if (summed is None) == (values is None):
            raise AwsError(
                "InvalidParameterCombination",
                f"Exactly one of {path}.Value, {path}.Values and {path}.StatisticValues must be given.",
            )
        if summed is not None:
            _check_values([summed[name] for name in ("SampleCount", "Sum", "Minimum", "Maximum")], path)
            totals = StatisticSet(timestamp, summed["SampleCount"], summed["Sum"], summed["Minimum"], summed["Maximum"])
            return lambda: self._store.series(key).sets.append(totals)
        assert values is not None
        _check_values(values, path)
        counts = datum.get("Counts") or [1.0] * len(values)
        if len(counts) != len(values) or len(values) > 150:
            raise AwsError("InvalidParameterValue", f"{path}.Values and {path}.Counts must match and be at most 150.")

        def add() -> None:
            series = self._store.series(key)
            for value, count in zip(values, counts, strict=True):
                series.add(timestamp, value, count)

        return add

    def _list_metrics(self, request: dict[str, Any]) -> dict[str, Any]:
        recently = 3 * 3600 if "RecentlyActive" in request else _TWO_WEEKS_BACK
        filters = request.get("Dimensions", [])
        found = [
            {
                "Namespace": namespace,
                "MetricName": name,
                "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions],
            }
            for namespace, name, dimensions in self._store.metrics(self._store.now() - recently)
            if request.get("Namespace", namespace) == namespace
            and request.get("MetricName", name) == name
            and _has(dimensions, filters)
        ]
        return page("Metrics", found, request.get("NextToken"), METRICS_PAGE)

    def _get_metric_data(self, request: dict[str, Any]) -> dict[str, Any]:
        start, end = request["StartTime"], request["EndTime"]
        _check_range(start, end)
        limit = request.get("MaxDatapoints", MAX_DATAPOINTS)
        if limit < 1:
            raise AwsError("ValidationError", "The parameter MaxDatapoints must be greater than or equal to 1.")
        queries = checked(request["MetricDataQueries"])
        values = self._reader.requested(queries, start, end)
        descending = request.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        results = [result for query in queries.returned for result in _results(query, values[query["Id"]], descending)]
        return _page(results, request.get("NextToken"), min(limit, MAX_DATAPOINTS))

    def _get_metric_statistics(self, request: dict[str, Any]) -> dict[str, Any]:
        simple, extended = request.get("Statistics"), request.get("ExtendedStatistics")
        if (simple is None) == (extended is None):
            code = "InvalidParameterCombination" if simple else "MissingParameter"
            raise AwsError(code, "Exactly one of the parameters Statistics and ExtendedStatistics must be specified.")
        start, end, period = request["StartTime"], request["EndTime"], request["Period"]
        _check_range(start, end)
        first = self._reader.first_period(start, period, "InvalidParameterValue")
        asked = -(-(end - first) // period)
        if asked > MAX_STATISTICS_DATAPOINTS:
            raise AwsError(
                "InvalidParameterCombination",
                f"You have requested up to {asked:.0f} datapoints, which exceeds the limit of "
                f"{MAX_STATISTICS_DATAPOINTS}. You may reduce the datapoints requested by increasing Period, or "
                "decreasing the time range.",
            )
        for stat in extended or []:
            if not is_percentile(stat):
                raise AwsError(
                    "InvalidParameterValue", f"The value {stat} for parameter ExtendedStatistics is not supported."
                )
        names = list(dict.fromkeys(simple or extended or []))
        rows = self._reader.datapoints(request, request.get("Unit"), first, end, period, names)
        points = [_statistics_point(at, row, request.get("Unit"), bool(simple)) for at, row in rows.items()]
        # CloudWatch returns them in no order; a caller that relies on one must fail here too.
        random.Random(len(points)).shuffle(points)  # noqa: S311 - not for secrecy
        return {"Label": request["MetricName"], "Datapoints": points}


def _has(dimensions: Dimensions, filters: list[dict[str, str]]) -> bool:
    """Whether a metric has all dimensions of a filter; a filter without value takes any value of the dimension."""
    own = dict(dimensions)
    return all(item["Name"] in own and item.get("Value", own[item["Name"]]) == own[item["Name"]] for item in filters)


def _results(query: dict[str, Any], value: Value, descending: bool) -> list[dict[str, Any]]:
    """The results of one query: an array gives several of the same Id, told apart by their labels."""
    if isinstance(value, float):
        error = MathError("The result must be a time series or an array of time series")
        raise expression_error(query["Id"], error)
    if isinstance(value, list):
        label = query.get("Label", query["Id"])
        return [_result(query, series, f"{label} {series.label}".rstrip(), descending) for series in value]
    # CloudWatch labels a metric with its name, an expression with its Id.
    return [
        _result(query, value, query.get("Label", query["Id"] if "Expression" in query else value.label), descending)
    ]


def _result(query: dict[str, Any], series: TimeSeries, label: str, descending: bool) -> dict[str, Any]:
    points = sorted(series.points.items(), reverse=descending)
    return {
        "Id": query["Id"],
        "Label": label,
        "Timestamps": [at for at, _ in points],
        "Values": [value for _, value in points],
        "StatusCode": "Complete",
    }


def _count(items: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    return list(enumerate(items, start=1))


def _check_values(values: list[float], path: str) -> None:
    for value in values:
        if not abs(value) <= _LARGEST:
            raise AwsError("InvalidParameterValue", f"The value {value} for parameter {path}.Value is invalid.")


def _check_range(start: float, end: float) -> None:
    if not start < end:
        raise AwsError("ValidationError", "The parameter StartTime must be less than the parameter EndTime.")


def _statistics_point(at: float, row: dict[str, Any], unit: str | None, simple: bool) -> dict[str, Any]:
    values = {name: value for name, value in row.items() if name != "Unit" and value is not None}
    found = {"Timestamp": at, "Unit": unit or row["Unit"]}
    return {**found, **values} if simple else {**found, "ExtendedStatistics": values}


def _page(results: list[dict[str, Any]], token: str | None, limit: int) -> dict[str, Any]:
    """Cuts the datapoints of all results, one result after the other, into pages of `limit`."""
    skip = offset(token)
    shown: list[dict[str, Any]] = []
    seen, end = 0, skip + limit
    for result in results:
        low, high = max(skip - seen, 0), max(end - seen, 0)
        count = len(result["Timestamps"])
        if low < count or (count == 0 and not token):
            shown.append({**result, "Timestamps": result["Timestamps"][low:high], "Values": result["Values"][low:high]})
            if high < count:
                shown[-1]["StatusCode"] = "PartialData"
        seen += count
    answer: dict[str, Any] = {"MetricDataResults": shown, "Messages": []}
    if seen > end:
        answer["NextToken"] = token_for(end)
    return answer
