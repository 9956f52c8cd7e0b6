"""Reads SageMaker's errors. Most of them are one code, ValidationException, told apart only by their words.

Sources of the words: observed AWS texts, kept in docs/sagemaker-behaviour.md.
"""

from __future__ import annotations

from botocore import exceptions as botocore_exceptions
from botocore.exceptions import ClientError

_TRANSIENT_CODES = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "SlowDown",
        "InternalFailure",
        "InternalError",
        "InternalServerError",
        "InternalServiceError",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ExpiredToken",
        "ExpiredTokenException",
    }
)
_SERVER_ERROR = 500


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _message(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message", ""))


def is_not_found(error: ClientError) -> bool:
    """Whether the resource that was asked for does not exist."""
    return _code(error) == "ValidationException" and _message(error).startswith("Could not find")


def is_already_existing(error: ClientError) -> bool:
    """Whether a create was refused because the name is taken."""
    return _code(error) == "ValidationException" and "Cannot create already existing" in _message(error)


def is_in_progress(error: ClientError) -> bool:
    """Whether a change was refused because another one is under way (AWS says "update" for a delete as well)."""
    return _code(error) == "ValidationException" and "in-progress endpoint" in _message(error)


def is_no_such_object(error: ClientError) -> bool:
    """Whether S3 has no object of that key."""
    return _code(error) in {"NoSuchKey", "404"}


def is_precondition_failed(error: ClientError) -> bool:
    """Whether S3 refused a conditional write because the object exists."""
    return _code(error) in {"PreconditionFailed", "412"}


def is_conditional_conflict(error: ClientError) -> bool:
    """Whether S3 could not carry out a conditional write because of another request; nothing was written by it."""
    return _code(error) == "ConditionalRequestConflict"


def is_transient(error: BaseException) -> bool:
    """Whether the same call may well succeed later: throttling, a server's fault, a lost connection."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return _code(error) in _TRANSIENT_CODES or status >= _SERVER_ERROR
    return isinstance(error, botocore_exceptions.HTTPClientError | botocore_exceptions.ConnectionError)
