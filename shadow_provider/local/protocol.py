"""HTTP as the ASGI app speaks it, and AWS's JSON shapes of answers and errors."""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from shadow_provider.local.errors import AwsError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON_1_0 = "application/x-amz-json-1.0"
JSON_1_1 = "application/x-amz-json-1.1"

_LARGEST_CONTENT = 16 * 1024 * 1024


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
            content = unpacking.decompress(self.body, _LARGEST_CONTENT)
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
        try:
            parsed = json.loads(content)
        except ValueError:
            raise AwsError("SerializationException", "Could not parse the request body as JSON.") from None
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
    """The headers of an ASGI scope as text; of a repeated header the last one counts."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


async def read_body(receive: Receive) -> bytes:
    """Reads a request's body to its end."""
    message = await receive()
    if not message.get("more_body"):
        return bytes(message.get("body", b""))
    chunks = [message.get("body", b"")]
    while message.get("more_body"):
        message = await receive()
        chunks.append(message.get("body", b""))
    return b"".join(chunks)


async def send_response(send: Send, response: Response) -> None:
    """Sends an answer with a request id, as every AWS answer has one."""
    headers: list[tuple[bytes, bytes]] = [
        (b"x-amzn-requestid", str(uuid.uuid4()).encode()),
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
