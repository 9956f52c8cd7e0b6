"""The local AWS's own HTTP API beside the AWS ones: health, status, faults, calls."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shadow_provider.local.control.calls import CallLog
from shadow_provider.local.control.status import StatusPage
from shadow_provider.local.faults import FAULT
from shadow_provider.local.faults.board import FaultBoard
from shadow_provider.local.faults.models import LONGEST
from shadow_provider.local.protocol import Request, Response

_LONGEST_NUMBER = 18
_FILTERS = ("operation", "resource", "exclude", "since", "limit")
_NUMBERS = {"since": "the number of a call", "limit": "a number of calls"}


class HeldQuery(BaseModel):
    """What is waited for: so many held calls (0: none any more), at most so many seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calls: int = Field(default=1, ge=0)
    seconds: float = Field(default=20.0, ge=0, le=LONGEST)


class ControlApi:
    """Answers what is under /_local/.

    Args:
        status: What GET /_local/status answers.
        board: The faults.
        log: The calls.
        reset: Makes the server as it was when it had just started.
    """

    def __init__(
        self, status: StatusPage, board: FaultBoard, log: CallLog, reset: Callable[[], Awaitable[None]]
    ) -> None:
        self._status = status
        self._board = board
        self._log = log
        self._reset = reset

    async def answer(self, request: Request, query: str) -> Response:
        """Answers one request."""
        path = request.path.removeprefix("/_local/")
        match path.split("/"), request.method:
            case ["health"], "GET":
                return _json({"status": "ok"})
            case ["status"], "GET":
                return _json(self._status.content())
            case ["overview"], "GET":
                return self._calls(query, status=self._status.content(), **self._faults())
            case ["reset"], "POST":
                return await self._start_anew(request)
            case ["faults", fault_id, "held"], "GET":
                return await self._wait_held(fault_id, query)
            case ["faults", *ids], ("GET" | "POST" | "DELETE") if len(ids) <= 1:
                return self._answer_on_faults(request, ids[0] if ids else None)
            case ["calls"], "GET":
                return self._calls(query)
            case ["calls"], "DELETE":
                self._log.clear()
                return _json({"last": self._log.last})
            case ["health" | "status" | "overview" | "reset" | "faults" | "calls"], _:
                return _error(405, f"{request.method} is not possible here.")
            case ((["faults", _] | ["faults", _, "held"]), _):
                return _error(405, f"{request.method} is not possible here.")
        return _error(404, f"There is no {request.path}.")

    def _answer_on_faults(self, request: Request, fault_id: str | None) -> Response:
        match request.method, fault_id:
            case "GET", None:
                return _json(self._faults())
            case "POST", None:
                return self._add(request)
            case "DELETE", None:
                return _json({"removed": self._board.clear()})
            case "GET", _:
                states = [armed.state.model_dump() for armed in self._board if armed.id == fault_id]
                return _json(states[0]) if states else _error(404, f"There is no fault {fault_id}.")
            case "DELETE", str(known):
                removed = self._board.remove(known)
                return _json({"removed": 1}) if removed else _error(404, f"There is no fault {known}.")
        return _error(405, f"{request.method} is not possible here.")

    async def _wait_held(self, fault_id: str, query: str) -> Response:
        """Answers with the fault's state as soon as it holds so many calls, or when the time is over."""
        armed = self._board.find(fault_id)
        if armed is None:
            return _error(404, f"There is no fault {fault_id}.")
        try:
            wanted = HeldQuery.model_validate({name: values[-1] for name, values in parse_qs(query).items()})
        except ValidationError as error:
            return _error(400, "; ".join(f"{item['loc'][0]}: {item['msg']}" for item in error.errors()))
        await armed.holding.reached(wanted.calls, wanted.seconds)
        return _json(armed.state.model_dump())

    def _faults(self) -> dict[str, Any]:
        return {"faults": [armed.state.model_dump() for armed in self._board]}

    async def _start_anew(self, request: Request) -> Response:
        if not _is_json(request):
            return _error(415, "A reset is sent as application/json.")
        await self._reset()
        return _json({"status": "ok"})

    def _add(self, request: Request) -> Response:
        if not _is_json(request):
            return _error(415, "A fault is sent as application/json.")
        try:
            fault = FAULT.validate_json(request.body)
        except ValidationError as error:
            details = [
                {"field": ".".join(map(str, item["loc"][1:])), "message": item["msg"]} for item in error.errors()
            ]
            said = "; ".join(f"{item['field']}: {item['message']}".removeprefix(": ") for item in details)
            return _error(400, f"This is no fault: {said}", details=details)
        return _json(self._board.add(fault).state.model_dump(), 201)

    def _calls(self, query: str, **more: Any) -> Response:
        asked = {name: values[-1] for name, values in parse_qs(query).items()}
        unknown = asked.keys() - set(_FILTERS)
        if unknown:
            return _error(400, f"Calls can be filtered by {', '.join(_FILTERS)}; not by {', '.join(sorted(unknown))}.")
        for name, meaning in _NUMBERS.items():
            if name in asked and (not asked[name].isdecimal() or len(asked[name]) > _LONGEST_NUMBER):
                return _error(400, f"{name} is {meaning}.")
        found = self._log.select(
            asked.get("operation", "*"),
            asked.get("resource", "*"),
            exclude=asked.get("exclude"),
            since=int(asked.get("since", 0)),
            limit=int(asked["limit"]) if "limit" in asked else None,
        )
        return _json({**more, "calls": [call.model_dump() for call in found], "last": self._log.last})


def _is_json(request: Request) -> bool:
    # A page in a browser cannot send this type elsewhere without being allowed to.
    return request.headers.get("content-type", "").startswith("application/json")


def _json(content: Any, status: int = 200) -> Response:
    return Response(status, json.dumps(content, indent=2).encode(), "application/json")


def _error(status: int, message: str, **more: Any) -> Response:
    return _json({"error": message, **more}, status)
