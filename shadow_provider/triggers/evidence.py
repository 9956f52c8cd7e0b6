"""Waits until the shadow has seen enough requests."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from shadow_provider.evidence.cover import mirrored_requests
from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.triggers.base import PollingTrigger


class SageMakerShadowEvidenceTrigger(PollingTrigger):
    """Fires when CloudWatch counts enough requests on the shadow variant and enough time has passed.

    Args:
        endpoint_name: the endpoint.
        shadow_variant_name: the shadow variant.
        since: start of the evidence, ISO 8601 with offset.
        minimum_requests: requests that the shadow must have answered.
        not_before: earliest end of the wait, ISO 8601 with offset.
        kwargs: see ``PollingTrigger``. At the deadline the event says ``timeout``; there was not enough traffic.
    """

    def __init__(
        self,
        *,
        endpoint_name: str,
        shadow_variant_name: str,
        since: str,
        minimum_requests: int,
        not_before: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.endpoint_name = endpoint_name
        self.shadow_variant_name = shadow_variant_name
        self.since = since
        self.minimum_requests = minimum_requests
        self.not_before = not_before

    def _own_arguments(self) -> dict[str, Any]:
        return {
            "endpoint_name": self.endpoint_name,
            "shadow_variant_name": self.shadow_variant_name,
            "since": self.since,
            "minimum_requests": self.minimum_requests,
            "not_before": self.not_before,
        }

    def _poll(self, hook: SageMakerShadowHook) -> dict[str, Any] | None:
        not_before = datetime.fromisoformat(self.not_before)
        now = datetime.now(tz=not_before.tzinfo)
        requests = mirrored_requests(
            hook.cloudwatch,
            endpoint_name=self.endpoint_name,
            shadow_variant=self.shadow_variant_name,
            since=datetime.fromisoformat(self.since),
            until=now,
        )
        self.log.info("%s of %s requests mirrored", "no metrics yet;" if requests is None else requests,
                      self.minimum_requests)  # fmt: skip
        if (requests or 0) < self.minimum_requests or now < not_before:
            return None
        return {"requests": requests}
