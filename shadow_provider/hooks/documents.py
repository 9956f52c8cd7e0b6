"""Small documents in S3: decision records, reports, leases."""

from __future__ import annotations

import abc
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from shadow_provider.hooks import aws_errors

Result = TypeVar("Result")


class DocumentVerbs(abc.ABC):
    """Mixin of the hook: what a deployment reads and writes in S3."""

    @cached_property
    @abc.abstractmethod
    def s3(self) -> Any:
        """The boto3 client of S3."""

    @abc.abstractmethod
    def retrying(self, call: Callable[[], Result], *, also: Callable[[ClientError], bool] | None = None) -> Result:
        """Repeat a call while it may pass."""

    def read_document(self, s3_uri: str) -> bytes | None:
        """Read an object; None if there is none, which S3 says only to callers with ``s3:ListBucket``."""
        bucket, key = bucket_and_key(s3_uri)
        try:
            # The body is read inside: a connection may be lost half-way through it.
            return self.retrying(lambda: bytes(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()))
        except ClientError as error:
            if aws_errors.is_no_such_object(error):
                return None
            raise

    def write_document_once(self, s3_uri: str, body: bytes, *, content_type: str) -> bytes:
        """Write an object unless it exists (S3's If-None-Match), and return what stands there now."""
        bucket, key = bucket_and_key(s3_uri)
        try:
            self.retrying(
                lambda: self.s3.put_object(
                    Bucket=bucket, Key=key, Body=body, ContentType=content_type, IfNoneMatch="*"
                ),
                also=aws_errors.is_conditional_conflict,
            )
        except ClientError as error:
            if not aws_errors.is_precondition_failed(error) or (standing := self.read_document(s3_uri)) is None:
                raise
            return standing
        return body

    def write_document(self, s3_uri: str, body: bytes, *, content_type: str) -> None:
        """Write an object, over what stands there."""
        bucket, key = bucket_and_key(s3_uri)
        self.retrying(lambda: self.s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type))

    def delete_document(self, s3_uri: str) -> None:
        """Delete an object; it is fine if it is gone."""
        bucket, key = bucket_and_key(s3_uri)
        self.retrying(lambda: self.s3.delete_object(Bucket=bucket, Key=key))

    def documents(self, s3_uri: str) -> list[str]:
        """Return the URIs of all objects under a prefix."""
        bucket, prefix = bucket_and_key(s3_uri)
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return self.retrying(
            lambda: [f"s3://{bucket}/{item['Key']}" for page in pages for item in page.get("Contents", ())]
        )


class PlainDocuments(DocumentVerbs):
    """The same with a boto3 client and the client's own repeating of calls."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3

    @cached_property
    def s3(self) -> Any:
        """The boto3 client."""
        return self._s3

    def retrying(self, call: Callable[[], Result], *, also: Callable[[ClientError], bool] | None = None) -> Result:
        """Call once."""
        return call()


def bucket_and_key(s3_uri: str) -> tuple[str, str]:
    """Of an object's URI; the key as it stands, for also a slash at its end is a part of it."""
    bucket, _, key = s3_uri.removeprefix("s3://").partition("/")
    return bucket, key
