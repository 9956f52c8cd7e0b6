"""Waits until an endpoint's lease may be taken."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from shadow_provider.hooks.lease import lease_keeper
from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.plan.deployment import Deployment
from shadow_provider.plan.lease import Move, next_move
from shadow_provider.triggers.base import PollingTrigger


class SageMakerShadowLeaseTrigger(PollingTrigger):
    """Fires when no other deployment has the endpoint's lease. It reads S3 only; the task then tries to take it.

    Args:
        lease_s3_uri: prefix of the lease.
        endpoint_name: the endpoint.
        deployment_id: who waits.
        kwargs: see ``PollingTrigger``.
    """

    def __init__(self, *, lease_s3_uri: str, endpoint_name: str, deployment_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lease_s3_uri = lease_s3_uri
        self.endpoint_name = endpoint_name
        self.deployment_id = deployment_id

    def _own_arguments(self) -> dict[str, Any]:
        return {
            "lease_s3_uri": self.lease_s3_uri,
            "endpoint_name": self.endpoint_name,
            "deployment_id": self.deployment_id,
        }

    def _poll(self, hook: SageMakerShadowHook) -> dict[str, Any] | None:
        deployment = Deployment(endpoint_name=self.endpoint_name, deployment_id=self.deployment_id)
        found = lease_keeper(hook, self.lease_s3_uri, deployment).look()
        if next_move(found, self.deployment_id, datetime.now(tz=UTC)) is Move.WAIT and found.lease is not None:
            self.log.info("Endpoint %s is held by %s", self.endpoint_name, found.lease.holder)
            return None
        return {"found": "free"}
