"""What docs/local.md and docs/local/testing.md show is run as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shadow_provider.local import LocalAWS
from shadow_provider.local.settings import LocalSettings

ROOT = Path(__file__).parents[2]


def blocks(page: str, language: str = "python") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)


def environment(**others: str) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AIRFLOW", "PYTEST"))}
    return {**clean, "PYTHONPATH": path, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}", **others}


@pytest.fixture
def empty_aws() -> Iterator[LocalAWS]:
    """A server of its own: what other tests need of theirs stays."""
    with LocalAWS(LocalSettings(seed=0, clock=60)) as running:
        yield running


def test_the_first_steps_work(empty_aws: LocalAWS) -> None:
    (first, *_) = blocks("local.md")
    assert len(first.splitlines()) < 40
    expected = re.findall(r"^print\(.*\)  # (.*)$", first, re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-c", first],
        env=environment(**empty_aws.address.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == expected
    (endpoint,) = empty_aws.status()["endpoints"]
    assert endpoint["counters"]["shadow"]["mirrored"] == 1


def test_the_project_with_a_dag_passes_its_tests(tmp_path: Path) -> None:
    for block in blocks("local/testing.md"):
        named = re.match(r"# (\S+\.py)\n", block)
        if named is not None:
            (tmp_path / named[1]).parent.mkdir(exist_ok=True)
            (tmp_path / named[1]).write_text(block)
    assert {path.name for path in tmp_path.rglob("*.py")} == {"release.py", "conftest.py", "test_release.py"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "shadow_provider.local.pytest_plugin", "-W", "ignore"],
        cwd=tmp_path,
        env=environment(TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "2 passed" in done.stdout


def test_what_is_shown_without_pytest_runs() -> None:
    (block,) = [
        block for block in blocks("local/testing.md") if block.startswith("from shadow_provider.local import LocalAWS")
    ]
    subprocess.run([sys.executable, "-c", block], env=environment(), check=True)


def test_every_setting_has_its_line() -> None:
    documented = "".join(path.read_text() for path in [ROOT / "docs/local.md", *(ROOT / "docs/local").glob("*.md")])
    missing = [
        name for name in LocalSettings.model_fields if f"`{name}`" not in documented and f"`{name}=" not in documented
    ]
    assert missing == []


@pytest.mark.parametrize("page", ["local.md", "local/faults.md", "local/testing.md"])
def test_shell_lines_name_commands_and_options_that_there_are(page: str) -> None:
    from typer.main import get_command

    from shadow_provider.cli import app

    for line in "".join(blocks(page, "sh")).splitlines():
        words = line.split()
        if words[:1] != ["sagemaker-shadow"]:
            continue
        command: Any = get_command(app)
        rest = words[1:]
        while rest and hasattr(command, "commands"):
            assert rest[0] in command.commands, line
            command = command.commands[rest.pop(0)]
        known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= known, line
