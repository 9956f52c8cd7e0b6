"""Whatever stands in a record, the report shows it as text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from shadow_provider.plan.plain_text import plain
from shadow_provider.report import html_report, markdown_report
from shadow_provider.report.markdown import escaped
from shadow_provider.report.text import short
from shadow_provider.verdict.record import DecisionRecord
from tests.unit.report import records
from tests.unit.report.checking import Page, markdown_problems

HOSTILE = (
    "HOSTILE<script>alert(1)</script><img src=x onerror=alert(1)>\"'><svg onload=alert(1)>&lt;&#60; javascript:alert(1)"
    " | a | b |\n\n# top\r\n<!-- --> ]]> [x](https://evil.example) ![y](//evil) www.evil.example @all `code` $x^2$"
    " {{7*7}} {% raw %} \x00\x1b[31m\u202eright to left\u2066 \u2028 \\| *bold* _em_ ~~gone~~ \U0001d518 日本語"
)


def changed(value: Any, at: str, there: str, change: Callable[[Any], Any]) -> Any:
    """The document with `change` at one place, list places being one."""
    if at == there:
        return change(value)
    if isinstance(value, dict):
        return {key: changed(each, f"{at}/{_step(at, key)}", there, change) for key, each in value.items()}
    if isinstance(value, list):
        return [changed(each, f"{at}/[]", there, change) for each in value]
    return value


def places(value: Any, at: str = "") -> Iterator[tuple[str, type]]:
    """Where there are strings and mappings."""
    if isinstance(value, str):
        yield at, str
    elif isinstance(value, dict):
        yield at, dict
        for key, each in value.items():
            yield from places(each, f"{at}/{_step(at, key)}")
    elif isinstance(value, list):
        for each in value:
            yield from places(each, f"{at}/[]")


def _step(at: str, key: str) -> str:
    return key.replace("/", "|")


def hostile_names(value: Any) -> Any:
    return {f"{HOSTILE}{key}": each for key, each in value.items()} if isinstance(value, dict) else value


def hostile_text(value: Any) -> Any:
    return f"{HOSTILE}{value}" if isinstance(value, str) else value


@pytest.fixture(scope="module")
def hostile() -> tuple[DecisionRecord, set[str]]:
    """A record with the worst text in every field that takes it, and the names of these fields."""
    document = json.loads(records.everything().canonical_bytes())
    taken = set()
    for place, kind in dict.fromkeys(places(document)):
        worse = changed(document, "", place, hostile_text if kind is str else hostile_names)
        try:
            DecisionRecord.model_validate(worse)
        except ValidationError:
            continue
        document = worse
        taken.add(place)
    return DecisionRecord.model_validate(document), taken


@pytest.mark.filterwarnings("ignore:Possible set symmetric difference:FutureWarning")
def test_the_worst_text_in_every_field_stays_text(hostile: tuple[DecisionRecord, set[str]]) -> None:
    record, taken = hostile
    # That the fields of people, callers and payloads are among them; else this test would show nothing.
    assert {
        "/candidate_model", "/approver", "/judgement/reason", "/judgement/gates/[]/reason", "/versions",
        "/judgement/mirror/faults/[]", "/evidence/examples/[]/production", "/evidence/segments/[]/value",
        "/evidence/comparison/figures/confusion", "/evidence/captures/shadow/fates", "/evidence/metrics/latency",
        "/judgement/segments/[]/segment", "/evidence/truth/description/figures",
    } <= taken  # fmt: skip
    assert len(taken) > 70
    page = Page(html_report(record))
    assert page.problems == []
    seen = "".join(page.text)
    assert "HOSTILE<script>alert(1)</script><img src=x onerror=alert(1)>" in seen
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", seen)
    assert any("HOSTILE<script>" in drawing.replace("&lt;", "<").replace("&gt;", ">") for drawing in page.drawings)


def test_the_worst_text_makes_no_markdown(hostile: tuple[DecisionRecord, set[str]]) -> None:
    text = markdown_report(hostile[0])
    assert "HOSTILE&#60;script&#62;" in text
    assert markdown_problems(text) == []
    assert sum(line.startswith("#") for line in text.splitlines()) == sum(
        line.startswith("#") for line in markdown_report(records.everything()).splitlines()
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", "a\\|b"),
        ("`x`", "\\`x\\`"),
        ("<b>", "&#60;b&#62;"),
        ("see http://x.y", "see http&#58;&#47;&#47;x.y"),
        ("www.x.y", "www\\.x.y"),
        ("[a](b)", "\\[a\\](b)"),
        ("# not a title", "\\# not a title"),
        ("- no item", "\\- no item"),
        ("1. no item", "1\\. no item"),
        ("-0.5 % of 20.0", "-0.5 % of 20.0"),
        ("a_b\\", "a\\_b\\\\"),
        ("&amp;", "&#38;amp;"),
    ],
)
def test_markdown_shows_special_characters_as_they_are(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_a_text_is_one_printable_line_and_says_how_much_was_cut() -> None:
    assert plain("a\nb\tc\x00d\u202ee", 100) == "a b c\N{REPLACEMENT CHARACTER}d\N{REPLACEMENT CHARACTER}e"
    assert plain("x" * 6_000_000, 10) == "xxxxxxxxxx… (6,000,000 characters)"
    assert plain("x" * 10, 10) == "x" * 10
    assert short("x" * 11, 10) == "xxxxxxxxx…"
