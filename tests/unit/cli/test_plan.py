"""`plan` without AWS; with it, see tests/aws/test_decision_commands.py."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.calling import call, said_wrong


def test_requests_an_hour_give_hours_and_a_decision_in_time() -> None:
    result = call("plan", "--requests-per-hour", "20000", "--sampling-percentage", "50")
    assert result.exit_code == 0, result.output
    assert "at 1e+04 pairs an hour about" in result.stdout
    for words in ("invocation_error_rate", "> 95.00 %", "a guess until there is data"):
        assert words in result.stdout


def test_a_deadline_out_of_reach_has_its_own_exit_code() -> None:
    result = call("plan", "--requests-per-hour", "100", "--policy", "conservative")
    assert result.exit_code == 3
    assert "warning: paired_error_rate: needs about" in result.stdout


def test_without_traffic_there_are_pairs_only() -> None:
    result = call("plan", "--policy", "latency_only")
    assert result.exit_code == 0, result.output
    assert "hours are not" in result.stdout
    assert "in time" not in result.stdout


def test_as_json(tmp_path: Path) -> None:
    policy = tmp_path / "mine.yaml"
    policy.write_text("gates: [{metric: agreement, minimum: 0.9}]\nminimum_pairs: 10\n")
    result = call("plan", "--requests-per-hour", "600", "--policy", str(policy), "--json")
    said = json.loads(result.stdout)
    assert [gate["name"] for gate in said["gates"]] == ["agreement"]
    assert said["gates"][0]["reached"] is True
    assert said["pairs_per_hour"] == 600


def test_names_of_gates_are_whole_where_nobody_watches() -> None:
    lines = call("plan", "--policy", "conservative", "--requests-per-hour", "100", columns=40).stdout.splitlines()
    row = next(line for line in lines if line.strip().startswith("invocation_error_rate"))
    for words in ("< +0.100 pp", " requests", " days", " NO "):
        assert words in row


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("digits", "--requests-per-hour", "1"), "not both"),
        (("--policy", "none.yaml"), "none.yaml is no file"),
    ],
)
def test_what_was_asked_wrongly_is_one_line(arguments: tuple[str, ...], words: str) -> None:
    assert words in said_wrong(call("plan", *arguments), 2)


def test_a_wrong_policy_names_the_field(tmp_path: Path) -> None:
    policy = tmp_path / "mine.yaml"
    policy.write_text("gates: [{metric: agreement, minimum: 1.5}]\n")
    assert "gates[0].minimum = 1.5" in said_wrong(call("plan", "--policy", str(policy)), 2)


@pytest.mark.parametrize("share", ["0", "101"])
def test_a_share_that_cannot_be_is_refused(share: str) -> None:
    assert call("plan", "--sampling-percentage", share).exit_code == 2
