"""Alarms under a clock that the test sets."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.local.cloudwatch.alarm_verdict import EXTRA_PERIODS, Rule, Verdict, judge
from shadow_provider.local.cloudwatch.metric_store import MetricStore
from shadow_provider.local.cloudwatch.periods import period_start
from shadow_provider.local.cloudwatch.service import CloudWatch
from shadow_provider.local.faults import AlarmFault
from shadow_provider.local.faults.board import FaultBoard
from shadow_provider.local.settings import LocalSettings

# A full minute.
START = 1_800_000_000.0
START -= START % 60


class Clock:
    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> float:
        return self.time


class Cloud:
    """CloudWatch with one metric and one alarm."""

    def __init__(self, clock: float = 1.0, lag: float = 0.0, faults: FaultBoard | None = None) -> None:
        self.clock = Clock()
        self.cloudwatch = CloudWatch(MetricStore(self.clock, lag), LocalSettings(clock=clock), faults)
        self.call = self.cloudwatch.call

    def put(self, value: float, minutes_ago: float = 1, name: str = "m", **others: Any) -> None:
        datum = {"MetricName": name, "Value": value, "Timestamp": self.clock.time - 60 * minutes_ago, **others}
        self.call("PutMetricData", {"Namespace": "n", "MetricData": [datum]})

    def alarm(self, **changes: Any) -> None:
        wanted = {
            "AlarmName": "a",
            "Namespace": "n",
            "MetricName": "m",
            "Statistic": "Average",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 5,
            "ComparisonOperator": "GreaterThanThreshold",
            **changes,
        }
        self.call("PutMetricAlarm", {name: value for name, value in wanted.items() if value is not None})

    def after(self, seconds: float) -> Any:
        """What DescribeAlarms shows of the alarm some seconds later."""
        self.clock.time += seconds
        (shown,) = self.call("DescribeAlarms", {})["MetricAlarms"]
        assert self.cloudwatch.alarms.alarm_state("a") == shown["StateValue"]
        return shown


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def judged(pattern: str, missing: str, to_alarm: int = 3, periods: int = 3) -> str:
    """The verdict on a pattern of X (breaching), 0 (not) and - (missing), oldest first, as AWS's guide writes them."""
    values = {"X": 9.0, "0": 1.0, "-": None}
    rule = Rule("GreaterThanThreshold", 5.0, periods, to_alarm, missing)
    verdict = judge(rule, [(60.0 * at, values[sign]) for at, sign in enumerate(pattern)])
    return "retain" if verdict is None else verdict.state


@pytest.mark.parametrize(
    ("pattern", "to_alarm", "missing", "ignore", "breaching", "not_breaching"),
    [
        # The tables of AWS's guide: 3 of 3, then 2 of 3.
        ("0-X-X", 3, "OK", "OK", "OK", "OK"),
        ("----0", 3, "OK", "OK", "OK", "OK"),
        ("-----", 3, "INSUFFICIENT_DATA", "retain", "ALARM", "OK"),
        ("0XX-X", 3, "ALARM", "ALARM", "ALARM", "ALARM"),
        ("--X--", 3, "ALARM", "retain", "ALARM", "OK"),
        ("0-X-X", 2, "ALARM", "ALARM", "ALARM", "ALARM"),
        ("00X0X", 2, "ALARM", "ALARM", "ALARM", "ALARM"),
        ("0-X--", 2, "OK", "OK", "ALARM", "OK"),
        ("----0", 2, "OK", "OK", "ALARM", "OK"),
        ("---X-", 2, "ALARM", "retain", "ALARM", "OK"),
        # No alarm before its time: the next value may be a good one.
        ("----X", 3, "OK", "retain", "ALARM", "OK"),
        ("---X-", 3, "OK", "retain", "ALARM", "OK"),
        ("-X---", 3, "ALARM", "retain", "ALARM", "OK"),
    ],
)
def test_the_tables_of_the_guide(
    pattern: str, to_alarm: int, missing: str, ignore: str, breaching: str, not_breaching: str
) -> None:
    found = [judged(pattern, treatment, to_alarm) for treatment in ("missing", "ignore", "breaching", "notBreaching")]
    assert found == [missing, ignore, breaching, not_breaching]


@given(pattern=st.text("X0", min_size=1, max_size=9), data=st.data())
@settings(derandomize=True, max_examples=200, deadline=None)
def test_without_missing_values_m_of_n_is_counting(pattern: str, data: st.DataObject) -> None:
    periods = data.draw(st.integers(1, len(pattern)))
    to_alarm = data.draw(st.integers(1, periods))
    expected = "ALARM" if pattern[-periods:].count("X") >= to_alarm else "OK"
    for missing in ("missing", "ignore", "breaching", "notBreaching"):
        assert judged(pattern, missing, to_alarm, periods) == expected


@pytest.mark.parametrize(
    ("comparison", "breached"),
    [
        ("GreaterThanThreshold", [False, False, True]),
        ("GreaterThanOrEqualToThreshold", [False, True, True]),
        ("LessThanThreshold", [True, False, False]),
        ("LessThanOrEqualToThreshold", [True, True, False]),
    ],
)
def test_comparison_operators(cloud: Cloud, comparison: str, breached: list[bool]) -> None:
    cloud.alarm(ComparisonOperator=comparison)
    for value, alarming in zip((4.9, 5.0, 5.1), breached, strict=True):
        cloud.put(value, minutes_ago=0)
        assert cloud.after(60)["StateValue"] == ("ALARM" if alarming else "OK"), value


def reason(values: list[float | None], **changes: Any) -> str:
    rule = {"comparison": "GreaterThanThreshold", "threshold": 5.0, "periods": 3, "to_alarm": 2, "missing": "missing"}
    verdict = judge(Rule(**{**rule, **changes}), [(START + 60 * at, value) for at, value in enumerate(values)])
    assert isinstance(verdict, Verdict)
    return verdict.reason


def test_reasons_are_in_the_words_of_aws() -> None:
    assert reason([7.0, 1.0, 8.5]) == (
        "Threshold Crossed: 2 out of the last 3 datapoints [8.5 (15/01/27 08:02:00), 7.0 (15/01/27 08:00:00)] "
        "were greater than the threshold (5.0) (minimum 2 datapoints for OK -> ALARM transition)."
    )
    assert reason([2.0], periods=1, to_alarm=1) == (
        "Threshold Crossed: 1 out of the last 1 datapoints [2.0 (15/01/27 08:00:00)] was not greater than the "
        "threshold (5.0) (minimum 1 datapoint for ALARM -> OK transition)."
    )
    assert reason([None] * 3) == "Insufficient Data: 3 datapoints were unknown."
    assert reason([None], periods=1) == "Insufficient Data: 1 datapoint was unknown."
    assert reason([None] * 2, periods=2, missing="breaching") == (
        "Threshold Crossed: no datapoints were received for 2 periods and 2 missing datapoints were treated as "
        "[Breaching]."
    )
    assert reason([None], periods=1, to_alarm=1, missing="notBreaching") == (
        "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as "
        "[NonBreaching]."
    )
    assert reason(
        [None, 2.0], periods=2, comparison="LessThanOrEqualToThreshold", threshold=0.0, missing="breaching"
    ) == (
        "Threshold Crossed: 1 datapoint [2.0 (15/01/27 08:01:00)] was not less than or equal to the threshold (0.0) "
        "and 1 missing datapoint was treated as [Breaching]."
    )
    assert reason([None, None, 1.0], missing="breaching") == (
        "Threshold Crossed: 1 datapoint was received for 3 periods and 2 missing datapoints were treated as "
        "[Breaching]."
    )


def test_the_life_of_an_alarm(cloud: Cloud) -> None:
    cloud.put(9.0)
    cloud.alarm()
    new = cloud.after(0)
    assert (new["StateValue"], new["StateReason"]) == ("INSUFFICIENT_DATA", "Unchecked: Initial alarm creation")
    assert new["AlarmArn"] == "arn:aws:cloudwatch:us-east-1:123456789012:alarm:a"
    alarming = cloud.after(1)
    assert (alarming["StateValue"], alarming["StateTransitionedTimestamp"]) == ("ALARM", START + 1)
    data = json.loads(alarming["StateReasonData"])
    assert (data["recentDatapoints"], data["threshold"], data["period"], data["statistic"]) == (
        [9.0],
        5.0,
        60,
        "Average",
    )
    assert data["startDate"] == "2027-01-15T07:59:00.000+0000"
    # The minute under way does not count before it is over.
    cloud.put(1.0, minutes_ago=0)
    still = cloud.after(58)
    assert (still["StateValue"], still["StateUpdatedTimestamp"]) == ("ALARM", START + 1)
    assert cloud.after(1)["StateValue"] == "OK"
    # The newest value stays in sight for two further minutes.
    assert cloud.after(120)["StateValue"] == "OK"
    assert cloud.after(60)["StateValue"] == "INSUFFICIENT_DATA"
    items = cloud.call("DescribeAlarmHistory", {"AlarmName": "a", "ScanBy": "TimestampAscending"})["AlarmHistoryItems"]
    assert [item["HistorySummary"] for item in items] == [
        'Alarm "a" created',
        "Alarm updated from INSUFFICIENT_DATA to ALARM",
        "Alarm updated from ALARM to OK",
        "Alarm updated from OK to INSUFFICIENT_DATA",
    ]
    assert json.loads(items[1]["HistoryData"])["newState"]["stateReason"] == alarming["StateReason"]


def test_a_state_that_was_set_holds_until_the_next_evaluation(cloud: Cloud) -> None:
    cloud.put(1.0)
    cloud.alarm()
    assert cloud.after(1)["StateValue"] == "OK"
    # Right before an evaluation is due.
    cloud.clock.time += 0.99
    data = '{"why": "drill"}'
    request = {"AlarmName": "a", "StateValue": "ALARM", "StateReason": "a drill", "StateReasonData": data}
    cloud.call("SetAlarmState", request)
    shown = cloud.after(0.9)
    assert (shown["StateValue"], shown["StateReason"], shown["StateReasonData"]) == ("ALARM", "a drill", data)
    assert cloud.after(0.2)["StateValue"] == "OK"


def test_a_fault_gives_an_alarm_its_state_at_once_and_for_as_long_as_it_is_set() -> None:
    board = FaultBoard()
    cloud = Cloud(faults=board)
    cloud.alarm()
    cloud.put(1)
    assert cloud.after(2)["StateValue"] == "OK"
    armed = board.add(AlarmFault(alarm="a*", kind="ALARM"))
    board.add(AlarmFault(alarm="b", kind="INSUFFICIENT_DATA"))
    for seconds in (0, 2, 2):
        assert cloud.after(seconds)["StateValue"] == "ALARM"
    assert "fault" in cloud.after(0)["StateReason"]
    assert board.remove(armed.id)
    assert cloud.after(0)["StateValue"] == "OK"
    board.add(AlarmFault(kind="INSUFFICIENT_DATA", times=1))
    assert cloud.after(0)["StateValue"] == "INSUFFICIENT_DATA"
    assert cloud.after(2)["StateValue"] == "OK"


def test_an_update_keeps_the_state_until_the_next_evaluation(cloud: Cloud) -> None:
    cloud.put(9.0)
    cloud.alarm()
    cloud.after(1)
    cloud.alarm(Threshold=10, AlarmDescription="higher")
    shown = cloud.after(0)
    assert (shown["StateValue"], shown["Threshold"], shown["AlarmDescription"]) == ("ALARM", 10.0, "higher")
    assert cloud.after(1)["StateValue"] == "OK"


def test_ignoring_missing_data_keeps_any_state(cloud: Cloud) -> None:
    cloud.put(9.0)
    cloud.alarm(TreatMissingData="ignore")
    assert cloud.after(1)["StateValue"] == "ALARM"
    assert cloud.after(3600)["StateValue"] == "ALARM"


def test_long_periods_slide_by_the_minute(cloud: Cloud) -> None:
    cloud.alarm(Period=300, Statistic="Sum")
    cloud.put(6.0, minutes_ago=0)
    # The five minutes up to the one that has just ended, not the five minutes of the clock.
    shown = cloud.after(60)
    assert shown["StateValue"] == "ALARM"
    assert json.loads(shown["StateReasonData"])["startDate"] == "2027-01-15T07:56:00.000+0000"


def test_short_periods_are_seen_within_ten_seconds(cloud: Cloud) -> None:
    cloud.alarm(Period=10, Statistic=None, ExtendedStatistic="p90")
    for value in range(1, 11):
        cloud.put(float(value), minutes_ago=0, StorageResolution=1)
    assert cloud.after(9)["StateValue"] == "INSUFFICIENT_DATA"
    shown = cloud.after(1)
    assert (shown["StateValue"], json.loads(shown["StateReasonData"])["recentDatapoints"]) == ("ALARM", [9.1])


def test_an_alarm_on_an_expression(cloud: Cloud) -> None:
    def stat(name: str) -> dict[str, Any]:
        return {
            "Id": name,
            "MetricStat": {"Metric": {"Namespace": "n", "MetricName": name}, "Period": 60, "Stat": "Sum"},
            "ReturnData": False,
        }

    metrics = [{"Id": "rate", "Expression": "FILL(errors, 0) / calls", "Label": "rate"}, stat("errors"), stat("calls")]
    simple = dict.fromkeys(("Namespace", "MetricName", "Statistic", "Period"))
    cloud.alarm(Metrics=metrics, Threshold=0.1, **simple)
    cloud.put(10, name="calls")
    assert cloud.after(1)["StateValue"] == "OK"
    cloud.clock.time += 59
    cloud.put(10, name="calls")
    cloud.put(2, name="errors")
    shown = cloud.after(1)
    assert (shown["StateValue"], shown["Metrics"]) == ("ALARM", metrics)
    assert "[0.2 (" in shown["StateReason"]
    assert "MetricName" not in shown


def test_more_periods_are_looked_at_than_asked_for() -> None:
    # Seldom values: with 3 of 3 the three newest of five count.
    assert judged("XX-X-", "missing") == "ALARM"
    assert len("XX-X-") == 3 + EXTRA_PERIODS


@pytest.mark.parametrize("clock", [1.0, 7.0, 60.0, 3600.0])
def test_the_clock_shortens_an_alarms_minutes(clock: float) -> None:
    cloud, minute = Cloud(clock), 60 / clock
    cloud.clock.time = period_start(START, minute) + minute
    cloud.alarm(EvaluationPeriods=3, DatapointsToAlarm=2)
    states, starts = [], []
    for value in (1.0, 9.0, 1.0, 9.0, 1.0, 1.0, None, None, None, None, None):
        began = cloud.clock.time
        if value is not None:
            # Twice, so that a minute that is cut in two would be seen.
            cloud.put(value, minutes_ago=0)
            cloud.clock.time += minute / 2
            cloud.put(value, minutes_ago=0)
        cloud.clock.time = began
        shown = cloud.after(minute)
        states.append(shown["StateValue"])
        starts.append(began)
        if shown["StateValue"] == "ALARM":
            data = json.loads(shown["StateReasonData"])
            # The nominal period, but the times of the day.
            assert data["period"] == 60
            first = datetime.fromisoformat(data["startDate"]).timestamp()
            assert first == pytest.approx(starts[-3], abs=0.002)
    assert states == [*["OK"] * 3, "ALARM", "OK", "OK", *["OK"] * 4, "INSUFFICIENT_DATA"]
    transitions = cloud.call("DescribeAlarmHistory", {"HistoryItemType": "StateUpdate"})["AlarmHistoryItems"]
    assert [item["HistorySummary"].split("from ")[1] for item in reversed(transitions)] == [
        "INSUFFICIENT_DATA to OK",
        "OK to ALARM",
        "ALARM to OK",
        "OK to INSUFFICIENT_DATA",
    ]


def test_an_expression_is_told_the_nominal_period_under_a_fast_clock() -> None:
    cloud = Cloud(clock=60)
    m = {"MetricStat": {"Metric": {"Namespace": "n", "MetricName": "m"}, "Period": 60, "Stat": "Sum"}}
    expression = {"Id": "e", "Expression": "m / PERIOD(m) + RATE(m)"}
    simple = dict.fromkeys(("Namespace", "MetricName", "Statistic", "Period"))
    cloud.alarm(Metrics=[expression, {"Id": "m", **m, "ReturnData": False}], Threshold=5, **simple)
    for value in (60.0, 540.0):
        cloud.put(value, minutes_ago=0)
        shown = cloud.after(1)
    # 540 in a minute of AWS's, and 480 more than in the one before.
    assert (shown["StateValue"], json.loads(shown["StateReasonData"])["recentDatapoints"]) == ("ALARM", [17.0])


def test_percentile_alarms_of_short_periods_under_a_fast_clock() -> None:
    cloud = Cloud(clock=10)
    cloud.alarm(Period=10, Statistic=None, ExtendedStatistic="p90")
    for value in range(1, 11):
        cloud.put(float(value), minutes_ago=0, StorageResolution=1)
    assert cloud.after(0.9)["StateValue"] == "INSUFFICIENT_DATA"
    assert json.loads(cloud.after(0.1)["StateReasonData"])["recentDatapoints"] == [9.1]


def test_readers_ask_for_real_seconds_whatever_the_clock() -> None:
    cloud = Cloud(clock=60)
    for _ in range(3):
        cloud.put(1.0, minutes_ago=0)
        cloud.clock.time += 1
    ask = {"Namespace": "n", "MetricName": "m", "Statistics": ["Sum"], "StartTime": START, "EndTime": START + 60}
    for period, sums in ((60, [3.0]), (1, [1.0, 1.0, 1.0])):
        points = cloud.call("GetMetricStatistics", {**ask, "Period": period})["Datapoints"]
        assert [point["Sum"] for point in points] == sums


def test_an_alarm_sees_what_its_readers_see_after_the_lag() -> None:
    cloud = Cloud(lag=200)
    cloud.alarm(TreatMissingData="notBreaching")
    cloud.put(9.0, minutes_ago=0)
    # The minute ends after 60 seconds and can be seen 200 seconds later: too late for an alarm that did not wait.
    assert cloud.after(259)["StateValue"] == "OK"
    shown = cloud.after(1)
    assert (shown["StateValue"], json.loads(shown["StateReasonData"])["recentDatapoints"]) == ("ALARM", [9.0])


def test_minutes_that_went_by_unseen_are_judged_too() -> None:
    cloud = Cloud(clock=600)
    cloud.alarm()
    cloud.put(9.0, minutes_ago=0)
    assert cloud.after(0.05)["StateValue"] == "INSUFFICIENT_DATA"
    assert cloud.after(5)["StateValue"] == "INSUFFICIENT_DATA"
    assert states(cloud) == ["INSUFFICIENT_DATA", "ALARM", "INSUFFICIENT_DATA"]


def test_alarms_are_evaluated_though_nobody_looks() -> None:
    cloud = Cloud(clock=600)  # a tenth of a second is a minute
    cloud.alarm()
    cloud.put(9.0, minutes_ago=0)

    async def let_pass() -> list[str]:
        work = asyncio.create_task(cloud.cloudwatch.run())
        while len(states(cloud)) < 3:
            await asyncio.sleep(0.01)
            cloud.clock.time += 0.005
        work.cancel()
        return states(cloud)

    assert asyncio.run(asyncio.wait_for(let_pass(), 10)) == ["INSUFFICIENT_DATA", "ALARM", "INSUFFICIENT_DATA"]


def states(cloud: Cloud) -> list[str]:
    """The states an alarm has had, without looking at it."""
    (alarm,) = cloud.cloudwatch.alarms._alarms.values()
    found = [json.loads(item.data)["newState"]["stateValue"] for item in alarm.history if item.kind == "StateUpdate"]
    return ["INSUFFICIENT_DATA", *found]
