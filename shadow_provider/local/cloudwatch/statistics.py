"""The names of CloudWatch's statistics, and the ones that sort or cut values: percentile rank, trimmed statistics."""

from __future__ import annotations

import math
import re

from shadow_provider.local.cloudwatch.series import Floats, Sample

SIMPLE = ("Average", "Sum", "Minimum", "Maximum", "SampleCount")
_NUMBER = r"\d+(?:\.\d+)?"
_PERCENT = r"(?:100(?:\.0+)?|\d{1,2}(?:\.\d+)?)"
_PERCENTILE = re.compile(rf"p{_PERCENT}")
# PR(low:high) is of values; TM, TC and TS take values or percentiles; tm99 is short for TM(0%:99%).
_RANGE = re.compile(rf"(?P<kind>PR|TM|TC|TS)\((?P<low>{_NUMBER})?:(?P<high>{_NUMBER})?\)")
_SHARES = re.compile(rf"(?P<kind>TM|TC|TS)\((?:(?P<low>{_PERCENT})%)?:(?:(?P<high>{_PERCENT})%)?\)")
_SHORT = re.compile(rf"(?P<kind>tm|tc|ts)(?P<high>{_PERCENT})")


def is_percentile(name: str) -> bool:
    """Whether a name is a percentile, p0 to p100."""
    return _PERCENTILE.fullmatch(name) is not None


def is_statistic(name: str) -> bool:
    """Whether there is a statistic of this name, extended ones included."""
    if name in SIMPLE or is_percentile(name):
        return True
    found = _RANGE.fullmatch(name) or _SHARES.fullmatch(name)
    return _SHORT.fullmatch(name) is not None or (found is not None and bool(found["low"] or found["high"]))


def statistic(sample: Sample, name: str) -> float | None:
    """A statistic of one period's values, None where there is none.

    All but the simple ones need the values themselves: values put as statistic sets have none.
    """
    if name in SIMPLE or is_percentile(name):
        return sample.statistic(name)
    known = sample.expanded()
    if known is None:
        return None
    values, counts = known
    found = _RANGE.fullmatch(name)
    if found is not None:
        low, high = _bound(found["low"], -math.inf), _bound(found["high"], math.inf)
    else:
        found = _SHARES.fullmatch(name) or _SHORT.fullmatch(name)
        assert found is not None
        low = -math.inf if found.groupdict().get("low") is None else _percentile(sample, found["low"])
        high = math.inf if found["high"] is None else _percentile(sample, found["high"])
    # As documented: the lower bound is exclusive, the upper one inclusive.
    inside = (values > low) & (values <= high)
    return _of(found["kind"].upper(), values[inside], counts[inside], float(counts.sum()))


def _of(kind: str, values: Floats, counts: Floats, everything: float) -> float | None:
    within = float(counts.sum())
    match kind:
        case "PR":
            return 100 * within / everything
        case "TC":
            return within
        case "TS":
            return float((values * counts).sum())
    return float((values * counts).sum()) / within if within else None


def _bound(text: str | None, otherwise: float) -> float:
    return otherwise if text is None else float(text)


def _percentile(sample: Sample, percent: str) -> float:
    found = sample.statistic(f"p{percent}")
    assert found is not None
    return found
