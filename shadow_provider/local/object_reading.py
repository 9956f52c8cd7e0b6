"""Plain reads of objects, which are answered without moto's web server: who reads captures reads thousands of objects.

Only a signed GET of a whole object that is there, of a bucket without any rule of its own, is plain. What moto would
look at is looked at here; everything else is left to it.
"""

from __future__ import annotations

import re
from typing import Any

from shadow_provider.local.protocol import Response, Scope, headers_of

_PATH = re.compile(r"/([a-z0-9][a-z0-9.-]+)/(\w[\w.=-]*(?:/\w[\w.=-]*)*)", re.ASCII)
_HOST = re.compile(r"(?:localhost|\d+\.\d+\.\d+\.\d+)(?::\d+)?", re.ASCII)
_SIGNED = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/ ]+/\d+/(?!cn-|us-gov-|us-iso)[^/ ]+/s3/aws4_request\b")
# Others may ask for a part, a condition or a key of the caller's.
_HEADERS = frozenset(
    {
        *("host", "user-agent", "accept", "accept-encoding", "connection", "authorization", "amz-sdk-invocation-id"),
        *("amz-sdk-request", "x-amz-checksum-mode", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"),
    }
)
_QUERIES = (b"", b"x-id=GetObject")
# A larger one is read by a thread of moto's, so that nobody waits for the disk.
_LARGEST = 16 << 20


def plain_read(scope: Scope, backend: Any) -> Response | None:
    """The answer to a plain read, as moto would give it; None if the request is anything else.

    Args:
        scope: of the request.
        backend: moto's S3.
    """
    headers = headers_of(scope)
    path = _PATH.fullmatch(scope.get("raw_path", b"").decode("latin-1"))
    if scope["method"] != "GET" or path is None or scope["query_string"] not in _QUERIES:
        return None
    if (
        not headers.keys() <= _HEADERS
        or not _HOST.fullmatch(headers.get("host", ""))
        or not _SIGNED.match(headers.get("authorization", ""))
    ):
        return None
    found = _object(backend, *path.groups())
    if found is None or found.size > _LARGEST or found.storage_class != "STANDARD":
        return None
    told: dict[str, Any] = {**found.response_dict}
    if found.version_id != "null":
        told["x-amz-version-id"] = found.version_id
    if headers.get("x-amz-checksum-mode") == "ENABLED" and found.checksum_algorithm:
        if found.checksum_type == "COMPOSITE":
            return None
        told[f"x-amz-checksum-{found.checksum_algorithm.lower()}"] = found.checksum_value
        if found.checksum_type:
            told["x-amz-checksum-type"] = found.checksum_type
    told.update(found.metadata)
    told.update({"accept-ranges": "bytes", "access-control-allow-origin": "*"})
    told.pop("content-length")
    return Response(200, found.value, headers=[(name.lower(), str(value)) for name, value in told.items()])


def _object(backend: Any, bucket_name: str, key: str) -> Any:
    """Moto's object; None if there is none, or its bucket has a policy or keeps a log of who reads."""
    from moto.s3.exceptions import S3ClientError

    try:
        bucket = backend.get_bucket(bucket_name)
    except S3ClientError:
        return None
    if bucket.policy is not None or bucket.logging:
        return None
    return backend.get_object(bucket_name, key)
