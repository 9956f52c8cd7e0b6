"""The policy that a command is given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from shadow_provider.policy.policy import Policy

PolicyOption = Annotated[
    str | None,
    typer.Option(
        "--policy", help="A ready-made policy by name, or a YAML or JSON file.", metavar="NAME|FILE", show_default=False
    ),
]


def policy_of(given: str | None) -> Policy:
    """A ready-made policy by name, or that of a file; the balanced one if none is given.

    Raises:
        PolicyError: there is none of that name, or the file holds none.
    """
    from shadow_provider.policy.errors import PolicyError
    from shadow_provider.policy.reading import read_policy, read_policy_file
    from shadow_provider.policy.ready_made import READY_MADE

    if given is None or given in READY_MADE:
        return read_policy(given)
    if not Path(given).exists():
        raise PolicyError(f"policy: {given} is no file, and no ready-made policy; these are {', '.join(READY_MADE)}")
    return read_policy_file(Path(given))
