"""PutMetricData: what is put, checked and on its way into the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shadow_provider.local.cloudwatch.metric_store import MetricStore, SeriesKey
from shadow_provider.local.cloudwatch.periods import DAY, MINUTE, period_start
from shadow_provider.local.cloudwatch.reading import TWO_HOURS_AHEAD, dimensions_of
from shadow_provider.local.cloudwatch.series import Series, StatisticSet
from shadow_provider.local.errors import AwsError

TWO_WEEKS_BACK = 14 * DAY
MAX_METRICS = 1000
MAX_VALUES = 150
# Values beyond this are refused, as are NaN and the infinities (documentation of MetricDatum).
_LARGEST = 2.0**360


def put(store: MetricStore, request: dict[str, Any], clock: float) -> None:
    """Stores what a PutMetricData request brings, all of it or nothing.

    Args:
        store: Where it goes.
        request: The request, checked against its shape.
        clock: AWS seconds in a real one: timestamps are rounded down to a minute or a second of AWS's.

    Raises:
        AwsError: In AWS's codes.
    """
    if "EntityMetricData" in request:
        raise _invalid("The local AWS does not support EntityMetricData yet.")
    data = request.get("MetricData")
    if not data:
        raise AwsError("MissingParameter", "The parameter MetricData is required.")
    if len(data) > MAX_METRICS:
        raise _invalid(f"The collection MetricData must not have a size greater than {MAX_METRICS}.")
    prepared = [
        _prepare(store, request["Namespace"], datum, clock, f"MetricData.member.{number}")
        for number, datum in enumerate(data, start=1)
    ]
    for key, resolution, add in prepared:
        add(store.series(key, resolution))


def _prepare(
    store: MetricStore, namespace: str, datum: dict[str, Any], clock: float, path: str
) -> tuple[SeriesKey, float, Callable[[Series], None]]:
    """Checks one datum. What is returned stores it, so that a refused request stores nothing."""
    now = store.now()
    timestamp = datum.get("Timestamp", now)
    if not now - TWO_WEEKS_BACK <= timestamp <= now + TWO_HOURS_AHEAD:
        raise _invalid(
            f"The parameter {path}.Timestamp must specify a time no more than two weeks in the past and no more than "
            "two hours in the future."
        )
    stored = datum.get("StorageResolution", MINUTE)
    if stored not in (1, MINUTE):
        raise _invalid(f"The parameter {path}.StorageResolution must be 1 or 60.")
    resolution = stored / clock
    timestamp = period_start(timestamp, resolution)
    dimensions = dimensions_of(datum.get("Dimensions"))
    if len({name for name, _ in dimensions}) != len(dimensions):
        raise _invalid(f"The names in {path}.Dimensions must be different.")
    key = SeriesKey(namespace, datum["MetricName"], dimensions, datum.get("Unit", "None"))
    given = [name for name in ("Value", "Values", "StatisticValues") if name in datum]
    if len(given) != 1:
        raise AwsError(
            "InvalidParameterCombination",
            f"Exactly one of {path}.Value, {path}.Values and {path}.StatisticValues must be given.",
        )
    if "StatisticValues" in datum:
        return key, resolution, _summed(datum["StatisticValues"], timestamp, path)
    return key, resolution, _listed(datum, timestamp, path)


def _summed(given: dict[str, float], timestamp: float, path: str) -> Callable[[Series], None]:
    count, total, least, most = (given[name] for name in ("SampleCount", "Sum", "Minimum", "Maximum"))
    _check_values([count, total, least, most], path)
    if count <= 0 or least > most:
        raise _invalid(f"The parameter {path}.StatisticValues must have a SampleCount above 0 and Minimum <= Maximum.")
    totals = StatisticSet(count, total, least, most)
    return lambda series: series.add_set(timestamp, totals)


def _listed(datum: dict[str, Any], timestamp: float, path: str) -> Callable[[Series], None]:
    values = [datum["Value"]] if "Value" in datum else datum["Values"]
    _check_values(values, path)
    counts = datum.get("Counts") or [1.0] * len(values)
    if len(counts) != len(values) or len(values) > MAX_VALUES:
        raise _invalid(f"{path}.Values and {path}.Counts must match and be at most {MAX_VALUES}.")
    if not all(0 < count <= _LARGEST for count in counts):
        raise _invalid(f"The parameter {path}.Counts must be above 0.")

    def add(series: Series) -> None:
        for value, count in zip(values, counts, strict=True):
            series.add(timestamp, value, count)

    return add


def _check_values(values: list[float], path: str) -> None:
    for value in values:
        if not abs(value) <= _LARGEST:
            raise _invalid(f"The value {value} for parameter {path}.Value is invalid.")


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterValue", message)
