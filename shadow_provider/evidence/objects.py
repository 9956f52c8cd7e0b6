"""Names of objects in S3, and what a record says of those that were read."""

import hashlib
from collections.abc import Mapping
from typing import Literal

from shadow_provider.verdict.evidence import Source

_LONGEST_LISTED = 200
"""A source with more objects than this keeps only their digest, so that the record stays small."""


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and prefix of an S3 URI; the prefix has no slash at its ends.

    Raises:
        ValueError: it is no `s3://bucket[/prefix]`.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise ValueError(f"must be s3://bucket/prefix, got {uri!r}")
    return bucket, prefix.strip("/")


def join_key(*parts: str) -> str:
    """A key prefix of the parts that are not empty, with a slash at its end."""
    return "/".join(part for part in parts if part) + "/"


def source(kind: Literal["captures", "ground_truth"], location: str, etags: Mapping[str, str]) -> Source:
    """What was read, for the record."""
    text = "\n".join(f"{key} {etag}" for key, etag in sorted(etags.items()))
    return Source(
        kind=kind,
        location=location,
        objects=len(etags),
        digest=hashlib.sha256(text.encode()).hexdigest(),
        etags=dict(etags) if len(etags) <= _LONGEST_LISTED else None,
    )
