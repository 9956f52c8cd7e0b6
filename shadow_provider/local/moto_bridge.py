"""moto in the same process: S3, STS, IAM and application-autoscaling behind our ASGI app, and S3 without HTTP."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import string
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote
from xml.parsers.expat import ExpatError
from xml.sax.saxutils import escape

from shadow_provider.local.errors import AwsError, ClientGoneError
from shadow_provider.local.object_reading import plain_read
from shadow_provider.local.object_storage import forget_what_is_gone, keep_objects_on_disk
from shadow_provider.local.protocol import (
    Receive,
    Response,
    Scope,
    Send,
    headers_of,
    receive_part,
    request_id,
    send_response,
)

logger = logging.getLogger(__name__)

_THREADS = 8
_HOSTS = 64
_S3_REQUEST_ID = b"x-amz-request-id"
# AWS: the words of S3's error MalformedXML.
_MALFORMED = "The XML you provided was not well-formed or did not validate against our published schema"
_StartResponse = Callable[..., Any]


class S3MissingError(Exception):
    """There is no such bucket or key."""


class MotoBridge:
    """moto's server application as an ASGI app.

    Args:
        account_id: The account that moto's resources belong to. moto reads it once per process.
        directory: Decides on which disk the contents of S3's objects are kept.
    """

    def __init__(self, account_id: str, directory: Path) -> None:
        os.environ["MOTO_ACCOUNT_ID"] = account_id
        # Imported here: moto costs a second, and must see the account id.
        from a2wsgi import WSGIMiddleware
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        keep_objects_on_disk(directory)
        self._moto = DomainDispatcherApplication(create_backend_app)
        # It looks at every folder of moto's for each request, which takes as long as the rest.
        self._moto.get_backend_for_host = lru_cache(_HOSTS)(self._moto.get_backend_for_host)  # type: ignore[method-assign]
        self._asgi: Any = WSGIMiddleware(cast(Any, self._wsgi), workers=_THREADS)
        self.s3 = LocalS3(account_id)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request.

        Raises:
            ClientGoneError: The caller closed the connection before the body's end; nothing was done.
            AwsError: The caller sent nothing for too long; nothing was done.
        """
        read = self.s3.plain_read(scope)
        if read is not None:
            await send_response(send, read, _S3_REQUEST_ID)
            return
        unfinished: Exception | None = None

        async def whole() -> Any:
            # To moto a body that ends too early is a short body, and would be stored as such.
            nonlocal unfinished
            try:
                return await receive_part(receive)
            except (ClientGoneError, AwsError) as error:
                unfinished = error
                raise

        async def identified(message: Any) -> None:
            # Whatever moto makes of it in the end: a request that did not come in full has no other answer.
            if unfinished is None:
                await send(_with_request_id(message, scope))

        # WSGI takes ASCII only there.
        scope["query_string"] = quote(scope["query_string"], safe=string.punctuation).encode()
        with contextlib.suppress(ClientGoneError, AwsError):
            await self._asgi(scope, whole, identified)
        if unfinished is not None:
            raise unfinished

    def reset(self) -> None:
        """Forgets everything that moto has, of all its services."""
        from moto.core.base_backend import BackendDict
        from moto.core.model_instances import reset_model_data

        BackendDict.reset()
        reset_model_data()
        forget_what_is_gone()
        self.s3.connect()

    def close(self) -> None:
        """Lets go of the threads."""
        self._asgi.executor.shutdown(wait=False, cancel_futures=True)

    def _wsgi(self, environ: dict[str, Any], start_response: _StartResponse) -> Iterable[bytes]:
        scope = environ["asgi.scope"]
        _restore_raw_uri(environ, scope)
        _restore_underscored_headers(environ, scope)
        gate = _ErrorGate(start_response)
        try:
            answer = self._moto(environ, gate)
        except (ClientGoneError, AwsError):
            raise
        except ExpatError:
            return gate.refuse(environ, "MalformedXML", _MALFORMED)
        except Exception as error:
            logger.exception("moto failed on %s %s", scope["method"], scope["path"])
            return gate.replace(environ, f"{type(error).__name__}")
        return gate.pass_on(environ, answer) if gate.held else answer


class _ErrorGate:
    """Keeps moto's HTML error pages (boto3 would retry them for seconds) from leaving; everything else passes.

    The content type does not tell: S3's 404 of a HEAD has no body, and moto calls that text/html too.
    """

    def __init__(self, start_response: _StartResponse) -> None:
        self._start_response = start_response
        self._status = ""
        self._headers: list[tuple[str, str]] = []

    @property
    def held(self) -> bool:
        """Whether an error waits for its body to be looked at."""
        return bool(self._status)

    def __call__(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        kind = next((value for name, value in headers if name.lower() == "content-type"), "")
        if int(status[:3]) >= 400 and kind.startswith("text/html"):
            self._status, self._headers = status, headers
            return lambda chunk: None
        return self._start_response(status, headers, exc_info)

    def pass_on(self, environ: dict[str, Any], answer: Iterable[bytes]) -> list[bytes]:
        """Lets the held error go with its body, unless that is a page for people."""
        body = b"".join(answer)
        is_page = body.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html"))
        is_nothing = not body and environ["REQUEST_METHOD"] != "HEAD"
        if is_page or is_nothing or int(self._status[:3]) >= 500:
            return self.replace(environ, self._status)
        headers = [(name, value) for name, value in self._headers if name.lower() != "content-type"]
        self._start_response(self._status, [*headers, ("content-type", "application/xml")])
        return [body]

    def replace(self, environ: dict[str, Any], cause: str) -> list[bytes]:
        message = f"The local AWS cannot answer this operation ({cause})."
        return self.refuse(environ, "UnknownOperationException", message)

    def refuse(self, environ: dict[str, Any], code: str, message: str) -> list[bytes]:
        """Answers with an error, status 400, in the form that the request's protocol has for it."""
        if "HTTP_X_AMZ_TARGET" in environ:
            kind, body = "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message})
        else:
            kind = "application/xml"
            error = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
            body = (
                error if "/s3/" in environ.get("HTTP_AUTHORIZATION", "") else f"<ErrorResponse>{error}</ErrorResponse>"
            )
        content = body.encode()
        headers = [("content-type", kind), ("content-length", str(len(content))), ("x-amzn-errortype", code)]
        self._start_response("400 Bad Request", headers)
        return [content]


def _with_request_id(message: Any, scope: Scope) -> Any:
    if message["type"] != "http.response.start":
        return message
    headers = list(message.get("headers", ()))
    signed = dict(scope["headers"]).get(b"authorization", b"")
    # S3's header has a name of its own, which moto does not use.
    name = _S3_REQUEST_ID if b"/s3/" in signed or not signed else b"x-amzn-requestid"
    if all(known != name for known, _ in headers):
        headers.append(request_id(name))
    return {**message, "headers": headers}


def _restore_raw_uri(environ: dict[str, Any], scope: Scope) -> None:
    # WSGI's PATH_INFO is unquoted; without the raw form, keys with "%2F" or "?" become other keys in moto.
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    uri = raw.decode("latin-1")
    if scope["query_string"]:
        uri += "?" + scope["query_string"].decode("latin-1")
    environ["RAW_URI"] = environ["REQUEST_URI"] = uri


def _restore_underscored_headers(environ: dict[str, Any], scope: Scope) -> None:
    # WSGI cannot tell x-amz-meta-a_b from x-amz-meta-a-b; moto reads the original spelling from this variable.
    from moto.core.request import (
        PRESERVED_HEADER_NAMES_ENVIRON_KEY,
        environ_key_for_header,
        should_preserve_original_header_name,
    )

    headers = headers_of(scope)
    dashed = {environ_key_for_header(name): value for name, value in headers.items() if "_" not in name}
    kept = {environ_key_for_header(name): name for name in headers if should_preserve_original_header_name(name)}
    # Where both spellings came, the variable holds both values: the dashed one alone may have it.
    environ.update({key: dashed[key] for key in kept if key in dashed})
    environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = {key: name for key, name in kept.items() if key not in dashed}


class LocalS3:
    """moto's S3 without HTTP, for model data and captures. Any thread may use it.

    Args:
        account_id: The account whose buckets are meant.
    """

    def __init__(self, account_id: str) -> None:
        self._account_id = account_id
        self.connect()

    def connect(self) -> None:
        """Finds the backend that HTTP requests use; another one after a reset."""
        from moto.s3.models import s3_backends

        self._backend = s3_backends[self._account_id]["aws"]

    def has(self, bucket: str, key: str) -> bool:
        """Whether there is such an object.

        Raises:
            S3MissingError: There is no such bucket.
        """
        return self._object(bucket, key) is not None

    def keys(self, bucket: str, prefix: str) -> list[str]:
        """All keys under a prefix, in order.

        Raises:
            S3MissingError: There is no such bucket.
        """
        from moto.s3.exceptions import S3ClientError

        try:
            found = self._backend.get_bucket(bucket).keys
        except S3ClientError as error:
            raise S3MissingError(bucket) from error
        return sorted(key for key in list(found) if key.startswith(prefix) and self.has(bucket, key))

    def read(self, bucket: str, key: str) -> bytes:
        """The content of an object.

        Raises:
            S3MissingError: There is no such bucket or object.
        """
        found = self._object(bucket, key)
        if found is None:
            raise S3MissingError(f"{bucket}/{key}")
        return bytes(found.value)

    def plain_read(self, scope: Scope) -> Response | None:
        """The answer to a request that is a plain read of an object; None if it is anything else."""
        return plain_read(scope, self._backend)

    def write(self, bucket: str, key: str, content: bytes, kms_key_id: str | None = None) -> None:
        """Puts an object.

        Raises:
            S3MissingError: There is no such bucket.
        """
        from moto.s3.exceptions import S3ClientError

        encryption: dict[str, Any] = {"encryption": "aws:kms", "kms_key_id": kms_key_id} if kms_key_id else {}
        try:
            self._backend.put_object(bucket, key, content, **encryption)
        except S3ClientError as error:
            raise S3MissingError(bucket) from error

    def _object(self, bucket: str, key: str) -> Any:
        from moto.s3.exceptions import S3ClientError

        try:
            return self._backend.get_object(bucket, key)
        except S3ClientError as error:
            raise S3MissingError(bucket) from error
