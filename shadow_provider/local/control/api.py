"""The local AWS's own HTTP API beside the AWS ones: health, status, faults, calls."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from pydantic import ValidationError

from shadow_provider.local.control.calls import CallLog
from shadow_provider.local.faults import FAULT
from shadow_provider.local.faults.board import FaultBoard
from shadow_provider.local.protocol import Request, Response

_FILTERS = ("operation", "resource", "since")


class ControlApi:
    """Answers what is under /_local/.

    Args:
        status: What GET /_local/status answers.
        board: The faults.
        log: The calls.
    """

    def __init__(self, status: Callable[[], dict[str, Any]], board: FaultBoard, log: CallLog) -> None:
        self._status = status
        self._board = board
        self._log = log

    def answer(self, request: Request, query: str) -> Response:
        """Answers one request."""
        path = request.path.removeprefix("/_local/")
        match path.split("/"), request.method:
            case ["health"], "GET":
                return _json({"status": "ok"})
            case ["status"], "GET":
                return _json(self._status())
            case ["faults"], "GET":
                return _json({"faults": [armed.state.model_dump() for armed in self._board]})
            case ["faults"], "POST":
                return self._add(request)
            case ["faults"], "DELETE":
                return _json({"removed": self._board.clear()})
            case ["faults", fault_id], "GET":
                states = [armed.state.model_dump() for armed in self._board if armed.id == fault_id]
                return _json(states[0]) if states else _error(404, f"There is no fault {fault_id}.")
            case ["faults", fault_id], "DELETE":
                removed = self._board.remove(fault_id)
                return _json({"removed": 1}) if removed else _error(404, f"There is no fault {fault_id}.")
            case ["calls"], "GET":
                return self._calls(query)
            case ["calls"], "DELETE":
                self._log.clear()
                return _json({"last": self._log.last})
            case ((["health"] | ["status"] | ["faults"] | ["faults", _] | ["calls"]), _):
                return _error(405, f"{request.method} is not possible here.")
        return _error(404, f"There is no {request.path}.")

    def _add(self, request: Request) -> Response:
        if not request.headers.get("content-type", "").startswith("application/json"):
            # A page in a browser cannot send this type elsewhere without being allowed to.
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

    def _calls(self, query: str) -> Response:
        asked = {name: values[-1] for name, values in parse_qs(query).items()}
        unknown = asked.keys() - set(_FILTERS)
        if unknown:
            return _error(400, f"Calls can be filtered by {', '.join(_FILTERS)}; not by {', '.join(sorted(unknown))}.")
        since = asked.get("since", "0")
        if not since.isdecimal():
            return _error(400, "since is the number of a call.")
        found = self._log.select(asked.get("operation", "*"), asked.get("resource", "*"), int(since))
        return _json({"calls": [call.model_dump() for call in found], "last": self._log.last})


def _json(content: Any, status: int = 200) -> Response:
    return Response(status, json.dumps(content, indent=2).encode(), "application/json")


def _error(status: int, message: str, **more: Any) -> Response:
    return _json({"error": message, **more}, status)
