"""HTTP as no client sends it: bytes over a socket, and what every answer of an AWS service must look like."""

from __future__ import annotations

import http.client
import io
import json
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit
from xml.etree import ElementTree

from shadow_provider.local.validation import service_model

SAGEMAKER, CLOUDWATCH = "SageMaker.", "GraniteServiceVersion20100801."
TIMEOUT = 10.0
_LEAK = re.compile(rb"Traceback|site-packages|\.py\b|<html|<!doctype", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """An answer as it was on the wire; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """AWS's error code."""
        if "json" in self.headers["content-type"]:
            return str(json.loads(self.body)["__type"])
        return next(node.text or "" for node in ElementTree.fromstring(self.body).iter() if node.tag.endswith("Code"))

    def check(self, *, head: bool = False) -> Answer:
        """Fails if this is no answer of AWS: a fault of the server, or no id, code or message."""
        assert self.status < 500, self
        assert "x-amzn-requestid" in self.headers or "x-amz-request-id" in self.headers, self
        assert _LEAK.search(self.body) is None, self
        if self.status >= 400 and not head:
            assert self.code, self
            assert b"essage" in self.body, self
        return self


def connect(endpoint_url: str) -> socket.socket:
    """A connection that gives up after a while."""
    address = urlsplit(endpoint_url)
    assert address.hostname is not None
    assert address.port is not None
    return socket.create_connection((address.hostname, address.port), timeout=TIMEOUT)


def received(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def parsed(data: bytes, count: int = 1, method: str = "POST") -> list[Answer]:
    """The answers in what was received."""
    stream = _Stream(data)
    answers = []
    for _ in range(count):
        response = http.client.HTTPResponse(_Socket(stream), method=method)  # type: ignore[arg-type]
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        answers.append(Answer(response.status, headers, response.read()))
    return answers


class _Stream(io.BytesIO):
    def close(self) -> None:
        """Stays open: HTTPResponse closes what it read from, and the next answer is still in there."""


class _Socket:
    def __init__(self, stream: io.BytesIO) -> None:
        self._stream = stream

    def makefile(self, _mode: str) -> io.BytesIO:
        return self._stream


def head(
    target: str | None = None, length: int | None = None, method: str = "POST", path: str = "/", **headers: str
) -> bytes:
    """The head of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: local"]
    if target is not None:
        lines += [f"X-Amz-Target: {target}", "Content-Type: application/x-amz-json-1.1"]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def whole(target: str | None, body: bytes, **headers: str) -> bytes:
    """A request."""
    return head(target, len(body), **headers) + body


def implemented(endpoint_url: str, prefix: str, service: str) -> list[str]:
    """The operations of a service that are answered."""

    def answered(name: str) -> bool:
        answer = ask(endpoint_url, whole(f"{prefix}{name}", b"{}"))
        return answer.status == 200 or answer.code != "UnknownOperationException"

    return [name for name in service_model(service).operation_names if answered(name)]


def ask(endpoint_url: str, data: bytes, method: str = "POST") -> Answer:
    """Sends bytes as they are, ends the sending side, and reads the one answer."""
    with connect(endpoint_url) as connection:
        connection.sendall(data)
        return first(connection, method)


def first(connection: socket.socket, method: str = "POST") -> Answer:
    """The next answer; a connection that is kept alive does not end with it."""
    return parsed(_first(connection, method), method=method)[0]


def _first(connection: socket.socket, method: str) -> bytes:
    found = b""
    while b"\r\n\r\n" not in found:
        part = connection.recv(65536)
        if not part:
            return found
        found += part
    if method == "HEAD":
        return found
    top, _, body = found.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", top, re.IGNORECASE)
    chunked = b"transfer-encoding: chunked" in top.lower()
    while (length and len(body) < int(length[1])) or (chunked and not body.endswith(b"0\r\n\r\n")):
        part = connection.recv(65536)
        if not part:
            break
        body += part
    return top + b"\r\n\r\n" + body
