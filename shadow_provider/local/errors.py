"""Errors as AWS answers them: code, words, HTTP status."""

from __future__ import annotations

from typing import Any


class AwsError(Exception):
    """An answer that boto3 turns into a ClientError.

    Attributes:
        code: AWS's error code.
        message: AWS's words.
        status: HTTP status.
        members: Further members of the error's body, such as OriginalStatusCode.
    """

    def __init__(self, code: str, message: str, status: int = 400, **members: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.members = members


class ValidationException(AwsError):  # noqa: N818 - AWS's name
    """The control plane's refusal. SageMaker does not model it: boto3 raises a bare ClientError with this code."""

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)


class UnsupportedLocally(ValidationException):
    """Valid on AWS, not modelled here; said openly rather than answered with a fake success."""

    def __init__(self, what: str) -> None:
        super().__init__(f"The local AWS does not support {what} yet.")


class RequestTooLargeError(AwsError):
    """More than is taken of a request's body; the rest of it is still on its way.

    Args:
        limit: What is taken, bytes.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(
            "RequestEntityTooLargeException", f"The request entity is larger than {limit} bytes.", status=413
        )


class ClientGoneError(Exception):
    """The caller closed the connection before its request was complete: nothing is done, nobody is to be answered."""


def not_found(kind: str, arn: str) -> ValidationException:
    """AWS's words for a model, endpoint or endpoint configuration that does not exist."""
    return ValidationException(f'Could not find {kind} "{arn}".')


def already_exists(kind: str, arn: str) -> ValidationException:
    """AWS's words for a name that is taken."""
    return ValidationException(f'Cannot create already existing {kind} "{arn}".')


def in_progress(arn: str) -> ValidationException:
    """AWS's words for an update or a deletion of an endpoint that is being changed (it says "update" for both)."""
    return ValidationException(f'Cannot update in-progress endpoint "{arn}".')


def unknown_operation(name: str) -> AwsError:
    """The answer to an operation that the local AWS does not have."""
    return AwsError("UnknownOperationException", f"The local AWS does not implement the operation {name}.")


def internal_failure() -> AwsError:
    """The answer to a fault of the local AWS itself; the details are in its log, never in the answer."""
    return AwsError("InternalFailure", "The local AWS failed internally; its log has the details.", status=500)
