"""What an alarm's datapoints say: the state, and the reason in AWS's words.

The rules are those of the CloudWatch user guide, "Configuring how CloudWatch alarms treat missing data".
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

# CloudWatch looks at more periods than asked for, so that values which come late or seldom still count. How many more
# is not documented; the guide's examples have five for three.
EXTRA_PERIODS = 2
OPERATORS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}
TREATMENTS = ("breaching", "notBreaching", "ignore", "missing")

# Start of the period (epoch seconds) and value, None if it is missing.
Datapoint = tuple[float, float | None]
Known = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Rule:
    """What decides an alarm's state.

    Attributes:
        comparison: A key of OPERATORS.
        threshold: In the metric's unit.
        periods: N of "M of N".
        to_alarm: M of "M of N".
        missing: One of TREATMENTS.
    """

    comparison: str
    threshold: float
    periods: int
    to_alarm: int
    missing: str

    def breached_by(self, value: float) -> bool:
        """Whether a value is on the wrong side of the threshold."""
        return OPERATORS[self.comparison][0](value, self.threshold)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A state and why."""

    state: str
    reason: str


def judge(rule: Rule, datapoints: Sequence[Datapoint]) -> Verdict | None:
    """The state that datapoints call for; None if the alarm keeps the one it has.

    Args:
        rule: The alarm's.
        datapoints: Of all periods of the evaluation range, oldest first: rule.periods + EXTRA_PERIODS.
    """
    # The newest values there are count, even if some are older than N periods; only what is missing then is filled.
    known = [(at, value) for at, value in datapoints if value is not None][-rule.periods :]
    absent = rule.periods - len(known)
    breaching = sum(rule.breached_by(value) for _, value in known)
    if absent and rule.missing in ("breaching", "notBreaching"):
        filled = breaching + (absent if rule.missing == "breaching" else 0)
        return _filled_verdict(rule, known, absent, "ALARM" if filled >= rule.to_alarm else "OK")
    if not known:
        return None if rule.missing == "ignore" else Verdict("INSUFFICIENT_DATA", _unknown(rule.periods))
    if breaching >= rule.to_alarm:
        return _verdict(rule, known, "ALARM")
    if absent and breaching == len(known):
        # Nothing speaks against an alarm, but too little for one. "ignore" waits for more.
        if rule.missing == "ignore":
            return None
        if _premature(rule, datapoints):
            return _verdict(rule, known, "ALARM")
    return _verdict(rule, known, "OK")


def _premature(rule: Rule, datapoints: Sequence[Datapoint]) -> bool:
    """Whether the oldest value is at least M periods old, where all values are breaching.

    That tells "- - X - -" (3 of 3: alarm) from "- - - - X", after which a good value may still come.
    """
    return any(value is not None for _, value in datapoints[: len(datapoints) - rule.to_alarm + 1])


def _verdict(rule: Rule, known: Sequence[Known], state: str) -> Verdict:
    shown = _decisive(rule, known, state)
    if not shown:
        return Verdict(state, f"Threshold Crossed: {_received(len(known))} for {_count(rule.periods, 'period')}.")
    if state == "ALARM":
        least, change = rule.to_alarm, "OK -> ALARM"
    else:
        least, change = rule.periods - rule.to_alarm + 1, "ALARM -> OK"
    return Verdict(
        state,
        f"Threshold Crossed: {len(shown)} out of the last {len(known)} datapoints {_compared(rule, shown, state)} "
        f"(minimum {_count(least, 'datapoint')} for {change} transition).",
    )


def _filled_verdict(rule: Rule, known: Sequence[Known], absent: int, state: str) -> Verdict:
    treated = "Breaching" if rule.missing == "breaching" else "NonBreaching"
    shown = _decisive(rule, known, state)
    if shown:
        found = f"{_count(len(shown), 'datapoint')} {_compared(rule, shown, state)}"
    else:
        found = f"{_received(len(known))} for {_count(rule.periods, 'period')}"
    were = "was" if absent == 1 else "were"
    filled = f"{_count(absent, 'missing datapoint')} {were} treated as [{treated}]"
    return Verdict(state, f"Threshold Crossed: {found} and {filled}.")


def _decisive(rule: Rule, known: Sequence[Known], state: str) -> list[Known]:
    """The values that speak for a state, newest first as AWS lists them."""
    return [item for item in reversed(known) if rule.breached_by(item[1]) == (state == "ALARM")]


def _compared(rule: Rule, shown: Sequence[Known], state: str) -> str:
    listed = ", ".join(f"{value} ({datetime.fromtimestamp(at, UTC):%d/%m/%y %H:%M:%S})" for at, value in shown)
    verb = ("was" if len(shown) == 1 else "were") + ("" if state == "ALARM" else " not")
    return f"[{listed}] {verb} {OPERATORS[rule.comparison][1]} the threshold ({rule.threshold})"


def _unknown(count: int) -> str:
    return f"Insufficient Data: {_count(count, 'datapoint')} {'was' if count == 1 else 'were'} unknown."


def _received(count: int) -> str:
    return f"{_count(count, 'datapoint') if count else 'no datapoints'} {'was' if count == 1 else 'were'} received"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
