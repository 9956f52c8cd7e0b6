"""NextTokens of the local CloudWatch: the number of items already given."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from shadow_provider.local.errors import AwsError


def offset(token: str | None) -> int:
    """How many items earlier pages had.

    Raises:
        AwsError: InvalidNextToken.
    """
    if token is None:
        return 0
    try:
        found = int(base64.b64decode(token, validate=True).decode())
    except ValueError:
        found = -1
    if found < 0:
        raise AwsError("InvalidNextToken", "Invalid nextToken")
    return found


def token_for(count: int) -> str:
    """The token after which a page starts at item `count`."""
    return base64.b64encode(str(count).encode()).decode()


def page(member: str, items: Sequence[dict[str, Any]], token: str | None, limit: int) -> dict[str, Any]:
    """An answer with one page of items, and a NextToken if there are more."""
    start = offset(token)
    answer: dict[str, Any] = {member: list(items[start : start + limit])}
    if start + limit < len(items):
        answer["NextToken"] = token_for(start + limit)
    return answer
