"""What every AWS call passes first: the call log, and the API faults that are set."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from shadow_provider.local.control.calls import CallLog
from shadow_provider.local.errors import AwsError, ClientGoneError
from shadow_provider.local.faults import ApiFault
from shadow_provider.local.faults.board import Armed, FaultBoard
from shadow_provider.local.guard import RESET
from shadow_provider.local.protocol import (
    JSON_1_0,
    JSON_1_1,
    Receive,
    Scope,
    Send,
    check_announced,
    encoded_error,
    headers_of,
    read_body,
    replayed,
    send_response,
)
from shadow_provider.local.recognition import Asked, names_in_body, recognise

_App = Callable[[Scope, Receive, Send], Awaitable[None]]
_Message = MutableMapping[str, Any]
_CODE = re.compile(rb'<Code>([^<]+)</Code>|"__type"\s*:\s*"([^"]+)"')
# Code, words and status of a fault, in each protocol's manner.
_REFUSALS = {
    ("throttle", "json"): ("ThrottlingException", "Rate exceeded", 400),
    ("throttle", "query"): ("Throttling", "Rate exceeded", 400),
    ("throttle", "s3"): ("SlowDown", "Please reduce your request rate.", 503),
    ("expired_token", "json"): ("ExpiredTokenException", "The security token included in the request is expired", 400),
    ("expired_token", "query"): ("ExpiredToken", "The security token included in the request is expired", 403),
    ("expired_token", "s3"): ("ExpiredToken", "The provided token has expired.", 400),
}


class Front:
    """Logs the calls of an app, and lets those go wrong that a fault is set for.

    Args:
        app: What answers.
        board: The faults.
        log: The log.
    """

    def __init__(self, app: _App, board: FaultBoard, log: CallLog) -> None:
        self._app = app
        self._board = board
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        if scope["type"] != "http" or scope["path"].startswith("/_local/"):
            await self._app(scope, receive, send)
            return
        received = time.time()
        headers = headers_of(scope)
        try:
            body = await _body(headers, receive)
        except (AwsError, ClientGoneError) as error:
            self._log_unread(_asked(scope, headers, b""), received, error)
            raise
        if body is not None:
            receive = replayed(body, receive)
        asked = _asked(scope, headers, body or b"")
        try:
            await self._pass_on(asked, received, scope, receive, send)
        except (AwsError, ClientGoneError) as error:
            self._log_unread(asked, received, error)
            raise

    def _log_unread(self, asked: Asked, received: float, error: AwsError | ClientGoneError) -> None:
        """Logs a request that was not read to its end."""
        status, code = (error.status, error.code) if isinstance(error, AwsError) else (None, None)
        self._log.add(asked, received, status, code, effect=False)

    async def _pass_on(self, asked: Asked, received: float, scope: Scope, receive: Receive, send: Send) -> None:
        if self._board.api:
            faults = self._board.for_call(asked)
            if faults:
                await self._faulty(faults, asked, received, scope, receive, send)
                return

        def log(status: int, code: str | None) -> None:
            self._log.add(asked, received, status, code, effect=status < 400)

        await self._app(scope, receive, _Logged(send, log))

    async def _faulty(
        self,
        faults: list[Armed[ApiFault]],
        asked: Asked,
        received: float,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        ids = tuple(armed.id for armed in faults)
        await asyncio.sleep(sum(armed.fault.seconds or 0.0 for armed in faults))
        fault = faults[-1].fault

        def log(status: int, code: str | None) -> None:
            told = None if fault.kind == "reset_after" else status
            self._log.add(asked, received, told, code, effect=status < 400, faults=ids)

        match fault.kind:
            case "delay":
                await self._app(scope, receive, _Logged(send, log))
            case "reset_before":
                self._log.add(asked, received, None, None, effect=False, faults=ids)
                await _cut(scope, receive)
            case "reset_after":
                await self._app(scope, receive, _Logged(_nowhere, log))
                await _cut(scope, receive)
            case "hold_before" | "hold_after":
                await self._held(faults[-1], ids, asked, received, scope, receive, send)
            case _:
                # A body left unread would be taken for the connection's next request.
                while (await receive()).get("more_body"):
                    pass
                error = _refusal(fault, asked)
                self._log.add(asked, received, error.status, error.code, effect=False, faults=ids)
                json_type = JSON_1_0 if asked.service == "monitoring" else JSON_1_1
                await send_response(send, encoded_error(error, asked.protocol, json_type))

    async def _held(
        self,
        armed: Armed[ApiFault],
        ids: tuple[str, ...],
        asked: Asked,
        received: float,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        # Only behind the body is the caller's going away to be seen.
        body = await read_body(receive)
        outcome: tuple[int | None, str | None] = (None, None)
        answer: list[_Message] = []

        def note(status: int, code: str | None) -> None:
            nonlocal outcome
            outcome = (status, code)

        async def keep(message: _Message) -> None:
            answer.append(message)

        async def carry_out() -> None:
            await self._app(scope, replayed(body, receive), _Logged(keep, note))

        if armed.fault.kind == "hold_after":
            await carry_out()
        async with armed.holding.held(receive) as there:
            if there and armed.fault.kind == "hold_before":
                await carry_out()
            status, code = outcome
            effect = status is not None and status < 400
            self._log.add(asked, received, status if there else None, code, effect=effect, faults=ids)
        for message in answer if there else ():
            await send(message)


class _Logged:
    """A `send` that tells of the answer before anything of it leaves: who has the answer finds its call in the log.

    moto's errors have their code in the body only; they are held back until it is known.
    """

    def __init__(self, send: Send, log: Callable[[int, str | None], None]) -> None:
        self._send = send
        self._log = log
        self._held: list[_Message] = []

    async def __call__(self, message: _Message) -> None:
        if message["type"] == "http.response.start":
            headers = dict(message.get("headers", ()))
            code = headers.get(b"x-amzn-errortype")
            if message["status"] >= 400 and code is None:
                self._held.append(message)
                return
            self._log(message["status"], None if code is None else code.decode("latin-1"))
        elif self._held:
            self._held.append(message)
            if not message.get("more_body"):
                await self._release()
            return
        await self._send(message)

    async def _release(self) -> None:
        held, self._held = self._held, []
        found = _CODE.search(b"".join(message.get("body", b"") for message in held))
        code = None if found is None else (found[1] or found[2]).decode("utf-8", "replace")
        self._log(held[0]["status"], code)
        for message in held:
            await self._send(message)


async def _body(headers: dict[str, str], receive: Receive) -> bytes | None:
    """The body, where operation or resources stand in it."""
    if not names_in_body(headers):
        return None
    check_announced(headers)
    return await read_body(receive)


def _asked(scope: Scope, headers: dict[str, str], body: bytes) -> Asked:
    raw_path = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
    return recognise(scope["method"], raw_path, scope["query_string"].decode("latin-1"), headers, body)


async def _nowhere(_message: _Message) -> None:
    """Where an answer goes that the caller never gets."""


async def _cut(scope: Scope, receive: Receive) -> None:
    scope[RESET]()
    # The server takes a return before the connection is gone for a missing answer, and would send one.
    while (await receive())["type"] != "http.disconnect":
        pass


def _refusal(fault: ApiFault, asked: Asked) -> AwsError:
    if fault.kind == "server_error":
        unavailable = fault.status == 503
        internal = "InternalError" if asked.protocol == "s3" else "InternalFailure"
        code = "ServiceUnavailable" if unavailable else internal
        return AwsError(code, "The request processing has failed because of an unknown error.", fault.status)
    code, message, status = _REFUSALS[fault.kind, asked.protocol]
    return AwsError(code, message, status)
