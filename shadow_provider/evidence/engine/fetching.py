"""Small objects by a faster way than boto3's: signed, sent and received without Python, by obstore.

boto3 takes a millisecond of one processor for an object, which is more than reading what is in it. Its client is asked
for everything else: what is not fetched here, for whatever reason, is left to it, and so are all errors.
"""

import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import RawIOBase
from typing import TYPE_CHECKING, Any, BinaryIO, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer
    from obstore.store import ClientConfig, RetryConfig, S3Credential
    from obstore.store import S3Store as Bucket

log = logging.getLogger(__name__)

LARGEST = 8 << 20
"""Of an object that is fetched here, in bytes: it is in memory as a whole."""

_FAILURES = 3
"""In a row, after which this way is given up."""

_ASKED_AGAIN = timedelta(minutes=1)
"""How long credentials are used before boto3's are looked at again; these renew themselves in time."""

_RETRIES: "RetryConfig" = {"max_retries": 1, "retry_timeout": timedelta(seconds=10)}
"""boto3 tries again as its configuration says."""

_TIMEOUTS: "ClientConfig" = {"connect_timeout": timedelta(seconds=10), "timeout": timedelta(seconds=60)}

# Names that mean the same in every client: no escapes, no empty parts, none that are dots alone.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_KEY = re.compile(r"(?!.*(?:^|/)\.{1,2}(?:/|$))[A-Za-z0-9_.=-]+(?:/[A-Za-z0-9_.=-]+)*")


@dataclass
class _Threads:
    """obstore's threads belong to the process that used it first: a fork of that has none, and would wait for ever."""

    process: int | None = None

    def are_here(self) -> bool:
        """Whether this process may use it."""
        if self.process is None:
            self.process = os.getpid()
        return self.process == os.getpid()


_threads = _Threads()


class Fetcher:
    """Fetches objects of a bucket; threads may share it.

    Args:
        bucket: where they lie.
    """

    def __init__(self, bucket: "Bucket") -> None:
        self._bucket = bucket
        self._failures = 0

    def opened(self, key: str) -> BinaryIO | None:
        """An object to read from; None if it is to be had in another way."""
        if self._failures >= _FAILURES or not _KEY.fullmatch(key) or not _threads.are_here():
            return None
        import obstore
        from obstore.exceptions import BaseError

        try:
            found = obstore.get(self._bucket, key)
            if found.meta["size"] > LARGEST:
                return None
            content = _Content(found.bytes())
        except (BaseError, OSError, ValueError) as error:
            self._failures += 1
            if self._failures == _FAILURES:
                log.info("Objects are read by boto3 from here on: obstore failed with %s", type(error).__name__)
            return None
        self._failures = 0
        return cast("BinaryIO", content)


class _Content(RawIOBase):
    """Something in memory, to read from. `BytesIO` would copy it."""

    def __init__(self, content: "ReadableBuffer") -> None:
        self._rest = memoryview(content)

    def readable(self) -> bool:
        return True

    def readinto(self, room: "WriteableBuffer") -> int:
        into = memoryview(room)
        count = min(len(into), len(self._rest))
        into[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def fetcher(client: Any, bucket: str) -> Fetcher | None:
    """Fetches as a boto3 client would, with its endpoint and credentials; None if that cannot be promised.

    Args:
        client: for S3. One with a proxy, a certificate bundle, another kind of endpoint or of signature, or without
            credentials is left to itself.
        bucket: where the objects lie.
    """
    credentials = _credentials(client)
    if credentials is None or not _BUCKET.fullmatch(bucket) or not _threads.are_here():
        return None
    from obstore.store import S3Store

    return Fetcher(
        S3Store(
            bucket,
            endpoint=client.meta.endpoint_url,
            region=client.meta.region_name,
            virtual_hosted_style_request=False,
            skip_signature=False,
            credential_provider=credentials,
            client_options={**_TIMEOUTS, "allow_http": _plain_http(client)},
            retry_config=_RETRIES,
        )
    )


def _credentials(client: Any) -> "Callable[[], S3Credential] | None":
    """What gives a client's credentials; None if something is set that would not be kept."""
    # A client does not say in public whom it signs for, nor which certificates it trusts.
    signer = getattr(client, "_request_signer", None)
    held = getattr(signer, "_credentials", None)
    session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    if held is None or session is None:
        return None
    config = client.meta.config
    trusted = getattr(session, "_verify", None) is True or _plain_http(client)
    otherwise = (
        config.signature_version != "s3v4",
        (config.s3 or {}).keys() - {"addressing_style"},
        config.proxies,
        config.client_cert,
        config.use_fips_endpoint,
        config.use_dualstack_endpoint,
    )
    if not trusted or any(otherwise):
        return None

    def credentials() -> "S3Credential":
        frozen = held.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _ASKED_AGAIN,
        }

    return credentials


def _plain_http(client: Any) -> bool:
    return bool(client.meta.endpoint_url.startswith("http:"))
