"""Periods of time: where they begin, how long CloudWatch keeps them."""

from __future__ import annotations

import math

MINUTE = 60
HOUR = 3600
DAY = 86_400
# Today's epoch seconds, as a float, are exact to a quarter of a microsecond only.
TOLERANCE = 1e-6
# AWS: how long values are kept in periods of what length; from the finest to the coarsest, seconds.
RETENTION = ((3 * HOUR, 1), (15 * DAY, MINUTE), (63 * DAY, 5 * MINUTE), (455 * DAY, HOUR))
KEPT = RETENTION[-1][0]


def period_start(at: float, length: float) -> float:
    """The start of the period that a time is in; periods are counted from the epoch, all in seconds."""
    return math.floor((at + TOLERANCE) / length) * length


def grain_at(age: float) -> int:
    """The length of the finest periods that CloudWatch still keeps of values that old, seconds."""
    return next((grain for limit, grain in RETENTION if age <= limit), HOUR)


def kept_for(period: int) -> int:
    """How far back CloudWatch answers with periods of a length, seconds.

    AWS: of what is older than 3 hours, 15 days or 63 days no datapoints are returned unless the period is a multiple of
    a minute, of five minutes or of an hour.
    """
    return next((limit for limit, grain in reversed(RETENTION) if period % grain == 0), KEPT)
