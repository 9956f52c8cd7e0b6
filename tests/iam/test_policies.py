"""The policies of docs/iam against every call of every kind of run: nothing missing, nothing that no call needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from shadow_provider.local.control.calls import Call
from tests.iam.permissions import Grant, Permission, grants, missing, policy, required, unused

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "docs" / "iam"
ROLE = "arn:aws:iam::123456789012:role/execution"
PLACEHOLDERS = {
    "EXECUTION_ROLE": ROLE,
    "CAPTURE_BUCKET": "chaos",
    "CAPTURE_PREFIX": "captures",
    "PACKAGE_GROUP": "digits",
    "REGION": "us-east-1",
    "ACCOUNT": "123456789012",
    "ENDPOINT": "prices",
}
EVALUATING = ("wait_for_evidence", "evaluate")
WATCHING = ("find_orphans",)
OF_DEPLOYERS = ("deployer", "autoscaling", "model-registry")
# AWS asks for it of whoever registers an account's first target; no call shows it.
BEHIND_THE_CALLS = {"autoscaling": {"iam:CreateServiceLinkedRole"}}


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    target = tmp_path_factory.mktemp("iam") / "calls.json"
    command = [sys.executable, "-m", "tests.iam", str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return [Call(**each) for run in json.loads(target.read_text()).values() for each in run]


def of(calls: list[Call], tasks: tuple[str, ...]) -> list[Call]:
    return [call for call in calls if call.principal.partition(".")[2] in tasks]


def granted(name: str) -> list[Grant]:
    behind = BEHIND_THE_CALLS.get(name, set())
    return [grant for grant in grants(policy(POLICIES / f"{name}.json", PLACEHOLDERS)) if grant.action not in behind]


def of_deployers(calls: list[Call]) -> list[Call]:
    tasks = {call.principal.partition(".")[2] for call in calls} - {*EVALUATING, *WATCHING}
    return of(calls, tuple(tasks))


def test_a_deployer_may_do_what_the_pipeline_does_and_nothing_else(calls: list[Call]) -> None:
    own = of_deployers(calls)
    assert {"UpdateEndpoint", "PutMetricAlarm", "DeregisterScalableTarget"} <= {call.operation for call in own}
    every = [grant for name in OF_DEPLOYERS for grant in granted(name)]
    assert missing(own, every, ROLE) == set()
    assert {name: unused(own, granted(name), ROLE) for name in OF_DEPLOYERS} == {name: set() for name in OF_DEPLOYERS}


def test_an_evaluator_may_look_and_write_what_it_finds(calls: list[Call]) -> None:
    own = of(calls, EVALUATING)
    assert missing(own, granted("evaluator"), ROLE) == set()
    assert unused(own, granted("evaluator"), ROLE) == set()


def test_whoever_looks_for_orphans_may_find_and_remove_them(calls: list[Call]) -> None:
    own = of(calls, WATCHING)
    assert missing(own, granted("orphans"), ROLE) == set()
    assert unused(own, granted("orphans"), ROLE) == set()


def test_an_evaluator_cannot_change_an_endpoint() -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/prices"
    wanted = Permission("sagemaker:UpdateEndpoint", arn)
    assert not any(grant.permits(wanted) for grant in granted("evaluator"))
    assert any(grant.permits(wanted) for grant in granted("deployer"))
    assert not any(grant.permits(Permission(wanted.action, f"{arn}-of-others")) for grant in granted("deployer"))


@pytest.mark.parametrize("path", sorted(POLICIES.glob("*.json")), ids=lambda path: path.stem)
def test_each_policy_says_what_it_allows_and_where(path: Path) -> None:
    document = policy(path, PLACEHOLDERS)
    assert document["Version"] == "2012-10-17"
    sids = [statement["Sid"] for statement in document["Statement"]]
    assert len(set(sids)) == len(sids)
    for grant in grants(document):
        assert "*" not in grant.action, f"{path.name}: {grant.sid} allows {grant.action}"
        assert ":" in grant.action
    assert f"{path.name}" in (POLICIES / "README.md").read_text()


def call(operation: str, *resources: str, service: str = "sagemaker") -> Call:
    return Call(
        sequence=1,
        time=0,
        service=service,
        operation=operation,
        principal="task.promote",
        resources=resources,
        status=200,
        error_code=None,
        effect=True,
        faults=(),
    )


def test_a_call_that_is_not_granted_is_found() -> None:
    update = call("UpdateEndpoint", "prices", "config")
    lacking = [grant for grant in granted("deployer") if grant.sid != "ChangeItToTheBaselineToo"]
    arn = "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/config"
    assert missing([update], lacking, ROLE) == {Permission("sagemaker:UpdateEndpoint", arn)}


def test_a_grant_that_no_call_needs_is_found() -> None:
    described = call("DescribeEndpoint", "prices")
    grant = Grant("Look", "sagemaker:DescribeEndpoint", "arn:aws:sagemaker:us-east-1:123456789012:endpoint/*")
    more = Grant("Look", "sagemaker:DeleteEndpoint", grant.resource)
    assert unused([described], [grant], ROLE) == set()
    assert unused([described], [grant, more], ROLE) == {("Look", "sagemaker:DeleteEndpoint")}


def test_a_role_is_passed_to_sagemaker_only() -> None:
    wanted = next(each for each in required(call("CreateModel", "prices-x"), ROLE) if each.action == "iam:PassRole")
    grant = next(each for each in granted("deployer") if each.action == "iam:PassRole")
    assert grant.permits(wanted)
    assert not grant.permits(Permission(wanted.action, ROLE, {"iam:PassedToService": "ec2.amazonaws.com"}))
    assert not grant.permits(Permission(wanted.action, ROLE.replace("execution", "admin"), wanted.context))
