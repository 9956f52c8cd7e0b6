"""What production's traffic was like before there is a shadow: what a plan can reckon with."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

BLOCK_LENGTHS = (60, 300, 900, 3600)
"""Block lengths in seconds for which the noise of latency is looked at."""

LEAST_CHANGES = 12
"""Changes from block to block that a deviation is made of at least."""


@dataclass(frozen=True)
class HourOfTraffic:
    """Invocations of one hour, and the failed ones (4XX and 5XX); None if CloudWatch has no count of those."""

    start: datetime
    invocations: int
    errors: int | None


@dataclass(frozen=True)
class Traffic:
    """One variant's traffic over a span of whole hours.

    Attributes:
        start: of the first hour.
        end: of the last.
        hours: hours that have data; the others had no traffic, or no endpoint.
        invocations_per_hour: mean over those hours; None without any.
        busiest: the hour with most invocations.
        quietest: the one with fewest, of those that have data.
        error_rate: failed invocations by invocations, over the hours that have both counts; None without any.
        latency: by percentile and block length in seconds, how much the percentile of ModelLatency changes by chance
            and load from one block to the next: the standard deviation of the difference of logarithms. It stands in
            for that of a block's log-ratio between two variants that serve as many requests each, and errs on the high
            side where load moves both. A variant with fewer requests has more of it. Not there where too few
            neighbouring blocks had enough samples.
        notes: what CloudWatch did not answer, in words.
    """

    start: datetime
    end: datetime
    hours: int
    invocations_per_hour: float | None
    busiest: HourOfTraffic | None
    quietest: HourOfTraffic | None
    error_rate: float | None
    latency: dict[str, dict[int, float]]
    notes: tuple[str, ...] = ()


def traffic(
    start: datetime,
    end: datetime,
    hours: Sequence[HourOfTraffic],
    latency: Mapping[str, Mapping[int, Sequence[float | None]]],
    notes: Sequence[str] = (),
) -> Traffic:
    """What hours and blocks say together.

    Args:
        start: of the first hour that was asked for.
        end: of the last.
        hours: those that have data.
        latency: by percentile and block length in seconds, the percentile by block from the first to the last; None
            for a block without one, or with too few samples.
        notes: what CloudWatch did not answer.
    """
    deviations = {
        percentile: {seconds: block_to_block(series) for seconds, series in lengths.items()}
        for percentile, lengths in latency.items()
    }
    return Traffic(
        start=start,
        end=end,
        hours=len(hours),
        invocations_per_hour=statistics.fmean(hour.invocations for hour in hours) if hours else None,
        busiest=max(hours, key=lambda hour: hour.invocations, default=None),
        quietest=min(hours, key=lambda hour: hour.invocations, default=None),
        error_rate=_error_rate(hours),
        latency={
            percentile: {seconds: found for seconds, found in lengths.items() if found is not None}
            for percentile, lengths in deviations.items()
        },
        notes=tuple(notes),
    )


def block_to_block(series: Sequence[float | None]) -> float | None:
    """Standard deviation of the change of the logarithm between neighbouring blocks; None for fewer than 12 changes."""
    changes = [math.log(later / earlier) for earlier, later in pairwise(series) if earlier and later]
    return statistics.stdev(changes) if len(changes) >= LEAST_CHANGES else None


def _error_rate(hours: Sequence[HourOfTraffic]) -> float | None:
    known = [(hour.errors, hour.invocations) for hour in hours if hour.errors is not None]
    invocations = sum(each for _, each in known)
    # A failure may be counted in the hour after its request: at the edge there can be more of them than requests.
    return min(1.0, sum(errors for errors, _ in known) / invocations) if invocations else None
