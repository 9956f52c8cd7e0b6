"""Writes docs/local/conformance.md from the table: python -m tests.aws.conformance.page."""

from __future__ import annotations

from pathlib import Path

from tests.aws.conformance import lifecycle, models_and_configs, serving_and_data
from tests.aws.conformance.table import Fact

PAGE = Path(__file__).parents[3] / "docs/local/conformance.md"
FACTS: list[Fact] = [*models_and_configs.FACTS, *lifecycle.FACTS, *serving_and_data.FACTS]
_HEAD = """# The local AWS: what of AWS it is held to

Generated from the tests' table of facts by `python -m tests.aws.conformance.page`. Certainty: D documented by AWS, O
observed, I inferred, ? unknown. What is unknown and has a setting is tested under its answers.

| fact | certainty | what AWS does | held by |
|---|---|---|---|
"""


def _order(fact: Fact) -> tuple[list[int], str]:
    section, _, name = fact.id.partition("/")
    return [int(number) for number in section.split(".")], name


def _held(fact: Fact) -> str:
    if fact.missing:
        return f"not modelled: {fact.missing}"
    parts = ["a check of its own"] if fact.check is not None else []
    parts += [f"`{proof.removeprefix('tests/').replace('.py::', ' ').replace('.py', '')}`" for proof in fact.proofs]
    return ", ".join(parts) + (f"; setting `{fact.setting}`" if fact.setting else "")


def page() -> str:
    """The page."""
    rows = [f"| {fact.id} | {fact.degree} | {fact.says} | {_held(fact)} |" for fact in sorted(FACTS, key=_order)]
    return _HEAD + "\n".join(row.replace("<", "&lt;") for row in rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
