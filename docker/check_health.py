"""Health checks that cost a tenth of a second, where ``airflow jobs check`` imports Airflow for several.

Usage::

    check_health.py http URL [COMPONENT ...]   the URL answers 200, and of these components it says "healthy"
    check_health.py fresh FILE SECONDS         the file was written no longer ago than that
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from pathlib import Path

_TIMEOUT = 5.0


def main(kind: str, target: str, *more: str) -> str | None:
    """Say what is wrong; None if nothing is."""
    try:
        match kind:
            case "http":
                return _http(target, more)
            case "fresh":
                return _fresh(Path(target), float(more[0]))
    except (OSError, ValueError) as error:
        return f"{target}: {error}"
    return f"unknown check {kind}"


def _http(url: str, components: tuple[str, ...]) -> str | None:
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:  # noqa: S310 - the URL is in docker-compose.yaml
        body = answer.read()
    if not components:
        return None
    states = json.loads(body)
    wrong = [name for name in components if (states.get(name) or {}).get("status") != "healthy"]
    return f"not healthy: {', '.join(wrong)}: {body.decode()}" if wrong else None


def _fresh(file: Path, seconds: float) -> str | None:
    age = time.time() - file.stat().st_mtime
    return f"{file} is {age:.0f} s old" if age > seconds else None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
