"""docs/cli.md names every command, and every exit code that a command's help promises."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from shadow_provider.cli import app

TEXT = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    assert f"`{name}`" in TEXT or f"`{name} " in TEXT


@pytest.mark.parametrize("name", ["plan", "evaluate", "judge", "report", "orphans"])
def test_the_page_shows_only_options_that_there_are_and_all_exit_codes(name: str) -> None:
    section = TEXT.split(f"\n## {name}\n")[1].split("\n## ")[0]
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert set(re.findall(r"(--[a-z][a-z0-9-]+)", section)) <= options
    help_text = " ".join(COMMANDS[name].help.split()).partition("Exit code")[2]
    for code in re.findall(r"\b(\d)\b", help_text):
        assert re.search(rf"\| {code} \||Exit code\s+{code}:", section), code
