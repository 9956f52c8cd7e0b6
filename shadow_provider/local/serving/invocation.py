"""One InvokeEndpoint call and what became of it at one variant."""

from __future__ import annotations

from dataclasses import dataclass

from shadow_provider.local.identifiers import random_id
from shadow_provider.local.serving.http_client import ContainerResponse

INFERENCE_ID = "x-amzn-sagemaker-inference-id"
CUSTOM_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
TARGET_VARIANT = "x-amzn-sagemaker-target-variant"
# What the container gets of the caller's headers: SageMaker strips all others.
_PASSED_ON = ("content-type", "accept", CUSTOM_ATTRIBUTES, INFERENCE_ID)


@dataclass(slots=True)
class Invocation:
    """A request as it goes to the production variant and, as a copy, to the shadow.

    Attributes:
        headers: The caller's headers, names in lower case.
        body: The payload.
        received: When it came, epoch seconds.
        capture_draw: A number in [0, 1) that both variants use under capture_sampling="per_request".
    """

    headers: dict[str, str]
    body: bytes
    received: float
    capture_draw: float
    _event_id: str = ""

    @property
    def event_id(self) -> str:
        """The id that both captures carry under the setting capture_event_id="shared"."""
        if not self._event_id:
            self._event_id = random_id()
        return self._event_id

    @property
    def inference_id(self) -> str | None:
        """The caller's id."""
        return self.headers.get(INFERENCE_ID)

    @property
    def container_headers(self) -> list[tuple[str, str]]:
        """The headers that the container sees."""
        return [(name, self.headers[name]) for name in _PASSED_ON if name in self.headers]


@dataclass(slots=True)
class Outcome:
    """What a variant made of an invocation.

    Attributes:
        response: The container's answer, None if there was none.
        cause: Why there was none.
        model_seconds: Time from sending to the complete answer.
        instance: Number of the process that was asked.
        concurrency: Requests that it had under way then, this one included.
    """

    response: ContainerResponse | None
    cause: str
    model_seconds: float
    instance: int = 0
    concurrency: int = 1

    @property
    def status(self) -> int:
        """The container's status; 0 where it did not answer, as SageMaker says it."""
        return 0 if self.response is None else self.response.status

    @property
    def ok(self) -> bool:
        """Whether the container answered 2xx."""
        return 200 <= self.status <= 299
