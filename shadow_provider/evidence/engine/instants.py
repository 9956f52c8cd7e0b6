"""Times as SageMaker writes them, many at once."""

import numpy as np
from numpy.typing import NDArray

_FORM = np.frombuffer(b"0000-00-00T00:00:00Z", dtype=np.uint8)
_ZERO, _NINE = 48, 57
_DIGITS = _FORM == _ZERO
_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_SECOND = 1_000_000


def instants(texts: NDArray[np.uint8]) -> NDArray[np.int64] | None:
    """Microseconds since 1970 of times such as 2026-03-01T10:00:00Z; None if any is none.

    Args:
        texts: a row of 20 bytes a time.
    """
    digits = texts[:, _DIGITS]
    if not ((texts[:, ~_DIGITS] == _FORM[~_DIGITS]).all() and (digits >= _ZERO).all() and (digits <= _NINE).all()):
        return None
    figures = digits.astype(np.int64) - _ZERO
    year = figures[:, :4] @ np.array([1000, 100, 10, 1])
    month, day, hour, minute, second = (figures[:, at] * 10 + figures[:, at + 1] for at in range(4, 14, 2))
    if not ((month >= 1).all() and (month <= 12).all() and (day >= 1).all() and (year >= 1).all()):
        return None
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    if not (
        (day <= _MONTH_DAYS[month] + (leap & (month == 2))).all()
        and (hour < 24).all()
        and (minute < 60).all()
        and (second < 60).all()
    ):
        return None
    months = (year - 1970) * 12 + month - 1
    days = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + day - 1
    found: NDArray[np.int64] = ((days * 24 + hour) * 60 + minute) * (60 * _SECOND) + second * _SECOND
    return found
