"""Reads AWS's errors: what may pass, what is final, and what a person is told of either.

Most errors of SageMaker are one code, ValidationException, told apart only by their words. Sources of the words:
observed AWS texts, kept in docs/sagemaker-behaviour.md. docs/reliability.md has the classes as a table.
"""

from __future__ import annotations

from botocore import exceptions as botocore_exceptions
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from shadow_provider.hooks.asked import asked
from shadow_provider.hooks.aws_advice import advice
from shadow_provider.plan.plain_text import plain

AwsError = (ClientError, BotoCoreError, ResponseParserError)
"""Everything that boto3 raises on its own."""

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
        "ConcurrentUpdateException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ExpiredToken",
        "ExpiredTokenException",
    }
)
_SERVER_ERROR = 500
# Refused because of something else under way: nothing was done, and later it will be taken.
_BUSY_CODES = frozenset(
    {
        "ResourceInUse",
        "ConflictException",
        "ConcurrentModificationException",
        "ConcurrentUpdateException",
        "ConditionalRequestConflict",
        "OperationAborted",
    }
)


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


def is_no_scalable_target(error: ClientError) -> bool:
    """Whether Application Auto Scaling knows no such target, so that there is nothing to deregister."""
    return _code(error) == "ObjectNotFoundException" or _message(error).startswith("No scalable target found")


def is_alarm_not_found(error: ClientError) -> bool:
    """Whether CloudWatch has no alarm of that name (DeleteAlarms) or ARN (ListTagsForResource)."""
    return _code(error) in {"ResourceNotFound", "ResourceNotFoundException"}


def is_no_model_package(error: ClientError) -> bool:
    """Whether there is no such model package: "ModelPackage <arn> does not exist." as seen in the wild."""
    return (
        _code(error) == "ValidationException"
        and _message(error).startswith("ModelPackage ")
        and "does not exist" in _message(error)
    )


def is_no_such_object(error: ClientError) -> bool:
    """Whether S3 has no object of that key."""
    return _code(error) in {"NoSuchKey", "404"}


def is_precondition_failed(error: ClientError) -> bool:
    """Whether S3 refused a conditional write because the object exists."""
    return _code(error) in {"PreconditionFailed", "412"}


def is_conditional_conflict(error: ClientError) -> bool:
    """Whether S3 could not carry out a conditional write because of another request; nothing was written by it."""
    return _code(error) == "ConditionalRequestConflict"


def is_expired(error: BaseException) -> bool:
    """Whether the credentials were right and have run out: those of another session may do."""
    return isinstance(error, ClientError) and _code(error) in {"ExpiredToken", "ExpiredTokenException"}


def is_transient(error: BaseException) -> bool:
    """Whether the same call may well succeed in a moment: throttling, a server's fault, a lost connection.

    An expired token is among them: a connection with a role renews its session by itself, and a retry of the task
    reads the connection again.
    """
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return _code(error) in _TRANSIENT_CODES or status >= _SERVER_ERROR
    if isinstance(error, botocore_exceptions.SSLError):
        # A handshake may be cut off as any connection; a certificate that is not trusted stays so.
        return "CERTIFICATE_VERIFY_FAILED" not in str(error)
    return isinstance(
        error,
        botocore_exceptions.HTTPClientError
        | botocore_exceptions.ConnectionError
        | botocore_exceptions.IncompleteReadError
        | botocore_exceptions.CredentialRetrievalError
        | ResponseParserError,
    )


def may_pass(error: BaseException) -> bool:
    """Whether the same call may succeed later, be it after minutes: transient, or refused because AWS is busy.

    Everything else is final: permissions, quotas, credentials, arguments, what does not exist; a retry would get the
    same answer.
    """
    if is_transient(error):
        return True
    return isinstance(error, ClientError) and (is_in_progress(error) or _code(error) in _BUSY_CODES)


def cause(error: BaseException) -> str:
    """What was asked, and AWS's words why not, in one printable line."""
    code, message = _words(error)
    return f"{asked(error) or 'a call'}: {code}: {message}".rstrip(": .")


def in_words(error: BaseException) -> str:
    """Say what was asked, in AWS's words why not, and what to do about it."""
    code, message = _words(error)
    told = advice(code, message, error.operation_name if isinstance(error, ClientError) else "")
    if not may_pass(error):
        return f"AWS refused {cause(error)}. {told}"
    more = told if is_expired(error) or code == "EndpointConnectionError" else ""
    passing = "This may pass; the task's next try goes on from here."
    return f"AWS did not carry out {cause(error)}. It was asked more than once. {passing} {more}".rstrip()


def _words(error: BaseException) -> tuple[str, str]:
    if isinstance(error, ClientError):
        return plain(_code(error)), plain(_message(error))
    return type(error).__name__, plain(str(error))
