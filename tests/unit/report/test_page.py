"""What holds of the page as a whole, whatever the record."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from shadow_provider.policy.policy import MOST_BLOCKS
from shadow_provider.report import build, html_report, markdown_report
from shadow_provider.report.limits import MOST_BYTES
from shadow_provider.verdict.evidence import Description, SegmentEvidence, SideCensus, Source
from shadow_provider.verdict.record import DecisionRecord
from tests.unit.report import records
from tests.unit.report.checking import Page
from tests.unit.report.records import record
from tests.unit.verdict.builders import evidence

MEGABYTES = '<script>&"' * 600_000
LONG = MEGABYTES[:5_000]


def test_the_same_record_gives_the_same_bytes() -> None:
    made = records.promoted()
    again = DecisionRecord.model_validate_json(made.canonical_bytes())
    assert html_report(made) == html_report(again)
    assert markdown_report(made) == markdown_report(again)


def test_the_bytes_do_not_depend_on_the_process() -> None:
    program = (
        "import hashlib; from tests.unit.report import records; from shadow_provider.report import html_report;"
        "print(hashlib.sha256(html_report(records.inconclusive())).hexdigest())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "77"}
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert there.stdout.strip() == hashlib.sha256(html_report(records.inconclusive())).hexdigest()


def test_importing_the_package_loads_neither_charts_nor_templates() -> None:
    program = "import sys, shadow_provider.report; print({'jinja2', 'matplotlib', 'pydantic'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_page_asks_for_nothing_and_runs_nothing() -> None:
    made = html_report(records.everything())
    assert Page(made).problems == []
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy}">'.encode() in made


def test_every_table_has_as_many_cells_as_headings_and_every_chart_has_words() -> None:
    made = html_report(records.everything())
    page = Page(made)
    assert len(page.tables) > 20
    assert all(len({*rows}) == 1 for rows in page.tables)
    assert page.headings[0] == "h1"
    assert page.headings.count("h1") == 1
    assert made.count(b'role="img"') == len(page.drawings) > 8
    assert b'aria-label=""' not in made


def test_the_drawings_follow_the_colours_of_the_page() -> None:
    made = html_report(records.everything())
    assert made.count(b"var(--candidate)") > 20
    assert b"prefers-color-scheme: dark" in made
    assert b"@media print" in made
    drawings = "".join(Page(made).drawings)
    assert "#0" not in drawings.replace('href="#', "")
    assert "DejaVu" not in drawings


def vast() -> DecisionRecord:
    """Megabytes in every free text, more rows than anyone reads, the most blocks, and as many looks."""
    base = evidence(blocks=MOST_BLOCKS, load=3.0, looks=4)
    small = record(base)
    pairs = np.array(base.mirror.paired)
    many = {f"{number} {LONG}": number for number in range(1_000)}
    cells: dict[str, Any] = {f"{number}{'&' * 40} → x{'<' * 40}": number for number in range(1_000)}
    census = SideCensus(objects=1, lines=1, fates=many, examples=dict.fromkeys([*many][:200], (MEGABYTES[:5000],) * 5))
    measure = records.segment("size", "any", pairs, 1, 0.01).measures
    observed = base.model_copy(
        update={
            "examples": tuple(
                each.model_copy(update={"production": LONG, "shadow": "\N{GRINNING FACE}" * 5_000})
                for each in records.examples(9)
            )
            * 6,
            "captures": base.captures.model_copy(update={"production": census, "shadow": census}),
            "metrics": base.metrics.model_copy(update={"notes": (LONG,) * 300, "gaps": many}),
            "comparison": Description(
                kind="label", name=MEGABYTES, figures={"confusion": cells, "others": many, MEGABYTES: [LONG] * 50}
            ),
            "segments": tuple(
                SegmentEvidence(segment="size", value=f"{n}{'&' * 500}", pairs=base.mirror.paired, measures=measure)
                for n in range(200)
            ),
            "sources": (Source(kind="captures", location=LONG, objects=1, digest=LONG),) * 200,
        }
    )
    (first,) = small.judgement.gates[:1]
    gates = tuple(first.model_copy(update={"segment": f"{n}{'&' * 500}", "reason": LONG}) for n in range(200))
    look = small.looks[-1]
    looks = tuple(
        look.model_copy(update={"end": look.end - timedelta(seconds=30 * back)}) for back in range(2000, 0, -1)
    )
    return small.model_copy(
        update={
            "candidate_model": MEGABYTES,
            "approver": MEGABYTES,
            "notes": (LONG,) * 500,
            "evidence": observed,
            "looks": (*looks, look),
            "judgement": small.judgement.model_copy(update={"segments": gates, "reason": LONG}),
        }
    )


@pytest.fixture(scope="module")
def largest() -> DecisionRecord:
    return vast()


def test_megabytes_of_payload_and_thousands_of_looks_stay_within_the_bound(largest: DecisionRecord) -> None:
    made = html_report(largest)
    assert len(made) <= MOST_BYTES
    page = Page(made)
    assert page.problems == []
    said = " ".join(page.text)
    assert "… (6,000,000 characters)" in said
    assert "more rows are in the record" in said
    # A funnel of 2,001 looks, thinned: markers and lines of two hundred points and not of thousands.
    assert max(len(drawing) for drawing in page.drawings) < 100_000


def test_where_the_usual_is_too_much_less_is_shown(largest: DecisionRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "MOST_BYTES", 0)
    least = html_report(largest)
    assert len(least) < MOST_BYTES / 8
    assert Page(least).problems == []
    assert b"PROMOTE" in least
