"""What stands between the socket and the app: no request, however it is made, gets an answer that is not AWS-shaped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shadow_provider.local.errors import AwsError, ClientGoneError, internal_failure
from shadow_provider.local.identifiers import random_id
from shadow_provider.local.protocol import (
    JSON_1_1,
    ErrorProtocol,
    Receive,
    Scope,
    Send,
    encoded_error,
    headers_of,
    send_response,
)

logger = logging.getLogger(__name__)

RESET = "shadow_provider.reset"
_LARGEST_HEAD = 256 * 1024
# How long a refused body is read and thrown away, so that its sender gets to read the refusal.
_DISCARD_SECONDS = 10.0


class _JoinedWrites:
    """A transport that lets an answer's head leave with the first part of its body.

    uvicorn writes the two one after the other, which makes two system calls and two packets of each answer.

    Args:
        transport: What is written to.
        loop: Sends a head that is alone at the end of its turn.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Writes, or keeps a head for a moment."""
        if not self._head and data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        head, self._head = self._head, b""
        self._transport.write(head + data if head else data)

    def close(self) -> None:
        """Closes after what was written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        head, self._head = self._head, b""
        if head and not self._transport.is_closing():
            self._transport.write(head)


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's connection; the app may reset it, and what is no HTTP is refused in AWS's form.

    ASGI has no message for ending a connection without an answer, and the parser no limit of a request's head.
    """

    _head_size = 0
    _in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Puts the way to reset the connection into the scope of each of its requests."""
        super().connection_made(transport)
        self.transport = cast(asyncio.Transport, _JoinedWrites(transport, self.loop))
        app = self.app

        def with_reset(scope: Any, receive: Any, send: Any) -> Any:
            scope[RESET] = lambda: _reset(transport)
            return app(scope, receive, send)

        self.app = with_reset

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head_size, self._in_head = 0, True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is complete."""
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Takes what came; gives a head up that grows without end."""
        super().data_received(data)
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > _LARGEST_HEAD and not self.transport.is_closing():
                self.send_400_response("The head of the request is too large.")

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no HTTP request, and closes the connection."""
        body = json.dumps({"__type": "MalformedHttpRequestException", "message": msg}).encode()
        head = (
            "HTTP/1.1 400 Bad Request\r\n"
            f"x-amzn-requestid: {random_id()}\r\nx-amzn-errortype: MalformedHttpRequestException\r\n"
            f"content-type: {JSON_1_1}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def _reset(transport: asyncio.Transport) -> None:
    # Without lingering the kernel sends RST instead of an orderly end.
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Guard:
    """Answers for an app that raises.

    Args:
        app: What answers.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        try:
            await self._app(scope, receive, send)
        except ClientGoneError:
            pass
        except AwsError as error:
            await _refuse_unread(error, scope, receive, send)
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            with contextlib.suppress(RuntimeError):  # the answer had begun: uvicorn closes the connection
                await send_response(send, encoded_error(internal_failure(), protocol_of(scope)))


async def _refuse_unread(error: AwsError, scope: Scope, receive: Receive, send: Send) -> None:
    """Refuses a request whose body was not read to its end, and closes the connection in order.

    Most clients read no answer before they have sent all; where unread bytes are left when a socket is closed, the
    kernel resets the connection and the answer is lost. So the rest is read, and forgotten.
    """
    response = encoded_error(error, protocol_of(scope))
    response.headers.append(("connection", "close"))

    async def unfinished(message: Any) -> None:
        await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

    await send_response(unfinished, response)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_SECONDS):
            while (await receive()).get("more_body"):
                pass
    await send({"type": "http.response.body", "body": b""})


def protocol_of(scope: Scope) -> ErrorProtocol:
    """In which form a request's refusal is understood, told from its head alone."""
    headers = headers_of(scope)
    if "x-amz-target" in headers or scope["path"].startswith(("/endpoints/", "/_local/")):
        return "json"
    return "query" if headers.get("content-type", "").startswith("application/x-www-form-urlencoded") else "s3"
