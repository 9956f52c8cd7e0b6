"""The log of every AWS call that the local AWS received."""

from __future__ import annotations

from collections import deque
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from shadow_provider.local.faults.board import mentions

if TYPE_CHECKING:
    from shadow_provider.local.recognition import Asked


class Call(BaseModel):
    """One call.

    Attributes:
        sequence: Counts the calls from 1, in the order they were answered; never reused.
        time: When it came, epoch seconds.
        service: The signing name (sagemaker, monitoring, s3, sts, ...), and sagemaker-runtime.
        operation: The operation's name.
        principal: Access key id; empty for unsigned calls.
        resources: Names that the call mentions.
        status: HTTP status of the answer; None if the connection was closed without one.
        error_code: AWS's error code, as far as the answer has one.
        effect: Whether the operation was carried out; independent of whether the caller was told.
        faults: Ids of the API faults that it met.
    """

    model_config = ConfigDict(frozen=True)

    sequence: int
    time: float
    service: str
    operation: str
    principal: str
    resources: tuple[str, ...]
    status: int | None
    error_code: str | None
    effect: bool
    faults: tuple[str, ...]


class CallLog:
    """The latest calls; older ones are forgotten.

    Args:
        size: How many are kept.
    """

    def __init__(self, size: int) -> None:
        self._calls: deque[tuple[int, float, Asked, int | None, str | None, bool, tuple[str, ...]]] = deque(maxlen=size)
        self.last = 0

    def add(
        self,
        asked: Asked,
        received: float,
        status: int | None,
        error_code: str | None,
        *,
        effect: bool,
        faults: tuple[str, ...] = (),
    ) -> None:
        """Takes a call down; cheap, since this is on the path of every request."""
        self.last += 1
        self._calls.append((self.last, received, asked, status, error_code, effect, faults))

    def clear(self) -> None:
        """Forgets all calls; the numbers go on."""
        self._calls.clear()

    def select(
        self,
        operation: str = "*",
        resource: str = "*",
        exclude: str | None = None,
        since: int = 0,
        limit: int | None = None,
    ) -> list[Call]:
        """The calls that fit, oldest first.

        Args:
            operation: Pattern of the operation's name.
            resource: Pattern of a name that the call mentions.
            exclude: Pattern of operations that do not fit.
            since: Only calls with a higher number.
            limit: Only so many, the newest.
        """
        found: list[Call] = []
        for sequence, received, asked, status, error_code, effect, faults in reversed(self._calls):
            if sequence <= since or (limit is not None and len(found) >= limit):
                break
            if exclude is not None and fnmatchcase(asked.operation, exclude):
                continue
            if fnmatchcase(asked.operation, operation) and mentions(asked.resources, resource):
                found.append(
                    Call(
                        sequence=sequence,
                        time=received,
                        service=asked.service,
                        operation=asked.operation,
                        principal=asked.principal,
                        resources=asked.resources,
                        status=status,
                        error_code=error_code,
                        effect=effect,
                        faults=faults,
                    )
                )
        return found[::-1]
