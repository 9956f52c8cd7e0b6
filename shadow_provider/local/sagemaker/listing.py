"""Lists and their pages: filters, order and tokens of the control plane's List operations."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from shadow_provider.local.errors import ValidationException

Json = dict[str, Any]
DEFAULT_PAGE = 10
_PAGING = ("NextToken", "MaxResults")


@dataclass(frozen=True)
class Listing:
    """A List operation, as botocore documents it.

    Attributes:
        operation: Its name; a token is good for one operation only.
        answer: The answer's member with the summaries.
        names: The summary's member with the name; the first that there is counts.
        arn: The summary's member with the ARN, which tells apart what is otherwise equal.
        status: The summary's member with the status, where it can be filtered and sorted by.
        order: SortOrder, if the request has none.
        after_inclusive: Whether CreationTimeAfter takes in its own moment ("greater than or equal to", not "after").
    """

    operation: str
    answer: str
    names: tuple[str, ...]
    arn: str
    status: str | None = None
    order: str = "Descending"
    after_inclusive: bool = True


MODELS = Listing("ListModels", "Models", ("ModelName",), "ModelArn")
ENDPOINT_CONFIGS = Listing("ListEndpointConfigs", "EndpointConfigs", ("EndpointConfigName",), "EndpointConfigArn")
ENDPOINTS = Listing("ListEndpoints", "Endpoints", ("EndpointName",), "EndpointArn", "EndpointStatus")
MODEL_PACKAGE_GROUPS = Listing(
    "ListModelPackageGroups",
    "ModelPackageGroupSummaryList",
    ("ModelPackageGroupName",),
    "ModelPackageGroupArn",
    order="Ascending",
    after_inclusive=False,
)
MODEL_PACKAGES = Listing(
    "ListModelPackages",
    "ModelPackageSummaryList",
    ("ModelPackageName", "ModelPackageGroupName"),
    "ModelPackageArn",
    order="Ascending",
    after_inclusive=False,
)


def listed(listing: Listing, rows: list[Json], request: Json) -> Json:
    """Answers a List operation: the page of summaries that the request asks for.

    A NextToken says behind which summary its page begins, not how many came before: what is created or deleted between
    two pages neither repeats nor hides another summary.

    Args:
        listing: The operation.
        rows: The summaries of everything there is.
        request: The request.

    Raises:
        ValidationException: The token is of another operation, of another query, or no token at all.
    """
    descending = request.get("SortOrder", listing.order) == "Descending"
    places = [(_place(listing, row, request), row) for row in rows if _holds(listing, row, request)]
    places.sort(key=lambda item: item[0], reverse=descending)
    query = {name: value for name, value in request.items() if name not in _PAGING}
    if "NextToken" in request:
        last = _opened(request["NextToken"], listing.operation, query)
        places = [item for item in places if (item[0] < last if descending else item[0] > last)]
    page = places[: request.get("MaxResults", DEFAULT_PAGE)]
    answer: Json = {listing.answer: [row for _, row in page]}
    if len(page) < len(places):
        answer["NextToken"] = _token(listing.operation, query, page[-1][0])
    return answer


def refuse_token(request: Json) -> None:
    """For lists that never have a second page.

    Raises:
        ValidationException: A token was given all the same.
    """
    if "NextToken" in request:
        raise _invalid()


def _holds(listing: Listing, row: Json, request: Json) -> bool:
    created, modified = row["CreationTime"], row.get("LastModifiedTime", 0.0)
    after = request.get("CreationTimeAfter")
    if after is not None and (created < after or (created == after and not listing.after_inclusive)):
        return False
    return (
        request.get("NameContains", "").lower() in _name(listing, row).lower()
        and ("CreationTimeBefore" not in request or created < request["CreationTimeBefore"])
        and ("LastModifiedTimeAfter" not in request or modified > request["LastModifiedTimeAfter"])
        and ("LastModifiedTimeBefore" not in request or modified < request["LastModifiedTimeBefore"])
        and ("StatusEquals" not in request or row.get(listing.status or "") == request["StatusEquals"])
    )


def _name(listing: Listing, row: Json) -> str:
    return str(next(row[name] for name in listing.names if name in row))


def _place(listing: Listing, row: Json, request: Json) -> list[Any]:
    match request.get("SortBy"):
        case "Name":
            value = _name(listing, row)
        case "Status":
            value = row[listing.status or ""]
        case _:
            value = row["CreationTime"]
    # Version 10 comes after version 2; the last item is the ARN's own, so that no two places are equal.
    stem, _, last = row[listing.arn].rpartition("/")
    return [value, stem, int(last) if last.isdecimal() else 0, last]


def _token(operation: str, query: Json, place: list[Any]) -> str:
    content = json.dumps([_digest(operation, query, place), place])
    return base64.urlsafe_b64encode(content.encode()).decode()


def _opened(token: str, operation: str, query: Json) -> list[Any]:
    try:
        digest, place = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, TypeError):
        raise _invalid() from None
    if digest != _digest(operation, query, place):
        raise _invalid()
    return list(place)


def _digest(operation: str, query: Json, place: Any) -> str:
    text = json.dumps([operation, query, place], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _invalid() -> ValidationException:
    return ValidationException("The provided NextToken is invalid.")
