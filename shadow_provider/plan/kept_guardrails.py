"""The endpoint's own guardrails, kept in the shadow config's tags while our updates run without any.

AWS does not say what an update without a ``DeploymentConfig`` does to the one that ``DescribeEndpoint`` shows as
``LastDeploymentConfig``. So it is written down before the first update, and a promotion can use it again.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from itertools import count
from typing import Any

_TAG = "shadow-provider:guardrails-{}"
_LONGEST_VALUE = 256  # botocore: sagemaker TagValue


def kept_tags(config: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the tags that hold a ``DeploymentConfig``; none where there is none.

    Its JSON is packed and written in base64, whose letters are all legal in a tag, in as many tags as it needs: one or
    two, where ten alarms with the longest names would need about fifteen of the fifty that a resource may have.
    """
    if not config:
        return {}
    packed = base64.b64encode(zlib.compress(json.dumps(config, sort_keys=True).encode(), 9)).decode()
    parts = range(0, len(packed), _LONGEST_VALUE)
    return {_TAG.format(number): packed[start : start + _LONGEST_VALUE] for number, start in enumerate(parts)}


def kept_config(tags: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the ``DeploymentConfig`` that stands in a config's tags; None if there is none."""
    parts: list[str] = []
    for number in count():
        part = tags.get(_TAG.format(number))
        if part is None:
            break
        parts.append(part)
    return json.loads(zlib.decompress(base64.b64decode("".join(parts)))) if parts else None
