"""What is known of AWS, fact by fact: how certain it is, and by what the local AWS is held to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from botocore.exceptions import ClientError

from tests.aws.conftest import Cloud

ARN = "arn:aws:sagemaker:us-east-1:123456789012"


@dataclass(frozen=True)
class World:
    """What the checks look at: an endpoint with a shadow that captures and has served.

    Attributes:
        cloud: Calls.
        model: The model of both variants.
        config: Its configuration.
        endpoint: Its name.
        described: DescribeEndpoint once it is in service.
    """

    cloud: Cloud
    model: str
    config: str
    endpoint: str
    described: Any


Check = Callable[[World], None]


@dataclass(frozen=True)
class Fact:
    """One fact.

    Attributes:
        id: Section and name.
        degree: D documented, O observed, I inferred, ? unknown.
        says: The fact, in a few words.
        check: Calls AWS and fails if it is otherwise.
        proofs: Tests that hold the local AWS to it, where the scenario is long.
        setting: Of an unknown: the setting that chooses the answer.
        missing: Why it is not modelled.
    """

    id: str
    degree: Literal["D", "O", "I", "?"]
    says: str
    check: Check | None = None
    proofs: tuple[str, ...] = ()
    setting: str = ""
    missing: str = ""


def refusal(call: Any, **request: Any) -> tuple[str, str]:
    """Code and message of a call that is refused."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def refused(operation: str, said: str, **request: Any) -> Check:
    """A check: the control plane refuses a request in these words; "{world.x}" in a text is filled in."""

    def check(world: World) -> None:
        filled = {name: _filled(value, world) for name, value in request.items()}
        code, message = refusal(getattr(world.cloud.sagemaker, operation), **filled)
        assert code == "ValidationException"
        assert message.startswith(_filled(said, world)), message

    return check


def _filled(value: Any, world: World) -> Any:
    if isinstance(value, str):
        return value.replace("MODEL", world.model).replace("CONFIG", world.config).replace("ENDPOINT", world.endpoint)
    if isinstance(value, list):
        return [_filled(item, world) for item in value]
    return {name: _filled(item, world) for name, item in value.items()} if isinstance(value, dict) else value
