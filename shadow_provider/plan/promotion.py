"""The way forward, as a pure function of where the endpoint stands.

With guardrails a promotion is two updates: a plain one from the shadow config back to the baseline, and a guarded one
from the baseline to the promoted config. In the second the two configs differ in nothing but the model: AWS supports
guardrails only between configs with the same variants, and does not say what they do beside a shadow.
"""

from __future__ import annotations

import enum
from datetime import datetime

from shadow_provider.plan.endpoint_state import EndpointState
from shadow_provider.plan.names import DeploymentNames


class PromotionStep(enum.Enum):
    """What is to be done next."""

    DROP_SHADOW = "drop_shadow"
    PROMOTE = "promote"
    UNDER_WAY = "under_way"
    ROLLED_BACK = "rolled_back"


def next_step(
    state: EndpointState, *, baseline: str, names: DeploymentNames, guarded: bool, asked_since: datetime | None
) -> PromotionStep:
    """Say what brings the endpoint to its promoted config. Whether that may be done is asked again where it is done.

    Args:
        state: where the endpoint stands.
        baseline: the baseline config by the deployment's tags.
        names: the deployment's names.
        guarded: whether the promotion is to be guarded.
        asked_since: the endpoint's ``last_modified`` just before the update to the promoted config was asked for; None
            if it has not been. An endpoint that has changed since and is not on it was rolled back: it is not tried
            again, for production would be given to the candidate a second time.
    """
    if names.promoted_config in (state.active_config, state.pending_config):
        return PromotionStep.UNDER_WAY
    if asked_since is not None and state.last_modified > asked_since and not state.in_progress:
        return PromotionStep.ROLLED_BACK
    return PromotionStep.DROP_SHADOW if guarded and state.active_config != baseline else PromotionStep.PROMOTE
