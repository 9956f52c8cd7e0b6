"""What a person can do about an error of AWS, from its code and words.

Sources of the words: observed AWS texts, kept in docs/sagemaker-behaviour.md.
"""

from __future__ import annotations

import re

_CREDENTIALS = frozenset(
    {
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "AuthFailure",
        "NoCredentialsError",
        "PartialCredentialsError",
        "NoAuthTokenError",
        "ProfileNotFound",
        "CredentialRetrievalError",
        "TokenRetrievalError",
        "SSOTokenLoadError",
        "UnauthorizedSSOTokenError",
    }
)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException"})
_CLOCK = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_REGION = frozenset(
    {
        "NoRegionError",
        "InvalidRegionError",
        "UnknownRegionError",
        "ServiceNotInRegionError",
        "PermanentRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
    }
)
_QUOTA = frozenset({"ResourceLimitExceeded", "LimitExceededException", "LimitExceeded", "LimitExceededFault"})

# "…is not authorized to perform: sagemaker:CreateModel on resource: …"
_ACTION = re.compile(r"perform:? ([A-Za-z0-9-]+:[A-Za-z*]+)")
# S3 says "Access Denied" and no more; its actions are not named as its operations are.
_S3_ACTIONS = {
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "ListObjectsV2": "s3:ListBucket",
}
_QUOTED = re.compile(r"'([^']{1,200})'")
_BUCKET = re.compile(r"s3://[^\s,;\"']+")
_TRAILING = ".,;:"


def is_denied(code: str) -> bool:
    """Whether AWS knows the caller and does not allow what it asks."""
    return code.startswith("AccessDenied") or code in {"UnauthorizedOperation", "AllAccessDisabled", "403"}


def advice(code: str, message: str, operation: str = "") -> str:
    """Say what to do, in one or two sentences.

    Args:
        code: AWS's error code, or the name of botocore's exception.
        message: AWS's words.
        operation: the operation that was asked for, where it is known.
    """
    for rule in (_of_callers, _of_quotas, _of_model_data, _of_requests):
        found = rule(code, message, operation)
        if found:
            return found
    return "The same request would get the same answer: correct what AWS names, then run the task again."


def _of_callers(code: str, message: str, operation: str) -> str:
    if is_denied(code):
        found = _ACTION.search(message)
        action = found.group(1) if found else _S3_ACTIONS.get(operation, operation or "what AWS names")
        return (
            f"Allow {action} to the role of the Airflow connection; docs/iam/ has the policies. If they allow it, look "
            "for a boundary, a service control policy or a bucket policy that denies it."
        )
    if code in _CREDENTIALS:
        return (
            "AWS does not accept the credentials, or there are none: correct the Airflow connection aws_conn_id (or, "
            "with aws_conn_id=None, the machine's role), in the worker and in the triggerer."
        )
    if code in _EXPIRED:
        return (
            "The session's credentials have expired. The next try reads the connection again; if it holds a fixed "
            "session token, give it a role to assume (role_arn), which is renewed by itself."
        )
    if code in _CLOCK:
        return "The clock of this machine is wrong by minutes: set it, then run the task again."
    return ""


def _of_quotas(code: str, message: str, operation: str) -> str:
    if code not in _QUOTA:
        return ""
    found = _QUOTED.search(message)
    quota = f"the quota '{found.group(1)}'" if found else "the quota that AWS names"
    return (
        f"Ask for more of {quota} in Service Quotas, or take a smaller or another instance type. While an endpoint is "
        "updated, the instances of both fleets count: up to twice production and shadow together."
    )


def _of_model_data(code: str, message: str, operation: str) -> str:
    if code == "NoSuchBucket":
        return "There is no such bucket: correct its name (capture, record, model data or ground truth), or create it."
    if "Could not access model data" in message:
        found = _BUCKET.search(message)
        where = found.group(0).rstrip(_TRAILING) if found else "the model data"
        return (
            f"See that {where} exists, that its bucket is in the endpoint's region, and that the execution role may "
            "s3:GetObject and s3:ListBucket there and trusts sagemaker.amazonaws.com."
        )
    if "ecr:" in message or ("repository" in message.lower() and "image" in message.lower()):
        return (
            "See that the image exists in this region, and that the execution role (and the repository's policy) allow "
            "ecr:GetDownloadUrlForLayer, ecr:BatchGetImage and ecr:BatchCheckLayerAvailability."
        )
    return ""


def _of_requests(code: str, message: str, operation: str) -> str:
    if code in _REGION or code == "EndpointConnectionError":
        return "See that region_name (or the connection's region) is right, and that the network reaches it."
    if message.startswith("Could not find"):
        return (
            "It was deleted, or is in another region or account. A live endpoint can be saved by updating it to a "
            "config that exists; then start a new deployment."
        )
    if code == "ParamValidationError" or "validation error detected" in message:
        return "Correct the argument that is named: it is handed to AWS as given."
    if code == "SSLError":
        return "See that verify (the connection's certificate bundle) is right for this network."
    return ""
