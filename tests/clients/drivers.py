"""One way to call AWS for each client that there is: operation and members in, members out.

Runs in an environment that has nothing but the client, so it imports nothing of the project.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import io
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

Members = dict[str, Any]
# What a model answers or an object holds: bytes that a client streams.
_STREAMED = ("InvokeEndpoint", "GetObject")


class RefusedError(Exception):
    """AWS refused a call."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Client(Protocol):
    """What the scenario calls AWS with."""

    def call(self, service: str, operation: str, **request: Any) -> Members:
        """Calls an operation.

        Raises:
            RefusedError: AWS refused it.
        """


def snake(name: str, joint: str = "_") -> str:
    """CreateModel as create_model, or create-model."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", joint, name).lower()


class Boto3:
    """boto3."""

    def __init__(self, endpoint_url: str) -> None:
        self._session = importlib.import_module("boto3").session.Session(region_name="us-east-1")
        self._error: Any = importlib.import_module("botocore.exceptions").ClientError
        self._url = endpoint_url
        self._clients: dict[str, Any] = {}

    def call(self, service: str, operation: str, **request: Any) -> Members:
        """Calls an operation."""
        if service not in self._clients:
            self._clients[service] = self._session.client(service, endpoint_url=self._url)
        try:
            answer: Members = getattr(self._clients[service], snake(operation))(**request)
        except self._error as error:
            raise RefusedError(error.response["Error"]["Code"], error.response["Error"]["Message"]) from error
        if operation in _STREAMED:
            answer["Body"] = answer["Body"].read()
        return answer


class Aiobotocore:
    """aiobotocore, in a loop of its own."""

    def __init__(self, endpoint_url: str) -> None:
        self._session = importlib.import_module("aiobotocore.session").get_session()
        self._error: Any = importlib.import_module("botocore.exceptions").ClientError
        self._url = endpoint_url
        self._runner = asyncio.Runner()
        self._open = contextlib.AsyncExitStack()
        self._clients: dict[str, Any] = {}

    def call(self, service: str, operation: str, **request: Any) -> Members:
        """Calls an operation."""
        return self._runner.run(self._call(service, operation, request))

    async def _call(self, service: str, operation: str, request: Members) -> Members:
        if service not in self._clients:
            made = self._session.create_client(service, region_name="us-east-1", endpoint_url=self._url)
            self._clients[service] = await self._open.enter_async_context(made)
        try:
            answer: Members = await getattr(self._clients[service], snake(operation))(**request)
        except self._error as error:
            raise RefusedError(error.response["Error"]["Code"], error.response["Error"]["Message"]) from error
        if operation in _STREAMED:
            async with answer["Body"] as stream:
                answer["Body"] = await stream.read()
        return answer


class Awscli:
    """The AWS CLI, run within this process: a start for each call would take a minute."""

    def __init__(self, endpoint_url: str) -> None:
        self._module: Any = importlib.import_module("awscli.clidriver")
        self._url = endpoint_url
        self._directory = Path(tempfile.mkdtemp(prefix="awscli-"))

    def call(self, service: str, operation: str, **request: Any) -> Members:
        """Calls an operation."""
        command = "s3api" if service == "s3" else service
        arguments = [command, snake(operation, "-"), "--endpoint-url", self._url, "--region", "us-east-1"]
        body = request.pop("Body", None)
        if body is not None:
            sent = self._directory / "sent"
            sent.write_bytes(body)
            arguments += ["--body", str(sent) if command == "s3api" else f"fileb://{sent}"]
        for member, value in request.items():
            arguments += [f"--{snake(member, '-')}", value if isinstance(value, str) else json.dumps(value)]
        arguments += ["--output", "json"]
        received = self._directory / "received"
        if operation in _STREAMED:
            arguments.append(str(received))
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = self._module.create_clidriver().main(arguments)
            except SystemExit as end:  # arguments that it does not take
                status = end.code
        if status != 0:
            said = re.search(
                r"An error occurred \((\w+)\) when calling the \w+ operation[^:]*: (.*)", err.getvalue(), re.S
            )
            assert said is not None, err.getvalue()
            raise RefusedError(said[1], said[2].strip())
        answer: Members = json.loads(out.getvalue() or "{}")
        if operation in _STREAMED:
            answer["Body"] = received.read_bytes()
        return answer


DRIVERS: dict[str, Callable[[str], Client]] = {"boto3": Boto3, "aiobotocore": Aiobotocore, "awscli": Awscli}
