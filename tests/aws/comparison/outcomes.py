"""What a task said at its end, beside what AWS shows: the cells of the table in docs/reliability.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ARN = re.compile(r"arn:aws:[^\s\"']+")
_PREFIX = re.compile(r"^An error occurred \(\w+\) when calling the (\w+) operation(?: \(reached [\w ]+: \d+\))?: ")
_LONGEST = 190


@dataclass(frozen=True)
class Outcome:
    """The end of a task.

    Attributes:
        said: ``success``, ``failure``, or ``waiting`` where it had not ended when its attempts were used up.
        words: its error's.
        status: the endpoint's then.
        config: the config that is active then: ``old`` or ``new``.
    """

    said: str
    words: str
    status: str
    config: str


def failure(error: BaseException, names: Mapping[str, str], state: Mapping[str, Any]) -> Outcome:
    """The outcome of a task that failed; names of the run give way to what they stand for."""
    words = repr(error) if isinstance(error, KeyError) else _PREFIX.sub(r"\1 refused: ", str(error))
    words = _ARN.sub("…", words)
    for name, meaning in sorted(names.items(), key=lambda item: -len(item[0])):
        words = words.replace(name, meaning)
    words = words.replace("|", "/").replace("\n", " ")
    short = words if len(words) <= _LONGEST else words[:_LONGEST].rsplit(" ", 1)[0] + " …"
    return Outcome("failure", short, str(state["status"]), str(state["config"]))
