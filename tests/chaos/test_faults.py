"""A sample of the faults that ``make chaos`` runs, and that what is asked of their ends can be told from their ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.faults import Trouble, troubles, unexplained
from tests.chaos.interruptions import KillPoint
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.sharing import runs_of

ROOT = Path(__file__).parents[2]
SAMPLE = 6
POINTS = [
    KillPoint("task.plan", "DescribeEndpoint", "prices", 1, "before"),
    KillPoint("task.plan", "DescribeEndpoint", "prices", 1, "after"),
    KillPoint("trigger.promote", "DescribeEndpoint", "prices", 2, "before"),
]


def test_a_pipeline_to_which_a_sample_of_faults_happens_succeeds_or_fails_safely(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chaos", "--what", "faults", "--scenario", "promote", "--sample",
               str(SAMPLE), "--seed", "7", "--logs", str(tmp_path)]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert f"{SAMPLE} disturbed runs" in done.stdout


def test_every_call_meets_every_fault_of_a_call_and_each_has_a_name_of_its_own() -> None:
    known = list(troubles(SCENARIOS["promote"], POINTS))
    assert len({trouble.what for trouble in known}) == len(known)
    of_calls = [trouble for trouble in known if trouble.what.endswith("#1")]
    assert {fault.kind for trouble in of_calls for fault in trouble.faults} == {
        "throttle", "server_error", "expired_token", "reset_before", "reset_after", "delay"
    }  # fmt: skip
    assert all(trouble.absorbed for trouble in of_calls)


def test_faults_of_reads_share_runs_and_all_others_have_one_of_their_own() -> None:
    change = KillPoint("task.plan", "UpdateEndpoint", "prices", 1, "before")
    known = list(troubles(SCENARIOS["promote"], [*POINTS, change]))
    runs = runs_of(known)
    assert sorted(each.what for run in runs for each in run) == sorted(each.what for each in known)
    shared = [run for run in runs if len(run) > 1]
    assert len(shared) == 6
    assert all({each.process for each in run} == {"task.plan", "trigger.promote"} for run in shared)
    assert all("DescribeEndpoint" in each.what and each.absorbed for run in shared for each in run)


def test_what_ends_a_change_is_set_before_each_task_that_changes_the_endpoint() -> None:
    def tasks(name: str) -> set[str | None]:
        return {trouble.set_at for trouble in troubles(SCENARIOS[name], POINTS)} - {None}

    assert tasks("promote") == {"deploy_endpoint", "promote"}
    assert tasks("reject") == {"deploy_endpoint", "rollback"}


def test_no_failure_that_a_fault_may_cause_is_without_a_cause_to_look_for() -> None:
    """A trouble without causes may change a verdict, but must not fail a run."""
    silent = [each for each in troubles(SCENARIOS["promote"], POINTS) if not each.causes and not each.absorbed]
    assert all(isinstance(each, Trouble) for each in silent)
    assert not [each.what for each in silent if each.ends_endpoint]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("airflow.sdk.exceptions.AirflowFailException: AWS refused CreateModel", []),
        ("shadow_provider.plan.errors.AwsUnavailableError: AWS did not carry out DescribeEndpoint", []),
        ("botocore.exceptions.ClientError: An error occurred", ["botocore.exceptions.ClientError: An error occurred"]),
        ("KeyError: 'FailureReason'", ["KeyError: 'FailureReason'"]),
    ],
)
def test_a_traceback_that_ends_in_anothers_error_is_not_explained(error: str, told: list[str]) -> None:
    event = {"exception": f'Traceback (most recent call last):\n  File "x", line 1, in y\n    z()\n{error}'}
    line = f"event='Task failed with exception' exception={event['exception']!r}\nevent='::endgroup::'\n"
    assert unexplained(line) == told
