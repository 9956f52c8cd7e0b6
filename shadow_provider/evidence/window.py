"""Hours and minutes of a window, as S3 prefixes and CloudWatch periods need them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from shadow_provider.verdict.evidence import EvidenceWindow

__all__ = [
    "EvidenceWindow",
    "hours",
    "is_period",
    "kept_for",
    "kept_since",
    "period_grain",
    "rounded_down",
    "rounded_up",
]

_HOUR = timedelta(hours=1)
_CLOCK_MARGIN = timedelta(minutes=5)
_HIGH_RESOLUTION = (1, 5, 10, 20, 30)
_RETENTION = ((3600, timedelta(days=455)), (300, timedelta(days=63)), (60, timedelta(days=15)))


def hours(start: datetime, end: datetime) -> Iterator[datetime]:
    """Each full hour from the one in which `start` lies to the one in which `end` lies, both included."""
    hour = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while hour <= end:
        yield hour
        hour += _HOUR


def rounded_down(moment: datetime, seconds: int) -> datetime:
    """The last multiple of that many seconds that is not after the moment."""
    whole = int(moment.timestamp() // seconds) * seconds
    return datetime.fromtimestamp(whole, UTC)


def rounded_up(moment: datetime, seconds: int) -> datetime:
    """The first multiple of that many seconds that is not before the moment."""
    down = rounded_down(moment, seconds)
    return down if down == moment else down + timedelta(seconds=seconds)


def period_grain(start: datetime, now: datetime) -> int:
    """The seconds of which a CloudWatch period must be a multiple, by the age of the start.

    60 s data is kept for 15 days, 300 s data for 63 days, then hours are left (GetMetricData, parameter Period).
    """
    age = now - start
    if age > timedelta(days=63):
        return 3600
    return 300 if age > timedelta(days=15) else 60


def is_period(seconds: int) -> bool:
    """Whether CloudWatch takes that many seconds as a period: whole minutes, and a few shorter ones.

    The shorter ones have datapoints only where a metric is put in high resolution. SageMaker puts its invocation
    metrics every minute; the local AWS can put them more often.
    """
    return seconds in _HIGH_RESOLUTION or (seconds >= 60 and seconds % 60 == 0)


def kept_for(seconds: int) -> timedelta:
    """How far back CloudWatch answers with periods of that length (GetMetricData, parameter StartTime).

    A multiple of an hour is answered for 455 days, of five minutes for 63, of a minute for 15, a shorter one for 3 h.
    """
    return next((kept for grain, kept in _RETENTION if seconds % grain == 0), timedelta(hours=3))


def kept_since(seconds: int, now: datetime) -> datetime:
    """The earliest start that CloudWatch surely answers with such periods, whatever its clock says against ours.

    From an earlier one it answers none of the range, or begins it at another time.
    """
    return now - kept_for(seconds) + _CLOCK_MARGIN
