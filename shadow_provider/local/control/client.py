"""The control API from Python: faults and calls of a running local AWS."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from shadow_provider.local.control.calls import Call
from shadow_provider.local.faults import Fault, FaultState

_TIMEOUT = 30.0


class ControlError(Exception):
    """The control API refused something, or is not there; the text says what."""


class ControlClient:
    """Calls the control API.

    Args:
        endpoint_url: Where the local AWS is.
    """

    def __init__(self, endpoint_url: str) -> None:
        self._url = endpoint_url.rstrip("/")

    def send(self, method: str, path: str, content: str | None = None, *, takes: float = 0.0) -> dict[str, Any]:
        """Sends a request and returns the JSON of the answer.

        Args:
            method: HTTP method.
            path: Behind /_local/.
            content: The body.
            takes: Seconds that the answer is expected to take.

        Raises:
            ControlError: It was refused, or no local AWS answers there.
        """
        request = urllib.request.Request(  # noqa: S310 - our own server's URL
            f"{self._url}/_local/{path}",
            data=None if content is None else content.encode(),
            method=method,
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT + takes) as answer:  # noqa: S310
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise ControlError(self._refusal(error)) from error
        except OSError as error:
            cause = error.reason if isinstance(error, urllib.error.URLError) else error
            raise ControlError(f"no local AWS answers at {self._url}: {cause}") from error
        except ValueError as error:
            raise ControlError(f"{self._url} is no local AWS") from error
        return found

    def _refusal(self, error: urllib.error.HTTPError) -> str:
        try:
            return str(json.load(error)["error"])
        except (ValueError, LookupError, TypeError):
            return f"{self._url} is no local AWS: it answers {error.code}"

    def calls(self, **filters: str | int) -> list[Call]:
        """The calls that the filters let through."""
        found = self.send("GET", f"calls?{urlencode(filters)}")["calls"]
        return [Call.model_validate(call) for call in found]


class Faults:
    """The faults of a running local AWS.

    Args:
        client: Its control API.
    """

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def add(self, fault: Fault) -> SetFault:
        """Sets a fault; it acts from now on."""
        made = self._client.send("POST", "faults", fault.model_dump_json())
        return SetFault(made["id"], fault, self._client)

    def list(self) -> list[FaultState]:
        """All faults that are set, with how often each fired; those that are used up stay in the list."""
        return [FaultState.model_validate(state) for state in self._client.send("GET", "faults")["faults"]]

    def clear(self) -> None:
        """Removes all faults and undoes what lasts of them: processes that hang go on."""
        self._client.send("DELETE", "faults")


@dataclass(frozen=True)
class SetFault:
    """A fault that was set.

    Attributes:
        id: Its id; calls in the log name it.
        fault: What it is.
        client: The control API.
    """

    id: str
    fault: Fault
    client: ControlClient

    @property
    def state(self) -> FaultState:
        """As it is now.

        Raises:
            ControlError: It was removed.
        """
        return FaultState.model_validate(self.client.send("GET", f"faults/{self.id}"))

    @property
    def fired(self) -> int:
        """How often it fired so far."""
        return self.state.fired

    def wait_held(self, calls: int = 1, seconds: float = 20.0) -> FaultState:
        """Waits until it holds at least so many calls; with 0, until it holds none any more.

        Returns:
            Its state then.

        Raises:
            TimeoutError: That did not happen within so many seconds.
            ControlError: It was removed.
        """
        path = f"faults/{self.id}/held?{urlencode({'calls': calls, 'seconds': seconds})}"
        state = FaultState.model_validate(self.client.send("GET", path, takes=seconds))
        if state.held < calls or (not calls and state.held):
            raise TimeoutError(f"fault {self.id} holds {state.held} calls after {seconds:g} s, not {calls}")
        return state

    def remove(self) -> None:
        """Removes it, which lets the calls that it holds go on; does nothing if it was removed already."""
        if any(state.id == self.id for state in Faults(self.client).list()):
            self.client.send("DELETE", f"faults/{self.id}")
