"""CloudWatch's PutMetricData, GetMetricData and GetMetricStatistics on the metric store."""

from __future__ import annotations

import base64
import random
import re
import time
from collections.abc import Callable
from typing import Any

from shadow_provider.local.errors import AwsError, ValidationException, unknown_operation
from shadow_provider.local.metric_store import Dimensions, MetricStore, SeriesKey, StatisticSet
from shadow_provider.local.validation import service_model, validate

STATISTICS = ("Average", "Sum", "Minimum", "Maximum", "SampleCount")
MAX_QUERIES = 500
MAX_DATAPOINTS = 100_800
MAX_STATISTICS_DATAPOINTS = 1440
_PERCENTILE = re.compile(r"p(100(\.0+)?|\d{1,2}(\.\d+)?)")
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")
_DAY = 86_400
_TWO_WEEKS_BACK, _TWO_HOURS_AHEAD = 14 * _DAY, 2 * 3600


class CloudWatch:
    """The operations; requests and answers as JSON 1.0 has them, times as epoch seconds.

    Args:
        store: Where the values are.
        clock: The time of day, epoch seconds.
    """

    def __init__(self, store: MetricStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "PutMetricData": self._put_metric_data,
            "GetMetricData": self._get_metric_data,
            "GetMetricStatistics": self._get_metric_statistics,
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
            validate(shape, request)
        except ValidationException as error:
            # CloudWatch's code differs from SageMaker's.
            raise AwsError("ValidationError", error.message) from None
        return handler(request)

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
        now = self._clock()
        timestamp = datum.get("Timestamp", now)
        if not now - _TWO_WEEKS_BACK <= timestamp <= now + _TWO_HOURS_AHEAD:
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
            totals = StatisticSet(timestamp, summed["SampleCount"], summed["Sum"], summed["Minimum"], summed["Maximum"])
            return lambda: self._store.series(key).sets.append(totals)
        assert values is not None
        counts = datum.get("Counts") or [1.0] * len(values)
        if len(counts) != len(values) or len(values) > 150:
            raise AwsError("InvalidParameterValue", f"{path}.Values and {path}.Counts must match and be at most 150.")

        def add() -> None:
            series = self._store.series(key)
            for value, count in zip(values, counts, strict=True):
                series.add(timestamp, value, count)

        return add

    def _get_metric_data(self, request: dict[str, Any]) -> dict[str, Any]:
        queries = request["MetricDataQueries"]
        start, end = request["StartTime"], request["EndTime"]
        _check_range(start, end)
        if not 0 < len(queries) <= MAX_QUERIES:
            raise AwsError("ValidationError", f"The number of MetricDataQueries must be between 1 and {MAX_QUERIES}.")
        if len({query["Id"] for query in queries}) != len(queries):
            raise AwsError("ValidationError", "The values for parameter id in MetricDataQueries are not unique.")
        descending = request.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        results = [
            self._result(query, f"MetricDataQueries.member.{n}", start, end, descending) for n, query in _count(queries)
        ]
        shown = [result for query, result in zip(queries, results, strict=True) if query.get("ReturnData", True)]
        return _page(shown, request.get("NextToken"), min(request.get("MaxDatapoints", MAX_DATAPOINTS), MAX_DATAPOINTS))

    def _result(self, query: dict[str, Any], path: str, start: float, end: float, descending: bool) -> dict[str, Any]:
        if _ID.fullmatch(query["Id"]) is None:
            raise AwsError(
                "ValidationError",
                f"The value {query['Id']} for parameter {path}.Id is not matching the "
                "expected pattern ^[a-z][a-zA-Z0-9_]*$.",
            )
        if "Expression" in query:
            raise AwsError(
                "ValidationError", f"Error in expression '{query['Id']}': the local AWS does not support expressions."
            )
        if "MetricStat" not in query:
            raise AwsError("ValidationError", f"Either {path}.MetricStat or {path}.Expression must be given.")
        wanted = query["MetricStat"]
        stat, period = wanted["Stat"], wanted["Period"]
        if stat not in STATISTICS and _PERCENTILE.fullmatch(stat) is None:
            raise AwsError(
                "ValidationError", f"The value {stat} for parameter {path}.MetricStat.Stat is not supported."
            )
        first = self._first_period(start, period, "ValidationError")
        metric = wanted["Metric"]
        rows = self._datapoints(metric, wanted.get("Unit"), first, end, period, [stat])
        points = [(at, row[stat]) for at, row in sorted(rows.items(), reverse=descending) if row[stat] is not None]
        return {
            "Id": query["Id"],
            "Label": query.get("Label", metric["MetricName"]),
            "Timestamps": [at for at, _ in points],
            "Values": [value for _, value in points],
            "StatusCode": "Complete",
        }

    def _get_metric_statistics(self, request: dict[str, Any]) -> dict[str, Any]:
        simple, extended = request.get("Statistics"), request.get("ExtendedStatistics")
        if (simple is None) == (extended is None):
            code = "InvalidParameterCombination" if simple else "MissingParameter"
            raise AwsError(code, "Exactly one of the parameters Statistics and ExtendedStatistics must be specified.")
        start, end, period = request["StartTime"], request["EndTime"], request["Period"]
        _check_range(start, end)
        first = self._first_period(start, period, "InvalidParameterValue")
        asked = -(-(end - first) // period)
        if asked > MAX_STATISTICS_DATAPOINTS:
            raise AwsError(
                "InvalidParameterCombination",
                f"You have requested up to {asked:.0f} datapoints, which exceeds the limit of "
                f"{MAX_STATISTICS_DATAPOINTS}. You may reduce the datapoints requested by increasing Period, or "
                "decreasing the time range.",
            )
        for stat in extended or []:
            if _PERCENTILE.fullmatch(stat) is None:
                raise AwsError(
                    "InvalidParameterValue", f"The value {stat} for parameter ExtendedStatistics is not supported."
                )
        names = list(dict.fromkeys(simple or extended or []))
        rows = self._datapoints(request, request.get("Unit"), first, end, period, names)
        points = [_statistics_point(at, row, request.get("Unit"), bool(simple)) for at, row in rows.items()]
        # CloudWatch returns them in no order; a caller that relies on one must fail here too.
        random.Random(len(points)).shuffle(points)  # noqa: S311 - not for secrecy
        return {"Label": request["MetricName"], "Datapoints": points}

    def _datapoints(
        self, metric: dict[str, Any], unit: str | None, first: float, end: float, period: int, stats: list[str]
    ) -> dict[float, dict[str, Any]]:
        """Rows by start of period, each with the statistics and the series' unit."""
        rows: dict[float, dict[str, Any]] = {}
        dimensions = dimensions_of(metric.get("Dimensions"))
        for key, series in self._store.find(metric["Namespace"], metric["MetricName"], dimensions, unit):
            for at, sample in series.between(first, end).buckets(first, period).items():
                rows[at] = {"Unit": key.unit, **{stat: sample.statistic(stat) for stat in stats}}
        return rows

    def _first_period(self, start: float, period: int, code: str) -> float:
        """The start rounded as CloudWatch rounds it, after the period's own rules were checked."""
        if period not in (1, 5, 10, 20, 30) and (period < 60 or period % 60):
            raise AwsError(code, "Period must be 1, 5, 10, 20, 30 or a multiple of 60.")
        age = self._clock() - start
        grain = 60 if age <= 15 * _DAY else 300 if age <= 63 * _DAY else 3600
        if grain > 60 and period % grain:
            raise AwsError(code, f"The Period of data this old must be a multiple of {grain}.")
        return start - start % min(grain, period)


def dimensions_of(listed: list[dict[str, str]] | None) -> Dimensions:
    """Dimensions as a series key has them."""
    return tuple(sorted((item["Name"], item["Value"]) for item in listed or []))


def _count(items: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    return list(enumerate(items, start=1))


def _check_range(start: float, end: float) -> None:
    if start >= end:
        raise AwsError("ValidationError", "The parameter StartTime must be less than the parameter EndTime.")


def _statistics_point(at: float, row: dict[str, Any], unit: str | None, simple: bool) -> dict[str, Any]:
    values = {name: value for name, value in row.items() if name != "Unit" and value is not None}
    found = {"Timestamp": at, "Unit": unit or row["Unit"]}
    return {**found, **values} if simple else {**found, "ExtendedStatistics": values}


def _page(results: list[dict[str, Any]], token: str | None, limit: int) -> dict[str, Any]:
    """Cuts the datapoints of all results, one result after the other, into pages of `limit`."""
    try:
        skip = int(base64.b64decode(token or "MA==").decode())
    except ValueError:
        raise AwsError("InvalidNextToken", "Invalid nextToken") from None
    page: list[dict[str, Any]] = []
    seen, end = 0, skip + limit
    for result in results:
        low, high = max(skip - seen, 0), max(end - seen, 0)
        count = len(result["Timestamps"])
        if low < count or (count == 0 and not token):
            page.append({**result, "Timestamps": result["Timestamps"][low:high], "Values": result["Values"][low:high]})
            if high < count:
                page[-1]["StatusCode"] = "PartialData"
        seen += count
    answer: dict[str, Any] = {"MetricDataResults": page, "Messages": []}
    if seen > end:
        answer["NextToken"] = base64.b64encode(str(end).encode()).decode()
    return answer
