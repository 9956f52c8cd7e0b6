"""Waits for an endpoint to end a change."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.plan.endpoint_state import Progress, outcome_of
from shadow_provider.triggers.base import PollingTrigger


class SageMakerShadowEndpointTrigger(PollingTrigger):
    """Fires when the endpoint's change to a config has ended, however it ended. The task then judges for itself.

    Args:
        endpoint_name: the endpoint.
        endpoint_config_name: the config asked for; None waits until the endpoint is gone.
        not_before: when the change was asked for at the earliest, ISO 8601 with offset; see ``outcome_of``.
        kwargs: see ``PollingTrigger``.
    """

    def __init__(
        self,
        *,
        endpoint_name: str,
        endpoint_config_name: str | None,
        not_before: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.endpoint_name = endpoint_name
        self.endpoint_config_name = endpoint_config_name
        self.not_before = not_before

    def _own_arguments(self) -> dict[str, Any]:
        return {
            "endpoint_name": self.endpoint_name,
            "endpoint_config_name": self.endpoint_config_name,
            "not_before": self.not_before,
        }

    def _poll(self, hook: SageMakerShadowHook) -> dict[str, Any] | None:
        state = hook.endpoint_state(self.endpoint_name)
        if self.endpoint_config_name is None:
            return None if state else {"found": "gone"}
        not_before = datetime.fromisoformat(self.not_before) if self.not_before else None
        outcome = outcome_of(state, self.endpoint_config_name, not_before=not_before)
        found = state.summary() if state else "no such endpoint"
        if outcome.progress is Progress.UNDER_WAY:
            self.log.info("Endpoint %s: %s", self.endpoint_name, found)
            return None
        return {"found": found}
