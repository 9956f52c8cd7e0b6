"""What a campaign has done already, so that one that was cut off can go on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.end_state import Findings

_ROOT = Path(__file__).parents[2]
_CODE = ("shadow_provider", "tests/chaos")


@dataclass(frozen=True)
class Result:
    """What came of a disturbed run.

    Attributes:
        asked: how many disturbances there should have been.
        reached: how many there were.
        findings: what was wrong at the end.
    """

    asked: int
    reached: int
    findings: Findings


class Journal:
    """Results by the names of the runs, kept in a file of JSON lines; those of other code are not taken over.

    Args:
        path: of the file.
        resume: whether to go on with it; else it is begun anew.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        self.done: dict[str, Result] = {}
        self._path = path
        head = json.dumps({"code": _digest()}) + "\n"
        lines = _whole_lines(path) if resume else []
        if lines[:1] != [head]:
            lines = [head]
        for line in map(json.loads, lines[1:]):
            self.done[line["run"]] = Result(line["asked"], line["reached"], Findings(**line["findings"]))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines))

    def add(self, run: str, result: Result) -> None:
        """Keep a result."""
        self.done[run] = result
        findings = vars(result.findings)
        line = {"run": run, "asked": result.asked, "reached": result.reached, "findings": findings}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def _whole_lines(path: Path) -> list[str]:
    """All but a last one that was cut off."""
    return [line for line in path.read_text().splitlines(keepends=True) if line[-1] == "\n"] if path.exists() else []


def _digest() -> str:
    """Of all code that runs."""
    digest = hashlib.sha256()
    for folder in _CODE:
        for path in sorted((_ROOT / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(_ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()
