"""Objects under S3 prefixes, line by line, in memory that does not grow with the object."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from shadow_provider.evidence.clients import S3Client
from shadow_provider.verdict.evidence import Source

_CHUNK_BYTES = 1 << 20
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


def jsonl_keys(s3: S3Client, bucket: str, prefix: str) -> Iterator[str]:
    """The keys under the prefix that end in `.jsonl`, in S3's order, page by page."""
    request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix}
    while True:
        page = s3.list_objects_v2(**request)
        for item in page.get("Contents", ()):
            if item["Key"].endswith(".jsonl"):
                yield item["Key"]
        if not page.get("IsTruncated"):
            return
        request["ContinuationToken"] = page["NextContinuationToken"]


def read_lines(s3: S3Client, bucket: str, key: str, etags: dict[str, str]) -> Iterator[tuple[int, bytes]]:
    """The object's lines with their numbers from 1, without line ends; its ETag goes into `etags`.

    Lines end at a line feed only, as JSON Lines has it. An empty rest after the last one is no line.
    """
    answer = s3.get_object(Bucket=bucket, Key=key)
    etags[key] = str(answer.get("ETag", "")).strip('"')
    body = answer["Body"]
    try:
        yield from enumerate(_split(body), start=1)
    finally:
        body.close()


def _split(body: Any) -> Iterator[bytes]:
    parts: list[bytes] = []
    while chunk := body.read(_CHUNK_BYTES):
        first, *others = chunk.split(b"\n")
        parts.append(first)
        for other in others:
            yield b"".join(parts)
            parts = [other]
    rest = b"".join(parts)
    if rest:
        yield rest


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
