"""Alarms that really evaluate: their states, when they are looked at again, their history."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from shadow_provider.local.cloudwatch.alarm_verdict import EXTRA_PERIODS, Rule, Verdict, judge
from shadow_provider.local.cloudwatch.math_values import MathError, TimeSeries
from shadow_provider.local.cloudwatch.metric_store import MetricStore
from shadow_provider.local.cloudwatch.periods import period_start
from shadow_provider.local.cloudwatch.reading import MetricReader, Queries, expression_error
from shadow_provider.local.errors import AwsError

# AWS evaluates an alarm every minute, or every 10 s if its periods are shorter than a minute. Here that is done every
# second, so that nobody waits a minute for a state, or as often as AWS does it where a fast clock makes that oftener.
_STEP, _SHORT_STEP = 60, 10
_INTERVAL = 1.0
_HISTORY_LIMIT = 1000
_CATCH_UP = 100


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One line of an alarm's history; the time is in epoch seconds."""

    alarm: str
    at: float
    kind: str
    summary: str
    data: str


@dataclass(slots=True)
class Alarm:
    """One alarm. Times are epoch seconds.

    Attributes:
        config: The members of PutMetricAlarm as DescribeAlarms shows them.
        rule: What decides the state.
        queries: What it watches; one of them is returned.
        period: Seconds.
        configured: When it was last put.
        due: When it is evaluated again.
        judged_until: End of the evaluation range that was judged last, or that was over when the alarm was put.
        tags: As given when it was made; later puts do not change them.
    """

    config: dict[str, Any]
    rule: Rule
    queries: Queries
    period: int
    configured: float
    due: float
    judged_until: float
    state: str = "INSUFFICIENT_DATA"
    reason: str = "Unchecked: Initial alarm creation"
    reason_data: str | None = None
    updated: float = 0.0
    transitioned: float = 0.0
    history: list[HistoryItem] = field(default_factory=list)
    tags: tuple[dict[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The alarm's name."""
        return str(self.config["AlarmName"])

    def record(self, at: float, kind: str, summary: str, data: dict[str, Any]) -> None:
        """Adds a line to the history."""
        item = HistoryItem(self.name, at, kind, summary, json.dumps({"version": "1.0", **data}))
        self.history = [*self.history[1 - _HISTORY_LIMIT :], item]


class Alarms:
    """All alarms. They are evaluated before each read, those that are due; `evaluated` called regularly does the rest.

    Args:
        store: Where the values are, and the time of day.
        clock: AWS seconds in a real one: an alarm's periods and its evaluations are that much shorter.
        forced: Gives the state that the alarm of a name is to have whatever it watches, if a fault says so.
    """

    def __init__(
        self, store: MetricStore, clock: float = 1.0, forced: Callable[[str], str | None] = lambda _name: None
    ) -> None:
        self._store = store
        self._reader = MetricReader(store)
        self._clock = clock
        self._forced = forced
        self._alarms: dict[str, Alarm] = {}
        self._deleted: list[HistoryItem] = []

    def evaluated(self) -> list[Alarm]:
        """All alarms by name, after those that are due were evaluated."""
        now = self._store.now()
        for alarm in self._alarms.values():
            if now >= alarm.due:
                self._evaluate(alarm, now)
        return [self._alarms[name] for name in sorted(self._alarms)]

    def look_again(self) -> None:
        """Makes all alarms due at once."""
        for alarm in self._alarms.values():
            alarm.due = -math.inf

    def alarm_state(self, name: str) -> str | None:
        """An alarm's state now: OK, ALARM or INSUFFICIENT_DATA; None if there is no such alarm."""
        alarm = self._alarms.get(name)
        if alarm is None:
            return None
        now = self._store.now()
        if now >= alarm.due:
            self._evaluate(alarm, now)
        return alarm.state

    def tags_of(self, name: str) -> tuple[dict[str, str], ...] | None:
        """An alarm's tags; None if there is no such alarm."""
        alarm = self._alarms.get(name)
        return None if alarm is None else alarm.tags

    def put(
        self,
        config: dict[str, Any],
        rule: Rule,
        queries: Queries,
        period: int,
        tags: tuple[dict[str, str], ...] = (),
    ) -> None:
        """Makes an alarm, or replaces what an alarm of that name watches; its state and its tags stay then.

        Raises:
            AwsError: ValidationError, if what it watches is no single time series.
        """
        now = self._store.now()
        self._watched(queries, now - period / self._clock, now)
        due, end = now + self._interval(period), self._end(period, now)
        alarm = self._alarms.get(config["AlarmName"])
        if alarm is None:
            alarm = Alarm(config, rule, queries, period, now, due, end, updated=now, transitioned=now, tags=tags)
            self._alarms[alarm.name] = alarm
            done, kind = "created", "Create"
        else:
            alarm.config, alarm.rule, alarm.queries, alarm.period = config, rule, queries, period
            alarm.configured, alarm.due, alarm.judged_until = now, due, end
            done, kind = "updated", "Update"
        alarm.record(now, "ConfigurationUpdate", f'Alarm "{alarm.name}" {done}', {"type": kind})

    def delete(self, names: list[str]) -> None:
        """Deletes alarms: all of them, or none if one does not exist.

        Raises:
            AwsError: ResourceNotFound.
        """
        for name in names:
            self._known(name)
        for name in dict.fromkeys(names):
            alarm = self._alarms.pop(name)
            alarm.record(self._store.now(), "ConfigurationUpdate", f'Alarm "{name}" deleted', {"type": "Delete"})
            self._deleted = [*self._deleted, *alarm.history][-_HISTORY_LIMIT:]

    def set_state(self, name: str, state: str, reason: str, reason_data: str | None) -> None:
        """Sets a state; the next evaluation may change it again.

        Raises:
            AwsError: ResourceNotFound.
        """
        alarm = self._known(name)
        now = self._store.now()
        if now >= alarm.due:
            self._evaluate(alarm, now)
        self._change(alarm, Verdict(state, reason), reason_data, now)
        alarm.due = now + self._interval(alarm.period)

    def history(self) -> list[HistoryItem]:
        """What happened to all alarms, deleted ones included, oldest first."""
        found = [item for alarm in self.evaluated() for item in alarm.history]
        return sorted([*self._deleted, *found], key=lambda item: item.at)

    @property
    def interval(self) -> float:
        """After how many real seconds, at the latest, the first of the alarms is due again."""
        return min((self._interval(alarm.period) for alarm in self._alarms.values()), default=_INTERVAL)

    def _step(self, period: int) -> float:
        return (_STEP if period >= _STEP else _SHORT_STEP) / self._clock

    def _interval(self, period: int) -> float:
        return min(_INTERVAL, self._step(period))

    def _known(self, name: str) -> Alarm:
        alarm = self._alarms.get(name)
        if alarm is None:
            raise AwsError("ResourceNotFound", f"Unknown alarm: {name}", 404)
        return alarm

    def _evaluate(self, alarm: Alarm, now: float) -> None:
        alarm.due = now + self._interval(alarm.period)
        forced = self._forced(alarm.name)
        if forced is not None:
            if forced != alarm.state:
                self._change(alarm, Verdict(forced, "A fault of the local AWS sets this state."), None, now)
            return
        for end in self._ends(alarm, now):
            series = self._series(alarm, end)
            datapoints = [(at, series.points.get(at)) for at in series.periods()]
            verdict = judge(alarm.rule, datapoints)
            if verdict is not None and verdict.state != alarm.state:
                self._change(alarm, verdict, _reason_data(alarm, series, now), now)

    def _ends(self, alarm: Alarm, now: float) -> list[float]:
        """The ends of the evaluation ranges to be judged: that of now, and those that went by since the last time."""
        step, end = self._step(alarm.period), self._end(alarm.period, now)
        missed = round((end - alarm.judged_until) / step) - 1
        alarm.judged_until = end
        # A busy server may be late by several of a fast clock's minutes.
        return [period_start(end - number * step, step) for number in range(min(max(missed, 0), _CATCH_UP), -1, -1)]

    def _end(self, period: int, now: float) -> float:
        """A range ends with the last full minute whose values can be seen, and moves on minute by minute."""
        return period_start(now - self._store.lag, self._step(period))

    def _series(self, alarm: Alarm, end: float) -> TimeSeries:
        """The values of the evaluation range that ends there."""
        start = end - (alarm.rule.periods + EXTRA_PERIODS) * alarm.period / self._clock
        return self._watched(alarm.queries, start, end)

    def _watched(self, queries: Queries, start: float, end: float) -> TimeSeries:
        name = queries.returned[0]["Id"]
        value = self._reader.exactly(queries, start, end, self._clock)[name]
        if not isinstance(value, TimeSeries):
            raise expression_error(name, MathError("An alarm needs a single time series"))
        return value

    def _change(self, alarm: Alarm, verdict: Verdict, reason_data: str | None, now: float) -> None:
        old = {"stateValue": alarm.state, "stateReason": alarm.reason}
        new = {"stateValue": verdict.state, "stateReason": verdict.reason}
        if verdict.state != alarm.state:
            alarm.transitioned = now
            summary = f"Alarm updated from {alarm.state} to {verdict.state}"
            alarm.record(now, "StateUpdate", summary, {"oldState": old, "newState": new})
        alarm.state, alarm.reason, alarm.reason_data = verdict.state, verdict.reason, reason_data
        alarm.updated = now


def _reason_data(alarm: Alarm, series: TimeSeries, now: float) -> str:
    """The same as the reason, for programs; its members are the ones AWS shows."""
    recent = sorted(series.points.items())[-alarm.rule.periods :]
    data: dict[str, Any] = {"version": "1.0", "queryDate": _iso(now)}
    if recent:
        data["startDate"] = _iso(recent[0][0])
    for member, name in (("statistic", "Statistic"), ("statistic", "ExtendedStatistic"), ("unit", "Unit")):
        if name in alarm.config:
            data[member] = alarm.config[name]
    data |= {"period": alarm.period, "recentDatapoints": [value for _, value in recent]}
    return json.dumps({**data, "threshold": alarm.rule.threshold})


def _iso(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S}.{int(at % 1 * 1000):03d}+0000"
