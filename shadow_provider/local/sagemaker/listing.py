"""Lists and their pages: filters, order and tokens of ListModels, ListEndpointConfigs, ListEndpoints, ListTags."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from shadow_provider.local.errors import ValidationException

Item = TypeVar("Item")
DEFAULT_PAGE = 10

_BOUNDS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "CreationTimeAfter": ("CreationTime", lambda value, bound: value > bound),
    "CreationTimeBefore": ("CreationTime", lambda value, bound: value < bound),
    "LastModifiedTimeAfter": ("LastModifiedTime", lambda value, bound: value > bound),
    "LastModifiedTimeBefore": ("LastModifiedTime", lambda value, bound: value < bound),
}


def select(rows: list[dict[str, Any]], kind: str, request: dict[str, Any]) -> list[dict[str, Any]]:
    """Filters and orders summaries.

    Args:
        rows: The summaries.
        kind: What their members begin with: Model, EndpointConfig or Endpoint.
        request: The List request; newest first unless it says otherwise.
    """
    name, status = f"{kind}Name", f"{kind}Status"
    kept = [row for row in rows if request.get("NameContains", "").lower() in row[name].lower()]
    for member, (column, holds) in _BOUNDS.items():
        if member in request:
            kept = [row for row in kept if holds(row[column], request[member])]
    if "StatusEquals" in request:
        kept = [row for row in kept if row[status] == request["StatusEquals"]]
    order = {"Name": name, "Status": status}.get(request.get("SortBy", ""), "CreationTime")
    return sorted(kept, key=lambda row: row[order], reverse=request.get("SortOrder", "Descending") == "Descending")


def page(
    items: Sequence[Item], request: dict[str, Any], default: int = DEFAULT_PAGE
) -> tuple[list[Item], dict[str, str]]:
    """Cuts one page.

    Returns:
        The items, and the NextToken member if there are more.

    Raises:
        ValidationException: The token is none of ours.
    """
    start = _offset(request.get("NextToken"))
    end = start + request.get("MaxResults", default)
    more = {"NextToken": base64.urlsafe_b64encode(f"from:{end}".encode()).decode()} if end < len(items) else {}
    return list(items[start:end]), more


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    try:
        prefix, _, number = base64.urlsafe_b64decode(token).decode().partition(":")
        if prefix == "from":
            return int(number)
    except ValueError:
        pass
    raise ValidationException("The provided NextToken is invalid.")
