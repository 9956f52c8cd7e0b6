"""Answers metric data queries: metrics and expressions over each other, as GetMetricData and alarms ask them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from shadow_provider.local.cloudwatch import metric_math
from shadow_provider.local.cloudwatch.math_values import MathError, TimeSeries, Value
from shadow_provider.local.cloudwatch.metric_store import Dimensions, MetricStore
from shadow_provider.local.cloudwatch.periods import HOUR, KEPT, MINUTE, grain_at, kept_for, period_start
from shadow_provider.local.cloudwatch.series import Sample, Series, Slot
from shadow_provider.local.cloudwatch.statistics import is_statistic, statistic
from shadow_provider.local.errors import AwsError

MAX_QUERIES = 500
HIGH_RESOLUTION_PERIODS = (1, 5, 10, 20, 30)
# How far ahead of time a value may be put, seconds.
TWO_HOURS_AHEAD = 2 * HOUR
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Queries:
    """Metric data queries that were checked; `order` has what is referred to before what refers to it."""

    listed: list[dict[str, Any]]
    trees: dict[str, metric_math.Node]
    order: list[str]

    @property
    def returned(self) -> list[dict[str, Any]]:
        """The queries whose results are shown."""
        return [query for query in self.listed if query.get("ReturnData", True)]

    @property
    def periods(self) -> list[int]:
        """The periods of the metrics, seconds."""
        return [query["MetricStat"]["Period"] for query in self.listed if "MetricStat" in query]


def checked(listed: list[dict[str, Any]], member: str = "MetricDataQueries") -> Queries:
    """Checks queries as far as that needs no data.

    Args:
        listed: As requested.
        member: The request's member they stand in, for messages.

    Raises:
        AwsError: In AWS's code, ValidationError.
    """
    if not 0 < len(listed) <= MAX_QUERIES:
        raise _refusal(f"The number of {member} must be between 1 and {MAX_QUERIES}.")
    if len({query["Id"] for query in listed}) != len(listed):
        raise _refusal(f"The values for parameter id in {member} are not unique.")
    trees = {}
    for number, query in enumerate(listed, start=1):
        _check_query(query, f"{member}.member.{number}")
        if "Expression" in query:
            trees[query["Id"]] = _parsed(query)
    return Queries(listed, trees, _order(listed, trees))


def _check_query(query: dict[str, Any], path: str) -> None:
    if _ID.fullmatch(query["Id"]) is None:
        raise _refusal(
            f"The value {query['Id']} for parameter {path}.Id is not matching the "
            "expected pattern ^[a-z][a-zA-Z0-9_]*$."
        )
    if ("MetricStat" in query) == ("Expression" in query):
        raise _refusal(f"Either {path}.MetricStat or {path}.Expression must be given.")
    if "MetricStat" not in query:
        return
    stat, metric = query["MetricStat"]["Stat"], query["MetricStat"]["Metric"]
    if not is_statistic(stat):
        raise _refusal(f"The value {stat} for parameter {path}.MetricStat.Stat is not supported.")
    for name in ("Namespace", "MetricName"):
        if name not in metric:
            raise AwsError("MissingParameter", f"The parameter {path}.MetricStat.Metric.{name} is required.")


def _parsed(query: dict[str, Any]) -> metric_math.Node:
    try:
        return metric_math.parse(query["Expression"])
    except MathError as error:
        raise expression_error(query["Id"], error) from None


def _order(listed: list[dict[str, Any]], trees: dict[str, metric_math.Node]) -> list[str]:
    graph: dict[str, set[str]] = {query["Id"]: set() for query in listed}
    for name, tree in trees.items():
        for other in metric_math.references(tree):
            if other not in graph:
                raise expression_error(name, MathError(f"Undefined id: {other}"))
            graph[name].add(other)
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise expression_error(str(error.args[1][0]), MathError("The expressions refer to each other")) from None


def expression_error(name: str, error: MathError) -> AwsError:
    """AWS's refusal of an expression."""
    return _refusal(f"Error in expression '{name}': {error}")


def _refusal(message: str) -> AwsError:
    return AwsError("ValidationError", message)


class MetricReader:
    """Reads the metric store in periods.

    Args:
        store: Where the values are.
    """

    def __init__(self, store: MetricStore) -> None:
        self._store = store

    def first_period(self, start: float, period: int, code: str) -> float:
        """The start rounded down as CloudWatch does it, after the period's own rules were checked.

        AWS: to a minute; to five minutes or an hour where it is more than 15 or 63 days ago; to a shorter period if one
        is asked for.
        """
        if period not in HIGH_RESOLUTION_PERIODS and (period < MINUTE or period % MINUTE):
            raise AwsError(code, "Period must be 1, 5, 10, 20, 30 or a multiple of 60.")
        return period_start(start, min(max(grain_at(self._store.now() - start), MINUTE), period))

    def requested(self, queries: Queries, start: float, end: float) -> dict[str, Value]:
        """The values of queries by Id, each metric's start rounded by the rules of its period.

        The span is cut to where values can be, lest FILL has to fill centuries.
        """
        now = self._store.now()
        start, end = max(start, now - KEPT), min(end, now + TWO_HOURS_AHEAD)
        starts = {period: self.first_period(start, period, "ValidationError") for period in set(queries.periods)}
        return self._values(queries, starts, end, 1.0)

    def exactly(self, queries: Queries, start: float, end: float, clock: float) -> dict[str, Value]:
        """The values of queries by Id as an alarm wants them.

        Args:
            queries: What is asked for; their periods are AWS seconds.
            start: From where all metrics' periods are counted, epoch seconds.
            end: Exclusive, epoch seconds.
            clock: AWS seconds in a real one.
        """
        return self._values(queries, dict.fromkeys(queries.periods, start), end, clock)

    def _values(self, queries: Queries, starts: dict[int, float], end: float, clock: float) -> dict[str, Value]:
        metrics = {
            query["Id"]: self._metric(query, starts[query["MetricStat"]["Period"]], end, clock)
            for query in queries.listed
            if "MetricStat" in query
        }
        values: dict[str, Value] = dict(metrics)
        for name in queries.order:
            if name in queries.trees:
                try:
                    values[name] = metric_math.evaluate(queries.trees[name], values, metrics)
                except MathError as error:
                    raise expression_error(name, error) from None
        return values

    def _metric(self, query: dict[str, Any], first: float, end: float, clock: float) -> TimeSeries:
        """One metric; without a unit, what was put in any unit counts together."""
        wanted = query["MetricStat"]
        stat, period = wanted["Stat"], wanted["Period"]
        units = self._found(wanted["Metric"], wanted.get("Unit"))
        together = [series for listed in units.values() for series in listed]
        points = {}
        for at, sample in self._samples(together, first, end, period / clock, period).items():
            value = statistic(sample, stat)
            if value is not None and math.isfinite(value):
                points[at] = value
        return TimeSeries(points, first, end, period, query.get("Label", wanted["Metric"]["MetricName"]), clock)

    def datapoints(
        self, metric: dict[str, Any], unit: str | None, first: float, end: float, period: int, stats: Iterable[str]
    ) -> list[tuple[float, str, dict[str, float | None]]]:
        """Start of period, unit and statistics of each datapoint; a period has one for each unit."""
        return [
            (at, own, {stat: statistic(sample, stat) for stat in stats})
            for own, series in self._found(metric, unit).items()
            for at, sample in self._samples(series, first, end, period, period).items()
        ]

    def _found(self, metric: dict[str, Any], unit: str | None) -> dict[str, list[Series]]:
        return self._store.find(
            metric["Namespace"], metric["MetricName"], dimensions_of(metric.get("Dimensions")), unit
        )

    def _samples(
        self, together: list[Series], first: float, end: float, step: float, period: int
    ) -> dict[float, Sample]:
        """What was put in each period of `step` real seconds, by the period's start."""
        found: dict[int, list[Slot]] = {}
        oldest = self._store.now() - kept_for(period)
        for series in together:
            for number, slot in series.slots(first, min(end, self._store.visible_until(series)), step):
                if first + number * step >= oldest:
                    found.setdefault(number, []).append(slot)
        return {first + number * step: Sample(slots) for number, slots in found.items()}


def dimensions_of(listed: list[dict[str, str]] | None) -> Dimensions:
    """Dimensions as a series key has them."""
    return tuple(sorted((item["Name"], item["Value"]) for item in listed or []))
