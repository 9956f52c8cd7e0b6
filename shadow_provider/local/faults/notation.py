"""A fault in one line, as it is also written on the command line."""

from __future__ import annotations

import shlex

from shadow_provider.local.faults.models import Fault


def written(fault: Fault) -> str:
    """What the fault is on, its kind, and each field that is not as it would be anyway: api kind=delay seconds=2.0."""
    fields = fault.model_dump(exclude_defaults=True, exclude={"on", "kind"})
    pairs = [f"{name}={shlex.quote(str(value))}" for name, value in {"kind": fault.kind, **fields}.items()]
    return " ".join([fault.on, *pairs])
