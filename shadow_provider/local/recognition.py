"""Who calls which operation on what: told from a request before any service has looked at it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import parse_qs, unquote

INVOCATIONS = re.compile(r"/endpoints/([^/]+)/invocations")
# The runtime's operations that are not implemented, by the end of their paths.
_OTHER_INVOCATIONS = re.compile(
    r"/endpoints/([^/]+)/(async-invocations|invocations-response-stream|invocations-bidirectional-stream)"
)
_OTHER_OPERATIONS = {
    "async-invocations": "InvokeEndpointAsync",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
    "invocations-bidirectional-stream": "InvokeEndpointWithBidirectionalStream",
}
_OLD_CREDENTIAL = re.compile(r"(?:^|&)AWSAccessKeyId=([^&]+)")
_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/aws4_request")
# Members that name what an operation is about; RoleArn does so for STS only, elsewhere it is an attribute.
_NAMES = (
    "EndpointName",
    "EndpointConfigName",
    "ModelName",
    "ModelPackageName",
    "ModelPackageGroupName",
    "ModelPackageArn",
    "ResourceArn",
    "ResourceARN",
    "ResourceId",
    "AlarmName",
    "AlarmNames",
)
_QUERY_NAMES = ("RoleArn", "RoleName", "UserName", "PolicyName", "PolicyArn", "AlarmName", "MetricName", "Namespace")
# Beyond this a PutMetricData is not parsed a second time for the log.
_PARSE_LIMIT = 64 * 1024
# ARNs have 2048 characters at most.
_LONGEST = 2048
_BUCKET_CALLS = {"GET": "ListObjects", "PUT": "CreateBucket", "DELETE": "DeleteBucket", "HEAD": "HeadBucket"}
_OBJECT_CALLS = {"GET": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject", "HEAD": "HeadObject"}
_VERBS = {"GET": "Get", "PUT": "Put", "DELETE": "Delete"}
_BUCKET_PARTS = {
    "location": "BucketLocation",
    "versioning": "BucketVersioning",
    "tagging": "BucketTagging",
    "policy": "BucketPolicy",
    "acl": "BucketAcl",
    "lifecycle": "BucketLifecycleConfiguration",
    "encryption": "BucketEncryption",
    "cors": "BucketCors",
    "publicAccessBlock": "PublicAccessBlock",
}
_OBJECT_PARTS = {"tagging": "ObjectTagging", "acl": "ObjectAcl", "attributes": "ObjectAttributes"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as it came in.

    Attributes:
        service: The signing name (sagemaker, monitoring, s3, sts, ...), and sagemaker-runtime.
        operation: The operation's name; method and path where it cannot be told.
        principal: Access key id; empty for unsigned calls.
        resources: Names that the call mentions: endpoint, configuration, model, bucket, bucket/key, ARNs.
        protocol: In which form errors are answered.
    """

    service: str
    operation: str
    principal: str
    resources: tuple[str, ...]
    protocol: Literal["json", "query", "s3"]


def names_in_body(headers: dict[str, str]) -> bool:
    """Whether operation or resources stand in the body; such bodies are small enough to be read at once."""
    return "x-amz-target" in headers or headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


def recognise(method: str, raw_path: str, query: str, headers: dict[str, str], body: bytes) -> Asked:
    """Tells what a request asks for.

    Args:
        method: HTTP method.
        raw_path: Path, still quoted.
        query: What stands behind the question mark.
        headers: Names in lower case.
        body: Of requests that names_in_body is true for.
    """
    asked = _recognised(method, raw_path, query, headers, body)
    # The log keeps thousands of them; whoever sends megabytes for a name is not to fill the memory.
    if len(asked.operation) > _LONGEST or any(len(name) > _LONGEST for name in asked.resources):
        names = tuple(name[:_LONGEST] for name in asked.resources)
        return replace(asked, operation=asked.operation[:_LONGEST], resources=names)
    return asked


def other_invocation(raw_path: str) -> tuple[str, str] | None:
    """Of a path of the runtime that is not InvokeEndpoint's: the operation, which nothing answers, and the endpoint."""
    found = _OTHER_INVOCATIONS.fullmatch(raw_path)
    return None if found is None else (_OTHER_OPERATIONS[found[2]], unquote(found[1]))


def _recognised(method: str, raw_path: str, query: str, headers: dict[str, str], body: bytes) -> Asked:
    principal, service = _signed(headers, query)
    invocation = INVOCATIONS.fullmatch(raw_path)
    if invocation is not None and method == "POST":
        return Asked("sagemaker-runtime", "InvokeEndpoint", principal, (unquote(invocation[1]),), "json")
    if method == "POST" and service != "s3" and (operation := other_invocation(raw_path)) is not None:
        return Asked("sagemaker-runtime", operation[0], principal, (operation[1],), "json")
    target = headers.get("x-amz-target")
    if target is not None:
        return _json_call(target, service, principal, body)
    if service != "s3" and (body or "Action=" in query):
        form = parse_qs(body.decode("utf-8", "replace") or query)
        if "Action" in form:
            names = tuple(form[name][0] for name in _QUERY_NAMES if name in form)
            return Asked(service, form["Action"][0], principal, names, "query")
    if service in ("s3", ""):
        return _s3_call(method, raw_path, query, headers, principal)
    return Asked(service, f"{method} {raw_path}", principal, (), "query")


def _signed(headers: dict[str, str], query: str) -> tuple[str, str]:
    found = _CREDENTIAL.search(headers.get("authorization", ""))
    if found is None and "X-Amz-Credential=" in query:
        found = _CREDENTIAL.search("Credential=" + unquote(query.partition("X-Amz-Credential=")[2]))
    if found is not None:
        return found[1], found[2]
    old = _OLD_CREDENTIAL.search(query)  # presigned URLs of S3, version 2
    return ("", "") if old is None else (unquote(old[1]), "s3")


def _json_call(target: str, service: str, principal: str, body: bytes) -> Asked:
    family, _, operation = target.rpartition(".")
    if family == "SageMaker":
        service = "sagemaker"
    elif family.startswith("GraniteService"):
        service = "monitoring"
    names: list[str] = []
    if service != "monitoring" or len(body) <= _PARSE_LIMIT:
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            content = None
        if isinstance(content, dict):
            names = [name for member in _NAMES for name in _texts(content.get(member))]
            names += _texts(content.get("Namespace"))
    return Asked(service, operation, principal, tuple(names), "json")


def _texts(value: object) -> list[str]:
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]


def _s3_call(method: str, raw_path: str, query: str, headers: dict[str, str], principal: str) -> Asked:
    bucket, _, key = raw_path.lstrip("/").partition("/")
    parts = parse_qs(query, keep_blank_values=True)
    if not bucket:
        return Asked("s3", "ListBuckets", principal, (), "s3")
    bucket, key = unquote(bucket), unquote(key)
    if not key:
        return Asked("s3", _bucket_call(method, parts), principal, (bucket,), "s3")
    return Asked("s3", _object_call(method, parts, headers), principal, (bucket, f"{bucket}/{key}"), "s3")


def _bucket_call(method: str, parts: dict[str, list[str]]) -> str:
    if method == "POST":
        return "DeleteObjects" if "delete" in parts else "PostObject"
    if method == "GET":
        listings = {"list-type": "ListObjectsV2", "versions": "ListObjectVersions", "uploads": "ListMultipartUploads"}
        for part, operation in listings.items():
            if part in parts:
                return operation
    return _of_part(method, parts, _BUCKET_PARTS) or _BUCKET_CALLS.get(method, method)


def _object_call(method: str, parts: dict[str, list[str]], headers: dict[str, str]) -> str:
    copied = "x-amz-copy-source" in headers
    if "uploads" in parts:
        return "CreateMultipartUpload"
    if "uploadId" in parts:
        upload = "UploadPartCopy" if copied else "UploadPart"
        calls = {"PUT": upload, "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload", "GET": "ListParts"}
        return calls.get(method, method)
    if copied and method == "PUT":
        return "CopyObject"
    return _of_part(method, parts, _OBJECT_PARTS) or _OBJECT_CALLS.get(method, method)


def _of_part(method: str, parts: dict[str, list[str]], known: dict[str, str]) -> str | None:
    return next((_VERBS[method] + name for part, name in known.items() if part in parts and method in _VERBS), None)
