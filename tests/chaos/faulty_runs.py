"""Runs a scenario with something going wrong in AWS, and says what does not hold at its end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from tenacity import wait_fixed

from shadow_provider.hooks import sagemaker_shadow
from shadow_provider.local.control.client import SetFault
from tests.chaos.campaign import Calm, fresh_log, make_runner
from tests.chaos.cloud import Cloud
from tests.chaos.disturbances import DOES_NOT_SERVE, unsafe
from tests.chaos.end_state import ANOTHER_VERDICT, EndState, Findings, differences, end_state
from tests.chaos.faults import Trouble, troubles, unexplained
from tests.chaos.processes import Process, fork
from tests.chaos.scenarios import BUCKET, ENDPOINT, Scenario
from tests.chaos.sharing import Disturbed

_RUNS_OF_A_COMBINATION = 6
_LATE_SECONDS = 3


@contextmanager
def impatient() -> Iterator[None]:
    """Calls are repeated for a second instead of a minute, and by our own hook alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sagemaker_shadow, "_RETRY_SECONDS", 1)
        patch.setattr(sagemaker_shadow, "wait_random_exponential", lambda **_: wait_fixed(0.05))
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        yield


def run_troubled(
    cloud: Cloud, scenario: Scenario, calm: Calm, happening: Sequence[Trouble], logs: Path
) -> Disturbed[Trouble]:
    """One run, with one thing or several going wrong."""
    name = " and ".join(trouble.what for trouble in happening)
    log = fresh_log(logs, f"{scenario.name}-{name}")
    cloud.prepare(scenario)
    runner = make_runner(cloud, scenario, log)
    arriving: list[Process] = []
    faults: dict[str, list[SetFault]] = {trouble.what: [] for trouble in happening}

    def set_faults(trouble: Trouble) -> None:
        faults[trouble.what] += [cloud.aws.faults.add(fault) for fault in trouble.faults]

    for trouble in happening:
        if trouble.set_at is None:
            set_faults(trouble)
        else:
            runner.do_before(trouble.set_at, partial(set_faults, trouble))
    if any(trouble.spoils for trouble in happening):
        runner.do_before("evaluate", lambda: arriving.extend(_spoil_captures(cloud, happening, log)))
    with impatient(), cloud.caller(log) as failures:
        runner.run()
    for process in arriving:
        process.end()
    missed = [
        trouble
        for trouble in happening
        if trouble.spoils is None and not any(fault.fired for fault in faults[trouble.what])
    ]
    cloud.aws.faults.clear()
    end = end_state(cloud, runner)
    failed = [] if any(trouble.hits_production or trouble.ends_endpoint for trouble in happening) else failures
    text = log.read_text(errors="replace")
    if all(trouble.absorbed for trouble in happening):
        findings = differences(calm.end, end, failed)
    else:
        findings = _unsafe(scenario, calm, end, failed, happening)
        if runner.state == "failed" and scenario.state == "success":
            causes = [cause for trouble in happening for cause in trouble.causes]
            if not any(cause in text for cause in causes):
                findings.other.append(f"the log names no cause; one of {causes} was to be told")
    findings.other += [f"an error that is not explained: {line}" for line in unexplained(text)]
    if not findings:
        log.unlink()
    return Disturbed(missed, findings)


def run_combinations(cloud: Cloud, scenario: Scenario, calm: Calm, number: int, logs: Path) -> Findings:
    """Several things go wrong at once, as hypothesis chooses them for this number; the least that fails is told."""
    known = list(troubles(scenario, calm.points))
    # The simplest of all combinations comes first for every number, maybe at the same time.
    own_logs = logs / f"combinations-{number}"
    found = Findings()

    @seed(number)
    @settings(
        max_examples=_RUNS_OF_A_COMBINATION,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(st.lists(st.sampled_from(known), min_size=2, max_size=4, unique_by=lambda trouble: trouble.what))
    def hold(happening: list[Trouble]) -> None:
        findings = run_troubled(cloud, scenario, calm, happening, own_logs).findings
        assert not findings, f"{' and '.join(trouble.what for trouble in happening)}: {findings}"

    try:
        hold()
    except AssertionError as error:
        found.other.append(str(error))
    return found


def _unsafe(scenario: Scenario, calm: Calm, end: EndState, failed: list[str], happening: Sequence[Trouble]) -> Findings:
    findings = unsafe(scenario, calm, end, failed)
    # What the evidence says may be another thing when it was spoiled; that the endpoint is as the verdict says, holds.
    findings.wrong_greens = [each for each in findings.wrong_greens if each != ANOTHER_VERDICT]
    if any(trouble.ends_endpoint for trouble in happening):
        findings.other = [each for each in findings.other if not each.startswith(DOES_NOT_SERVE)]
    return findings


def _spoil_captures(cloud: Cloud, happening: Sequence[Trouble], log: Path) -> Iterator[Process]:
    """Do to the shadow's captures what S3, SageMaker or a lost worker may do; processes that bring what comes late."""
    for how in (trouble.spoils for trouble in happening if trouble.spoils is not None):
        pages = cloud.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"captures/{ENDPOINT}/")
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        for key in keys:
            if "/AllTraffic/" not in key:
                yield from _spoil(cloud, key, how, log)


def _spoil(cloud: Cloud, key: str, how: str, log: Path) -> Iterator[Process]:
    place: Mapping[str, Any] = {"Bucket": BUCKET, "Key": key}
    body = cloud.s3.get_object(**place)["Body"].read()
    if how in ("missing", "late"):
        cloud.s3.delete_object(**place)
        if how == "late":
            yield fork(lambda _: _put_late(cloud, place, body), log)
        return
    lines = body.splitlines(keepends=True)
    spoilt = {
        "duplicated": body + body,
        "truncated": body[:-40],
        "halved": b"".join(lines[::2]),
    }
    cloud.s3.put_object(**place, Body=spoilt[how])


def _put_late(cloud: Cloud, place: Mapping[str, Any], body: bytes) -> None:
    time.sleep(_LATE_SECONDS)
    cloud.s3.put_object(**place, Body=body)
