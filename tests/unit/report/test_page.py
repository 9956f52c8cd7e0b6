"""What holds of the page as a whole, whatever the record."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shadow_provider.policy.reading import read_policy
from shadow_provider.report import html_report, markdown_report
from shadow_provider.verdict.record import ConfigNames, DecisionRecord, decide
from tests.unit.verdict.builders import evidence


@pytest.fixture(scope="module")
def record() -> DecisionRecord:
    return decide(
        deployment_id="d-1",
        incumbent_model="churn-1",
        candidate_model="churn-2",
        configs=ConfigNames(),
        policy=read_policy("balanced"),
        evidence=evidence(),
        final=False,
    )


def test_the_same_record_gives_the_same_bytes(record: DecisionRecord) -> None:
    again = DecisionRecord.model_validate_json(record.canonical_bytes())
    assert html_report(record) == html_report(again)
    assert markdown_report(record) == markdown_report(again)


def test_importing_the_package_loads_neither_charts_nor_templates() -> None:
    program = "import sys, shadow_provider.report; print({'jinja2', 'matplotlib', 'pydantic'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
