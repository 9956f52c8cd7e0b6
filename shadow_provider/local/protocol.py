"""HTTP as the ASGI app speaks it, and AWS's JSON shapes of answers and errors."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal
from xml.sax.saxutils import escape

from shadow_provider.local.errors import AwsError, ClientGoneError, RequestTooLargeError
from shadow_provider.local.identifiers import random_id

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

ErrorProtocol = Literal["json", "query", "s3"]

JSON_1_0 = "application/x-amz-json-1.0"
JSON_1_1 = "application/x-amz-json-1.1"
_HEADERS = "shadow_provider.headers"

# What is taken of a request, packed or not, but for those that have limits of their own (InvokeEndpoint, S3).
LARGEST_REQUEST = 16 * 1024 * 1024
# How long a caller may send nothing while its request is incomplete.
READ_TIMEOUT = 60.0


@dataclass(slots=True)
class Request:
    """A request read in full; header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> bytes:
        """The body, unpacked: boto3 sends PutMetricData over 10 KB with Content-Encoding gzip.

        Raises:
            AwsError: SerializationException, if it cannot be unpacked, or only to more than 16 MiB.
        """
        if self.headers.get("content-encoding") != "gzip":
            return self.body
        unpacking = zlib.decompressobj(wbits=31)
        try:
            content = unpacking.decompress(self.body, LARGEST_REQUEST)
        except zlib.error:
            raise AwsError("SerializationException", "Could not unpack the request body.") from None
        if not unpacking.eof:
            raise AwsError("SerializationException", "The request body is cut short or too large.")
        return content

    def json(self) -> dict[str, Any]:
        """The content as a JSON object.

        Raises:
            AwsError: SerializationException, if it is none.
        """
        content = self.content
        if not content:
            return {}
        parsed = parse_json(content)
        if not isinstance(parsed, dict):
            raise AwsError("SerializationException", "Start of structure or map expected.")
        return parsed


@dataclass(slots=True)
class Response:
    """An answer to be sent in full."""

    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers of an ASGI scope as text; of a repeated header the last one counts.

    They are read once and kept in the scope: all that a request passes on its way looks at them.
    """
    known: dict[str, str] | None = scope.get(_HEADERS)
    if known is None:
        known = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        scope[_HEADERS] = known
    return known


def parse_json(content: bytes) -> Any:
    """Parses what came as JSON.

    Raises:
        AwsError: SerializationException, if it is none, is nested too deeply, or has text that is no Unicode.
    """
    try:
        parsed = json.loads(content)
        if b"\\u" in content:
            # Half a surrogate pair is a string to Python, and can be written nowhere.
            json.dumps(parsed, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise AwsError("SerializationException", "Could not parse the request body as JSON.") from None
    return parsed


async def receive_part(receive: Receive) -> MutableMapping[str, Any]:
    """The next part of a request's body.

    Raises:
        ClientGoneError: The caller closed the connection before the body's end.
        AwsError: RequestTimeoutException: the caller sent nothing for too long.
    """
    try:
        async with asyncio.timeout(READ_TIMEOUT):
            message = await receive()
    except TimeoutError:
        raise AwsError("RequestTimeoutException", "The request was not sent in full in time.", 408) from None
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    return message


async def read_body(receive: Receive, limit: int = LARGEST_REQUEST) -> bytes:
    """Reads a request's body to its end.

    Args:
        receive: ASGI receive.
        limit: Largest body, bytes; of a larger one not more than that is ever kept.

    Raises:
        ClientGoneError: The caller closed the connection before the body's end.
        RequestTooLargeError: It is larger.
        AwsError: RequestTimeoutException: the caller sent nothing for too long.
    """
    message = await receive_part(receive)
    if not message.get("more_body"):
        body = bytes(message.get("body", b""))
        if len(body) > limit:
            raise RequestTooLargeError(limit)
        return body
    chunks: list[bytes] = []
    size = 0
    while True:
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise RequestTooLargeError(limit)
        if not message.get("more_body"):
            return b"".join(chunks)
        message = await receive_part(receive)


def check_announced(headers: dict[str, str], limit: int = LARGEST_REQUEST) -> None:
    """Refuses a body by the length its caller announces, before any of it is read.

    Raises:
        RequestTooLargeError: It is larger than `limit` bytes.
    """
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise RequestTooLargeError(limit)


def request_id(name: bytes = b"x-amzn-requestid") -> tuple[bytes, bytes]:
    """A header with a fresh request id."""
    return name, random_id().encode()


def replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body that was read already once more, and goes on with the original."""
    pending = True

    async def replay() -> MutableMapping[str, Any]:
        nonlocal pending
        if not pending:
            return await receive()
        pending = False
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def send_response(send: Send, response: Response, id_name: bytes = b"x-amzn-requestid") -> None:
    """Sends an answer with a request id, as every AWS answer has one."""
    headers: list[tuple[bytes, bytes]] = [
        request_id(id_name),
        (b"content-length", str(len(response.body)).encode()),
    ]
    if response.content_type is not None:
        headers.append((b"content-type", response.content_type.encode("latin-1")))
    headers.extend(_encoded(response.headers))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def _encoded(headers: Iterable[tuple[str, str]]) -> Iterable[tuple[bytes, bytes]]:
    return ((name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers)


def json_response(content: Any, content_type: str = JSON_1_1) -> Response:
    """A successful answer."""
    return Response(200, json.dumps(content).encode(), content_type)


def error_response(error: AwsError, content_type: str = JSON_1_1) -> Response:
    """A refusal in the form of AWS's JSON protocols.

    The code stands in the body, in x-amzn-errortype (REST-JSON reads it there) and in x-amzn-query-error (clients of
    services that once spoke the query protocol read the older code there).
    """
    fault = "Sender" if error.status < 500 else "Receiver"
    body = {"__type": error.code, "message": error.message, **error.members}
    headers = [("x-amzn-errortype", error.code), ("x-amzn-query-error", f"{error.code};{fault}")]
    return Response(error.status, json.dumps(body).encode(), content_type, headers)


def encoded_error(error: AwsError, protocol: ErrorProtocol, json_type: str = JSON_1_1) -> Response:
    """A refusal in the form of a protocol."""
    if protocol == "json":
        return error_response(error, json_type)
    inner = f"<Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
    if protocol == "s3":
        return Response(error.status, f"<Error>{inner}</Error>".encode(), "application/xml")
    side = "Sender" if error.status < 500 else "Receiver"
    text = f"<ErrorResponse><Error><Type>{side}</Type>{inner}</Error></ErrorResponse>"
    return Response(error.status, text.encode(), "text/xml")
