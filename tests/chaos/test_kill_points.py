"""A sample of all kill points; ``make chaos`` runs them all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shadow_provider.local.control.calls import Call
from tests.chaos.campaign import sample
from tests.chaos.end_state import EndState, Findings, differences, wrong_greens
from tests.chaos.interruptions import kill_points
from tests.chaos.journal import Journal, Result
from tests.chaos.scenarios import ENDPOINT, SCENARIOS
from tests.chaos.sharing import runs_of

ROOT = Path(__file__).parents[2]


def test_a_pipeline_that_is_killed_at_any_of_a_sample_of_points_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chaos", "--what", "kills", "--sample", "21", "--logs", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "21 disturbed runs" in done.stdout


def call(operation: str, *resources: str, principal: str = "task.plan") -> Call:
    return Call(
        sequence=1,
        time=0,
        service="sagemaker",
        operation=operation,
        principal=principal,
        resources=resources,
        status=200,
        error_code=None,
        effect=True,
        faults=(),
    )


def test_each_call_has_two_sides_and_polls_count_three_times() -> None:
    poll = call("DescribeEndpoint", "prices")
    change = call("UpdateEndpoint", "prices", "config")
    points = kill_points([poll, poll, change, poll, poll, change])
    assert [(point.operation, point.resource, point.nth, point.when) for point in points] == [
        ("DescribeEndpoint", "prices", 1, "before"),
        ("DescribeEndpoint", "prices", 1, "after"),
        ("DescribeEndpoint", "prices", 2, "before"),
        ("DescribeEndpoint", "prices", 2, "after"),
        ("UpdateEndpoint", "config", 1, "before"),
        ("UpdateEndpoint", "config", 1, "after"),
        ("DescribeEndpoint", "prices", 3, "before"),
        ("DescribeEndpoint", "prices", 3, "after"),
        ("UpdateEndpoint", "config", 2, "before"),
        ("UpdateEndpoint", "config", 2, "after"),
    ]


def test_changes_have_runs_of_their_own_and_reads_share_them_one_a_process() -> None:
    calls = [call("ListTags", "a"), call("CreateModel", "a"), call("ListTags", "b", principal="task.deploy")]
    points = kill_points([*calls, call("ListTags", "c")])
    runs = [[(point.process, point.resource, point.when) for point in run] for run in runs_of(points)]
    assert runs == [
        [("task.plan", "a", "before")],
        [("task.plan", "a", "after")],
        [("task.plan", "a", "before"), ("task.deploy", "b", "before")],
        [("task.plan", "a", "after"), ("task.deploy", "b", "after")],
        [("task.plan", "c", "before")],
        [("task.plan", "c", "after")],
    ]


def test_a_campaign_that_was_cut_off_goes_on_and_another_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "journal.jsonl"
    result = Result(2, 1, Findings(orphans=["model x"]))
    Journal(path, resume=False).add("kill promote: here", result)
    path.write_text(path.read_text() + '{"run": "cut o')
    going_on = Journal(path, resume=True)
    assert going_on.done == {"kill promote: here": result}
    going_on.add("kill promote: there", result)
    assert set(Journal(path, resume=True).done) == {"kill promote: here", "kill promote: there"}
    assert Journal(path, resume=False).done == {}
    assert Journal(path, resume=True).done == {}


def test_results_of_other_code_are_not_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, resume=False).add("kill promote: here", Result(1, 1, Findings()))
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps({"code": first[::-1]}), *others, ""]))
    assert Journal(path, resume=True).done == {}


def test_names_that_tell_the_time_are_found_again_at_another_time() -> None:
    (point, _) = kill_points([call("PutObject", "b", "b/records/shadow-1-20261123T134242Z.json")])
    assert point.resource == "b/records/shadow-1-*.json"


def test_a_sample_is_shared_by_the_scenarios_and_repeatable() -> None:
    own = kill_points([call(f"Get{number}", "x") for number in range(20)])
    points = [(name, point) for name in ("a", "b", "c") for point in own]
    chosen = sample(points, 10, seed=1)
    assert [len([each for each in chosen if each[0] == name]) for name in ("a", "b", "c")] == [4, 3, 3]
    assert chosen == sample(points, 10, seed=1)
    assert chosen != sample(points, 10, seed=2)


PROMOTED: dict[str, Any] = {
    "status": "InService",
    "config": "promoted",
    "pending": None,
    "ShadowProductionVariants": {},
}
CONFIG = {"ProductionVariants": [{"ModelName": f"{ENDPOINT}-candidate-1"}]}
CALM = EndState(
    PROMOTED,
    {"endpoint config promoted": CONFIG},
    {"run": "success", "verdict": "PROMOTE", "tasks": {"promote": "success"}},
    {"UpdateEndpoint prices promoted": 1},
)


def test_an_end_like_the_undisturbed_one_is_in_order() -> None:
    assert not differences(CALM, CALM, [])
    assert not wrong_greens(SCENARIOS["promote"], CALM)


@pytest.mark.parametrize(
    ("end", "failures", "kind"),
    [
        (EndState(PROMOTED, {**CALM.resources, "model x": {}}, CALM.outcome, CALM.changes), [], "orphans"),
        (EndState(PROMOTED, CALM.resources, CALM.outcome, {"UpdateEndpoint prices promoted": 2}), [], "double_acts"),
        (EndState(PROMOTED, CALM.resources, CALM.outcome, {**CALM.changes, "DeleteModel x": 1}), [], "double_acts"),
        (CALM, ["request 7: 503"], "failed_requests"),
        (EndState(PROMOTED, {}, CALM.outcome, CALM.changes), [], "other"),
        (EndState({**PROMOTED, "config": "x"}, CALM.resources, CALM.outcome, CALM.changes), [], "other"),
        (EndState(PROMOTED, CALM.resources, {**CALM.outcome, "verdict": "REJECT"}, CALM.changes), [], "other"),
        (EndState(PROMOTED, CALM.resources, CALM.outcome, {}), [], "other"),
    ],
)
def test_each_difference_is_found(end: EndState, failures: list[str], kind: str) -> None:
    found = differences(CALM, end, failures)
    assert [name for name, each in vars(found).items() if each] == [kind]


@pytest.mark.parametrize(
    "endpoint",
    [
        {**PROMOTED, "status": "Updating"},
        {**PROMOTED, "pending": {"EndpointConfigName": "x"}},
        {**PROMOTED, "ShadowProductionVariants": {"Shadow": 1}},
        {**PROMOTED, "config": "baseline"},
        None,
    ],
)
def test_green_is_wrong_unless_aws_shows_it(endpoint: dict[str, Any] | None) -> None:
    end = EndState(endpoint, CALM.resources, CALM.outcome, CALM.changes)
    assert wrong_greens(SCENARIOS["promote"], end).wrong_greens
