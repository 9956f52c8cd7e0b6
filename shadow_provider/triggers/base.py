"""What the triggers share: polling AWS from the triggerer, cheaply and until an absolute deadline."""

from __future__ import annotations

import abc
import asyncio
import random
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from shadow_provider.hooks import aws_errors
from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.hooks.shared import forget_shared_hook, shared_hook
from shadow_provider.plan.errors import ShadowError
from shadow_provider.plan.plain_text import plain

# Enough for a thousand waits at one poll in 30 s each, few enough not to starve the triggerer.
_THREADS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="shadow-provider-poll")
_JITTER = 0.2


class PollingTrigger(BaseTrigger, abc.ABC):
    """Polls until there is something to report, in threads that share one boto3 client.

    It never changes anything in AWS, and ``cleanup`` does nothing: a restart of the triggerer is not a decision.

    Args:
        deadline: when to give up, ISO 8601 with offset. Absolute, so that a restart does not begin to wait anew.
        poll_interval: seconds between two polls; each is lengthened or shortened by up to 20 % at random.
        resume: JSON that the event gives back under the same name. The task goes on in another process and keeps
            nothing; ``defer(kwargs=…)`` would do as well, but ``dag.test()`` drops those.
        aws_conn_id: Airflow connection.
        region_name: AWS region; None is the connection's.
        verify: as in boto3.
        botocore_config: as in the amazon provider.
    """

    def __init__(
        self,
        *,
        deadline: str,
        poll_interval: float = 30.0,
        resume: dict[str, Any] | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **_unknown: Any,
    ) -> None:
        # Unknown arguments come from rows that a newer version wrote; refusing them would lose the wait.
        super().__init__()  # type: ignore[no-untyped-call]
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.resume = resume or {}
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and every argument, as the triggerer wants them."""
        cls = type(self)
        return f"{cls.__module__}.{cls.__qualname__}", {
            **self._own_arguments(),
            "deadline": self.deadline,
            "poll_interval": self.poll_interval,
            "resume": self.resume,
            **self._connection,
        }

    @abc.abstractmethod
    def _own_arguments(self) -> dict[str, Any]:
        """Return the arguments that the subclass adds."""

    @abc.abstractmethod
    def _poll(self, hook: SageMakerShadowHook) -> dict[str, Any] | None:
        """Look once; return the event's payload, or None to go on waiting. Runs in a thread."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: ``{"status": "ended" | "timeout" | "error", "resume": …, …}``."""
        deadline = datetime.fromisoformat(self.deadline).timestamp()
        while True:
            # The task has looked just before it deferred, so the first look of the trigger comes an interval later.
            # That also keeps clear of the race between a very early event and the scheduler's bookkeeping.
            remaining = deadline - time.time()
            if remaining <= 0:
                yield self._event("timeout")
                return
            pause = self.poll_interval * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
            await asyncio.sleep(min(pause, remaining))
            try:
                payload = await sync_to_async(self._look, thread_sensitive=False, executor=_THREADS)()
            except Exception as error:
                if aws_errors.may_pass(error):
                    self.log.warning("Will ask again, for AWS did not carry out %s", aws_errors.cause(error))
                    if aws_errors.is_expired(error):
                        self._forget_hook()
                    continue
                reason = _in_words(error)
                self.log.exception("The wait ends: %s", reason)
                yield self._event("error", reason=reason)
                return
            if payload is not None:
                yield self._event("ended", **payload)
                return

    def _event(self, status: str, **payload: Any) -> TriggerEvent:
        return TriggerEvent({"status": status, "resume": self.resume, **payload})

    def _look(self) -> dict[str, Any] | None:
        return self._poll(shared_hook(**self._connection))

    def _forget_hook(self) -> None:
        # The connection may hold a newer session by now; the next look reads it.
        forget_shared_hook(**self._connection)

    @property
    def _connection(self) -> dict[str, Any]:
        return {
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
            "verify": self.verify,
            "botocore_config": self.botocore_config,
        }


def _in_words(error: Exception) -> str:
    """What the task is told of an error that came up while waiting."""
    if isinstance(error, aws_errors.AwsError):
        return aws_errors.in_words(error)
    return plain(str(error)) if isinstance(error, ShadowError) else plain(f"{type(error).__name__}: {error}")
