"""The tags that say what is ours, and that hold the way back.

A resource is adopted or deleted only when its tags say that this very deployment made it. The name of the baseline
config stands in the tags of the shadow config *before* the endpoint is touched, so that a rollback needs nothing but
AWS itself.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from shadow_provider.plan.errors import ForeignResourceError

_PREFIX = "shadow-provider:"
DEPLOYMENT = _PREFIX + "deployment"
ENDPOINT = _PREFIX + "endpoint"
ROLE = _PREFIX + "role"
CONTENT = _PREFIX + "content"
BASELINE_CONFIG = _PREFIX + "baseline-config"
# On the shadow config and on the promoted config, written just before the update to it: when the endpoint had changed
# last until then. Without it a retry could not tell an update that SageMaker rolled back from none.
ASKED_SINCE = _PREFIX + "asked-since"
# For people and for the search for orphans only: no decision about what is ours looks at these three.
DAG = _PREFIX + "dag"
RUN = _PREFIX + "run"
CREATED = _PREFIX + "created"

# AWS: a tag's value has at most 256 letters, digits, spaces and _ . : / = + - @ (botocore: sagemaker TagValue).
_MAX_VALUE_LENGTH = 256
_NOT_LEGAL = re.compile(r"[^A-Za-z0-9 _.:/=+\-@]")


def asked_since(tags: Mapping[str, str]) -> datetime | None:
    """When the endpoint had changed last before the update to a config, by that config's tags; None if never asked."""
    mark = tags.get(ASKED_SINCE)
    return datetime.fromisoformat(mark) if mark else None


def tag_value(text: str) -> str:
    """Make any text a legal tag value; where something is lost, a digest keeps different texts apart."""
    legal = _NOT_LEGAL.sub("_", text)
    if legal == text and len(text) <= _MAX_VALUE_LENGTH:
        return text
    suffix = "." + hashlib.sha256(text.encode()).hexdigest()[:16]
    return legal[: _MAX_VALUE_LENGTH - len(suffix)] + suffix


def content_digest(content: Mapping[str, Any]) -> str:
    """Digest what was asked for, so that a later try can tell "the same" from "something else"."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def deployment_tags(
    *,
    endpoint_name: str,
    deployment_id: str,
    role: str,
    content: Mapping[str, Any],
    created: datetime,
    baseline_config: str | None = None,
    dag: str | None = None,
    run: str | None = None,
) -> dict[str, str]:
    """Return the tags of a resource that a deployment makes.

    Args:
        endpoint_name: the endpoint that it is for.
        deployment_id: the deployment that makes it.
        role: what it is for (``shadow``, ``candidate``, …).
        content: what is asked for; only its digest enters.
        created: the moment of making, with an offset; written in UTC, to the second.
        baseline_config: the config to go back to, where it is known.
        dag: the DAG that makes it; None outside of Airflow.
        run: the run of that DAG.
    """
    tags = {
        DEPLOYMENT: tag_value(deployment_id),
        ENDPOINT: tag_value(endpoint_name),
        ROLE: role,
        CONTENT: content_digest(content),
        CREATED: created.astimezone(UTC).isoformat(timespec="seconds"),
    }
    optional = {BASELINE_CONFIG: baseline_config, DAG: dag and tag_value(dag), RUN: run and tag_value(run)}
    return tags | {key: value for key, value in optional.items() if value}


def is_ours(tags: Mapping[str, str], *, endpoint_name: str, deployment_id: str) -> bool:
    """Tell whether a resource with these tags was made by this deployment."""
    return tags.get(DEPLOYMENT) == tag_value(deployment_id) and tags.get(ENDPOINT) == tag_value(endpoint_name)


def check_adoptable(kind: str, name: str, found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Check that an existing resource may be taken for the one that was about to be made.

    Raises:
        ForeignResourceError: it carries no tags of this deployment, or was made from other arguments.
    """
    for key in (DEPLOYMENT, ENDPOINT, ROLE):
        if found.get(key) != wanted[key]:
            raise ForeignResourceError(
                f"{kind} {name!r} exists already, and its tag {key} is {found.get(key)!r} where this deployment has "
                f"{wanted[key]!r}: it was not made by this deployment and is left alone. Delete or rename it, or give "
                "another deployment_id."
            )
    if found.get(CONTENT) != wanted[CONTENT]:
        raise ForeignResourceError(
            f"{kind} {name!r} was made by this deployment from other arguments (its content digest is "
            f"{found.get(CONTENT)!r}, asked for is {wanted[CONTENT]!r}). SageMaker cannot change it in place: start a "
            "new deployment (another deployment_id), or run the clean-up of this one first."
        )


def to_aws(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the tags in the form of AWS requests."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def from_aws(tags: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the tags of an AWS response as a dictionary."""
    return {tag["Key"]: tag["Value"] for tag in tags}
