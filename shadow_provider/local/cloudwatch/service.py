"""CloudWatch's operations on metrics, on the metric store; those on alarms stand in alarm_operations."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any

from shadow_provider.local.cloudwatch.alarm_operations import AlarmOperations
from shadow_provider.local.cloudwatch.alarms import Alarms
from shadow_provider.local.cloudwatch.math_values import MathError, TimeSeries, Value
from shadow_provider.local.cloudwatch.metric_store import Dimensions, MetricStore
from shadow_provider.local.cloudwatch.paging import offset, page, token_for
from shadow_provider.local.cloudwatch.periods import HOUR
from shadow_provider.local.cloudwatch.put import TWO_WEEKS_BACK, put
from shadow_provider.local.cloudwatch.reading import MetricReader, checked, expression_error
from shadow_provider.local.cloudwatch.statistics import is_percentile
from shadow_provider.local.errors import AwsError, ValidationException, unknown_operation
from shadow_provider.local.faults.board import FaultBoard
from shadow_provider.local.settings import LocalSettings
from shadow_provider.local.validation import service_model, validate

logger = logging.getLogger(__name__)

MAX_DATAPOINTS = 100_800
MAX_STATISTICS_DATAPOINTS = 1440
METRICS_PAGE = 500
_RECENTLY = 3 * HOUR
_ROLL_UP_INTERVAL = 600.0
# However fast the clock, alarms leave the server time for its requests.
_SHORTEST_PAUSE = 0.02


class CloudWatch:
    """The operations; requests and answers as JSON 1.0 has them, times as epoch seconds.

    Attributes:
        alarms: The alarms, for other parts of the local AWS that act on their states.

    Args:
        store: Where the values are, and the time of day.
        settings: The clock, region and account; the defaults if None.
        faults: What is to go wrong with alarms; nothing if None.
    """

    def __init__(
        self, store: MetricStore, settings: LocalSettings | None = None, faults: FaultBoard | None = None
    ) -> None:
        settings = settings or LocalSettings()
        faults = faults or FaultBoard()
        self.alarms = Alarms(store, settings.clock, faults.alarm_state)
        faults.on_alarm = self.alarms.look_again
        self._store = store
        self._clock = settings.clock
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

    async def run(self) -> None:
        """Does what happens by itself until cancelled: alarms are evaluated, old values rolled up."""
        rolled_up = self._store.now()
        while True:
            await asyncio.sleep(max(self.alarms.interval, _SHORTEST_PAUSE))
            try:
                self.alarms.evaluated()
                if self._store.now() >= rolled_up + _ROLL_UP_INTERVAL:
                    rolled_up = self._store.now()
                    self._store.roll_up()
            except Exception:
                logger.exception("CloudWatch's own work failed")

    def _put_metric_data(self, request: dict[str, Any]) -> dict[str, Any]:
        put(self._store, request, self._clock)
        return {}

    def _list_metrics(self, request: dict[str, Any]) -> dict[str, Any]:
        recently = _RECENTLY if "RecentlyActive" in request else TWO_WEEKS_BACK
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
                f"You have requested up to {asked:,.0f} datapoints, which exceeds the limit of "
                f"{MAX_STATISTICS_DATAPOINTS:,}. You may reduce the datapoints requested by increasing Period, or "
                "decreasing the time range.",
            )
        for stat in extended or []:
            if not is_percentile(stat):
                raise AwsError(
                    "InvalidParameterValue", f"The value {stat} for parameter ExtendedStatistics is not supported."
                )
        names = list(dict.fromkeys(simple or extended or []))
        rows = self._reader.datapoints(request, request.get("Unit"), first, end, period, names)
        points = [_statistics_point(at, unit, row, bool(simple)) for at, unit, row in rows]
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


def _check_range(start: float, end: float) -> None:
    if not start < end:
        raise AwsError("ValidationError", "The parameter StartTime must be less than the parameter EndTime.")


def _statistics_point(at: float, unit: str, row: dict[str, float | None], simple: bool) -> dict[str, Any]:
    values = {name: value for name, value in row.items() if value is not None}
    found = {"Timestamp": at, "Unit": unit}
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
